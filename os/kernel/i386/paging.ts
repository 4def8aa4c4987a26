/**
 * Page tables of the i386: two levels, 4 KB pages, 4 MB pages for the window on physical memory.
 *
 * Assumptions: page directories and tables are reached through the physical window, so editing them never faults. The
 * kernel's half (entries 512 to 1023) is the same in all directories: a table there is entered in each of them at once, and taken
 * out of each. Page tables themselves are the cache of vtlb.ts.
 */

import { allocateFrame, OWNER_PAGE_TABLES, releaseFrame } from "../memory/frames";
import { currentDirectory } from "../threads/scheduler";
import { FLUSH_ALL, FLUSH_PAGE, privateTrap } from "../threads/traps";
import { enterCritical, leaveCritical } from "./critical";
import { isPrivileged } from "./design";
import { KERNEL_BASE, PAGE, WINDOW_SIZE, WINDOW_START } from "./layout";

export const PTE_PRESENT: u32 = 1;
export const PTE_WRITE: u32 = 2;
export const PTE_USER: u32 = 4;
export const PTE_UNCACHED: u32 = 0x10;
/** Set by the processor when it uses the entry. */
export const PTE_ACCESSED: u32 = 0x20;
const PTE_LARGE: u32 = 0x80;
export const PTE_FRAME: u32 = 0xfffff000;

const directoryArea: usize = memory.data(8192, 16);

/** Physical address of the kernel's own directory. */
let kernelDirectory: u32 = 0;
/** All other directories. Their records are where no page table can be missing (memory/records.ts). */
let directories: usize = 0;

/** A directory in use: first words of a `Space`. */
@unmanaged
export class Directory {
  /** Physical address. */
  physical: u32 = 0;
  next: Directory | null = null;
  previous: Directory | null = null;
}

function roundToPage(address: usize): usize {
  return (address + PAGE - 1) & ~(PAGE - 1);
}

/**
 * The first directory, built before paging is on: the window in 4 MB pages, and the first 4 MB at its physical address
 * for the instructions around the switch.
 */
export function buildFirstDirectory(): u32 {
  const directory = roundToPage(directoryArea);
  for (let offset: usize = 0; offset < WINDOW_SIZE; offset += 0x400000) {
    const linear = WINDOW_START + KERNEL_BASE + offset;
    store<u32>(directory + (linear >> 22) * 4, <u32>offset | PTE_LARGE | PTE_WRITE | PTE_PRESENT);
  }
  store<u32>(directory, PTE_LARGE | PTE_WRITE | PTE_PRESENT);
  kernelDirectory = <u32>(directory - WINDOW_START);
  return kernelDirectory;
}

/** Takes the low 4 MB away again. */
export function endFirstMapping(): void {
  store<u32>(directoryOf(kernelDirectory), 0);
  writeControl3(kernelDirectory);
}

export function kernelDirectoryAddress(): u32 {
  return kernelDirectory;
}

function directoryOf(physical: u32): usize {
  return WINDOW_START + physical;
}

/** A directory with an empty user half; 0 when memory is exhausted. */
export function createDirectory(list: Directory): bool {
  const physical = allocateFrame(OWNER_PAGE_TABLES);
  if (physical === 0) return false;
  const flags = enterCritical();
  memory.copy(directoryOf(physical) + 2048, directoryOf(kernelDirectory) + 2048, 2048);
  list.physical = physical;
  const first = changetype<Directory | null>(directories);
  list.next = first;
  if (first) first.previous = list;
  directories = changetype<usize>(list);
  leaveCritical(flags);
  return true;
}

/** Gives back a directory. It is not loaded, and its tables have gone before. */
export function destroyDirectory(list: Directory): void {
  const flags = enterCritical();
  const next = list.next;
  const previous = list.previous;
  if (previous) previous.next = next;
  else directories = changetype<usize>(next);
  if (next) next.previous = previous;
  leaveCritical(flags);
  releaseFrame(list.physical);
}

/** Writes an entry of the kernel's half in every directory. In a critical section. */
export function setKernelEntry(index: u32, entry: u32): void {
  const offset = index * 4;
  store<u32>(directoryOf(kernelDirectory) + offset, entry);
  for (let at = directories; at !== 0; at = changetype<usize>(changetype<Directory>(at).next)) {
    store<u32>(directoryOf(changetype<Directory>(at).physical) + offset, entry);
  }
}

/** Physical address of the directory that the processor uses. */
export function loadedDirectoryAddress(): u32 {
  return currentDirectory();
}

/** Physical address under a linear one, or 0. Works at ring 0. */
export function translate(directory: u32, linear: usize): u32 {
  const entry = load<u32>(directoryOf(directory) + (linear >> 22) * 4);
  if ((entry & PTE_PRESENT) === 0) return 0;
  if (entry & PTE_LARGE) return (entry & 0xffc00000) | (<u32>linear & 0x3fffff);
  const page = load<u32>(WINDOW_START + (entry & PTE_FRAME) + ((linear >> 12) & 1023) * 4);
  if ((page & PTE_PRESENT) === 0) return 0;
  return (page & PTE_FRAME) | (<u32>linear & 0xfff);
}

/** Forgets a translation of the loaded address space, at any ring. */
export function flushPage(linear: usize): void {
  if (isPrivileged()) invalidatePage(linear - KERNEL_BASE);
  else privateTrap(FLUSH_PAGE, <u32>linear, 0, 0);
}

export function flushAll(): void {
  if (isPrivileged()) writeControl3(readControl3());
  else privateTrap(FLUSH_ALL, 0, 0, 0);
}
