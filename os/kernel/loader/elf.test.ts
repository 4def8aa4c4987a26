/** The image reader, run in Node on what the linker writes, whole and spoiled: it must never read outside of the image. */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import {
  compileKernel,
  type RunningGuest,
  readRepositoryFile,
  runGuest,
} from "../../../toolchain/src/front/testing.ts";
import { loadablePart } from "../../../toolchain/src/link/elf.ts";
import { linkImage } from "../../../toolchain/src/link/image.ts";
import { sampleAssembly, sampleProgram } from "../../../toolchain/src/link/synthetic.ts";

const E_BADIMAGE = 0x800700c1 | 0;
const BASE = 0x41000000;

const main = `
import { ImageFile, parseImage, findSymbol, importFrom, neededLibrary, relocationAddress, relocationSymbol, relocationType, symbolAddress, symbolName, symbolVersion } from "./loader/elf";
import { textLength } from "./objects/texts";
const file: usize = memory.data(256, 16);
function image(): ImageFile { return changetype<ImageFile>(file); }
export function parse(bytes: usize, size: u32): i32 {
  memory.fill(file, 0, 256);
  image().bytes = bytes;
  image().size = size;
  return parseImage(image());
}
export function codeStart(): u32 { return image().codeStart; }
export function codeSize(): u32 { return image().codeSize; }
export function dataStart(): u32 { return image().dataStart; }
export function entry(): u32 { return image().entry; }
export function needed(index: u32): usize { return neededLibrary(image(), index); }
export function find(name: usize): u32 { const index = findSymbol(image(), name); return index === 0 ? 0 : symbolAddress(image(), index); }
export function importedFrom(symbol: usize, library: usize): usize { return importFrom(symbol, library); }
/** Reads everything that loading would read. */
export function walk(name: usize): u32 {
  const found = findSymbol(image(), name);
  let sum: u32 = found + symbolVersion(image(), found);
  for (let i: u32 = 0; ; i++) {
    const library = neededLibrary(image(), i);
    if (library === 0) break;
    sum += textLength(library, 0xffffffff);
  }
  for (let i: u32 = 0; i < image().relocationCount; i++) {
    sum += relocationAddress(image(), i);
    if (relocationType(image(), i) !== 6) continue;
    const symbol = relocationSymbol(image(), i);
    sum += textLength(symbolName(image(), symbol), 0xffffffff) + symbolVersion(image(), symbol);
  }
  return sum;
}
`;

const realFiles = ["os/kernel/loader/elf.ts", "os/kernel/objects/texts.ts", "os/kernel/i386/layout.ts"];

let guest: RunningGuest;
let program: Uint8Array;
let library: Uint8Array;

/** Puts bytes at the very end of memory, where reading on traps, and returns their address. */
function place(bytes: Uint8Array): number {
  const end = guest.memory.byteLength;
  new Uint8Array(guest.memory.buffer).set(bytes, end - bytes.length);
  return end - bytes.length;
}

function text(value: string): number {
  const address = 0x60000;
  new Uint8Array(guest.memory.buffer).set(new TextEncoder().encode(`${value}\0`), address);
  return address;
}

const parse = (bytes: Uint8Array): number => guest.exports.parse!(place(bytes), bytes.length);

beforeAll(async () => {
  const files = Object.fromEntries(realFiles.map((path) => [path, readRepositoryFile(path)!]));
  guest = await runGuest(await compileKernel(main, files));
  const libraries = new Map([["rt", ["allocate", "free"]]]);
  const limit = BASE + 0x100000;
  program = loadablePart(
    linkImage({ name: "sample", kind: "program", base: BASE, limit, objects: [sampleProgram()], libraries })
      .bytes,
  );
  library = loadablePart(
    linkImage({
      name: "rt",
      kind: "library",
      base: BASE,
      limit,
      objects: [sampleAssembly("allocate", "image:end")],
      libraries,
    }).bytes,
  );
});

describe("good images", () => {
  it("finds the parts of a program", () => {
    expect(parse(program)).toBe(0);
    expect(guest.exports.codeStart!() >>> 0).toBe(BASE);
    expect(guest.exports.codeSize!() % 4096).toBe(0);
    expect(guest.exports.dataStart!() >>> 0).toBeGreaterThan(BASE);
    expect(guest.exports.entry!() >>> 0).toBeGreaterThan(BASE);
    expect(guest.textAt(guest.exports.needed!(0))).toBe("rt");
    expect(guest.exports.needed!(1)).toBe(0);
  });

  it("finds exports by name", () => {
    expect(parse(library)).toBe(0);
    expect(guest.exports.entry!()).toBe(0);
    expect(guest.exports.find!(text("allocate")) >>> 0).toBeGreaterThan(BASE);
    expect(guest.exports.find!(text("allocat"))).toBe(0);
    expect(guest.exports.find!(text(""))).toBe(0);
  });

  it("splits import symbols", () => {
    const symbol = text("rt!allocate");
    const name = 0x60100;
    new Uint8Array(guest.memory.buffer).set(new TextEncoder().encode("rt\0r\0rtx\0"), name);
    expect(guest.textAt(guest.exports.importedFrom!(symbol, name))).toBe("allocate");
    expect(guest.exports.importedFrom!(symbol, name + 3)).toBe(0);
    expect(guest.exports.importedFrom!(symbol, name + 5)).toBe(0);
  });
});

describe("spoiled images", () => {
  const check = (bytes: Uint8Array): void => {
    const result = parse(bytes);
    expect([0, E_BADIMAGE]).toContain(result);
    const name = text("allocate");
    if (result === 0) guest.exports.walk!(name);
  };

  it("refuses every image that is cut short", () => {
    for (const image of [program, library]) {
      for (let size = 0; size < image.length - 4096; size += size < 600 ? 1 : 97) {
        expect(parse(image.slice(0, size))).toBe(E_BADIMAGE);
      }
    }
  });

  it("reads nothing outside of an image with wrong bytes", () => {
    const images = fc.constantFrom("program", "library");
    const change = fc.tuple(fc.nat(1500), fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)));
    fc.assert(
      fc.property(images, fc.array(change, { minLength: 1, maxLength: 4 }), (which, changes) => {
        const bytes = (which === "program" ? program : library).slice();
        for (const [offset, value] of changes) bytes[offset % bytes.length] = value;
        check(bytes);
      }),
      { numRuns: 4000 },
    );
  });

  it("reads nothing outside of an image with wrong words", () => {
    const word = fc.oneof(
      fc.constantFrom(0, 1, 7, 0xfff, 0x1000, 0x7ffff000, 0x80000000, 0xfffff000, 0xffffffff, BASE),
      fc.nat(0x2000).map((distance) => BASE + distance),
    );
    fc.assert(
      fc.property(fc.constantFrom("program", "library"), fc.nat(375), word, (which, index, value) => {
        const bytes = (which === "program" ? program : library).slice();
        new DataView(bytes.buffer).setUint32(index * 4, value, true);
        check(bytes);
      }),
      { numRuns: 4000 },
    );
  });
});
