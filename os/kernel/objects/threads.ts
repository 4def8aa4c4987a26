/**
 * Threads as objects: `IThread` for a thread of any space, and what the upper half keeps about one (`Thread.call`). The object
 * outlives its thread while somebody holds a reference; the thread itself holds one.
 */

import type { IThread } from "../../interfaces/IThread";
import {
  E_CANCELLED,
  E_DISCONNECTED,
  E_INVALIDARG,
  E_OUTOFMEMORY,
  S_FALSE,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT, Out, u32 } from "../../interfaces/types";
import { freeRecord } from "../calls/records";
import { abandonService } from "../calls/server-threads";
import { leaveVisits } from "../calls/visits";
import { USER_END } from "../i386/layout";
import {
  CANCELLED_BY_FORCE,
  cancelThread,
  createThread,
  currentThread,
  PRIORITIES,
  resumeThread,
  setPriority,
  startThread,
  suspendThread,
  type Thread,
} from "../threads/thread";
import { FOREVER, WAIT_CANCELLED, waitOn, wake } from "../threads/wait";
import { countLive, LIVE_THREADS } from "./live";
import {
  endProgram,
  leaveSpace,
  lockProcess,
  PROCESS_RUNNING,
  type Process,
  unlockProcess,
  visitSpace,
} from "./process";
import { queueToReap } from "./reaper";

const MOST_SUSPENSIONS: u32 = 0x7fffffff;

@unmanaged
export class ThreadObject extends ComObject implements IThread {
  /** 0 once the thread is over; guarded by its process's lock. */
  thread: usize = 0;
  id: u32 = 0;
  process: Process = changetype<Process>(0);
  /** The process's threads. */
  next: ThreadObject | null = null;
  over: u32 = 0;
  result: u32 = 0;
  /** Belongs to the pool of server threads (calls/server-threads.ts). */
  server: u32 = 0;
  /** The call it serves, or is to serve once unparked. */
  record: usize = 0;
  /** Address, in its space, of the block of argument data on its stack. */
  block: usize = 0;
  nextIdle: ThreadObject | null = null;
  /** Its last fault, for the report, and the program whose it was. It is in the handler of that one. */
  faultVector: u32 = 0;
  faultError: u32 = 0;
  faultAddress: usize = 0;
  faultInstruction: usize = 0;
  faultCulprit: Process | null = null;
  inFault: u32 = 0;
  /** The bad pointer that its present call is to make a fault about on its return. */
  pendingAddress: u32 = 0;
  /** Its innermost visit to a movable service (calls/visits.ts). */
  visits: usize = 0;
  /** A record for its next call (calls/records.ts), 0 for none. */
  spareRecord: usize = 0;
  // What the way back from the object that its system call is in needs (i386/remote-stubs.asm.ts).
  guard: usize = 0;
  guardReturn: usize = 0;
  /** Its stack pointer; 0 outside of a call. */
  guardStack: usize = 0;
  guardBase: usize = 0;
  guardSource: usize = 0;
  guardDestination: usize = 0;
  /** Vtable of the object that call went to. */
  guardVtable: usize = 0;

  join(result: Out<u32>): HRESULT {
    const word = changetype<usize>(this) + offsetof<ThreadObject>("over");
    while (volatileLoad32(word) === 0) {
      if (waitOn(word, 0, FOREVER) === WAIT_CANCELLED) return E_CANCELLED;
    }
    store<u32>(result, this.result);
    return S_OK;
  }

  kill(): HRESULT {
    lockProcess(this.process);
    if (this.thread !== 0) cancelThread(changetype<Thread>(this.thread));
    unlockProcess(this.process);
    return S_OK;
  }

  suspend(): HRESULT {
    let result: HRESULT = S_OK;
    lockProcess(this.process);
    const thread = changetype<Thread | null>(this.thread);
    if (thread && thread.suspended >= MOST_SUSPENSIONS) result = E_INVALIDARG;
    else if (thread) suspendThread(thread);
    unlockProcess(this.process);
    return result;
  }

  resume(): HRESULT {
    lockProcess(this.process);
    const before = this.thread === 0 ? 0 : resumeThread(changetype<Thread>(this.thread));
    unlockProcess(this.process);
    return before === 0 ? S_FALSE : S_OK;
  }

  setPriority(priority: u32): HRESULT {
    if (priority >= PRIORITIES) return E_INVALIDARG;
    lockProcess(this.process);
    if (this.thread !== 0) setPriority(changetype<Thread>(this.thread), priority);
    unlockProcess(this.process);
    return S_OK;
  }

  identity(id: Out<u32>): HRESULT {
    store<u32>(id, this.id);
    return S_OK;
  }

  finish(): void {
    if (this.spareRecord !== 0) freeRecord(this.spareRecord);
    this.process.release();
    countLive(LIVE_THREADS, -1);
  }
}

/** What the upper half keeps about the calling thread. */
export function currentThreadObject(): ThreadObject {
  return changetype<ThreadObject>(currentThread().call);
}

function newThreadObject(process: Process): ThreadObject | null {
  const object = newObject<ThreadObject>();
  if (!object) return null;
  process.addRef();
  object.process = process;
  countLive(LIVE_THREADS, 1);
  return object;
}

/**
 * A thread of `process` that runs `entry(argument)` in its space; stores the object, with a reference for the caller, in
 * `out` unless that is 0. The first thread that is not a server thread is the main thread. E_OUTOFMEMORY; E_DISCONNECTED if the
 * process is ending (one that begins to end meanwhile gets the thread, which then ends at once).
 */
export function startProcessThread(
  process: Process,
  entry: usize,
  argument: usize,
  priority: u32,
  server: bool,
  out: usize,
): HRESULT {
  if (!visitSpace(process)) return E_DISCONNECTED;
  const object = newThreadObject(process);
  const thread = object
    ? createThread(process.space, changetype<usize>(process), entry, argument, priority)
    : null;
  if (object && thread) {
    object.server = server ? 1 : 0;
    if (out !== 0) {
      object.addRef();
      store<usize>(out, changetype<usize>(object));
    }
    enterThreadObject(object, thread, !server);
    startThread(thread);
  } else if (object) object.release();
  leaveSpace(process);
  return thread ? S_OK : E_OUTOFMEMORY;
}

/** Ties a thread to its object and enters it in its process. */
function enterThreadObject(object: ThreadObject, thread: Thread, mayBeMain: bool): void {
  const process = object.process;
  object.thread = changetype<usize>(thread);
  object.id = thread.id;
  thread.process = changetype<usize>(process);
  thread.call = changetype<usize>(object);
  thread.endCount = changetype<usize>(process) + offsetof<Process>("threadsKnown");
  atomicAdd(thread.endCount, 1);
  thread.programStart = <u32>process.imageStart;
  thread.programEnd = <u32>process.imageEnd;
  lockProcess(process);
  object.next = process.threads;
  process.threads = object;
  process.threadCount++;
  if (mayBeMain && !process.mainThread) process.mainThread = object;
  if (process.state !== PROCESS_RUNNING) cancelThread(thread);
  unlockProcess(process);
}

/** Gives a thread that the lower half made (the first one) its object. False when memory is exhausted. */
export function adoptThread(process: Process, thread: Thread): bool {
  const object = newThreadObject(process);
  if (object) enterThreadObject(object, thread, false);
  return object !== null;
}

/** The calling thread ends: nothing of its own memory is touched after this. */
export function threadOver(thread: Thread, result: u32): void {
  const object = changetype<ThreadObject | null>(thread.call);
  if (!object) return;
  const process = object.process;
  if (thread.cancelled === CANCELLED_BY_FORCE) process.faulted = 1;
  leaveVisits(object, 0);
  if (object.server) abandonService(object);
  if (process.mainThread === object) endProgram(process, <i32>result);
  lockProcess(process);
  let before: ThreadObject | null = null;
  for (let other = process.threads; other; other = other!.next) {
    if (other === object) break;
    before = other;
  }
  if (before) before.next = object.next;
  else process.threads = object.next;
  process.endedCycles += thread.cycles;
  object.thread = 0;
  object.result = result;
  process.threadCount--;
  const over = process.threadCount === 0 && process.state !== PROCESS_RUNNING && !process.reaping;
  if (over) process.reaping = 1;
  unlockProcess(process);
  const word = changetype<usize>(object) + offsetof<ThreadObject>("over");
  volatileStore32(word, 1);
  wake(word, 0xffffffff);
  thread.call = 0;
  if (over) queueToReap(process);
  object.release();
}

/** `IThreads.create`. E_INVALIDARG, E_OUTOFMEMORY, E_DISCONNECTED. */
export function createProgramThread(
  process: Process,
  entry: usize,
  argument: usize,
  priority: u32,
  out: usize,
): HRESULT {
  if (priority >= PRIORITIES || (process.ownSpace && entry >= USER_END)) return E_INVALIDARG;
  return startProcessThread(process, entry, argument, priority, false, out);
}
