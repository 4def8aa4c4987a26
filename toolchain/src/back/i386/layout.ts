/**
 * Order of blocks in memory. Loops are turned so that their test stands at the end. Blocks that only jump disappear; each block is followed by the successor that belongs to the
 * deepest loop, so that loops stay together and most jumps fall away.
 */
import type { MachineBlock, MachineFunction } from "./code.ts";

/** Longest loop test that is repeated at the loop's end instead of jumped back to. */
const repeatedTest = 7;

export function layOut(f: MachineFunction): void {
  threadJumps(f);
  invertLoops(f);
  joinChains(f);
  const placed = new Set<MachineBlock>();
  const order: MachineBlock[] = [];
  const waiting: MachineBlock[] = [f.blocks[0]];
  while (waiting.length > 0) {
    let kept = 0;
    for (const block of waiting) if (!placed.has(block)) waiting[kept++] = block;
    waiting.length = kept;
    if (kept === 0) break;
    let best = waiting.length - 1;
    for (let n = waiting.length - 2; n >= 0; n--)
      if (waiting[n].loopDepth > waiting[best].loopDepth) best = n;
    let [block]: Array<MachineBlock | undefined> = waiting.splice(best, 1);
    while (block && !placed.has(block)) {
      placed.add(block);
      order.push(block);
      const next = jumpTargets(block).filter((b) => !placed.has(b));
      let follower: MachineBlock | undefined;
      for (const b of next) if (!follower || b.loopDepth >= follower.loopDepth) follower = b;
      for (const b of next) if (b !== follower) waiting.push(b);
      block = follower;
    }
  }
  f.blocks = order;
}

/**
 * A loop that tests at its start and jumps back from its end runs two jumps a turn; with the test repeated at the end,
 * one. Copying machine code after allocation is always right.
 */
function invertLoops(f: MachineFunction): void {
  const order = new Map(f.blocks.map((block, n) => [block, n]));
  for (const block of f.blocks) {
    const list = block.instructions;
    const last = list[list.length - 1];
    if (last?.op !== "jmp" || (list.length > 1 && list[list.length - 2].op === "jcc")) continue;
    const [operand] = last.operands;
    if (operand.kind !== "block") continue;
    const header = operand.block;
    if (header === block || order.get(header)! > order.get(block)! || header.loopDepth === 0) continue;
    const test = header.instructions;
    if (test.length > repeatedTest || test.length < 2 || test[test.length - 2].op !== "jcc") continue;
    if (test.some((i) => i.op === "call")) continue;
    block.instructions = [...list.slice(0, -1), ...test.map((i) => ({ ...i, operands: i.operands.slice() }))];
    block.successors = header.successors.slice();
  }
}

/** A block that is reached from one place only, by a plain jump, becomes part of that place. */
function joinChains(f: MachineFunction): void {
  const entries = new Map<MachineBlock, number>([[f.blocks[0], 1]]);
  const reached = new Set<MachineBlock>();
  const work = [f.blocks[0]];
  for (let block = work.pop(); block; block = work.pop()) {
    if (reached.has(block)) continue;
    reached.add(block);
    for (const target of jumpTargets(block)) {
      entries.set(target, (entries.get(target) ?? 0) + 1);
      work.push(target);
    }
  }
  for (const block of f.blocks) {
    if (!reached.has(block)) continue;
    for (;;) {
      const last = block.instructions[block.instructions.length - 1];
      if (last?.op !== "jmp" || last.operands[0].kind !== "block") break;
      const next = last.operands[0].block;
      if (next === block || entries.get(next) !== 1) break;
      block.instructions = [...block.instructions.slice(0, -1), ...next.instructions];
      block.successors = next.successors;
      next.instructions = [];
      reached.delete(next);
    }
  }
  f.blocks = f.blocks.filter((block) => reached.has(block));
}

/** Targets in the order of the jumps; the last is the unconditional one. */
export function jumpTargets(block: MachineBlock): MachineBlock[] {
  const targets: MachineBlock[] = [];
  for (const i of block.instructions) {
    if (i.op !== "jmp" && i.op !== "jcc" && i.op !== "jumpTable") continue;
    for (const operand of i.operands) if (operand.kind === "block") targets.push(operand.block);
  }
  return targets;
}

function threadJumps(f: MachineFunction): void {
  const forward = new Map<MachineBlock, MachineBlock>();
  for (const block of f.blocks) {
    const [only] = block.instructions;
    if (block.instructions.length !== 1 || only.op !== "jmp") continue;
    const [target] = only.operands;
    if (target.kind === "block" && target.block !== block) forward.set(block, target.block);
  }
  const final = (block: MachineBlock): MachineBlock => {
    let b = block;
    for (let steps = 0; steps < forward.size; steps++) {
      const next = forward.get(b);
      if (!next) return b;
      b = next;
    }
    return b;
  };
  for (const block of f.blocks) {
    for (const i of block.instructions) {
      i.operands = i.operands.map((o) => (o.kind === "block" ? { kind: "block", block: final(o.block) } : o));
    }
    block.successors = block.successors.map(final);
  }
}
