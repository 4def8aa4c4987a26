/**
 * Interface pointers across the border between a process and the kernel's space, in all four directions:
 *
 *              borrowed (an argument)               given (with a reference)
 *   in         borrowInterface, giveBackInterface   importInterface
 *   out        lendInterface                        exportInterface
 *
 * In the kernel, a process's own object is a RemoteProxy, of which there is one for each address and interface; in the process, an
 * object from elsewhere is a handle's proxy, and its own object its own address.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import { E_HANDLE, E_NOINTERFACE, E_OUTOFMEMORY, E_POINTER, S_OK } from "../../interfaces/results";
import { USER_END } from "../i386/layout";
import type { Process } from "../objects/process";
import { type Interface, unknownInterface } from "./descriptors";
import { type Door, isDoorOf } from "./doors";
import { type Handle, handleAt, insertHandle, pinHandle, releaseHandle, unpinHandle } from "./handles";
import { handleOf, MAX_HANDLES, proxyAddress } from "./proxies";
import {
  adoptReference,
  isRemoteProxy,
  type RemoteProxy,
  remoteProxyFor,
  settleBorrowed,
  surrenderProxy,
} from "./remote";

/** What a note says to give back: a pinned handle, a reference, a RemoteProxy that was borrowed. */
const NOTE_HANDLE: usize = 0;
const NOTE_REFERENCE: usize = 1;
const NOTE_BORROWED: usize = 2;

/** Is a pointer with the first interface good where the second is wanted? */
function serves(descriptor: usize, wanted: usize): bool {
  return descriptor === wanted || wanted === unknownInterface();
}

/**
 * Stores in `slot` the kernel's pointer for an interface pointer of the process, and in `note` what `giveBackInterface` needs.
 * E_POINTER, E_HANDLE, E_NOINTERFACE, E_OUTOFMEMORY.
 */
export function borrowInterface(
  process: Process,
  pointer: u32,
  descriptor: usize,
  slot: usize,
  note: usize,
): i32 {
  const index = handleOf(pointer);
  if (index < MAX_HANDLES) {
    const handle = pinHandle(process.handles, index);
    if (!handle) return E_HANDLE;
    if (serves(handle.descriptor, descriptor)) {
      store<usize>(slot, handle.object);
      store<usize>(note, changetype<usize>(handle) | NOTE_HANDLE);
      return S_OK;
    }
    const found = stackAlloc(4);
    store<usize>(found, 0);
    const result = changetype<IUnknown>(handle.object).queryInterface(
      changetype<Interface>(descriptor).iid,
      found,
    );
    unpinHandle(process.handles, handle);
    if (result < 0 || load<usize>(found) === 0) return E_NOINTERFACE;
    store<usize>(slot, load<usize>(found));
    store<usize>(note, load<usize>(found) | NOTE_REFERENCE);
    return S_OK;
  }
  if (pointer === 0 || pointer >= USER_END) return E_POINTER;
  const proxy = remoteProxyFor(process, pointer, descriptor);
  if (!proxy) return E_OUTOFMEMORY;
  store<usize>(slot, changetype<usize>(proxy));
  store<usize>(note, changetype<usize>(proxy) | NOTE_BORROWED);
  return S_OK;
}

export function giveBackInterface(process: Process, note: usize): void {
  const value = load<usize>(note);
  if (value === 0) return;
  const address = value & ~3;
  const kind = value & 3;
  if (kind === NOTE_HANDLE) unpinHandle(process.handles, changetype<Handle>(address));
  else {
    if (kind === NOTE_BORROWED) settleBorrowed(changetype<RemoteProxy>(address));
    changetype<IUnknown>(address).release();
  }
}

/** The process's pointer for a kernel pointer; takes over its reference. 0 when memory or handles are exhausted. */
export function exportInterface(process: Process, pointer: usize, descriptor: usize): u32 {
  if (isDoorOf(pointer, process)) {
    const target = changetype<Door>(pointer).target;
    changetype<IUnknown>(target).addRef();
    changetype<IUnknown>(pointer).release();
    return exportInterface(process, target, descriptor);
  }
  if (isRemoteProxy(pointer) && changetype<RemoteProxy>(pointer).process === process) {
    const address = changetype<RemoteProxy>(pointer).address;
    surrenderProxy(changetype<RemoteProxy>(pointer));
    return address;
  }
  const handle = insertHandle(process.handles, pointer, descriptor);
  return handle ? proxyAddress(handle.index) : 0;
}

/**
 * The process's pointer for a kernel pointer that somebody keeps alive meanwhile. `lent` gets the handle to take back with
 * `takeBack`, 0 for none. 0 when memory or handles are exhausted.
 */
export function lendInterface(process: Process, pointer: usize, descriptor: usize, lent: usize): u32 {
  store<u32>(lent, 0);
  if (isDoorOf(pointer, process))
    return lendInterface(process, changetype<Door>(pointer).target, descriptor, lent);
  if (isRemoteProxy(pointer) && changetype<RemoteProxy>(pointer).process === process) {
    return changetype<RemoteProxy>(pointer).address;
  }
  changetype<IUnknown>(pointer).addRef();
  const handle = insertHandle(process.handles, pointer, descriptor);
  if (!handle) return 0;
  store<u32>(lent, handle.index + 1);
  return proxyAddress(handle.index);
}

export function takeBack(process: Process, lent: u32): void {
  if (lent !== 0) releaseHandle(process.handles, handleAt(process.handles, lent - 1)!);
}

/**
 * The kernel's pointer for one that the process gives away together with a reference; stored in `out` with a reference.
 * E_POINTER, E_HANDLE, E_NOINTERFACE, E_OUTOFMEMORY.
 */
export function importInterface(process: Process, pointer: u32, descriptor: usize, out: usize): i32 {
  const note = stackAlloc(8);
  store<usize>(note, 0);
  const result = borrowInterface(process, pointer, descriptor, out, note);
  if (result < 0) {
    store<usize>(out, 0);
    return result;
  }
  const kind = load<usize>(note) & 3;
  if (kind === NOTE_BORROWED) adoptReference(changetype<RemoteProxy>(load<usize>(out)));
  else {
    const handle = handleAt(process.handles, handleOf(pointer))!;
    if (kind === NOTE_HANDLE) {
      changetype<IUnknown>(load<usize>(out)).addRef();
      unpinHandle(process.handles, handle);
    }
    releaseHandle(process.handles, handle);
  }
  return S_OK;
}
