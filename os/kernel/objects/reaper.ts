/**
 * The reaper: the kernel thread that gives back what an ended program held. It has to be another thread, because the last one of a
 * program still runs on the space that goes. It also has idle server threads end.
 *
 * Order: names first, so that nobody finds the program's objects; then handles (whose objects may be anywhere), images, the space; last the
 * state ENDED, so that whoever waited for the program sees all its memory free.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import type { HRESULT } from "../../interfaces/types";
import { destroyHandleTable } from "../calls/handles";
import { poolsToTrim, trimPools } from "../calls/server-threads";
import { print, printHexadecimal } from "../console";
import { enterCritical, leaveCritical } from "../i386/critical";
import { revokeObjects } from "../loader/departure";
import { unloadImages } from "../loader/loading";
import { free } from "../memory/heap";
import { destroySpace } from "../memory/space";
import { currentThread, PRIORITY_DEFAULT, type Thread } from "../threads/thread";
import { FOREVER, milliseconds, sleep, waitOn, wake } from "../threads/wait";
import { endService } from "./moving";
import { kernelProcess, leaveProcess, PROCESS_ENDED, type Process } from "./process";
import { unregisterAll } from "./registry";
import { startProcessThread } from "./threads";

/** Milliseconds after which idle server threads end. */
const POOL_PERIOD: u32 = 1000;

/** Counts what there was to do: the word the reaper waits on. */
const asked: usize = memory.data(4, 16);
let firstToReap: Process | null = null;
let reaper: Thread = changetype<Thread>(0);

export function startReaper(): HRESULT {
  return startProcessThread(kernelProcess(), functionAddress(reaperMain), 0, PRIORITY_DEFAULT + 1, false, 0);
}

export function isReaper(thread: Thread): bool {
  return thread === reaper;
}

/** Its last thread has come to its end (but may still be on the processor). The process is queued once. */
export function queueToReap(process: Process): void {
  process.addRef();
  const flags = enterCritical();
  process.nextToReap = firstToReap;
  firstToReap = process;
  leaveCritical(flags);
  askReaper();
}

/** There is a process to reap, or a pool of server threads to trim after a while. */
export function askReaper(): void {
  atomicAdd(asked, 1);
  wake(asked, 1);
}

function reaperMain(_argument: usize): void {
  reaper = currentThread();
  let trimAt: u32 = 0;
  for (;;) {
    const seen = volatileLoad32(asked);
    const process = takeProcess();
    if (process) {
      while (hasThreads(process)) sleep(1);
      reap(process);
      process.release();
      continue;
    }
    let left = FOREVER;
    if (poolsToTrim) {
      left = trimAt - milliseconds();
      if (left > POOL_PERIOD || left === 0) {
        trimPools();
        trimAt = milliseconds() + POOL_PERIOD;
        continue;
      }
    }
    waitOn(asked, seen, left);
  }
}

function takeProcess(): Process | null {
  const flags = enterCritical();
  const process = firstToReap;
  if (process) firstToReap = process.nextToReap;
  leaveCritical(flags);
  return process;
}

/** Does the lower half still know a thread of this process, or is somebody else at work on its space? */
function hasThreads(process: Process): bool {
  const known = volatileLoad32(changetype<usize>(process) + offsetof<Process>("threadsKnown"));
  return known !== 0 || volatileLoad32(changetype<usize>(process) + offsetof<Process>("visitors")) !== 0;
}

/** Gives everything back; also for a program that could not be started. */
export function reap(process: Process): void {
  unregisterAll(process);
  leaveProcess(process);
  endService(process);
  if (!process.ownSpace) revokeObjects(process);
  if (process.services !== 0) changetype<IUnknown>(process.services).release();
  process.services = 0;
  if (process.ownSpace) destroyHandleTable(process.handles);
  unloadImages(process);
  if (process.ownSpace) destroySpace(process.space);
  if (process.announced && process.exitCode !== 0) {
    print(process.name);
    print(text(" ended with result "));
    printHexadecimal(<u32>process.exitCode);
    print(text("\n"));
  }
  if (process.startBlock !== 0) free(process.startBlock);
  process.startBlock = 0;
  const word = changetype<usize>(process) + offsetof<Process>("state");
  volatileStore32(word, PROCESS_ENDED);
  wake(word, 0xffffffff);
  process.release();
}
