/** Stacks of threads: how many there can be. */

import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, waitOn, wake } from "../../lib/rt/wait";
import { expectEqual, runCase } from "./check";

const THREADS: u32 = 1000;
const PAGE: u32 = 4096;

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

export function stackCases(): void {
  runCase(text("thousand-threads"), functionAddress(thousandThreads));
}
