/**
 * The helper thread (§5.3.1): grows the kernel stack of threads that faulted on it, frees the records of dead threads, and
 * every ten seconds gives the unused pages of kernel stacks back.
 *
 * Its own stack needs are bounded, and what it calls takes no lock that a thread could hold across a stack fault but the heap's,
 * which is entered with the probe. So it never faults on its stack and always gets on.
 */

import { STACKS_UNTRIMMED } from "../../interfaces/ISystem";
import { ticks } from "../i386/clock";
import { enterCritical, leaveCritical, PROBE_MARGIN } from "../i386/critical";
import { atKernelLevel, continueAtKernelLevel } from "../i386/design";
import { VECTOR_EXHAUSTED, VECTOR_OVERFLOW } from "../i386/layout";
import { framesToSpare } from "../memory/frames";
import { kernelSpace } from "../memory/space";
import { trimUserStack } from "../memory/trim";
import { stackPolicy, stacksGrow } from "./stack-policy";
import { commitStackPage, inGuardPage, slotOf, stackTop, trimPool, trimStack } from "./stacks";
import {
  allThreads,
  createThread,
  freeThread,
  PRIORITIES,
  startThread,
  THREAD_STACK_FAULT,
  type Thread,
} from "./thread";
import { HELPER_WAIT, privateTrap, UNPARK } from "./traps";

/** Milliseconds between trims: the paper's ten seconds, or the boot option `trim`. */
let trimInterval: u32 = 10000;

declare function stackOverflowEntry(): usize;

/** Threads that wait for a stack page, or for their record to be freed; changed at ring 0 and in critical sections. */
let queueFirst: Thread | null = null;
let queueLast: Thread | null = null;
let pagesTrimmed: u32 = 0;
let stackFaults: u32 = 0;
/** The helper's record. */
export let helperThread: usize = 0;

/** At boot, before any thread runs. */
export function createHelper(): bool {
  const thread = createThread(kernelSpace(), 0, functionAddress(helperMain), 0, PRIORITIES - 1);
  if (!thread) return false;
  helperThread = changetype<usize>(thread);
  startThread(thread);
  return true;
}

export function trimmedPages(): u32 {
  return pagesTrimmed;
}

export function kernelStackFaults(): u32 {
  return stackFaults;
}

export function helperHasWork(): bool {
  return queueFirst != null;
}

/** At ring 0: leaves a suspended thread to the helper. */
export function queueForHelper(thread: Thread): void {
  thread.next = null;
  if (queueLast) queueLast!.next = thread;
  else queueFirst = thread;
  queueLast = thread;
}

function takeFromQueue(): Thread | null {
  const flags = enterCritical();
  const thread = queueFirst;
  if (thread) {
    queueFirst = thread.next;
    if (!queueFirst) queueLast = null;
  }
  leaveCritical(flags);
  return thread;
}

/** Takes effect when the helper next has something to do. */
export function setTrimInterval(milliseconds: u32): void {
  trimInterval = milliseconds;
}

/** Entry function of the helper thread. */
export function helperMain(_argument: usize): void {
  let trimmedAt = ticks();
  while (true) {
    const left = <i32>(trimmedAt + trimInterval - ticks());
    privateTrap(HELPER_WAIT, 0, left > 0 ? left : 1, 0);
    let thread = takeFromQueue();
    while (thread) {
      if (thread.state === THREAD_STACK_FAULT) growStack(thread);
      else freeThread(thread);
      thread = takeFromQueue();
    }
    if (<i32>(trimmedAt + trimInterval - ticks()) > 0) continue;
    trimStacks();
    trimmedAt = ticks();
  }
}

function growStack(thread: Thread): void {
  stackFaults++;
  const address = thread.faultAddress;
  if (inGuardPage(address)) {
    overflowed(thread, address, VECTOR_OVERFLOW);
  } else if (!framesToSpare() || !commitStackPage(address)) {
    overflowed(thread, address, VECTOR_EXHAUSTED);
  }
  privateTrap(UNPARK, changetype<u32>(thread), 0, 0);
}

/** A kernel stack cannot grow, or there is no memory: the thread goes on at the top of its stack, only to report that and end. */
export function overflowed(thread: Thread, address: usize, vector: u32): void {
  thread.esp = <u32>(stackTop(slotOf(address)) - 64);
  thread.ecx = <u32>address;
  thread.edx = thread.eip;
  thread.ebx = vector;
  continueAtKernelLevel(thread, stackOverflowEntry());
}

/**
 * Trims pooled stacks, and those of suspended threads below what the probe promises them.
 * One critical section: the list must not change, and no suspended thread may start to run.
 */
function trimStacks(): void {
  if (stackPolicy() === STACKS_UNTRIMMED) return;
  const flags = enterCritical();
  if (stacksGrow()) pagesTrimmed += trimPool();
  let at = allThreads;
  while (at) {
    const thread: Thread = at;
    at = thread.allNext;
    const suspended = stacksGrow() && thread.kernelStack !== 0 && atKernelLevel(thread) && thread.esp !== 0;
    if (suspended && thread.state !== THREAD_STACK_FAULT)
      pagesTrimmed += trimStack(thread.esp - PROBE_MARGIN);
    trimUserStack(thread);
  }
  leaveCritical(flags);
}
