/** Mutexes, conditions and alarms: chains of inheritance, limits of time, memory that spaces share, what costs a trap. */

import type { IAlarm } from "../../interfaces/IAlarm";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import type { ISharedMemory } from "../../interfaces/ISharedMemory";
import { PLACE_PROCESS } from "../../interfaces/ISystem";
import { E_INVALIDARG, E_POINTER, S_FALSE, S_OK } from "../../interfaces/results";
import { allocate, free } from "../../lib/rt/heap";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import {
  type Condition,
  FOREVER,
  type Mutex,
  sleep,
  WAIT_ABANDONED,
  WAIT_TIMED_OUT,
  WAIT_WOKEN,
  waitOn,
} from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { joinThread, startThread, threadsObject } from "./started-threads";

const SHARED: usize = text("suite.mutex");
const MANY: u32 = 1000;
const ROUNDS: u32 = 200;
const UNMAPPED: u32 = 0x20000000;

/** Words of a case: 0 stop, 4 … what the case says; 32 first mutex, 36 second, 40 third, 44 condition. */
const words: usize = memory.data(64, 16);

function clearWords(): void {
  memory.fill(words, 0, 64);
}

function mutexAt(offset: usize): Mutex {
  return changetype<Mutex>(words + offset);
}

function condition(): Condition {
  return changetype<Condition>(words + 44);
}

function milliseconds(): u32 {
  const cycles = stackAlloc(8);
  const frequency = stackAlloc(4);
  systemObject().time(cycles, frequency);
  return <u32>((load<u64>(cycles) * 1000) / load<u32>(frequency));
}

/** Holds the first mutex, never waiting, until told to stop. */
function holdFirst(_argument: usize): u32 {
  mutexAt(32).acquire();
  volatileStore32(words + 4, 1);
  while (volatileLoad32(words) === 0) {}
  mutexAt(32).release();
  return 0;
}

/** Holds the second mutex and waits for the first. */
function holdSecond(_argument: usize): u32 {
  mutexAt(36).acquire();
  mutexAt(32).acquire();
  mutexAt(32).release();
  mutexAt(36).release();
  return 0;
}

/** Waits for the second, `milliseconds` at most (0: as long as it takes); the result is the wait's. */
function wantSecond(milliseconds: usize): u32 {
  const result = mutexAt(36).acquireWithin(milliseconds === 0 ? FOREVER : <u32>milliseconds);
  if (result !== WAIT_TIMED_OUT) mutexAt(36).release();
  volatileStore32(words + 12, 1);
  return result;
}

/** Counts, never waiting, until told to stop. */
function spin(_argument: usize): u32 {
  while (volatileLoad32(words) === 0) volatileStore32(words + 8, volatileLoad32(words + 8) + 1);
  return 0;
}

function spinnerRuns(): bool {
  const before = volatileLoad32(words + 8);
  sleep(20);
  return volatileLoad32(words + 8) !== before;
}

/**
 * A (least urgent) holds the first mutex, B waits for it holding the second, C (most urgent) waits for that, and one in between never stops. A
 * inherits from C through B, so the one in between stands; when C gives up, it runs again.
 */
function chain(): void {
  clearWords();
  const a = startThread(functionAddress(holdFirst), 0, PRIORITY_DEFAULT - 8);
  sleep(5);
  const b = startThread(functionAddress(holdSecond), 0, PRIORITY_DEFAULT - 6);
  sleep(5);
  const between = startThread(functionAddress(spin), 0, PRIORITY_DEFAULT - 4);
  expect(spinnerRuns(), text("the thread in between does not run before the chain is complete"));
  const c = startThread(functionAddress(wantSecond), 100, PRIORITY_DEFAULT - 2);
  sleep(5);
  expect(!spinnerRuns(), text("the end of the chain does not inherit"));
  expectEqual(joinThread(c), WAIT_TIMED_OUT, text("result of the wait that gives up"));
  expect(spinnerRuns(), text("what was lent did not go back with the wait"));
  const d = startThread(functionAddress(wantSecond), 0, PRIORITY_DEFAULT - 7);
  sleep(2);
  expect(spinnerRuns(), text("a less urgent waiter lends too much"));
  expectEqual(d.setPriority(PRIORITY_DEFAULT - 3), S_OK, text("result of setPriority"));
  sleep(2);
  expect(!spinnerRuns(), text("a waiter that becomes more urgent does not lend that"));
  expectEqual(d.setPriority(PRIORITY_DEFAULT - 7), S_OK, text("result of setPriority"));
  sleep(2);
  expect(spinnerRuns(), text("a waiter that becomes less urgent does not take that back"));
  volatileStore32(words, 1);
  joinThread(a);
  joinThread(b);
  expectEqual(joinThread(d), WAIT_WOKEN, text("result of the last wait"));
  joinThread(between);
}

/** Takes the mutex at `first`, then wants the other one for a while; gives back what it got. */
function lockBoth(first: usize): u32 {
  const other = mutexAt(first === 32 ? 36 : 32);
  mutexAt(first).acquire();
  sleep(5);
  const result = other.acquireWithin(30);
  if (result !== WAIT_TIMED_OUT) other.release();
  mutexAt(first).release();
  return result;
}

/** Two threads that wait for each other lend each other priority in a circle, until one gives up. */
function deadlock(): void {
  clearWords();
  const one = startThread(functionAddress(lockBoth), 32, PRIORITY_DEFAULT - 2);
  const two = startThread(functionAddress(lockBoth), 36, PRIORITY_DEFAULT - 1);
  sleep(15);
  one.setPriority(PRIORITY_DEFAULT);
  two.setPriority(PRIORITY_DEFAULT - 3);
  const first = joinThread(one);
  const second = joinThread(two);
  expect(first === WAIT_TIMED_OUT || second === WAIT_TIMED_OUT, text("nobody gave up"));
  expectEqual(volatileLoad32(words + 32), 0, text("word of the first mutex"));
  expectEqual(volatileLoad32(words + 36), 0, text("word of the second mutex"));
}

function timedMutex(): void {
  clearWords();
  const mutex = mutexAt(32);
  expect(mutex.tryAcquire(), text("a free mutex was refused"));
  expect(!mutex.tryAcquire(), text("a taken mutex was given"));
  mutex.release();
  const holder = startThread(functionAddress(holdFirst), 0, PRIORITY_DEFAULT);
  while (volatileLoad32(words + 4) === 0) sleep(1);
  const before = milliseconds();
  expectEqual(mutex.acquireWithin(0), WAIT_TIMED_OUT, text("result without waiting"));
  expectEqual(mutex.acquireWithin(30), WAIT_TIMED_OUT, text("result of waiting 30 ms"));
  expect(milliseconds() - before >= 29, text("the wait was too short"));
  volatileStore32(words, 1);
  expectEqual(mutex.acquireWithin(1000), WAIT_WOKEN, text("result once it is given back"));
  mutex.release();
  joinThread(holder);
  expectEqual(volatileLoad32(words + 32), 0, text("word of the free mutex"));
}

/** Takes the first mutex and ends with it. */
function endWithMutex(_argument: usize): u32 {
  mutexAt(32).acquire();
  sleep(10);
  return 0;
}

function abandonedMutex(): void {
  clearWords();
  const mutex = mutexAt(32);
  let owner = startThread(functionAddress(endWithMutex), 0, PRIORITY_DEFAULT);
  sleep(2);
  expectEqual(mutex.acquire(), WAIT_ABANDONED, text("result of waiting for a thread that ends"));
  joinThread(owner);
  mutex.release();
  owner = startThread(functionAddress(endWithMutex), 0, PRIORITY_DEFAULT);
  joinThread(owner);
  expectEqual(mutex.acquire(), WAIT_ABANDONED, text("result after the owner's end"));
  mutex.release();
  expectEqual(mutex.acquire(), WAIT_WOKEN, text("result afterwards"));
  mutex.release();
}

/** Waits for the condition once; notes its place in the order of waking, a nibble each, by its argument. */
function waitOnce(mark: usize): u32 {
  const mutex = mutexAt(32);
  mutex.acquire();
  const result = condition().wait(mutex, FOREVER);
  volatileStore32(words + 16, (volatileLoad32(words + 16) << 4) | <u32>mark);
  mutex.release();
  return result;
}

/** Signals wake the most urgent waiter, and the first of equals. */
function conditionOrder(): void {
  clearWords();
  const low = startThread(functionAddress(waitOnce), 1, PRIORITY_DEFAULT - 3);
  sleep(2);
  const first = startThread(functionAddress(waitOnce), 2, PRIORITY_DEFAULT - 2);
  sleep(2);
  const second = startThread(functionAddress(waitOnce), 3, PRIORITY_DEFAULT - 2);
  sleep(2);
  const high = startThread(functionAddress(waitOnce), 4, PRIORITY_DEFAULT - 4);
  sleep(2);
  // A waiter that becomes more urgent moves to the front.
  high.setPriority(PRIORITY_DEFAULT - 1);
  for (let signals: u32 = 0; signals < 4; signals++) {
    condition().signal();
    sleep(2);
  }
  expectEqual(volatileLoad32(words + 16), 0x4231, text("order of waking"));
  joinThread(low);
  joinThread(first);
  joinThread(second);
  joinThread(high);
}

function timedCondition(): void {
  clearWords();
  const mutex = mutexAt(32);
  mutex.acquire();
  const before = milliseconds();
  expectEqual(condition().wait(mutex, 20), WAIT_TIMED_OUT, text("result of a wait without a signal"));
  expect(milliseconds() - before >= 19, text("the wait was too short"));
  expect(!mutex.tryAcquire(), text("the mutex is free after the wait"));
  mutex.release();
}

/** A mutex and a condition in memory that a process and we share. */
function acrossSpaces(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(memoryObject().share(4096, word), S_OK, text("result of share"))) return;
  const object = changetype<ISharedMemory>(load<usize>(word));
  store<u32>(word, 0);
  expectEqual(
    memoryObject().mapShared(object, word, PROTECT_READ | PROTECT_WRITE),
    S_OK,
    text("result of map"),
  );
  const area: usize = load<u32>(word);
  expectEqual(systemObject().register(SHARED, object), S_OK, text("result of register"));
  const mutex = changetype<Mutex>(area);
  const turn = changetype<Condition>(area + 4);
  const result = systemObject().run(text("abuse"), text("shared-mutex suite.mutex"), PLACE_PROCESS, word);
  if (expectEqual(result, S_OK, text("result of run"))) {
    const peer = changetype<IProcess>(load<usize>(word));
    // The two take turns: even counts are ours.
    for (let round: u32 = 0; round < ROUNDS; round++) {
      mutex.acquire();
      while (volatileLoad32(area + 8) % 2 !== 0 && turn.wait(mutex, 2000) === WAIT_WOKEN) {}
      volatileStore32(area + 8, volatileLoad32(area + 8) + 1);
      turn.signal();
      mutex.release();
    }
    expectEqual(peer.wait(word), S_OK, text("result of waiting for the peer"));
    expectEqual(load<u32>(word), 0, text("exit code of the peer"));
    expectEqual(volatileLoad32(area + 8), 2 * ROUNDS, text("count"));
    // The peer ended with the mutex.
    expectEqual(mutex.acquireWithin(1000), WAIT_ABANDONED, text("result of taking what the peer ended with"));
    mutex.release();
    peer.release();
  }
  systemObject().unregister(SHARED);
  object.release();
  memoryObject().unmap(<u32>area);
}

function privateTraps(): u32 {
  const digits = stackAlloc(16);
  let value: u32 = 0;
  if (systemObject().option(text("count.privateTraps"), digits, 16) !== S_OK) return 0;
  for (let at = digits; load<u8>(at) !== 0; at++) value = value * 10 + load<u8>(at) - 48;
  return value;
}

/** Taking and giving back what nobody else wants stays in the program. */
function withoutTraps(): void {
  clearWords();
  const mutex = mutexAt(32);
  const before = privateTraps();
  const idle = privateTraps() - before;
  expect(before > 0, text("traps are not counted"));
  const from = privateTraps();
  for (let round: u32 = 0; round < ROUNDS; round++) {
    mutex.acquire();
    mutex.release();
    if (mutex.tryAcquire()) mutex.release();
  }
  expect(privateTraps() - from - idle < ROUNDS / 4, text("a mutex that nobody else wants takes traps"));
  const woken = privateTraps();
  for (let round: u32 = 0; round < ROUNDS; round++) condition().signal();
  expect(privateTraps() - woken >= ROUNDS, text("the count misses traps"));
}

/** A new alarm; null (and a report) if there is none to be had. */
function newAlarm(): IAlarm {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const threads = threadsObject();
  expectEqual(threads.alarm(word), S_OK, text("result of alarm"));
  threads.release();
  return changetype<IAlarm>(load<usize>(word));
}

function oneAlarm(): void {
  clearWords();
  const alarm = newAlarm();
  if (changetype<usize>(alarm) === 0) return;
  const before = milliseconds();
  expectEqual(alarm.set(words, 25, 0), S_OK, text("result of set"));
  expectEqual(waitOn(words, 0, 1000), WAIT_WOKEN, text("result of waiting for the alarm"));
  const late = milliseconds() - before;
  expect(late >= 25, text("the alarm went off early"));
  expect(late < 60, text("the alarm went off late"));
  sleep(40);
  expectEqual(volatileLoad32(words), 1, text("times that it went off"));
  expectEqual(alarm.cancel(), S_FALSE, text("result of cancelling what is over"));
  expectEqual(alarm.set(words, 5, 0), S_OK, text("result of set"));
  expectEqual(alarm.cancel(), S_OK, text("result of cancel"));
  sleep(10);
  expectEqual(volatileLoad32(words), 1, text("times after cancel"));
  alarm.set(words, 5, 0);
  alarm.release();
  sleep(10);
  expectEqual(volatileLoad32(words), 1, text("times after release"));
}

/** Every period counts, and they do not drift. */
function periodicAlarm(): void {
  clearWords();
  const alarm = newAlarm();
  if (changetype<usize>(alarm) === 0) return;
  const before = milliseconds();
  alarm.set(words, 0, 3);
  for (let seen: u32 = 0; seen < 20; seen = volatileLoad32(words)) waitOn(words, seen, 1000);
  const took = milliseconds() - before;
  alarm.cancel();
  const times = volatileLoad32(words);
  expect(took + 2 >= 3 * 19, text("periods are too short"));
  expect(took / 3 <= times + 1, text("periods were lost"));
  sleep(10);
  expectEqual(volatileLoad32(words), times, text("times after cancel"));
  alarm.release();
}

/** An alarm on a condition is a broadcast. */
function alarmOnCondition(): void {
  clearWords();
  const one = startThread(functionAddress(waitOnce), 1, PRIORITY_DEFAULT);
  const two = startThread(functionAddress(waitOnce), 1, PRIORITY_DEFAULT);
  sleep(5);
  const alarm = newAlarm();
  alarm.set(words + 44, 5, 0);
  joinThread(one);
  joinThread(two);
  expectEqual(volatileLoad32(words + 16), 0x11, text("threads that were woken"));
  alarm.release();
}

function badAlarms(): void {
  const alarm = newAlarm();
  expectEqual(alarm.set(words + 2, 1, 0), E_INVALIDARG, text("result for an odd address"));
  expectEqual(alarm.set(words, 0x80000000, 0), E_INVALIDARG, text("result for a long time"));
  expectEqual(alarm.set(UNMAPPED, 1, 0), E_POINTER, text("result for a word that is not there"));
  const code = stackAlloc(4);
  volatileStore32(code, functionAddress(oneAlarm));
  expectEqual(
    alarm.set(volatileLoad32(code) & ~3, 1, 0),
    E_POINTER,
    text("result for a word that is read-only"),
  );
  alarm.release();
  // The word goes before the alarm does.
  const address = stackAlloc(4);
  store<u32>(address, 0);
  memoryObject().map(address, 4096, PROTECT_READ | PROTECT_WRITE);
  const last = newAlarm();
  expectEqual(last.set(load<u32>(address), 2, 1), S_OK, text("result of set on new memory"));
  memoryObject().unmap(load<u32>(address));
  sleep(10);
  expectEqual(last.cancel(), S_OK, text("result of cancel"));
  last.release();
}

/** Many alarms at many times, half of them cancelled: each goes off once, in order of time. */
function manyAlarms(): void {
  clearWords();
  const list = allocate(MANY * 4);
  const counts = allocate(MANY * 4);
  if (list === 0 || counts === 0) return;
  memory.fill(counts, 0, MANY * 4);
  for (let index: u32 = 0; index < MANY; index++) {
    const alarm = newAlarm();
    store<u32>(list + index * 4, changetype<u32>(alarm));
    expectEqual(alarm.set(counts + index * 4, 50 + ((index * 37) % 200), 0), S_OK, text("result of set"));
  }
  for (let index: u32 = 0; index < MANY; index += 2) {
    const alarm = changetype<IAlarm>(load<usize>(list + index * 4));
    // On a slow machine it may have gone off already.
    if (volatileLoad32(counts + index * 4) === 0) alarm.cancel();
  }
  sleep(300);
  for (let index: u32 = 0; index < MANY; index++) {
    const times = volatileLoad32(counts + index * 4);
    if (index % 2 === 1) expectEqual(times, 1, text("times that an alarm went off"));
    else expect(times <= 1, text("an alarm went off twice"));
    changetype<IAlarm>(load<usize>(list + index * 4)).release();
  }
  free(list);
  free(counts);
}

/** Far times go through every level of the wheel; near ones are not disturbed. */
function farAlarms(): void {
  clearWords();
  const list = stackAlloc(6 * 4);
  let delay: u32 = 40;
  for (let index: u32 = 0; index < 6; index++) {
    const alarm = newAlarm();
    alarm.set(words + 8, delay, 0);
    delay = delay * 40 < 0x7fffffff && delay < 0x3000000 ? delay * 40 : 0x7fffffff;
    store<u32>(list + index * 4, changetype<u32>(alarm));
  }
  const near = newAlarm();
  near.set(words + 4, 10, 0);
  sleep(90);
  expectEqual(volatileLoad32(words + 4), 1, text("times of the near alarm"));
  expectEqual(volatileLoad32(words + 8), 1, text("times of the far alarms"));
  near.release();
  for (let index: u32 = 0; index < 6; index++) changetype<IAlarm>(load<usize>(list + index * 4)).release();
}

export function synchronisationCases(): void {
  runCase(text("inheritance-along-a-chain"), functionAddress(chain));
  runCase(text("inheritance-in-a-deadlock"), functionAddress(deadlock));
  runCase(text("mutex-with-a-time-limit"), functionAddress(timedMutex));
  runCase(text("mutex-of-a-thread-that-ended"), functionAddress(abandonedMutex));
  runCase(text("mutex-without-traps"), functionAddress(withoutTraps));
  runCase(text("mutex-across-spaces"), functionAddress(acrossSpaces));
  runCase(text("condition-wakes-by-priority"), functionAddress(conditionOrder));
  runCase(text("condition-with-a-time-limit"), functionAddress(timedCondition));
  runCase(text("alarm-once"), functionAddress(oneAlarm));
  runCase(text("alarm-periodic"), functionAddress(periodicAlarm));
  runCase(text("alarm-on-a-condition"), functionAddress(alarmOnCondition));
  runCase(text("alarm-errors"), functionAddress(badAlarms));
  runCase(text("alarms-by-the-thousand"), functionAddress(manyAlarms));
  runCase(text("alarms-far-away"), functionAddress(farAlarms));
}
