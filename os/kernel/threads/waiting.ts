/**
 * Waiting, at ring 0 with interrupts off: queues of threads by the physical address of the word they wait on, and the list
 * of timed waits in order of their end. A word is named by its physical address, so that spaces that share memory can wait on it.
 */

import { ticks } from "../i386/clock";
import { KERNEL_BASE, USER_END, WINDOW_START } from "../i386/layout";
import { PTE_FRAME, PTE_WRITE, translate } from "../i386/paging";
import { translationAt } from "../i386/vtlb";
import { residentEntry, willBeCopied } from "../memory/commit";
import { kernelEntry } from "../memory/refill";
import { kernelSpace } from "../memory/space";
import { leaveLockQueue } from "./locks";
import { currentDirectory, makeReady, requestDispatch } from "./scheduler";
import { currentThread, THREAD_SLEEPING, THREAD_WAITING, type Thread } from "./thread";
import { FOREVER, WAIT_CANCELLED, WAIT_CHANGED, WAIT_NOT_PRESENT, WAIT_TIMED_OUT, WAIT_WOKEN } from "./wait";

const BUCKETS: u32 = 64;
/** First and last waiter by bucket. */
const queues: usize = memory.data(512, 16);
let timedFirst: Thread | null = null;

function queueOf(key: u32): usize {
  return queues + (((key >> 2) ^ (key >> 12)) & (BUCKETS - 1)) * 8;
}

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
  const key = keyOf(address, (thread.cs & 3) === 3);
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
  enqueueWaiter(thread, key, through);
  if (timeout !== FOREVER) beginTimed(thread, timeout);
}

/** Has the thread wait, last in the queue of the word `key`. */
export function enqueueWaiter(thread: Thread, key: u32, through: bool): void {
  thread.state = THREAD_WAITING;
  thread.waitKey = key;
  thread.waitThrough = through ? 1 : 0;
  const queue = queueOf(key);
  const last = changetype<Thread | null>(load<usize>(queue, 4));
  thread.next = null;
  thread.previous = last;
  if (last) last.next = thread;
  else store<usize>(queue, changetype<usize>(thread));
  store<usize>(queue, changetype<usize>(thread), 4);
  requestDispatch();
}

/** The waiter of the word `key` that stands after `before` (null: the first), or null. */
export function nextWaiter(key: u32, before: Thread | null): Thread | null {
  let at = before ? before.next : changetype<Thread | null>(load<usize>(queueOf(key)));
  while (at && at.waitKey !== key) at = at.next;
  return at;
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

/** Wakes up to `count` threads that wait on the word; `fromUser` tells whose address it is. */
export function wakeWaiters(address: usize, count: u32, fromUser: bool): u32 {
  const key = keyOf(address, fromUser);
  if (key === 0) return 0;
  let woken: u32 = 0;
  let thread = changetype<Thread | null>(load<usize>(queueOf(key)));
  while (thread && woken < count) {
    const next = thread.next;
    if (thread.waitKey === key) {
      endWait(thread, WAIT_WOKEN);
      woken++;
    }
    thread = next;
  }
  return woken;
}

/** Takes a waiting or sleeping thread out of its lists and makes it ready with `result`. */
export function endWait(thread: Thread, result: u32): void {
  if (thread.state === THREAD_WAITING) {
    const queue = queueOf(thread.waitKey);
    if (thread.previous) thread.previous!.next = thread.next;
    else store<usize>(queue, changetype<usize>(thread.next));
    if (thread.next) thread.next!.previous = thread.previous;
    else store<usize>(queue, changetype<usize>(thread.previous), 4);
    thread.eax = result;
  } else if (result === WAIT_CANCELLED) {
    thread.eax = result;
  }
  if (thread.timed) endTimed(thread);
  if (thread.lockOwner) leaveLockQueue(thread);
  makeReady(thread);
}

/** Enters the thread in the list of timed waits, which is in order of their ends. */
function beginTimed(thread: Thread, milliseconds: u32): void {
  // The tick under way has partly passed, and a wait is never shorter than asked for.
  thread.wakeTick = ticks() + milliseconds + 1;
  thread.timed = 1;
  let before: Thread | null = null;
  let at = timedFirst;
  while (at && <i32>(at.wakeTick - thread.wakeTick) <= 0) {
    before = at;
    at = at.timedNext;
  }
  thread.timedPrevious = before;
  thread.timedNext = at;
  if (before) before.timedNext = thread;
  else timedFirst = thread;
  if (at) at.timedPrevious = thread;
}

function endTimed(thread: Thread): void {
  if (thread.timedPrevious) thread.timedPrevious!.timedNext = thread.timedNext;
  else timedFirst = thread.timedNext;
  if (thread.timedNext) thread.timedNext!.timedPrevious = thread.timedPrevious;
  thread.timed = 0;
}

/** Ends the waits whose time has come. */
export function endTimedWaits(now: u32): void {
  while (timedFirst && <i32>(timedFirst!.wakeTick - now) <= 0) endWait(timedFirst!, WAIT_TIMED_OUT);
}
