/** A statically linked ELF32 executable from segments: enough for Linux's execve and for multiboot loaders. */

export interface ElfSegment {
  readonly address: number;
  readonly bytes: Uint8Array;
  /** Size in memory; bytes beyond `bytes` are zero. */
  readonly size: number;
  readonly writable: boolean;
  readonly executable: boolean;
}

const PAGE = 4096;

export function staticElf(entry: number, segments: readonly ElfSegment[]): Uint8Array {
  const offsets: number[] = [];
  let end = PAGE;
  for (const segment of segments) {
    offsets.push(end);
    end += Math.ceil(segment.bytes.length / PAGE) * PAGE;
  }
  const file = new Uint8Array(end);
  const view = new DataView(file.buffer);
  // Identification: 32 bits, little-endian; executable for i386, version 1.
  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true);
  view.setUint16(18, 3, true);
  view.setUint32(20, 1, true);
  view.setUint32(24, entry, true);
  view.setUint32(28, 52, true);
  view.setUint16(40, 52, true);
  view.setUint16(42, 32, true);
  view.setUint16(44, segments.length, true);
  segments.forEach((segment, i) => {
    const flags = 4 | (segment.writable ? 2 : 0) | (segment.executable ? 1 : 0);
    const header = [
      1,
      offsets[i]!,
      segment.address,
      segment.address,
      segment.bytes.length,
      segment.size,
      flags,
      PAGE,
    ];
    header.forEach((value, field) => {
      view.setUint32(52 + i * 32 + field * 4, value, true);
    });
    file.set(segment.bytes, offsets[i]!);
  });
  return file;
}
