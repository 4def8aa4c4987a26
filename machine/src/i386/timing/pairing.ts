/**
 * Which two instructions the Pentium issues together, and what the pair costs. Source: Pentium Processor Family Developer's Manual,
 * volume 3, appendix F (pairing rules) and the pairing column of the instruction table; extra clocks of pairs that both go to
 * memory: the same appendix.
 *
 * Two instructions pair when the first may go into the U pipe and the second into the V pipe, the second reads and writes no register
 * that the first writes (flags set for a conditional branch, and the stack pointer of PUSH, POP and CALL, are no such registers), neither has
 * both a displacement and an immediate, and the second has no prefix.
 *
 * Not modelled: bank conflicts of two data accesses, the first run of code after a line fill (which never pairs), FXCH in the V pipe.
 */

import type { Instruction } from "../instruction.ts";
import { Field, Prefix, Slot } from "../layout.ts";

const { REG, RM, BASE, INDEX, SIZE, PREFIX } = Field;

/**
 * What pairing needs to know of a decoded instruction, in one word: registers that it reads (bits 0 to 7) and writes (8 to 15) as sets, bit n
 * being register n of the machine's numbering; clocks (24 and up); and these bits.
 */
const READS = 0xff;
const WRITES_SHIFT = 8;
/** Uses and changes the stack pointer as PUSH does. */
const STACK = 1 << 16;
const DISPLACEMENT_AND_IMMEDIATE = 1 << 17;
const PREFIXED = 1 << 18;
/** May be the first, the second of a pair. */
export const U = 1 << 19;
export const V = 1 << 20;
const CLOCKS_SHIFT = 24;

const STACK_POINTER = 1 << Slot.ESP;

/** The set of one register, given its index in units of its size. */
function registerSet(index: number, size: number): number {
  return index < 0 ? 0 : 1 << (size === 4 ? index : size === 2 ? index >> 1 : index >> 2);
}

const readsTarget = new Set(["cmp", "test", "push", "jmp", "call"]);
const writesOnly = new Set(["mov", "lea", "pop"]);
const stackUsers = new Set(["push", "pop", "call", "ret"]);
const noRegisters = new Set(["jcc", "nop"]);

/** The word of the record at `p`, which was decoded by `row`. */
export function issueOf(row: Instruction, pool: Int32Array, p: number, prefixed: boolean): number {
  const paired = row.pairing;
  const size = pool[p + SIZE]!;
  const prefix = pool[p + PREFIX]!;
  const form = (prefix >> Prefix.FORM_SHIFT) & 3;
  const modrm = (prefix >> Prefix.MODRM_SHIFT) & 0xff;
  const memory = row.memoryForm && modrm < 0xc0;
  const absolute = row.operands.includes("Ob") || row.operands.includes("Ov");
  const mod = modrm >> 6;
  const hasDisplacement = memory && (mod === 1 || mod === 2 || (mod === 0 && (modrm & 7) === 5));

  let address = 0;
  if (memory) {
    for (const slot of [pool[p + BASE]!, pool[p + INDEX]!]) if (slot < 8) address |= 1 << slot;
  }
  const rm = memory || absolute ? 0 : registerSet(pool[p + RM]!, size);
  const hasReg = row.operands.some((operand) => operand.startsWith("G"));
  const reg = hasReg || absolute ? registerSet(pool[p + REG]!, size) : 0;
  // Form 1 has the register as its target, the others the ModR/M operand.
  const target = form === 1 ? reg : rm;
  const source = form === 1 ? rm : form === 0 ? reg : 0;
  let reads = address | source;
  let writes = 0;
  if (!noRegisters.has(row.operation)) {
    if (readsTarget.has(row.operation)) reads |= target;
    else {
      writes |= target;
      if (!writesOnly.has(row.operation)) reads |= target;
    }
  }
  const clocks = memory ? row.clocks.memory : row.clocks.register;
  return (
    reads |
    (writes << WRITES_SHIFT) |
    (stackUsers.has(row.operation) ? STACK : 0) |
    (hasDisplacement && row.immediates.length > 0 && !row.transfersControl ? DISPLACEMENT_AND_IMMEDIATE : 0) |
    (prefixed ? PREFIXED : 0) |
    (paired === "UV" || paired === "PU" ? U : 0) |
    (paired === "UV" || paired === "PV" ? V : 0) |
    (Math.min(clocks, 0x7f) << CLOCKS_SHIFT)
  );
}

/** Clocks that the second instruction adds to the first when both are issued together, or -1 when they are not. */
export function pairedClocks(first: number, second: number): number {
  if ((first & U) === 0 || (second & V) === 0 || (second & PREFIXED) !== 0) return -1;
  if (((first | second) & DISPLACEMENT_AND_IMMEDIATE) !== 0) return -1;
  const written = (first >> WRITES_SHIFT) & READS;
  const used = (second | (second >> WRITES_SHIFT)) & READS;
  if ((written & used) !== 0) return -1;
  if ((second & STACK) !== 0 && (written & STACK_POINTER) !== 0) return -1;
  if ((first & STACK) !== 0 && (used & STACK_POINTER) !== 0) return -1;
  const firstClocks = first >> CLOCKS_SHIFT;
  const secondClocks = second >> CLOCKS_SHIFT;
  // A read-modify-write (3 clocks) in the U pipe lets the V pipe overlap with its last clock only.
  return firstClocks >= 3 ? secondClocks - 1 : Math.max(0, secondClocks - firstClocks);
}
