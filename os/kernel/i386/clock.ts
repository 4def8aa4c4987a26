/**
 * The interval timer (8254, channel 0) at 1000 Hz, and what hangs on its ticks: milliseconds since boot, timed waits, quanta.
 */

import { alarmDue } from "../threads/alarms";
import { chargeTick } from "../threads/scheduler";
import type { Thread } from "../threads/thread";
import { takeDue, turnWheel } from "../threads/timers";
import { timeOut } from "../threads/waiting";

const COMMAND: u32 = 0x43;
const CHANNEL0: u32 = 0x40;
/** 1193182 Hz / 1000. */
const DIVISOR: u32 = 1193;
/** Ticks over which the processor's frequency is measured. */
const CALIBRATION: u32 = 16;

/** Thread-level code reads it while interrupts change it. */
const tickWord: usize = memory.data(4, 16);
let elapsed: u32 = 0;
let calibrationStart: u64 = 0;
let frequency: u32 = 0;

export function startClock(): void {
  portOut8(COMMAND, 0x34); // channel 0, low and high byte, mode 2, binary
  portOut8(CHANNEL0, DIVISOR & 0xff);
  portOut8(CHANNEL0, DIVISOR >> 8);
}

/** Milliseconds since boot. */
export function ticks(): u32 {
  return volatileLoad32(tickWord);
}

/** First-level handler, ring 0. */
export function clockInterrupt(): void {
  elapsed++;
  volatileStore32(tickWord, elapsed);
  if (elapsed === 1) calibrationStart = timeStamp();
  if (elapsed === 1 + CALIBRATION) frequency = <u32>(((timeStamp() - calibrationStart) * 1000) / CALIBRATION);
  chargeTick(elapsed);
  turnWheel(elapsed);
  for (let timer = takeDue(elapsed); timer; timer = takeDue(elapsed)) {
    if (timer.thread !== 0) timeOut(changetype<Thread>(timer.thread));
    else alarmDue(timer);
  }
}

/** Processor cycles in a second, measured against the timer; 0 in the first milliseconds after boot. */
export function processorFrequency(): u32 {
  return frequency;
}
