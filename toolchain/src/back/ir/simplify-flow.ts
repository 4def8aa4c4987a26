/**
 * Makes the graph smaller: branches on constants become jumps, a block joins its only predecessor when it is that one's
 * only successor, and a predecessor that already knows how a block's branch on a phi will go jumps past it (the short
 * circuit of && and ||); one that brings a comparison branches itself.
 */
import { orderBlocks, removePredecessor, removeTrivialPhis, retarget } from "./flow.ts";
import {
  applyReplacements,
  type Block,
  type Instruction,
  isComparison,
  type Routine,
  successors,
} from "./instructions.ts";

export function simplifyFlow(routine: Routine): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of routine.blocks) if (foldTerminator(block)) changed = true;
    if (changed) orderBlocks(routine, routine.blocks[0]);
    const uses = countUses(routine);
    for (const block of routine.blocks) if (threadBranch(block, uses)) changed = true;
    if (changed) {
      orderBlocks(routine, routine.blocks[0]);
      removeTrivialPhis(routine);
      applyReplacements(routine);
    }
    if (mergeChains(routine)) changed = true;
  }
}

function foldTerminator(block: Block): boolean {
  const t = block.terminator;
  let target: Block;
  if (t.kind === "branch" && t.condition.operation === "constant") {
    target = t.condition.constant !== 0 ? t.taken : t.otherwise;
  } else if (t.kind === "switch" && t.index.operation === "constant") {
    target = t.targets[(t.index.constant as number) >>> 0] ?? t.fallback;
  } else return false;
  for (const other of successors(block)) {
    if (other !== target) removePredecessor(other, other.predecessors.indexOf(block));
  }
  block.terminator = { kind: "jump", target };
  return true;
}

function countUses(routine: Routine): Map<Instruction, number> {
  const uses = new Map<Instruction, number>();
  const count = (i: Instruction) => uses.set(i, (uses.get(i) ?? 0) + 1);
  for (const block of routine.blocks) {
    for (const i of block.phis) i.operands.forEach(count);
    for (const i of block.instructions) i.operands.forEach(count);
    const t = block.terminator;
    if (t.kind === "branch") count(t.condition);
    else if (t.kind === "switch") count(t.index);
    else if (t.kind === "return") t.values.forEach(count);
  }
  return uses;
}

/** Sends predecessors that bring a constant to the branch of `block` straight to its target. */
function threadBranch(block: Block, uses: ReadonlyMap<Instruction, number>): boolean {
  const t = block.terminator;
  if (t.kind !== "branch" || block.phis.length !== 1) return false;
  const [phi] = block.phis;
  if (uses.get(phi) !== 1) return false;
  // The branch tests the phi, or the phi compared with a zero that stands beside it.
  let inverted = false;
  const code = block.instructions.filter((i) => i.operation !== "constant");
  if (t.condition !== phi) {
    const [test] = code;
    if (code.length !== 1 || test !== t.condition || uses.get(test) !== 1 || test.operands[0] !== phi)
      return false;
    if (
      test.operation !== "eq" ||
      test.operands[1].operation !== "constant" ||
      test.operands[1].constant !== 0
    ) {
      return false;
    }
    inverted = true;
  } else if (code.length > 0) return false;
  let changed = false;
  for (let n = block.predecessors.length - 1; n >= 0; n--) {
    const value = phi.operands[n];
    const from = block.predecessors[n];
    if (from === block) continue;
    if (value.operation !== "constant") {
      if (repeatBranch(block, n, inverted, uses)) changed = true;
      continue;
    }
    const target = (value.constant !== 0) !== inverted ? t.taken : t.otherwise;
    if (target === block || target.predecessors.includes(from)) continue;
    // Constants of this block must not be used where it no longer dominates.
    if (block.instructions.some((i) => i.operation === "constant" && (uses.get(i) ?? 0) > (inverted ? 1 : 0)))
      continue;
    const edge = target.predecessors.indexOf(block);
    target.predecessors.push(from);
    for (const p of target.phis) p.operands.push(p.operands[edge]);
    retarget(from, block, target);
    removePredecessor(block, n);
    changed = true;
  }
  return changed;
}

/** A predecessor that only jumps here with a comparison of its own takes the branch itself. */
function repeatBranch(
  block: Block,
  edge: number,
  inverted: boolean,
  uses: ReadonlyMap<Instruction, number>,
): boolean {
  const t = block.terminator;
  const value = block.phis[0].operands[edge];
  const from = block.predecessors[edge];
  if (t.kind !== "branch" || from.terminator.kind !== "jump") return false;
  const boolean = isComparison(value.operation) || value.operation === "and" || value.operation === "or";
  if (!boolean || value.block !== from || uses.get(value) !== 1) return false;
  const [taken, otherwise] = inverted ? [t.otherwise, t.taken] : [t.taken, t.otherwise];
  for (const target of [taken, otherwise]) {
    if (target === block || target.predecessors.includes(from)) return false;
  }
  if (block.instructions.some((i) => i.operation === "constant" && (uses.get(i) ?? 0) > (inverted ? 1 : 0))) {
    return false;
  }
  for (const target of [taken, otherwise]) {
    const old = target.predecessors.indexOf(block);
    target.predecessors.push(from);
    for (const p of target.phis) p.operands.push(p.operands[old]);
  }
  from.terminator = { kind: "branch", condition: value, taken, otherwise };
  removePredecessor(block, edge);
  return true;
}

function mergeChains(routine: Routine): boolean {
  const gone = new Set<Block>();
  for (const block of routine.blocks) {
    if (gone.has(block)) continue;
    for (;;) {
      const t = block.terminator;
      if (t.kind !== "jump") break;
      const next = t.target;
      if (next.predecessors.length !== 1 || next === block || next === routine.blocks[0]) break;
      for (const phi of next.phis) phi.replacement = phi.operands[0];
      for (const i of next.instructions) {
        i.block = block;
        block.instructions.push(i);
      }
      block.terminator = next.terminator;
      block.terminatorPosition = next.terminatorPosition;
      for (const after of successors(next)) after.predecessors[after.predecessors.indexOf(next)] = block;
      gone.add(next);
    }
  }
  if (gone.size === 0) return false;
  // Replacements of phis in blocks that are gone still have to reach their users.
  routine.blocks = routine.blocks.filter((block) => !gone.has(block));
  applyReplacements(routine);
  orderBlocks(routine, routine.blocks[0]);
  return true;
}
