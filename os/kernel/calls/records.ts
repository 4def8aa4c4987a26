/**
 * Call records: a call on an object of a process, marshalled.
 *
 *   +0   CallRecord                         64 bytes
 *   +64  words[wordCount]                   `this` and the arguments; of a pointer, the offset of its data; of an interface, the kernel's pointer
 *        lent[argumentCount]                handle + 1 under which the server was lent an interface that goes in; data offset
 *                                           of the word for one that comes out
 *        data, 8-byte aligned               what pointers point at, both ways
 *
 * Two sides hold a record, the caller and the server; the last to drop it frees it with the references in it. So a caller that
 * is cancelled just leaves.
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import { enterCritical, leaveCritical } from "../i386/critical";
import { allocate, free } from "../memory/heap";
import { countLive, LIVE_CALL_RECORDS } from "../objects/live";
import type { ThreadObject } from "../objects/threads";
import { wake } from "../threads/wait";
import { ARGUMENT_INTERFACE_IN, ARGUMENT_SIZE, type Argument, type Method } from "./descriptors";

export const CALL_PENDING: u32 = 0;
export const CALL_DONE: u32 = 1;

@unmanaged
export class CallRecord {
  next: CallRecord | null = null;
  state: u32 = 0;
  result: i32 = 0;
  references: u32 = 0;
  /** User address of the object's interface pointer, and the method's number. */
  address: u32 = 0;
  index: u32 = 0;
  method: Method = changetype<Method>(0);
  dataSize: u32 = 0;
  /** Kernel addresses of the parts. */
  words: usize = 0;
  lent: usize = 0;
  data: usize = 0;
  /** The region in the server's space that holds the data while it is too large for the stack; 0 for none. */
  region: u32 = 0;
  /** Came from the pool of small records. */
  pooled: u32 = 0;
  /** The thread that waits for the answer; 0 for none. Changes with interrupts off or by that thread alone. */
  caller: usize = 0;
}

const HEADER: usize = 64;
/** Records up to this size are kept for reuse. */
const SMALL: usize = 384;
const POOL_LIMIT: u32 = 16;

let pool: CallRecord | null = null;
let poolCount: u32 = 0;

/** A record with zeroed words and data, held by `references` sides. Null when memory is exhausted. */
export function createRecord(method: Method, dataSize: u32, references: u32): CallRecord | null {
  const lent = HEADER + ((<usize>method.words) << 2);
  const data = (lent + ((<usize>method.argumentCount) << 2) + 7) & ~7;
  const size = data + dataSize;
  const record = size <= SMALL ? takeSmall() : changetype<CallRecord | null>(allocate(size));
  if (!record) return null;
  record.method = method;
  record.dataSize = dataSize;
  record.references = references;
  record.words = changetype<usize>(record) + HEADER;
  record.lent = changetype<usize>(record) + lent;
  record.data = changetype<usize>(record) + data;
  countLive(LIVE_CALL_RECORDS, 1);
  return record;
}

function takeSmall(): CallRecord | null {
  const flags = enterCritical();
  const record = pool;
  if (record) {
    pool = record.next;
    poolCount--;
  }
  leaveCritical(flags);
  if (record) {
    memory.fill(changetype<usize>(record), 0, SMALL);
    record.pooled = 1;
    return record;
  }
  const fresh = changetype<CallRecord | null>(allocate(SMALL));
  if (fresh) fresh.pooled = 1;
  return fresh;
}

/** One side is through with the record. */
export function dropRecord(record: CallRecord): void {
  if (atomicAdd(changetype<usize>(record) + offsetof<CallRecord>("references"), 0xffffffff) !== 1) return;
  const method = record.method;
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    if (argument.kind < ARGUMENT_INTERFACE_IN) continue;
    const pointer = load<usize>(record.words + ((<usize>argument.word) << 2));
    if (pointer !== 0) changetype<IUnknown>(pointer).release();
  }
  countLive(LIVE_CALL_RECORDS, -1);
  if (record.pooled) {
    const flags = enterCritical();
    const keep = poolCount < POOL_LIMIT;
    if (keep) {
      record.next = pool;
      pool = record;
      poolCount++;
    }
    leaveCritical(flags);
    if (keep) return;
  }
  free(changetype<usize>(record));
}

/** The thread that waits for what a server thread does now, or null. Interrupts are off, for as long as the answer is used. */
export function servedFor(object: ThreadObject): ThreadObject | null {
  const record = changetype<CallRecord | null>(object.record);
  return record ? changetype<ThreadObject | null>(record.caller) : null;
}

/** Address of the word on which a record's caller waits. */
export function answerWord(record: CallRecord): usize {
  return changetype<usize>(record) + offsetof<CallRecord>("state");
}

/**
 * The server's side: stores the result and drops the record. The caller goes on once the word returned is woken; the record may be gone by
 * then, and waking the word just does nothing.
 */
export function answerCall(record: CallRecord, result: i32): usize {
  const word = answerWord(record);
  record.result = result;
  volatileStore32(word, CALL_DONE);
  dropRecord(record);
  return word;
}

export function completeCall(record: CallRecord, result: i32): void {
  wake(answerCall(record, result), 1);
}
