/**
 * Timers, at ring 0 with interrupts off: what is due at a tick, a thread's timed wait or an alarm. A hierarchical timing wheel, so that
 * setting and cancelling take the same few instructions whatever the number of timers.
 *
 *   level 0: a slot for each of the next 64 ticks; level n: slots of 64^n ticks each
 *
 * A slot is a doubly linked list. When the clock comes to a slot of a level above 0, its timers move down; one moves at most LEVELS
 * times. Ticks wrap; a timer may be set up to 2^32 - 1 ticks ahead.
 */

import { ticks } from "../i386/clock";

/** Begins what embeds it, or lies in it at a known offset. */
@unmanaged
export class Timer {
  next: Timer | null = null;
  previous: Timer | null = null;
  /** Address of the slot that it is in; 0 while it is not set. */
  slot: usize = 0;
  /** When it is due. */
  tick: u32 = 0;
  /** The thread whose wait it ends, or 0: then it begins an `AlarmTimer` (alarms.ts). */
  thread: usize = 0;
}

const LEVEL_BITS: u32 = 6;
const LEVEL_MASK: u32 = 63;
const LEVELS: u32 = 6;
/** First timer by level and slot. */
const slots: usize = memory.data(1536, 16);

/** Has the timer go off at `tick`, which is now or later; it is not set. */
export function setTimer(timer: Timer, tick: u32): void {
  timer.tick = tick;
  enter(timer, ticks());
}

function enter(timer: Timer, now: u32): void {
  const ahead = timer.tick - now;
  let level: u32 = 0;
  while (level + 1 < LEVELS && ahead >> (LEVEL_BITS * (level + 1)) !== 0) level++;
  const slot = slotAt(level, timer.tick);
  const first = changetype<Timer | null>(load<usize>(slot));
  timer.slot = slot;
  timer.previous = null;
  timer.next = first;
  if (first) first.previous = timer;
  store<usize>(slot, changetype<usize>(timer));
}

function slotAt(level: u32, tick: u32): usize {
  return slots + (((level << LEVEL_BITS) + ((tick >> (LEVEL_BITS * level)) & LEVEL_MASK)) << 2);
}

/** Takes a timer back that is set. */
export function cancelTimer(timer: Timer): void {
  const next = timer.next;
  const previous = timer.previous;
  if (previous) previous.next = next;
  else store<usize>(timer.slot, changetype<usize>(next));
  if (next) next.previous = previous;
  timer.slot = 0;
}

/** The clock has come to `now`: brings down what is less than 64 ticks away at each level. */
export function turnWheel(now: u32): void {
  for (let level: u32 = 1; level < LEVELS; level++) {
    if ((now & ((1 << (LEVEL_BITS * level)) - 1)) !== 0) return;
    const slot = slotAt(level, now);
    let timer = changetype<Timer | null>(load<usize>(slot));
    store<usize>(slot, 0);
    while (timer) {
      const next = timer.next;
      enter(timer, now);
      timer = next;
    }
  }
}

/** A timer that is due at `now`, no longer set; null when there is none (left). */
export function takeDue(now: u32): Timer | null {
  const timer = changetype<Timer | null>(load<usize>(slotAt(0, now)));
  if (timer) cancelTimer(timer);
  return timer;
}
