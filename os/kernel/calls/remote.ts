/**
 * RemoteProxy: the kernel object that stands for an object in a process. Whoever holds it in the kernel's space, a program there
 * or a handle of another process, calls it like any other; each call becomes a call record for a server thread of the process.
 *
 * There is one RemoteProxy for each (process, address, interface), so pointers that are equal in the process are equal here. The
 * kernel counts its references; in the process it holds one reference (`owned`), or none while it stands only for arguments
 * of calls that the process itself is making. The last release queues a call of `release` that nobody waits for.
 *
 * The process's proxyLock guards the table and the step of `references` to 0; it is a leaf.
 */

import {
  E_CANCELLED,
  E_DISCONNECTED,
  E_INVALIDARG,
  E_NOINTERFACE,
  E_NOTIMPL,
  E_OUTOFMEMORY,
  S_OK,
} from "../../interfaces/results";
import { allocate, free } from "../memory/heap";
import { COUNT_REMOTE_CALLS, countLive, LIVE_REMOTE_PROXIES } from "../objects/live";
import { PROCESS_RUNNING, type Process } from "../objects/process";
import { currentThreadObject } from "../objects/threads";
import type { Mutex } from "../threads/mutex";
import { currentThread } from "../threads/thread";
import {
  asksForInternal,
  type Interface,
  METHOD_ADD_REF,
  METHOD_QUERY_INTERFACE,
  METHOD_RELEASE,
  type Method,
  methodAt,
  unknownInterface,
} from "./descriptors";
import {
  clearInterfaces,
  copyWords,
  marshal,
  measureData,
  REMOTE_DATA_LIMIT,
  sizeError,
  unmarshal,
} from "./marshal";
import { MAX_METHODS } from "./proxies";
import { allocateRecord, CALL_PENDING, type CallRecord, keepRecord, takeRecord } from "./records";
import { callServer, postCall } from "./server-threads";

declare function remoteStubAddress(): usize;

const STUB_SIZE: usize = 16;
const BUCKETS: u32 = 64;

const vtable: usize = memory.data(256, 16);
/** Stands for objects whose program has left: every call answers E_DISCONNECTED. */
const disconnected: usize = memory.data(16, 16);
const disconnectedVtable: usize = memory.data(256, 16);

@unmanaged
export class RemoteProxy {
  vtable: usize = 0;
  references: u32 = 0;
  process: Process = changetype<Process>(0);
  /** The object's interface pointer in the process. */
  address: u32 = 0;
  descriptor: usize = 0;
  next: RemoteProxy | null = null;
  /** Does it hold a reference to the object in the process? */
  owned: u32 = 0;
}

/** Runs once, before the first call. */
export function prepareRemoteCalls(): void {
  for (let method: usize = 0; method < MAX_METHODS; method++) {
    store<usize>(vtable + (method << 2), remoteStubAddress() + method * STUB_SIZE);
    store<usize>(disconnectedVtable + (method << 2), functionAddress(refuseCall));
  }
  store<usize>(vtable, functionAddress(queryProxy));
  store<usize>(vtable, functionAddress(addProxyReference), METHOD_ADD_REF << 2);
  store<usize>(vtable, functionAddress(releaseProxy), METHOD_RELEASE << 2);
  store<usize>(disconnectedVtable, functionAddress(refuseQuery));
  store<usize>(disconnectedVtable, functionAddress(keepReference), METHOD_ADD_REF << 2);
  store<usize>(disconnectedVtable, functionAddress(keepReference), METHOD_RELEASE << 2);
  store<usize>(disconnected, disconnectedVtable);
}

function refuseQuery(_object: usize, _iid: u32, out: usize): i32 {
  store<u32>(out, 0);
  return E_DISCONNECTED;
}

/** A method of any signature: the caller takes its arguments off the stack. */
function refuseCall(): i32 {
  return E_DISCONNECTED;
}

function keepReference(): u32 {
  return 1;
}

/** The object that answers E_DISCONNECTED to everything; it lives for ever. */
export function disconnectedObject(): usize {
  return disconnected;
}

/** Is this interface pointer of the kernel's space an object of a process? */
export function isRemoteProxy(pointer: usize): bool {
  return load<usize>(pointer) === vtable;
}

function proxyMutex(process: Process): Mutex {
  return changetype<Mutex>(changetype<usize>(process) + offsetof<Process>("proxyLock"));
}

function bucketOf(process: Process, address: u32): usize {
  return process.proxies + ((((address >> 3) * 0x9e3779b1) >> 26) << 2);
}

/** The proxy of an object of `process`, with a reference for the caller; null when memory is exhausted. */
export function remoteProxyFor(process: Process, address: u32, descriptor: usize): RemoteProxy | null {
  const mutex = proxyMutex(process);
  mutex.acquire();
  if (process.proxies === 0) process.proxies = allocate(BUCKETS << 2);
  if (process.proxies === 0) {
    mutex.release();
    return null;
  }
  const bucket = bucketOf(process, address);
  let proxy = load<RemoteProxy | null>(bucket);
  while (proxy) {
    if (proxy.address === address && proxy.descriptor === descriptor) break;
    proxy = proxy.next;
  }
  if (proxy) {
    atomicAdd(changetype<usize>(proxy) + offsetof<RemoteProxy>("references"), 1);
  } else {
    proxy = changetype<RemoteProxy | null>(allocate(offsetof<RemoteProxy>()));
    if (proxy) {
      proxy.vtable = vtable;
      proxy.references = 1;
      proxy.process = process;
      proxy.address = address;
      proxy.descriptor = descriptor;
      proxy.next = load<RemoteProxy | null>(bucket);
      store<usize>(bucket, changetype<usize>(proxy));
      process.addRef();
      countLive(LIVE_REMOTE_PROXIES, 1);
    }
  }
  mutex.release();
  return proxy;
}

/** Takes a proxy with its process's lock held out of the table. */
function unlinkProxy(process: Process, proxy: RemoteProxy): void {
  const bucket = bucketOf(process, proxy.address);
  let before: RemoteProxy | null = null;
  for (let other = load<RemoteProxy | null>(bucket); other; other = other!.next) {
    if (other === proxy) break;
    before = other;
  }
  if (before) before.next = proxy.next;
  else store<usize>(bucket, changetype<usize>(proxy.next));
}

function addProxyReference(proxy: RemoteProxy): u32 {
  return atomicAdd(changetype<usize>(proxy) + offsetof<RemoteProxy>("references"), 1) + 1;
}

/** Gives a reference back; the last one ends the proxy. */
function releaseProxy(proxy: RemoteProxy): u32 {
  const process = proxy.process;
  const word = changetype<usize>(proxy) + offsetof<RemoteProxy>("references");
  const mutex = proxyMutex(process);
  mutex.acquire();
  const left = atomicAdd(word, 0xffffffff) - 1;
  if (left === 0) unlinkProxy(process, proxy);
  mutex.release();
  if (left !== 0) return left;
  if (proxy.owned) queueRelease(process, proxy.address);
  free(changetype<usize>(proxy));
  countLive(LIVE_REMOTE_PROXIES, -1);
  process.release();
  return 0;
}

/** Gives back one reference that the kernel holds to an object of a process; nobody waits for it. */
function queueRelease(process: Process, address: u32): void {
  if (process.state !== PROCESS_RUNNING) return;
  const method = methodAt(changetype<Interface>(unknownInterface()), METHOD_RELEASE);
  const record = allocateRecord(0);
  // Without memory the process keeps an object too long: it alone pays.
  if (!record) return;
  record.method = method;
  record.address = address;
  record.index = METHOD_RELEASE;
  postCall(process, record);
}

/** The object's own addRef, in its process, waited for. */
function addRemoteReference(proxy: RemoteProxy): i32 {
  const method = methodAt(changetype<Interface>(unknownInterface()), METHOD_ADD_REF);
  return callRemote(proxy, method, METHOD_ADD_REF, 0);
}

/**
 * A call that the process makes with one of its own objects is over. If somebody kept the proxy, it needs a reference in the
 * process from now on; until here the caller's was enough.
 */
export function settleBorrowed(proxy: RemoteProxy): void {
  if (
    proxy.references < 2 ||
    atomicExchange(changetype<usize>(proxy) + offsetof<RemoteProxy>("owned"), 1) !== 0
  )
    return;
  if (addRemoteReference(proxy) < 0) proxy.owned = 0;
}

/** The process gives a reference to its object to the proxy, which keeps one. */
export function adoptReference(proxy: RemoteProxy): void {
  if (atomicExchange(changetype<usize>(proxy) + offsetof<RemoteProxy>("owned"), 1) !== 0) {
    queueRelease(proxy.process, proxy.address);
  }
}

/** The proxy's own process gets the object back: one reference to the proxy becomes one to the object. */
export function surrenderProxy(proxy: RemoteProxy): void {
  const process = proxy.process;
  const mutex = proxyMutex(process);
  mutex.acquire();
  const last = proxy.references === 1 && proxy.owned !== 0;
  mutex.release();
  // The only reference cannot be multiplied by anybody else but a thread of the same process that borrows at this moment; it
  // settles its own reference afterwards.
  if (last && atomicExchange(changetype<usize>(proxy) + offsetof<RemoteProxy>("owned"), 0) !== 0) {
    releaseProxy(proxy);
    return;
  }
  addRemoteReference(proxy);
  releaseProxy(proxy);
}

/** Method 0 of the vtable: the interface that the proxy has already needs no call. */
function queryProxy(proxy: RemoteProxy, iid: u32, out: usize): i32 {
  if (iid === changetype<Interface>(proxy.descriptor).iid) {
    addProxyReference(proxy);
    store<usize>(out, changetype<usize>(proxy));
    return S_OK;
  }
  const words = stackAlloc(12);
  store<usize>(words, changetype<usize>(proxy));
  store<u32>(words, iid, 4);
  store<usize>(words, out, 8);
  return remoteInvoke(proxy, METHOD_QUERY_INTERFACE, words);
}

/** What the stubs of the vtable call: `words` is the address of the caller's argument words, `this` first. */
export function remoteInvoke(proxy: RemoteProxy, index: u32, words: usize): i32 {
  const descriptor = changetype<Interface>(proxy.descriptor);
  if (index >= descriptor.methodCount) return E_NOTIMPL;
  return callRemote(proxy, methodAt(descriptor, index), index, words);
}

/** The call of a method that the proxy's interface has. A system call comes here directly. */
export function callRemote(proxy: RemoteProxy, method: Method, index: u32, words: usize): i32 {
  const object = currentThreadObject();
  let record: CallRecord;
  if (method.argumentCount === 0) {
    let own = object.spareRecord;
    if (own === 0) {
      own = changetype<usize>(allocateRecord(0));
      if (own === 0) return E_OUTOFMEMORY;
    }
    object.spareRecord = 0;
    record = changetype<CallRecord>(own);
    record.dataSize = 0;
    copyWords(record, method, words);
  } else {
    if (method.flags !== 0 && asksForInternal(method, words))
      return clearInterfaces(method, words, E_NOINTERFACE);
    const size = measureData(method, words);
    if (size > REMOTE_DATA_LIMIT) return clearInterfaces(method, words, sizeError(size));
    const free = takeRecord(object, size);
    if (free === 0) return clearInterfaces(method, words, E_OUTOFMEMORY);
    record = changetype<CallRecord>(free);
    record.dataSize = size;
    record.method = method;
    if (!marshal(record, words)) {
      keepRecord(record, object);
      return clearInterfaces(method, words, E_INVALIDARG);
    }
  }
  record.state = CALL_PENDING;
  record.caller = currentThread();
  record.address = proxy.address;
  record.index = index;
  record.method = method;
  countLive(COUNT_REMOTE_CALLS, 1);
  if (!callServer(proxy.process, record)) return clearInterfaces(method, words, E_CANCELLED);
  const result = record.result;
  if (method.argumentCount === 0) currentThreadObject().spareRecord = changetype<usize>(record);
  else {
    unmarshal(record, words);
    keepRecord(record, currentThreadObject());
  }
  return result;
}
