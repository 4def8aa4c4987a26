/**
 * The pool of server threads of a process: they run the methods of its objects for callers elsewhere.
 *
 * A call record is handed to an idle thread, or a new thread (at most SERVER_LIMIT), or it queues, first come first served. A
 * server thread comes back from its method by int 0x32, takes the next record, and parks without a kernel stack when there is
 * none; beyond IDLE_LIMIT idle ones it ends instead. Its first instruction is that same int 0x32, with no record to finish.
 *
 * The method runs at ring 3 on the thread's own stack, from its top:
 *
 *   top ─ 64   end of the block of argument data (pointers point into it), a region of its own if larger than STACK_DATA
 *              argument words, `this` first
 *   esp        address of the int 0x32 stub
 *
 * portLock guards queue, idle list and counts. It is a leaf. A process that is not RUNNING gets no more calls: endProgram changes the state, then takes
 * the lock, so no record is left behind.
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_DISCONNECTED, E_OUTOFMEMORY } from "../../interfaces/results";
import { enterCritical, leaveCritical } from "../i386/critical";
import { KERNEL_BASE, USER_END, VECTOR_PAGE_FAULT } from "../i386/layout";
import { REGION_ANONYMOUS } from "../memory/regions";
import { mapRegion, unmapRegion } from "../memory/space";
import { raiseFault, raisePendingFault } from "../objects/faults";
import { PROCESS_RUNNING, type Process } from "../objects/process";
import { currentThreadObject, startProcessThread, type ThreadObject } from "../objects/threads";
import type { Mutex } from "../threads/mutex";
import {
  currentThread,
  enterUser,
  exitThread,
  handOff,
  PRIORITY_DEFAULT,
  parkThread,
  type Thread,
  USER_STACK_SIZE,
  unparkThread,
  wakeAndPark,
} from "../threads/thread";
import { wake } from "../threads/wait";
import {
  ARGUMENT_IN_OUT,
  ARGUMENT_IN_OUT_BYTES,
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_INTERFACE_OUT,
  ARGUMENT_OUT,
  ARGUMENT_OUT_BYTES,
  ARGUMENT_SIZE,
  type Argument,
  interfaceWithId,
} from "./descriptors";
import { MAX_METHODS, SERVER_RETURN_STUB } from "./proxies";
import { answerCall, answerWord, CALL_PENDING, type CallRecord, completeCall } from "./records";
import { importInterface, lendInterface, takeBack } from "./translation";

const SERVER_LIMIT: u32 = 32;
/** One warm thread serves the usual caller, one at a time; what is held for it is the same before and after any burst of calls. */
const IDLE_LIMIT: u32 = 1;
/** Argument data up to this size goes on the server's stack. */
const STACK_DATA: u32 = 0x4000;
/** The error code of a user-mode read of a page that is not there. */
const READ_FAULT: u32 = 4;

function portMutex(process: Process): Mutex {
  return changetype<Mutex>(changetype<usize>(process) + offsetof<Process>("portLock"));
}

/**
 * Hands a record to a server thread of `process`. It is completed in any case, at once if the process is ending. A caller that
 * `waits` may come back as soon as it is done, or before.
 */
export function queueCall(process: Process, record: CallRecord, waits: bool): void {
  const mutex = portMutex(process);
  mutex.acquire();
  if (process.state !== PROCESS_RUNNING) {
    mutex.release();
    completeCall(record, E_DISCONNECTED);
    return;
  }
  const idle = process.idleServers;
  if (idle) {
    process.idleServers = idle.nextIdle;
    process.idleCount--;
    idle.record = changetype<usize>(record);
    wakeServer(mutex, changetype<Thread>(idle.thread), record, waits);
    return;
  }
  if (process.lastCall !== 0) changetype<CallRecord>(process.lastCall).next = record;
  else process.firstCall = changetype<usize>(record);
  process.lastCall = changetype<usize>(record);
  const grow = process.serverCount < SERVER_LIMIT;
  if (grow) process.serverCount++;
  mutex.release();
  if (!grow) return;
  if (startProcessThread(process, SERVER_RETURN_STUB, 0, PRIORITY_DEFAULT, true, 0) === E_OUTOFMEMORY) {
    serverThreadMissing(process);
  }
}

/**
 * Unparks a server thread before the port's lock is free, without which the thread cannot come to its end. If nobody else wants the lock,
 * giving it back and the hand-over can be one step: no other thread runs while interrupts are off.
 */
function wakeServer(mutex: Mutex, server: Thread, record: CallRecord, waits: bool): void {
  if (waits) {
    const flags = enterCritical();
    if (mutex.releaseUncontended()) {
      handOff(server, answerWord(record), CALL_PENDING);
      leaveCritical(flags);
      return;
    }
    leaveCritical(flags);
  }
  unparkThread(server);
  mutex.release();
}

/** A server thread could not be made. If there is no other one, nobody would ever come to the queued calls. */
function serverThreadMissing(process: Process): void {
  const mutex = portMutex(process);
  mutex.acquire();
  let record: CallRecord | null = null;
  if (--process.serverCount === 0) record = takeQueue(process);
  mutex.release();
  completeAll(record, E_OUTOFMEMORY);
}

/** The whole queue; the port is locked. */
function takeQueue(process: Process): CallRecord | null {
  const first = changetype<CallRecord | null>(process.firstCall);
  process.firstCall = 0;
  process.lastCall = 0;
  return first;
}

function completeAll(first: CallRecord | null, result: i32): void {
  let record = first;
  while (record) {
    const next = record.next;
    completeCall(record, result);
    record = next;
  }
}

/** The process has begun to end: nobody comes for its queued calls, and its idle threads go. */
export function disconnectPort(process: Process): void {
  const mutex = portMutex(process);
  mutex.acquire();
  const first = takeQueue(process);
  let idle = process.idleServers;
  process.idleServers = null;
  process.idleCount = 0;
  while (idle) {
    unparkThread(changetype<Thread>(idle.thread));
    idle = idle.nextIdle;
  }
  mutex.release();
  completeAll(first, E_DISCONNECTED);
}

/** A server thread ends: the call that it was serving, if any, does not come back. */
export function abandonService(object: ThreadObject): void {
  const process = object.process;
  const mutex = portMutex(process);
  mutex.acquire();
  process.serverCount--;
  mutex.release();
  const record = changetype<CallRecord | null>(object.record);
  object.record = 0;
  if (record) {
    takeBackLent(process, record);
    completeCall(record, E_DISCONNECTED);
  }
}

/** int 0x32 at ring 1: a method came back with `result`, or the thread has just started. */
export function serverReturned(result: i32): void {
  const object = currentThreadObject();
  const record = changetype<CallRecord | null>(object.record);
  if (!object.server) {
    // A program that executes int 0x32 of its own accord.
    raiseFault(currentThread(), 13, 0, 0, 0, changetype<Thread>(0));
    return;
  }
  serveNext(object, record ? finishService(object, record, result) : 0);
}

/** Wakes the word of the call that was just answered (0 for none) and serves until there is nothing to do; does not return. */
function serveNext(object: ThreadObject, answered: usize): void {
  const process = object.process;
  const mutex = portMutex(process);
  for (;;) {
    mutex.acquire();
    const record = changetype<CallRecord | null>(process.firstCall);
    if (record) {
      process.firstCall = changetype<usize>(record.next);
      if (!record.next) process.lastCall = 0;
      object.record = changetype<usize>(record);
      mutex.release();
      if (answered !== 0) wake(answered, 1);
      answered = 0;
      serve(object, record);
      continue;
    }
    if (
      process.state !== PROCESS_RUNNING ||
      currentThread().cancelled !== 0 ||
      process.idleCount >= IDLE_LIMIT
    ) {
      mutex.release();
      if (answered !== 0) wake(answered, 1);
      exitThread(0);
    }
    object.nextIdle = process.idleServers;
    process.idleServers = object;
    process.idleCount++;
    mutex.release();
    // Idle already, so that the caller, once awake, finds this thread for its next call.
    if (answered !== 0) wakeAndPark(answered, functionAddress(serverUnparked));
    else parkThread(functionAddress(serverUnparked));
  }
}

/** Where a parked server thread goes on: with the record that it was handed, or none if its process is ending. */
function serverUnparked(): void {
  const object = currentThreadObject();
  const record = changetype<CallRecord | null>(object.record);
  if (record) serve(object, record);
  serveNext(object, 0);
}

/** Runs a call at ring 3. Returns only if it could not be delivered; it is completed then. */
function serve(object: ThreadObject, record: CallRecord): void {
  const thread = currentThread();
  const process = object.process;
  const top = thread.userStack + USER_STACK_SIZE - 64;
  let block = top - record.dataSize;
  if (record.dataSize > STACK_DATA) {
    block = mapBlock(process, record);
    if (block === 0) {
      object.record = 0;
      completeCall(record, E_OUTOFMEMORY);
      return;
    }
  }
  block &= ~15;
  object.block = block;
  memory.copy(block - KERNEL_BASE, record.data, record.dataSize);
  const words: u32 = record.method.words;
  const base = record.dataSize > STACK_DATA ? top : block;
  const stack = (base - ((words + 1) << 2)) & ~15;
  if (!placeArguments(process, record, block, stack + 4 - KERNEL_BASE)) {
    wake(finishService(object, record, E_OUTOFMEMORY), 1);
    return;
  }
  store<u32>(stack - KERNEL_BASE, <u32>SERVER_RETURN_STUB);
  const entry = methodAddress(record.address, record.index);
  if (thread.pendingFault !== 0) raisePendingFault(thread, 0);
  if (entry >= USER_END)
    raiseFault(thread, VECTOR_PAGE_FAULT, READ_FAULT, entry, entry, changetype<Thread>(0));
  enterUser(entry, stack);
}

/** A region for argument data that is too large for the stack; 0 when memory is exhausted. */
function mapBlock(process: Process, record: CallRecord): usize {
  const address = stackAlloc(4);
  store<u32>(address, 0);
  const protection = PROTECT_READ | PROTECT_WRITE;
  if (mapRegion(process.space, address, record.dataSize, protection, REGION_ANONYMOUS, 0, 0) < 0) return 0;
  record.region = load<u32>(address);
  return record.region;
}

/** Stores the argument words for the method at kernel address `frame`. False when memory or handles are exhausted. */
function placeArguments(process: Process, record: CallRecord, block: usize, frame: usize): bool {
  const method = record.method;
  memory.copy(frame, record.words, (<usize>method.words) << 2);
  store<u32>(frame, record.address);
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const slot = frame + ((<usize>argument.word) << 2);
    const value = load<u32>(record.words + ((<usize>argument.word) << 2));
    if (argument.kind === ARGUMENT_INTERFACE_IN) {
      const lent = lendInterface(process, value, argument.detail, record.lent + (i << 2));
      if (lent === 0) return false;
      store<u32>(slot, lent);
    } else if (argument.kind > ARGUMENT_INTERFACE_IN) {
      store<u32>(slot, <u32>block + outWord(record, i));
    } else store<u32>(slot, <u32>block + value);
  }
  return true;
}

/** Offset in the data of the word into which the server stores the interface of argument `index`. */
function outWord(record: CallRecord, index: u32): u32 {
  return load<u32>(record.lent + (index << 2));
}

/** The method's address, read from the object in the process, which may be anything; USER_END if the pointers are no addresses. */
function methodAddress(object: u32, index: u32): usize {
  if (object >= USER_END - 4) return USER_END;
  const vtable: usize = load<u32>(object - KERNEL_BASE);
  if (vtable >= USER_END - MAX_METHODS * 4) return USER_END;
  return load<u32>(vtable + ((<usize>index) << 2) - KERNEL_BASE);
}

/** Takes the results of a call out of the process's memory and answers it; returns the word to wake. */
function finishService(object: ThreadObject, record: CallRecord, result: i32): usize {
  const thread = currentThread();
  const process = object.process;
  const method = record.method;
  const block = object.block - KERNEL_BASE;
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const kind = argument.kind;
    const slot = record.words + ((<usize>argument.word) << 2);
    if (kind > ARGUMENT_INTERFACE_IN) {
      const pointer = load<u32>(block + outWord(record, i));
      const descriptor: usize =
        kind === ARGUMENT_INTERFACE_OUT
          ? argument.detail
          : interfaceWithId(load<u32>(record.words + ((<usize>argument.other) << 2)));
      if (result >= 0 && pointer !== 0 && descriptor !== 0) {
        const imported = importInterface(process, pointer, descriptor, slot);
        if (imported < 0) result = imported;
      }
    } else if (kind === ARGUMENT_OUT || kind === ARGUMENT_IN_OUT) {
      const offset = load<u32>(slot);
      memory.copy(record.data + offset, block + offset, argument.detail);
    } else if (kind === ARGUMENT_OUT_BYTES || kind === ARGUMENT_IN_OUT_BYTES) {
      const offset = load<u32>(slot);
      memory.copy(
        record.data + offset,
        block + offset,
        load<u32>(record.words + ((<usize>argument.other) << 2)),
      );
    }
  }
  if (thread.pendingFault !== 0) raisePendingFault(thread, 0);
  takeBackLent(process, record);
  object.record = 0;
  return answerCall(record, result);
}

/** What the server was lent for the call, and the region for large data. */
function takeBackLent(process: Process, record: CallRecord): void {
  const method = record.method;
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    if (argument.kind !== ARGUMENT_INTERFACE_IN) continue;
    const slot = record.lent + (i << 2);
    takeBack(process, load<u32>(slot));
    store<u32>(slot, 0);
  }
  if (record.region !== 0) unmapRegion(process.space, record.region);
  record.region = 0;
}
