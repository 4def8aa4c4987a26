import { crc32 as zlibCrc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BuildError } from "../contract.ts";
import { crc32, readArchive, writeArchive } from "./archive.ts";

const files = [
  { name: "etc/system", contents: new TextEncoder().encode("console process\n") },
  { name: "bin/hello", contents: Uint8Array.from({ length: 5000 }, (_, index) => index) },
  { name: "lib/empty", contents: new Uint8Array() },
];

describe("the boot archive", () => {
  it("computes the CRC-32 of the standard check string", () => {
    expect(crc32(new TextEncoder().encode("123456789"))).toBe(0xcbf43926);
    if (zlibCrc32) expect(crc32(files[1]!.contents)).toBe(zlibCrc32(files[1]!.contents));
  });

  it("gives back what was written, at page boundaries", () => {
    const name = fc.stringMatching(/^[a-z]{1,10}\/[a-z0-9]{1,20}$/);
    const file = fc.record({ name, contents: fc.uint8Array({ maxLength: 9000 }) });
    fc.assert(
      fc.property(fc.uniqueArray(file, { selector: (each) => each.name, maxLength: 80 }), (written) => {
        const bytes = writeArchive(written);
        expect(bytes.length % 4096).toBe(0);
        expect(readArchive(bytes)).toEqual(written);
      }),
      { numRuns: 30 },
    );
  });

  it("has the layout that the kernel reads", () => {
    const bytes = writeArchive(files);
    const view = new DataView(bytes.buffer);
    expect(new TextDecoder().decode(bytes.subarray(0, 8))).toBe("RIALTOAR");
    expect([8, 12, 16].map((offset) => view.getUint32(offset, true))).toEqual([1, 3, bytes.length]);
    expect(view.getUint32(20, true)).toBe(crc32(bytes.subarray(64, 64 + 3 * 64)));
    expect(view.getUint32(64 + 64 + 48, true)).toBe(8192);
    expect(view.getUint32(64 + 64 + 52, true)).toBe(5000);
  });

  it("refuses names that do not fit or repeat", () => {
    expect(() => writeArchive([{ name: "x".repeat(48), contents: new Uint8Array() }])).toThrow(
      /1 to 47 bytes/,
    );
    expect(() => writeArchive([files[0]!, files[0]!])).toThrow(/two files/);
  });

  it("reports damage of any byte that matters", () => {
    const bytes = writeArchive(files);
    expect(() => readArchive(bytes.subarray(0, 40))).toThrow(BuildError);
    expect(() => readArchive(bytes.subarray(0, bytes.length - 4096))).toThrow(/the file has/);
    const meaningful = [0, 8, 12, 16, 20, 64, 64 + 48, 64 + 56, 4096, 8192, 8192 + 4999];
    for (const offset of meaningful) {
      const damaged = bytes.slice();
      damaged[offset]! ^= 0x40;
      expect(() => readArchive(damaged), `byte ${offset}`).toThrow(/damaged boot archive/);
    }
  });
});
