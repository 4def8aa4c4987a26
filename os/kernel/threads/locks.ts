/**
 * Mutexes with priority inheritance, at ring 0 with interrupts off. Only contended operations come here.
 *
 *   mutex word:  0 free;  otherwise bits 31-1 the owner's thread id, bit 0 set when somebody waits
 *
 * A thread runs with the most urgent priority among its own and those of the threads that wait for mutexes of its; one that itself waits
 * passes that on, so whole chains inherit, and what is lent goes back when a wait ends, in whatever way. Giving a mutex back hands it to
 * the most urgent waiter at once, so that nobody can overtake. When an owner ends, whoever waits tries again and the first gets
 * the mutex with WAIT_ABANDONED: what it guards may be half changed. The word may be a program's: whatever it holds, the worst is that a thread is
 * lent the caller's own priority until the caller's wait ends.
 */

import { atKernelLevel } from "../i386/design";
import { WINDOW_START } from "../i386/layout";
import { changeEffectivePriority } from "./scheduler";
import { THREAD_CALLING, THREAD_WAITING, type Thread, threadWithId } from "./thread";
import {
  WAIT_ABANDONED,
  WAIT_CANCELLED,
  WAIT_CHANGED,
  WAIT_NOT_PRESENT,
  WAIT_TIMED_OUT,
  WAIT_WOKEN,
} from "./wait";
import { firstWaiter, headOf, setLockOwner } from "./wait-queues";
import { endWait, keyOf, waitOnKey } from "./waiting";

const CONTENDED: u32 = 1;

/**
 * Takes the mutex at `address`, or has the thread wait for it, `timeout` ms at most. Result in eax: woken or abandoned (it is taken),
 * changed (the thread has it already), timed out, cancelled, not present (try again).
 */
export function beginLock(thread: Thread, address: usize, timeout: u32, through: bool): void {
  const key = keyOf(address, !atKernelLevel(thread));
  if (key === 0) {
    thread.eax = WAIT_NOT_PRESENT;
    return;
  }
  const word = load<u32>(WINDOW_START + key);
  const owner = threadWithId(word >> 1);
  if (!owner) {
    thread.eax = word === 0 ? WAIT_WOKEN : WAIT_ABANDONED;
    giveTo(thread, key);
    return;
  }
  thread.eax = WAIT_CHANGED;
  if (owner === thread) return;
  thread.eax = WAIT_CANCELLED;
  if (thread.cancelled !== 0 && !through) return;
  thread.eax = WAIT_TIMED_OUT;
  if (timeout === 0) return;
  store<u32>(WINDOW_START + key, word | CONTENDED);
  waitOnKey(thread, key, timeout, through);
  const head = headOf(thread);
  if (head.lockOwner !== owner) setLockOwner(head, owner);
  settlePriority(owner);
}

/** Gives the mutex at `address` to its most urgent waiter. Result in eax: woken, changed (the thread does not have it), … */
export function endLock(thread: Thread, address: usize): void {
  const key = keyOf(address, !atKernelLevel(thread));
  if (key === 0) {
    thread.eax = WAIT_NOT_PRESENT;
    return;
  }
  if (load<u32>(WINDOW_START + key) >> 1 !== thread.id) {
    thread.eax = WAIT_CHANGED;
    return;
  }
  thread.eax = WAIT_WOKEN;
  const heir = firstWaiter(key);
  if (!heir) {
    store<u32>(WINDOW_START + key, 0);
    return;
  }
  setLockOwner(heir, null);
  endWait(heir, WAIT_WOKEN);
  giveTo(heir, key);
  settlePriority(thread);
}

/** The mutex becomes the thread's, and who still waits for it lends to that one. */
function giveTo(thread: Thread, key: u32): void {
  const head = firstWaiter(key);
  store<u32>(WINDOW_START + key, (thread.id << 1) | (head ? CONTENDED : 0));
  if (!head) return;
  setLockOwner(head, thread);
  settlePriority(thread);
}

/**
 * Gives a thread the priority that is due to it, and so on along the chain of owners. That ends in a cycle of waits too, for priorities
 * there can only rise, or only fall.
 */
export function settlePriority(thread: Thread): void {
  let at: Thread | null = thread;
  while (at) {
    let priority = at.basePriority;
    for (let head = at.contended; head; head = head!.contendedNext) {
      if (head.priority > priority) priority = head.priority;
    }
    if (priority === at.priority) return;
    changeEffectivePriority(at, priority);
    const server: Thread | null = at.state === THREAD_CALLING ? at.server : null;
    // A server thread works with its caller's priority.
    if (server) server.basePriority = priority;
    at = server ? server : at.state === THREAD_WAITING ? headOf(at).lockOwner : null;
  }
}

/** A thread is gone: who waits for a mutex of its tries again, and finds it without an owner. */
export function abandonMutexes(owner: Thread): void {
  let head = owner.contended;
  while (head) {
    setLockOwner(head, null);
    const key = head.waitKey;
    for (let waiter = firstWaiter(key); waiter; waiter = firstWaiter(key)) endWait(waiter, WAIT_NOT_PRESENT);
    head = owner.contended;
  }
}
