/**
 * The kernel's heap: slabs of equal blocks up to half a page, runs of pages above. Everything is constant time but the search
 * for a run. Pages go back to the frames as soon as they are empty.
 *
 * `pages` describes every page of the heap's address range:
 *
 *   +0 kind: 0 unused, 1 … SIZES slab of that size, RUN first page of a run, CONTINUED later page of one
 *   +1 (unused)
 *   +2 used: blocks in use (slab)                length: pages (run)
 *   +4 free: offset/16 + 1 of the first free block, 0 none
 *   +6 next, +8 previous: slab pages of this size with free blocks, page number + 1
 *   +10 frame: number of the page frame, whatever page tables say; 0 none
 *
 * Used by thread-level code only. The mutex is one of those that page faults may need, hence the probe at its entry
 * (§5.3.1): a stack fault never happens while it is held.
 */

import { enterProbed, leaveProbed } from "../i386/critical";
import { HEAP_SIZE, HEAP_START, KERNEL_BASE, PAGE } from "../i386/layout";
import { kernelDirectoryAddress, PTE_PRESENT, PTE_WRITE } from "../i386/paging";
import { enterTranslation, removeTranslations } from "../i386/vtlb";
import type { Mutex } from "../threads/mutex";
import { allocateFrame, OWNER_KERNEL_HEAP, releaseFrame } from "./frames";

/** Block sizes, in bytes, by slab kind - 1. */
const SIZES: usize = memory.data<u16>([16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 2048]);
const RUN: u32 = 254;
const CONTINUED: u32 = 255;
const PAGES: u32 = 4096;

@unmanaged
class HeapPage {
  kind: u8 = 0;
  unused: u8 = 0;
  used: u16 = 0;
  free: u16 = 0;
  next: u16 = 0;
  previous: u16 = 0;
  frame: u16 = 0;
}
const HEAP_PAGE: usize = 12;

const pages: usize = memory.data(49152, 16);
/** First page with a free block by slab kind, page number + 1. */
const partial: usize = memory.data(28, 16);
const lock: usize = memory.data(4, 16);
/** Where the search for a run starts. */
let searchStart: u32 = 0;
let liveBlocks: u32 = 0;

function pageAt(number: u32): HeapPage {
  return changetype<HeapPage>(pages + number * HEAP_PAGE);
}

function partialSlot(kind: u32): usize {
  return partial + kind * 2;
}

function addressOf(number: u32): usize {
  return HEAP_START + number * PAGE;
}

/** Blocks and runs in use, for leak checks. */
export function heapBlocks(): u32 {
  return liveBlocks;
}

/** Zeroed memory, 16-byte aligned; 0 when exhausted. */
export function allocate(size: usize): usize {
  if (size > HEAP_SIZE) return 0;
  enterProbed();
  changetype<Mutex>(lock).acquire();
  const address = size > 2048 ? takeRun(<u32>((size + PAGE - 1) / PAGE)) : takeBlock(kindFor(size));
  if (address !== 0) liveBlocks++;
  changetype<Mutex>(lock).release();
  leaveProbed();
  if (address !== 0 && size <= 2048) memory.fill(address, 0, load<u16>(SIZES + (kindFor(size) - 1) * 2));
  return address;
}

export function free(address: usize): void {
  if (address === 0) return;
  enterProbed();
  changetype<Mutex>(lock).acquire();
  liveBlocks--;
  const number = <u32>((address - HEAP_START) / PAGE);
  if (pageAt(number).kind === RUN) giveRun(number);
  else giveBlock(number, address);
  changetype<Mutex>(lock).release();
  leaveProbed();
}

function kindFor(size: usize): u32 {
  let kind: u32 = 1;
  while (load<u16>(SIZES + (kind - 1) * 2) < size) kind++;
  return kind;
}

function takeBlock(kind: u32): usize {
  let number: u32 = load<u16>(partialSlot(kind));
  if (number === 0) {
    const address = takeRun(1);
    if (address === 0) return 0;
    number = <u32>((address - HEAP_START) / PAGE) + 1;
    makeSlab(number - 1, kind);
  }
  const page = pageAt(number - 1);
  const offset: usize = <usize>(page.free - 1) * 16;
  const block = addressOf(number - 1) + offset;
  page.free = load<u16>(block);
  page.used++;
  if (page.free === 0) unlinkPage(page, kind);
  return block;
}

function giveBlock(number: u32, address: usize): void {
  const page = pageAt(number);
  const kind: u32 = page.kind;
  if (page.free === 0) linkPage(number, kind);
  store<u16>(address, page.free);
  page.free = <u16>((address & (PAGE - 1)) / 16 + 1);
  if (--page.used === 0) {
    unlinkPage(page, kind);
    page.kind = <u8>RUN;
    page.used = 1;
    giveRun(number);
  }
}

function makeSlab(number: u32, kind: u32): void {
  const size: usize = load<u16>(SIZES + (kind - 1) * 2);
  const start = addressOf(number);
  const page = pageAt(number);
  page.kind = <u8>kind;
  page.used = 0;
  page.free = 0;
  for (let offset = (PAGE / size - 1) * size; ; offset -= size) {
    store<u16>(start + offset, page.free);
    page.free = <u16>(offset / 16 + 1);
    if (offset === 0) break;
  }
  linkPage(number, kind);
}

function linkPage(number: u32, kind: u32): void {
  const page = pageAt(number);
  const first: u32 = load<u16>(partialSlot(kind));
  page.next = <u16>first;
  page.previous = 0;
  if (first !== 0) pageAt(first - 1).previous = <u16>(number + 1);
  store<u16>(partialSlot(kind), <u16>(number + 1));
}

function unlinkPage(page: HeapPage, kind: u32): void {
  if (page.previous !== 0) pageAt(page.previous - 1).next = page.next;
  else store<u16>(partialSlot(kind), page.next);
  if (page.next !== 0) pageAt(page.next - 1).previous = page.previous;
}

/** `count` mapped, zeroed pages in a row. */
function takeRun(count: u32): usize {
  let start = findRun(count, searchStart, PAGES);
  if (start === PAGES) start = findRun(count, 0, PAGES);
  if (start === PAGES) return 0;
  for (let index: u32 = 0; index < count; index++) {
    const frame = allocateFrame(OWNER_KERNEL_HEAP);
    if (frame === 0) {
      unmapPages(start, index);
      return 0;
    }
    const page = pageAt(start + index);
    page.kind = <u8>CONTINUED;
    page.frame = <u16>(frame >> 12);
    enterTranslation(
      kernelDirectoryAddress(),
      addressOf(start + index) + KERNEL_BASE,
      frame | PTE_WRITE | PTE_PRESENT,
    );
  }
  const first = pageAt(start);
  first.kind = <u8>RUN;
  first.used = <u16>count;
  searchStart = start + count;
  return addressOf(start);
}

function findRun(count: u32, from: u32, end: u32): u32 {
  let length: u32 = 0;
  for (let number = from; number < end; number++) {
    length = pageAt(number).kind === 0 ? length + 1 : 0;
    if (length === count) return number + 1 - count;
  }
  return PAGES;
}

function giveRun(number: u32): void {
  unmapPages(number, pageAt(number).used);
  if (number < searchStart) searchStart = number;
}

function unmapPages(start: u32, count: u32): void {
  if (count === 0) return;
  // The kinds come last: until then nobody may take the addresses.
  const linear = addressOf(start) + KERNEL_BASE;
  removeTranslations(kernelDirectoryAddress(), linear, count * PAGE);
  for (let number = start; number < start + count; number++) {
    const page = pageAt(number);
    const frame: u32 = page.frame;
    page.frame = 0;
    releaseFrame(frame << 12);
    page.kind = 0;
  }
}

/** Physical address of the frame under a page of the heap, 0 for none. At ring 0 too. */
export function heapFrame(address: usize): u32 {
  return (<u32>pageAt(<u32>((address - HEAP_START) / PAGE)).frame) << 12;
}
