/**
 * Pages of regions: which frame a page gets when it is first touched, written or brought back, and what goes with a region.
 *
 *   anonymous, stack    a zeroed frame
 *   image code          the source's own frame, in every space
 *   image data          the source's own frame until the first write, then a copy (copy on write); a copy at once where the page is not
 *                       wholly the source's
 *   memory object       the object's frame, which the first space to touch it brings
 */

import { PROTECT_WRITE } from "../../interfaces/IMemory";
import { PAGE, WINDOW_SIZE, WINDOW_START } from "../i386/layout";
import { PTE_PRESENT, PTE_UNCACHED, PTE_USER, PTE_WRITE } from "../i386/paging";
import { enterTranslation, noteRefill } from "../i386/vtlb";
import {
  createTree,
  type FrameTree,
  keepTree,
  lockTree,
  nextResident,
  RESIDENT_FRAME,
  RESIDENT_SHARED,
  releaseTree,
  residentSlot,
  residentWord,
  slotThere,
  unlockTree,
} from "./frame-tree";
import {
  allocateFrame,
  OWNER_ANONYMOUS,
  OWNER_IMAGE_CODE,
  OWNER_IMAGE_DATA,
  OWNER_USER_STACKS,
  releaseFrame,
  shareFrame,
  window,
} from "./frames";
import {
  findRegion,
  REGION_ANONYMOUS,
  REGION_DEVICE,
  REGION_IMAGE_CODE,
  REGION_IMAGE_DATA,
  REGION_ONE_FRAME,
  REGION_SHARED,
  REGION_STACK,
  type Region,
} from "./regions";
import { kernelSpace, type Space } from "./space";

let copies: u32 = 0;

/** Pages that were copied because somebody wrote to them, since boot. */
export function pagesCopied(): u32 {
  return copies;
}

/** The page-table entry for a page with this leaf word; 0 when all access is denied. */
function entryFor(space: Space, region: Region, word: u32): u32 {
  const protection = region.protection;
  if (protection === 0) return 0;
  let entry = (word & RESIDENT_FRAME) | PTE_PRESENT;
  if (protection & PROTECT_WRITE && (word & RESIDENT_SHARED) === 0) entry |= PTE_WRITE;
  if (space.bias === 0) entry |= PTE_USER;
  return entry;
}

function deviceEntry(region: Region, page: usize): u32 {
  const write: u32 = region.protection & PROTECT_WRITE ? PTE_WRITE : 0;
  return <u32>(region.source + (page - region.start)) | PTE_PRESENT | PTE_UNCACHED | write;
}

/** The leaf word of the page at an address if it is there, and may be written if `write`; else 0. */
export function readyWord(region: Region, address: usize, write: bool): u32 {
  const tree = region.tree;
  if (!tree) return 0;
  const word = residentWord(tree, numberOf(region, address));
  return write && mustCopy(region, word) ? 0 : word;
}

/** The page-table entry for an address, without bringing anything in; 0 for none. With interrupts off, at any ring. */
export function residentEntry(space: Space, address: usize): u32 {
  const region = findRegion(space, address);
  if (!region) return 0;
  if (region.kind === REGION_DEVICE) return deviceEntry(region, address & ~(PAGE - 1));
  const word = readyWord(region, address, false);
  return word === 0 ? 0 : entryFor(space, region, word);
}

/**
 * Brings in the page of `region` at `address` and its translation; `write` when it must be the space's own to write. The space is locked.
 * Returns the page's leaf word (a device's: its page-table entry); 0 when memory is exhausted.
 */
export function commitPage(space: Space, region: Region, address: usize, write: bool): u32 {
  const page = address & ~(PAGE - 1);
  const kind = region.kind;
  if (kind === REGION_DEVICE) return enterDevice(space, region, page);
  const tree = region.tree ? region.tree : giveTree(region);
  if (!tree) return 0;
  if (kind === REGION_SHARED) lockTree(tree);
  const slot = residentSlot(tree, numberOf(region, page));
  const word = slot === 0 ? 0 : bring(space, region, page, write, slot);
  if (kind === REGION_SHARED) unlockTree(tree);
  return word;
}

/**
 * The same at first level, where nothing waits: also 0 when a lock that may be held or memory of the heap is wanted; then
 * the thread has to do it. Interrupts may be on, since no thread runs meanwhile.
 */
export function commitAtOnce(space: Space, region: Region, address: usize, write: bool): u32 {
  const page = address & ~(PAGE - 1);
  if (region.kind === REGION_DEVICE) return enterDevice(space, region, page);
  const tree = region.tree;
  const slot = tree ? slotThere(tree, numberOf(region, page)) : 0;
  if (slot === 0) return 0;
  if ((space.lock !== 0 || region.kind === REGION_SHARED) && readyWord(region, page, write) === 0) return 0;
  return bring(space, region, page, write, slot);
}

function enterDevice(space: Space, region: Region, page: usize): u32 {
  const entry = deviceEntry(region, page);
  enterTranslation(space.physical, page + space.bias, entry);
  return entry;
}

/** Number in the region's tree of the page at an address. */
function numberOf(region: Region, address: usize): u32 {
  return region.offset + <u32>((address - region.start) >> 12);
}

/** Is a page with this leaf word shared until it is written? */
function mustCopy(region: Region, word: u32): bool {
  return region.kind === REGION_IMAGE_DATA && (word & RESIDENT_SHARED) !== 0;
}

/** The page whose leaf word is at `slot`: returns the word; 0 when memory is exhausted. */
function bring(space: Space, region: Region, page: usize, write: bool, slot: usize): u32 {
  const word = load<u32>(slot);
  if (word === 0) return bringFirst(space, region, page, write, slot);
  if (write && mustCopy(region, word)) return bringCopy(space, region, page, slot);
  if (enter(space, region, page, word) === 0) noteRefill();
  return word;
}

function giveTree(region: Region): FrameTree | null {
  const tree = createTree(region.size >> 12);
  region.tree = tree;
  return tree;
}

/** Enters the translation for a page with this leaf word, if any access is allowed; returns what was there before. */
function enter(space: Space, region: Region, page: usize, word: u32): u32 {
  const entry = entryFor(space, region, word);
  return entry === 0 ? PTE_PRESENT : enterTranslation(space.physical, page + space.bias, entry);
}

/** A page that nobody has touched. */
function bringFirst(space: Space, region: Region, page: usize, write: bool, slot: usize): u32 {
  const word = firstFrame(space, region, page, write);
  if (word === 0) return 0;
  store<u32>(slot, word);
  if (region.kind === REGION_SHARED) countForAll(region.tree!);
  enter(space, region, page, word);
  return word;
}

/** A page that is shared until it is written, and is written. */
function bringCopy(space: Space, region: Region, page: usize, slot: usize): u32 {
  const shared = load<u32>(slot) & RESIDENT_FRAME;
  const word = ownCopy(space, region, shared);
  if (word === 0) return 0;
  store<u32>(slot, word);
  enter(space, region, page, word);
  releaseFrame(shared);
  return word;
}

/** A leaf word for a page that nobody has touched; counts it. 0 when memory is exhausted. */
function firstFrame(space: Space, region: Region, page: usize, write: bool): u32 {
  const kind = region.kind;
  if (kind === REGION_ANONYMOUS || kind === REGION_SHARED || kind === REGION_STACK) {
    const frame = allocateFrame(kind === REGION_STACK ? OWNER_USER_STACKS : OWNER_ANONYMOUS);
    if (frame !== 0 && kind !== REGION_SHARED) space.privatePages++;
    return frame;
  }
  const offset = page - region.start;
  if (kind === REGION_IMAGE_CODE || kind === REGION_ONE_FRAME)
    return sharedWord(space, region.source + (kind === REGION_IMAGE_CODE ? offset : 0));
  const source = region.source + offset;
  const inSource = offset < region.sourceSize;
  const whole = offset + PAGE <= region.sourceSize && (source & (PAGE - 1)) === 0;
  if (whole && !write && source >= WINDOW_START && source < WINDOW_START + WINDOW_SIZE)
    return sharedWord(space, source);
  const frame = allocateFrame(ownerOfCopies(region));
  if (frame === 0) return 0;
  const rest = region.sourceSize - <u32>offset;
  if (inSource) memory.copy(window(frame), source, rest < <u32>PAGE ? rest : <u32>PAGE);
  space.privatePages++;
  return frame;
}

function sharedWord(space: Space, source: usize): u32 {
  const frame = <u32>(source - WINDOW_START);
  shareFrame(frame);
  space.sharedPages++;
  return frame | RESIDENT_SHARED;
}

/** Code that had to be relocated is no longer the image's own pages, and is counted apart. */
function ownerOfCopies(region: Region): u32 {
  return region.protection & PROTECT_WRITE ? OWNER_IMAGE_DATA : OWNER_IMAGE_CODE;
}

/** The space's own frame with the contents of a shared one. 0 when memory is exhausted. */
function ownCopy(space: Space, region: Region, shared: u32): u32 {
  const frame = allocateFrame(ownerOfCopies(region));
  if (frame === 0) return 0;
  memory.copy(window(frame), window(shared), PAGE);
  space.sharedPages--;
  space.privatePages++;
  copies++;
  return frame;
}

/** One page more in a memory object, and so in every space that maps it. The tree is locked. */
function countForAll(tree: FrameTree): void {
  tree.resident++;
  let region = changetype<Region | null>(tree.regions);
  while (region) {
    atomicAdd(region.space + offsetof<Space>("sharedPages"), 1);
    region = region.nextOfObject;
  }
}

/** Makes a region one of those that map a memory object. */
export function joinObject(space: Space, region: Region, tree: FrameTree): void {
  keepTree(tree);
  region.space = changetype<usize>(space);
  lockTree(tree);
  region.nextOfObject = changetype<Region | null>(tree.regions);
  tree.regions = changetype<usize>(region);
  atomicAdd(region.space + offsetof<Space>("sharedPages"), tree.resident);
  region.tree = tree;
  unlockTree(tree);
}

function leaveObject(region: Region, tree: FrameTree): void {
  lockTree(tree);
  let before: Region | null = null;
  let at = changetype<Region | null>(tree.regions);
  while (at && at !== region) {
    before = at;
    at = at.nextOfObject;
  }
  if (before) before.nextOfObject = region.nextOfObject;
  else tree.regions = changetype<usize>(region.nextOfObject);
  atomicAdd(region.space + offsetof<Space>("sharedPages"), <u32>-(<i32>tree.resident));
  unlockTree(tree);
}

/** Gives back what a region holds, when nothing leads to it any more. */
export function releasePages(space: Space, region: Region): void {
  const tree = region.tree;
  if (!tree) return;
  if (region.kind === REGION_SHARED) leaveObject(region, tree);
  else {
    const end = region.offset + (region.size >> 12);
    for (
      let index = nextResident(tree, region.offset, end);
      index < end;
      index = nextResident(tree, index + 1, end)
    )
      dropPage(space, tree, index);
  }
  releaseTree(tree);
}

/** Forgets a resident page of a region that is not a memory object's. Its translation has gone. */
export function dropPage(space: Space, tree: FrameTree, index: u32): void {
  const slot = residentSlot(tree, index);
  const word = load<u32>(slot);
  store<u32>(slot, 0);
  releaseFrame(word & RESIDENT_FRAME);
  if (word & RESIDENT_SHARED) space.sharedPages--;
  else space.privatePages--;
}

/** Is the page one that will be copied when it is written? A wait on a word of it must not outlive that. With interrupts off. */
export function willBeCopied(space: Space, address: usize): bool {
  if (space === kernelSpace()) return false;
  const region = findRegion(space, address);
  if (!region || region.kind !== REGION_IMAGE_DATA || (region.protection & PROTECT_WRITE) === 0) return false;
  const tree = region.tree;
  if (!tree) return false;
  return mustCopy(region, residentWord(tree, numberOf(region, address)));
}
