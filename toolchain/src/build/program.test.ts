/** Somebody's own program through the real toolchain, from a folder outside the repository. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BuildError } from "../contract.ts";
import { loadablePart } from "../link/elf.ts";
import { buildProgram } from "./system.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "rialto-own-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function write(name: string, text: string): string {
  mkdirSync(join(folder, "parts"), { recursive: true });
  writeFileSync(join(folder, name), text);
  return join(folder, name);
}

const build = (file: string) => buildProgram(file, { output: join(folder, "build") });

/** The error that building a file ends with. */
async function failure(file: string): Promise<BuildError> {
  const error = await build(file).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(BuildError);
  return error as BuildError;
}

const MAIN = `import { allocate } from "rialto/lib/rt/heap";
import { S_OK } from "rialto/interfaces/results";
import { twice } from "./parts/twice";

export function main(argc: i32, argv: usize): i32 {
  const block = allocate(16);
  return block === 0 ? 1 : twice(S_OK);
}
`;

const hasReadelf = spawnSync("readelf", ["--version"]).status === 0;

describe("somebody's own program", () => {
  it("is built once, with the system's libraries, and names its own files", async () => {
    write("parts/twice.ts", "export function twice(value: i32): i32 {\n  return value * 2;\n}\n");
    const file = write("mine.ts", MAIN);
    const image = await build(file);
    expect(image).toMatchObject({ name: "mine", base: 0x4f000000, compiled: true });
    const bytes = readFileSync(image.file);
    const text = new TextDecoder("latin1").decode(bytes);
    expect(text).toContain("rt!allocate");
    expect(text).toContain("mine.ts");
    expect(loadablePart(bytes).length % 4096).toBe(0);
    expect((await build(file)).compiled).toBe(false);
    write("parts/twice.ts", "export function twice(value: i32): i32 {\n  return value + value + value;\n}\n");
    expect((await build(file)).compiled).toBe(true);
  });

  it.skipIf(!hasReadelf)(
    "is an image that readelf reads without a warning (skipped without readelf)",
    async () => {
      const image = await build(write("mine.ts", MAIN));
      for (const option of ["-aW", "--debug-dump"]) {
        const result = spawnSync("readelf", [option, image.file], { encoding: "utf8" });
        expect(result.stderr).toBe("");
        expect(result.stdout).not.toMatch(/warning/i);
      }
    },
  );

  it("tells the place of an import that no library has", async () => {
    const unknown = write("unknown.ts", MAIN.replaceAll("allocate", "alocate"));
    const error = await failure(unknown);
    expect(error.message).toContain("unknown.ts");
    expect(error.message).toContain("alocate");
    const missing = write("missing.ts", MAIN.replace("lib/rt/heap", "lib/tr/heap"));
    expect((await failure(missing)).message).toMatch(/missing\.ts:1:.*os\/lib\/tr\/heap/);
  });

  it("tells the place of a mistake as its author would", async () => {
    const file = write("wrong.ts", MAIN.replace("twice(S_OK)", "thrice(S_OK)"));
    const error = await failure(file);
    expect(error.message).toContain(`${file}:7:`);
    expect(error.message).not.toContain("own/");
    const syntax = write("syntax.ts", "export function main(argc: i32 argv: usize): i32 { return 0; }\n");
    expect((await failure(syntax)).message).toMatch(/syntax\.ts:1:/);
  });
});
