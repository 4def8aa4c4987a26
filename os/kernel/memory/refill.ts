/**
 * Page faults at first level. Two things are done there, at ring 0, with no lock taken and nobody suspended:
 *
 *   refill    (§6) whoever made the fault: an address that is resident gets the translation back that the VTLB has lost. It may be a program,
 *             thread-level code, the processor that pushes a frame on a kernel stack, or a first-level handler: this may happen in
 *             the middle of anything, and a thread whose tables others push out is not pushed behind them too.
 *   resolve   a fault at thread level: besides that a page's first touch, its copy, and a bad user address that a kernel service meets
 *             (§5.1.1), if the space's mutex is free and only a frame is wanted. Then no thread sees the space half changed, because no
 *             thread runs before this is over. Interrupts are on meanwhile if they were on where the fault was made, so
 *             filling a page delays none; what they make ready runs afterwards.
 *
 * All else goes on at thread level (faults.ts). What this reads on the heap may fault in turn; that fault reads only the heap's static table.
 */

import { PROTECT_WRITE } from "../../interfaces/IMemory";
import { HEAP_SIZE, HEAP_START, INTERRUPTS_ON, KERNEL_BASE, KERNEL_LINEAR, PAGE } from "../i386/layout";
import { kernelDirectoryAddress, PTE_PRESENT, PTE_WRITE } from "../i386/paging";
import { enterTranslation, noteRefill } from "../i386/vtlb";
import { inKernelStacks, stackFrame } from "../threads/stacks";
import { currentThread } from "../threads/thread";
import { commitAtOnce, residentEntry } from "./commit";
import { heapFrame } from "./heap";
import { findRegion, REGION_STACK, type Region } from "./regions";
import { goToScratch } from "./scratch";
import { kernelSpace, type Space } from "./space";

/** Bits of a page fault's error code. */
export const FAULT_PROTECTION: u32 = 1;
export const FAULT_WRITE: u32 = 2;

export function isWrite(error: u32): bool {
  return (error & FAULT_WRITE) !== 0;
}

function inHeap(address: usize): bool {
  return address - HEAP_START < HEAP_SIZE;
}

/** The page-table entry that a kernel address outside of the window ought to have; 0 for none. With interrupts off. */
export function kernelEntry(address: usize): u32 {
  let frame: u32 = 0;
  if (inHeap(address)) frame = heapFrame(address);
  else if (inKernelStacks(address)) frame = stackFrame(address);
  else return residentEntry(kernelSpace(), address);
  return frame === 0 ? 0 : frame | PTE_WRITE | PTE_PRESENT;
}

/** Was the fault only a translation that the VTLB has dropped? Then it is back, and nothing else has happened. */
export function refill(error: u32, linear: usize): bool {
  if (error & FAULT_PROTECTION) return false;
  return linear >= KERNEL_LINEAR ? refillKernel(linear) : refillUser(linear);
}

function refillUser(linear: usize): bool {
  const space = currentThread().space;
  if (space === kernelSpace()) return false;
  const entry = residentEntry(space, linear);
  if (entry === 0) return false;
  enterTranslation(space.physical, linear, entry);
  noteRefill();
  return true;
}

function refillKernel(linear: usize): bool {
  const entry = kernelEntry(linear - KERNEL_BASE);
  if (entry === 0) return false;
  enterTranslation(kernelDirectoryAddress(), linear, entry);
  noteRefill();
  return true;
}

/** The region at an address if it allows the access of a fault; null if it is a bad one. The space is locked, or no thread can run. */
export function accessible(space: Space, address: usize, error: u32): Region | null {
  const region = findRegion(space, address);
  if (!region || region.protection === 0) return null;
  // A stack does not grow into its lowest page.
  if (region.kind === REGION_STACK && address - region.start < PAGE) return null;
  if (error & FAULT_WRITE) return region.protection & PROTECT_WRITE ? region : null;
  return error & FAULT_PROTECTION ? null : region;
}

/** A fault at thread level, made by kernel code or a program, with these flags. False if the thread has to see to it. */
export function resolve(error: u32, linear: usize, byKernel: bool, flags: u32): bool {
  const user = linear < KERNEL_LINEAR;
  const space = user ? currentThread().space : kernelSpace();
  const address = linear - space.bias;
  if (user) {
    if (space === kernelSpace()) return false;
  } else if (inHeap(address) || inKernelStacks(address)) {
    return (error & FAULT_PROTECTION) === 0 && refillKernel(linear);
  }
  if (flags & INTERRUPTS_ON) enableInterrupts();
  const region = accessible(space, address, error);
  let resolved: bool = false;
  if (region) resolved = commitAtOnce(space, region, address, isWrite(error)) !== 0;
  else if (user && byKernel && space.lock === 0) {
    goToScratch(linear, false);
    resolved = true;
  }
  disableInterrupts();
  return resolved;
}
