/** Removes instructions and phis whose values nobody needs: everything that no effect and no terminator reaches. */
import { hasEffect, type Instruction, type Routine, terminatorOperands } from "./instructions.ts";

export function removeDeadCode(routine: Routine): void {
  const live = new Set<Instruction>();
  const work: Instruction[] = [];
  const mark = (i: Instruction) => {
    if (live.has(i)) return;
    live.add(i);
    work.push(i);
  };
  for (const block of routine.blocks) {
    for (const i of block.instructions) if (hasEffect(i)) mark(i);
    for (const i of terminatorOperands(block.terminator)) mark(i);
  }
  while (work.length > 0) for (const operand of work.pop()!.operands) mark(operand);
  for (const block of routine.blocks) {
    const phis = block.phis.filter((i) => live.has(i));
    block.phis.splice(0, block.phis.length, ...phis);
    block.instructions = block.instructions.filter((i) => live.has(i));
  }
}
