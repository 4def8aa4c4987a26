/**
 * Address spaces: regions (regions.ts) over one page directory. The kernel's own space is the shared region and the upper
 * half of its virtual addresses; a process's is everything below 2 GB.
 *
 * The space's mutex guards regions and what they have resident; code that holds it may be preempted, and may wait for a memory
 * object's and the heap's, never the other way round. Page tables need no lock: they are a cache (i386/vtlb.ts).
 */

import { PROTECT_READ } from "../../interfaces/IMemory";
import {
  E_ACCESSDENIED,
  E_EXISTS,
  E_INVALIDARG,
  E_NOTFOUND,
  E_OUTOFMEMORY,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterProbed, leaveProbed } from "../i386/critical";
import {
  DEVICES_END,
  DEVICES_START,
  KERNEL_BASE,
  KERNEL_REGIONS_END,
  KERNEL_REGIONS_START,
  PAGE,
  SHARED_END,
  SHARED_START,
  USER_END,
  USER_PRIVATE_END,
  USER_PRIVATE_START,
} from "../i386/layout";
import { createDirectory, Directory, destroyDirectory, kernelDirectoryAddress } from "../i386/paging";
import { dropTables, removeTranslations } from "../i386/vtlb";
import type { Mutex } from "../threads/mutex";
import { LEAVE_DIRECTORY, privateTrap } from "../threads/traps";
import { commitPage, joinObject, releasePages } from "./commit";
import { type FrameTree, nextResident } from "./frame-tree";
import { allocate, free } from "./heap";
import { giveRecord, type RecordPool, takeRecord } from "./records";
import {
  findGap,
  findRegion,
  insertRegion,
  overlaps,
  REGION_ANONYMOUS,
  REGION_COMMIT,
  REGION_DEVICE,
  REGION_SHARED,
  type Region,
  removeRegion,
  splitRegion,
} from "./regions";

@unmanaged
export class Space extends Directory {
  /** Added to a virtual address to make it linear. */
  bias: usize = 0;
  lock: u32 = 0;
  /** Root of the tree of its regions, how many there are, and the one that was found last. */
  regions: Region | null = null;
  count: u32 = 0;
  recent: Region | null = null;
  /** Page frames that only this space holds, and those that others hold or may map too. */
  privatePages: u32 = 0;
  sharedPages: u32 = 0;
  /** The upper half's process; 0 for none. */
  process: usize = 0;
  /** The upper half's list of the images loaded in it. */
  images: usize = 0;
}

const kernelSpaceArea: usize = memory.data(64, 16);
const pool: usize = memory.data(16, 16);

export function kernelSpace(): Space {
  return changetype<Space>(kernelSpaceArea);
}

export function initialiseKernelSpace(): void {
  kernelSpace().physical = kernelDirectoryAddress();
  kernelSpace().bias = KERNEL_BASE;
  changetype<RecordPool>(pool).size = (offsetof<Space>() + 15) & ~15;
}

export function createSpace(): Space | null {
  const space = changetype<Space | null>(takeRecord(changetype<RecordPool>(pool)));
  if (!space) return null;
  if (!createDirectory(space)) {
    giveRecord(changetype<RecordPool>(pool), changetype<usize>(space));
    return null;
  }
  return space;
}

/** Ends all regions and the space. No thread of it runs any more. */
export function destroySpace(space: Space): void {
  privateTrap(LEAVE_DIRECTORY, space.physical, 0, 0);
  dropTables(space.physical);
  while (space.regions) {
    const region = space.regions!;
    removeRegion(space, region);
    releasePages(space, region);
    free(changetype<usize>(region));
  }
  destroyDirectory(space);
  giveRecord(changetype<RecordPool>(pool), changetype<usize>(space));
}

export function lockSpace(space: Space): void {
  enterProbed();
  changetype<Mutex>(changetype<usize>(space) + offsetof<Space>("lock")).acquire();
}

export function unlockSpace(space: Space): void {
  changetype<Mutex>(changetype<usize>(space) + offsetof<Space>("lock")).release();
  leaveProbed();
}

/** Is [address, address + size) inside what this space may map, and without wrap? */
function inside(space: Space, address: usize, size: u32): bool {
  const last = address + size - 1;
  if (last < address) return false;
  if (space.bias === 0) return address >= USER_PRIVATE_START && last < USER_END;
  if (address >= SHARED_START && last < SHARED_END) return true;
  if (address >= DEVICES_START && last < DEVICES_END) return true;
  return address >= KERNEL_REGIONS_START && last < KERNEL_REGIONS_END;
}

function anywhere(space: Space, size: u32, kind: u32): usize {
  if (space.bias === 0) {
    const low = findGap(space, size, USER_PRIVATE_START, USER_PRIVATE_END);
    return low !== 0 ? low : findGap(space, size, SHARED_END, USER_END);
  }
  if (kind === REGION_DEVICE) return findGap(space, size, DEVICES_START, DEVICES_END);
  return findGap(space, size, KERNEL_REGIONS_START, KERNEL_REGIONS_END);
}

/**
 * Makes a region of `size` bytes at the address in the word at `address`, or anywhere when that is 0, and stores where it is.
 * E_INVALIDARG (unaligned, outside), E_EXISTS (overlaps), E_OUTOFMEMORY.
 */
export function mapRegion(
  space: Space,
  address: usize,
  size: u32,
  protection: u32,
  kind: u32,
  source: usize,
  sourceSize: u32,
): HRESULT {
  const rounded = (size + <u32>PAGE - 1) & ~(<u32>PAGE - 1);
  const wanted: usize = load<u32>(address);
  if (size === 0 || rounded < size || wanted & (PAGE - 1)) return E_INVALIDARG;
  if (wanted !== 0 && !inside(space, wanted, rounded)) return E_INVALIDARG;
  const region = changetype<Region | null>(allocate(offsetof<Region>()));
  if (!region) return E_OUTOFMEMORY;
  region.size = rounded;
  region.protection = protection;
  region.kind = kind & 0xff;
  region.source = source;
  region.sourceSize = sourceSize;
  lockSpace(space);
  const start = wanted !== 0 ? wanted : anywhere(space, rounded, region.kind);
  region.start = start;
  let result: HRESULT = S_OK;
  if (start === 0) result = E_OUTOFMEMORY;
  else if (wanted !== 0 && overlaps(space, start, rounded)) result = E_EXISTS;
  else if (!insertRegion(space, region)) result = E_OUTOFMEMORY;
  if (result === S_OK && region.kind === REGION_SHARED)
    joinObject(space, region, changetype<FrameTree>(source));
  const inserted = result === S_OK;
  if (inserted && kind & REGION_COMMIT) {
    // Written by the kernel's interrupt handlers, which cannot wait for a copy.
    for (let at = start; at < start + rounded && result === S_OK; at += PAGE)
      if (commitPage(space, region, at, true) === 0) result = E_OUTOFMEMORY;
  }
  unlockSpace(space);
  if (result !== S_OK) {
    if (inserted) unmapRegion(space, start);
    else free(changetype<usize>(region));
    return result;
  }
  store<u32>(address, <u32>start);
  return S_OK;
}

/** Ends the region that starts at `address`; its frames lose a reference. E_NOTFOUND. */
export function unmapRegion(space: Space, address: usize): HRESULT {
  lockSpace(space);
  const region = findRegion(space, address);
  if (!region || region.start !== address) {
    unlockSpace(space);
    return E_NOTFOUND;
  }
  // Nobody finds it, then no page table has it, then its frames are others'.
  removeRegion(space, region);
  forgetTranslations(space, region);
  releasePages(space, region);
  unlockSpace(space);
  free(changetype<usize>(region));
  return S_OK;
}

/** Removes the translations of a region's pages: there are none before the first that is resident. */
function forgetTranslations(space: Space, region: Region): void {
  const pages = region.size >> 12;
  let first: u32 = 0;
  if (region.kind !== REGION_DEVICE) {
    const tree = region.tree;
    first = tree ? nextResident(tree, region.offset, region.offset + pages) - region.offset : pages;
  }
  if (first === pages) return;
  const skipped = (<usize>first) << 12;
  removeTranslations(space.physical, region.start + space.bias + skipped, region.size - skipped);
}

/** Changes the protection of whole regions or the pages of one: the range must lie in one region, which is split if need be. */
export function protectRegion(space: Space, address: usize, size: u32, protection: u32): HRESULT {
  const rounded = (size + <u32>PAGE - 1) & ~(<u32>PAGE - 1);
  if (size === 0 || rounded < size || address & (PAGE - 1) || address + rounded < address)
    return E_INVALIDARG;
  lockSpace(space);
  let result: HRESULT = S_OK;
  const region = findRegion(space, address);
  if (!region || address + rounded > region.start + region.size) result = E_NOTFOUND;
  else if (region.kind !== REGION_ANONYMOUS) result = E_ACCESSDENIED;
  else if (!borderAt(space, address) || !borderAt(space, address + rounded)) result = E_OUTOFMEMORY;
  else {
    findRegion(space, address)!.protection = protection;
    // Translations come back with what is allowed now.
    removeTranslations(space.physical, address + space.bias, rounded);
  }
  unlockSpace(space);
  return result;
}

/** Makes `address` a border between regions, if it is inside of one. */
function borderAt(space: Space, address: usize): bool {
  const region = findRegion(space, address);
  return !region || region.start === address || splitRegion(space, region, address);
}

/** Commits every page of a range. E_NOTFOUND when a part of it is in no region, E_OUTOFMEMORY. */
export function commitRange(space: Space, address: usize, size: u32): HRESULT {
  let result: HRESULT = size === 0 || address + size < address ? E_INVALIDARG : S_OK;
  const last = (address + size - 1) & ~(PAGE - 1);
  for (let at = address & ~(PAGE - 1); result === S_OK; at += PAGE) {
    lockSpace(space);
    const region = findRegion(space, at);
    if (!region || (region.protection & PROTECT_READ) === 0) result = E_NOTFOUND;
    else if (commitPage(space, region, at, false) === 0) result = E_OUTOFMEMORY;
    unlockSpace(space);
    if (at === last) break;
  }
  return result;
}
