/**
 * The virtual translation lookaside buffer (§6): page tables as a cache of bounded size. What a region, the heap or a kernel stack has
 * resident is known to its owner; the tables here hold copies of that, so any of them can go, the kernel's too. A fault then
 * brings the translation back (memory/refill.ts).
 *
 *   tables:  [0, used) map something | [used, held) spare frames | up to `bound`
 *
 * Assumptions: the processor does not cache absent entries, so only edits of present ones flush. Tables go in a
 * circle, those excepted that were used since the hand last passed (the processor marks them in the directory). At worst that is first
 * in, first out: after as many refills as there are tables everything that one instruction needs is there, so LEAST bounds
 * what one may need.
 *
 * Every function works at first level, and at thread level in a critical section of its own. At first level nothing here touches memory that can fault.
 */

import { print, printNumber } from "../console";
import { panic } from "../epitaph";
import { allocateFrame, OWNER_PAGE_TABLES, OWNER_STACK_TABLES, releaseFrame } from "../memory/frames";
import { MAKE_TABLE, privateTrap } from "../threads/traps";
import { enterCritical, leaveCritical } from "./critical";
import { atFirstLevel, TRAPS_RING0, trapDesign } from "./design";
import { KERNEL_BASE, KERNEL_LINEAR, PAGE, STACKS_END, STACKS_START, WINDOW_START } from "./layout";
import { option, optionNumber } from "./options";
import {
  flushAll,
  flushPage,
  kernelDirectoryAddress,
  loadedDirectoryAddress,
  PTE_ACCESSED,
  PTE_FRAME,
  PTE_PRESENT,
  PTE_USER,
  PTE_WRITE,
  setKernelEntry,
} from "./paging";

/**
 * Six tables hold what an instruction touches when code, source and destination lie across the borders of tables; up to four
 * of the heap hold what a refill reads. os/kernel/README.md argues that fewer may not do.
 */
const LEAST: u32 = 10;
const MOST: u32 = 1024;
/** Bytes that one table maps. */
const REACH: usize = 0x400000;

/** A page table in the cache. */
@unmanaged
class CachedTable {
  physical: u32 = 0;
  /** Physical address of its directory; the kernel's for all of the upper half. */
  directory: u32 = 0;
  /** Index in the directory. */
  index: u32 = 0;
}
const CACHED_TABLE: usize = 12;

const tables: usize = memory.data(12288, 16);
/** Set at boot. */
let bound: u32 = 0;
let used: u32 = 0;
let held: u32 = 0;
/** The table that is asked next whether it was used. */
let hand: u32 = 0;
let evictions: u32 = 0;
let refills: u32 = 0;

function tableAt(slot: u32): CachedTable {
  return changetype<CachedTable>(tables + slot * CACHED_TABLE);
}

export function vtlbBound(): u32 {
  return bound;
}

export function vtlbTables(): u32 {
  return used;
}

/** Tables that were taken away to make room for others, since boot. */
export function vtlbEvictions(): u32 {
  return evictions;
}

/** Translations that were brought back for memory that was resident, since boot. */
export function vtlbRefills(): u32 {
  return refills;
}

export function noteRefill(): void {
  refills++;
}

/** At boot: reads `vtlb=N` from the kernel's command line, and takes the frames that are the cache's for good. */
export function configureVtlb(commandLine: usize): void {
  const value = option(commandLine, text("vtlb"));
  bound = MOST;
  if (value !== 0) {
    const wanted = optionNumber(value);
    if (wanted < LEAST) {
      print(text("vtlb="));
      printNumber(wanted);
      print(text(" is too few page tables; the least that can work is "));
      printNumber(LEAST);
      panic(text("\nboot with a larger vtlb"));
    }
    bound = min<u32>(wanted, MOST);
  }
  for (; held < LEAST; held++) tableAt(held).physical = allocateFrame(OWNER_PAGE_TABLES);
}

function directoryEntry(directory: u32, index: u32): usize {
  return WINDOW_START + directory + index * 4;
}

function homeOf(directory: u32, linear: usize): u32 {
  return linear >= KERNEL_LINEAR ? kernelDirectoryAddress() : directory;
}

/** Address of the page-table entry for a linear address, 0 if there is no table. In a critical section. */
function entryAddress(directory: u32, linear: usize): usize {
  const entry = load<u32>(directoryEntry(homeOf(directory, linear), <u32>(linear >> 22)));
  if ((entry & PTE_PRESENT) === 0) return 0;
  return WINDOW_START + (entry & PTE_FRAME) + ((linear >> 12) & 1023) * 4;
}

/** The page-table entry for a linear address outside of the window; 0 if there is none. */
export function translationAt(directory: u32, linear: usize): u32 {
  const flags = enterCritical();
  const address = entryAddress(directory, linear);
  const entry = address === 0 ? 0 : load<u32>(address);
  leaveCritical(flags);
  return entry;
}

/** Enters a translation, making room for it if need be; returns what was there before. */
export function enterTranslation(directory: u32, linear: usize, entry: u32): u32 {
  const home = homeOf(directory, linear);
  const slot = WINDOW_START + home + (linear >> 22) * 4;
  const flags = enterCritical();
  let table = load<u32>(slot);
  while ((table & PTE_PRESENT) === 0) {
    // At thread level the table that goes may be that of the stack in use.
    if (atFirstLevel()) makeTable(home, <u32>(linear >> 22));
    else privateTrap(MAKE_TABLE, home, <u32>(linear >> 22), 0);
    table = load<u32>(slot);
  }
  const address = WINDOW_START + (table & PTE_FRAME) + ((linear >> 12) & 1023) * 4;
  const before = load<u32>(address);
  store<u32>(address, entry);
  leaveCritical(flags);
  if (before & PTE_PRESENT && before !== entry) flushPage(linear);
  return before;
}

/** Forgets the translation of a page; the caller flushes it. */
export function dropTranslation(directory: u32, linear: usize): void {
  const flags = enterCritical();
  const entry = entryAddress(directory, linear);
  if (entry !== 0) store<u32>(entry, 0);
  leaveCritical(flags);
}

/** Forgets all translations of a page-aligned range, which does not wrap. */
export function removeTranslations(directory: u32, linear: usize, size: usize): void {
  const last = linear + size - PAGE;
  let removed: u32 = 0;
  let lastRemoved: usize = 0;
  for (let at = linear; ; ) {
    const border = at | (REACH - PAGE);
    const to = min<usize>(border, last);
    const flags = enterCritical();
    let entry = entryAddress(directory, at);
    if (entry !== 0) {
      for (let page = at; ; page += PAGE) {
        if (load<u32>(entry) !== 0) {
          store<u32>(entry, 0);
          removed++;
          lastRemoved = page;
        }
        if (page === to) break;
        entry += 4;
      }
    }
    leaveCritical(flags);
    if (to === last) break;
    at = to + PAGE;
  }
  if (removed === 1) flushPage(lastRemoved);
  else if (removed !== 0) flushAll();
}

/** Gives up all tables of a directory's user half. It is not loaded. */
export function dropTables(directory: u32): void {
  const flags = enterCritical();
  for (let slot = used; slot > 0; slot--) {
    const table = tableAt(slot - 1);
    if (table.directory !== directory) continue;
    const physical = table.physical;
    used--;
    memory.copy(changetype<usize>(table), changetype<usize>(tableAt(used)), CACHED_TABLE);
    tableAt(used).physical = physical;
  }
  while (held > LEAST && held > used) releaseFrame(tableAt(--held).physical);
  if (hand >= used) hand = 0;
  leaveCritical(flags);
}

/** Where a trap pushes on the kernel stack in use, a missing table of it would be a fault that finds no stack: such tables are none of the cache. */
function mustStay(index: u32): bool {
  const linear = (<usize>index) << 22;
  return (
    trapDesign() === TRAPS_RING0 && linear - KERNEL_BASE >= STACKS_START && linear - KERNEL_BASE < STACKS_END
  );
}

/** At first level: puts an empty table into the directory, a new one, or somebody else's when the bound is reached or no frame is left. */
export function makeTable(directory: u32, index: u32): void {
  const physical = mustStay(index) ? tableForGood() : cachedTable(directory, index);
  memory.fill(WINDOW_START + physical, 0, PAGE);
  const kernel = directory === kernelDirectoryAddress();
  setEntry(directory, index, physical | PTE_ACCESSED | PTE_WRITE | PTE_PRESENT | (kernel ? 0 : PTE_USER));
}

/** A table outside of the cache. */
function tableForGood(): u32 {
  const physical = allocateFrame(OWNER_STACK_TABLES);
  if (physical === 0) panic(text("no memory for the page table of a kernel stack"));
  return physical;
}

/** A table that the cache maps something with from now on. */
function cachedTable(directory: u32, index: u32): u32 {
  if (used === held && held < bound) {
    const physical = allocateFrame(OWNER_PAGE_TABLES);
    if (physical !== 0) tableAt(held++).physical = physical;
  }
  const table = tableAt(used < held ? used++ : evict());
  table.directory = directory;
  table.index = index;
  return table.physical;
}

function setEntry(directory: u32, index: u32, entry: u32): void {
  if (directory === kernelDirectoryAddress()) setKernelEntry(index, entry);
  else store<u32>(directoryEntry(directory, index), entry);
}

/** Takes a table that was not used lately out of its directory; returns its slot. */
function evict(): u32 {
  while (wasUsed(tableAt(hand))) hand = hand + 1 < used ? hand + 1 : 0;
  const slot = hand;
  hand = hand + 1 < used ? hand + 1 : 0;
  const table = tableAt(slot);
  setEntry(table.directory, table.index, 0);
  // Also when none of this table is cached: what is must be looked up anew, or it would not be marked when it is used.
  flushAll();
  evictions++;
  return slot;
}

/** Was the table used since this was last asked? Of the kernel's tables only the loaded directory tells. */
function wasUsed(table: CachedTable): bool {
  const kernel = table.directory === kernelDirectoryAddress();
  const address = directoryEntry(kernel ? loadedDirectoryAddress() : table.directory, table.index);
  const entry = load<u32>(address);
  store<u32>(address, entry & ~PTE_ACCESSED);
  return (entry & PTE_ACCESSED) !== 0;
}
