/**
 * Waiting on words and what is built on it: mutexes and events. An uncontended mutex takes no trap. Works the same in a
 * process and in the kernel, and across processes in shared memory (os/README.md, private traps).
 */

declare function privateTrap(operation: u32, a: u32, b: u32, c: u32): u32;

const WAIT_ON: u32 = 0;
const WAKE: u32 = 1;
const YIELD: u32 = 2;
const EXIT_THREAD: u32 = 3;
const SLEEP: u32 = 4;
const CURRENT_THREAD: u32 = 5;

export const WAIT_WOKEN: u32 = 0;
export const WAIT_CHANGED: u32 = 1;
export const WAIT_TIMED_OUT: u32 = 2;
export const WAIT_CANCELLED: u32 = 3;
const WAIT_NOT_PRESENT: u32 = 4;
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

export function currentThread(): u32 {
  return privateTrap(CURRENT_THREAD, 0, 0, 0);
}

/** Zeroed memory is a free mutex: 0 free, 1 held, 2 held and perhaps waited for. Not recursive. */
@unmanaged
export class Mutex {
  state: u32 = 0;

  acquire(): void {
    const address = changetype<usize>(this);
    if (atomicCompareExchange(address, 0, 1) === 0) return;
    while (atomicExchange(address, 2) !== 0) {
      // A cancelled thread may not wait, but what the mutex guards must stay whole: it takes its turn by yielding.
      if (waitOn(address, 2, FOREVER) === WAIT_CANCELLED) yieldProcessor();
    }
  }

  release(): void {
    const address = changetype<usize>(this);
    if (atomicExchange(address, 0) === 2) wake(address, 1);
  }
}

/** A condition of a mutex: waiters sleep until a signal; zeroed memory is a condition without waiters. */
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
