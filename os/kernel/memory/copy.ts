/** Reading and writing other spaces through the window on physical memory, and what is under an address. */

import { E_ACCESSDENIED, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, leaveCritical } from "../i386/critical";
import { PAGE, WINDOW_START } from "../i386/layout";
import { PTE_FRAME } from "../i386/paging";
import { inKernelStacks, stackFrame, stackPresent } from "../threads/stacks";
import { commitPage, readyWord, residentEntry } from "./commit";
import { RESIDENT_FRAME } from "./frame-tree";
import { releaseFrame, shareFrame, window } from "./frames";
import { accessible, FAULT_WRITE } from "./refill";
import { findRegion, REGION_DEVICE, REGION_IMAGE_CODE, REGION_ONE_FRAME } from "./regions";
import { kernelSpace, lockSpace, type Space, unlockSpace } from "./space";

/** Physical address under `address`, 0 if no page is there yet or all access to it is denied. */
export function frameAt(space: Space, address: usize): u32 {
  const flags = enterCritical();
  const entry = residentEntry(space, address);
  leaveCritical(flags);
  return entry === 0 ? 0 : (entry & PTE_FRAME) | (<u32>address & (<u32>PAGE - 1));
}

/** What is to be done with memory of a space: what its program may do, or what the loader must in spite of the program's rights. */
const READ: u32 = 0;
const WRITE: u32 = 1;
const PATCH: u32 = 2;

/** Window address of the page at `address`, committed for that access; 0 if it is not allowed or memory is exhausted. The space is locked. */
function reach(space: Space, address: usize, access: u32): usize {
  const write = access !== READ;
  const region =
    access === PATCH ? findRegion(space, address) : accessible(space, address, write ? FAULT_WRITE : 0);
  if (!region || region.kind === REGION_DEVICE) return 0;
  // Frames of others, whatever is asked for.
  if (write && (region.kind === REGION_IMAGE_CODE || region.kind === REGION_ONE_FRAME)) return 0;
  let word = readyWord(region, address, write);
  if (word === 0) word = commitPage(space, region, address, write);
  return word === 0 ? 0 : window(word & RESIDENT_FRAME) + (address & (PAGE - 1));
}

/**
 * Physical address of a word of a space that its program may write, with a reference to its frame that keeps it there even when the word's
 * region ends; 0 if the space has no such word or memory is exhausted. Thread level.
 */
export function holdWord(space: Space, address: usize): u32 {
  if (address & 3) return 0;
  lockSpace(space);
  let there = reach(space, address, WRITE);
  if (there === 0 && space === kernelSpace() && inKernelStacks(address) && stackPresent(address))
    there = window(stackFrame(address)) + (address & (PAGE - 1));
  const physical = there === 0 ? 0 : <u32>(there - WINDOW_START);
  if (physical !== 0) shareFrame(physical);
  unlockSpace(space);
  return physical;
}

/** Gives back what `holdWord` keeps. */
export function dropWord(physical: u32): void {
  releaseFrame(physical);
}

function copyPages(space: Space, address: usize, kernelAddress: usize, size: u32, access: u32): HRESULT {
  let result: HRESULT = S_OK;
  let done: u32 = 0;
  lockSpace(space);
  while (done < size) {
    const there = reach(space, address + done, access);
    if (there === 0) {
      result = E_ACCESSDENIED;
      break;
    }
    const room = <u32>(PAGE - (there & (PAGE - 1)));
    const length = min<u32>(size - done, room);
    if (access !== READ) memory.copy(there, kernelAddress + done, length);
    else memory.copy(kernelAddress + done, there, length);
    done += length;
  }
  unlockSpace(space);
  return result;
}

/**
 * Copies from kernel memory (present, not in a region of `space`) to where the space's program may write. E_ACCESSDENIED: the pages before the
 * one that it may not write are written, as by a program that stores the same.
 */
export function copyToSpace(space: Space, address: usize, source: usize, size: u32): HRESULT {
  return copyPages(space, address, source, size, WRITE);
}

/** The same for the loader: to a space's own pages of any protection, but not to frames that others have too. */
export function patchSpace(space: Space, address: usize, source: usize, size: u32): HRESULT {
  return copyPages(space, address, source, size, PATCH);
}

/** E_ACCESSDENIED where the space's program may not read. */
export function copyFromSpace(space: Space, address: usize, destination: usize, size: u32): HRESULT {
  return copyPages(space, address, destination, size, READ);
}
