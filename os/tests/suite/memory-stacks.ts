/** Stacks of threads: how many there can be, and what they give back. */

import type { MemoryCounters } from "../../interfaces/IMemory";
import type { MemoryInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, sleep, waitOn, wake } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";

const THREADS: u32 = 1000;
const PAGE: u32 = 4096;
/** Pages of stack. */
const DEEP: u32 = 40;
const PATIENCE: u32 = 2000;

/** What the first of the threads waits for. */
const go: usize = memory.data(4, 16);
/** Address of the list of threads. */
let list: usize = 0;

/** Waits in the kernel for the thread before it; returns how many came before. */
function link(index: usize): u32 {
  if (index === 0) {
    while (volatileLoad32(go) === 0) waitOn(go, 0, FOREVER);
    return 1;
  }
  const result = stackAlloc(4);
  const before = changetype<IThread>(load<usize>(list + (index - 1) * 4));
  return before.join(result) === S_OK ? load<u32>(result) + 1 : 0;
}

/** A thousand threads at once, every one in a call of the kernel and so with a kernel stack of its own. */
function thousandThreads(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(memoryObject().map(word, PAGE, 3), S_OK, text("result of map"))) return;
  list = load<u32>(word);
  store<u32>(word, 0);
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return;
  const threads = changetype<IThreads>(load<usize>(word));
  volatileStore32(go, 0);
  let made: u32 = 0;
  for (; made < THREADS; made++) {
    const result = threads.create(<u32>functionAddress(link), made, PRIORITY_DEFAULT, list + made * 4);
    if (!expectEqual(result, S_OK, text("result of create"))) break;
  }
  expectEqual(made, THREADS, text("number of threads"));
  volatileStore32(go, 1);
  wake(go, 1);
  for (let index: u32 = 0; index < made; index++) {
    const thread = changetype<IThread>(load<usize>(list + index * 4));
    store<u32>(word, 0);
    thread.join(word);
    if (!expectEqual(load<u32>(word), index + 1, text("result of a thread"))) break;
  }
  for (let index: u32 = 0; index < made; index++)
    changetype<IThread>(load<usize>(list + index * 4)).release();
  threads.release();
  expectEqual(memoryObject().unmap(<u32>list), S_OK, text("result of unmap"));
}

/** Uses a page of stack a level. */
function deep(levels: u32): u32 {
  const frame = stackAlloc(PAGE - 64);
  volatileStore32(frame, levels);
  return levels === 0 ? 0 : deep(levels - 1) + (volatileLoad32(frame) === levels ? 1 : 0);
}

/** Threads that have used their stack. */
const used: usize = memory.data(4, 16);

/** Uses much stack, waits with little of it in use (the second thread in a call of the kernel), uses it again. */
function deepThenWaiting(index: usize): u32 {
  if (deep(DEEP) !== DEEP) return 1;
  atomicAdd(used, 1);
  if (index === 0) while (volatileLoad32(go) === 0) waitOn(go, 0, FOREVER);
  else if (link(index) === 0) return 2;
  return deep(DEEP) === DEEP ? 0 : 3;
}

/** Pages of stacks given back since boot, of the kind that this program's threads have. */
function trimmed(): u32 {
  const counters = changetype<MemoryCounters>(stackAlloc(offsetof<MemoryCounters>()));
  memoryObject().counters(changetype<usize>(counters));
  return codeSegment() & 2 ? counters.trimmedUserPages : counters.trimmedKernelPages;
}

function pagesOfStacks(): u32 {
  const info = changetype<MemoryInfo>(stackAlloc(offsetof<MemoryInfo>()));
  systemObject().memoryInfo(changetype<usize>(info));
  return codeSegment() & 2 ? info.userStacks : info.kernelStacks;
}

function trimInterval(): u32 {
  const digits = stackAlloc(16);
  const word = stackAlloc(4);
  if (systemObject().option(text("trim"), digits, 16) !== S_OK || !parseNumber(digits, word)) return 10000;
  return load<u32>(word);
}

/** What lies below the stack pointers of waiting threads is given back in time, and grows again. */
function stacksTrimmed(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return;
  const threads = changetype<IThreads>(load<usize>(word));
  volatileStore32(go, 0);
  volatileStore32(used, 0);
  list = stackAlloc(8);
  const before = trimmed();
  for (let index: u32 = 0; index < 2; index++) {
    const entry = <u32>functionAddress(deepThenWaiting);
    if (
      !expectEqual(
        threads.create(entry, index, PRIORITY_DEFAULT, list + index * 4),
        S_OK,
        text("result of create"),
      )
    )
      return;
  }
  threads.release();
  for (let waited: u32 = 0; volatileLoad32(used) < 2 && waited < PATIENCE; waited++) sleep(1);
  const most = pagesOfStacks();
  // Each keeps the page it is on and what the probe promises it.
  const wanted: u32 = (DEEP - 2) * 2;
  for (let waited: u32 = 0; trimmed() - before < wanted && waited < trimInterval() + PATIENCE; waited += 20)
    sleep(20);
  expect(trimmed() - before >= wanted, text("pages of stacks were not given back"));
  expect(most - pagesOfStacks() >= wanted, text("pages of stacks are still counted"));
  volatileStore32(go, 1);
  wake(go, 1);
  for (let index: u32 = 0; index < 2; index++) {
    const thread = changetype<IThread>(load<usize>(list + index * 4));
    store<u32>(word, 99);
    thread.join(word);
    expectEqual(load<u32>(word), 0, text("result of a thread"));
    thread.release();
  }
}

export function stackCases(): void {
  runCase(text("stacks-trimmed"), functionAddress(stacksTrimmed));
  runCase(text("thousand-threads"), functionAddress(thousandThreads));
}
