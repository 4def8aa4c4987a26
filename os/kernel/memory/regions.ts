/**
 * Regions of an address space: a balanced tree of them in order of address (AVL: no path is longer than 1.45 log2 of their number), in
 * which every node knows the largest gap between the regions below it. So finding a region or room for one, entering and removing
 * it take a number of steps that grows with the logarithm of the number of regions; finding the same one again takes none.
 *
 * Changes are made under the space's mutex and, as first-level code looks regions up too (refill.ts, threads/waiting.ts), with interrupts
 * off: whoever sees the tree sees it whole, and no region in it lacks anything.
 */

import { enterCritical, leaveCritical } from "../i386/critical";
import type { FrameTree } from "./frame-tree";
import { allocate } from "./heap";
import type { Space } from "./space";

export const REGION_ANONYMOUS: u32 = 0;
export const REGION_IMAGE_CODE: u32 = 1;
export const REGION_IMAGE_DATA: u32 = 2;
export const REGION_ONE_FRAME: u32 = 3;
export const REGION_DEVICE: u32 = 4;
export const REGION_STACK: u32 = 5;
/** Part of a memory object that other spaces may map too; the source is its tree. */
export const REGION_SHARED: u32 = 6;
/** Added to the kind: every page is there from the start. */
export const REGION_COMMIT: u32 = 0x100;

/** More than this in one space is refused, so that no program takes the kernel's heap with regions. */
const MOST: u32 = 8192;

@unmanaged
export class Region {
  start: usize = 0;
  size: u32 = 0;
  protection: u32 = 0;
  kind: u32 = 0;
  /** Window or heap address (image), physical address (device). */
  source: usize = 0;
  sourceSize: u32 = 0;
  /** What is resident; made with the first page. */
  tree: FrameTree | null = null;
  /** Number in the tree of the first page; 0 while there is no tree. */
  offset: u32 = 0;
  /** Of a memory object: whose region it is, and the next region that maps it. */
  space: usize = 0;
  nextOfObject: Region | null = null;
  /** In the kernel's space: address in the code of the program that asked for it; 0 if the kernel did. */
  owner: usize = 0;
  // The node of the space's tree: regions below and above, and what is known of all of them together with this one.
  left: Region | null = null;
  right: Region | null = null;
  height: u32 = 0;
  /** Where the first of them starts and the last one ends, and the largest gap between two neighbours. */
  first: usize = 0;
  last: usize = 0;
  room: u32 = 0;
}

/** The region that contains `address`, or null. The space is locked, or interrupts are off. */
export function findRegion(space: Space, address: usize): Region | null {
  const recent = space.recent;
  if (recent && address - recent.start < recent.size) return recent;
  let region = space.regions;
  while (region && address - region.start >= region.size)
    region = address < region.start ? region.left : region.right;
  if (region) space.recent = region;
  return region;
}

/** Is there a region in [start, start + size)? */
export function overlaps(space: Space, start: usize, size: u32): bool {
  let region = space.regions;
  while (region) {
    if (region.start >= start + size) region = region.left;
    else if (region.start + region.size <= start) region = region.right;
    else return true;
  }
  return false;
}

/** First gap of `size` bytes in [low, high), or 0. */
export function findGap(space: Space, size: u32, low: usize, high: usize): usize {
  return gapAmong(space.regions, size, low, high);
}

/** The same where [low, high) holds none but the regions at and below `region`, or parts of them. */
function gapAmong(region: Region | null, size: u32, low: usize, high: usize): usize {
  if (low >= high || high - low < size) return 0;
  if (!region) return low;
  const before = region.first > low && region.first - low >= size;
  const behind = region.last < high && high - region.last >= size;
  if (!before && !behind && region.room < size) return 0;
  const lower = gapAmong(region.left, size, low, min<usize>(high, region.start));
  return lower !== 0
    ? lower
    : gapAmong(region.right, size, max<usize>(low, region.start + region.size), high);
}

/** A region that belongs to code of [start, end), or null. The space is locked. */
export function regionOwnedBy(space: Space, start: usize, end: usize): Region | null {
  return ownedAmong(space.regions, start, end);
}

function ownedAmong(region: Region | null, start: usize, end: usize): Region | null {
  if (!region || (region.owner >= start && region.owner < end)) return region;
  const below = ownedAmong(region.left, start, end);
  return below ? below : ownedAmong(region.right, start, end);
}

function heightOf(region: Region | null): i32 {
  return region ? <i32>region.height : 0;
}

/** Sums up what is at and below `region`. */
function sumUp(region: Region): void {
  const left = region.left;
  const right = region.right;
  const end = region.start + region.size;
  region.height = <u32>max<i32>(heightOf(left), heightOf(right)) + 1;
  region.first = left ? left.first : region.start;
  region.last = right ? right.last : end;
  const before = left ? max<u32>(left.room, <u32>(region.start - left.last)) : 0;
  const behind = right ? max<u32>(right.room, <u32>(right.first - end)) : 0;
  region.room = max<u32>(before, behind);
}

function turnRight(region: Region): Region {
  const up = region.left!;
  region.left = up.right;
  up.right = region;
  sumUp(region);
  sumUp(up);
  return up;
}

function turnLeft(region: Region): Region {
  const up = region.right!;
  region.right = up.left;
  up.left = region;
  sumUp(region);
  sumUp(up);
  return up;
}

/** The root of a tree whose two sides had their heights differ by one at most before one of them changed by one. */
function balanced(region: Region): Region {
  const left = region.left;
  const right = region.right;
  const lean = heightOf(left) - heightOf(right);
  if (lean > 1) {
    if (heightOf(left!.left) < heightOf(left!.right)) region.left = turnLeft(left!);
    return turnRight(region);
  }
  if (lean < -1) {
    if (heightOf(right!.right) < heightOf(right!.left)) region.right = turnRight(right!);
    return turnLeft(region);
  }
  sumUp(region);
  return region;
}

function withRegion(root: Region | null, region: Region): Region {
  if (!root) {
    sumUp(region);
    return region;
  }
  if (region.start < root.start) root.left = withRegion(root.left, region);
  else root.right = withRegion(root.right, region);
  return balanced(root);
}

function withoutRegion(root: Region, region: Region): Region | null {
  if (region.start < root.start) root.left = withoutRegion(root.left!, region);
  else if (region !== root) root.right = withoutRegion(root.right!, region);
  else {
    const right = root.right;
    if (!right) return root.left;
    let heir = right;
    while (heir.left) heir = heir.left!;
    heir.right = withoutRegion(right, heir);
    heir.left = root.left;
    return balanced(heir);
  }
  return balanced(root);
}

/** Enters a region that overlaps no other. False when the space has too many. */
export function insertRegion(space: Space, region: Region): bool {
  if (space.count >= MOST) return false;
  region.left = null;
  region.right = null;
  const flags = enterCritical();
  space.regions = withRegion(space.regions, region);
  space.count++;
  leaveCritical(flags);
  return true;
}

export function removeRegion(space: Space, region: Region): void {
  const flags = enterCritical();
  space.regions = withoutRegion(space.regions!, region);
  space.recent = null;
  space.count--;
  leaveCritical(flags);
}

/** Cuts `region` at `address`, which is inside of it, and enters the upper part. False when memory is exhausted or there are too many. */
export function splitRegion(space: Space, region: Region, address: usize): bool {
  if (space.count >= MOST) return false;
  const upper = changetype<Region | null>(allocate(offsetof<Region>()));
  if (!upper) return false;
  memory.copy(changetype<usize>(upper), changetype<usize>(region), offsetof<Region>());
  const lowerSize = <u32>(address - region.start);
  upper.start = address;
  upper.size = region.size - lowerSize;
  const tree = region.tree;
  if (tree) {
    tree.references++;
    upper.offset = region.offset + (lowerSize >> 12);
  }
  const flags = enterCritical();
  // The lower part is on the upper one's way down the tree, so what is known of it is summed up anew.
  region.size = lowerSize;
  insertRegion(space, upper);
  leaveCritical(flags);
  return true;
}
