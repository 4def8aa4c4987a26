/**
 * Mutexes with priority inheritance, at ring 0 with interrupts off. Only contended operations come here.
 *
 *   mutex word:  0 free;  otherwise bits 31-1 the owner's thread id, bit 0 set when somebody waits
 *
 * A thread that waits for a mutex lends its priority to the owner, and through the owner's own wait to whom that one waits
 * for. Giving a mutex back hands it to the most urgent waiter at once, so that nobody can overtake. The word may be a program's: whatever it
 * holds, the worst is that a thread is lent the caller's own priority until the caller's wait ends.
 */

import { WINDOW_START } from "../i386/layout";
import { changeEffectivePriority } from "./scheduler";
import { type Thread, threadWithId } from "./thread";
import { WAIT_CANCELLED, WAIT_CHANGED, WAIT_NOT_PRESENT, WAIT_WOKEN } from "./wait";
import { endWait, enqueueWaiter, keyOf, nextWaiter } from "./waiting";

const CONTENDED: u32 = 1;

/** Takes the mutex at `address`, or has the thread wait for it. Result in eax: woken (it is taken), changed (it has it already), … */
export function beginLock(thread: Thread, address: usize, through: bool): void {
  const key = keyOf(address, (thread.cs & 3) === 3);
  if (key === 0) {
    thread.eax = WAIT_NOT_PRESENT;
    return;
  }
  const word = load<u32>(WINDOW_START + key);
  thread.eax = WAIT_WOKEN;
  if (word === 0) {
    store<u32>(WINDOW_START + key, thread.id << 1);
    return;
  }
  const owner = threadWithId(word >> 1);
  if (owner === thread || (thread.cancelled && !through)) {
    thread.eax = owner === thread ? WAIT_CHANGED : WAIT_CANCELLED;
    return;
  }
  store<u32>(WINDOW_START + key, word | CONTENDED);
  enqueueWaiter(thread, key, through);
  if (owner) {
    addLockWaiter(owner, thread);
    lend(owner, thread.priority);
  }
}

/** Gives the mutex at `address` to its most urgent waiter. Result in eax: woken, changed (the thread does not have it), … */
export function endLock(thread: Thread, address: usize): void {
  const key = keyOf(address, (thread.cs & 3) === 3);
  if (key === 0) {
    thread.eax = WAIT_NOT_PRESENT;
    return;
  }
  if (load<u32>(WINDOW_START + key) >> 1 !== thread.id) {
    thread.eax = WAIT_CHANGED;
    return;
  }
  thread.eax = WAIT_WOKEN;
  let heir: Thread | null = null;
  let waiters: u32 = 0;
  let at = nextWaiter(key, null);
  while (at) {
    waiters++;
    if (!heir || at.priority > heir.priority) heir = at;
    at = nextWaiter(key, at);
  }
  if (!heir) {
    store<u32>(WINDOW_START + key, 0);
    return;
  }
  store<u32>(WINDOW_START + key, (heir.id << 1) | (waiters > 1 ? CONTENDED : 0));
  endWait(heir, WAIT_WOKEN);
  at = nextWaiter(key, null);
  while (at) {
    const waiter: Thread = at;
    removeLockWaiter(waiter);
    addLockWaiter(heir, waiter);
    lend(heir, waiter.priority);
    at = nextWaiter(key, waiter);
  }
  giveLentBack(thread);
}

function addLockWaiter(owner: Thread, waiter: Thread): void {
  waiter.lockOwner = owner;
  waiter.nextLockWaiter = owner.lockWaiters;
  owner.lockWaiters = waiter;
}

function removeLockWaiter(waiter: Thread): void {
  const owner = waiter.lockOwner!;
  let before: Thread | null = null;
  let at = owner.lockWaiters;
  while (at && at !== waiter) {
    before = at;
    at = at.nextLockWaiter;
  }
  if (before) before.nextLockWaiter = waiter.nextLockWaiter;
  else owner.lockWaiters = waiter.nextLockWaiter;
  waiter.lockOwner = null;
  waiter.nextLockWaiter = null;
}

/** Raises `owner` to `priority`, and those it waits for. A cycle of waits ends because nobody is raised twice. */
function lend(owner: Thread, priority: u32): void {
  let at: Thread | null = owner;
  while (at && at.priority < priority) {
    changeEffectivePriority(at, priority);
    at = at.lockOwner;
  }
}

/** The priority of a thread without what is lent by waiters that have gone. */
export function giveLentBack(thread: Thread): void {
  let priority = thread.basePriority;
  let at = thread.lockWaiters;
  while (at) {
    if (at.priority > priority) priority = at.priority;
    at = at.nextLockWaiter;
  }
  if (priority !== thread.priority) changeEffectivePriority(thread, priority);
}

/** A thread's wait for a mutex is over, in whatever way. */
export function leaveLockQueue(waiter: Thread): void {
  const owner = waiter.lockOwner;
  if (!owner) return;
  removeLockWaiter(waiter);
  giveLentBack(owner);
}

/** A thread is gone: who waits for a mutex of its lends to nobody any more. */
export function forgetLockOwner(owner: Thread): void {
  let waiter = owner.lockWaiters;
  while (waiter) {
    removeLockWaiter(waiter);
    waiter = owner.lockWaiters;
  }
}
