/** Synchronisation and switches between threads and processes. */

import type { IAlarm } from "../../interfaces/IAlarm";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { E_FAIL, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, type Mutex, sleep, waitOn, wake, yieldProcessor } from "../../lib/rt/wait";
import { begin, end, GROUPS, leaveOut } from "./marks";

const CALLS: u32 = 50;
const FEW: u32 = 20;
/** Milliseconds that a program has to come to its loop. */
const START: u32 = 50;

/** Milliseconds that nothing here takes. */
const LONG: u32 = 1000000;
const CROWD: u32 = 1000;
const CROWD_WORDS: u32 = 16;
const crowdWords: usize = memory.data(64, 16);
const crowdSize: usize = memory.data(4, 16);

/** What the two threads of a switch take turns on; a mutex. */
const turn: usize = memory.data(16, 16);

export function threadRows(): HRESULT {
  privateTraps();
  let result = switchesOfProcesses();
  if (result === S_OK) result = switches(text(""));
  if (result !== S_OK) return result;
  result = gatherCrowd(0, CROWD);
  if (result === S_OK) result = switches(text(", among 1000 threads"));
  dismissCrowd();
  if (result !== E_OUTOFMEMORY) return result;
  leaveOut(text("thread switches among 1000 threads, whose stacks do not fit into memory"));
  return S_OK;
}

/** What has to cost the same whatever the number of threads. */
export function switches(where: usize): HRESULT {
  let result = switchesByYielding(where);
  if (result === S_OK)
    result = switchesByWaiting(FOREVER, text("thread switch by waiting and waking"), where);
  if (result === S_OK) {
    result = switchesByWaiting(LONG, text("thread switch by waiting with a time limit and waking"), where);
  }
  if (result === S_OK) result = alarms(where);
  if (result === S_OK) result = threadsMade(where);
  return result;
}

/** Thread: one of many that wait, on one of a few words, with many limits of time. */
function waits(index: usize): u32 {
  const word = crowdWords + (index % CROWD_WORDS) * 4;
  while (volatileLoad32(word) === 0) waitOn(word, 0, LONG + <u32>index);
  atomicAdd(crowdSize, 0xffffffff);
  return 0;
}

/** Has a crowd of `first` threads, 0 for none yet, grow to `count`. */
export function gatherCrowd(first: u32, count: u32): HRESULT {
  const word = stackAlloc(4);
  if (first === 0) memory.fill(crowdWords, 0, CROWD_WORDS * 4);
  let result: HRESULT = S_OK;
  for (let index: u32 = first; index < count && result === S_OK; index++) {
    store<u32>(word, 0);
    result = startThreadWith(functionAddress(waits), index, word);
    if (result !== S_OK) break;
    atomicAdd(crowdSize, 1);
    changetype<IThread>(load<usize>(word)).release();
  }
  sleep(START);
  return result;
}

export function dismissCrowd(): void {
  for (let index: u32 = 0; index < CROWD_WORDS; index++) {
    volatileStore32(crowdWords + index * 4, 1);
    wake(crowdWords + index * 4, FOREVER);
  }
  while (volatileLoad32(crowdSize) !== 0) sleep(1);
}

function alarms(where: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const threads = threadsObject();
  if (changetype<usize>(threads) === 0) return E_FAIL;
  const result = threads.alarm(word);
  threads.release();
  if (result !== S_OK) return result;
  const alarm = changetype<IAlarm>(load<usize>(word));
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) {
      alarm.set(turn + 8, LONG + round, 0);
      alarm.cancel();
    }
    end(CALLS, text("alarm set and cancelled"), where);
  }
  alarm.release();
  return S_OK;
}

function privateTraps(): void {
  volatileStore32(turn, 0); // a word that is there
  // Its page is there.
  volatileStore32(turn, 0);
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) wake(turn, 0);
    end(CALLS, text("private trap"));
  }
  const mutex = changetype<Mutex>(turn + 4);
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) {
      mutex.acquire();
      mutex.release();
    }
    end(CALLS, text("mutex taken and given back, uncontended"));
  }
}

/** Waits for its turn (1), gives it back (0), until told to end (2). */
function partner(_argument: usize): u32 {
  while (true) {
    const value = volatileLoad32(turn);
    if (value === 2) return 0;
    if (value === 0) {
      waitOn(turn, 0, FOREVER);
      continue;
    }
    volatileStore32(turn, 0);
    wake(turn, 1);
  }
}

function yielder(_argument: usize): u32 {
  while (volatileLoad32(turn) !== 2) yieldProcessor();
  return 0;
}

/** The program "kernelbench yields": yields until it is killed. */
export function yieldForEver(): void {
  while (true) yieldProcessor();
}

/** The space's IThreads with a reference; null if there is none. */
function threadsObject(): IThreads {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  systemObject().queryInterface(IThreads.IID, word);
  return changetype<IThreads>(load<usize>(word));
}

function startThread(entry: usize, out: usize): HRESULT {
  return startThreadWith(entry, 0, out);
}

function startThreadWith(entry: usize, argument: u32, out: usize): HRESULT {
  const threads = threadsObject();
  if (changetype<usize>(threads) === 0) return E_FAIL;
  const result = threads.create(<u32>entry, argument, PRIORITY_DEFAULT, out);
  threads.release();
  return result;
}

function finish(thread: IThread): void {
  const word = stackAlloc(4);
  volatileStore32(turn, 2);
  wake(turn, FOREVER);
  thread.join(word);
  thread.release();
}

function switchesByYielding(where: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  volatileStore32(turn, 0);
  const result = startThread(functionAddress(yielder), word);
  if (result !== S_OK) return result;
  yieldProcessor();
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) yieldProcessor();
    end(CALLS * 2, text("thread switch by yielding"), where);
  }
  finish(changetype<IThread>(load<usize>(word)));
  return S_OK;
}

function switchesByWaiting(limit: u32, name: usize, where: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  volatileStore32(turn, 0);
  const result = startThread(functionAddress(partner), word);
  if (result !== S_OK) return result;
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) {
      volatileStore32(turn, 1);
      wake(turn, 1);
      while (volatileLoad32(turn) === 1) waitOn(turn, 1, limit);
    }
    end(CALLS * 2, name, where);
  }
  finish(changetype<IThread>(load<usize>(word)));
  return S_OK;
}

/** Two programs that yield to each other. */
function switchesOfProcesses(): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(text("kernelbench"), text("yields"), PLACE_PROCESS, word);
  if (result !== S_OK) return result;
  const process = changetype<IProcess>(load<usize>(word));
  sleep(START);
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) yieldProcessor();
    end(CALLS * 2, text("process switch by yielding"));
  }
  process.kill();
  process.wait(word);
  process.release();
  return S_OK;
}

function threadsMade(where: usize): HRESULT {
  const word = stackAlloc(4);
  begin();
  for (let round: u32 = 0; round < FEW; round++) {
    store<u32>(word, 0);
    const result = startThread(functionAddress(returns), word);
    if (result !== S_OK) return result;
    const thread = changetype<IThread>(load<usize>(word));
    thread.join(word);
    thread.release();
  }
  end(FEW, text("thread made, run and joined"), where);
  return S_OK;
}

function returns(_argument: usize): u32 {
  return 0;
}
