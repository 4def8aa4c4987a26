/** Threads that cases start. */

import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import { systemObject } from "../../lib/rt/program";
import { expectEqual } from "./check";

/** The space's IThreads, with a reference; null (and a report) if there is none. */
export function threadsObject(): IThreads {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  expectEqual(systemObject().queryInterface(IThreads.IID, word), S_OK, text("result of queryInterface"));
  return changetype<IThreads>(load<usize>(word));
}

/** Starts a thread; null (and a report) if that fails. */
export function startThread(entry: usize, argument: u32, priority: u32): IThread {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const threads = threadsObject();
  if (changetype<usize>(threads) === 0) return changetype<IThread>(0);
  const result = threads.create(<u32>entry, argument, priority, word);
  threads.release();
  if (!expectEqual(result, S_OK, text("result of create"))) return changetype<IThread>(0);
  return changetype<IThread>(load<usize>(word));
}

/** Waits for its end and returns what its entry function returned. */
export function joinThread(thread: IThread): u32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (changetype<usize>(thread) === 0) return 0;
  expectEqual(thread.join(word), S_OK, text("result of join"));
  thread.release();
  return load<u32>(word);
}
