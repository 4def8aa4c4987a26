/**
 * Alarms: at a time, or again and again, 1 is added to a word and everybody who waits on it is woken. The word is named by its physical
 * address, and its frame is kept while the alarm may go off (memory/copy.ts, `holdWord`), so nothing else is ever written.
 *
 * An alarm goes off at a tick of the clock, at the first that is not before its time: at most a millisecond late, plus what interrupts are
 * off for. Periods do not drift: each is counted from the tick before, however late the waiter runs.
 */

import { ticks } from "../i386/clock";
import { enterCritical, leaveCritical } from "../i386/critical";
import { WINDOW_START } from "../i386/layout";
import { dropWord } from "../memory/copy";
import { giveRecord, type RecordPool, takeRecord } from "../memory/records";
import { cancelTimer, setTimer, Timer } from "./timers";
import { FOREVER } from "./wait";
import { wakeKey } from "./waiting";

@unmanaged
export class Alarm extends Timer {
  /** Ticks from one time to the next; 0 for an alarm that goes off once. */
  period: u32 = 0;
  /** Physical address of the word, whose frame it holds; 0 for none. */
  word: u32 = 0;
}

const records: usize = memory.data(16, 16);

/** An alarm that is not set; null when memory is exhausted. */
export function createAlarm(): Alarm | null {
  changetype<RecordPool>(records).size = (offsetof<Alarm>() + 15) & ~15;
  return changetype<Alarm | null>(takeRecord(changetype<RecordPool>(records)));
}

/** Takes over the hold on `word`. The alarm goes off in `delay` ms, then every `period` ms, or once if that is 0. */
export function setAlarm(alarm: Alarm, word: u32, delay: u32, period: u32): void {
  replace(alarm, word, delay, period);
}

/** Was it to go off? It will not. */
export function cancelAlarm(alarm: Alarm): bool {
  return replace(alarm, 0, 0, 0);
}

export function freeAlarm(alarm: Alarm): void {
  cancelAlarm(alarm);
  giveRecord(changetype<RecordPool>(records), changetype<usize>(alarm));
}

function replace(alarm: Alarm, word: u32, delay: u32, period: u32): bool {
  const flags = enterCritical();
  const pending = alarm.slot !== 0;
  if (pending) cancelTimer(alarm);
  const before = alarm.word;
  alarm.word = word;
  alarm.period = period;
  // The tick under way has partly passed.
  if (word !== 0) setTimer(alarm, ticks() + delay + 1);
  leaveCritical(flags);
  if (before !== 0) dropWord(before);
  return pending;
}

/** At ring 0: a timer that is no thread's has come to its time. */
export function alarmDue(timer: Timer): void {
  const alarm = changetype<Alarm>(timer);
  const word = WINDOW_START + alarm.word;
  volatileStore32(word, volatileLoad32(word) + 1);
  wakeKey(alarm.word, FOREVER);
  if (alarm.period !== 0) setTimer(alarm, alarm.tick + alarm.period);
}
