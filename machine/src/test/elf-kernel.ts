/**
 * Turns assembled code into a bootable kernel: one ELF32 segment at 1 MB that starts with the multiboot header. Symbols must all
 * be the code's own.
 */
import type { AssembledCode } from "../i386/assembly.ts";

export const KERNEL_BASE = 0x100000;
const FILE_HEADER = 52;
const PROGRAM_HEADER = 32;
const TEXT_OFFSET = 0x1000;
const MULTIBOOT_HEADER = 16;

export interface ElfKernelOptions {
  /** Symbol of the first instruction. */
  readonly entry: string;
  /** Bytes of zeroed memory after the code. */
  readonly zeroed?: number;
  /** Link (virtual) address of the segment; it is always loaded at 1 MB. */
  readonly virtualBase?: number;
  readonly multibootFlags?: number;
}

export function buildElfKernel(code: AssembledCode, options: ElfKernelOptions): Uint8Array {
  const virtualBase = options.virtualBase ?? KERNEL_BASE;
  const addressOf = (symbol: string): number => {
    const offset = code.symbols.get(symbol);
    if (offset === undefined) throw new Error(`the test kernel has no symbol ${symbol}`);
    return virtualBase + MULTIBOOT_HEADER + offset;
  };
  const size = MULTIBOOT_HEADER + code.text.length;
  const file = new Uint8Array(TEXT_OFFSET + size);
  const view = new DataView(file.buffer);
  file.set(code.text, TEXT_OFFSET + MULTIBOOT_HEADER);
  for (const fixup of code.fixups) {
    if (fixup.kind !== "absolute32")
      throw new Error(`the test kernel calls a foreign symbol ${fixup.symbol}`);
    view.setUint32(
      TEXT_OFFSET + MULTIBOOT_HEADER + fixup.offset,
      (addressOf(fixup.symbol) + fixup.addend) >>> 0,
      true,
    );
  }

  const flags = options.multibootFlags ?? 0;
  view.setUint32(TEXT_OFFSET, 0x1badb002, true);
  view.setUint32(TEXT_OFFSET + 4, flags, true);
  view.setUint32(TEXT_OFFSET + 8, -(0x1badb002 + flags), true);

  file.set([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1]);
  view.setUint16(16, 2, true); // executable
  view.setUint16(18, 3, true); // i386
  view.setUint32(20, 1, true);
  view.setUint32(24, addressOf(options.entry), true);
  view.setUint32(28, FILE_HEADER, true);
  view.setUint16(40, FILE_HEADER, true);
  view.setUint16(42, PROGRAM_HEADER, true);
  view.setUint16(44, 1, true);
  view.setUint16(46, 40, true); // no sections, but v86 wants their size
  const header = [1, TEXT_OFFSET, virtualBase, KERNEL_BASE, size, size + (options.zeroed ?? 0), 7, 0x1000];
  header.forEach((word, i) => {
    view.setUint32(FILE_HEADER + 4 * i, word, true);
  });
  return file;
}
