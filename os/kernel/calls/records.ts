/**
 * Call records: a call on an object of a process, marshalled.
 *
 *   +0    CallRecord
 *   +64   words[METHOD_WORDS]   `this` and the arguments; of a pointer, the offset of its data; of an interface, the kernel's pointer
 *   +192  lent[METHOD_WORDS]    by stack word: handle + 1 under which the server was lent an interface that goes in; offset in
 *                               the data of the word for one that comes out
 *   +320  data                  what pointers point at, both ways
 *
 * Only what the method's descriptor speaks of is ever written or read; nothing is zeroed first.
 *
 * A record belongs to its caller until it is delivered, to the port or server that has it while it is PENDING, and to its caller again
 * when it is DONE. A caller that is cancelled meanwhile leaves it to the server: `caller` is null then, as it is in calls that nobody
 * waits for, and the server frees it. `state` and `caller` change with interrupts off.
 *
 * A thread waits for one call at a time, so it keeps one small record for its next one.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import { allocate, free } from "../memory/heap";
import { countLive, LIVE_CALL_RECORDS } from "../objects/live";
import type { ThreadObject } from "../objects/threads";
import type { Thread } from "../threads/thread";
import {
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_SIZE,
  type Argument,
  METHOD_CARRIES_INTERFACES,
  METHOD_WORDS,
  type Method,
} from "./descriptors";

export const CALL_PENDING: u32 = 0;
export const CALL_DONE: u32 = 1;
/** The caller has gone; a server that has not begun the call need not begin it. */
export const CALL_ABANDONED: u32 = 2;

@unmanaged
export class CallRecord {
  next: CallRecord | null = null;
  state: u32 = 0;
  result: i32 = 0;
  /** The thread that waits for the answer. */
  caller: Thread | null = null;
  /** User address of the object's interface pointer, and the method's number. */
  address: u32 = 0;
  index: u32 = 0;
  method: Method = changetype<Method>(0);
  dataSize: u32 = 0;
  /** The region in the server's space that holds the data while it is too large for the stack; 0 for none. */
  region: u32 = 0;
  // Its place among the calls that wait (call-queue.ts).
  priority: u32 = 0;
  groupNext: CallRecord | null = null;
  groupLast: CallRecord = changetype<CallRecord>(0);
}

const WORDS: usize = 64;
const LENT: usize = WORDS + METHOD_WORDS * 4;
const DATA: usize = LENT + METHOD_WORDS * 4;
/** Data for which the record that a thread keeps has room. */
const SMALL_DATA: u32 = 192;

export function wordsOf(record: CallRecord): usize {
  return changetype<usize>(record) + WORDS;
}

export function lentOf(record: CallRecord): usize {
  return changetype<usize>(record) + LENT;
}

export function dataOf(record: CallRecord): usize {
  return changetype<usize>(record) + DATA;
}

/** A record with room for that many bytes, for a call by the thread of `caller`: its own, if that is free. Its address, 0 when memory is exhausted. */
export function takeRecord(caller: ThreadObject, dataSize: u32): usize {
  const spare = caller.spareRecord;
  if (spare === 0 || dataSize > SMALL_DATA) return changetype<usize>(allocateRecord(dataSize));
  caller.spareRecord = 0;
  return spare;
}

/** A zeroed record: one that nobody waits for. Null when memory is exhausted. */
export function allocateRecord(dataSize: u32): CallRecord | null {
  const record = changetype<CallRecord | null>(
    allocate(DATA + (dataSize > SMALL_DATA ? dataSize : SMALL_DATA)),
  );
  if (record) countLive(LIVE_CALL_RECORDS, 1);
  return record;
}

/** The end of a record that was answered to its caller: the thread of `keeper`. */
export function keepRecord(record: CallRecord, keeper: ThreadObject): void {
  const method = record.method;
  if (method.flags & METHOD_CARRIES_INTERFACES) dropInterfaces(record, method);
  if (record.dataSize <= SMALL_DATA && keeper.spareRecord === 0)
    keeper.spareRecord = changetype<usize>(record);
  else freeRecord(changetype<usize>(record));
}

/** The end of a record that nobody waits for. */
export function dropRecord(record: CallRecord): void {
  const method = record.method;
  if (method.flags & METHOD_CARRIES_INTERFACES) dropInterfaces(record, method);
  freeRecord(changetype<usize>(record));
}

/** Frees what a thread has kept. */
export function freeRecord(record: usize): void {
  free(record);
  countLive(LIVE_CALL_RECORDS, -1);
}

function dropInterfaces(record: CallRecord, method: Method): void {
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    if (argument.kind < ARGUMENT_INTERFACE_IN) continue;
    const pointer = load<usize>(wordsOf(record) + ((<usize>argument.word) << 2));
    if (pointer !== 0) changetype<IUnknown>(pointer).release();
  }
}

/** The thread that waits for what a server thread does now, or null. Interrupts are off, for as long as the answer is used. */
export function servedFor(object: ThreadObject): ThreadObject | null {
  const record = changetype<CallRecord | null>(object.record);
  const caller = record ? record.caller : null;
  return caller ? changetype<ThreadObject | null>(caller.call) : null;
}
