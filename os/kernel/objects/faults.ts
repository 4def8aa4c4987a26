/**
 * Faults of programs: whose a fault is, and what ends with it.
 *
 * Whose fault it is, its handler gets it first (fault-handlers.ts). Otherwise: a fault in a process ends the process. One in the code of a program in the kernel ends that program; a thread of a process that
 * was calling it gets E_DISCONNECTED from the call and goes on. The exit code is E_POINTER for a fault of memory or protection, E_FAIL for any
 * other. Code of the kernel itself never comes here: the lower half panics.
 */

import { E_CANCELLED, E_DISCONNECTED, E_FAIL, E_OUTOFMEMORY, E_POINTER } from "../../interfaces/results";
import { leaveVisits, type Visit, visitTo } from "../calls/visits";
import { panic } from "../epitaph";
import { VECTOR_EXHAUSTED, VECTOR_OVERFLOW, VECTOR_PAGE_FAULT, VECTOR_SCRATCH } from "../i386/layout";
import { revokeHandles } from "../loader/departure";
import { imageAt, type LoadedImage, ownerOfImage } from "../loader/images";
import { leaveScratch } from "../memory/scratch";
import { kernelSpace } from "../memory/space";
import { currentThread, exitThread, PENDING_IN_PROCESS, type Thread } from "../threads/thread";
import { callerOf, deliverFault, postponedFault, postponeFault } from "./fault-handlers";
import { report } from "./fault-report";
import { serviceFaulted } from "./moving";
import { endProgram, kernelProcess, type Process } from "./process";
import { isReaper, startReaper } from "./reaper";
import type { ThreadObject } from "./threads";

declare function abandonInvoke(guard: usize, result: i32): void;

const FIRST_MEMORY_VECTOR: u32 = 10;

/**
 * The address was bad that a thread passed to the kernel, or there is no memory for it: the access went to the scratch page (§5.1.1). `caller` is where the call
 * returns to, 0 if there is none. Returns if the program handles its faults: the thread makes the fault on its way back.
 */
export function raisePendingFault(thread: Thread, caller: usize): void {
  leaveScratch();
  const object = changetype<ThreadObject>(thread.call);
  const pending = thread.pendingFault;
  const address = object.process.ownSpace ? pending & ~PENDING_IN_PROCESS : pending;
  const exhausted = thread.pendingExhausted !== 0;
  thread.pendingFault = 0;
  if (caller !== 0 && !exhausted && postponeFault(object, address)) return;
  keepFault(object, exhausted ? VECTOR_EXHAUSTED : VECTOR_SCRATCH, 0, address, caller);
  endFaulty(object, object.process);
}

function keepFault(object: ThreadObject, vector: u32, error: u32, address: usize, instruction: usize): void {
  object.faultVector = vector;
  object.faultError = error;
  object.faultAddress = address;
  object.faultInstruction = instruction;
}

/** Is the thread of a process inside an object of the kernel's space? */
function isInModule(object: ThreadObject): bool {
  return object.process.ownSpace !== 0 && object.guardStack !== 0;
}

/**
 * A program's code made a fault; `address` is what a page fault was about, `context` the registers (null if they are lost). Its handler
 * gets it, and this returns; or the program ends.
 */
export function raiseFault(
  thread: Thread,
  vector: u32,
  error: u32,
  address: usize,
  instruction: usize,
  context: Thread,
): void {
  const object = changetype<ThreadObject | null>(thread.call);
  if (!object) panic(text("fault on a thread without a program"));
  const process = object!.process;
  const inModule = isInModule(object!);
  const passed = inModule ? 0 : postponedFault(object!, context);
  if (passed !== 0) keepFault(object!, VECTOR_SCRATCH, 0, passed, callerOf(process, context));
  else keepFault(object!, vector, error, address, instruction);
  const image = imageAt(inModule ? kernelSpace() : process.space, instruction);
  const culprit = inModule || !process.ownSpace ? culpritInKernel(object!, image) : process;
  if (deliverFault(object!, culprit, context)) return;
  endFaulty(object!, culprit);
}

/** Reports the thread's fault and ends the program whose it is. Does not return. */
export function endFaulty(object: ThreadObject, culprit: Process): void {
  const thread = currentThread();
  const process = object.process;
  const inModule = isInModule(object) && culprit !== process;
  report(object, culprit);
  const vector = object.faultVector;
  const code: i32 =
    vector === VECTOR_EXHAUSTED
      ? E_OUTOFMEMORY
      : vector === VECTOR_SCRATCH ||
          vector === VECTOR_OVERFLOW ||
          (vector >= FIRST_MEMORY_VECTOR && vector <= VECTOR_PAGE_FAULT)
        ? E_POINTER
        : E_FAIL;
  if (culprit === kernelProcess()) panic(text("fault in code that no program in the kernel owns"));
  culprit.faulted = 1;
  if (!culprit.ownSpace) serviceFaulted(culprit);
  endProgram(culprit, code);
  if (!culprit.ownSpace) revokeHandles(culprit);
  const visit = visitTo(object, culprit);
  if (!culprit.ownSpace && culprit !== process && visit !== 0) {
    leaveVisits(object, visit);
    abandonInvoke(visit, E_DISCONNECTED);
  }
  if (inModule) {
    leaveVisits(object, 0);
    abandonInvoke(changetype<usize>(object) + offsetof<ThreadObject>("guard"), E_DISCONNECTED);
  }
  // A thread that was inside somebody else's module has frames there, so it cannot go on.
  if (isReaper(thread)) startReaper();
  else if (process !== culprit) endProgram(process, E_DISCONNECTED);
  exitThread(<u32>code);
}

/**
 * A thread that is to end stays in the code at `instruction`. If that is another program's in the kernel, the call that led there comes back at
 * once, with E_CANCELLED; what the thread has locked there goes to the next one as abandoned. Returns if it is not.
 */
export function leaveOvertime(thread: Thread, instruction: usize): void {
  const object = changetype<ThreadObject | null>(thread.call);
  const image = object ? imageAt(kernelSpace(), instruction) : null;
  const host = image ? ownerOfImage(image) : null;
  if (!host || !object || host === object.process) return;
  // The way out is given its own time.
  thread.cancelled = 1;
  const visit = visitTo(object, host);
  if (visit !== 0) {
    leaveVisits(object, visit);
    abandonInvoke(visit, E_CANCELLED);
  }
  if (object.process.ownSpace && object.guardStack !== 0) {
    leaveVisits(object, 0);
    abandonInvoke(changetype<usize>(object) + offsetof<ThreadObject>("guard"), E_CANCELLED);
  }
}

/** The program in the kernel that a fault is to end: the owner of the code; if a library faulted, whoever was called. */
function culpritInKernel(object: ThreadObject, image: LoadedImage | null): Process {
  if (image) {
    const owner = ownerOfImage(image);
    if (owner) return owner;
  }
  if (object.visits !== 0) return changetype<Visit>(object.visits).process;
  if (object.process.ownSpace) {
    const called = imageAt(kernelSpace(), object.guardVtable);
    const owner = called ? ownerOfImage(called) : null;
    if (owner) return owner;
  }
  return object.process;
}
