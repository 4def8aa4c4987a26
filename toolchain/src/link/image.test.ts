import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { BuildError } from "../contract.ts";
import { elfHash, loadablePart, PAGE_SIZE } from "./elf.ts";
import { KERNEL_BASE, type LinkInput, linkImage } from "./image.ts";
import { sampleAssembly, sampleProgram } from "./synthetic.ts";

const folder = mkdtempSync(join(tmpdir(), "rialto-link-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BASE = 0x41000000;
const rt = new Map([["rt", ["allocate", "free"]]]);

function sampleInput(changes: Partial<LinkInput> = {}): LinkInput {
  return {
    name: "sample",
    kind: "program",
    base: BASE,
    limit: BASE + 0x100000,
    objects: [sampleProgram(), sampleAssembly("stub", "image:end")],
    libraries: rt,
    ...changes,
  };
}

function kernelInput(): LinkInput {
  const sample = sampleProgram();
  const { start: _, ...withoutStart } = sample;
  return {
    name: "kernel",
    kind: "kernel",
    base: KERNEL_BASE,
    limit: 0xb0000000,
    objects: [
      { ...withoutStart, textFixups: sample.textFixups.slice(1), imports: [] },
      sampleAssembly("start", "kernelEnd"),
    ],
    libraries: new Map(),
  };
}

const available = (tool: string) => spawnSync(tool, ["--version"]).status === 0;

/** Output of a tool on an image; anything on standard error is a failure. */
function run(tool: string, options: readonly string[], image: Uint8Array): string {
  const file = join(folder, "image.elf");
  writeFileSync(file, image);
  const result = spawnSync(tool, [...options, file], { encoding: "utf8" });
  expect(result.stderr).toBe("");
  expect(result.status).toBe(0);
  return result.stdout;
}

describe("linkImage", () => {
  it("gives every segment whole file pages at page addresses", () => {
    for (const input of [sampleInput(), kernelInput()]) {
      const { bytes } = linkImage(input);
      const view = new DataView(bytes.buffer);
      let loads = 0;
      for (let index = 0; index < view.getUint16(44, true); index++) {
        const header = 52 + 32 * index;
        if (view.getUint32(header, true) !== 1) continue;
        loads++;
        expect(view.getUint32(header + 4, true) % PAGE_SIZE).toBe(0);
        expect(view.getUint32(header + 8, true) % PAGE_SIZE).toBe(0);
        const end = view.getUint32(header + 4, true) + view.getUint32(header + 16, true);
        expect(bytes.length).toBeGreaterThanOrEqual(Math.ceil(end / PAGE_SIZE) * PAGE_SIZE);
        const rest = bytes.subarray(end, Math.ceil(end / PAGE_SIZE) * PAGE_SIZE);
        expect(rest.every((byte) => byte === 0)).toBe(true);
      }
      expect(loads).toBe(2);
    }
  });

  it("fills absolute and relative fields", () => {
    const { bytes, symbols } = linkImage(sampleInput());
    const view = new DataView(bytes.buffer);
    const main = symbols.get("main")! - BASE;
    const helper = symbols.get("os/apps/sample/main/helper")!;
    expect(view.getUint32(main + 17, true)).toBe(symbols.get("data")! + 4);
    expect((view.getInt32(main + 22, true) + BASE + main + 26) >>> 0).toBe(helper);
    expect(view.getUint32(symbols.get("data")! - BASE + 4, true)).toBe(helper);
    expect(view.getUint32(symbols.get("global:os/apps/sample/main/seven")! - BASE, true)).toBe(7);
    expect(view.getUint32(symbols.get("stub")! - BASE + 1, true)).toBe(symbols.get("image:end"));
    expect(symbols.get("image:end")).toBeGreaterThanOrEqual(symbols.get("data")! + 5000);
  });

  it("takes static data without a byte of contents, or none at all", () => {
    const sample = sampleProgram();
    const textFixups = sample.textFixups.filter((fixup) => !fixup.symbol.startsWith("global:"));
    const program = { ...sample, textFixups };
    const empty = { bytes: new Uint8Array(), size: 0, fixups: [] };
    const zero = { bytes: new Uint8Array(), size: 5000, fixups: [] };
    for (const data of [empty, zero]) {
      for (const globals of [[], program.globals]) {
        const { bytes, symbols, memorySize } = linkImage(
          sampleInput({ objects: [{ ...program, data, globals }] }),
        );
        expect(symbols.get("data")! - BASE + data.size).toBeLessThanOrEqual(Math.max(memorySize, 4112));
        expect(bytes.length).toBeGreaterThan(4096);
      }
    }
    const bare = { ...sampleAssembly("main", "image:end") };
    expect(linkImage(sampleInput({ objects: [bare] })).dataSize).toBe(0);
  });

  it("keeps a relocation for every field that moves, and moving gives what linking there gives", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0x40000, max: 0x7fe00 }), (page) => {
        const base = page * PAGE_SIZE;
        const moved = new Uint8Array(loadablePart(linkImage(sampleInput()).bytes));
        const there = loadablePart(linkImage(sampleInput({ base, limit: 2 ** 32 })).bytes);
        const view = new DataView(moved.buffer);
        const { relocations, count } = relocationTable(moved);
        let relative = 0;
        for (let index = 0; index < count; index++) {
          const entry = relocations + 8 * index;
          if (view.getUint32(entry + 4, true) !== 8) continue;
          relative++;
          const place = view.getUint32(entry, true) - BASE;
          view.setUint32(place, view.getUint32(place, true) + base - BASE, true);
        }
        expect(relative).toBe(6);
        const code = view.getUint32(52 + 16, true);
        const text = textStart(linkImage(sampleInput()).bytes);
        expect(moved.subarray(text, code)).toEqual(there.subarray(text, code));
        const data = Math.ceil(code / PAGE_SIZE) * PAGE_SIZE;
        expect(moved.subarray(data)).toEqual(there.subarray(data));
      }),
      { numRuns: 20 },
    );
  });

  it("names symbol, image and line of an undefined symbol", () => {
    const program = sampleProgram();
    const textFixups = program.textFixups.map((fixup) =>
      fixup.offset === 22 ? { ...fixup, symbol: "os/apps/sample/main/helpr" } : fixup,
    );
    const build = () => linkImage(sampleInput({ objects: [{ ...program, textFixups }] }));
    expect(build).toThrow(BuildError);
    expect(build).toThrow(
      /main\.ts:12:3: undefined symbol "os\/apps\/sample\/main\/helpr" in image "sample".*nearest name is "os\/apps\/sample\/main\/helper"/,
    );
  });

  it("names library, function and line of an import that no library has", () => {
    const without = () => linkImage(sampleInput({ libraries: new Map([["rt", ["allocates"]]]) }));
    expect(without).toThrow(
      /main\.ts:11:3: image "sample" imports "allocate", which library "rt" does not export; the nearest name is "allocates"/,
    );
    const noLibrary = () => linkImage(sampleInput({ libraries: new Map([["rs", []]]) }));
    expect(noLibrary).toThrow(/from a library "rt" that does not exist; the nearest name is "rs"/);
  });

  it("refuses an image that runs into its neighbour, two definitions, and a missing entry", () => {
    expect(() => linkImage(sampleInput({ limit: BASE + 0x1000 }))).toThrow(/runs into 0x41001000/);
    const twice = [sampleProgram(), sampleAssembly("main", "image:end")];
    expect(() => linkImage(sampleInput({ objects: twice }))).toThrow(/"main" is defined twice/);
    const none = [sampleAssembly("stub", "image:end")];
    expect(() => linkImage(sampleInput({ objects: none }))).toThrow(/exports no function "main"/);
    expect(() => linkImage({ ...kernelInput(), objects: none })).toThrow(/no symbol "start"/);
  });

  it("refuses a kernel whose initialiser nobody calls", () => {
    const [program, ...rest] = kernelInput().objects;
    const objects = [{ ...program!, start: "os/apps/sample/main/main" }, ...rest];
    expect(() => linkImage({ ...kernelInput(), objects })).toThrow(/initial value/);
    const called = [{ ...program!, start: "os/apps/sample/main/helper" }, ...rest];
    expect(() => linkImage({ ...kernelInput(), objects: called })).not.toThrow();
  });

  it("finds every exported name through the hash table", () => {
    const names = ["allocate", "free", "startProgram", "waitOn", "x"];
    const objects = names.map((name) => sampleAssembly(name, "image:end"));
    const { bytes, symbols } = linkImage(
      sampleInput({ name: "rt", kind: "library", objects, libraries: new Map() }),
    );
    for (const name of names) expect(lookUp(bytes, name)).toBe(symbols.get(name));
    expect(lookUp(bytes, "absent")).toBe(0);
  });
});

describe("the multiboot header", () => {
  it("lies aligned in the first 8 KB and sums to zero", () => {
    const { bytes } = linkImage(kernelInput());
    const view = new DataView(bytes.buffer);
    let found = -1;
    for (let offset = 0; offset < 8192; offset += 4)
      if (view.getUint32(offset, true) === 0x1badb002) found = offset;
    expect(found).toBeGreaterThan(0);
    expect(
      (view.getUint32(found, true) + view.getUint32(found + 4, true) + view.getUint32(found + 8, true)) >>> 0,
    ).toBe(0);
    expect(found).toBeLessThan(view.getUint32(52 + 16, true));
    expect(view.getUint32(52 + 12, true)).toBe(0x100000);
  });
});

const hasReadelf = available("readelf");
const hasObjdump = available("objdump");
const hasGdb = available("gdb");

describe("the images that binutils and gdb read", () => {
  it.skipIf(!hasReadelf)("readelf accepts all of it (skipped without readelf)", () => {
    for (const image of [linkImage(sampleInput()).bytes, linkImage(kernelInput()).bytes]) {
      const text = run("readelf", ["-a", "-W"], image);
      expect(text).not.toMatch(/warning|error/i);
      run("readelf", ["--debug-dump"], image);
    }
    run("readelf", ["-a"], loadablePart(linkImage(sampleInput()).bytes));
    const text = run("readelf", ["-a", "-W"], linkImage(sampleInput()).bytes);
    expect(text).toMatch(/NEEDED.*\[rt\]/);
    expect(text).toMatch(/SONAME.*\[sample\]/);
    expect(text).toMatch(/R_386_GLOB_DAT.*rt!allocate/);
    expect(text).toMatch(/TEXTREL/);
    expect(text).toMatch(/FUNC +GLOBAL +DEFAULT +\d+ main/);
  });

  it.skipIf(!hasObjdump)("objdump disassembles it with lines (skipped without objdump)", () => {
    const text = run("objdump", ["-dl"], linkImage(sampleInput()).bytes);
    expect(text).toMatch(/os\/apps\/sample\/main\.ts:11/);
    expect(text).toMatch(/call .*<os\/apps\/sample\/main\/helper>/);
  });

  it.skipIf(!hasGdb)("gdb finds lines, functions and variables (skipped without gdb)", () => {
    const commands = [
      "info line os/apps/sample/main.ts:12",
      "info functions helper",
      "info scope main",
      "break helper",
      "info line *main",
    ].flatMap((command) => ["-ex", command]);
    const { bytes, symbols } = linkImage(sampleInput());
    const text = run("gdb", ["-nx", "-batch", ...commands], bytes);
    const line12 = (symbols.get("main")! + 16).toString(16);
    expect(text).toMatch(new RegExp(`Line 12 of .*starts at address 0x${line12}`));
    expect(text).toMatch(/File os\/interfaces\/results.ts:\n300:.*helper/);
    expect(text).toMatch(/Breakpoint 1 at .*results\.ts, line 300/);
    expect(text).toMatch(/Symbol argc is .*at frame base reg \$ebp offset 0\+8/);
    expect(text).toMatch(/Line 10 of "os\/apps\/sample\/main.ts"/);
  });
});

function dynamicEntry(bytes: Uint8Array, tag: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (let index = 0; index < view.getUint16(44, true); index++) {
    const header = 52 + 32 * index;
    if (view.getUint32(header, true) !== 2) continue;
    const start = view.getUint32(header + 4, true);
    for (let entry = start; view.getUint32(entry, true) !== 0; entry += 8) {
      if (view.getUint32(entry, true) === tag) return view.getUint32(entry + 4, true);
    }
  }
  throw new Error(`no dynamic entry ${tag}`);
}

function relocationTable(bytes: Uint8Array): { relocations: number; count: number } {
  return { relocations: dynamicEntry(bytes, 17) - BASE, count: dynamicEntry(bytes, 18) / 8 };
}

function textStart(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer);
  return view.getUint32(view.getUint32(32, true) + 7 * 40 + 16, true);
}

/** What a loader does: hash, bucket, chain. */
function lookUp(bytes: Uint8Array, name: string): number {
  const view = new DataView(bytes.buffer);
  const hash = dynamicEntry(bytes, 4) - BASE;
  const symbols = dynamicEntry(bytes, 6) - BASE;
  const strings = dynamicEntry(bytes, 5) - BASE;
  const buckets = view.getUint32(hash, true);
  let index = view.getUint32(hash + 8 + 4 * (elfHash(name) % buckets), true);
  while (index !== 0) {
    const start = strings + view.getUint32(symbols + 16 * index, true);
    const end = bytes.indexOf(0, start);
    if (new TextDecoder().decode(bytes.subarray(start, end)) === name)
      return view.getUint32(symbols + 16 * index + 4, true);
    index = view.getUint32(hash + 8 + 4 * buckets + 4 * index, true);
  }
  return 0;
}
