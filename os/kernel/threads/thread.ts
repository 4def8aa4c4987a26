/**
 * Threads. The record begins with the thread's saved context in the order in which the entry stubs push it
 * (i386/traps.asm.ts).
 *
 * A user thread has no kernel stack of its own: system calls run on the processor's spare one, and a thread that blocks
 * or is preempted at kernel level keeps it (`kernelStack`). Records are created and freed at thread level only.
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { enterCritical, leaveCritical } from "../i386/critical";
import { continueAtKernelLevel } from "../i386/design";
import { USER_CODE, USER_DATA, USER_FLAGS } from "../i386/layout";
import { copyToSpace } from "../memory/copy";
import { framesToSpare } from "../memory/frames";
import { allocate, free } from "../memory/heap";
import { giveRecord, type RecordPool, takeRecord } from "../memory/records";
import { REGION_STACK } from "../memory/regions";
import { kernelSpace, mapRegion, type Space, unmapRegion } from "../memory/space";
import { threadEnded } from "../upper";
import { current } from "./scheduler";
import { dedicatedStacks, firstPages } from "./stack-policy";
import { countThreads, giveStack, MOST_THREADS, takeStack } from "./stacks";
import {
  ANSWER,
  AWAIT_ANSWER,
  CANCEL,
  privateTrap,
  RESUME,
  SET_PRIORITY,
  START,
  STOP,
  SUSPEND,
  TERMINATE,
  UNPARK,
} from "./traps";

export const THREAD_CREATED: u32 = 0;
export const THREAD_READY: u32 = 1;
export const THREAD_RUNNING: u32 = 2;
export const THREAD_WAITING: u32 = 3;
export const THREAD_SLEEPING: u32 = 4;
export const THREAD_PARKED: u32 = 5;
export const THREAD_STACK_FAULT: u32 = 6;
export const THREAD_DEAD: u32 = 7;
export const THREAD_SUSPENDED: u32 = 8;
/** It has called another thread, and waits for the answer. */
export const THREAD_CALLING: u32 = 9;

/** In `Thread.pendingFault`: the rest is an address of the process's, which may be 0. */
export const PENDING_IN_PROCESS: u32 = 0x80000000;

/** `Thread.cancelled` of a thread that was ended in the middle of its program's code. */
export const CANCELLED_BY_FORCE: u32 = 0xffffffff;

export const PRIORITIES: u32 = 32;
export const PRIORITY_DEFAULT: u32 = 16;

/** Address space of a user stack, its guard page included: as much as a kernel stack. */
export const USER_STACK_SIZE: u32 = 0x110000;
/** Proxy page: where the entry function of a thread of a process returns to (calls/proxies.ts writes it). */
export const USER_THREAD_EXIT: usize = 0x3f000800;
const FLOATING_POINT_SIZE: usize = 108;

declare function kernelThreadExit(): usize;
declare function handOff(next: usize, entry: usize): u32;
export declare function enterUser(entry: usize, stack: usize): void;

@unmanaged
export class Thread {
  edi: u32 = 0;
  esi: u32 = 0;
  ebp: u32 = 0;
  unusedEsp: u32 = 0;
  ebx: u32 = 0;
  edx: u32 = 0;
  ecx: u32 = 0;
  eax: u32 = 0;
  es: u32 = 0;
  ds: u32 = 0;
  vector: u32 = 0;
  error: u32 = 0;
  eip: u32 = 0;
  cs: u32 = 0;
  eflags: u32 = 0;
  esp: u32 = 0;
  ss: u32 = 0;
  // The saved context ends here.
  id: u32 = 0;
  state: u32 = 0;
  /** What it runs with: its own, or more while a more urgent thread waits for a mutex of its (locks.ts). */
  priority: u32 = 0;
  basePriority: u32 = 0;
  /** While it is CALLING: the thread that works for it; null if none does yet. */
  server: Thread | null = null;
  quantum: u32 = 0;
  /** Ring it stands in: ready, or equally urgent waiters of a word. */
  next: Thread | null = null;
  previous: Thread | null = null;
  /** Physical address of the word it waits on. */
  waitKey: u32 = 0;
  /** Does cancelling leave its wait alone? */
  waitThrough: u32 = 0;
  // Its place among the waiters of that word (wait-queues.ts). Does it lead its group?
  leads: u32 = 0;
  groupNext: Thread | null = null;
  groupPrevious: Thread | null = null;
  // Of the word's head: other words of the bucket; who has the mutex that the word is, and that one's other contended mutexes.
  keyNext: Thread | null = null;
  keyPrevious: Thread | null = null;
  lockOwner: Thread | null = null;
  contendedNext: Thread | null = null;
  contendedPrevious: Thread | null = null;
  /** Heads of the words of mutexes that it has and somebody waits for. */
  contended: Thread | null = null;
  // A `Timer` (timers.ts): when its wait or sleep ends.
  timerNext: usize = 0;
  timerPrevious: usize = 0;
  timerSlot: usize = 0;
  timerTick: u32 = 0;
  timerThread: usize = 0;
  /** How often it has been suspended and not resumed: not 0 keeps it from running its program's code. */
  suspended: u32 = 0;
  /** An unpark came before the park. */
  unparked: u32 = 0;
  /** Top of the kernel stack it keeps, 0 for none. */
  kernelStack: usize = 0;
  /** Kernel virtual address at which its kernel stack faulted. */
  faultAddress: usize = 0;
  /** Probed sections that it is in (i386/critical.ts), and how far down the probe of the outermost touched the stack. */
  probes: u32 = 0;
  probeFloor: usize = 0;
  space: Space = changetype<Space>(0);
  process: usize = 0;
  /** It is to end: at its next return to ring 3, or when its wait says so. */
  cancelled: u32 = 0;
  /** Code of the program in the kernel that it belongs to, where it may be ended at any instruction; 0 for none. */
  programStart: u32 = 0;
  programEnd: u32 = 0;
  /** User address whose access was sent to the scratch page during this system call. */
  pendingFault: u32 = 0;
  /** Was that because memory was exhausted? */
  pendingExhausted: u32 = 0;
  /** Upper half: address of a word from which 1 is taken once nothing is left of the thread but its record; 0 for none. */
  endCount: usize = 0;
  /** Upper half: the call it is serving. */
  call: usize = 0;
  userStack: usize = 0;
  /** FSAVE area. */
  floatingPoint: usize = 0;
  cycles: u64 = 0;
  result: u32 = 0;
  /** Threads whose ids fall into one bucket. */
  sameBucket: Thread | null = null;
  /** All threads. */
  allNext: Thread | null = null;
  allPrevious: Thread | null = null;
}

const BUCKETS: u32 = 256;
/** Threads by id: first one of each bucket. */
const buckets: usize = memory.data(1024, 16);
/** Records lie where no page table can be missing, for traps push into them. */
const records: usize = memory.data(16, 16);
let lastId: u32 = 0;
let liveThreads: u32 = 0;
/** Head of the list of all threads; changed with interrupts off. */
export let allThreads: Thread | null = null;

export function threadCount(): u32 {
  return liveThreads;
}

export function currentThread(): Thread {
  return changetype<Thread>(current);
}

/** At boot, before the first thread. */
export function prepareThreadRecords(): void {
  changetype<RecordPool>(records).size = (offsetof<Thread>() + 15) & ~15;
}

/** Frees what a thread that is over had. */
export function freeThread(thread: Thread): void {
  free(thread.floatingPoint);
  giveRecord(changetype<RecordPool>(records), changetype<usize>(thread));
}

/**
 * A suspended thread that will call `entry(argument)`: at kernel level in the kernel's space, at ring 3 on a growing stack of
 * its own in any other. Null when memory is exhausted.
 */
export function createThread(
  space: Space,
  process: usize,
  entry: usize,
  argument: usize,
  priority: u32,
): Thread | null {
  if (liveThreads >= MOST_THREADS || !framesToSpare()) return null;
  const thread = changetype<Thread | null>(takeRecord(changetype<RecordPool>(records)));
  if (!thread) return null;
  thread.floatingPoint = allocate(FLOATING_POINT_SIZE);
  thread.space = space;
  thread.process = process;
  thread.basePriority = priority < PRIORITIES ? priority : PRIORITIES - 1;
  thread.priority = thread.basePriority;
  if (
    thread.floatingPoint === 0 ||
    (dedicatedStacks() && !takeOwnStack(thread)) ||
    !(space === kernelSpace()
      ? makeKernelContext(thread, entry, argument)
      : makeUserContext(thread, entry, argument))
  ) {
    if (thread.floatingPoint !== 0) free(thread.floatingPoint);
    giveOwnStack(thread);
    giveRecord(changetype<RecordPool>(records), changetype<usize>(thread));
    return null;
  }
  // FNSAVE image of an initialised unit: 53-bit precision, everything masked, all registers empty.
  store<u32>(thread.floatingPoint, 0xffff027f);
  store<u32>(thread.floatingPoint, 0xffff0000, 4);
  store<u32>(thread.floatingPoint, 0xffffffff, 8);
  privateTrap(START, changetype<u32>(thread), 0, 0);
  return thread;
}

/** A kernel stack for the whole life of a thread. */
function takeOwnStack(thread: Thread): bool {
  const flags = enterCritical();
  // Beyond a stack's pages, the tables that it may need.
  thread.kernelStack = framesToSpare(firstPages() + 3) ? takeStack() : 0;
  leaveCritical(flags);
  return thread.kernelStack !== 0;
}

function giveOwnStack(thread: Thread): void {
  const flags = enterCritical();
  if (thread.kernelStack !== 0) giveStack(thread.kernelStack);
  leaveCritical(flags);
}

function makeKernelContext(thread: Thread, entry: usize, argument: usize): bool {
  continueAtKernelLevel(thread, entry);
  // The first dispatch gives it a stack and stores these two above its pointer.
  thread.ecx = <u32>argument;
  thread.edx = <u32>kernelThreadExit();
  return true;
}

function makeUserContext(thread: Thread, entry: usize, argument: usize): bool {
  const area = stackAlloc(12);
  store<u32>(area, 0);
  if (mapRegion(thread.space, area, USER_STACK_SIZE, PROTECT_READ | PROTECT_WRITE, REGION_STACK, 0, 0) !== 0)
    return false;
  thread.userStack = load<u32>(area);
  const top = thread.userStack + USER_STACK_SIZE - 16;
  store<u32>(area, <u32>USER_THREAD_EXIT, 4);
  store<u32>(area, <u32>argument, 8);
  if (copyToSpace(thread.space, top, area + 4, 8) !== 0) {
    unmapRegion(thread.space, thread.userStack);
    return false;
  }
  thread.cs = USER_CODE;
  thread.ss = USER_DATA;
  thread.ds = USER_DATA;
  thread.es = USER_DATA;
  thread.eflags = USER_FLAGS;
  thread.eip = <u32>entry;
  thread.esp = <u32>top;
  return true;
}

/** Lets a created thread run. */
export function startThread(thread: Thread): void {
  privateTrap(UNPARK, changetype<u32>(thread), 0, 0);
}

/** The thread ends at its next return to ring 3; a wait ends with WAIT_CANCELLED. */
export function cancelThread(thread: Thread): void {
  privateTrap(CANCEL, changetype<u32>(thread), 0, 0);
}

/** Ends the calling thread. */
export function exitThread(result: u32): void {
  const thread = currentThread();
  thread.result = result;
  if (thread.userStack !== 0) unmapRegion(thread.space, thread.userStack);
  threadEnded(thread, result);
  privateTrap(TERMINATE, 0, 0, 0);
}

export function setPriority(thread: Thread, priority: u32): void {
  privateTrap(SET_PRIORITY, changetype<u32>(thread), priority < PRIORITIES ? priority : PRIORITIES - 1, 0);
}

/** The thread runs none of its program's code until it is resumed as often. */
export function suspendThread(thread: Thread): void {
  privateTrap(SUSPEND, changetype<u32>(thread), 0, 0);
}

/** Returns how often the thread was suspended before. */
export function resumeThread(thread: Thread): u32 {
  return privateTrap(RESUME, changetype<u32>(thread), 0, 0);
}

/** Waits while the calling thread is suspended, unless it is to end; it holds nothing that others need. */
export function stopHere(): void {
  const thread = currentThread();
  while (thread.suspended !== 0 && thread.cancelled === 0) privateTrap(STOP, 0, 0, 0);
}

/** Waits until a thread answers. Result: WAIT_WOKEN, WAIT_CANCELLED. */
export function awaitAnswer(): u32 {
  return privateTrap(AWAIT_ANSWER, 0, 0, 0);
}

/** The same, and the parked thread `server` gets the processor meanwhile (hand-off.ts). */
export function awaitAnswerOf(server: usize): u32 {
  return handOff(server, 0);
}

/** Ends the wait of `caller` for an answer, if it is waiting; null does nothing. */
export function answer(caller: usize): void {
  if (caller !== 0) privateTrap(ANSWER, <u32>caller, 0, 0);
}

/**
 * The same, and the calling thread parks: it gives its kernel stack back and goes on at `entry` (no arguments, must not return), with
 * interrupts on, when unparked. The caller takes over the processor.
 */
export function answerAndPark(caller: usize, entry: usize): void {
  handOff(caller, entry);
}

export function unparkThread(thread: Thread): void {
  privateTrap(UNPARK, changetype<u32>(thread), 0, 0);
}

/** At ring 0: gives a new record its id and enters it in the list of all threads. */
export function enterThread(thread: Thread): void {
  thread.id = ++lastId;
  thread.allNext = allThreads;
  if (allThreads) allThreads!.allPrevious = thread;
  allThreads = thread;
  const bucket = buckets + (thread.id & (BUCKETS - 1)) * 4;
  thread.sameBucket = changetype<Thread | null>(load<usize>(bucket));
  store<usize>(bucket, changetype<usize>(thread));
  liveThreads++;
  countThreads(liveThreads);
}

/** At ring 0: takes a dead thread out of the list. */
export function leaveThread(thread: Thread): void {
  if (thread.allPrevious) thread.allPrevious!.allNext = thread.allNext;
  else allThreads = thread.allNext;
  if (thread.allNext) thread.allNext!.allPrevious = thread.allPrevious;
  liveThreads--;
  countThreads(liveThreads);
  const count = thread.endCount;
  if (count !== 0) volatileStore32(count, volatileLoad32(count) - 1);
  const bucket = buckets + (thread.id & (BUCKETS - 1)) * 4;
  let before: Thread | null = null;
  let at = changetype<Thread | null>(load<usize>(bucket));
  while (at && at !== thread) {
    before = at;
    at = at.sameBucket;
  }
  if (before) before.sameBucket = thread.sameBucket;
  else store<usize>(bucket, changetype<usize>(thread.sameBucket));
}

/** At ring 0: the thread with an id, or null. */
export function threadWithId(id: u32): Thread | null {
  let at = changetype<Thread | null>(load<usize>(buckets + (id & (BUCKETS - 1)) * 4));
  while (at && at.id !== id) at = at.sameBucket;
  return at;
}
