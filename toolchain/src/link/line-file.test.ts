import { describe, expect, it } from "vitest";
import { lineFiles } from "./line-file.ts";

/** An ELF file of nothing but a section table: names, and one more section. */
function elfWith(name: string, contents: number[]): Uint8Array {
  const strings = new TextEncoder().encode(`\0.shstrtab\0${name}\0`);
  const image = new Uint8Array(52 + strings.length + contents.length + 120);
  const view = new DataView(image.buffer);
  const table = 52 + strings.length + contents.length;
  image.set(strings, 52);
  image.set(contents, 52 + strings.length);
  view.setUint32(32, table, true);
  view.setUint16(48, 3, true);
  view.setUint16(50, 1, true);
  const section = (index: number, nameAt: number, offset: number, size: number) => {
    view.setUint32(table + index * 40, nameAt, true);
    view.setUint32(table + index * 40 + 16, offset, true);
    view.setUint32(table + index * 40 + 20, size, true);
  };
  section(1, 1, 52, strings.length);
  section(2, 11, 52 + strings.length, contents.length);
  return image;
}

describe("a line file", () => {
  it("is the image's .debug_line section", () => {
    expect(lineFiles("hello", elfWith(".debug_line", [1, 2, 3]))).toEqual([
      { name: "lines/hello", contents: Uint8Array.of(1, 2, 3) },
    ]);
  });

  it("is missing where the image has none", () => {
    expect(lineFiles("hello", elfWith(".debug_info", [1]))).toEqual([]);
  });
});
