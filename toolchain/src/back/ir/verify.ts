/** Checks the contract of `instructions.ts` on a routine; tests run it after every pass. */
import { dominators } from "./flow.ts";
import {
  type Block,
  type Instruction,
  type Routine,
  successors,
  terminatorOperands,
} from "./instructions.ts";
import { printInstruction, printRoutine } from "./print.ts";

export function verify(routine: Routine): void {
  const problems: string[] = [];
  const { blocks } = routine;
  const known = new Set(blocks);
  const index = new Map(blocks.map((block, n) => [block, n]));
  const idom = dominators(routine);
  const place = new Map<Instruction, { block: Block; at: number }>();
  for (const block of blocks) {
    for (const i of block.phis) place.set(i, { block, at: -1 });
    for (const [at, i] of block.instructions.entries()) {
      if (place.has(i)) problems.push(`%${i.id} stands twice`);
      place.set(i, { block, at });
    }
  }
  const dominates = (a: Block, b: Block): boolean => {
    let block = b;
    while (index.get(block)! > index.get(a)!) block = idom.get(block)!;
    return block === a;
  };
  const checkUse = (value: Instruction, block: Block, at: number, user: string) => {
    const definition = place.get(value);
    if (!definition) problems.push(`${user} uses %${value.id} (${value.operation}), which stands nowhere`);
    else if (definition.block === block ? definition.at >= at : !dominates(definition.block, block)) {
      problems.push(`${user} uses %${value.id} before its definition`);
    }
    if (value.type === "void") problems.push(`${user} uses %${value.id}, which has no value`);
  };
  if (blocks[0].predecessors.length > 0) problems.push("the entry has predecessors");
  for (const block of blocks) {
    const next = successors(block);
    for (const target of next) {
      if (!known.has(target))
        problems.push(`b${block.id} continues at b${target.id}, which is not in the routine`);
      const edges = target.predecessors.filter((p) => p === block).length;
      if (edges !== 1) problems.push(`b${target.id} has ${edges} edges from b${block.id}`);
    }
    for (const p of block.predecessors) {
      if (!known.has(p) || !successors(p).includes(block))
        problems.push(`b${block.id} is not after b${p.id}`);
    }
    for (const phi of block.phis) {
      if (phi.operation !== "phi" || phi.block !== block)
        problems.push(`%${phi.id} is no phi of b${block.id}`);
      if (phi.operands.length !== block.predecessors.length) problems.push(`%${phi.id} lacks operands`);
      phi.operands.forEach((value, n) => {
        const from = block.predecessors[n];
        if (from) checkUse(value, from, Number.POSITIVE_INFINITY, `%${phi.id}`);
        if (value.type !== phi.type) problems.push(`%${phi.id} merges ${value.type} into ${phi.type}`);
      });
    }
    for (const [at, i] of block.instructions.entries()) {
      if (i.block !== block)
        problems.push(`%${i.id} thinks that it stands in b${i.block.id}, not b${block.id}`);
      if (i.replacement) problems.push(`%${i.id} was replaced`);
      for (const value of i.operands) checkUse(value, block, at, printInstruction(i));
    }
    for (const value of terminatorOperands(block.terminator)) {
      checkUse(value, block, Number.POSITIVE_INFINITY, `the end of b${block.id}`);
    }
  }
  if (problems.length > 0) throw new Error(`${problems.join("\n")}\n${printRoutine(routine)}`);
}
