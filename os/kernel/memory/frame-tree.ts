/**
 * Which frames a region has resident: a tree over its page numbers, of nodes of 32 words that are made when a page below them is first
 * touched. This, not the page tables, is the truth; page tables are only a cache of it (i386/vtlb.ts).
 *
 *   leaf word   frame | RESIDENT_SHARED when the frame is somebody else's too and must not be written; 0 nothing yet
 *   depth 0     one page: `root` is the leaf word; depth d: up to 32^d pages
 *
 * A tree belongs to one region and its parts, under their space's mutex, or to a memory object that many spaces map, under the tree's
 * own mutex, which comes after a space's. First-level code reads trees with interrupts off and no lock: a node is linked
 * only when it is zeroed, and nodes go only when no region leads to the tree any more.
 */

import type { Mutex } from "../threads/mutex";
import { releaseFrame } from "./frames";
import { allocate, free } from "./heap";

export const RESIDENT_FRAME: u32 = 0xfffff000;
export const RESIDENT_SHARED: u32 = 1;

const NODE: usize = 128;
const NODE_BITS: u32 = 5;
const NODE_MASK: u32 = 31;

@unmanaged
export class FrameTree {
  references: u32 = 0;
  depth: u32 = 0;
  root: u32 = 0;
  /** Of a memory object. */
  lock: u32 = 0;
  /** Of a memory object: its pages, those that are resident, and the first region that maps it. */
  pages: u32 = 0;
  resident: u32 = 0;
  regions: usize = 0;
}

/** An empty tree for so many pages, with one reference; null when memory is exhausted. */
export function createTree(pages: u32): FrameTree | null {
  const tree = changetype<FrameTree | null>(allocate(offsetof<FrameTree>()));
  if (!tree) return null;
  tree.references = 1;
  tree.pages = pages;
  for (let reach: u64 = 1; reach < pages; reach <<= NODE_BITS) tree.depth++;
  return tree;
}

export function lockTree(tree: FrameTree): void {
  changetype<Mutex>(changetype<usize>(tree) + offsetof<FrameTree>("lock")).acquire();
}

export function unlockTree(tree: FrameTree): void {
  changetype<Mutex>(changetype<usize>(tree) + offsetof<FrameTree>("lock")).release();
}

/** Address of the leaf word of a page; 0 if there is no node for it yet. */
export function slotThere(tree: FrameTree, index: u32): usize {
  let slot = changetype<usize>(tree) + offsetof<FrameTree>("root");
  for (let shift = tree.depth * NODE_BITS; shift > 0; ) {
    const node: usize = load<u32>(slot);
    if (node === 0) return 0;
    shift -= NODE_BITS;
    slot = node + ((index >> shift) & NODE_MASK) * 4;
  }
  return slot;
}

/** The leaf word of a page. */
export function residentWord(tree: FrameTree, index: u32): u32 {
  let node = tree.root;
  for (let shift = tree.depth * NODE_BITS; shift > 0 && node !== 0; ) {
    shift -= NODE_BITS;
    node = load<u32>(<usize>node + ((index >> shift) & NODE_MASK) * 4);
  }
  return node;
}

/** Address of the leaf word of a page, with the nodes above it; 0 when memory is exhausted. */
export function residentSlot(tree: FrameTree, index: u32): usize {
  let slot = changetype<usize>(tree) + offsetof<FrameTree>("root");
  for (let shift = tree.depth * NODE_BITS; shift > 0; ) {
    const node: usize = load<u32>(slot);
    if (node === 0) return slotOfNewNodes(slot, shift, index);
    shift -= NODE_BITS;
    slot = node + ((index >> shift) & NODE_MASK) * 4;
  }
  return slot;
}

/** The same where `from`, with `bits` bits of the page's number to go, has no node yet. */
function slotOfNewNodes(from: usize, bits: u32, index: u32): usize {
  let slot = from;
  for (let shift = bits; shift > 0; ) {
    const node = allocate(NODE);
    if (node === 0) return 0;
    store<u32>(slot, <u32>node);
    shift -= NODE_BITS;
    slot = node + ((index >> shift) & NODE_MASK) * 4;
  }
  return slot;
}

/** First page from `from` on, before `end`, that is resident; `end` if none is. */
export function nextResident(tree: FrameTree, from: u32, end: u32): u32 {
  if (tree.depth === 0) return from < end && tree.root !== 0 ? from : end;
  let index = from;
  while (index < end) {
    let node: usize = tree.root;
    let shift = tree.depth * NODE_BITS;
    while (shift > NODE_BITS && node !== 0) {
      shift -= NODE_BITS;
      node = load<u32>(node + ((index >> shift) & NODE_MASK) * 4);
    }
    if (node === 0) {
      index = ((index >> shift) + 1) << shift;
      continue;
    }
    const last = node + NODE;
    for (let at = node + (index & NODE_MASK) * 4; at !== last; at += 4) {
      if (load<u32>(at) !== 0) return min<u32>(index, end);
      index++;
    }
  }
  return end;
}

export function keepTree(tree: FrameTree): void {
  atomicAdd(changetype<usize>(tree), 1);
}

/** Drops one reference; with the last one go the frames that are left, and the nodes. */
export function releaseTree(tree: FrameTree): void {
  if (atomicAdd(changetype<usize>(tree), 0xffffffff) !== 1) return;
  freeNodes(tree.root, tree.depth);
  free(changetype<usize>(tree));
}

function freeNodes(node: u32, depth: u32): void {
  if (depth === 0) {
    if (node !== 0) releaseFrame(node & RESIDENT_FRAME);
    return;
  }
  if (node === 0) return;
  const last = <usize>node + NODE;
  for (let at: usize = node; at !== last; at += 4) {
    const below = load<u32>(at);
    if (below !== 0) freeNodes(below, depth - 1);
  }
  free(node);
}
