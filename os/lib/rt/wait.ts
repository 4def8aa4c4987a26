/**
 * Waiting on words and what is built on it: mutexes and conditions. An uncontended mutex takes no trap. Works the same in a
 * process and in the kernel, and across processes in shared memory (os/README.md, private traps).
 */

declare function privateTrap(operation: u32, a: u32, b: u32, c: u32): u32;

const WAIT_ON: u32 = 0;
const WAKE: u32 = 1;
const YIELD: u32 = 2;
const EXIT_THREAD: u32 = 3;
const SLEEP: u32 = 4;
const LOCK: u32 = 6;
const UNLOCK: u32 = 7;

export const WAIT_WOKEN: u32 = 0;
export const WAIT_CHANGED: u32 = 1;
export const WAIT_TIMED_OUT: u32 = 2;
export const WAIT_CANCELLED: u32 = 3;
const WAIT_NOT_PRESENT: u32 = 4;
/** The mutex is the caller's, after its owner ended without giving it back. */
export const WAIT_ABANDONED: u32 = 5;
export const FOREVER: u32 = 0xffffffff;

/** Waits while the word at `address` is `expected`, for `timeout` ms at most. */
export function waitOn(address: usize, expected: u32, timeout: u32): u32 {
  while (true) {
    // The kernel does not bring a page in for this trap: touch it first.
    if (volatileLoad32(address) !== expected) return WAIT_CHANGED;
    const result = privateTrap(WAIT_ON, <u32>address, expected, timeout);
    if (result !== WAIT_NOT_PRESENT) return result;
  }
}

/** Wakes up to `count` threads that wait on the word; returns how many. */
export function wake(address: usize, count: u32): u32 {
  return privateTrap(WAKE, <u32>address, count, 0);
}

export function yieldProcessor(): void {
  privateTrap(YIELD, 0, 0, 0);
}

/** Ends the calling thread; the main thread's end is the program's. Does not return. */
export function exitThread(result: u32): void {
  privateTrap(EXIT_THREAD, result, 0, 0);
}

export function sleep(milliseconds: u32): u32 {
  return privateTrap(SLEEP, milliseconds, 0, 0);
}

/** The word in which this space sees the running thread's id. */
let threadWord: usize = 0;

export function setThreadWord(address: usize): void {
  threadWord = address;
}

/** Id of the calling thread. */
export function currentThread(): u32 {
  return volatileLoad32(threadWord);
}

/** Takes a mutex that another thread has, waiting for it `timeout` ms at most: WAIT_WOKEN, WAIT_ABANDONED, WAIT_TIMED_OUT. */
export function waitForMutex(address: usize, timeout: u32): u32 {
  while (true) {
    const result = privateTrap(LOCK, <u32>address, 0, timeout);
    // Taking a mutex twice can never end: a program error.
    if (result === WAIT_CHANGED) unreachable();
    // A cancelled thread may not wait, but what the mutex guards must stay whole: it takes its turn by yielding.
    if (result === WAIT_CANCELLED) yieldProcessor();
    else if (result === WAIT_NOT_PRESENT) volatileLoad32(address);
    else return result;
  }
}

/** Gives a mutex to whom waits for it; it must be the caller's. */
export function passMutex(address: usize): void {
  while (true) {
    const result = privateTrap(UNLOCK, <u32>address, 0, 0);
    if (result === WAIT_WOKEN) return;
    if (result === WAIT_CHANGED) unreachable();
    volatileLoad32(address);
  }
}

/**
 * Zeroed memory is a free mutex, in memory that spaces share as well. A thread that waits for one lends its priority to the thread that has
 * it, and so on along a chain of owners that wait themselves. Not recursive.
 *
 *   word:  0 free;  otherwise bits 31-1 the owner's thread id, bit 0 set when somebody waits
 */
@unmanaged
export class Mutex {
  word: u32 = 0;

  /** WAIT_WOKEN; WAIT_ABANDONED if its owner ended with it, so that what it guards may be half changed. */
  acquire(): u32 {
    return this.acquireWithin(FOREVER);
  }

  /** The same, or WAIT_TIMED_OUT after `timeout` ms. */
  acquireWithin(timeout: u32): u32 {
    const address = changetype<usize>(this);
    if (atomicCompareExchange(address, 0, currentThread() << 1) === 0) return WAIT_WOKEN;
    return waitForMutex(address, timeout);
  }

  /** Takes it if it is free. */
  tryAcquire(): bool {
    return atomicCompareExchange(changetype<usize>(this), 0, currentThread() << 1) === 0;
  }

  release(): void {
    const address = changetype<usize>(this);
    const mark = currentThread() << 1;
    if (atomicCompareExchange(address, mark, 0) !== mark) passMutex(address);
  }
}

/**
 * A condition of a mutex: waiters sleep until a signal, and the most urgent is woken first; zeroed memory is a condition without
 * waiters, in memory that spaces share as well. An `IAlarm` on its address is a broadcast.
 */
@unmanaged
export class Condition {
  signals: u32 = 0;

  /** Gives `mutex` back, waits for a signal for `timeout` ms at most, takes the mutex again. Wakes may be spurious. */
  wait(mutex: Mutex, timeout: u32): u32 {
    const address = changetype<usize>(this);
    const seen = volatileLoad32(address);
    mutex.release();
    const result = waitOn(address, seen, timeout);
    mutex.acquire();
    return result;
  }

  signal(): void {
    const address = changetype<usize>(this);
    atomicAdd(address, 1);
    wake(address, 1);
  }

  broadcast(): void {
    const address = changetype<usize>(this);
    atomicAdd(address, 1);
    wake(address, FOREVER);
  }
}
