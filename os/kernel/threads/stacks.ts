/**
 * Kernel stacks (§5.3.1): slots of address space that grow by faults, kept in a pool and shared by all threads.
 *
 *   slot:  guard page (never mapped) | … grows down … | top page (always mapped while the slot is in use or pooled)
 *
 * Everything here runs at ring 0 or in critical sections; page tables of the region come from the kernel's reserve.
 */

import { KERNEL_BASE, PAGE, STACKS_END, STACKS_START } from "../i386/layout";
import {
  flushPage,
  kernelDirectoryAddress,
  PTE_FRAME,
  PTE_PRESENT,
  PTE_WRITE,
  tableEntry,
  translate,
} from "../i386/paging";
import { allocateFrame, OWNER_KERNEL_STACKS, releaseFrame } from "../memory/frames";

/** Address space of one stack, its guard page included. */
export const STACK_SLOT: usize = 0x200000;
const SLOTS: u32 = 248;

/** Slot numbers of pooled stacks, most recently used last. */
const pool: usize = memory.data(992, 16);
let pooled: u32 = 0;
/** Slots from here on were never used. */
let fresh: u32 = 0;

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

/** Maps the page at a kernel stack's address; false when memory is exhausted. */
export function commitStackPage(address: usize): bool {
  const entry = tableEntry(kernelDirectoryAddress(), address + KERNEL_BASE, true);
  if (entry === 0) return false;
  if (load<u32>(entry) & PTE_PRESENT) return true;
  const frame = allocateFrame(OWNER_KERNEL_STACKS);
  if (frame === 0) return false;
  store<u32>(entry, frame | PTE_WRITE | PTE_PRESENT);
  return true;
}

/** Slot number of a stack with its top page mapped; -1 when memory or slots are exhausted. */
export function takeStack(): u32 {
  if (pooled > 0) return load<u32>(pool + --pooled * 4);
  if (fresh === SLOTS || !commitStackPage(stackTop(fresh) - PAGE)) return -1;
  return fresh++;
}

export function giveStack(slot: u32): void {
  store<u32>(pool + pooled++ * 4, slot);
}

/** Unmaps the pages of a stack below the one that contains `lowest`. Returns how many. */
export function trimStack(lowest: usize): u32 {
  let count: u32 = 0;
  for (let at = (lowest & ~(PAGE - 1)) - PAGE; !inGuardPage(at); at -= PAGE) {
    const entry = tableEntry(kernelDirectoryAddress(), at + KERNEL_BASE, false);
    if (entry === 0 || (load<u32>(entry) & PTE_PRESENT) === 0) break;
    const frame = load<u32>(entry) & PTE_FRAME;
    store<u32>(entry, 0);
    flushPage(at + KERNEL_BASE);
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
  return translate(kernelDirectoryAddress(), address + KERNEL_BASE) !== 0;
}
