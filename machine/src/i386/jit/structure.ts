/**
 * From a graph of blocks to WebAssembly's nested blocks and loops: reverse postorder, dominators, and the recursion over the dominator
 * tree that N. Ramsey describes in "Beyond Relooper" (ICFP 2022). Edges into the middle of a loop, which no nesting can express, are cut:
 * they leave the region.
 */

import type { BlockNode } from "./region-graph.ts";

export interface Structure {
  /** Position of a block in reverse postorder, -1 when nothing reaches it. */
  readonly position: Int32Array;
  readonly isLoop: readonly boolean[];
  /** Two or more edges from before lead to it. */
  readonly isMerge: readonly boolean[];
  /** Blocks that it immediately dominates. */
  readonly children: readonly number[][];
}

/** An edge each: a jump through a table has one to each of its targets. */
function successors(block: BlockNode): number[] {
  return [block.taken, block.next, ...new Set(block.targets)].filter((index) => index >= 0);
}

function reversePostorder(blocks: readonly BlockNode[]): number[] {
  const seen = new Uint8Array(blocks.length);
  const order: number[] = [];
  const stack: [number, number[]][] = [[0, successors(blocks[0]!)]];
  seen[0] = 1;
  while (stack.length > 0) {
    const [index, left] = stack[stack.length - 1]!;
    const next = left.pop();
    if (next === undefined) {
      order.push(index);
      stack.pop();
    } else if (seen[next] === 0) {
      seen[next] = 1;
      stack.push([next, successors(blocks[next]!)]);
    }
  }
  return order.reverse();
}

function cut(block: BlockNode, target: number): void {
  if (block.taken === target) block.taken = -1;
  if (block.next === target) block.next = -1;
  block.targets.forEach((each, i) => {
    if (each === target) block.targets[i] = -1;
  });
}

function structureOnce(blocks: readonly BlockNode[]): Structure | null {
  const count = blocks.length;
  const order = reversePostorder(blocks);
  const position = new Int32Array(count).fill(-1);
  order.forEach((index, at) => {
    position[index] = at;
  });
  const predecessors: number[][] = blocks.map(() => []);
  for (const index of order) for (const next of successors(blocks[index]!)) predecessors[next]!.push(index);

  // Cooper, Harvey, Kennedy: dominators by iteration, on positions.
  const dominator = new Int32Array(count).fill(-1);
  dominator[0] = 0;
  const common = (a: number, b: number): number => {
    let [x, y] = [a, b];
    while (x !== y) {
      while (position[x]! > position[y]!) x = dominator[x]!;
      while (position[y]! > position[x]!) y = dominator[y]!;
    }
    return x;
  };
  for (let changed = true; changed; ) {
    changed = false;
    for (const index of order) {
      if (index === 0) continue;
      let found = -1;
      for (const before of predecessors[index]!) {
        if (dominator[before] === -1) continue;
        found = found === -1 ? before : common(found, before);
      }
      if (dominator[index] !== found) {
        dominator[index] = found;
        changed = true;
      }
    }
  }
  const dominates = (above: number, below: number): boolean => {
    let at = below;
    while (position[at]! > position[above]!) at = dominator[at]!;
    return at === above;
  };

  const isLoop: boolean[] = new Array(count).fill(false);
  const isMerge: boolean[] = new Array(count).fill(false);
  const children: number[][] = blocks.map(() => []);
  let isCut = false;
  for (const index of order) {
    const block = blocks[index]!;
    if (index !== 0) children[dominator[index]!]!.push(index);
    let forward = 0;
    for (const before of predecessors[index]!) if (position[before]! < position[index]!) forward++;
    isMerge[index] = forward >= 2;
    for (const target of successors(block)) {
      if (position[target]! > position[index]!) continue;
      if (dominates(target, index)) isLoop[target] = true;
      else {
        cut(block, target);
        isCut = true;
      }
    }
  }
  return isCut ? null : { position, isLoop, isMerge, children };
}

/** The nesting of a region's blocks; cuts edges that do not fit. */
export function structureOf(blocks: readonly BlockNode[]): Structure {
  for (;;) {
    const structure = structureOnce(blocks);
    if (structure !== null) return structure;
  }
}

export interface BlockEmitter {
  /** Opens and closes WebAssembly constructs; returns the depth that names the construct. */
  openBlock(): number;
  openLoop(): number;
  close(): void;
  /** Code of a block, ending in calls of `go` for its successors. */
  emit(index: number, go: (target: number) => void): void;
  branch(depth: number): void;
}

/** Emits all blocks, nested. */
export function emitStructured(structure: Structure, emitter: BlockEmitter): void {
  const { position, isLoop, isMerge, children } = structure;
  const loopDepth = new Map<number, number>();
  const blockDepth = new Map<number, number>();

  function tree(index: number): void {
    if (isLoop[index]) {
      loopDepth.set(index, emitter.openLoop());
      within(index);
      emitter.close();
      loopDepth.delete(index);
    } else within(index);
  }

  function within(index: number): void {
    const merges = children[index]!.filter((child) => isMerge[child]).sort(
      (a, b) => position[b]! - position[a]!,
    );
    for (const merge of merges) blockDepth.set(merge, emitter.openBlock());
    emitter.emit(index, (target) => go(index, target));
    for (const merge of merges.reverse()) {
      emitter.close();
      blockDepth.delete(merge);
      tree(merge);
    }
  }

  function go(from: number, target: number): void {
    if (position[target]! <= position[from]!) emitter.branch(loopDepth.get(target)!);
    else if (isMerge[target]) emitter.branch(blockDepth.get(target)!);
    else tree(target);
  }

  tree(0);
}
