/**
 * Waiting on words, from thread-level kernel code: the same private traps that programs use (os/README.md). Kernel words
 * are always present.
 */

import { ticks } from "../i386/clock";
import { privateTrap, SLEEP, WAIT_ON, WAKE, YIELD } from "./traps";

export const WAIT_WOKEN: u32 = 0;
export const WAIT_CHANGED: u32 = 1;
export const WAIT_TIMED_OUT: u32 = 2;
export const WAIT_CANCELLED: u32 = 3;
/** Also of a wait for a mutex whose owner has ended: it is to be tried again. */
export const WAIT_NOT_PRESENT: u32 = 4;
/** The mutex is the caller's, after its owner ended without giving it back. */
export const WAIT_ABANDONED: u32 = 5;
export const FOREVER: u32 = 0xffffffff;

/** Waits while the word at `address` is `expected`, for `timeout` ms at most. */
export function waitOn(address: usize, expected: u32, timeout: u32): u32 {
  return privateTrap(WAIT_ON, <u32>address, expected, timeout);
}

/** Wakes up to `count` waiters; returns how many. */
export function wake(address: usize, count: u32): u32 {
  return privateTrap(WAKE, <u32>address, count, 0);
}

export function sleep(milliseconds: u32): u32 {
  return privateTrap(SLEEP, milliseconds, 0, 0);
}

export function yieldProcessor(): void {
  privateTrap(YIELD, 0, 0, 0);
}

/** Milliseconds since boot; wraps after 49 days. */
export function milliseconds(): u32 {
  return ticks();
}
