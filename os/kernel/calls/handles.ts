/**
 * The handles of a process: which kernel-space interface pointer each of its proxies stands for.
 *
 *   table   +0 HandleTable   +32 addresses of up to 128 chunks
 *   chunk   64 entries of 32 bytes; never moves, so an entry's address stays good while the table lives
 *   entry   { object, descriptor, count, busy, next, index, revoked, – }
 *
 * `count` is what the process holds; `busy` is how many calls through the entry are under way, or borrow its object as
 * an argument. An entry owns one reference to its object and gives it back when both are 0. An entry with count 0 is dead to
 * the process.
 *
 * count and busy change with interrupts off, because a thread may be preempted anywhere and another of the same process may
 * release the handle. The table's lock guards everything else (free list, hash chains, `object` of an entry that closes);
 * it is a leaf: nothing is acquired, and no object called, while it is held.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import { enterCritical, leaveCritical } from "../i386/critical";
import { allocate, free } from "../memory/heap";
import { countLive, LIVE_HANDLES } from "../objects/live";
import type { Mutex } from "../threads/mutex";
import { MAX_HANDLES } from "./proxies";

@unmanaged
export class Handle {
  object: usize = 0;
  descriptor: usize = 0;
  count: u32 = 0;
  busy: u32 = 0;
  /** Hash chain, or free list: index + 1; 0 ends it. */
  next: u32 = 0;
  index: u32 = 0;
  /** Its object's program left the kernel; `object` now answers E_DISCONNECTED. */
  revoked: u32 = 0;
  unused: u32 = 0;
}

@unmanaged
export class HandleTable {
  lock: u32 = 0;
  /** Entries that are not free. */
  live: u32 = 0;
  firstFree: u32 = 0;
  /** Entries that were ever used. */
  used: u32 = 0;
  /** `bucketCount` 16-bit indices + 1. */
  buckets: usize = 0;
  bucketCount: u32 = 0;
  unused0: u32 = 0;
  unused1: u32 = 0;
}

const CHUNKS: usize = 32;
const CHUNK_ENTRIES: u32 = 64;
const CHUNK_COUNT: u32 = MAX_HANDLES / CHUNK_ENTRIES;
const ENTRY_SIZE: usize = 32;
const FIRST_BUCKETS: u32 = 64;

function acquire(table: HandleTable): void {
  changetype<Mutex>(changetype<usize>(table)).acquire();
}

function release(table: HandleTable): void {
  changetype<Mutex>(changetype<usize>(table)).release();
}

export function createHandleTable(): HandleTable | null {
  const table = changetype<HandleTable | null>(allocate(CHUNKS + CHUNK_COUNT * 4));
  if (!table) return null;
  table.buckets = allocate(FIRST_BUCKETS * 2);
  if (table.buckets === 0) {
    free(changetype<usize>(table));
    return null;
  }
  table.bucketCount = FIRST_BUCKETS;
  return table;
}

/** Address of the chunk that an index below MAX_HANDLES falls in, 0 if there is none. */
export function chunkOf(table: HandleTable, index: u32): usize {
  return load<usize>(changetype<usize>(table) + ((index / CHUNK_ENTRIES) << 2), CHUNKS);
}

export function handleIn(chunk: usize, index: u32): Handle {
  return changetype<Handle>(chunk + (index % CHUNK_ENTRIES) * ENTRY_SIZE);
}

/** The entry with this index, null if there never was one. */
export function handleAt(table: HandleTable, index: u32): Handle | null {
  if (index >= MAX_HANDLES) return null;
  const chunk = chunkOf(table, index);
  return chunk === 0 ? null : handleIn(chunk, index);
}

/** Keeps the entry's object alive until `unpinHandle`; null if the process has no such handle. */
export function pinHandle(table: HandleTable, index: u32): Handle | null {
  const handle = handleAt(table, index);
  if (!handle) return null;
  disableInterrupts();
  if (handle.count === 0) {
    enableInterrupts();
    return null;
  }
  handle.busy++;
  enableInterrupts();
  return handle;
}

export function unpinHandle(table: HandleTable, handle: Handle): void {
  disableInterrupts();
  handle.busy--;
  const unused = (handle.busy | handle.count) === 0;
  enableInterrupts();
  if (unused) closeHandle(table, handle);
}

/** The process takes one more reference; the new count, 0 for a dead handle. */
export function addHandleReference(handle: Handle): u32 {
  const flags = enterCritical();
  if (handle.count !== 0) handle.count++;
  const count = handle.count;
  leaveCritical(flags);
  return count;
}

/** The process gives one reference back; the new count, or -1 for a dead handle. */
export function releaseHandle(table: HandleTable, handle: Handle): i32 {
  const flags = enterCritical();
  if (handle.count === 0) {
    leaveCritical(flags);
    return -1;
  }
  const count = --handle.count;
  const unused = (count | handle.busy) === 0;
  leaveCritical(flags);
  if (unused) closeHandle(table, handle);
  return <i32>count;
}

function bucketOf(table: HandleTable, object: usize, descriptor: usize): usize {
  const hash = (<u32>(object >> 4) ^ <u32>descriptor) * 0x9e3779b1;
  return table.buckets + ((hash >> 16) & (table.bucketCount - 1)) * 2;
}

/**
 * The handle for an interface pointer: the one that the process has, with one reference more, or a new one. Takes over the
 * caller's reference to the object, also when it fails (null: out of memory, or MAX_HANDLES in use).
 */
export function insertHandle(table: HandleTable, object: usize, descriptor: usize): Handle | null {
  acquire(table);
  let handle = searchHandle(table, object, descriptor);
  if (handle) {
    // May revive an entry that only calls under way still keep.
    const flags = enterCritical();
    handle.count++;
    leaveCritical(flags);
    release(table);
    changetype<IUnknown>(object).release();
    return handle;
  }
  handle = takeEntry(table);
  if (handle) {
    const bucket = bucketOf(table, object, descriptor);
    handle.object = object;
    handle.descriptor = descriptor;
    handle.revoked = 0;
    handle.next = load<u16>(bucket);
    store<u16>(bucket, <u16>(handle.index + 1));
    handle.count = 1;
    table.live++;
  }
  release(table);
  if (handle) countLive(LIVE_HANDLES, 1);
  else changetype<IUnknown>(object).release();
  return handle;
}

function searchHandle(table: HandleTable, object: usize, descriptor: usize): Handle | null {
  let index: u32 = load<u16>(bucketOf(table, object, descriptor));
  while (index !== 0) {
    const handle = handleAt(table, index - 1)!;
    if (handle.object === object && handle.descriptor === descriptor) return handle;
    index = handle.next;
  }
  return null;
}

/** A free entry; the table is locked. */
function takeEntry(table: HandleTable): Handle | null {
  if (table.firstFree !== 0) {
    const handle = handleAt(table, table.firstFree - 1)!;
    table.firstFree = handle.next;
    return handle;
  }
  const index = table.used;
  if (index === MAX_HANDLES) return null;
  if (index % CHUNK_ENTRIES === 0) {
    const chunk = allocate(CHUNK_ENTRIES * ENTRY_SIZE);
    if (chunk === 0) return null;
    store<usize>(changetype<usize>(table) + ((index / CHUNK_ENTRIES) << 2), chunk, CHUNKS);
  }
  table.used++;
  const handle = handleAt(table, index)!;
  handle.index = index;
  if (table.live > table.bucketCount) growBuckets(table);
  return handle;
}

/** Doubles the hash table. Without memory the chains get longer instead. */
function growBuckets(table: HandleTable): void {
  const buckets = allocate(table.bucketCount * 4);
  if (buckets === 0) return;
  free(table.buckets);
  table.buckets = buckets;
  table.bucketCount *= 2;
  for (let index: u32 = 0; index < table.used; index++) {
    const handle = handleAt(table, index)!;
    if (handle.object === 0) continue;
    const bucket = bucketOf(table, handle.object, handle.descriptor);
    handle.next = load<u16>(bucket);
    store<u16>(bucket, <u16>(index + 1));
  }
}

/** Frees an entry that nobody uses, unless it was revived meanwhile, and gives its object's reference back. */
export function closeHandle(table: HandleTable, handle: Handle): void {
  acquire(table);
  if (handle.object === 0 || (handle.count | handle.busy) !== 0) {
    release(table);
    return;
  }
  unlinkHandle(table, handle);
  const object = handle.object;
  handle.object = 0;
  handle.next = table.firstFree;
  table.firstFree = handle.index + 1;
  table.live--;
  release(table);
  countLive(LIVE_HANDLES, -1);
  changetype<IUnknown>(object).release();
}

function unlinkHandle(table: HandleTable, handle: Handle): void {
  const bucket = bucketOf(table, handle.object, handle.descriptor);
  const wanted = handle.index + 1;
  let index: u32 = load<u16>(bucket);
  if (index === wanted) {
    store<u16>(bucket, <u16>handle.next);
    return;
  }
  while (index !== 0) {
    const before = handleAt(table, index - 1)!;
    index = before.next;
    if (index === wanted) before.next = handle.next;
  }
}

/** Gives back all that the process holds; no thread of it runs any more. */
export function destroyHandleTable(table: HandleTable): void {
  for (let index: u32 = 0; index < table.used; index++) {
    const handle = handleAt(table, index)!;
    if (handle.object === 0) continue;
    handle.count = 0;
    handle.busy = 0;
    closeHandle(table, handle);
  }
  for (let chunk: u32 = 0; chunk < CHUNK_COUNT; chunk++) {
    const address = load<usize>(changetype<usize>(table) + (chunk << 2), CHUNKS);
    if (address !== 0) free(address);
  }
  free(table.buckets);
  free(changetype<usize>(table));
}

/**
 * Takes from the process one object whose vtable lies in [start, end), code that is about to leave the kernel: calls of its
 * handle go to `substitute` from now on. Returns the object with the handle's reference, 0 if there is none (left). `from` is a
 * word, the index to search on from.
 */
export function revokeHandle(
  table: HandleTable,
  start: usize,
  end: usize,
  substitute: usize,
  from: usize,
): usize {
  let found: usize = 0;
  acquire(table);
  for (let index = load<u32>(from); index < table.used && found === 0; index++) {
    store<u32>(from, index + 1);
    const handle = handleAt(table, index)!;
    if (handle.object === 0 || handle.revoked) continue;
    const vtable = load<usize>(handle.object);
    if (vtable < start || vtable >= end) continue;
    unlinkHandle(table, handle);
    found = handle.object;
    handle.object = substitute;
    handle.revoked = 1;
    const bucket = bucketOf(table, substitute, handle.descriptor);
    handle.next = load<u16>(bucket);
    store<u16>(bucket, <u16>(index + 1));
  }
  release(table);
  return found;
}

/** How many calls are under way through revoked handles. */
export function revokedCalls(table: HandleTable): u32 {
  let busy: u32 = 0;
  acquire(table);
  for (let index: u32 = 0; index < table.used; index++) {
    const handle = handleAt(table, index)!;
    if (handle.object !== 0 && handle.revoked) busy += handle.busy;
  }
  release(table);
  return busy;
}
