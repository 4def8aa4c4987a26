/**
 * First-level handlers, at ring 0 with interrupts off: interrupts, private traps, exceptions. The thread's context is in its
 * record (traps.asm.ts). Nothing here waits or touches memory that can fault. Page faults that need no waiting end here too (memory/refill.ts).
 *
 * What needs a thread's environment goes on at kernel level on a kernel stack: a copy of the context is put there and the thread resumes
 * in a continuation (`memoryFaultEntry` and its like) that ends by restoring that copy.
 *
 *   from ring 3:       on the spare kernel stack, as if the trap had gone to kernel level; the copy is the whole context
 *   from kernel level: on the thread's own stack below its pointer; the copy lacks esp and ss, which an IRET within a ring does not pop
 *
 * A fault at kernel level on the kernel stack itself cannot do that: the thread is suspended and left to the helper thread (§5.3.1).
 */

import { print, printHexadecimal } from "../console";
import { panic, panicAt } from "../epitaph";
import { FAULT_PROTECTION, FAULT_WRITE, refill, resolve } from "../memory/refill";
import { beginCall, endCall, handOffs } from "../threads/hand-off";
import { helperHasWork, helperThread, queueForHelper } from "../threads/helper";
import { abandonMutexes, beginLock, endLock, settlePriority } from "../threads/locks";
import { checkStackFault, checksOn, checkTrappedDepth, checkUnprobed } from "../threads/probe-check";
import {
  dispatch,
  dispatchIsDue,
  forgetFloatingPoint,
  leaveDirectory,
  makeReady,
  requestDispatch,
  switchFloatingPoint,
} from "../threads/scheduler";
import { inKernelStacks, stackPresent } from "../threads/stacks";
import {
  CANCELLED_BY_FORCE,
  currentThread,
  enterThread,
  leaveThread,
  THREAD_CALLING,
  THREAD_CREATED,
  THREAD_DEAD,
  THREAD_PARKED,
  THREAD_RUNNING,
  THREAD_SLEEPING,
  THREAD_STACK_FAULT,
  THREAD_SUSPENDED,
  THREAD_WAITING,
  type Thread,
} from "../threads/thread";
import {
  ANSWER,
  AWAIT_ANSWER,
  CANCEL,
  EXIT_THREAD,
  FIRST_OF_KERNEL,
  FLUSH_ALL,
  FLUSH_PAGE,
  HELPER_WAIT,
  LEAVE_DIRECTORY,
  LOCK,
  LOCK_THROUGH,
  MAKE_TABLE,
  RESUME,
  SET_PRIORITY,
  SLEEP,
  START,
  STOP,
  SUSPEND,
  TERMINATE,
  UNLOCK,
  UNPARK,
  WAIT_ON,
  WAIT_THROUGH,
  WAKE,
  YIELD,
} from "../threads/traps";
import { WAIT_CANCELLED, WAIT_WOKEN } from "../threads/wait";
import { beginSleep, beginWait, endWait, mayWrite, waitsOnShared, wakeWaiters } from "../threads/waiting";
import { atKernelLevel, continueAtKernelLevel, needsReturnFrame } from "./design";
import { deviceInterrupt } from "./interrupts";
import {
  INTERRUPTS_ON,
  KERNEL_BASE,
  KERNEL_REGIONS_END,
  KERNEL_REGIONS_START,
  SHARED_END,
  SHARED_START,
  TRAP_FLAG,
  VECTOR_DEBUG,
  VECTOR_DEVICE_NOT_AVAILABLE,
  VECTOR_INTERRUPT,
  VECTOR_PAGE_FAULT,
  VECTOR_PRIVATE_TRAP,
} from "./layout";
import { spareStackTop } from "./processor";
import { makeTable } from "./vtlb";

declare function memoryFaultEntry(): usize;
declare function exceptionEntry(): usize;
declare function exitEntry(): usize;
declare function overstayEntry(): usize;
declare function clearTaskSwitched(): void;

/** Words of a context as `pushad` and the stubs lay it out, with and without esp and ss. */
const CONTEXT_WHOLE: usize = 68;
const CONTEXT_SAME_RING: usize = 60;
/** Stack that a continuation may need before it can fault itself. */
const CONTINUATION_ROOM: usize = 512;
/** What an IRET within a ring pops. */
const RETURN_FRAME: usize = 12;
/** Ticks of processor time that a cancelled thread of a program in the kernel has to come to its end by itself. */
export const CANCEL_GRACE: u32 = 200;
/** Bytes of `int 0x31`. */
const TRAP_LENGTH: u32 = 2;
/** Result of an operation that the caller's ring may not ask for. */
const REFUSED: u32 = 0xffffffff;

let trapCount: u32 = 0;

/** A trap at thread level. On return entry code resumes the current thread. */
export function firstLevelTrap(thread: Thread): void {
  const vector = thread.vector;
  if (checksOn) checkTrappedDepth(thread);
  if (vector === VECTOR_PRIVATE_TRAP) privateOperation(thread);
  else if (vector === VECTOR_PAGE_FAULT) {
    const linear = readControl2();
    if (resolve(thread.error, linear, atKernelLevel(thread), thread.eflags)) {
      if (!dispatchIsDue()) return;
    } else pageFault(thread, linear);
  } else if (vector >= VECTOR_INTERRUPT) deviceInterrupt(vector - VECTOR_INTERRUPT);
  else if (vector === VECTOR_DEVICE_NOT_AVAILABLE) switchFloatingPoint();
  else if (vector === VECTOR_DEBUG && atKernelLevel(thread)) {
    if (!stepped(thread)) return;
  } else continueAt(thread, exceptionEntry());
  leaveFirstLevel();
}

/** Decides who runs next, until somebody can. */
export function leaveFirstLevel(): void {
  let next: Thread;
  do {
    dispatch();
    next = currentThread();
    if ((next.cancelled | next.suspended) !== 0 && turnsAside(next)) continue;
    if (needsReturnFrame) needReturnFrame(next);
    if (checksOn && !atKernelLevel(next)) checkUnprobed(next);
  } while (next.state !== THREAD_RUNNING);
}

/** The way back to a thread at ring 0 is a frame below its stack pointer: without a page there, it waits for one. */
function needReturnFrame(thread: Thread): void {
  if (!atKernelLevel(thread)) return;
  const top: usize = thread.esp;
  if (!inKernelStacks(top - 1)) return;
  if (!stackPresent(top - 1)) suspendForStack(thread, top - 1);
  else if (!stackPresent(top - RETURN_FRAME)) suspendForStack(thread, top - RETURN_FRAME);
}

/**
 * Has a thread that is about to run end or stop instead, if it is to and can. True if somebody else has to run. A suspended thread of a program
 * in the kernel that is outside of that program's code goes on step by step until it comes back to it; one of a process stops where its
 * call returns (calls/dispatch.ts).
 */
function turnsAside(thread: Thread): bool {
  if (thread.cancelled === 0) {
    if (!atKernelLevel(thread) || inOwnCode(thread)) thread.state = THREAD_SUSPENDED;
    else if (thread.programEnd !== 0) thread.eflags |= TRAP_FLAG;
  } else if (mustEnd(thread)) {
    thread.ecx = 0;
    continueAt(thread, exitEntry());
  }
  return thread.state !== THREAD_RUNNING;
}

/** One instruction at kernel level is over. May others run now? Not where interrupts are off. */
function stepped(thread: Thread): bool {
  if ((thread.eflags & INTERRUPTS_ON) === 0) return false;
  thread.eflags &= ~TRAP_FLAG;
  return true;
}

/** Is a thread of a program in the kernel in that program's code, where it holds nothing of the kernel's or of a library's? */
function inOwnCode(thread: Thread): bool {
  return thread.eip - thread.programStart < thread.programEnd - thread.programStart;
}

/**
 * Does a cancelled thread end here? At ring 3 always. At ring 1 it is told by its waits, which all end at once from then on. One that goes on all the
 * same for CANCEL_GRACE ticks of processor time is ended where nothing of the kernel's or of a library's is left half done, and it goes there step
 * by step: in its own code, if its program is in the kernel; in that of another program there, it leaves that program (memory/faults.ts).
 */
function mustEnd(thread: Thread): bool {
  if (!atKernelLevel(thread)) return true;
  if (thread.cancelled <= CANCEL_GRACE) return false;
  if (inOwnCode(thread)) {
    thread.cancelled = CANCELLED_BY_FORCE;
    return true;
  }
  // It is on its way out.
  if (thread.cancelled === CANCELLED_BY_FORCE) return false;
  if ((thread.eflags & INTERRUPTS_ON) !== 0 && inImages(thread.eip)) continueAt(thread, overstayEntry());
  else thread.eflags |= TRAP_FLAG;
  return false;
}

/** Is this an address of images in the kernel, at preferred bases or relocated? The kernel's own image lies elsewhere. */
function inImages(address: usize): bool {
  return (
    (address >= SHARED_START && address < SHARED_END) ||
    (address >= KERNEL_REGIONS_START && address < KERNEL_REGIONS_END)
  );
}

/** A trap in first-level code: an interrupt while idle, an interrupt handler that wakes threads, boot. `frame` lacks esp and ss. */
export function nestedTrap(frame: Thread): void {
  const vector = frame.vector;
  const linear = readControl2();
  if (vector === VECTOR_PAGE_FAULT && refill(frame.error, linear)) return;
  if (vector >= VECTOR_INTERRUPT && vector < VECTOR_INTERRUPT + 16) {
    deviceInterrupt(vector - VECTOR_INTERRUPT);
    return;
  }
  if (vector === VECTOR_PRIVATE_TRAP) {
    const operation = frame.eax;
    const other = changetype<Thread>(<usize>frame.ecx);
    if (operation === WAKE) frame.eax = wakeWaiters(frame.ecx, frame.edx, false);
    else if (operation === START) enterThread(other);
    else if (operation === UNPARK) unpark(other);
    else panic(text("a first-level private trap that would wait"));
    return;
  }
  if (vector === VECTOR_DEVICE_NOT_AVAILABLE) {
    // A task switch in the middle of saving the unit's registers has marked it again.
    clearTaskSwitched();
    return;
  }
  describeNestedFault(frame, linear);
}

/** First-level code made a fault: the end. */
export function describeNestedFault(frame: Thread, linear: usize): void {
  print(text("\nexception "));
  printHexadecimal(frame.vector);
  print(text(" at first level, address "));
  printHexadecimal(<u32>linear);
  panicAt(text("a first-level handler made a fault"), frame);
}

/** A page fault at thread level that first level does not resolve. */
export function pageFault(thread: Thread, linear: usize): void {
  const address: usize = linear - KERNEL_BASE;
  if (atKernelLevel(thread) && inKernelStacks(address)) {
    suspendForStack(thread, address);
    return;
  }
  thread.vector = linear;
  continueAt(thread, memoryFaultEntry());
}

/** Suspends the thread until the helper has mapped its stack page. */
function suspendForStack(thread: Thread, address: usize): void {
  checkStackFault(thread);
  thread.state = THREAD_STACK_FAULT;
  thread.faultAddress = address;
  queueForHelper(thread);
  wakeHelper();
}

function wakeHelper(): void {
  const helper = changetype<Thread>(helperThread);
  if (helper.state !== THREAD_SLEEPING) return;
  endWait(helper, WAIT_WOKEN);
  helper.eax = 0;
}

/** Lets the thread go on in a continuation at kernel level, with a copy of its context on its stack. */
function continueAt(thread: Thread, entry: usize): void {
  const sameRing = atKernelLevel(thread);
  const size = sameRing ? CONTEXT_SAME_RING : CONTEXT_WHOLE;
  const top: usize = sameRing ? thread.esp : spareStackTop();
  if (sameRing) {
    if (!inKernelStacks(top - 1)) {
      panicAt(text("fault at kernel level with the stack pointer outside of the kernel's stacks"), thread);
    }
    if (!stackPresent(top - size - CONTINUATION_ROOM) || !stackPresent(top - 1)) {
      suspendForStack(thread, stackPresent(top - 1) ? top - size - CONTINUATION_ROOM : top - 1);
      return;
    }
  }
  memory.copy(top - size, changetype<usize>(thread), size);
  thread.esp = <u32>(top - size);
  continueAtKernelLevel(thread, entry);
}

/** How often a program or the kernel's thread-level code has made the private trap. */
export function privateTraps(): u32 {
  return trapCount + handOffs;
}

function privateOperation(thread: Thread): void {
  trapCount++;
  const operation = thread.eax;
  const first = thread.ecx;
  const second = thread.edx;
  const other = changetype<Thread>(<usize>first);
  const fromUser = !atKernelLevel(thread);
  if (fromUser && mustCopy(thread, operation, first)) {
    copyFirst(thread, first);
    return;
  }
  if (fromUser && operation >= FIRST_OF_KERNEL) {
    thread.eax = REFUSED;
    return;
  }
  thread.eax = 0;
  switch (operation) {
    case WAIT_ON:
      beginWait(thread, first, second, thread.ebx, false);
      break;
    case WAKE:
      thread.eax = wakeWaiters(first, second, fromUser);
      break;
    case YIELD:
      thread.quantum = 0;
      requestDispatch();
      break;
    case EXIT_THREAD:
      continueAt(thread, exitEntry());
      break;
    case SLEEP:
      beginSleep(thread, first);
      break;
    case LOCK:
      beginLock(thread, first, thread.ebx, false);
      break;
    case UNLOCK:
      endLock(thread, first);
      break;
    case WAIT_THROUGH:
      beginWait(thread, first, second, thread.ebx, true);
      break;
    case LOCK_THROUGH:
      beginLock(thread, first, thread.ebx, true);
      break;
    case START:
      enterThread(other);
      break;
    case UNPARK:
      unpark(other);
      break;
    case TERMINATE:
      terminate(thread);
      break;
    case SET_PRIORITY:
      changePriority(other, second);
      break;
    case CANCEL:
      cancel(other);
      break;
    case FLUSH_PAGE:
      invalidatePage(first - KERNEL_BASE);
      break;
    case FLUSH_ALL:
      writeControl3(readControl3());
      break;
    case HELPER_WAIT:
      helperWait(thread, second);
      break;
    case LEAVE_DIRECTORY:
      leaveDirectory(first);
      break;
    case AWAIT_ANSWER:
      beginCall(thread, null);
      break;
    case ANSWER:
      endCall(other);
      break;
    case MAKE_TABLE:
      makeTable(first, second);
      break;
    case SUSPEND:
      thread.eax = other.suspended++;
      break;
    case RESUME:
      thread.eax = resume(other);
      break;
    case STOP:
      stop(thread);
      break;
    default:
      thread.eax = REFUSED;
  }
}

/** A word is named by its frame, so that must be the space's own for good, and one that the thread may write if the trap does. */
function mustCopy(thread: Thread, operation: u32, address: u32): bool {
  if (operation === WAIT_ON) return waitsOnShared(thread, address);
  return (operation === LOCK || operation === UNLOCK) && !mayWrite(thread, address);
}

/** Has the thread make a write fault, which makes the page the space's own or ends the program, and then run its trap again. */
function copyFirst(thread: Thread, linear: u32): void {
  thread.eip -= TRAP_LENGTH;
  thread.vector = linear;
  thread.error = FAULT_PROTECTION | FAULT_WRITE;
  continueAt(thread, memoryFaultEntry());
}

/** Also starts a created thread and resumes one whose stack has grown. */
export function unpark(thread: Thread): void {
  const state = thread.state;
  if (state === THREAD_PARKED || state === THREAD_CREATED || state === THREAD_STACK_FAULT) makeReady(thread);
  else thread.unparked = 1;
}

function terminate(thread: Thread): void {
  if (checksOn) checkUnprobed(thread);
  thread.state = THREAD_DEAD;
  thread.esp = 0;
  forgetFloatingPoint(thread);
  abandonMutexes(thread);
  leaveThread(thread);
  queueForHelper(thread);
  wakeHelper();
}

function changePriority(thread: Thread, priority: u32): void {
  thread.basePriority = priority;
  settlePriority(thread);
}

function cancel(thread: Thread): void {
  if (thread.cancelled === 0) thread.cancelled = 1;
  const state = thread.state;
  const waits = state === THREAD_WAITING && thread.waitThrough === 0;
  if (waits || state === THREAD_SLEEPING || state === THREAD_CALLING) endWait(thread, WAIT_CANCELLED);
  else if (state === THREAD_PARKED || state === THREAD_SUSPENDED) makeReady(thread);
}

/** How often the thread was suspended before; 0 if it was not. */
function resume(thread: Thread): u32 {
  const before = thread.suspended;
  if (before !== 0) thread.suspended = before - 1;
  if (before === 1 && thread.state === THREAD_SUSPENDED) makeReady(thread);
  return before;
}

function stop(thread: Thread): void {
  if (thread.suspended === 0 || thread.cancelled !== 0) return;
  thread.state = THREAD_SUSPENDED;
  requestDispatch();
}

/** The helper waits for work, for `milliseconds` at most: 0 work, other values time out. */
function helperWait(thread: Thread, milliseconds: u32): void {
  if (helperHasWork()) return;
  beginSleep(thread, milliseconds);
  thread.eax = 1;
}
