/**
 * The calls that wait for a server thread of a process: the most urgent caller's first, and first come first served among equals. All with interrupts
 * off; an insertion looks at one record a priority at most, whatever the number of calls.
 *
 *   process.firstCall ─ leader, priority 20 ─ next ─ … ─ last (leader.groupLast)
 *                           │ groupNext
 *                       leader, priority 16 ─ next ─ …
 */

import type { Process } from "../objects/process";
import { PRIORITY_DEFAULT } from "../threads/thread";
import type { CallRecord } from "./records";

/** Puts a record behind its equals. */
export function enqueueCall(process: Process, record: CallRecord): void {
  const caller = record.caller;
  const priority = caller ? caller.priority : PRIORITY_DEFAULT;
  let before: CallRecord | null = null;
  let at = changetype<CallRecord | null>(process.firstCall);
  while (at && at.priority > priority) {
    before = at;
    at = at.groupNext;
  }
  record.priority = priority;
  record.next = null;
  if (at && at.priority === priority) {
    at.groupLast.next = record;
    at.groupLast = record;
    return;
  }
  record.groupLast = record;
  record.groupNext = at;
  if (before) before.groupNext = record;
  else process.firstCall = changetype<usize>(record);
}

/** Takes the call that is next out; null if none waits. */
export function takeCall(process: Process): CallRecord | null {
  const record = changetype<CallRecord | null>(process.firstCall);
  if (!record) return null;
  const heir = record.next;
  if (heir) {
    heir.groupLast = record.groupLast;
    heir.groupNext = record.groupNext;
  }
  process.firstCall = changetype<usize>(heir ? heir : record.groupNext);
  return record;
}
