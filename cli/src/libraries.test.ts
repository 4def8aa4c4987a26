/**
 * Images that do not fit together, made by the real linker and put into the boot archive beside the system's own: each is refused with both names,
 * at launch and at run time, in a process and in the kernel, and the system goes on.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32 } from "node:zlib";
import { buildSystem, REPOSITORY } from "@rialto/toolchain/build/system.ts";
import type { CodeObject } from "@rialto/toolchain/contract.ts";
import type { ArchiveFile } from "@rialto/toolchain/link/archive.ts";
import { loadablePart } from "@rialto/toolchain/link/elf.ts";
import { linkImage } from "@rialto/toolchain/link/image.ts";
import { beforeAll, describe, expect, it } from "vitest";
import { runGuest } from "./guest-run.ts";

const QEMU = spawnSync("qemu-system-i386", ["--version"]).error === undefined;
const MEMORY = 16 << 20;

/** Code that calls every import and returns 0, under the name `exported`. */
function codeObject(
  name: string,
  exported: string,
  imports: readonly string[],
  signatures: ReadonlyMap<string, number>,
): CodeObject {
  const text = [...imports.flatMap(() => [0xff, 0x15, 0, 0, 0, 0]), 0x31, 0xc0, 0xc3];
  return {
    name,
    text: Uint8Array.from(text),
    textFixups: imports.map((symbol, index) => ({
      offset: index * 6 + 2,
      kind: "absolute32",
      symbol: `import:${symbol}`,
      addend: 0,
    })),
    functions: [
      {
        name: exported,
        exports: [exported],
        offset: 0,
        size: text.length,
        lines: [],
        variables: [],
        framed: false,
      },
    ],
    globals: [],
    imports: imports.map((symbol) => {
      const [library, wanted] = symbol.split("!") as [string, string];
      return { library, name: wanted };
    }),
    signatures,
  };
}

let nextBase = 0x4e000000;

/** A library or program that imports what its linker was told there is. */
function image(
  kind: "library" | "program",
  name: string,
  imports: readonly string[],
  signatures: Readonly<Record<string, number>> = {},
): ArchiveFile {
  const base = nextBase;
  nextBase += 0x10000;
  const exported = kind === "program" ? "main" : `${name}Works`;
  const libraries = new Map<string, string[]>();
  for (const symbol of imports) {
    const [library, wanted] = symbol.split("!") as [string, string];
    libraries.set(library, [...(libraries.get(library) ?? []), wanted]);
  }
  const objects = [codeObject(name, exported, imports, new Map(Object.entries(signatures)))];
  const linked = linkImage({ name, kind, base, limit: base + 0x10000, objects, libraries });
  return {
    name: `${kind === "program" ? "bin" : "lib"}/${name}`,
    contents: loadablePart(linked.bytes),
  };
}

const chain = Array.from({ length: 9 }, (_, n) =>
  image("library", `chain${n}`, n < 8 ? [`chain${n + 1}!chain${n + 1}Works`] : []),
);

interface Misfit {
  readonly what: string;
  readonly library: string;
  readonly files: readonly ArchiveFile[];
  readonly result: string;
  readonly message: string;
}

const misfits: readonly Misfit[] = [
  {
    what: "libraries that need each other",
    library: "hen",
    files: [image("library", "hen", ["egg!eggWorks"]), image("library", "egg", ["hen!henWorks"])],
    result: "libraries that it needs need each other",
    message: "loader: library egg needs hen, which needs egg: libraries must not need each other",
  },
  {
    what: "a library that needs itself",
    library: "snake",
    files: [image("library", "snake", ["snake!snakeWorks"])],
    result: "libraries that it needs need each other",
    message: "loader: library snake needs snake, which needs snake: libraries must not need each other",
  },
  {
    what: "a symbol that the library lacks",
    library: "wishful",
    files: [image("library", "wishful", ["digest!sha512"])],
    result: "a symbol that it needs is missing from a library",
    message: "loader: wishful needs a symbol that none of its libraries has: digest!sha512",
  },
  {
    what: "another version of a library",
    library: "stale",
    files: [image("library", "stale", ["digest!crc32"], { "digest!crc32": 0x12345678 })],
    result: "it was built against another version of a library",
    message: "loader: stale was built for version 0x12345678 of digest!crc32, but library digest has version",
  },
  {
    what: "a library that is missing",
    library: "lonely",
    files: [image("library", "lonely", ["absent!anything"])],
    result: "a shared library that it needs is missing",
    message: "loader: lonely needs a library that cannot be loaded: absent",
  },
  {
    what: "a library that is damaged",
    library: "broken",
    files: [{ name: "lib/broken", contents: new TextEncoder().encode("this is no image") }],
    result: "malformed image",
    message: "loader: broken: not a good image",
  },
  {
    what: "too long a chain of libraries",
    library: "chain0",
    files: chain,
    result: "a shared library that it needs is missing",
    message: "loader: chain7 is at the end of too long a chain of libraries; it needs chain8",
  },
];

/** For each, a program that was linked against it. */
const programs = misfits.map(({ library }) =>
  image("program", `uses-${library}`, [`${library}!${library}Works`]),
);
const good = image("program", "uses-chain1", ["chain1!chain1Works"]);
const files = [...misfits.flatMap((misfit) => misfit.files), ...programs, good];

describe.each(QEMU ? (["rialto", "qemu"] as const) : (["rialto"] as const))("misfits on %s", (on) => {
  let text = "";

  beforeAll(async () => {
    const lines = misfits.flatMap(({ library }) => [
      `run abuse try-library ${library}`,
      `run -k abuse try-library ${library}`,
      `run uses-${library}`,
      `run -k uses-${library}`,
    ]);
    const outcome = await runGuest({
      on,
      lines: [
        "modules",
        ...lines,
        "modules",
        "run uses-chain1",
        "run -k uses-chain1",
        "run -k hello",
        "modules",
      ],
      files,
      memory: MEMORY,
      limit: 60,
      show: "nothing",
    });
    text = outcome.text;
  }, 600_000);

  it.each(misfits)("refuses $what, at run time and at launch", ({ library, message, result }) => {
    expect(text.split(message).length - 1).toBe(4);
    expect(text).toContain(`uses-${library}: ${result}\n`);
  });

  it("goes on, with nothing left behind", () => {
    expect(text).toContain("Hello from process 0 (kernel)");
    const modules = text.split(/^space base/m).slice(1);
    expect(modules).toHaveLength(3);
    const names = (part: string) => [...part.matchAll(/^ +\d+ 0x\w+ .*? (\w+)$/gm)].map((match) => match[1]);
    expect(names(modules[1]!)).toEqual(names(modules[0]!));
    expect(names(modules[2]!)).toEqual(names(modules[0]!));
  });
});

describe("a library that programs are linked against", () => {
  it("computes what zlib computes, in both places", async () => {
    await buildSystem();
    const system = readFileSync(join(REPOSITORY, "os/system.txt"));
    const sum = crc32(system).toString(16).padStart(8, "0");
    const lines = ["run checksum etc/system", "run -k checksum etc/system"];
    const { text } = await runGuest({ on: "rialto", lines, memory: MEMORY, limit: 60, show: "nothing" });
    expect(text).toBe(`${sum}  etc/system\n${sum}  etc/system\n`);
  }, 600_000);
});
