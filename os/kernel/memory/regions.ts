/**
 * Regions of an address space: an array of them in order of address, so that a fault finds its own by binary search.
 *
 * Changes are made under the space's mutex and, as first-level code looks regions up too (refill.ts, threads/waiting.ts), with interrupts
 * off: whoever sees the array sees it whole, and no region in it lacks anything.
 */

import { enterCritical, leaveCritical } from "../i386/critical";
import type { FrameTree } from "./frame-tree";
import { allocate, free } from "./heap";
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
}

export function regionAtIndex(space: Space, index: u32): Region {
  return changetype<Region>(load<usize>(space.regions + index * 4));
}

/** Index of the first region that ends after `address`. */
export function searchRegion(space: Space, address: usize): u32 {
  const regions = space.regions;
  let low: u32 = 0;
  let high = space.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    const region = changetype<Region>(load<usize>(regions + middle * 4));
    if (region.start + region.size > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The region that contains `address`, or null. The space is locked, or interrupts are off. */
export function findRegion(space: Space, address: usize): Region | null {
  const index = searchRegion(space, address);
  if (index === space.count) return null;
  const region = regionAtIndex(space, index);
  return region.start <= address ? region : null;
}

/** Is there a region in [start, start + size)? */
export function overlaps(space: Space, start: usize, size: u32): bool {
  const index = searchRegion(space, start);
  if (index === space.count) return false;
  const region = regionAtIndex(space, index);
  return region.start <= start || region.start - start < size;
}

/** First gap of `size` bytes in [low, high), or 0. */
export function findGap(space: Space, size: u32, low: usize, high: usize): usize {
  let at = low;
  for (let index = searchRegion(space, low); index < space.count; index++) {
    const region = regionAtIndex(space, index);
    if (region.start >= high || (region.start >= at && region.start - at >= size)) break;
    at = region.start + region.size;
  }
  return at + size <= high && at + size >= at ? at : 0;
}

/** Room for one more region; false when memory is exhausted or the space has too many. */
function growArray(space: Space): bool {
  if (space.count < space.capacity) return true;
  if (space.count >= MOST) return false;
  const capacity = space.capacity === 0 ? 16 : space.capacity * 2;
  const grown = allocate(capacity * 4);
  if (grown === 0) return false;
  const old = space.regions;
  memory.copy(grown, old, space.count * 4);
  space.regions = grown;
  space.capacity = capacity;
  free(old);
  return true;
}

/** Enters a region that overlaps no other. False when that is not possible. */
export function insertRegion(space: Space, region: Region): bool {
  if (!growArray(space)) return false;
  const flags = enterCritical();
  const index = searchRegion(space, region.start);
  const slot = space.regions + index * 4;
  memory.copy(slot + 4, slot, (space.count - index) * 4);
  store<usize>(slot, changetype<usize>(region));
  space.count++;
  leaveCritical(flags);
  return true;
}

/** Takes the region at `index` out of the array. */
export function removeRegion(space: Space, index: u32): Region {
  const flags = enterCritical();
  const slot = space.regions + index * 4;
  const region = changetype<Region>(load<usize>(slot));
  space.count--;
  memory.copy(slot, slot + 4, (space.count - index) * 4);
  leaveCritical(flags);
  return region;
}

/** Cuts `region` at `address`, which is inside of it, and enters the upper part. False when memory is exhausted. */
export function splitRegion(space: Space, region: Region, address: usize): bool {
  const upper = changetype<Region | null>(allocate(offsetof<Region>()));
  if (!upper) return false;
  if (!growArray(space)) {
    free(changetype<usize>(upper));
    return false;
  }
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
  region.size = lowerSize;
  insertRegion(space, upper);
  leaveCritical(flags);
  return true;
}
