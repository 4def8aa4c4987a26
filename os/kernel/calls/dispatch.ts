/**
 * System calls: a process's call on an object of the kernel's space (§5.1). The argument words are copied to the kernel stack;
 * pointers among them are range-checked and biased in place, by the method's descriptor, and the object's method is called with
 * the copy. Nothing is marshalled. Methods do not check pointers: one that is in range but bad meets the scratch page,
 * and the fault is raised here, when the call returns (§5.1.1).
 *
 * Hardware assumptions:
 *  1. A user address p is p − 1 GB in the kernel, modulo 2^32; the page tables are the caller's own during the call.
 *  2. The page below 2 GB (USER_END) is never mapped, so p < USER_END suffices for anything smaller than a page.
 *  3. Threads are preempted at ring 1; turning interrupts off makes a few instructions atomic, there being one processor.
 *
 * Interface pointers are translated: proxies to the objects behind their handles, objects of the caller to RemoteProxies.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import { E_HANDLE, E_NOINTERFACE, E_NOTIMPL, E_OUTOFMEMORY, E_POINTER, S_OK } from "../../interfaces/results";
import { KERNEL_BASE, USER_END } from "../i386/layout";
import { raisePendingFault } from "../objects/faults";
import { COUNT_SYSTEM_CALLS, countLive } from "../objects/live";
import type { Process } from "../objects/process";
import type { ThreadObject } from "../objects/threads";
import { currentThread, exitThread, type Thread } from "../threads/thread";
import {
  ARGUMENT_IN_BYTES,
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_INTERFACE_OUT,
  ARGUMENT_SIZE,
  ARGUMENT_STRING,
  type Argument,
  type Interface,
  interfaceWithId,
  METHOD_ADD_REF,
  METHOD_CARRIES_INTERFACES,
  METHOD_RELEASE,
  type Method,
  methodAt,
} from "./descriptors";
import { addHandleReference, type Handle, pinHandle, releaseHandle, unpinHandle } from "./handles";
import { handleOf } from "./proxies";
import { borrowInterface, exportInterface, giveBackInterface } from "./translation";

declare function guardedInvoke(code: usize, words: usize, count: u32, guard: usize): i32;

/** Room for return address and argument words above the user's stack pointer. */
const STACK_MARGIN: usize = 512;

/** int 0x30 at ring 1: `method` of the object whose proxy is the first argument above the return address at `userStack`. */
export function systemCall(method: u32, userStack: usize): i32 {
  const thread = currentThread();
  const process = changetype<Process>(thread.process);
  let result: i32 = E_POINTER;
  if (userStack < USER_END - STACK_MARGIN) {
    // Word 0 of the arguments is `this`.
    const frame = userStack + 4 - KERNEL_BASE;
    const handle = pinHandle(process.handles, handleOf(load<u32>(frame)));
    if (handle) {
      if (method - METHOD_ADD_REF <= METHOD_RELEASE - METHOD_ADD_REF) {
        result = countReference(process, handle, method);
      } else {
        result = callMethod(changetype<ThreadObject>(thread.call), process, handle, method, frame);
      }
      unpinHandle(process.handles, handle);
    } else result = E_HANDLE;
  }
  countLive(COUNT_SYSTEM_CALLS, 1);
  if ((thread.pendingFault | thread.cancelled) !== 0) leaveCall(thread);
  return result;
}

/** References through a proxy are counted in its handle alone. */
function countReference(process: Process, handle: Handle, method: u32): i32 {
  return method === METHOD_ADD_REF ? <i32>addHandleReference(handle) : releaseHandle(process.handles, handle);
}

/** The caller does not go on: it met the scratch page, or is to end. */
function leaveCall(thread: Thread): void {
  if (thread.pendingFault !== 0 && !thread.cancelled) raisePendingFault(thread);
  exitThread(<u32>E_POINTER);
}

function callMethod(object: ThreadObject, process: Process, handle: Handle, index: u32, frame: usize): i32 {
  const descriptor = changetype<Interface>(handle.descriptor);
  if (index >= descriptor.methodCount) return E_NOTIMPL;
  const method = methodAt(descriptor, index);
  const count: u32 = method.words;
  const words = stackAlloc(count << 2);
  store<usize>(words, handle.object);
  for (let offset: usize = 4; offset < count << 2; offset += 4)
    store<u32>(words + offset, load<u32>(frame + offset));
  if (method.flags & METHOD_CARRIES_INTERFACES)
    return callWithInterfaces(object, process, handle, index, method, words);
  let argument = method.arguments;
  const end = argument + method.argumentCount * ARGUMENT_SIZE;
  for (; argument < end; argument += ARGUMENT_SIZE) {
    if (!checkPointer(changetype<Argument>(argument), words)) return E_POINTER;
  }
  return callObject(object, handle.object, index, words, count);
}

/** Range-checks and biases the pointer of an argument that is no interface. */
function checkPointer(argument: Argument, words: usize): bool {
  const slot = words + ((<usize>argument.word) << 2);
  const pointer: usize = load<u32>(slot);
  if (pointer >= USER_END) return false;
  if (argument.kind - ARGUMENT_IN_BYTES < ARGUMENT_STRING - ARGUMENT_IN_BYTES) {
    const size: usize = load<u32>(words + ((<usize>argument.other) << 2));
    // An empty buffer may be anywhere, so null too.
    if (size > USER_END - pointer || (pointer === 0 && size !== 0)) return false;
  } else if (pointer === 0) return false;
  store<u32>(slot, <u32>(pointer - KERNEL_BASE));
  return true;
}

/**
 * Calls method `index` with the words. `guard` lets a fault in the object's module end the call instead of the caller's
 * program; one word is enough, because a thread of a process is in one system call at a time.
 */
function callObject(object: ThreadObject, target: usize, index: u32, words: usize, count: u32): i32 {
  const guard = changetype<usize>(object) + offsetof<ThreadObject>("guard");
  const vtable = load<usize>(target);
  object.guardVtable = vtable;
  const result = guardedInvoke(load<usize>(vtable + (index << 2)), words, count, guard);
  store<u32>(guard, 0);
  return result;
}

/**
 * The same for methods with interface arguments. A note of two words belongs to each argument: for one that goes in, what
 * to give back afterwards; for one that comes out, the kernel's word and the caller's address for it.
 */
function callWithInterfaces(
  object: ThreadObject,
  process: Process,
  handle: Handle,
  index: u32,
  method: Method,
  words: usize,
): i32 {
  const count: u32 = method.argumentCount;
  const notes = stackAlloc(count << 3);
  memory.fill(notes, 0, count << 3);
  let result: i32 = S_OK;
  for (let i: u32 = 0; i < count; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const note = notes + (i << 3);
    const slot = words + ((<usize>argument.word) << 2);
    // After a bad argument only the pointers that come out matter: they are to hold null.
    if (argument.kind <= ARGUMENT_INTERFACE_IN && result < 0) continue;
    if (argument.kind < ARGUMENT_INTERFACE_IN) {
      if (!checkPointer(argument, words)) result = E_POINTER;
    } else if (argument.kind === ARGUMENT_INTERFACE_IN) {
      result = borrowInterface(process, load<u32>(slot), argument.detail, slot, note);
    } else {
      const pointer: usize = load<u32>(slot);
      if (pointer === 0 || pointer >= USER_END) result = E_POINTER;
      else {
        store<u32>(note, <u32>(pointer - KERNEL_BASE), 4);
        store<u32>(slot, <u32>note);
        if (outInterface(argument, words) === 0) result = E_NOINTERFACE;
      }
    }
  }
  if (result >= 0) result = callObject(object, handle.object, index, words, method.words);
  for (let i: u32 = 0; i < count; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const note = notes + (i << 3);
    if (argument.kind === ARGUMENT_INTERFACE_IN) giveBackInterface(process, note);
    else if (argument.kind > ARGUMENT_INTERFACE_IN && load<u32>(note, 4) !== 0) {
      result = returnInterface(process, note, outInterface(argument, words), result);
    }
  }
  return result;
}

/** Interface of an argument that comes out; 0 for an unknown id. */
function outInterface(argument: Argument, words: usize): usize {
  if (argument.kind === ARGUMENT_INTERFACE_OUT) return argument.detail;
  return interfaceWithId(load<u32>(words + ((<usize>argument.other) << 2)));
}

/** Gives the caller the interface pointer that a method stored in a note: null when the call failed. */
function returnInterface(process: Process, note: usize, descriptor: usize, result: i32): i32 {
  const pointer = load<usize>(note);
  let given: u32 = 0;
  if (pointer !== 0) {
    if (result < 0) changetype<IUnknown>(pointer).release();
    else {
      given = exportInterface(process, pointer, descriptor);
      if (given === 0) result = E_OUTOFMEMORY;
    }
  }
  store<u32>(load<usize>(note, 4), given);
  return result;
}
