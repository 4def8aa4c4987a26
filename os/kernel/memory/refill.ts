/**
 * First level of the VTLB (§6): a fault at an address that is resident brings its translation back at ring 0, whoever made the fault:
 * a program, thread-level code, the processor that pushes a frame on a kernel stack, or a first-level handler. Nobody is suspended and no
 * lock is taken, so this may happen in the middle of anything, and a thread whose tables others push out is not pushed behind
 * them too. What it reads on the heap may fault in turn; that fault reads only the heap's static table.
 */

import { HEAP_SIZE, HEAP_START, KERNEL_BASE } from "../i386/layout";
import { kernelDirectoryAddress, PTE_PRESENT, PTE_WRITE } from "../i386/paging";
import { enterTranslation, noteRefill, vtlbEvictions } from "../i386/vtlb";
import { inKernelStacks, stackFrame } from "../threads/stacks";
import { currentThread } from "../threads/thread";
import { residentEntry } from "./commit";
import { heapFrame } from "./heap";
import { kernelSpace } from "./space";

/** The page-table entry that a kernel address outside of the window ought to have; 0 for none. With interrupts off. */
export function kernelEntry(address: usize): u32 {
  let frame: u32 = 0;
  if (address >= HEAP_START && address < HEAP_START + HEAP_SIZE) frame = heapFrame(address);
  else if (inKernelStacks(address)) frame = stackFrame(address);
  else return residentEntry(kernelSpace(), address);
  return frame === 0 ? 0 : frame | PTE_WRITE | PTE_PRESENT;
}

/** At ring 0: the same in the current thread's user half. What no table ever lost is left to the thread-level fault. */
export function refillUser(linear: usize): bool {
  if (vtlbEvictions() === 0) return false;
  const space = currentThread().space;
  if (space === kernelSpace()) return false;
  const entry = residentEntry(space, linear);
  if (entry === 0) return false;
  enterTranslation(space.physical, linear, entry);
  noteRefill();
  return true;
}

/** At ring 0: true when a fault in the kernel's half was only a missing translation, which is there now. */
export function refillKernel(linear: usize): bool {
  const entry = kernelEntry(linear - KERNEL_BASE);
  if (entry === 0) return false;
  enterTranslation(kernelDirectoryAddress(), linear, entry);
  noteRefill();
  return true;
}
