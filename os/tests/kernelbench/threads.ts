/** Synchronisation and switches between threads and processes. */

import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, type Mutex, sleep, waitOn, wake, yieldProcessor } from "../../lib/rt/wait";
import { begin, end, GROUPS } from "./marks";

const CALLS: u32 = 50;
const FEW: u32 = 20;
/** Milliseconds that a program has to come to its loop. */
const START: u32 = 50;

/** What the two threads of a switch take turns on; a mutex. */
const turn: usize = memory.data(16, 16);

export function threadRows(): HRESULT {
  privateTraps();
  let result = switchesByYielding();
  if (result === S_OK) result = switchesByWaiting();
  if (result === S_OK) result = switchesOfProcesses();
  if (result === S_OK) result = threadsMade();
  return result;
}

function privateTraps(): void {
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

function startThread(entry: usize, out: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const found = systemObject().queryInterface(IThreads.IID, word);
  if (found !== S_OK) return found;
  const threads = changetype<IThreads>(load<usize>(word));
  const result = threads.create(<u32>entry, 0, PRIORITY_DEFAULT, out);
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

function switchesByYielding(): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  volatileStore32(turn, 0);
  const result = startThread(functionAddress(yielder), word);
  if (result !== S_OK) return result;
  yieldProcessor();
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) yieldProcessor();
    end(CALLS * 2, text("thread switch by yielding"));
  }
  finish(changetype<IThread>(load<usize>(word)));
  return S_OK;
}

function switchesByWaiting(): HRESULT {
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
      while (volatileLoad32(turn) === 1) waitOn(turn, 1, FOREVER);
    }
    end(CALLS * 2, text("thread switch by waiting and waking"));
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

function threadsMade(): HRESULT {
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
  end(FEW, text("thread made, run and joined"));
  return S_OK;
}

function returns(_argument: usize): u32 {
  return 0;
}
