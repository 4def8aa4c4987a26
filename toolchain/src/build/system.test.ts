import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { BuildError, type CodeObject } from "../contract.ts";
import { readArchive } from "../link/archive.ts";
import { sampleAssembly, sampleProgram } from "../link/synthetic.ts";
import type { ImageSource } from "./sources.ts";
import { type BuildOptions, buildProgram, buildSystem, extendArchive } from "./system.ts";

let root = "";
let compiled: string[] = [];

function write(file: string, text: string): void {
  mkdirSync(dirname(join(root, file)), { recursive: true });
  writeFileSync(join(root, file), text);
}

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "rialto-build-"));
  compiled = [];
  write("os/bases.json", '{"rt":"0x40000000","hello":"0x41000000","user":"0x4f000000","end":"0x50000000"}');
  write("os/kernel/main.ts", 'import { step } from "./step";\nexport const kernel = step;');
  write("os/kernel/step.ts", "export const step = 1;");
  write("os/interfaces/IName.ts", "export interface IName {}");
  write("os/lib/rt/heap.ts", "export function allocate(size: usize): usize { return size; }");
  write("os/apps/hello/main.ts", 'import { allocate } from "../../lib/rt/heap";\nallocate(1);');
  write("os/apps/README.md", "not an image");
  write("os/system.txt", "hello process\n");
});

afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Stands in for front and back end: the caching is under test, not the code. */
function objectsOf(image: ImageSource): CodeObject[] {
  if (image.kind === "kernel") return [sampleAssembly("start", "kernelEnd")];
  if (image.kind === "library") {
    const text = readFileSync(image.entries[0]!, "utf8");
    return [sampleAssembly(/function (\w+)/.exec(text)![1]!, "image:end")];
  }
  return [sampleProgram()];
}

const options = (): BuildOptions => ({
  root,
  compiler: async () => ({
    async compile(image) {
      compiled.push(image.name);
      return objectsOf(image);
    },
  }),
});

async function build(): Promise<string[]> {
  compiled = [];
  const system = await buildSystem(options());
  expect(
    system.images
      .filter((image) => image.compiled)
      .map((image) => image.name)
      .sort(),
  ).toEqual(compiled.sort());
  return compiled;
}

const archiveFiles = () => readArchive(readFileSync(join(root, ".rialto/build/archive.img")));

describe("buildSystem", () => {
  it("builds every image once, then nothing", async () => {
    expect(await build()).toEqual(["hello", "kernel", "rt"]);
    const names = archiveFiles().map((file) => file.name);
    expect(names).toEqual(["etc/system", "lib/rt", "lines/hello", "bin/hello"]);
    expect(new TextDecoder().decode(archiveFiles()[0]!.contents)).toBe("hello process\n");
    const before = statSync(join(root, ".rialto/build/archive.img")).mtimeMs;
    expect(await build()).toEqual([]);
    expect(statSync(join(root, ".rialto/build/archive.img")).mtimeMs).toBe(before);
    expect(readdirSync(join(root, ".rialto/build")).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("rebuilds exactly what a change reaches", async () => {
    await build();
    write("os/kernel/step.ts", "export const step = 2;");
    expect(await build()).toEqual(["kernel"]);
    write("os/interfaces/IName.ts", "export interface IName { go(): void }");
    expect(await build()).toEqual(["kernel"]);
    write("os/lib/rt/heap.ts", "export function allocate(size: usize): usize { return size + 1; }");
    expect(await build()).toEqual(["hello", "rt"]);
    write("os/apps/hello/main.ts", 'import { allocate } from "../../lib/rt/heap";\nallocate(2);');
    expect(await build()).toEqual(["hello"]);
    write("os/system.txt", "");
    expect(await build()).toEqual([]);
    expect(archiveFiles()[0]!.contents.length).toBe(0);
  });

  it("takes an earlier state from the cache", async () => {
    await build();
    const first = readFileSync(join(root, "os/kernel/step.ts"), "utf8");
    write("os/kernel/step.ts", "export const step = 3;");
    await build();
    write("os/kernel/step.ts", first);
    expect(await build()).toEqual([]);
  });

  it("mends results that were damaged or removed", async () => {
    await build();
    truncateSync(join(root, ".rialto/build/archive.img"), 100);
    rmSync(join(root, ".rialto/build/kernel.elf"));
    expect(await build()).toEqual([]);
    expect(archiveFiles().length).toBe(4);
    expect(existsSync(join(root, ".rialto/build/kernel.elf"))).toBe(true);
  });

  it("reports an import that the library lost, even of a cached image", async () => {
    await build();
    write("os/lib/rt/heap.ts", "export function allocated(size: usize): usize { return size; }");
    await expect(buildSystem(options())).rejects.toThrow(
      /library "rt" does not export; the nearest name is "allocated"/,
    );
    await expect(buildSystem(options())).rejects.toThrow(BuildError);
  });

  it("says which line a new image needs in bases.json", async () => {
    write("os/services/files/main.ts", "export const x = 1;");
    await expect(buildSystem(options())).rejects.toThrow(/add the line "files": "0x41100000"/);
    write("os/bases.json", '{"rt":"0x40000000","hello":"0x40000000","user":"0x4f000000","end":"0x50000000"}');
    await expect(buildSystem(options())).rejects.toThrow(/same base/);
    write("os/bases.json", '{"rt":"0x4000000"}');
    await expect(buildSystem(options())).rejects.toThrow(/the base of "rt" must be/);
  });

  it("refuses two images of one name and a tree without a kernel", async () => {
    write("os/drivers/hello/main.ts", "");
    await expect(buildSystem(options())).rejects.toThrow(/two images are named "hello"/);
    rmSync(join(root, "os/drivers"), { recursive: true });
    rmSync(join(root, "os/kernel"), { recursive: true });
    await expect(buildSystem(options())).rejects.toThrow(/no kernel/);
  });
});

describe("buildProgram", () => {
  it("links a program from any folder at the reserved base, and caches it", async () => {
    write("elsewhere/mine.ts", 'import { allocate } from "rialto/lib/rt/heap";\nallocate(3);');
    const image = await buildProgram(join(root, "elsewhere/mine.ts"), options());
    expect(image).toMatchObject({ name: "mine", location: "bin/mine", base: 0x4f000000, compiled: true });
    expect(compiled.sort()).toEqual(["mine", "rt"]);
    const again = await buildProgram(join(root, "elsewhere/mine.ts"), options());
    expect(again.compiled).toBe(false);
    write("os/lib/rt/heap.ts", "export function allocate(size: usize): usize { return size + 9; }");
    expect((await buildProgram(join(root, "elsewhere/mine.ts"), options())).compiled).toBe(true);
    const archive = extendArchive([], [{ name: image.location, contents: readFileSync(image.file) }]);
    expect(basename(readArchive(archive)[0]!.name)).toBe("mine");
  });

  it("refuses what is no program", async () => {
    await expect(buildProgram(join(root, "absent.ts"), options())).rejects.toThrow(/no such file/);
    await expect(buildProgram(join(root, "os/system.txt"), options())).rejects.toThrow(
      /not a TypeScript program/,
    );
  });
});
