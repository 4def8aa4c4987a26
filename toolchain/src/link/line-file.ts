/**
 * `lines/NAME` of the boot archive: the `.debug_line` section of image NAME as it is, for the kernel, which says where in the source a
 * fault happened (os/kernel/loader/lines.ts).
 */
const SECTION_HEADER_SIZE = 40;

/** Contents of section `name` of a 32-bit little-endian ELF file; undefined if it has none. */
function sectionOf(image: Uint8Array, name: string): Uint8Array | undefined {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const table = view.getUint32(32, true);
  const header = (index: number) => table + index * SECTION_HEADER_SIZE;
  const contents = (index: number) => {
    const offset = view.getUint32(header(index) + 16, true);
    return image.subarray(offset, offset + view.getUint32(header(index) + 20, true));
  };
  const names = contents(view.getUint16(50, true));
  for (let index = 1; index < view.getUint16(48, true); index++) {
    const start = view.getUint32(header(index), true);
    const end = names.indexOf(0, start);
    if (new TextDecoder().decode(names.subarray(start, end)) === name) return contents(index);
  }
  return undefined;
}

/** The image's file, or none: a program so small that no instruction of it belongs to a line has no table. */
export function lineFiles(name: string, image: Uint8Array): { name: string; contents: Uint8Array }[] {
  const lines = sectionOf(image, ".debug_line");
  return lines ? [{ name: `lines/${name}`, contents: lines }] : [];
}
