/**
 * Kernel stacks (§5.3.1): slots of address space that grow by faults, kept in a pool and shared by all threads.
 *
 *   slot:  guard page (never mapped) | … grows down … | top page (always mapped while the slot is in use or pooled)
 *
 * Stacks that do not grow (stack-policy.ts) have all their pages while the slot is in use or pooled; below those is guard.
 *
 * Everything here runs at first level or in critical sections. Which frames a stack has is kept in ledgers, one frame for 8 MB of
 * address space (a frame number for every page, 0 for none): page tables may be evicted at any time (i386/vtlb.ts).
 */

import { TRAPS_RING0, trapDesign } from "../i386/design";
import { KERNEL_BASE, PAGE, STACKS_END, STACKS_START } from "../i386/layout";
import { kernelDirectoryAddress, PTE_PRESENT, PTE_WRITE } from "../i386/paging";
import { enterTranslation, removeTranslations } from "../i386/vtlb";
import {
  allocateFrame,
  claimFrames,
  OWNER_KERNEL_STACKS,
  OWNER_STACK_TABLES,
  releaseFrame,
  window,
} from "../memory/frames";
import type { TimeMean } from "../memory/time-mean";
import { dedicatedStacks, firstPages, stacksGrow } from "./stack-policy";

/** Address space of one stack, its guard page included. */
export const STACK_SLOT: usize = 0x110000;
const SLOTS: u32 = 1204;
/** Bits of an address below the number of its ledger. */
const LEDGER_REACH: usize = 23;
/** Every thread may need a kernel stack, and the processor one more: no more threads than this. */
export const MOST_THREADS: u32 = SLOTS - 16;

/** Pooled stacks beyond what the threads there are may need, so that a thread that comes and goes makes none. */
const SPARE_STACKS: u32 = 8;

/** Tops of stacks: of pooled ones from the start, most recently used last; of those without pages from the end. */
const pool: usize = memory.data(4816, 16);
/** Window address of the ledger by 8 MB of address space. */
const ledgers: usize = memory.data(640, 16);
let pooled: u32 = 0;
let empty: u32 = 0;
/** Slots from here on were never used. */
let fresh: u32 = 0;
/** Threads there are, over time. */
const threads: usize = memory.data(32, 16);
let deepest: u32 = 0;

export function inKernelStacks(address: usize): bool {
  return address >= STACKS_START && address < STACKS_END;
}

export function slotOf(address: usize): u32 {
  return <u32>((address - STACKS_START) / STACK_SLOT);
}

export function stackTop(slot: u32): usize {
  return STACKS_START + (slot + 1) * STACK_SLOT;
}

/** Is this where the stack cannot grow to: its guard page, or all that it does not have from the start? */
export function inGuardPage(address: usize): bool {
  const offset = (address - STACKS_START) % STACK_SLOT;
  return offset < PAGE || (!stacksGrow() && offset < STACK_SLOT - firstPages() * PAGE);
}

/** Bytes that a kernel stack may come to have. */
export function kernelStackLimit(): u32 {
  return stacksGrow() ? <u32>(STACK_SLOT - PAGE) : firstPages() * <u32>PAGE;
}

/** Most pages that one kernel stack ever had. */
export function deepestStack(): u32 {
  return deepest;
}

/** Address of the ledger's entry for a stack page, 0 if the slot has no ledger yet. */
function ledgerEntry(address: usize): usize {
  const page = (address - STACKS_START) >> 12;
  const ledger: usize = load<u32>(ledgers + (page >> 11) * 4);
  return ledger === 0 ? 0 : ledger + (page & 2047) * 2;
}

/** Physical address of the frame under a kernel stack's page, 0 for none. */
export function stackFrame(address: usize): u32 {
  const entry = ledgerEntry(address);
  return entry === 0 ? 0 : (<u32>load<u16>(entry)) << 12;
}

/** Maps the page at a kernel stack's address; false when memory is exhausted. */
export function commitStackPage(address: usize): bool {
  let entry = ledgerEntry(address);
  if (entry === 0) {
    const ledger = allocateFrame(OWNER_STACK_TABLES);
    if (ledger === 0) return false;
    store<u32>(ledgers + ((address - STACKS_START) >> LEDGER_REACH) * 4, <u32>window(ledger));
    entry = ledgerEntry(address);
  }
  if (load<u16>(entry) !== 0) return true;
  const frame = allocateFrame(OWNER_KERNEL_STACKS);
  if (frame === 0) return false;
  store<u16>(entry, <u16>(frame >> 12));
  const page = address & ~(PAGE - 1);
  const depth = <u32>((stackTop(slotOf(page)) - page) / PAGE);
  if (depth > deepest) deepest = depth;
  enterTranslation(kernelDirectoryAddress(), page + KERNEL_BASE, frame | PTE_WRITE | PTE_PRESENT);
  return true;
}

/** Top of a stack with its first pages mapped; 0 when memory or slots are exhausted. */
export function takeStack(): usize {
  if (pooled > 0) return load<usize>(pool + --pooled * 4);
  if (empty === 0 && fresh === SLOTS) return 0;
  const top = empty > 0 ? load<usize>(emptyStack(empty)) : stackTop(fresh);
  for (let page: u32 = 1; page <= firstPages(); page++) if (!commitStackPage(top - page * PAGE)) return 0;
  if (empty > 0) empty--;
  else fresh++;
  claimStacks();
  return top;
}

/** Where the `number`-th stack without pages stands, from 1 on. */
function emptyStack(number: u32): usize {
  return pool + (SLOTS - number) * 4;
}

/** Stacks that threads may come to need at once. */
function neededStacks(): u32 {
  return threadsOverTime().value + 2;
}

/** Tells how many threads there are, so that frames for their kernel stacks are kept. */
export function countThreads(count: u32): void {
  threadsOverTime().set(count);
  claimStacks();
}

/** In a critical section. */
export function threadsOverTime(): TimeMean {
  return changetype<TimeMean>(threads);
}

/** A stack for each thread and the spare one, less those that exist, and the tables of their slots. Dedicated ones exist as their threads do. */
function claimStacks(): void {
  const needed = neededStacks();
  const there = fresh - empty;
  const missing = dedicatedStacks() || needed <= there ? 0 : needed - there;
  // For 8 MB a ledger and, where page tables of stacks must stay, two of those.
  const tables: u32 = trapDesign() === TRAPS_RING0 ? 3 : 1;
  claimFrames(missing * firstPages() + (<u32>((missing * STACK_SLOT) >> LEDGER_REACH) + 1) * tables);
}

/** Gives a stack back to the pool, or its pages if there are enough stacks without it. */
export function giveStack(top: usize): void {
  if (fresh - empty <= neededStacks() + SPARE_STACKS) {
    store<usize>(pool + pooled++ * 4, top);
    return;
  }
  trimStack(top);
  store<usize>(emptyStack(++empty), top);
}

/** Unmaps the pages of a stack below the one that contains `lowest`. Returns how many. */
export function trimStack(lowest: usize): u32 {
  let count: u32 = 0;
  for (let at = (lowest & ~(PAGE - 1)) - PAGE; !inGuardPage(at); at -= PAGE) {
    const frame = stackFrame(at);
    if (frame === 0) break;
    store<u16>(ledgerEntry(at), 0);
    removeTranslations(kernelDirectoryAddress(), at + KERNEL_BASE, PAGE);
    releaseFrame(frame);
    count++;
  }
  return count;
}

/** Trims every pooled stack to its top page. */
export function trimPool(): u32 {
  let count: u32 = 0;
  for (let index: u32 = 0; index < pooled; index++) count += trimStack(load<usize>(pool + index * 4) - PAGE);
  return count;
}

/** Is the page under a kernel stack address there? */
export function stackPresent(address: usize): bool {
  return stackFrame(address) !== 0;
}
