/**
 * `stackload borders`, in the kernel: things that the kernel does are asked for from stack pointers at every place of a page, the page below
 * being one that the stack has not used. So each meets the border wherever it can, and that must not be inside a probed section or
 * with interrupts off (§5.3.1): such a fault is a panic. A thread does one kind of thing, and goes down its stack a page a step; it keeps its
 * stack to the end, so that the others get stacks that were not used.
 */

import type { IAlarm } from "../../interfaces/IAlarm";
import type { IFile } from "../../interfaces/IFile";
import { IFileSystem } from "../../interfaces/IFileSystem";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { ISharedMemory } from "../../interfaces/ISharedMemory";
import type { StackInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, sleep, waitOn, wake } from "../../lib/rt/wait";

/** The kinds. */
const TOUCH: u32 = 0;
const MAP: u32 = 1;
const ALARM: u32 = 2;
const QUERY: u32 = 3;
const SHARE: u32 = 4;
const OPEN: u32 = 5;
const KINDS: u32 = 6;

const PAGE: u32 = 4096;
const THREADS: u32 = 2;
const STEPS: u32 = 64;
/** Bytes between two stack pointers: with all threads and steps of a kind they are in every place of a page. */
const APART: u32 = 32;
/** Pages of a stack that the calls need. */
const CALLS_NEED: u32 = 4;

let steps: u32 = 0;
/** What threads that are at their end wait for, and how many are. */
const go: usize = memory.data(4, 16);
const ended: usize = memory.data(4, 16);
let threads: usize = 0;
let files: usize = 0;

/** Goes down from one page to the next, and does its thing there. */
function descend(step: u32, thread: u32, region: u32): HRESULT {
  if (step === steps) return S_OK;
  const here = stackPointer();
  const place = (here & ~(<usize>PAGE - 1)) - PAGE + (step * THREADS + thread / KINDS) * APART;
  const area = stackAlloc(here - place);
  store<u32>(area, 0);
  const result = doThing(thread % KINDS, area, region + step * PAGE);
  return result === S_OK ? descend(step + 1, thread, region) : result;
}

function doThing(kind: u32, word: usize, fresh: u32): HRESULT {
  let result: HRESULT = S_OK;
  switch (kind) {
    case TOUCH:
      store<u32>(fresh, 1);
      break;
    case MAP:
      result = memoryObject().map(word, 2 * PAGE, PROTECT_READ | PROTECT_WRITE);
      if (result === S_OK) result = memoryObject().protect(load<u32>(word), PAGE, PROTECT_READ);
      if (result === S_OK) result = memoryObject().unmap(load<u32>(word));
      if (result === S_OK) result = memoryObject().unmap(load<u32>(word) + PAGE);
      break;
    case ALARM:
      result = changetype<IThreads>(threads).alarm(word);
      if (result === S_OK) changetype<IAlarm>(load<usize>(word)).release();
      break;
    case QUERY:
      result = systemObject().queryInterface(IThreads.IID, word);
      if (result === S_OK) changetype<IThreads>(load<usize>(word)).release();
      break;
    case SHARE:
      result = memoryObject().share(PAGE, word);
      if (result === S_OK) changetype<ISharedMemory>(load<usize>(word)).release();
      break;
    case OPEN:
      result = changetype<IFileSystem>(files).open(text("bin/hello"), word);
      if (result === S_OK) changetype<IFile>(load<usize>(word)).release();
  }
  return result;
}

/** A thread. */
function goDown(thread: usize): u32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = memoryObject().map(word, steps * PAGE, PROTECT_READ | PROTECT_WRITE);
  if (result === S_OK) {
    const region = load<u32>(word);
    result = descend(0, <u32>thread, region);
    memoryObject().unmap(region);
  }
  atomicAdd(ended, 1);
  while (volatileLoad32(go) === 0) waitOn(go, 0, FOREVER);
  return result;
}

function prepare(): HRESULT {
  const word = stackAlloc(4);
  const info = changetype<StackInfo>(stackAlloc(offsetof<StackInfo>()));
  let result = systemObject().stackInfo(changetype<usize>(info));
  const pages = info.limit / PAGE;
  steps = min<u32>(STEPS, pages > CALLS_NEED ? pages - CALLS_NEED : 1);
  store<u32>(word, 0);
  if (result === S_OK) result = systemObject().queryInterface(IThreads.IID, word);
  threads = load<usize>(word);
  store<u32>(word, 0);
  if (result === S_OK) result = systemObject().bind(text("files"), IFileSystem.IID, word);
  files = load<usize>(word);
  return result;
}

/** The first result that is no success. */
export function borders(): HRESULT {
  let result = prepare();
  const word = stackAlloc(4);
  const list = stackAlloc(KINDS * THREADS * 4);
  let made: u32 = 0;
  while (made < KINDS * THREADS && result === S_OK) {
    const entry = <u32>functionAddress(goDown);
    result = changetype<IThreads>(threads).create(entry, made, PRIORITY_DEFAULT, list + made * 4);
    if (result === S_OK) made++;
  }
  while (volatileLoad32(ended) < made) sleep(1);
  volatileStore32(go, 1);
  wake(go, FOREVER);
  for (let index: u32 = 0; index < made; index++) {
    const thread = changetype<IThread>(load<usize>(list + index * 4));
    thread.join(word);
    thread.release();
    if (result === S_OK) result = load<i32>(word);
  }
  if (threads !== 0) changetype<IThreads>(threads).release();
  if (files !== 0) changetype<IFileSystem>(files).release();
  return result;
}
