/** Reading and writing other spaces through the window on physical memory, and what is under an address. */

import { PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_ACCESSDENIED, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, leaveCritical } from "../i386/critical";
import { PAGE, WINDOW_START } from "../i386/layout";
import { PTE_FRAME } from "../i386/paging";
import { inKernelStacks, stackFrame, stackPresent } from "../threads/stacks";
import { commitPage, readyWord, residentEntry } from "./commit";
import { RESIDENT_FRAME } from "./frame-tree";
import { releaseFrame, shareFrame, window } from "./frames";
import { findRegion, REGION_DEVICE, REGION_IMAGE_CODE, REGION_ONE_FRAME } from "./regions";
import { kernelSpace, lockSpace, type Space, unlockSpace } from "./space";

/** Physical address under `address`, 0 if no page is there yet or all access to it is denied. */
export function frameAt(space: Space, address: usize): u32 {
  const flags = enterCritical();
  const entry = residentEntry(space, address);
  leaveCritical(flags);
  return entry === 0 ? 0 : (entry & PTE_FRAME) | (<u32>address & (<u32>PAGE - 1));
}

/** Window address of the page at `address`, committed for reading or writing; 0 if that is not allowed. The space is locked. */
function reach(space: Space, address: usize, write: bool): usize {
  const region = findRegion(space, address);
  if (!region || region.kind === REGION_DEVICE) return 0;
  if (write && (region.kind === REGION_IMAGE_CODE || region.kind === REGION_ONE_FRAME)) return 0;
  let word = readyWord(region, address, write);
  if (word === 0) word = commitPage(space, region, address, write);
  return word === 0 ? 0 : window(word & RESIDENT_FRAME) + (address & (PAGE - 1));
}

/**
 * Physical address of a word of a space that may be written, with a reference to its frame that keeps it there even when the word's region
 * ends; 0 if the space has no such word or memory is exhausted. Thread level.
 */
export function holdWord(space: Space, address: usize): u32 {
  if (address & 3) return 0;
  lockSpace(space);
  const region = findRegion(space, address);
  const writable = region !== null && (region.protection & PROTECT_WRITE) !== 0;
  let there: usize = writable ? reach(space, address, true) : 0;
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

function copyPages(space: Space, address: usize, kernelAddress: usize, size: u32, write: bool): HRESULT {
  let result: HRESULT = S_OK;
  let done: u32 = 0;
  lockSpace(space);
  while (done < size) {
    const there = reach(space, address + done, write);
    if (there === 0) {
      result = E_ACCESSDENIED;
      break;
    }
    const room = <u32>(PAGE - (there & (PAGE - 1)));
    const length = min<u32>(size - done, room);
    if (write) memory.copy(there, kernelAddress + done, length);
    else memory.copy(kernelAddress + done, there, length);
    done += length;
  }
  unlockSpace(space);
  return result;
}

/** May a program write all of [address, address + size), in one region of its? */
export function isWritable(space: Space, address: usize, size: u32): bool {
  lockSpace(space);
  const region = findRegion(space, address);
  const writable = region !== null && (region.protection & PROTECT_WRITE) !== 0;
  const inside = writable && address - region!.start + size <= region!.size;
  unlockSpace(space);
  return inside;
}

/** Copies from kernel memory (present, not in a region of `space`) into a space, read-only data pages included. E_ACCESSDENIED. */
export function copyToSpace(space: Space, address: usize, source: usize, size: u32): HRESULT {
  return copyPages(space, address, source, size, true);
}

export function copyFromSpace(space: Space, address: usize, destination: usize, size: u32): HRESULT {
  return copyPages(space, address, destination, size, false);
}
