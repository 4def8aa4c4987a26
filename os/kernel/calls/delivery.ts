/**
 * A call on its server thread: the marshalled arguments go to the process, the method runs at ring 3, the results come back. All
 * of it happens on the server thread, at ring 1 in its own space, so memory of the process is touched as in a system call: a page
 * that is missing comes, a bad address meets the scratch page and ends the process.
 *
 * The method runs on the thread's own stack, from its top:
 *
 *   top ─ 64   end of the block of argument data (pointers point into it), a region of its own if larger than STACK_DATA
 *              argument words, `this` first
 *   esp        address of the int 0x32 stub
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_CANCELLED, E_OUTOFMEMORY } from "../../interfaces/results";
import { KERNEL_BASE, USER_END, VECTOR_PAGE_FAULT } from "../i386/layout";
import { REGION_ANONYMOUS } from "../memory/regions";
import { mapRegion, unmapRegion } from "../memory/space";
import { raiseFault, raisePendingFault } from "../objects/faults";
import type { Process } from "../objects/process";
import type { ThreadObject } from "../objects/threads";
import {
  currentThread,
  enterUser,
  exitThread,
  stopHere,
  type Thread,
  USER_STACK_SIZE,
} from "../threads/thread";
import {
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_INTERFACE_OUT,
  ARGUMENT_SIZE,
  type Argument,
  interfaceWithId,
  METHOD_CARRIES_INTERFACES,
  type Method,
} from "./descriptors";
import { comesOut, sizeBehind } from "./marshal";
import { MAX_METHODS, SERVER_RETURN_STUB } from "./proxies";
import { type CallRecord, dataOf, lentOf, wordsOf } from "./records";
import { importInterface, lendInterface, takeBack } from "./translation";

/** Argument data up to this size goes on the server's stack. */
const STACK_DATA: u32 = 0x4000;
/** The error code of a user-mode read of a page that is not there. */
const READ_FAULT: u32 = 4;

/** Runs a call without pointers at ring 3; does not return. */
export function beginPlainService(thread: Thread, record: CallRecord): void {
  const method = record.method;
  const stack = stackOf(thread) - method.frameSize;
  copyToFrame(record, method, stack);
  enterMethod(thread, record, stack);
}

/** Runs a call at ring 3. Returns only if it could not be delivered, with the reason. */
export function beginService(object: ThreadObject, record: CallRecord): i32 {
  const thread = currentThread();
  const method = record.method;
  let stack = stackOf(thread);
  if (record.dataSize !== 0) {
    let block = stack - record.dataSize;
    if (record.dataSize > STACK_DATA) {
      block = mapBlock(object.process, record);
      if (block === 0) return E_OUTOFMEMORY;
    } else {
      block &= ~15;
      stack = block;
    }
    object.block = block;
    memory.copy(block - KERNEL_BASE, dataOf(record), record.dataSize);
  }
  stack -= method.frameSize;
  copyToFrame(record, method, stack);
  if (method.argumentCount !== 0 && !placePointers(object, record, stack + 4 - KERNEL_BASE)) {
    takeBackLent(object.process, record);
    return E_OUTOFMEMORY;
  }
  enterMethod(thread, record, stack);
  return 0;
}

/** User address at which the stack of a server thread begins. */
function stackOf(thread: Thread): usize {
  return thread.userStack + USER_STACK_SIZE - 64;
}

/** The words after `this`. */
function copyToFrame(record: CallRecord, method: Method, stack: usize): void {
  const size = (<usize>method.words) << 2;
  for (let offset: usize = 4; offset < size; offset += 4)
    store<u32>(stack + 4 - KERNEL_BASE + offset, load<u32>(wordsOf(record) + offset));
}

/** Starts the method at ring 3, with `this` and return address at the user's `stack`; does not return. */
function enterMethod(thread: Thread, record: CallRecord, stack: usize): void {
  const object = record.address;
  store<u32>(stack - KERNEL_BASE, <u32>SERVER_RETURN_STUB);
  store<u32>(stack - KERNEL_BASE, object, 4);
  const entry = methodAddress(object, record.index);
  if (thread.pendingFault !== 0) raisePendingFault(thread, 0);
  if (entry >= USER_END)
    raiseFault(thread, VECTOR_PAGE_FAULT, READ_FAULT, entry, entry, changetype<Thread>(0));
  // With interrupts off until the thread is in its program, nothing can be asked of it in between.
  disableInterrupts();
  if ((thread.cancelled | thread.suspended) !== 0) stopBeforeService(thread);
  enterUser(entry, stack);
}

/** With interrupts off: the thread waits while it is suspended, and does not come back if it is to end. */
function stopBeforeService(thread: Thread): void {
  stopHere();
  if (thread.cancelled === 0) return;
  enableInterrupts();
  exitThread(<u32>E_CANCELLED);
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

/** Replaces the words of pointers at kernel address `frame`. False when memory or handles are exhausted. */
function placePointers(object: ThreadObject, record: CallRecord, frame: usize): bool {
  const method = record.method;
  let at = method.arguments;
  for (let left: u32 = method.argumentCount; left !== 0; left--) {
    const argument = changetype<Argument>(at);
    const slot = frame + ((<usize>argument.word) << 2);
    if (argument.kind === ARGUMENT_INTERFACE_IN) {
      const lent = lendInterface(
        object.process,
        load<u32>(slot),
        argument.detail,
        lentWord(record, argument),
      );
      if (lent === 0) return false;
      store<u32>(slot, lent);
    } else if (argument.kind > ARGUMENT_INTERFACE_IN) {
      store<u32>(slot, <u32>object.block + load<u32>(lentWord(record, argument)));
    } else store<u32>(slot, <u32>object.block + load<u32>(slot));
    at += ARGUMENT_SIZE;
  }
  return true;
}

function lentWord(record: CallRecord, argument: Argument): usize {
  return lentOf(record) + ((<usize>argument.word) << 2);
}

/** The method's address, read from the object in the process, which may be anything; USER_END if the pointers are no addresses. */
function methodAddress(object: u32, index: u32): usize {
  if (object >= USER_END - 4) return USER_END;
  const vtable: usize = load<u32>(object - KERNEL_BASE);
  if (vtable >= USER_END - MAX_METHODS * 4) return USER_END;
  return load<u32>(vtable + ((<usize>index) << 2) - KERNEL_BASE);
}

/** Takes the results of a call with pointers out of the process's memory; returns its result. */
export function endService(object: ThreadObject, record: CallRecord, result: i32): i32 {
  const thread = currentThread();
  const method = record.method;
  result = takeResults(object, record, method, result);
  if (thread.pendingFault !== 0) raisePendingFault(thread, 0);
  if (((method.flags & METHOD_CARRIES_INTERFACES) | record.region) !== 0)
    takeBackLent(object.process, record);
  return result;
}

function takeResults(object: ThreadObject, record: CallRecord, method: Method, result: i32): i32 {
  const block = object.block - KERNEL_BASE;
  let at = method.arguments;
  for (let left: u32 = method.argumentCount; left !== 0; left--) {
    const argument = changetype<Argument>(at);
    const kind = argument.kind;
    const slot = wordsOf(record) + ((<usize>argument.word) << 2);
    at += ARGUMENT_SIZE;
    if (kind > ARGUMENT_INTERFACE_IN) {
      const pointer = load<u32>(block + load<u32>(lentWord(record, argument)));
      const descriptor: usize =
        kind === ARGUMENT_INTERFACE_OUT
          ? argument.detail
          : interfaceWithId(load<u32>(wordsOf(record) + ((<usize>argument.other) << 2)));
      if (result >= 0 && pointer !== 0 && descriptor !== 0) {
        const imported = importInterface(object.process, pointer, descriptor, slot);
        if (imported < 0) result = imported;
      }
    } else if (comesOut(kind)) {
      const offset = load<u32>(slot);
      memory.copy(dataOf(record) + offset, block + offset, sizeBehind(argument, wordsOf(record)));
    }
  }
  return result;
}

/** What the server was lent for the call, and the region for large data. */
export function takeBackLent(process: Process, record: CallRecord): void {
  const method = record.method;
  if (method.flags & METHOD_CARRIES_INTERFACES) {
    for (let i: u32 = 0; i < method.argumentCount; i++) {
      const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
      if (argument.kind !== ARGUMENT_INTERFACE_IN) continue;
      const lent = lentWord(record, argument);
      takeBack(process, load<u32>(lent));
      store<u32>(lent, 0);
    }
  }
  if (record.region !== 0) unmapRegion(process.space, record.region);
  record.region = 0;
}
