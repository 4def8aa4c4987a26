/**
 * The scratch page (§5.1.1): what a kernel service reads and writes instead of a bad user address. One per processor.
 *
 * Assumptions: a service runs at ring 1 on the thread that made the call, so every mapping made for it goes away when that
 * thread leaves the processor, or its call ends; the page is then zeroed. The mappings are for the kernel only (no PTE_USER), so no user code can
 * see the page through them, nor, while they last, the page of its own that a service was not to write. A buffer of many pages maps it as often as needed; when the list of mappings is full the oldest ones go,
 * and fault again if they are still wanted.
 */

import { enterCritical, leaveCritical } from "../i386/critical";
import { PAGE } from "../i386/layout";
import { flushAll, flushPage, PTE_PRESENT, PTE_WRITE } from "../i386/paging";
import { dropTranslation, enterTranslation } from "../i386/vtlb";
import { currentDirectory } from "../threads/scheduler";
import { currentThread, PENDING_IN_PROCESS } from "../threads/thread";
import { allocateFrame, OWNER_KERNEL_HEAP, window } from "./frames";

const LIMIT: u32 = 64;
/** Linear addresses of the pages. What was there before comes back by a fault, like anything that page tables lack. */
const mappings: usize = memory.data(256, 16);
let count: u32 = 0;
let frame: u32 = 0;
let hits: u32 = 0;

export function createScratchPage(): void {
  frame = allocateFrame(OWNER_KERNEL_HEAP);
}

export function scratchInUse(): bool {
  return count > 0;
}

/** How often the page was mapped since boot. */
export function scratchHits(): u32 {
  return hits;
}

/** A service meets the bad address `linear` of its caller: it goes on with the scratch page, and its call's end raises the fault. */
export function goToScratch(linear: usize, exhausted: bool): void {
  mapScratch(linear);
  notePending(<u32>linear | PENDING_IN_PROCESS, exhausted);
}

/** Records the first bad address of a call for its end. */
export function notePending(address: u32, exhausted: bool): void {
  const thread = currentThread();
  if (thread.pendingFault !== 0) return;
  thread.pendingFault = address;
  thread.pendingExhausted = exhausted ? 1 : 0;
}

/** Puts the scratch page at an address of the loaded address space. */
export function mapScratch(address: usize): void {
  const page = address & ~(PAGE - 1);
  const flags = enterCritical();
  if (count === LIMIT) removeMappings();
  store<usize>(mappings + count * 4, page);
  count++;
  hits++;
  enterTranslation(currentDirectory(), page, frame | PTE_WRITE | PTE_PRESENT);
  leaveCritical(flags);
}

function removeMappings(): void {
  for (let index: u32 = 0; index < count; index++)
    dropTranslation(currentDirectory(), load<usize>(mappings + index * 4));
  if (count === 1) flushPage(load<usize>(mappings));
  else flushAll();
  count = 0;
}

/** At the end of a call. */
export function leaveScratch(): void {
  const flags = enterCritical();
  if (count !== 0) clearScratch();
  leaveCritical(flags);
}

/** At a context switch, ring 0: removes the mappings and zeroes the page. */
export function clearScratch(): void {
  removeMappings();
  memory.fill(window(frame), 0, PAGE);
}
