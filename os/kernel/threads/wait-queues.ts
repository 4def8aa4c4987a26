/**
 * The queues of threads that wait on words, at ring 0 with interrupts off: by the word's physical address, most urgent first, first
 * come first served among equals. Every operation takes a bounded number of steps, whatever the number of waiters.
 *
 *   bucket → head of word A → head of word B            keyNext, keyPrevious
 *               │
 *               ├─ leader, priority 20 ⇄ ring of equals   next, previous
 *               ├─ leader, priority 16 ⇄ ring of equals   groupNext, groupPrevious: at most one group a priority
 *               …
 *
 * The head is the leader of the first group. It stands for the word: with a mutex's word it also names the owner, which has it in its
 * list of contended mutexes (locks.ts).
 */

import type { Thread } from "./thread";

const BUCKETS: u32 = 256;
/** Heads by bucket. */
const buckets: usize = memory.data(1024, 16);

function bucketOf(key: u32): usize {
  return buckets + ((((key >> 2) ^ (key >> 10)) & (BUCKETS - 1)) << 2);
}

/** The most urgent thread that waits on the word `key`: its head. Null if nobody waits. */
export function firstWaiter(key: u32): Thread | null {
  let head = changetype<Thread | null>(load<usize>(bucketOf(key)));
  while (head && head.waitKey !== key) head = head.keyNext;
  return head;
}

/** The head of the word on which `thread` waits. */
export function headOf(thread: Thread): Thread {
  return isHead(thread) ? thread : firstWaiter(thread.waitKey)!;
}

function isHead(thread: Thread): bool {
  return thread.leads !== 0 && !thread.groupPrevious;
}

/** Puts a thread that stands in no queue behind its equals among those that wait on `key`. */
export function enqueueWaiter(thread: Thread, key: u32): void {
  thread.waitKey = key;
  thread.next = thread;
  thread.previous = thread;
  const head = firstWaiter(key);
  if (!head) {
    thread.leads = 1;
    thread.groupNext = null;
    thread.groupPrevious = null;
    thread.lockOwner = null;
    enterBucket(thread);
    return;
  }
  let before: Thread | null = null;
  let at: Thread | null = head;
  while (at && at.priority > thread.priority) {
    before = at;
    at = at.groupNext;
  }
  if (at && at.priority === thread.priority) {
    const last = at.previous!;
    thread.leads = 0;
    thread.next = at;
    thread.previous = last;
    last.next = thread;
    at.previous = thread;
    return;
  }
  thread.leads = 1;
  thread.groupPrevious = before;
  thread.groupNext = at;
  if (at) at.groupPrevious = thread;
  if (before) before.groupNext = thread;
  else passHead(head, thread);
}

/** Takes a waiting thread out of its queue. */
export function dequeueWaiter(thread: Thread): void {
  const wasHead = isHead(thread);
  const after = thread.groupNext;
  const before = thread.groupPrevious;
  let heir: Thread | null = null;
  if (thread.next !== thread) {
    const next = thread.next!;
    next.previous = thread.previous;
    thread.previous!.next = next;
    if (thread.leads === 0) return;
    heir = next;
    next.leads = 1;
    next.groupNext = after;
    next.groupPrevious = before;
    if (before) before.groupNext = next;
    if (after) after.groupPrevious = next;
  } else {
    heir = after;
    if (before) before.groupNext = after;
    if (after) after.groupPrevious = before;
  }
  thread.leads = 0;
  if (!wasHead) return;
  if (heir) passHead(thread, heir);
  else {
    leaveBucket(thread);
    setLockOwner(thread, null);
  }
}

function enterBucket(head: Thread): void {
  const bucket = bucketOf(head.waitKey);
  const first = changetype<Thread | null>(load<usize>(bucket));
  head.keyPrevious = null;
  head.keyNext = first;
  if (first) first.keyPrevious = head;
  store<usize>(bucket, changetype<usize>(head));
}

function leaveBucket(head: Thread): void {
  const next = head.keyNext;
  const previous = head.keyPrevious;
  if (previous) previous.keyNext = next;
  else store<usize>(bucketOf(head.waitKey), changetype<usize>(next));
  if (next) next.keyPrevious = previous;
}

/** `to` stands for the word from now on, and `from` no longer. */
function passHead(from: Thread, to: Thread): void {
  leaveBucket(from);
  enterBucket(to);
  to.lockOwner = null;
  const owner = from.lockOwner;
  if (!owner) return;
  setLockOwner(from, null);
  setLockOwner(to, owner);
}

/** Names the owner of the mutex whose word `head` stands for; null for none. */
export function setLockOwner(head: Thread, owner: Thread | null): void {
  const before = head.lockOwner;
  if (before) {
    const next = head.contendedNext;
    const previous = head.contendedPrevious;
    if (previous) previous.contendedNext = next;
    else before.contended = next;
    if (next) next.contendedPrevious = previous;
  }
  head.lockOwner = owner;
  if (!owner) return;
  const first = owner.contended;
  head.contendedPrevious = null;
  head.contendedNext = first;
  if (first) first.contendedPrevious = head;
  owner.contended = head;
}
