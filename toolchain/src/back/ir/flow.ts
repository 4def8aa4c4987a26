/**
 * Shape of the control-flow graph: reverse postorder, dominators (Cooper, Harvey and Kennedy), loop depth, critical
 * edges. `finishGraph` is the end of construction: after it the graph keeps the contract of `instructions.ts`.
 */
import { newBlock } from "./build.ts";
import {
  applyReplacements,
  type Block,
  type Instruction,
  type Routine,
  resolve,
  successors,
} from "./instructions.ts";

/** Orders the reachable blocks, drops the others and their edges, and removes phis that merge one value. */
export function finishGraph(routine: Routine, entry: Block): void {
  orderBlocks(routine, entry);
  removeTrivialPhis(routine);
  applyReplacements(routine);
}

export function orderBlocks(routine: Routine, entry: Block): void {
  const order: Block[] = [];
  const seen = new Set<Block>([entry]);
  const work: Array<{ block: Block; next: Block[] }> = [{ block: entry, next: successors(entry).reverse() }];
  while (work.length > 0) {
    const top = work[work.length - 1];
    const next = top.next.pop();
    if (next === undefined) {
      order.push(top.block);
      work.pop();
    } else if (!seen.has(next)) {
      seen.add(next);
      work.push({ block: next, next: successors(next).reverse() });
    }
  }
  routine.blocks = order.reverse();
  for (const block of routine.blocks) {
    for (let n = block.predecessors.length - 1; n >= 0; n--) {
      if (!seen.has(block.predecessors[n])) removePredecessor(block, n);
    }
  }
}

/** Drops the edge from predecessor `n`. */
export function removePredecessor(block: Block, n: number): void {
  block.predecessors.splice(n, 1);
  for (const phi of block.phis) phi.operands.splice(n, 1);
}

/** A phi whose operands are one value and itself is that value. */
export function removeTrivialPhis(routine: Routine): void {
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of routine.blocks) {
      for (const phi of block.phis) {
        if (phi.replacement) continue;
        let only: Instruction | undefined;
        let trivial = true;
        for (const operand of phi.operands) {
          const value = resolve(operand);
          if (value === phi || value === only) continue;
          if (only !== undefined) {
            trivial = false;
            break;
          }
          only = value;
        }
        if (trivial && only !== undefined) {
          phi.replacement = only;
          changed = true;
        }
      }
    }
  }
}

/** Immediate dominator of each block, by block; the entry's is itself. Needs reverse postorder. */
export function dominators(routine: Routine): Map<Block, Block> {
  const { blocks } = routine;
  const index = new Map(blocks.map((block, n) => [block, n]));
  const idom = new Int32Array(blocks.length).fill(-1);
  idom[0] = 0;
  const predecessors = blocks.map((block) => block.predecessors.map((p) => index.get(p)!));
  for (let changed = true; changed; ) {
    changed = false;
    for (let n = 1; n < blocks.length; n++) {
      let dominator = -1;
      for (const p of predecessors[n]) {
        if (idom[p] < 0) continue;
        if (dominator < 0) {
          dominator = p;
          continue;
        }
        let a = p;
        while (a !== dominator) {
          while (a > dominator) a = idom[a];
          while (dominator > a) dominator = idom[dominator];
        }
      }
      if (idom[n] !== dominator) {
        idom[n] = dominator;
        changed = true;
      }
    }
  }
  return new Map(blocks.map((block, n) => [block, blocks[idom[n]]]));
}

/** Sets the loop depth of every block. */
export function findLoops(routine: Routine): void {
  const idom = dominators(routine);
  const position = new Map(routine.blocks.map((block, n) => [block, n]));
  const dominates = (a: Block, b: Block): boolean => {
    let block = b;
    while (position.get(block)! > position.get(a)!) block = idom.get(block)!;
    return block === a;
  };
  for (const block of routine.blocks) block.loopDepth = 0;
  for (const header of routine.blocks) {
    const latches = header.predecessors.filter((p) => position.has(p) && dominates(header, p));
    if (latches.length === 0) continue;
    const body = new Set<Block>([header]);
    const work = latches.slice();
    while (work.length > 0) {
      const block = work.pop()!;
      if (body.has(block)) continue;
      body.add(block);
      work.push(...block.predecessors.filter((p) => position.has(p)));
    }
    for (const block of body) block.loopDepth++;
  }
}

/** Last step before selection: finds loops, and puts an empty block on every edge from a block with several successors to one with several predecessors. */
export function splitCriticalEdges(routine: Routine): void {
  for (const block of routine.blocks.slice()) {
    const next = successors(block);
    if (next.length < 2) continue;
    for (const target of next) {
      if (target.predecessors.length < 2) continue;
      const middle = newBlock(routine);
      middle.terminator = { kind: "jump", target };
      middle.terminatorPosition = block.terminatorPosition;
      middle.predecessors.push(block);
      target.predecessors[target.predecessors.indexOf(block)] = middle;
      retarget(block, target, middle);
    }
  }
  orderBlocks(routine, routine.blocks[0]);
  findLoops(routine);
}

export function retarget(block: Block, from: Block, to: Block): void {
  const t = block.terminator;
  if (t.kind === "jump") {
    if (t.target === from) t.target = to;
  } else if (t.kind === "branch") {
    if (t.taken === from) t.taken = to;
    if (t.otherwise === from) t.otherwise = to;
  } else if (t.kind === "switch") {
    t.targets = t.targets.map((target) => (target === from ? to : target));
    if (t.fallback === from) t.fallback = to;
  }
}
