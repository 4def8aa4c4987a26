/**
 * The pool of server threads of a process: they run the methods of its objects for callers elsewhere. Which thread serves whom is decided
 * call by call.
 *
 * A call goes to an idle thread, which gets the processor at once (threads/hand-off.ts); or to a new thread, while there are fewer than
 * the process's `serverLimit`; or, by the process's policy, it queues (call-queue.ts: most urgent first), or is refused (E_BUSY). A call that
 * nobody waits for always queues. A server thread comes back from its method by int 0x32, answers, and takes the next call of
 * the queue or parks without a kernel stack; the caller takes over the processor. Its first instruction is that same
 * int 0x32, with no call to answer. A server thread has its caller's priority.
 *
 * Threads that were idle all through a period end, but for IDLE_KEPT; `idleLow` is the least number of idle ones since it began. A
 * thread that is unparked without a call ends too.
 *
 * Queue, idle list, counts, and `state` and `caller` of records change with interrupts off, a few instructions at a time: no lock, so
 * nobody waits behind a less urgent thread. A process that is not RUNNING gets no more calls: endProgram changes the state, then takes
 * the queue and the idle threads away, so no call is left behind.
 */

import { POOL_REFUSES } from "../../interfaces/IThreads";
import {
  E_BUSY,
  E_CANCELLED,
  E_DISCONNECTED,
  E_INVALIDARG,
  E_OUTOFMEMORY,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, enterOutermost, leaveCritical } from "../i386/critical";
import { raiseFault } from "../objects/faults";
import { lockProcesses, PROCESS_RUNNING, type Process, unlockProcesses } from "../objects/process";
import { askReaper } from "../objects/reaper";
import { currentThreadObject, startProcessThread, type ThreadObject } from "../objects/threads";
import {
  answer,
  answerAndPark,
  awaitAnswer,
  awaitAnswerOf,
  currentThread,
  exitThread,
  PRIORITY_DEFAULT,
  setPriority,
  type Thread,
  unparkThread,
} from "../threads/thread";
import { WAIT_CANCELLED, WAIT_WOKEN } from "../threads/wait";
import { enqueueCall, takeCall } from "./call-queue";
import { beginPlainService, beginService, endService, takeBackLent } from "./delivery";
import { METHOD_RELEASE } from "./descriptors";
import { SERVER_RETURN_STUB } from "./proxies";
import { CALL_ABANDONED, CALL_DONE, CALL_PENDING, type CallRecord, dropRecord } from "./records";

/** Server threads of a process that has not asked for another bound. */
export const SERVER_LIMIT: u32 = 32;
const MOST_SERVERS: u32 = 256;
/** One warm thread serves the usual caller, one at a time. */
const IDLE_KEPT: u32 = 1;
/** Most idle threads, however short the time. */
const IDLE_LIMIT: u32 = 16;
/** General protection: what int 0x32 is to a thread that serves nobody. */
const PROTECTION: u32 = 13;

/** Some pool has more idle threads than it keeps: `trimPools` is to be called after a period. */
export let poolsToTrim: bool = false;

/** Delivers a record and waits for its answer. False if the thread was cancelled first; then the record is no longer its own. */
export function callServer(process: Process, record: CallRecord): bool {
  enterOutermost();
  const idle = process.idleServers;
  let woken: u32 = WAIT_WOKEN;
  if (idle) {
    takeIdle(process, idle);
    idle.record = changetype<usize>(record);
    woken = awaitAnswerOf(idle.thread);
  } else deliverToBusy(process, record);
  while (record.state === CALL_PENDING) {
    if (woken === WAIT_CANCELLED) {
      record.state = CALL_ABANDONED;
      record.caller = null;
      enableInterrupts();
      return false;
    }
    woken = awaitAnswer();
  }
  enableInterrupts();
  return true;
}

/** Delivers a record that nobody waits for. */
export function postCall(process: Process, record: CallRecord): void {
  const flags = enterCritical();
  const idle = process.idleServers;
  if (idle) {
    takeIdle(process, idle);
    idle.record = changetype<usize>(record);
    unparkThread(changetype<Thread>(idle.thread));
  } else deliverToBusy(process, record);
  leaveCritical(flags);
}

function takeIdle(process: Process, idle: ThreadObject): void {
  process.idleServers = idle.nextIdle;
  const left = process.idleCount - 1;
  process.idleCount = left;
  if (left < process.idleLow) process.idleLow = left;
}

/** No server thread is idle. Called with interrupts off, which may be on for a while. */
function deliverToBusy(process: Process, record: CallRecord): void {
  if (process.state !== PROCESS_RUNNING) {
    completeOutside(record, E_DISCONNECTED);
    return;
  }
  const grow = process.serverCount < process.serverLimit;
  // What a proxy asks for its references is not the caller's call.
  if (!grow && process.poolPolicy === POOL_REFUSES && record.index > METHOD_RELEASE) {
    completeOutside(record, E_BUSY);
    return;
  }
  enqueueCall(process, record);
  if (!grow) return;
  process.serverCount++;
  enableInterrupts();
  addServer(process);
  disableInterrupts();
}

/** Makes the thread that has been counted already. Without memory, and without another one, nobody would ever come to the queued calls. */
function addServer(process: Process): void {
  const priority = currentThread().priority;
  if (startProcessThread(process, SERVER_RETURN_STUB, 0, priority, true, 0) >= 0) return;
  disableInterrupts();
  const alone = --process.serverCount === 0;
  enableInterrupts();
  if (alone) completeQueue(process, process.state === PROCESS_RUNNING ? E_OUTOFMEMORY : E_DISCONNECTED);
}

/** Answers a call that did not come to its end. */
function complete(record: CallRecord, result: i32): void {
  const flags = enterCritical();
  const caller = record.caller;
  record.result = result;
  record.state = CALL_DONE;
  answer(changetype<usize>(caller));
  leaveCritical(flags);
  if (!caller) dropRecord(record);
}

/** The same where interrupts are off, and may be on for a while. */
function completeOutside(record: CallRecord, result: i32): void {
  enableInterrupts();
  complete(record, result);
  disableInterrupts();
}

/** Answers all calls that wait. */
function completeQueue(process: Process, result: i32): void {
  for (;;) {
    const flags = enterCritical();
    const record = takeCall(process);
    leaveCritical(flags);
    if (!record) return;
    complete(record, result);
  }
}

/** `IThreads.serverPool`: at most `limit` server threads, and what a call meets when all are busy. E_INVALIDARG. */
export function boundPool(process: Process, limit: u32, policy: u32): HRESULT {
  if (limit === 0 || limit > MOST_SERVERS || policy > POOL_REFUSES) return E_INVALIDARG;
  const flags = enterCritical();
  process.serverLimit = limit;
  process.poolPolicy = policy;
  leaveCritical(flags);
  return S_OK;
}

/** The process has begun to end: nobody comes for its queued calls, and its idle threads go. */
export function disconnectPort(process: Process): void {
  const flags = enterCritical();
  retireIdle(process, process.idleCount);
  leaveCritical(flags);
  completeQueue(process, E_DISCONNECTED);
}

/** Ends idle threads; interrupts are off, so that none can come to its end before it is unparked. */
function retireIdle(process: Process, count: u32): void {
  for (let left = count; left !== 0; left--) {
    const idle = process.idleServers!;
    takeIdle(process, idle);
    unparkThread(changetype<Thread>(idle.thread));
  }
}

/** A period is over: threads that were idle all through it end. Called by one thread only. */
export function trimPools(): void {
  let idle: u32 = 0;
  for (let process = lockProcesses(); process; process = process!.next) {
    const flags = enterCritical();
    if (process.idleLow > IDLE_KEPT) retireIdle(process, process.idleLow - IDLE_KEPT);
    process.idleLow = process.idleCount;
    if (process.idleCount > IDLE_KEPT) idle++;
    leaveCritical(flags);
  }
  unlockProcesses();
  poolsToTrim = idle !== 0;
}

/** A server thread ends: the call that it was serving, if any, does not come back, and the queue goes on without it. */
export function abandonService(object: ThreadObject): void {
  const process = object.process;
  const record = changetype<CallRecord | null>(object.record);
  object.record = 0;
  if (record) {
    takeBackLent(process, record);
    complete(record, E_DISCONNECTED);
  }
  const flags = enterCritical();
  leaveIdle(process, object);
  process.serverCount--;
  const needed =
    process.firstCall !== 0 && process.state === PROCESS_RUNNING && process.serverCount < process.serverLimit;
  if (needed) process.serverCount++;
  leaveCritical(flags);
  if (needed) addServer(process);
}

/** A thread that was cancelled while it was parked may still be in the list; interrupts are off. */
function leaveIdle(process: Process, object: ThreadObject): void {
  let before: ThreadObject | null = null;
  let at = process.idleServers;
  while (at && at !== object) {
    before = at;
    at = at.nextIdle;
  }
  if (!at) return;
  if (before) before.nextIdle = object.nextIdle;
  else process.idleServers = object.nextIdle;
  process.idleCount--;
}

/** int 0x32 at ring 1: a method came back with `result`, or the thread has just started. */
export function serverReturned(result: i32): void {
  const object = currentThreadObject();
  if (object.record === 0) {
    // Perhaps a program that executes int 0x32 of its own accord.
    if (!object.server) raiseFault(currentThread(), PROTECTION, 0, 0, 0, changetype<Thread>(0));
    serve(object, takeTurn(object, null));
  }
  const record = changetype<CallRecord>(object.record);
  record.result = record.method.argumentCount === 0 ? result : endService(object, record, result);
  object.record = 0;
  serve(object, takeTurn(object, record));
}

/** Where a parked server thread goes on: with the record that it was handed, or none if it is to end. */
function serverUnparked(): void {
  const thread = currentThread();
  const object = changetype<ThreadObject>(thread.call);
  if (object.record === 0) exitThread(0);
  const record = changetype<CallRecord>(object.record);
  if (!record.caller && thread.priority !== PRIORITY_DEFAULT) setPriority(thread, PRIORITY_DEFAULT);
  if (record.method.argumentCount === 0 && record.state === CALL_PENDING) beginPlainService(thread, record);
  serve(object, record);
}

/** Does what is due with a call, and with those that the queue has after it; does not return. */
function serve(object: ThreadObject, record: CallRecord | null): void {
  for (let next = record; ; next = takeTurn(object, null)) {
    if (!next) continue;
    // Comes back only with a reason why the call cannot be made; one that nobody wants any more need not be.
    const reason = next.state === CALL_PENDING ? beginService(object, next) : E_CANCELLED;
    object.record = 0;
    complete(next, reason);
  }
}

/** Between two calls: answers one, and takes the next of the queue. Without one the thread parks, or ends, and this does not return. */
function takeTurn(object: ThreadObject, answered: CallRecord | null): CallRecord | null {
  const process = object.process;
  if (process.idleCount >= IDLE_KEPT && !poolsToTrim) {
    poolsToTrim = true;
    askReaper();
  }
  // From here to the trap that parks, no other trap: it might let another thread run, interrupts off or not.
  enterOutermost();
  let caller: Thread | null = null;
  if (answered) {
    caller = answered.caller;
    if (!caller) {
      enableInterrupts();
      dropRecord(answered);
      return null;
    }
    answered.state = CALL_DONE;
  }
  if (process.firstCall === 0) {
    const stays = process.state === PROCESS_RUNNING && currentThread().cancelled === 0;
    // Idle already, so that the caller finds this thread for its next call.
    if (stays && process.idleCount < IDLE_LIMIT) {
      enterIdle(process, object);
      answerAndPark(changetype<usize>(caller), functionAddress(serverUnparked));
    }
    answer(changetype<usize>(caller));
    enableInterrupts();
    exitThread(0);
    return null;
  }
  const next = takeCall(process)!;
  answer(changetype<usize>(caller));
  takeOver(currentThread(), object, next);
  enableInterrupts();
  return next;
}

/** Interrupts are off, and the thread parks before they are on again. */
function enterIdle(process: Process, object: ThreadObject): void {
  object.nextIdle = process.idleServers;
  process.idleServers = object;
  process.idleCount++;
}

/** The server thread is the one that works for the record's caller; interrupts are off. */
function takeOver(thread: Thread, object: ThreadObject, record: CallRecord): void {
  object.record = changetype<usize>(record);
  const caller = record.caller;
  if (!caller) return;
  caller.server = thread;
  if (caller.priority !== thread.priority) setPriority(thread, caller.priority);
}
