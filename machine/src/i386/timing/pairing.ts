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

import * as Timing from "../../../engine/layout/timing.ts";
import type { Instruction } from "../instruction.ts";
import { Field, Prefix } from "../layout.ts";

const { REG, RM, BASE, INDEX, SIZE, PREFIX } = Field;
const { WRITES_SHIFT, STACK, DISPLACEMENT_AND_IMMEDIATE, PREFIXED, U, V, CLOCKS_SHIFT } = Timing;

/** The set of one register, given its index in units of its size. */
function registerSet(index: number, size: number): number {
  return index < 0 ? 0 : 1 << (size === 4 ? index : size === 2 ? index >> 1 : index >> 2);
}

const readsTarget = new Set(["cmp", "test", "push", "jmp", "call"]);
const writesOnly = new Set(["mov", "lea", "pop"]);
const stackUsers = new Set(["push", "pop", "call", "ret"]);
const noRegisters = new Set(["jcc", "nop"]);

/** What pairing (`pairedClocks` of engine/timing.ts) needs to know of the record at `p`, which was decoded by `row`: an issue word, see layout/timing.ts. */
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
