/**
 * A branch on the conjunction or disjunction of two conditions becomes two branches: Binaryen makes `and`, `or` and
 * `select` of what the program wrote as && and ||, and a condition that goes to a branch needs no register.
 */
import { newBlock } from "./build.ts";
import { orderBlocks } from "./flow.ts";
import {
  applyReplacements,
  type Block,
  hasEffect,
  type Instruction,
  isComparison,
  type Routine,
  terminatorOperands,
  writesMemory,
} from "./instructions.ts";

export function splitConditions(routine: Routine): void {
  const uses = new Map<Instruction, number>();
  const count = (i: Instruction) => uses.set(i, (uses.get(i) ?? 0) + 1);
  for (const block of routine.blocks) {
    for (const i of block.phis) i.operands.forEach(count);
    for (const i of block.instructions) i.operands.forEach(count);
    terminatorOperands(block.terminator).forEach(count);
  }
  const work = routine.blocks.slice();
  let changed = false;
  for (let block = work.pop(); block; block = work.pop()) {
    const second = split(routine, block, uses);
    if (!second) continue;
    changed = true;
    work.push(block, second);
  }
  if (!changed) return;
  orderBlocks(routine, routine.blocks[0]);
  applyReplacements(routine);
}

interface Pair {
  readonly first: Instruction;
  readonly second: Instruction;
  /** The first counts when it is zero. */
  readonly firstInverted: boolean;
  /** Both must hold; otherwise one is enough. */
  readonly both: boolean;
  /** The pair decides the opposite branch. */
  readonly inverted: boolean;
}

function isBoolean(i: Instruction): boolean {
  if (isComparison(i.operation)) return true;
  if (i.operation === "and" || i.operation === "or") return i.operands.every(isBoolean);
  return i.operation === "constant" && (i.constant === 0 || i.constant === 1);
}

function isNumber(i: Instruction, zero: boolean): boolean {
  return i.operation === "constant" && (i.constant === 0) === zero;
}

function pairOf(condition: Instruction): Pair | undefined {
  if (condition.operation === "eq" && isNumber(condition.operands[1], true)) {
    const inner = condition.operands[0].type === "i32" ? pairOf(condition.operands[0]) : undefined;
    return inner && { ...inner, inverted: !inner.inverted };
  }
  const [x, y, z] = condition.operands;
  if ((condition.operation === "and" || condition.operation === "or") && isBoolean(x) && isBoolean(y)) {
    return {
      first: x,
      second: y,
      firstInverted: false,
      both: condition.operation === "and",
      inverted: false,
    };
  }
  if (condition.operation !== "select" || condition.type !== "i32") return undefined;
  const plain = { first: x, firstInverted: false, inverted: false };
  if (isNumber(z, true)) return { ...plain, second: y, both: true };
  if (isNumber(y, false)) return { ...plain, second: z, both: false };
  if (isNumber(y, true)) return { ...plain, second: z, both: true, firstInverted: true };
  if (isNumber(z, false)) return { ...plain, second: y, both: false, firstInverted: true };
  return undefined;
}

function split(routine: Routine, block: Block, uses: Map<Instruction, number>): Block | undefined {
  const t = block.terminator;
  if (t.kind !== "branch" || uses.get(t.condition) !== 1 || t.condition.block !== block) return undefined;
  const pair = pairOf(t.condition);
  if (!pair) return undefined;
  const inner = t.condition.operation === "eq" ? t.condition.operands[0] : t.condition;
  if (inner !== t.condition && (uses.get(inner) !== 1 || inner.block !== block)) return undefined;
  const [taken, otherwise] = pair.inverted ? [t.otherwise, t.taken] : [t.taken, t.otherwise];
  const middle = newBlock(routine);
  middle.loopDepth = block.loopDepth;
  middle.terminatorPosition = block.terminatorPosition;
  // Both blocks now continue at the target that one condition decides alone.
  const shared = pair.both ? otherwise : taken;
  const single = pair.both ? taken : otherwise;
  const edge = shared.predecessors.indexOf(block);
  shared.predecessors.push(middle);
  for (const phi of shared.phis) {
    phi.operands.push(phi.operands[edge]);
    uses.set(phi.operands[edge], (uses.get(phi.operands[edge]) ?? 0) + 1);
  }
  single.predecessors[single.predecessors.indexOf(block)] = middle;
  middle.predecessors.push(block);
  middle.terminator = { kind: "branch", condition: pair.second, taken, otherwise };
  const goesOn = pair.both !== pair.firstInverted;
  block.terminator = goesOn
    ? { kind: "branch", condition: pair.first, taken: middle, otherwise: shared }
    : { kind: "branch", condition: pair.first, taken: shared, otherwise: middle };
  const gone = new Set([t.condition, inner]);
  block.instructions = block.instructions.filter((i) => !gone.has(i));
  sink(pair.second, block, middle, uses);
  return middle;
}

/** Moves a value that only `to` needs there, with what only it needs. */
function sink(value: Instruction, from: Block, to: Block, uses: ReadonlyMap<Instruction, number>): void {
  if (value.block !== from || value.operation === "phi" || uses.get(value) !== 1 || hasEffect(value)) return;
  if (value.operation === "parameter") return;
  const at = from.instructions.indexOf(value);
  if (at < 0) return;
  if (value.operation === "load" && from.instructions.slice(at).some(writesMemory)) return;
  from.instructions.splice(at, 1);
  value.block = to;
  to.instructions.unshift(value);
  for (const operand of value.operands) sink(operand, from, to, uses);
}
