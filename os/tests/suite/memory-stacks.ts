/**
 * Stacks of threads: how many there can be, which pages they have, what they give back. What is expected of them depends on the
 * policy chosen at boot (Figure 7-2); user stacks, which a program in a process has, grow under every one.
 */

import {
  type MemoryInfo,
  PLACE_KERNEL,
  STACKS_DEDICATED,
  STACKS_FIXED,
  STACKS_TRIMMED,
  STACKS_UNTRIMMED,
  type StackInfo,
} from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, sleep, waitOn, wake } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { runToEnd } from "./servers";
import { joinThread, startThread, threadsObject } from "./started-threads";

const THREADS: u32 = 1000;
const WAITING: u32 = 64;
const PAGE: u32 = 4096;
/** Pages of stack, and those of a thread's stack that a case leaves alone. */
const DEEP: u32 = 40;
const IN_USE: u32 = 3;
/** Frames that a thread may take besides its kernel stack. */
const OTHER_FRAMES: u32 = 4;
const PATIENCE: u32 = 2000;
/** Pages that the threads of `stackload borders` go down, nearly. */
const BORDERS: u32 = 600;

/** What the first of the threads waits for. */
const go: usize = memory.data(4, 16);
/** Address of the list of threads. */
let list: usize = 0;
const infoArea: usize = memory.data(128, 16);

/** How stacks are used now; what it told before is gone. */
function stacks(): StackInfo {
  expectEqual(systemObject().stackInfo(infoArea), S_OK, text("result of stackInfo"));
  return changetype<StackInfo>(infoArea);
}

function inProcess(): bool {
  return (codeSegment() & 2) !== 0;
}

/** Do stacks of the kind that this program's threads have grow, and give back what is not used? */
function grow(): bool {
  return inProcess() || stacks().policy < STACKS_FIXED;
}

function areTrimmed(): bool {
  return grow() && stacks().policy !== STACKS_UNTRIMMED;
}

function pages(): u32 {
  return inProcess() ? stacks().userPages : stacks().kernelPages;
}

function trimmed(): u32 {
  return inProcess() ? stacks().userTrimmed : stacks().kernelTrimmed;
}

function freeFrames(): u32 {
  const info = changetype<MemoryInfo>(stackAlloc(offsetof<MemoryInfo>()));
  systemObject().memoryInfo(changetype<usize>(info));
  return info.free;
}

function waitForGo(): void {
  while (volatileLoad32(go) === 0) waitOn(go, 0, FOREVER);
}

function letGo(): void {
  volatileStore32(go, 1);
  wake(go, 0xffffffff);
}

/** Waits in the kernel for the thread before it; returns how many came before. */
function link(index: usize): u32 {
  if (index === 0) {
    waitForGo();
    return 1;
  }
  const result = stackAlloc(4);
  const before = changetype<IThread>(load<usize>(list + (index - 1) * 4));
  return before.join(result) === S_OK ? load<u32>(result) + 1 : 0;
}

/**
 * A thousand threads at once, every one in a call of the kernel and so with a kernel stack of its own. Where stacks have more pages than they use
 * now, as many as there is memory for; the next one is refused.
 */
function thousandThreads(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(memoryObject().map(word, PAGE, 3), S_OK, text("result of map"))) return;
  list = load<u32>(word);
  const threads = threadsObject();
  volatileStore32(go, 0);
  const free = freeFrames();
  let made: u32 = 0;
  let result: HRESULT = S_OK;
  while (made < THREADS && result === S_OK) {
    result = threads.create(<u32>functionAddress(link), made, PRIORITY_DEFAULT, list + made * 4);
    if (result === S_OK) made++;
  }
  threads.release();
  checkNumber(made, result, free);
  letGo();
  for (let index: u32 = 0; index < made; index++) {
    const thread = changetype<IThread>(load<usize>(list + index * 4));
    store<u32>(word, 0);
    thread.join(word);
    if (!expectEqual(load<u32>(word), index + 1, text("result of a thread"))) break;
  }
  for (let index: u32 = 0; index < made; index++)
    changetype<IThread>(load<usize>(list + index * 4)).release();
  expectEqual(memoryObject().unmap(<u32>list), S_OK, text("result of unmap"));
}

function checkNumber(made: u32, result: HRESULT, free: u32): void {
  const first = stacks().kernelFirst;
  const fewPages = stacks().policy === STACKS_TRIMMED;
  if (fewPages || free >= THREADS * (first + OTHER_FRAMES)) {
    expectEqual(result, S_OK, text("result of create"));
    expectEqual(made, THREADS, text("number of threads"));
    return;
  }
  if (free < THREADS * first) expect(made < THREADS, text("there are more stacks than frames"));
  if (made < THREADS) expectEqual(result, E_OUTOFMEMORY, text("result of create"));
  expect(made >= free / (first + OTHER_FRAMES) / 2, text("threads are refused while there is memory"));
}

/** Uses a page of stack a level. */
function deep(levels: u32): u32 {
  const frame = stackAlloc(PAGE - 64);
  volatileStore32(frame, levels);
  return levels === 0 ? 0 : deep(levels - 1) + (volatileLoad32(frame) === levels ? 1 : 0);
}

/** Threads that have used their stack, or wait; and how many pages each is to use. */
const used: usize = memory.data(4, 16);
let depth: u32 = 0;

/** Uses much stack, waits with little of it in use (the second thread in a call of the kernel), uses it again. */
function deepThenWaiting(index: usize): u32 {
  if (deep(depth) !== depth) return 1;
  atomicAdd(used, 1);
  if (index === 0) waitForGo();
  else if (link(index) === 0) return 2;
  return deep(depth) === depth ? 0 : 3;
}

function waitForUsers(count: u32): void {
  for (let waited: u32 = 0; volatileLoad32(used) < count && waited < PATIENCE; waited++) sleep(1);
  expectEqual(volatileLoad32(used), count, text("threads that use their stack"));
}

function trimInterval(): u32 {
  const digits = stackAlloc(16);
  const word = stackAlloc(4);
  if (systemObject().option(text("trim"), digits, 16) !== S_OK || !parseNumber(digits, word)) return 10000;
  return load<u32>(word);
}

/**
 * What lies below the stack pointers of waiting threads is given back in time and grows again by faults, where the policy has that; else every
 * page stays and using it again makes no fault.
 */
function idleStacks(): void {
  const room = stacks().limit / PAGE;
  depth = min<u32>(DEEP, room > IN_USE ? room - IN_USE : 0);
  volatileStore32(go, 0);
  volatileStore32(used, 0);
  list = stackAlloc(8);
  const before = trimmed();
  for (let index: u32 = 0; index < 2; index++) {
    const thread = startThread(functionAddress(deepThenWaiting), index, PRIORITY_DEFAULT);
    store<usize>(list + index * 4, changetype<usize>(thread));
  }
  waitForUsers(2);
  const most = pages();
  // Each keeps the page it is on and what the probe promises it.
  const wanted: u32 = areTrimmed() ? (depth - 2) * 2 : 0;
  if (areTrimmed()) {
    // What was given back so far may be others' pages.
    sleep(trimInterval());
    const patience = trimInterval() + PATIENCE;
    for (let waited: u32 = 0; trimmed() - before < wanted && waited < patience; waited += 20) sleep(20);
    expect(trimmed() - before >= wanted, text("pages of stacks were not given back"));
    expect(most - pages() >= wanted, text("pages of stacks are still counted"));
  } else {
    sleep(2 * trimInterval() + 20);
    expectEqual(trimmed(), before, text("pages of stacks given back"));
    expect(pages() >= 2 * depth, text("pages of stacks are gone"));
  }
  const faults = stacks().kernelFaults;
  letGo();
  for (let index: u32 = 0; index < 2; index++)
    expectEqual(
      joinThread(changetype<IThread>(load<usize>(list + index * 4))),
      0,
      text("result of a thread"),
    );
  checkFaults(stacks().kernelFaults - faults, wanted);
}

/** Faults on kernel stacks while the threads used again what they had used, `given` pages of which had been given back. */
function checkFaults(faults: u32, given: u32): void {
  if (inProcess()) return;
  if (!grow()) expectEqual(faults, 0, text("faults on stacks that do not grow"));
  else if (given === 0) expect(faults < depth, text("pages of stacks came again"));
  else expect(faults >= given, text("pages of stacks came without faults"));
}

function waiting(_index: usize): u32 {
  atomicAdd(used, 1);
  waitForGo();
  return 0;
}

/** Threads of processes that wait in their program have no kernel stack, but with dedicated ones; those of programs in the kernel always do. */
function stacksOfWaitingThreads(): void {
  list = stackAlloc(WAITING * 4);
  volatileStore32(go, 0);
  volatileStore32(used, 0);
  const before = stacks().kernelPages;
  for (let index: u32 = 0; index < WAITING; index++) {
    const thread = startThread(functionAddress(waiting), index, PRIORITY_DEFAULT);
    store<usize>(list + index * 4, changetype<usize>(thread));
  }
  waitForUsers(WAITING);
  sleep(5);
  const info = stacks();
  const first = info.kernelFirst;
  if (info.policy >= STACKS_FIXED)
    expectEqual(info.kernelPages % first, 0, text("pages of stacks that are not whole"));
  if (info.policy === STACKS_DEDICATED)
    expect(info.kernelPages >= info.threads * first, text("a thread has no kernel stack"));
  else if (inProcess())
    expect(info.kernelPages < before + WAITING * first, text("waiting threads have kernel stacks"));
  else expect(info.kernelPages >= WAITING * first, text("a waiting thread has no kernel stack"));
  letGo();
  for (let index: u32 = 0; index < WAITING; index++)
    expectEqual(
      joinThread(changetype<IThread>(load<usize>(list + index * 4))),
      0,
      text("result of a thread"),
    );
}

/** Where kernel stacks grow, the calls come to the end of theirs in all places; none of those may be one where it must not fault. */
function callsAtPageBorders(): void {
  // Stacks of the pool have one page again.
  if (stacks().policy === STACKS_TRIMMED) sleep(2 * trimInterval() + 20);
  const code = stackAlloc(4);
  store<u32>(code, 1);
  const faults = stacks().kernelFaults;
  const result = runToEnd(text("stackload"), text("borders"), code, PLACE_KERNEL);
  expectEqual(result, S_OK, text("result of run"));
  expectEqual(load<u32>(code), 0, text("exit code"));
  const met = stacks().kernelFaults - faults;
  if (stacks().policy === STACKS_TRIMMED) expect(met >= BORDERS, text("the stacks had their pages before"));
  else if (stacks().policy >= STACKS_FIXED) expectEqual(met, 0, text("faults on stacks that do not grow"));
}

export function stackCases(): void {
  runCase(text("kernel-calls-at-page-borders"), functionAddress(callsAtPageBorders));
  runCase(text("idle-stacks"), functionAddress(idleStacks));
  runCase(text("stacks-of-waiting-threads"), functionAddress(stacksOfWaitingThreads));
  runCase(text("thousand-threads"), functionAddress(thousandThreads));
}
