/**
 * Waiting, at ring 0 with interrupts off. A word is named by its physical address, so that spaces that share memory can wait on it
 * (wait-queues.ts); a wait that may time out has a timer set (timers.ts).
 */

import { ticks } from "../i386/clock";
import { atKernelLevel } from "../i386/design";
import { KERNEL_BASE, USER_END, WINDOW_START } from "../i386/layout";
import { PTE_FRAME, PTE_WRITE, translate } from "../i386/paging";
import { translationAt } from "../i386/vtlb";
import { residentEntry, willBeCopied } from "../memory/commit";
import { kernelEntry } from "../memory/refill";
import { kernelSpace } from "../memory/space";
import { settlePriority } from "./locks";
import { currentDirectory, makeReady, requestDispatch } from "./scheduler";
import { currentThread, THREAD_SLEEPING, THREAD_WAITING, type Thread } from "./thread";
import { cancelTimer, setTimer, type Timer } from "./timers";
import { FOREVER, WAIT_CANCELLED, WAIT_CHANGED, WAIT_NOT_PRESENT, WAIT_TIMED_OUT, WAIT_WOKEN } from "./wait";
import { dequeueWaiter, enqueueWaiter, firstWaiter, headOf } from "./wait-queues";

/** Longest time of a timer: with the tick under way, 2^32 - 1 ticks. */
const LONGEST: u32 = 0xfffffffe;

/** Physical address of a word, seen from ring 3 or from the kernel; 0 when it is not there (yet). */
export function keyOf(address: usize, fromUser: bool): u32 {
  if (address & 3) return 0;
  if (fromUser && address >= USER_END) return 0;
  const key = fromUser
    ? translate(currentDirectory(), address)
    : translate(kernelSpace().physical, address + KERNEL_BASE);
  if (key !== 0) return key;
  // The page tables may have lost a page that is there.
  const entry = fromUser ? residentEntry(currentThread().space, address) : kernelEntry(address);
  return entry === 0 ? 0 : (entry & PTE_FRAME) | (<u32>address & 0xfff);
}

/** Is the page of a user thread's word there for it to write? */
export function mayWrite(thread: Thread, address: usize): bool {
  return address >= USER_END || (translationAt(thread.space.physical, address) & PTE_WRITE) !== 0;
}

/** Does a user thread's word lie on a page that is still shared and will be copied when it is written? */
export function waitsOnShared(thread: Thread, address: usize): bool {
  return !mayWrite(thread, address) && willBeCopied(thread.space, address);
}

/** Puts the thread to wait; the result goes to its eax. */
export function beginWait(thread: Thread, address: usize, expected: u32, timeout: u32, through: bool): void {
  const key = keyOf(address, !atKernelLevel(thread));
  if (key === 0) {
    thread.eax = WAIT_NOT_PRESENT;
    return;
  }
  if (load<u32>(WINDOW_START + key) !== expected) {
    thread.eax = WAIT_CHANGED;
    return;
  }
  if (thread.cancelled && !through) {
    thread.eax = WAIT_CANCELLED;
    return;
  }
  if (timeout === 0) {
    thread.eax = WAIT_TIMED_OUT;
    return;
  }
  thread.eax = WAIT_WOKEN;
  waitOnKey(thread, key, timeout, through);
}

/** Has the thread wait behind its equals for the word `key`, `timeout` ms at most. */
export function waitOnKey(thread: Thread, key: u32, timeout: u32, through: bool): void {
  thread.state = THREAD_WAITING;
  thread.waitThrough = through ? 1 : 0;
  enqueueWaiter(thread, key);
  if (timeout !== FOREVER) beginTimed(thread, timeout);
  requestDispatch();
}

export function beginSleep(thread: Thread, milliseconds: u32): void {
  if (thread.cancelled) {
    thread.eax = WAIT_CANCELLED;
    return;
  }
  thread.eax = 0;
  if (milliseconds === 0) return;
  thread.state = THREAD_SLEEPING;
  thread.waitThrough = 0;
  beginTimed(thread, milliseconds);
  requestDispatch();
}

/** Wakes up to `count` threads that wait on the word, most urgent first; `fromUser` tells whose address it is. */
export function wakeWaiters(address: usize, count: u32, fromUser: bool): u32 {
  const key = keyOf(address, fromUser);
  return key === 0 ? 0 : wakeKey(key, count);
}

/** The same for the word's physical address. */
export function wakeKey(key: u32, count: u32): u32 {
  let woken: u32 = 0;
  while (woken < count) {
    const thread = firstWaiter(key);
    if (!thread) break;
    endWait(thread, WAIT_WOKEN);
    woken++;
  }
  return woken;
}

/** Takes a waiting or sleeping thread out of its queue and makes it ready with `result`. */
export function endWait(thread: Thread, result: u32): void {
  let owner: Thread | null = null;
  if (thread.state === THREAD_WAITING) {
    owner = headOf(thread).lockOwner;
    dequeueWaiter(thread);
    thread.eax = result;
  } else if (result === WAIT_CANCELLED) {
    thread.eax = result;
  }
  const timer = timerOf(thread);
  if (timer.slot !== 0) cancelTimer(timer);
  makeReady(thread);
  if (owner) settlePriority(owner);
}

/** Ends the wait of a thread whose time has come. */
export function timeOut(thread: Thread): void {
  endWait(thread, WAIT_TIMED_OUT);
}

function timerOf(thread: Thread): Timer {
  return changetype<Timer>(changetype<usize>(thread) + offsetof<Thread>("timerNext"));
}

function beginTimed(thread: Thread, milliseconds: u32): void {
  const timer = timerOf(thread);
  timer.thread = changetype<usize>(thread);
  // The tick under way has partly passed, and a wait is never shorter than asked for.
  setTimer(timer, ticks() + (milliseconds < LONGEST ? milliseconds : LONGEST) + 1);
}
