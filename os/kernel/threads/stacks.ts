/**
 * Kernel stacks (§5.3.1): slots of address space that grow by faults, kept in a pool and shared by all threads.
 *
 *   slot:  guard page (never mapped) | … grows down … | top page (always mapped while the slot is in use or pooled)
 *
 * Everything here runs at ring 0 or in critical sections. Which frames a stack has is kept in ledgers, one frame for 8 MB of
 * address space (a frame number for every page, 0 for none): page tables may be evicted at any time (i386/vtlb.ts).
 */

import { KERNEL_BASE, PAGE, STACKS_END, STACKS_START } from "../i386/layout";
import { kernelDirectoryAddress, PTE_PRESENT, PTE_WRITE } from "../i386/paging";
import { enterTranslation, removeTranslations } from "../i386/vtlb";
import { allocateFrame, claimFrames, OWNER_KERNEL_STACKS, releaseFrame, window } from "../memory/frames";

/** Address space of one stack, its guard page included. */
export const STACK_SLOT: usize = 0x110000;
const SLOTS: u32 = 1204;
/** Bits of an address below the number of its ledger. */
const LEDGER_REACH: usize = 23;
/** Every thread may need a kernel stack, and the processor one more: no more threads than this. */
export const MOST_THREADS: u32 = SLOTS - 16;

/** Slot numbers of pooled stacks, most recently used last. */
const pool: usize = memory.data(4816, 16);
/** Window address of the ledger by 8 MB of address space. */
const ledgers: usize = memory.data(640, 16);
let pooled: u32 = 0;
/** Slots from here on were never used. */
let fresh: u32 = 0;
let threads: u32 = 0;

export function inKernelStacks(address: usize): bool {
  return address >= STACKS_START && address < STACKS_END;
}

export function slotOf(address: usize): u32 {
  return <u32>((address - STACKS_START) / STACK_SLOT);
}

export function stackTop(slot: u32): usize {
  return STACKS_START + (slot + 1) * STACK_SLOT;
}

export function inGuardPage(address: usize): bool {
  return (address - STACKS_START) % STACK_SLOT < PAGE;
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
  if (stackFrame(address) !== 0) return true;
  if (ledgerEntry(address) === 0) {
    const ledger = allocateFrame(OWNER_KERNEL_STACKS);
    if (ledger === 0) return false;
    store<u32>(ledgers + ((address - STACKS_START) >> LEDGER_REACH) * 4, <u32>window(ledger));
  }
  const frame = allocateFrame(OWNER_KERNEL_STACKS);
  if (frame === 0) return false;
  store<u16>(ledgerEntry(address), <u16>(frame >> 12));
  const page = address & ~(PAGE - 1);
  enterTranslation(kernelDirectoryAddress(), page + KERNEL_BASE, frame | PTE_WRITE | PTE_PRESENT);
  return true;
}

/** Slot number of a stack with its top page mapped; -1 when memory or slots are exhausted. */
export function takeStack(): u32 {
  if (pooled > 0) return load<u32>(pool + --pooled * 4);
  if (fresh === SLOTS || !commitStackPage(stackTop(fresh) - PAGE)) return -1;
  fresh++;
  claimStacks();
  return fresh - 1;
}

/** Tells how many threads there are, so that frames for their kernel stacks are kept. */
export function countThreads(count: u32): void {
  threads = count;
  claimStacks();
}

/** A stack for each thread and the spare one, less those that exist, and the ledgers of their top pages. */
function claimStacks(): void {
  const needed = threads + 2;
  const missing = needed > fresh ? needed - fresh : 0;
  claimFrames(missing + <u32>((missing * STACK_SLOT) >> LEDGER_REACH) + 1);
}

export function giveStack(slot: u32): void {
  store<u32>(pool + pooled++ * 4, slot);
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
  for (let index: u32 = 0; index < pooled; index++) {
    const slot = load<u32>(pool + index * 4);
    count += trimStack(stackTop(slot) - PAGE);
  }
  return count;
}

/** Is the page under a kernel stack address there? */
export function stackPresent(address: usize): bool {
  return stackFrame(address) !== 0;
}
