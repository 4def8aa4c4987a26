/**
 * Where a test program keeps things. The addresses are the same in a 32-bit Linux process and in the bare-metal harness,
 * so that one set of cases, its pointers included, runs on both.
 *
 *   0x00100000 harness (bare metal: supervisor pages)
 *   0x00400000 code, one slot a case, filled with INT3 around the instruction      user, writable
 *   0x007ff000 not mapped
 *   0x00800000 two pages of data; window A lies across their border, window B at their end
 *   0x00802000 not mapped
 *   0x00803000 one page, read-only
 *   0x01000000 case records     0x01800000 result records      (bare metal: supervisor pages)
 *
 *   case record    +0 EDI ESI EBP ESP EBX EDX ECX EAX EIP EFLAGS, +40 descriptors, +64 window A, +576 window B
 *   result record  +0 Linux's sigcontext (22 words, up to CR2), +88 window A, +600 window B
 */

export const HARNESS = 0x0010_0000;
export const CODE = 0x0040_0000;
export const SLOT_SIZE = 64;
/** Offset of the instruction under test in its slot: backward branches have room before it. */
export const SLOT_ENTRY = 20;
export const DATA = 0x0080_0000;
export const DATA_END = 0x0080_2000;
export const READ_ONLY = 0x0080_3000;
export const CASES = 0x0100_0000;
export const RESULTS = 0x0180_0000;

export const WINDOW_A = DATA + 0x1000 - 256;
export const WINDOW_A_SIZE = 512;
export const WINDOW_B = DATA_END - 64;
export const WINDOW_B_SIZE = 64;
export const MEMORY_SIZE = WINDOW_A_SIZE + WINDOW_B_SIZE;

export const CASE_SIZE = 64 + MEMORY_SIZE;
export const RESULT_SIZE = 88 + MEMORY_SIZE + 8;

/** Selectors of a 32-bit process on 64-bit Linux; the bare-metal harness builds its GDT to match. */
export const USER_CODE = 0x23;
export const USER_DATA = 0x2b;

/** Where a bare harness that has them keeps a case's own descriptors in its GDT. */
export const CASE_SELECTORS = 0x30;
export const CASE_DESCRIPTORS = 3;

/** Index in the case's memory image of an address, or -1 outside the windows. */
export function memoryIndex(address: number): number {
  if (address >= WINDOW_A && address < WINDOW_A + WINDOW_A_SIZE) return address - WINDOW_A;
  if (address >= WINDOW_B && address < WINDOW_B + WINDOW_B_SIZE) return WINDOW_A_SIZE + address - WINDOW_B;
  return -1;
}
