/**
 * A program under way: in a space of its own, or in the kernel's, which many share. Process 0 is the kernel itself.
 *
 *   RUNNING  → endProgram (main returned, kill, fault) →  ENDING: all threads cancelled, no new ones, calls refused
 *   ENDING   → last thread gone; the reaper (reaper.ts) gives everything back  →  ENDED: `wait` returns
 *
 * Locks of a process, each a leaf but for `lock`, inside which threads are cancelled (a trap, no lock):
 *   lock       threads, ThreadObject.thread, and the step from RUNNING to ENDING
 *   proxyLock  table of RemoteProxies (calls/remote.ts)
 * `processesLock` guards the list of all processes and comes before `lock`.
 */

import type { IProcess } from "../../interfaces/IProcess";
import { E_CANCELLED, S_OK } from "../../interfaces/results";
import type { HRESULT, i32, Out, u32 } from "../../interfaces/types";
import { createHandleTable, type HandleTable } from "../calls/handles";
import { mapProxies } from "../calls/proxies";
import { disconnectPort, SERVER_LIMIT } from "../calls/server-threads";
import { enterCritical, leaveCritical } from "../i386/critical";
import { free } from "../memory/heap";
import { createSpace, destroySpace, kernelSpace, type Space } from "../memory/space";
import type { Mutex } from "../threads/mutex";
import { cancelThread, type Thread } from "../threads/thread";
import { FOREVER, WAIT_CANCELLED, waitOn } from "../threads/wait";
import { countLive, LIVE_PROCESSES } from "./live";
import { copyText } from "./texts";
import type { ThreadObject } from "./threads";

export const PROCESS_RUNNING: u32 = 0;
export const PROCESS_ENDING: u32 = 1;
export const PROCESS_ENDED: u32 = 2;
/** Longest name of a program, file or registered object, in bytes. */
export const NAME_LIMIT: u32 = 63;

@unmanaged
export class Process extends ComObject implements IProcess {
  id: u32 = 0;
  state: u32 = 0;
  exitCode: i32 = 0;
  name: usize = 0;
  space: Space = changetype<Space>(0);
  /** Does it have a space of its own, with handles and proxies? */
  ownSpace: u32 = 0;
  handles: HandleTable = changetype<HandleTable>(0);
  /** Threads at work on its space for somebody else; guarded by turning interrupts off. */
  visitors: u32 = 0;

  lock: u32 = 0;
  threads: ThreadObject | null = null;
  threadCount: u32 = 0;
  /** Threads that the lower half knows: these, and those that have come to their end but may still be on the processor. */
  threadsKnown: u32 = 0;
  /** Id of the program whose thread started it. */
  starter: u32 = 0;
  /** It has been queued for the reaper. */
  reaping: u32 = 0;
  /** The boot script of the archive started it: an end without success is worth a message. */
  announced: u32 = 0;
  /** A fault ended it, or a thread of it in the middle of something: its objects are not called any more. */
  faulted: u32 = 0;
  mainThread: ThreadObject | null = null;
  /** Cycles of threads that have ended. */
  endedCycles: u64 = 0;

  // Its pool of server threads (calls/server-threads.ts).
  firstCall: usize = 0;
  idleServers: ThreadObject | null = null;
  idleCount: u32 = 0;
  idleLow: u32 = 0;
  serverCount: u32 = 0;
  serverLimit: u32 = 0;
  poolPolicy: u32 = 0;

  proxyLock: u32 = 0;
  /** Buckets of the table of RemoteProxies, made with the first. */
  proxies: usize = 0;

  /** Its object with ISystem, IMemory, IThreads, IDriver (objects/services.ts); one reference. */
  services: usize = 0;
  /** The program whose thread is about to initialise libraries of this space; 0 for none (loader/initialisers.ts). */
  initialising: usize = 0;
  /** Code and data of a program in the kernel. */
  imageStart: usize = 0;
  imageEnd: usize = 0;
  /** StartBlock of a program in the kernel, on the heap. */
  startBlock: usize = 0;
  /** Its arguments as one string, on the heap. */
  args: usize = 0;

  /** Code addresses of its fault handling (fault-handlers.ts); 0 for none. */
  faultDispatcher: u32 = 0;
  faultHandler: u32 = 0;

  /** The movable service (calls/doors.ts) whose present instance it is, 0 for none; guarded by `lock`. */
  service: usize = 0;
  /** It was started to become an instance of a service under way (objects/moving.ts). */
  isSuccessor: u32 = 0;
  /** Its IServiceState, one reference, and the word that tells that it has come. */
  serviceState: usize = 0;
  offered: u32 = 0;
  /** Calls through doors that are inside it now. */
  callsInside: u32 = 0;
  /** The instance that its service went on in, one reference: who waits for the program or kills it means that one. */
  successor: Process | null = null;

  next: Process | null = null;
  previous: Process | null = null;
  nextToReap: Process | null = null;

  wait(exitCode: Out<i32>): HRESULT {
    const successor = presentInstance(this);
    if (successor !== this) {
      const result = successor.wait(exitCode);
      successor.release();
      return result;
    }
    this.release();
    const word = changetype<usize>(this) + offsetof<Process>("state");
    for (;;) {
      const state = volatileLoad32(word);
      if (state === PROCESS_ENDED) break;
      if (waitOn(word, state, FOREVER) === WAIT_CANCELLED) return E_CANCELLED;
    }
    if (this.successor) return this.wait(exitCode);
    store<i32>(exitCode, this.exitCode);
    return S_OK;
  }

  kill(): HRESULT {
    const present = presentInstance(this);
    endProgram(present, E_CANCELLED);
    present.release();
    return S_OK;
  }

  identity(id: Out<u32>): HRESULT {
    const present = presentInstance(this);
    store<u32>(id, present.id);
    present.release();
    return S_OK;
  }

  finish(): void {
    if (this.successor) this.successor!.release();
    if (this.args !== 0) free(this.args);
    if (this.proxies !== 0) free(this.proxies);
    free(this.name);
    countLive(LIVE_PROCESSES, -1);
  }
}

const lockArea: usize = memory.data(4, 16);
let firstProcess: Process | null = null;
let lastProcess: Process | null = null;
let nextId: u32 = 0;
let kernel: Process = changetype<Process>(0);

function processesMutex(): Mutex {
  return changetype<Mutex>(lockArea);
}

export function lockProcess(process: Process): void {
  changetype<Mutex>(changetype<usize>(process) + offsetof<Process>("lock")).acquire();
}

export function unlockProcess(process: Process): void {
  changetype<Mutex>(changetype<usize>(process) + offsetof<Process>("lock")).release();
}

/** Process 0: the kernel itself. */
export function kernelProcess(): Process {
  return kernel;
}

/** Makes process 0, at boot. False when memory is exhausted. */
export function createKernelProcess(): bool {
  const process = createProcess(text("kernel"), false);
  if (!process) return false;
  kernel = process;
  enterProcess(process);
  return true;
}

/**
 * A process without threads that is in no list yet; the caller owns the reference. With `ownSpace` it gets a space, proxies and
 * a handle table. Null when memory is exhausted.
 */
export function createProcess(name: usize, ownSpace: bool): Process | null {
  const process = newObject<Process>();
  if (!process) return null;
  countLive(LIVE_PROCESSES, 1);
  process.serverLimit = SERVER_LIMIT;
  process.name = copyText(name, NAME_LIMIT);
  process.ownSpace = ownSpace ? 1 : 0;
  if (process.name !== 0) {
    if (!ownSpace) {
      process.space = kernelSpace();
      return process;
    }
    if (createOwnSpace(process)) return process;
  }
  process.release();
  return null;
}

function createOwnSpace(process: Process): bool {
  const handles = createHandleTable();
  if (!handles) return false;
  process.handles = handles;
  const space = createSpace();
  if (space) {
    process.space = space;
    space.process = changetype<usize>(process);
    if (mapProxies(space) >= 0) return true;
    destroySpace(space);
  }
  free(handles.buckets);
  free(changetype<usize>(handles));
  return false;
}

/** Enters a process in the list of all, which takes a reference, and gives it its id. */
export function enterProcess(process: Process): void {
  process.addRef();
  processesMutex().acquire();
  process.id = nextId++;
  process.previous = lastProcess;
  if (lastProcess) lastProcess!.next = process;
  else firstProcess = process;
  lastProcess = process;
  processesMutex().release();
}

/** Takes a process out of the list; its reference goes to the caller. */
export function leaveProcess(process: Process): void {
  processesMutex().acquire();
  const next = process.next;
  const previous = process.previous;
  if (previous) previous.next = next;
  else firstProcess = next;
  if (next) next.previous = previous;
  else lastProcess = previous;
  process.next = null;
  processesMutex().release();
}

/** Between these two the list does not change, and no process in it loses its space. */
export function lockProcesses(): Process | null {
  processesMutex().acquire();
  return firstProcess;
}

export function unlockProcesses(): void {
  processesMutex().release();
}

/** The process with this id, with a reference for the caller; null if there is none. */
export function processWithId(id: u32): Process | null {
  let found: Process | null = null;
  for (let process = lockProcesses(); process; process = process!.next) {
    if (process.id !== id) continue;
    process.addRef();
    found = process;
    break;
  }
  unlockProcesses();
  return found;
}

/** The instance that a program's service runs in now, or the program itself; with a reference. */
function presentInstance(process: Process): Process {
  processesMutex().acquire();
  let present = process;
  while (present.successor) present = present.successor!;
  present.addRef();
  processesMutex().release();
  return present;
}

/** The service of `old` goes on in `successor`. */
export function succeedProcess(old: Process, successor: Process): void {
  successor.addRef();
  processesMutex().acquire();
  old.successor = successor;
  processesMutex().release();
}

/** Starts to end a program: the first caller's code is the program's. Returns at once; the reaper does the rest. */
export function endProgram(process: Process, exitCode: i32): void {
  lockProcess(process);
  if (process.state !== PROCESS_RUNNING || process === kernel) {
    unlockProcess(process);
    return;
  }
  process.exitCode = exitCode;
  volatileStore32(changetype<usize>(process) + offsetof<Process>("state"), PROCESS_ENDING);
  unlockProcess(process);
  // Idle server threads leave the port's list before they are cancelled, which makes them run to their end.
  disconnectPort(process);
  lockProcess(process);
  for (let object = process.threads; object; object = object!.next) {
    cancelThread(changetype<Thread>(object.thread));
  }
  unlockProcess(process);
}

/** Keeps the space of `process` from being destroyed until `leaveSpace`. False if its end has begun. */
export function visitSpace(process: Process): bool {
  const flags = enterCritical();
  const running = process.state === PROCESS_RUNNING;
  if (running) process.visitors++;
  leaveCritical(flags);
  return running;
}

export function leaveSpace(process: Process): void {
  atomicAdd(changetype<usize>(process) + offsetof<Process>("visitors"), 0xffffffff);
}
