/**
 * The scratch page (§5.1.1): what a kernel service reads and writes instead of a bad user address. One per processor.
 *
 * Assumptions: a service runs at ring 1 on the thread that made the call, so every mapping made for it goes away when that
 * thread leaves the processor; the page is then zeroed. The mappings are for the kernel only (no PTE_USER), so no user code can see the page
 * through them. A buffer of many pages maps it as often as needed; when the list of mappings is full the oldest ones go,
 * and fault again if they are still wanted.
 */

import { enterCritical, leaveCritical } from "../i386/critical";
import { PAGE } from "../i386/layout";
import { flushAll, flushPage, PTE_PRESENT, PTE_WRITE, tableEntry } from "../i386/paging";
import { currentDirectory } from "../threads/scheduler";
import { allocateFrame, OWNER_KERNEL_HEAP, window } from "./frames";

const LIMIT: u32 = 64;
/** Pairs: address of the page-table entry, its value before. */
const mappings: usize = memory.data(512, 16);
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

/** Puts the scratch page at a user address of the loaded address space. False when there is no memory for a page table. */
export function mapScratch(address: usize): bool {
  const entry = tableEntry(currentDirectory(), address & ~(PAGE - 1), true);
  if (entry === 0) return false;
  const flags = enterCritical();
  if (count === LIMIT) removeMappings();
  store<usize>(mappings + count * 8, entry);
  store<u32>(mappings + count * 8, load<u32>(entry), 4);
  count++;
  hits++;
  store<u32>(entry, frame | PTE_WRITE | PTE_PRESENT);
  leaveCritical(flags);
  flushPage(address & ~(PAGE - 1));
  return true;
}

function removeMappings(): void {
  // Backwards, so that a page mapped twice ends with its first value.
  for (let index = count; index > 0; index--) {
    const pair = mappings + (index - 1) * 8;
    store<u32>(load<usize>(pair), load<u32>(pair, 4));
  }
  count = 0;
  flushAll();
}

/**
 * Before the thread changes page-table entries of its space otherwise: a page that ends must give back its own frame, not this
 * one. Accesses that come later fault again.
 */
export function dropScratch(): void {
  const flags = enterCritical();
  if (count > 0) clearScratch();
  leaveCritical(flags);
}

/** At a context switch, ring 0: removes the mappings and zeroes the page. */
export function clearScratch(): void {
  removeMappings();
  memory.fill(window(frame), 0, PAGE);
}
