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

import type { IUnknown } from "../../interfaces/IUnknown";
import {
  E_CANCELLED,
  E_DISCONNECTED,
  E_INVALIDARG,
  E_NOTIMPL,
  E_OUTOFMEMORY,
  E_POINTER,
  S_OK,
} from "../../interfaces/results";
import { allocate, free } from "../memory/heap";
import { COUNT_REMOTE_CALLS, countLive, LIVE_REMOTE_PROXIES } from "../objects/live";
import { PROCESS_RUNNING, type Process } from "../objects/process";
import type { Mutex } from "../threads/mutex";
import { currentThread } from "../threads/thread";
import { FOREVER, WAIT_CANCELLED, waitOn } from "../threads/wait";
import {
  ARGUMENT_IN_BYTES,
  ARGUMENT_IN_OUT,
  ARGUMENT_IN_OUT_BYTES,
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_OUT,
  ARGUMENT_OUT_BYTES,
  ARGUMENT_SIZE,
  ARGUMENT_STRING,
  type Argument,
  type Interface,
  METHOD_ADD_REF,
  METHOD_QUERY_INTERFACE,
  METHOD_RELEASE,
  type Method,
  methodAt,
  unknownInterface,
} from "./descriptors";
import { MAX_METHODS } from "./proxies";
import { answerWord, CALL_PENDING, type CallRecord, createRecord, dropRecord } from "./records";
import { queueCall } from "./server-threads";

declare function remoteStubAddress(): usize;

/** Most bytes that one call between processes carries. */
export const REMOTE_DATA_LIMIT: u32 = 0x100000;
const STUB_SIZE: usize = 16;
const BUCKETS: u32 = 64;

const vtable: usize = memory.data(256, 16);
/** Stands for objects whose program has left: every call answers E_DISCONNECTED. */
let disconnected: usize = 0;

@unmanaged
export class RemoteProxy {
  vtable: usize = 0;
  references: u32 = 0;
  /** Null for the one that stands for objects that are gone. */
  process: Process | null = null;
  /** The object's interface pointer in the process. */
  address: u32 = 0;
  descriptor: usize = 0;
  next: RemoteProxy | null = null;
  /** Does it hold a reference to the object in the process? */
  owned: u32 = 0;
}

/** Runs once, before the first call. False when memory is exhausted. */
export function prepareRemoteCalls(): bool {
  for (let method: usize = 0; method < MAX_METHODS; method++) {
    store<usize>(vtable + (method << 2), remoteStubAddress() + method * STUB_SIZE);
  }
  const proxy = changetype<RemoteProxy | null>(allocate(offsetof<RemoteProxy>()));
  if (!proxy) return false;
  proxy.vtable = vtable;
  proxy.references = 1;
  disconnected = changetype<usize>(proxy);
  return true;
}

/** The object that answers E_DISCONNECTED to everything; it lives for ever. */
export function disconnectedObject(): usize {
  return disconnected;
}

/** Is this interface pointer of the kernel's space an object of a process? */
export function isRemoteProxy(pointer: usize): bool {
  return load<usize>(pointer) === vtable && pointer !== disconnected;
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
  if (!process) return atomicAdd(word, 0xffffffff) - 1;
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
  const record = createRecord(method, 0, 1);
  // Without memory the process keeps an object too long: it alone pays.
  if (!record) return;
  record.address = address;
  record.index = METHOD_RELEASE;
  queueCall(process, record, false);
}

/** The object's own addRef, in its process, waited for. */
function addRemoteReference(process: Process, address: u32): i32 {
  const method = methodAt(changetype<Interface>(unknownInterface()), METHOD_ADD_REF);
  const record = createRecord(method, 0, 2);
  if (!record) return E_OUTOFMEMORY;
  record.address = address;
  record.index = METHOD_ADD_REF;
  const result = finishWaiting(process, record);
  dropRecord(record);
  return result;
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
  if (addRemoteReference(proxy.process!, proxy.address) < 0) proxy.owned = 0;
}

/** The process gives a reference to its object to the proxy, which keeps one. */
export function adoptReference(proxy: RemoteProxy): void {
  if (atomicExchange(changetype<usize>(proxy) + offsetof<RemoteProxy>("owned"), 1) !== 0) {
    queueRelease(proxy.process!, proxy.address);
  }
}

/** The proxy's own process gets the object back: one reference to the proxy becomes one to the object. */
export function surrenderProxy(proxy: RemoteProxy): void {
  const process = proxy.process!;
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
  addRemoteReference(process, proxy.address);
  releaseProxy(proxy);
}

/** What the stubs of the vtable call: `words` is the address of the caller's argument words, `this` first. */
export function remoteInvoke(proxy: RemoteProxy, index: u32, words: usize): i32 {
  if (index === METHOD_ADD_REF) return <i32>addProxyReference(proxy);
  if (index === METHOD_RELEASE) return <i32>releaseProxy(proxy);
  const process = proxy.process;
  if (!process) {
    if (index === METHOD_QUERY_INTERFACE) store<u32>(load<usize>(words, 8), 0);
    return E_DISCONNECTED;
  }
  const descriptor = changetype<Interface>(proxy.descriptor);
  if (index >= descriptor.methodCount) return E_NOTIMPL;
  if (index === METHOD_QUERY_INTERFACE && load<u32>(words, 4) === descriptor.iid) {
    addProxyReference(proxy);
    store<usize>(load<usize>(words, 8), changetype<usize>(proxy));
    return S_OK;
  }
  countLive(COUNT_REMOTE_CALLS, 1);
  return callRemote(process, proxy, methodAt(descriptor, index), index, words);
}

function callRemote(process: Process, proxy: RemoteProxy, method: Method, index: u32, words: usize): i32 {
  const limit = REMOTE_DATA_LIMIT + 1;
  const size = dataSize(method, words, limit);
  if (size >= limit) return clearInterfaces(method, words, size === limit ? E_POINTER : E_INVALIDARG);
  const record = createRecord(method, size, 2);
  if (!record) return clearInterfaces(method, words, E_OUTOFMEMORY);
  record.address = proxy.address;
  record.index = index;
  takeWords(record, words);
  if (!takeData(record, words)) {
    dropRecord(record);
    dropRecord(record);
    return clearInterfaces(method, words, E_INVALIDARG);
  }
  const result = finishWaiting(process, record);
  if (result === E_CANCELLED && record.state === CALL_PENDING) clearInterfaces(method, words, result);
  else unmarshal(record, words);
  dropRecord(record);
  return result;
}

/** Queues a record and waits until it is done; the caller keeps its reference. E_CANCELLED leaves it pending. */
function finishWaiting(process: Process, record: CallRecord): i32 {
  const word = answerWord(record);
  record.caller = currentThread().call;
  queueCall(process, record, true);
  while (volatileLoad32(word) === CALL_PENDING) {
    if (waitOn(word, CALL_PENDING, FOREVER) === WAIT_CANCELLED && volatileLoad32(word) === CALL_PENDING)
      break;
  }
  record.caller = 0;
  return record.state === CALL_PENDING ? E_CANCELLED : record.result;
}

function isBytes(kind: u8): bool {
  return kind - ARGUMENT_IN_BYTES <= ARGUMENT_IN_OUT_BYTES - ARGUMENT_IN_BYTES;
}

/** Bytes behind the pointer of an argument in the caller's words, but for strings. */
function sizeBehind(argument: Argument, words: usize): u32 {
  if (isBytes(argument.kind)) return load<u32>(words + ((<usize>argument.other) << 2));
  return argument.kind >= ARGUMENT_INTERFACE_IN ? 4 : argument.detail;
}

/** Bytes of data that a call carries; `limit` for a null pointer, `limit` + 1 if they are too many. */
function dataSize(method: Method, words: usize, limit: u32): u32 {
  let total: u32 = 0;
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const pointer = load<usize>(words + ((<usize>argument.word) << 2));
    let size: u32 = 0;
    if (argument.kind === ARGUMENT_STRING) {
      if (pointer === 0) return limit;
      while (size < limit && load<u8>(pointer + size) !== 0) size++;
      size++;
    } else if (argument.kind !== ARGUMENT_INTERFACE_IN) size = sizeBehind(argument, words);
    if (pointer === 0 && (size !== 0 || argument.kind === ARGUMENT_INTERFACE_IN)) return limit;
    if (size >= limit) return limit + 1;
    total = (total + size + 7) & ~7;
    if (total >= limit) return limit + 1;
  }
  return total;
}

/** Copies the argument words to a record, which takes a reference to every interface that goes in. */
function takeWords(record: CallRecord, words: usize): void {
  const method = record.method;
  memory.copy(record.words, words, (<usize>method.words) << 2);
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const slot = record.words + ((<usize>argument.word) << 2);
    if (argument.kind === ARGUMENT_INTERFACE_IN) changetype<IUnknown>(load<usize>(slot)).addRef();
    // Of an interface that comes out, the word will hold the kernel's pointer.
    else if (argument.kind > ARGUMENT_INTERFACE_IN) store<u32>(slot, 0);
  }
}

/**
 * Copies what the pointers of the caller's words point at to a record. A string may have grown since it was measured; then the
 * data no longer fits, and the answer is false.
 */
function takeData(record: CallRecord, words: usize): bool {
  const method = record.method;
  const room = record.dataSize;
  let offset: u32 = 0;
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const kind = argument.kind;
    if (kind === ARGUMENT_INTERFACE_IN) continue;
    const word = (<usize>argument.word) << 2;
    const pointer = load<usize>(words + word);
    if (kind > ARGUMENT_INTERFACE_IN) store<u32>(record.lent + (i << 2), offset);
    else store<u32>(record.words + word, offset);
    const start = record.data + offset;
    if (kind === ARGUMENT_STRING) {
      const length = copyString(start, pointer, room - offset);
      if (length === 0) return false;
      offset += length;
    } else {
      const size = sizeBehind(argument, record.words);
      if (size > room - offset) return false;
      const goesIn = kind < ARGUMENT_STRING && kind !== ARGUMENT_OUT && kind !== ARGUMENT_OUT_BYTES;
      if (goesIn) memory.copy(start, pointer, size);
      offset += size;
    }
    offset = (offset + 7) & ~7;
    if (offset > room) return false;
  }
  return true;
}

/** Copies a string and its NUL into `room` bytes; returns how many bytes that were, 0 if it does not fit. */
function copyString(target: usize, source: usize, room: u32): u32 {
  for (let length: u32 = 0; length < room; length++) {
    const byte = load<u8>(source + length);
    store<u8>(target + length, byte);
    if (byte === 0) return length + 1;
  }
  return 0;
}

/** Stores what came out of a finished call where the caller's words point. */
function unmarshal(record: CallRecord, words: usize): void {
  const method = record.method;
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const kind = argument.kind;
    const slot = record.words + ((<usize>argument.word) << 2);
    const pointer = load<usize>(words + ((<usize>argument.word) << 2));
    if (kind > ARGUMENT_INTERFACE_IN) {
      store<u32>(pointer, load<u32>(slot));
      store<u32>(slot, 0);
    } else if (
      kind === ARGUMENT_OUT ||
      kind === ARGUMENT_IN_OUT ||
      kind === ARGUMENT_OUT_BYTES ||
      kind === ARGUMENT_IN_OUT_BYTES
    ) {
      memory.copy(pointer, record.data + load<u32>(slot), sizeBehind(argument, record.words));
    }
  }
}

/** After a call that did not come to the object: the caller's interface pointers hold null. Returns `result`. */
export function clearInterfaces(method: Method, words: usize, result: i32): i32 {
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const pointer = load<usize>(words + ((<usize>argument.word) << 2));
    if (argument.kind > ARGUMENT_INTERFACE_IN && pointer !== 0) store<u32>(pointer, 0);
  }
  return result;
}
