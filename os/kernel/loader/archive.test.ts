/** The boot archive's reader, run in Node on what the archive's writer makes, whole and spoiled. */

import { beforeAll, describe, expect, it } from "vitest";
import {
  compileKernel,
  type RunningGuest,
  readRepositoryFile,
  runGuest,
} from "../../../toolchain/src/front/testing.ts";
import { writeArchive } from "../../../toolchain/src/link/archive.ts";

const main = `
import { findFile, fileContents, fileIntact, openArchive, crc32 } from "./loader/archive";
export { crc32 };
export function open(from: usize, to: usize): bool { return openArchive(from, to); }
export function sizeOf(folder: usize, name: usize): i32 {
  const entry = findFile(folder, name);
  return entry ? entry.size : -1;
}
export function contents(folder: usize, name: usize): usize { return fileContents(findFile(folder, name)!); }
export function intact(folder: usize, name: usize): bool { return fileIntact(findFile(folder, name)!); }
`;
const consoleStub = `
export let messages: u32 = 0;
export function print(message: usize): void { messages++; }
export function printNumber(value: u32): void {}
`;
const realFiles = ["os/kernel/loader/archive.ts", "os/kernel/objects/texts.ts"];
const PLACE = 0x100000;

let guest: RunningGuest;
const archive = writeArchive([
  { name: "bin/hello", contents: Uint8Array.of(1, 2, 3) },
  { name: "bin/hell", contents: new Uint8Array(5000).fill(7) },
  { name: "etc/system", contents: new TextEncoder().encode("hello kernel\n") },
]);

function text(value: string, address: number): number {
  new Uint8Array(guest.memory.buffer).set(new TextEncoder().encode(`${value}\0`), address);
  return address;
}

function open(bytes: Uint8Array): boolean {
  new Uint8Array(guest.memory.buffer).fill(0, PLACE, PLACE + 0x40000);
  new Uint8Array(guest.memory.buffer).set(bytes, PLACE);
  return guest.exports.open!(PLACE, PLACE + bytes.length) === 1;
}

const sizeOf = (folder: string, name: string) =>
  guest.exports.sizeOf!(text(folder, 0x60000), text(name, 0x60100));

beforeAll(async () => {
  const files = Object.fromEntries(realFiles.map((path) => [path, readRepositoryFile(path)!]));
  guest = await runGuest(await compileKernel(main, { ...files, "os/kernel/console.ts": consoleStub }));
});

describe("a good archive", () => {
  it("finds files by folder and whole name", () => {
    expect(open(archive)).toBe(true);
    expect(sizeOf("bin/", "hello")).toBe(3);
    expect(sizeOf("bin/", "hell")).toBe(5000);
    expect(sizeOf("etc/", "system")).toBe(13);
    for (const name of ["", "hel", "helloo", "system"]) expect(sizeOf("bin/", name)).toBe(-1);
  });

  it("finds contents at page boundaries, and knows when they are damaged", () => {
    expect(open(archive)).toBe(true);
    const folder = text("bin/", 0x60000);
    const name = text("hell", 0x60100);
    const address = guest.exports.contents!(folder, name);
    expect(address % 4096).toBe(0);
    expect(guest.memory.getUint8(address + 4999)).toBe(7);
    expect(guest.exports.intact!(folder, name)).toBe(1);
    guest.memory.setUint8(address + 4999, 8);
    expect(guest.exports.intact!(folder, name)).toBe(0);
  });
});

describe("a damaged archive", () => {
  const damages: [string, (bytes: Uint8Array) => Uint8Array][] = [
    ["empty", () => new Uint8Array()],
    ["cut in the header", (bytes) => bytes.slice(0, 63)],
    ["cut in the contents", (bytes) => bytes.slice(0, bytes.length - 4096)],
    ["another magic", (bytes) => bytes.with(3, 0x20)],
    ["another version", (bytes) => bytes.with(8, 2)],
    ["more entries than fit", (bytes) => bytes.with(15, 0xff)],
    ["a wrong byte in the table", (bytes) => bytes.with(70, 0x20)],
    ["a wrong checksum", (bytes) => bytes.with(20, bytes[20]! ^ 1)],
    ["a size beyond the module", (bytes) => bytes.with(18, 0xff)],
  ];
  it.each(damages)("is refused: %s", (_, damage) => {
    expect(open(damage(archive.slice()))).toBe(false);
  });

  it("is refused when a table with a good checksum points outside", () => {
    for (const [offset, value] of [
      [48, 0xfffff000],
      [48, 0x40],
      [48, 1],
      [52, 0xffffffff],
      [0, 0],
    ] as const) {
      const bytes = archive.slice();
      const view = new DataView(bytes.buffer);
      view.setUint32(64 + offset, value, true);
      open(archive);
      new Uint8Array(guest.memory.buffer).set(bytes.subarray(64, 64 + 3 * 64), 0x70000);
      view.setUint32(20, guest.exports.crc32!(0x70000, 3 * 64) >>> 0, true);
      expect(open(bytes)).toBe(false);
    }
  });
});
