/**
 * Physical page frames: one reference count and one owner each. Free frames are chained through the table, so taking and
 * giving back are a few instructions, in sections that first-level handlers may use too.
 *
 * Some free frames are spoken for. Every thread may need a kernel stack at any moment, and a context switch cannot fail: so as many
 * frames are kept as threads could still ask for (`claimFrames`). Above those, programs cannot have the last `RESERVE` and the kernel's
 * heap not the last half of it, so that the kernel can still report and end what exhausted memory.
 */

import { enterCritical, leaveCritical } from "../i386/critical";
import { PAGE, WINDOW_SIZE, WINDOW_START } from "../i386/layout";
import { TIME_MEAN, type TimeMean } from "./time-mean";

export const OWNER_FREE: u32 = 0;
export const OWNER_KERNEL_IMAGE: u32 = 1;
export const OWNER_KERNEL_HEAP: u32 = 2;
export const OWNER_BOOT_ARCHIVE: u32 = 3;
export const OWNER_PAGE_TABLES: u32 = 4;
export const OWNER_KERNEL_STACKS: u32 = 5;
/** Owners from here on are programs, but for the last. */
export const OWNER_USER_STACKS: u32 = 6;
export const OWNER_IMAGE_CODE: u32 = 7;
export const OWNER_IMAGE_DATA: u32 = 8;
export const OWNER_ANONYMOUS: u32 = 9;
/** What kernel stacks need besides: their ledgers, and page tables that must stay (i386/vtlb.ts). */
export const OWNER_STACK_TABLES: u32 = 10;
const OWNERS: usize = 11;

const RESERVE: u32 = 16;

/** Free frames that belong to kernel stacks which threads may still need. */
let claimed: u32 = 0;

/** One entry of the frame table. */
@unmanaged
class Frame {
  /** Number of the next free frame, 0 at the end; unused while the frame is in use. */
  next: u32 = 0;
  references: u16 = 0;
  owner: u8 = 0;
}

const counts: usize = memory.data(44, 16);
/** Frames of kernel stacks, then of user stacks, over time. */
const stackMeans: usize = memory.data(64, 16);
let table: usize = 0;
let frames: u32 = 0;
let managed: u32 = 0;
let firstFree: u32 = 0;
/** Fewest free frames at the times when one was given back, since `restartPeak`. */
let fewestFree: u32 = 0xffffffff;

function frameAt(number: u32): Frame {
  return changetype<Frame>(table + number * 8);
}

function countSlot(owner: u32): usize {
  return counts + owner * 4;
}

/** An owner has `count` frames. In a critical section. */
function setCount(owner: u32, count: u32): void {
  store<u32>(countSlot(owner), count);
  if (owner === OWNER_KERNEL_STACKS || owner === OWNER_USER_STACKS) stackMean(owner).set(count);
}

function stackMean(owner: u32): TimeMean {
  return changetype<TimeMean>(stackMeans + (owner - OWNER_KERNEL_STACKS) * TIME_MEAN);
}

/**
 * Sets the table up for `end` bytes of memory. `tableAddress` is where it goes (window address, zeroed here); every frame counts as not there until
 * `addFrames` names it. Returns the window address after the table.
 */
export function createFrameTable(end: u32, tableAddress: usize): usize {
  frames = (end < <u32>WINDOW_SIZE ? end : <u32>WINDOW_SIZE) >> 12;
  table = tableAddress;
  memory.fill(table, 0, frames * 8);
  return (table + frames * 8 + PAGE - 1) & ~(PAGE - 1);
}

/** Puts the whole frames of a physical range under management, as free or with an owner that keeps them for good. */
export function addFrames(start: u32, end: u32, owner: u32): void {
  const last = end >> 12 < frames ? end >> 12 : frames;
  for (let number = (start + 4095) >> 12; number < last; number++) {
    const frame = frameAt(number);
    if (frame.owner !== 0 || frame.references !== 0) continue;
    managed++;
    store<u32>(countSlot(owner), load<u32>(countSlot(owner)) + 1);
    if (owner === OWNER_FREE) {
      frame.next = firstFree;
      firstFree = number;
    } else {
      frame.owner = <u8>owner;
      frame.references = 1;
    }
  }
}

/** How many free frames an owner must leave. */
function keptFrom(owner: u32): u32 {
  if (owner === OWNER_KERNEL_STACKS || owner === OWNER_STACK_TABLES) return 0;
  return claimed + (owner >= OWNER_USER_STACKS ? RESERVE : RESERVE / 2);
}

/** Keeps `count` frames for kernel stacks. */
export function claimFrames(count: u32): void {
  claimed = count;
}

/** Are there more frames than `count` beyond those kept for kernel stacks? */
export function framesToSpare(count: u32 = 0): bool {
  return load<u32>(countSlot(OWNER_FREE)) > claimed + RESERVE / 2 + count;
}

/** A zeroed frame: its physical address, or 0 when memory is exhausted for this kind of owner. */
export function allocateFrame(owner: u32): u32 {
  const flags = enterCritical();
  const number = firstFree;
  const free = load<u32>(countSlot(OWNER_FREE));
  if (number === 0 || free <= keptFrom(owner)) {
    leaveCritical(flags);
    return 0;
  }
  const frame = frameAt(number);
  firstFree = frame.next;
  frame.references = 1;
  frame.owner = <u8>owner;
  store<u32>(countSlot(OWNER_FREE), free - 1);
  setCount(owner, load<u32>(countSlot(owner)) + 1);
  leaveCritical(flags);
  memory.fill(window(number << 12), 0, PAGE);
  return number << 12;
}

/** One more reference to a frame in use. */
export function shareFrame(physical: u32): void {
  const flags = enterCritical();
  frameAt(physical >> 12).references++;
  leaveCritical(flags);
}

/** Drops one reference; the last one frees the frame. */
export function releaseFrame(physical: u32): void {
  const number = physical >> 12;
  const frame = frameAt(number);
  const flags = enterCritical();
  if (--frame.references === 0) {
    const owner: u32 = frame.owner;
    frame.owner = <u8>OWNER_FREE;
    frame.next = firstFree;
    firstFree = number;
    const free = load<u32>(countSlot(OWNER_FREE));
    store<u32>(countSlot(OWNER_FREE), free + 1);
    if (free < fewestFree) fewestFree = free;
    setCount(owner, load<u32>(countSlot(owner)) - 1);
  }
  leaveCritical(flags);
}

export function frameCount(owner: u32): u32 {
  return owner < OWNERS ? load<u32>(countSlot(owner)) : 0;
}

/** Most frames that kernel or user stacks ever had. */
export function peakFrames(owner: u32): u32 {
  return stackMean(owner).peak;
}

/** Mean over the time since boot of the frames of kernel or user stacks, in thousandths. */
export function meanFrames(owner: u32): u32 {
  const flags = enterCritical();
  const mean = stackMean(owner).mean();
  leaveCritical(flags);
  return mean;
}

/** Most frames in use since `restartPeak` (or boot). */
export function peakInUse(): u32 {
  return managed - min<u32>(fewestFree, freeFrames());
}

export function restartPeak(): void {
  fewestFree = 0xffffffff;
}

export function totalFrames(): u32 {
  return managed;
}

export function freeFrames(): u32 {
  return load<u32>(countSlot(OWNER_FREE));
}

/** Kernel virtual address of a physical one. */
export function window(physical: u32): usize {
  return WINDOW_START + physical;
}
