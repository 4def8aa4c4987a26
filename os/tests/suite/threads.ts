/** Threads, waiting, preemption: the same in a process and in the kernel. */

import type { IThread } from "../../interfaces/IThread";
import { E_INVALIDARG, S_OK } from "../../interfaces/results";
import { systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import {
  type Condition,
  currentThread,
  FOREVER,
  type Mutex,
  sleep,
  WAIT_CHANGED,
  WAIT_TIMED_OUT,
  waitOn,
  wake,
} from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { joinThread, startThread } from "./started-threads";

const ROUNDS: u32 = 2000;
const WORKERS: u32 = 4;

/** Words that threads of a case share. */
const shared: usize = memory.data(64, 16);

function clearShared(): void {
  memory.fill(shared, 0, 64);
}

function addOne(value: usize): u32 {
  return <u32>value + 1;
}

function startAndJoin(): void {
  for (let round: u32 = 0; round < 5; round++) {
    const thread = startThread(functionAddress(addOne), round, PRIORITY_DEFAULT);
    if (changetype<usize>(thread) === 0) return;
    expectEqual(joinThread(thread), round + 1, text("result of the thread"));
  }
}

function storeId(_argument: usize): u32 {
  return currentThread();
}

function identities(): void {
  const word = stackAlloc(4);
  const thread = startThread(functionAddress(storeId), 0, PRIORITY_DEFAULT);
  if (changetype<usize>(thread) === 0) return;
  expectEqual(thread.identity(word), S_OK, text("result of identity"));
  expectEqual(joinThread(thread), load<u32>(word), text("id that the thread sees"));
  expect(load<u32>(word) !== currentThread(), text("two threads have one id"));
}

/** Counts in its word until the stop word is set. */
function spin(index: usize): u32 {
  const counter = shared + 4 + index * 4;
  while (volatileLoad32(shared) === 0) volatileStore32(counter, volatileLoad32(counter) + 1);
  return 0;
}

function preemption(): void {
  clearShared();
  const first = startThread(functionAddress(spin), 0, PRIORITY_DEFAULT);
  const second = startThread(functionAddress(spin), 1, PRIORITY_DEFAULT);
  if (changetype<usize>(first) === 0 || changetype<usize>(second) === 0) return;
  sleep(60);
  const one = volatileLoad32(shared + 4);
  const two = volatileLoad32(shared + 8);
  sleep(60);
  expect(volatileLoad32(shared + 4) > one && one > 0, text("the first spinning thread does not get on"));
  expect(volatileLoad32(shared + 8) > two && two > 0, text("the second spinning thread does not get on"));
  volatileStore32(shared, 1);
  joinThread(first);
  joinThread(second);
}

function priorities(): void {
  clearShared();
  const low = startThread(functionAddress(spin), 0, PRIORITY_DEFAULT - 2);
  const high = startThread(functionAddress(spin), 1, PRIORITY_DEFAULT - 1);
  if (changetype<usize>(low) === 0 || changetype<usize>(high) === 0) return;
  sleep(20);
  const before = volatileLoad32(shared + 4);
  sleep(60);
  expectEqual(volatileLoad32(shared + 4), before, text("count of the less urgent thread"));
  expect(volatileLoad32(shared + 8) > 0, text("the more urgent thread does not get on"));
  volatileStore32(shared, 1);
  joinThread(high);
  joinThread(low);
}

/** Increments the shared counter under the mutex, in two steps that a race would spoil. */
function lockAndCount(_argument: usize): u32 {
  const mutex = changetype<Mutex>(shared + 32);
  for (let round: u32 = 0; round < ROUNDS; round++) {
    mutex.acquire();
    const value = volatileLoad32(shared);
    if (round % 500 === 0) sleep(1);
    volatileStore32(shared, value + 1);
    mutex.release();
  }
  return 0;
}

function mutualExclusion(): void {
  clearShared();
  const threads = stackAlloc(WORKERS * 4);
  for (let index: u32 = 0; index < WORKERS; index++) {
    store<usize>(
      threads + index * 4,
      changetype<usize>(startThread(functionAddress(lockAndCount), 0, PRIORITY_DEFAULT)),
    );
  }
  for (let index: u32 = 0; index < WORKERS; index++) {
    const thread = load<usize>(threads + index * 4);
    if (thread !== 0) joinThread(changetype<IThread>(thread));
  }
  expectEqual(volatileLoad32(shared), WORKERS * ROUNDS, text("count"));
}

/** Holds the mutex until the stop word is set, without ever waiting. */
function holdMutex(_argument: usize): u32 {
  const mutex = changetype<Mutex>(shared + 32);
  mutex.acquire();
  volatileStore32(shared + 4, 1);
  while (volatileLoad32(shared) === 0) {}
  mutex.release();
  return 0;
}

/** Takes the mutex and notes that it had it. */
function wantMutex(_argument: usize): u32 {
  const mutex = changetype<Mutex>(shared + 32);
  mutex.acquire();
  volatileStore32(shared + 8, 1);
  mutex.release();
  return 0;
}

/**
 * A thread of low priority holds a mutex that a more urgent one wants, while one in between never stops: without inheritance
 * the holder would not run again.
 */
function inheritance(): void {
  clearShared();
  const low = startThread(functionAddress(holdMutex), 0, PRIORITY_DEFAULT - 6);
  if (changetype<usize>(low) === 0) return;
  sleep(10);
  expectEqual(volatileLoad32(shared + 4), 1, text("mutex held"));
  const middle = startThread(functionAddress(spin), 3, PRIORITY_DEFAULT - 4);
  const high = startThread(functionAddress(wantMutex), 0, PRIORITY_DEFAULT - 2);
  if (changetype<usize>(middle) === 0 || changetype<usize>(high) === 0) return;
  sleep(20);
  const counted = volatileLoad32(shared + 16);
  sleep(20);
  // The holder runs with the waiter's priority now, so the one in between does not.
  expectEqual(volatileLoad32(shared + 16), counted, text("count of the thread in between"));
  expectEqual(volatileLoad32(shared + 8), 0, text("mutex had by the waiter too early"));
  volatileStore32(shared, 1);
  joinThread(high);
  expectEqual(volatileLoad32(shared + 8), 1, text("mutex had by the waiter"));
  joinThread(low);
  joinThread(middle);
}

/** Waits until the shared word is 1, then sets the second one. */
function waitForSignal(_argument: usize): u32 {
  const mutex = changetype<Mutex>(shared + 32);
  const condition = changetype<Condition>(shared + 36);
  mutex.acquire();
  while (volatileLoad32(shared) === 0) condition.wait(mutex, FOREVER);
  atomicAdd(shared + 4, 1);
  mutex.release();
  return 0;
}

function conditions(): void {
  clearShared();
  const first = startThread(functionAddress(waitForSignal), 0, PRIORITY_DEFAULT);
  const second = startThread(functionAddress(waitForSignal), 0, PRIORITY_DEFAULT);
  if (changetype<usize>(first) === 0 || changetype<usize>(second) === 0) return;
  sleep(10);
  expectEqual(volatileLoad32(shared + 4), 0, text("threads past the wait too early"));
  const mutex = changetype<Mutex>(shared + 32);
  mutex.acquire();
  volatileStore32(shared, 1);
  mutex.release();
  changetype<Condition>(shared + 36).broadcast();
  joinThread(first);
  joinThread(second);
  expectEqual(volatileLoad32(shared + 4), 2, text("threads past the wait"));
}

function timedWaits(): void {
  clearShared();
  const cycles = stackAlloc(8);
  const frequency = stackAlloc(4);
  systemObject().time(cycles, frequency);
  const before = load<u64>(cycles);
  expectEqual(waitOn(shared, 1, 50), WAIT_CHANGED, text("result for another value"));
  expectEqual(waitOn(shared, 0, 50), WAIT_TIMED_OUT, text("result without a wake"));
  expectEqual(wake(shared, 1), 0, text("waiters woken afterwards"));
  systemObject().time(cycles, frequency);
  const milliseconds = <u32>(((load<u64>(cycles) - before) * 1000) / load<u32>(frequency));
  expect(milliseconds >= 45, text("the wait was shorter than its timeout"));
  expect(milliseconds < 500, text("the wait was much longer than its timeout"));
}

function waitForever(_argument: usize): u32 {
  return waitOn(shared, 0, FOREVER);
}

function killWaiting(): void {
  clearShared();
  const word = stackAlloc(4);
  const thread = startThread(functionAddress(waitForever), 0, PRIORITY_DEFAULT);
  if (changetype<usize>(thread) === 0) return;
  sleep(10);
  expectEqual(thread.kill(), S_OK, text("result of kill"));
  expectEqual(thread.join(word), S_OK, text("result of join"));
  thread.release();
}

function badPriority(): void {
  const thread = startThread(functionAddress(addOne), 1, PRIORITY_DEFAULT);
  if (changetype<usize>(thread) === 0) return;
  expectEqual(thread.setPriority(99), E_INVALIDARG, text("result of priority 99"));
  expectEqual(thread.setPriority(PRIORITY_DEFAULT - 1), S_OK, text("result of a good priority"));
  joinThread(thread);
}

export function threadCases(): void {
  runCase(text("thread-start-and-join"), functionAddress(startAndJoin));
  runCase(text("thread-identities"), functionAddress(identities));
  runCase(text("thread-preemption"), functionAddress(preemption));
  runCase(text("thread-priorities"), functionAddress(priorities));
  runCase(text("mutual-exclusion"), functionAddress(mutualExclusion));
  runCase(text("priority-inheritance"), functionAddress(inheritance));
  runCase(text("conditions"), functionAddress(conditions));
  runCase(text("timed-waits"), functionAddress(timedWaits));
  runCase(text("kill-a-waiting-thread"), functionAddress(killWaiting));
  runCase(text("bad-priority"), functionAddress(badPriority));
}
