/** Taking all there is of something: each bomb goes on until the system refuses, and returns what it said. */

import { IFileSystem } from "../../interfaces/IFileSystem";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS } from "../../interfaces/ISystem";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { allocate } from "../../lib/rt/heap";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, sleep, waitOn } from "../../lib/rt/wait";

/** More than the machine of the tests can hold; a bomb that gets this far was not stopped. */
const MANY: u32 = 20000;
const PROCESSES: u32 = 4096;
const PAGE: u32 = 4096;

const never: usize = memory.data(4, 16);

function waitForever(_argument: usize): u32 {
  return waitOn(never, 0, FOREVER);
}

export function threadBomb(): HRESULT {
  const word = stackAlloc(4);
  let result: HRESULT = systemObject().queryInterface(IThreads.IID, word);
  if (result !== S_OK) return result;
  const threads = changetype<IThreads>(load<usize>(word));
  for (let count: u32 = 0; count < MANY && result === S_OK; count++) {
    result = threads.create(<u32>functionAddress(waitForever), 0, PRIORITY_DEFAULT, word);
  }
  return result;
}

export function handleBomb(): HRESULT {
  const word = stackAlloc(4);
  let result: HRESULT = systemObject().bind(text("files"), IFileSystem.IID, word);
  if (result !== S_OK) return result;
  const files = changetype<IFileSystem>(load<usize>(word));
  for (let count: u32 = 0; count < MANY && result === S_OK; count++)
    result = files.open(text("bin/hello"), word);
  return result;
}

/** Starts processes that sleep, then ends them all again. */
export function processBomb(): HRESULT {
  const word = stackAlloc(4);
  const list = allocate(PROCESSES * 4);
  let count: u32 = 0;
  let result: HRESULT = S_OK;
  while (count < PROCESSES && result === S_OK) {
    result = systemObject().run(text("abuse"), text("sleep"), PLACE_PROCESS, word);
    if (result === S_OK) store<u32>(list + count++ * 4, load<u32>(word));
  }
  for (let index: u32 = 0; index < count; index++) {
    const process = changetype<IProcess>(load<usize>(list + index * 4));
    process.kill();
    process.wait(word);
    process.release();
  }
  return result;
}

export function regionBomb(): HRESULT {
  const word = stackAlloc(4);
  let result: HRESULT = S_OK;
  for (let count: u32 = 0; count < MANY * 16 && result === S_OK; count++) {
    store<u32>(word, 0);
    result = memoryObject().map(word, PAGE * 64, 3);
  }
  return result;
}

/** Touches memory until there is none: that ends it by a fault. */
export function memoryHog(): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = memoryObject().map(word, 0x10000000, 3);
  if (result !== S_OK) return result;
  for (let offset: u32 = 0; offset < 0x10000000; offset += PAGE)
    store<u32>(load<usize>(word) + offset, offset);
  return S_OK;
}

export function sleepLong(): i32 {
  sleep(0x7fffffff);
  return 0;
}
