/**
 * Address spaces: sparse sets of regions over one page directory. The kernel's own space is the shared region and the upper
 * half of its virtual addresses; a process's is everything below 2 GB.
 *
 * Regions are kept in an array sorted by address, so that a fault finds its region by binary search. The space's mutex guards
 * regions and page-table entries; code that holds it may be preempted, and may wait for the heap's, never the other way round.
 */

import { PROTECT_WRITE } from "../../interfaces/IMemory";
import {
  E_ACCESSDENIED,
  E_EXISTS,
  E_INVALIDARG,
  E_NOTFOUND,
  E_OUTOFMEMORY,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { PROBE_MARGIN } from "../i386/critical";
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
  WINDOW_START,
} from "../i386/layout";
import {
  createDirectory,
  Directory,
  destroyDirectory,
  flushPage,
  kernelDirectoryAddress,
  PTE_FRAME,
  PTE_PRESENT,
  PTE_UNCACHED,
  PTE_USER,
  PTE_WRITE,
  tableEntry,
  translate,
} from "../i386/paging";
import type { Mutex } from "../threads/mutex";
import { LEAVE_DIRECTORY, privateTrap } from "../threads/traps";
import {
  allocateFrame,
  OWNER_ANONYMOUS,
  OWNER_IMAGE_DATA,
  OWNER_USER_STACKS,
  releaseFrame,
  shareFrame,
  window,
} from "./frames";
import { allocate, free } from "./heap";
import { dropScratch } from "./scratch";

export const REGION_ANONYMOUS: u32 = 0;
export const REGION_IMAGE_CODE: u32 = 1;
export const REGION_IMAGE_DATA: u32 = 2;
export const REGION_ONE_FRAME: u32 = 3;
export const REGION_DEVICE: u32 = 4;
export const REGION_STACK: u32 = 5;
export const REGION_COMMIT: u32 = 0x100;

@unmanaged
export class Region {
  start: usize = 0;
  size: u32 = 0;
  protection: u32 = 0;
  kind: u32 = 0;
  /** Window address (image), physical address (device). */
  source: usize = 0;
  sourceSize: u32 = 0;
}

@unmanaged
export class Space extends Directory {
  /** Added to a virtual address to make it linear. */
  bias: usize = 0;
  lock: u32 = 0;
  regions: usize = 0;
  count: u32 = 0;
  capacity: u32 = 0;
  /** Page frames that only this space holds, and those it shares. */
  privatePages: u32 = 0;
  sharedPages: u32 = 0;
  /** The upper half's process; 0 for none. */
  process: usize = 0;
}

const kernelSpaceArea: usize = memory.data(64, 16);

export function kernelSpace(): Space {
  return changetype<Space>(kernelSpaceArea);
}

export function initialiseKernelSpace(): void {
  kernelSpace().physical = kernelDirectoryAddress();
  kernelSpace().bias = KERNEL_BASE;
}

export function createSpace(): Space | null {
  const space = changetype<Space | null>(allocate(offsetof<Space>()));
  if (!space) return null;
  if (!createDirectory(space)) {
    free(changetype<usize>(space));
    return null;
  }
  return space;
}

/** Ends all regions and the space. No thread of it runs any more. */
export function destroySpace(space: Space): void {
  while (space.count > 0) unmapRegion(space, regionAtIndex(space, space.count - 1).start);
  if (space.regions !== 0) free(space.regions);
  privateTrap(LEAVE_DIRECTORY, space.physical, 0, 0);
  destroyDirectory(space);
  free(changetype<usize>(space));
}

export function lockSpace(space: Space): void {
  volatileLoad8(stackPointer() - PROBE_MARGIN);
  changetype<Mutex>(changetype<usize>(space) + offsetof<Space>("lock")).acquire();
}

export function unlockSpace(space: Space): void {
  changetype<Mutex>(changetype<usize>(space) + offsetof<Space>("lock")).release();
}

function regionAtIndex(space: Space, index: u32): Region {
  return changetype<Region>(load<usize>(space.regions + index * 4));
}

/** Index of the first region that ends after `address`. */
function searchRegion(space: Space, address: usize): u32 {
  let low: u32 = 0;
  let high = space.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    const region = regionAtIndex(space, middle);
    if (region.start + region.size > address) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** The region that contains `address`, or null. The space is locked. */
export function findRegion(space: Space, address: usize): Region | null {
  const index = searchRegion(space, address);
  if (index === space.count) return null;
  const region = regionAtIndex(space, index);
  return region.start <= address ? region : null;
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

/** First gap of `size` bytes in [low, high), or 0. */
function findGap(space: Space, size: u32, low: usize, high: usize): usize {
  let at = low;
  for (let index = searchRegion(space, low); index < space.count; index++) {
    const region = regionAtIndex(space, index);
    if (region.start >= high || (region.start >= at && region.start - at >= size)) break;
    at = region.start + region.size;
  }
  return at + size <= high && at + size >= at ? at : 0;
}

function insertRegion(space: Space, region: Region): bool {
  if (space.count === space.capacity) {
    const capacity = space.capacity === 0 ? 16 : space.capacity * 2;
    const grown = allocate(capacity * 4);
    if (grown === 0) return false;
    memory.copy(grown, space.regions, space.count * 4);
    free(space.regions);
    space.regions = grown;
    space.capacity = capacity;
  }
  const index = searchRegion(space, region.start);
  const slot = space.regions + index * 4;
  memory.copy(slot + 4, slot, (space.count - index) * 4);
  store<usize>(slot, changetype<usize>(region));
  space.count++;
  return true;
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
  lockSpace(space);
  const start = wanted !== 0 ? wanted : anywhere(space, rounded, kind & 0xff);
  let result: HRESULT = start === 0 ? E_OUTOFMEMORY : S_OK;
  if (result === S_OK && wanted !== 0) {
    const index = searchRegion(space, start);
    if (index < space.count && regionAtIndex(space, index).start - start < rounded) result = E_EXISTS;
    else if (findRegion(space, start)) result = E_EXISTS;
  }
  if (result === S_OK) {
    region.start = start;
    region.size = rounded;
    region.protection = protection;
    region.kind = kind & 0xff;
    region.source = source;
    region.sourceSize = sourceSize;
    if (!insertRegion(space, region)) {
      region.size = 0;
      result = E_OUTOFMEMORY;
    }
  }
  if (result === S_OK && kind & REGION_COMMIT) {
    for (let at = start; at < start + rounded && result === S_OK; at += PAGE)
      result = commitPage(space, region, at);
  }
  unlockSpace(space);
  if (result !== S_OK) {
    if (region.size !== 0) unmapRegion(space, region.start);
    else free(changetype<usize>(region));
    return result;
  }
  store<u32>(address, <u32>start);
  return S_OK;
}

function anywhere(space: Space, size: u32, kind: u32): usize {
  if (space.bias === 0) return findGap(space, size, USER_PRIVATE_START, USER_PRIVATE_END);
  if (kind === REGION_DEVICE) return findGap(space, size, DEVICES_START, DEVICES_END);
  return findGap(space, size, KERNEL_REGIONS_START, KERNEL_REGIONS_END);
}

/** Ends the region that starts at `address`; its frames lose a reference. E_NOTFOUND. */
export function unmapRegion(space: Space, address: usize): HRESULT {
  dropScratch();
  lockSpace(space);
  const index = searchRegion(space, address);
  if (index === space.count || regionAtIndex(space, index).start !== address) {
    unlockSpace(space);
    return E_NOTFOUND;
  }
  const region = regionAtIndex(space, index);
  for (let at = region.start; at < region.start + region.size; at += PAGE) decommitPage(space, region, at);
  const slot = space.regions + index * 4;
  space.count--;
  memory.copy(slot, slot + 4, (space.count - index) * 4);
  unlockSpace(space);
  free(changetype<usize>(region));
  return S_OK;
}

/** Changes the protection of whole regions or the pages of one: the range must lie in one region, which is split if need be. */
export function protectRegion(space: Space, address: usize, size: u32, protection: u32): HRESULT {
  dropScratch();
  const rounded = (size + <u32>PAGE - 1) & ~(<u32>PAGE - 1);
  if (size === 0 || rounded < size || address & (PAGE - 1) || address + rounded < address)
    return E_INVALIDARG;
  lockSpace(space);
  let result: HRESULT = S_OK;
  const region = findRegion(space, address);
  if (!region || address + rounded > region.start + region.size) result = E_NOTFOUND;
  else if (region.kind !== REGION_ANONYMOUS) result = E_ACCESSDENIED;
  else if (
    !splitRegion(space, region, address) ||
    !splitRegion(space, findRegion(space, address)!, address + rounded)
  ) {
    result = E_OUTOFMEMORY;
  } else {
    const part = findRegion(space, address)!;
    part.protection = protection;
    for (let at = address; at < address + rounded; at += PAGE) {
      const entry = tableEntry(space.physical, at + space.bias, false);
      if (entry === 0 || (load<u32>(entry) & PTE_PRESENT) === 0) continue;
      store<u32>(entry, (load<u32>(entry) & PTE_FRAME) | flagsFor(space, part));
      flushPage(at + space.bias);
    }
  }
  unlockSpace(space);
  return result;
}

/** Makes `address` a border between regions; true when it is one already or outside. */
function splitRegion(space: Space, region: Region, address: usize): bool {
  if (address <= region.start || address >= region.start + region.size) return true;
  const upper = changetype<Region | null>(allocate(offsetof<Region>()));
  if (!upper) return false;
  memory.copy(changetype<usize>(upper), changetype<usize>(region), offsetof<Region>());
  const lowerSize = <u32>(address - region.start);
  upper.start = address;
  upper.size = region.size - lowerSize;
  region.size = lowerSize;
  if (insertRegion(space, upper)) return true;
  region.size += upper.size;
  free(changetype<usize>(upper));
  return false;
}

function flagsFor(space: Space, region: Region): u32 {
  if (region.protection === 0) return 0;
  let flags = PTE_PRESENT;
  if (region.protection & PROTECT_WRITE) flags |= PTE_WRITE;
  if (space.bias === 0) flags |= PTE_USER;
  if (region.kind === REGION_DEVICE) flags |= PTE_UNCACHED;
  return flags;
}

/** Maps the page of `region` at `address` if it is not there. The space is locked. E_OUTOFMEMORY. */
export function commitPage(space: Space, region: Region, address: usize): HRESULT {
  const page = address & ~(PAGE - 1);
  const entry = tableEntry(space.physical, page + space.bias, true);
  if (entry === 0) return E_OUTOFMEMORY;
  // An entry of a region that was taken all access keeps its frame while absent.
  if (load<u32>(entry) !== 0) return S_OK;
  const frame = frameFor(space, region, page);
  if (frame === 0) return E_OUTOFMEMORY;
  store<u32>(entry, frame | flagsFor(space, region));
  return S_OK;
}

/** A frame for a page, by the kind of its region; counts it. 0 when memory is exhausted. */
function frameFor(space: Space, region: Region, page: usize): u32 {
  const offset = page - region.start;
  if (region.kind === REGION_DEVICE) return <u32>(region.source + offset);
  if (region.kind === REGION_IMAGE_CODE || region.kind === REGION_ONE_FRAME) {
    const shared = <u32>(region.source - WINDOW_START + (region.kind === REGION_IMAGE_CODE ? offset : 0));
    shareFrame(shared);
    space.sharedPages++;
    return shared;
  }
  const owner =
    region.kind === REGION_IMAGE_DATA
      ? OWNER_IMAGE_DATA
      : region.kind === REGION_STACK
        ? OWNER_USER_STACKS
        : OWNER_ANONYMOUS;
  const frame = allocateFrame(owner);
  if (frame === 0) return 0;
  if (region.kind === REGION_IMAGE_DATA && offset < region.sourceSize) {
    const rest = region.sourceSize - <u32>offset;
    memory.copy(window(frame), region.source + offset, rest < <u32>PAGE ? rest : <u32>PAGE);
  }
  space.privatePages++;
  return frame;
}

/** Takes the page at `address` away. The space is locked. */
export function decommitPage(space: Space, region: Region, address: usize): void {
  const entry = tableEntry(space.physical, address + space.bias, false);
  if (entry === 0) return;
  const value = load<u32>(entry);
  if (value === 0) return;
  store<u32>(entry, 0);
  if (value & PTE_PRESENT) flushPage(address + space.bias);
  if (region.kind === REGION_DEVICE) return;
  releaseFrame(value & PTE_FRAME);
  if (region.kind === REGION_IMAGE_CODE || region.kind === REGION_ONE_FRAME) space.sharedPages--;
  else space.privatePages--;
}

/** Physical address under `address`, 0 if no page is there yet. */
export function frameAt(space: Space, address: usize): u32 {
  return translate(space.physical, address + space.bias);
}

/** Size of the region that contains `address`, 0 if none. */
export function regionSize(space: Space, address: usize): u32 {
  lockSpace(space);
  const region = findRegion(space, address);
  const size = region ? region.size : 0;
  unlockSpace(space);
  return size;
}

/** Window address of the page at `address`, committed for reading or writing; 0 if that is not allowed. The space is locked. */
function reach(space: Space, address: usize, write: bool): usize {
  const region = findRegion(space, address);
  if (!region || region.kind === REGION_DEVICE) return 0;
  if (write && (region.kind === REGION_IMAGE_CODE || region.kind === REGION_ONE_FRAME)) return 0;
  if (commitPage(space, region, address) !== S_OK) return 0;
  const entry = load<u32>(tableEntry(space.physical, address + space.bias, false));
  return window(entry & PTE_FRAME) + (address & (PAGE - 1));
}

function copyPages(space: Space, address: usize, kernelAddress: usize, size: u32, write: bool): HRESULT {
  let result: HRESULT = S_OK;
  let done: u32 = 0;
  lockSpace(space);
  while (done < size) {
    const there = reach(space, address + done, write);
    if (there === 0) {
      result = E_ACCESSDENIED;
      break;
    }
    const room = <u32>(PAGE - (there & (PAGE - 1)));
    const length = min<u32>(size - done, room);
    if (write) memory.copy(there, kernelAddress + done, length);
    else memory.copy(kernelAddress + done, there, length);
    done += length;
  }
  unlockSpace(space);
  return result;
}

/** Copies from kernel memory (present, not in a region of `space`) into a space, read-only data pages included. E_ACCESSDENIED. */
export function copyToSpace(space: Space, address: usize, source: usize, size: u32): HRESULT {
  return copyPages(space, address, source, size, true);
}

export function copyFromSpace(space: Space, address: usize, destination: usize, size: u32): HRESULT {
  return copyPages(space, address, destination, size, false);
}
