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
import {
  E_CANCELLED,
  E_HANDLE,
  E_NOINTERFACE,
  E_NOTIMPL,
  E_OUTOFMEMORY,
  E_POINTER,
  S_OK,
} from "../../interfaces/results";
import { KERNEL_BASE, USER_END } from "../i386/layout";
import { raisePendingFault } from "../objects/faults";
import { COUNT_SYSTEM_CALLS, countLive } from "../objects/live";
import type { Process } from "../objects/process";
import { currentThreadObject, type ThreadObject } from "../objects/threads";
import { currentThread, exitThread, stopHere } from "../threads/thread";
import {
  ARGUMENT_IN_BYTES,
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_INTERFACE_OUT,
  ARGUMENT_SIZE,
  ARGUMENT_STRING,
  type Argument,
  type Interface,
  interfaceWithId,
  isInternal,
  METHOD_ADD_REF,
  METHOD_RELEASE,
  METHOD_WORDS,
  type Method,
  methodAt,
} from "./descriptors";
import {
  addHandleReference,
  chunkOf,
  closeHandle,
  type Handle,
  type HandleTable,
  handleIn,
  releaseHandle,
  unpinHandle,
} from "./handles";
import { PROXY_ENTRIES, PROXY_OFFSETS, PROXY_SIZE } from "./proxies";
import { callRemote, isRemoteProxy, type RemoteProxy } from "./remote";
import { borrowInterface, exportInterface, giveBackInterface } from "./translation";

declare function guardedInvoke(code: usize, words: usize, guard: usize): i32;

/** Room for return address and argument words above the user's stack pointer. */
const STACK_MARGIN: usize = 512;
/** Bytes for the argument words of any method (`resolveDescriptors` checks). */
const WORDS: usize = METHOD_WORDS << 2;
const NOTE_SIZE: u32 = 12;

/**
 * int 0x30 at ring 1: method `index` of the object whose proxy is the first argument above the return address at `userStack`. Copies the
 * argument words, checks and biases the pointers among them, and calls the method with the copy. The guard lets a fault in
 * the object's module end the call instead of the caller's program; a thread has one, because it is in one system call at a time.
 */
export function systemCall(index: u32, userStack: usize): i32 {
  const handles = currentHandles();
  countLive(COUNT_SYSTEM_CALLS, 1);
  if (userStack >= USER_END - STACK_MARGIN) return leaveCall(userStack, E_POINTER);
  // Word 0 of the arguments is `this`.
  const frame = userStack + 4 - KERNEL_BASE;
  const offset = load<u32>(frame) - <u32>PROXY_ENTRIES;
  if ((offset & ~PROXY_OFFSETS) !== 0) return leaveCall(userStack, E_HANDLE);
  const chunk = chunkOf(handles, offset / PROXY_SIZE);
  if (chunk === 0) return leaveCall(userStack, E_HANDLE);
  const handle = handleIn(chunk, offset / PROXY_SIZE);
  if (!enterHandle(handle)) return leaveCall(userStack, E_HANDLE);
  let result: i32 = E_NOTIMPL;
  const descriptor = changetype<Interface>(handle.descriptor);
  if (index < descriptor.methodCount) {
    const method = methodAt(descriptor, index);
    const target = handle.object;
    if (method.flags !== 0) result = specialCall(handle, index, method, frame);
    else if (method.argumentCount === 0 && isRemoteProxy(target)) {
      // Without pointers, the words can be taken from the caller's stack when the call is marshalled.
      result = callRemote(changetype<RemoteProxy>(target), method, index, frame);
    } else {
      const words = stackAlloc(WORDS);
      store<usize>(words, target);
      const end = (<u32>method.words) << 2;
      for (let at: usize = 4; at < end; at += 4) store<u32>(words + at, load<u32>(frame + at));
      if (isRemoteProxy(target)) {
        if (checkPointers(method.arguments, method.argumentCount, words))
          result = callRemote(changetype<RemoteProxy>(target), method, index, words);
        else result = E_POINTER;
      } else if (method.argumentCount === 0 || checkPointers(method.arguments, method.argumentCount, words)) {
        result = callObject(target, index, words);
      } else result = E_POINTER;
    }
  }
  disableInterrupts();
  handle.busy--;
  const unused = (handle.busy | handle.count) === 0;
  const thread = currentThread();
  // With interrupts off until the thread is back in its program, nothing can be asked of it in between.
  if (!unused && (thread.pendingFault | thread.cancelled | thread.suspended) === 0) return result;
  enableInterrupts();
  if (unused) closeHandle(currentHandles(), handle);
  return leaveCall(userStack, result);
}

function currentHandles(): HandleTable {
  return changetype<Process>(currentThread().process).handles;
}

/** Keeps the handle's entry busy; false if the process has no such handle. */
function enterHandle(handle: Handle): bool {
  atomicAdd(changetype<usize>(handle) + offsetof<Handle>("busy"), 1);
  if (handle.count !== 0) return true;
  unpinHandle(currentHandles(), handle);
  return false;
}

/** A call on an object here, under a guard; a RemoteProxy needs none, as it is no module that could fault. */
function callObject(target: usize, index: u32, words: usize): i32 {
  const object = currentThreadObject();
  const vtable = load<usize>(target);
  object.guardVtable = vtable;
  return guardedInvoke(load<usize>(vtable + (index << 2)), words, guardOf(object));
}

/** Checks and biases the pointers that `count` arguments are, none of them an interface; false for one out of range. */
function checkPointers(first: usize, count: u32, words: usize): bool {
  let argument = first;
  for (let left = count; left !== 0; left--) {
    if (!checkPointer(changetype<Argument>(argument), words)) return false;
    argument += ARGUMENT_SIZE;
  }
  return true;
}

/**
 * The end of a call that is not the usual one: the caller may be suspended, have met the scratch page, or be about to end. Returns with
 * interrupts off.
 */
function leaveCall(userStack: usize, result: i32): i32 {
  const thread = currentThread();
  disableInterrupts();
  stopHere();
  if ((thread.cancelled | thread.pendingFault) === 0) return result;
  enableInterrupts();
  if (thread.cancelled) exitThread(<u32>E_CANCELLED);
  raisePendingFault(thread, userStack >= USER_END - STACK_MARGIN ? 0 : load<u32>(userStack - KERNEL_BASE));
  // The program handles its faults: it meets this one on the way back.
  return leaveCall(userStack, result);
}

function specialCall(handle: Handle, index: u32, method: Method, frame: usize): i32 {
  // References through a proxy are counted in its handle alone.
  if (index === METHOD_ADD_REF) return <i32>addHandleReference(handle);
  if (index === METHOD_RELEASE) return releaseHandle(currentHandles(), handle);
  const object = currentThreadObject();
  return callWithInterfaces(object, object.process, handle.object, index, method, frame);
}

function guardOf(object: ThreadObject): usize {
  return changetype<usize>(object) + offsetof<ThreadObject>("guard");
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
 * The same for methods with interface arguments. A note of three words belongs to each argument: for one that goes in, what to
 * give back afterwards; for one that comes out, the kernel's word, the caller's address for it, and the interface.
 */
function callWithInterfaces(
  object: ThreadObject,
  process: Process,
  target: usize,
  index: u32,
  method: Method,
  frame: usize,
): i32 {
  const count: u32 = method.argumentCount;
  const notes = stackAlloc(count * NOTE_SIZE);
  memory.fill(notes, 0, count * NOTE_SIZE);
  const words = stackAlloc(WORDS);
  store<usize>(words, target);
  memory.copy(words + 4, frame + 4, ((<u32>method.words) << 2) - 4);
  let result: i32 = S_OK;
  for (let i: u32 = 0; i < count; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const note = notes + i * NOTE_SIZE;
    const slot = words + ((<usize>argument.word) << 2);
    // After a bad argument only the pointers that come out matter: they are to hold null.
    if (argument.kind <= ARGUMENT_INTERFACE_IN && result < 0) continue;
    if (argument.kind < ARGUMENT_INTERFACE_IN) {
      if (!checkPointers(changetype<usize>(argument), 1, words)) result = E_POINTER;
    } else if (argument.kind === ARGUMENT_INTERFACE_IN) {
      result = borrowInterface(process, load<u32>(slot), argument.detail, slot, note);
    } else {
      const pointer: usize = load<u32>(slot);
      const descriptor = outInterface(argument, words);
      if (pointer === 0 || pointer >= USER_END) result = E_POINTER;
      else {
        store<u32>(note, <u32>(pointer - KERNEL_BASE), 4);
        store<usize>(note, descriptor, 8);
        store<u32>(slot, <u32>note);
        if (descriptor === 0) result = E_NOINTERFACE;
      }
    }
  }
  if (result >= 0) {
    const vtable = load<usize>(target);
    object.guardVtable = vtable;
    result = guardedInvoke(load<usize>(vtable + (index << 2)), words, guardOf(object));
  }
  for (let i: u32 = 0; i < count; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const note = notes + i * NOTE_SIZE;
    if (argument.kind === ARGUMENT_INTERFACE_IN) giveBackInterface(process, note);
    else if (argument.kind > ARGUMENT_INTERFACE_IN && load<u32>(note, 4) !== 0) {
      result = returnInterface(process, note, result);
    }
  }
  return result;
}

/** Interface of an argument that comes out; 0 for an unknown id, and for an internal interface, since the caller is elsewhere. */
function outInterface(argument: Argument, words: usize): usize {
  if (argument.kind === ARGUMENT_INTERFACE_OUT) return argument.detail;
  const descriptor = interfaceWithId(load<u32>(words + ((<usize>argument.other) << 2)));
  return isInternal(descriptor) ? 0 : descriptor;
}

/** Gives the caller the interface pointer that a method stored in a note: null when the call failed. */
function returnInterface(process: Process, note: usize, result: i32): i32 {
  const pointer = load<usize>(note);
  let given: u32 = 0;
  if (pointer !== 0) {
    if (result < 0) changetype<IUnknown>(pointer).release();
    else {
      given = exportInterface(process, pointer, load<usize>(note, 8));
      if (given === 0) result = E_OUTOFMEMORY;
    }
  }
  store<u32>(load<usize>(note, 4), given);
  return result;
}
