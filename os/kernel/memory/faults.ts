/**
 * Page faults at thread level: those that first level could not resolve (refill.ts), because a lock is held, heap or frames are wanted, or
 * the access is a fault. The first-level handler (i386/traps.ts) has moved them to the thread's own kernel stack, so this code may wait and
 * be preempted. What it finds:
 *
 *   a page of a region not yet touched        is committed, and the instruction runs again
 *   a page that the VTLB has lost             is entered again
 *   a write to a page shared until written    gets a copy
 *   a bad user address, met by a kernel service   goes to the scratch page; the call's return raises the fault (§5.1.1)
 *   anything else                             is the program's fault, or the kernel's own
 */

import { E_ACCESSDENIED, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { print, printHexadecimal } from "../console";
import { panicAt } from "../epitaph";
import { atKernelLevel } from "../i386/design";
import {
  KERNEL_BASE,
  KERNEL_LINEAR,
  KERNEL_REGIONS_END,
  KERNEL_REGIONS_START,
  PAGE,
  SHARED_END,
  SHARED_START,
  TRAP_FLAG,
  VECTOR_EXHAUSTED,
  VECTOR_OVERFLOW,
  VECTOR_PAGE_FAULT,
} from "../i386/layout";
import { CANCEL_GRACE } from "../i386/traps";
import { currentThread, exitThread, stopHere, type Thread } from "../threads/thread";
import { leaveModule, pendingFault, programFault } from "../upper";
import { commitPage } from "./commit";
import { accessible, isWrite } from "./refill";
import { goToScratch, mapScratch, notePending } from "./scratch";
import { kernelSpace, lockSpace, type Space, unlockSpace } from "./space";

/** Continuation of #PF; `frame.vector` holds the linear address. */
export function memoryFault(frame: Thread): void {
  const linear: usize = frame.vector;
  const user = linear < KERNEL_LINEAR;
  const thread = currentThread();
  const space = user ? thread.space : kernelSpace();
  // A thread in the kernel has no user half of its own: whatever directory is loaded is somebody else's.
  const lost = user && space === kernelSpace();
  const result = lost ? E_ACCESSDENIED : resolve(space, linear - space.bias, frame.error);
  if (result === S_OK) {
    leaveToUser(frame);
    return;
  }
  if (user && !lost && atKernelLevel(frame)) {
    goToScratch(linear, result === E_OUTOFMEMORY);
    return;
  }
  const vector =
    result === E_OUTOFMEMORY
      ? VECTOR_EXHAUSTED
      : user && inStackGuard(thread, linear)
        ? VECTOR_OVERFLOW
        : VECTOR_PAGE_FAULT;
  fault(frame, vector, user ? linear : linear - KERNEL_BASE);
}

/**
 * The kernel has no frame for a page of the program in the kernel for which it works. Like a process's bad pointer, that goes to the
 * scratch page; the program ends as soon as the thread is back in its code.
 */
function goOnWithout(address: usize): bool {
  const thread = currentThread();
  if (thread.programEnd === 0 || address < KERNEL_REGIONS_START || address >= KERNEL_REGIONS_END)
    return false;
  mapScratch(address + KERNEL_BASE);
  notePending(<u32>address, true);
  if (thread.cancelled <= CANCEL_GRACE) thread.cancelled = CANCEL_GRACE + 1;
  return true;
}

function inStackGuard(thread: Thread, address: usize): bool {
  return thread.userStack !== 0 && address - thread.userStack < PAGE;
}

/** Brings the page in if its region allows the access: on first touch, on the first write to a shared one, or back. */
function resolve(space: Space, address: usize, error: u32): HRESULT {
  lockSpace(space);
  const region = accessible(space, address, error);
  let result: HRESULT = E_ACCESSDENIED;
  if (region) result = commitPage(space, region, address, isWrite(error)) === 0 ? E_OUTOFMEMORY : S_OK;
  unlockSpace(space);
  return result;
}

/** Continuation of every other exception. */
export function programException(frame: Thread): void {
  fault(frame, frame.vector, 0);
}

/** Is this the code of a program in the kernel: an image at its preferred base, or a relocated copy? */
function inProgram(address: usize): bool {
  if (address >= SHARED_START && address < SHARED_END) return true;
  return address >= KERNEL_REGIONS_START && address < KERNEL_REGIONS_END;
}

function fault(frame: Thread, vector: u32, address: usize): void {
  const inKernel = atKernelLevel(frame);
  if (inKernel && !inProgram(frame.eip)) {
    if (vector === VECTOR_EXHAUSTED && goOnWithout(address)) return;
    print(text("\nexception "));
    printHexadecimal(vector);
    print(text(" at address "));
    printHexadecimal(<u32>address);
    panicAt(text("the kernel made a fault"), frame);
  }
  programFault(currentThread(), vector, frame.error, address, frame.eip, frame);
  leaveToUser(frame);
}

/** A kernel stack reached its guard page (VECTOR_OVERFLOW), or memory is exhausted (VECTOR_EXHAUSTED). */
export function stackOverflow(address: usize, instruction: usize, vector: u32): void {
  programFault(currentThread(), vector, 0, address, instruction, changetype<Thread>(0));
  exitThread(0);
}

/** Continuation of the exit trap, ecx = result, and of threads that are to end. */
export function exitFromTrap(frame: Thread): void {
  if (currentThread().pendingFault !== 0) pendingFault(currentThread());
  exitThread(frame.ecx);
}

/**
 * Continuation of a thread that is to end but goes on and on in a program of the kernel, or in a library there: it leaves the program. In a library,
 * whose data must stay whole, it makes another step.
 */
export function overstayed(frame: Thread): void {
  leaveModule(currentThread(), frame.eip);
  frame.eflags |= TRAP_FLAG;
}

/** A thread that was cancelled or suspended meanwhile does not go back to its program. Interrupts stay off until it does. */
function leaveToUser(frame: Thread): void {
  if (atKernelLevel(frame)) return;
  disableInterrupts();
  stopHere();
  if (currentThread().cancelled === 0) return;
  enableInterrupts();
  exitThread(0);
}
