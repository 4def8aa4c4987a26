/**
 * The gate of a movable service, and visits: calls through its doors (doors.ts) that are under way. A closed gate keeps new visits out, but for
 * those that a visit under way makes back into the service.
 *
 * A visit is also the way out of a module that faults: the call comes back with E_DISCONNECTED. For that reason the kernel's own calls of a
 * service go through doors too, inner ones, which belong to one instance and pass by the gate.
 *
 * `gate` and the counts of visits change with interrupts off, `gate` with Service.lock held too.
 */

import { E_CANCELLED, E_DISCONNECTED, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, leaveCritical } from "../i386/critical";
import { allocate, free } from "../memory/heap";
import type { Process } from "../objects/process";
import type { ThreadObject } from "../objects/threads";
import { FOREVER, WAIT_CANCELLED, waitOn, wake } from "../threads/wait";
import { doorMutex, type Service } from "./doors";
import { servedFor } from "./records";

export const GATE_OPEN: u32 = 0;
export const GATE_CLOSED: u32 = 1;
/** Its program has ended: every call answers E_DISCONNECTED. */
export const GATE_GONE: u32 = 2;
const VISIT_POOL: u32 = 16;

/** One call through a door. The guard is drawn in i386/remote-stubs.asm.ts. */
@unmanaged
export class Visit {
  guard: usize = 0;
  guardReturn: usize = 0;
  guardStack: usize = 0;
  guardBase: usize = 0;
  guardSource: usize = 0;
  guardDestination: usize = 0;
  /** The visit around this one. */
  next: Visit | null = null;
  service: Service = changetype<Service>(0);
  /** The instance that is visited. */
  process: Process = changetype<Process>(0);
}

let pool: Visit | null = null;
let pooled: u32 = 0;

function gateWord(service: Service): usize {
  return changetype<usize>(service) + offsetof<Service>("gate");
}

/** Sets the gate unless the service is gone; opening or ending lets all that wait look again. */
export function setGate(service: Service, gate: u32): void {
  const mutex = doorMutex(service);
  mutex.acquire();
  const flags = enterCritical();
  if (service.gate !== GATE_GONE) {
    if (gate === GATE_CLOSED) service.closings++;
    volatileStore32(gateWord(service), gate);
  }
  leaveCritical(flags);
  mutex.release();
  if (gate !== GATE_CLOSED) wake(gateWord(service), 0xffffffff);
}

function insideWord(process: Process): usize {
  return changetype<usize>(process) + offsetof<Process>("callsInside");
}

/** Waits until no call is inside an instance, for `milliseconds` at most; how many still are. Cancelling ends the wait. */
export function waitForVisitors(process: Process, milliseconds: u32): u32 {
  const step: u32 = 10;
  for (let waited: u32 = 0; waited < milliseconds; waited += step) {
    const inside = volatileLoad32(insideWord(process));
    if (inside === 0) return 0;
    if (waitOn(insideWord(process), inside, step) === WAIT_CANCELLED) break;
  }
  return volatileLoad32(insideWord(process));
}

/** A call that was inside an instance is over. */
export function leaveProcess(process: Process): void {
  if (atomicAdd(insideWord(process), 0xffffffff) === 1) wake(insideWord(process), 0xffffffff);
}

/** Null when memory is exhausted. */
export function takeVisit(): Visit | null {
  const flags = enterCritical();
  const visit = pool;
  if (visit) {
    pool = visit.next;
    pooled--;
  }
  leaveCritical(flags);
  return visit ? visit : changetype<Visit | null>(allocate(offsetof<Visit>()));
}

export function giveVisit(visit: Visit): void {
  visit.guardStack = 0;
  const flags = enterCritical();
  const keep = pooled < VISIT_POOL;
  if (keep) {
    visit.next = pool;
    pool = visit;
    pooled++;
  }
  leaveCritical(flags);
  if (!keep) free(changetype<usize>(visit));
}

/** Is a thread, or one of those that wait for what it does, inside the service? */
export function isInside(object: ThreadObject, service: Service): bool {
  const flags = enterCritical();
  let found = false;
  for (let at: ThreadObject | null = object; at && !found; at = servedFor(at)) {
    let visit = changetype<Visit | null>(at.visits);
    while (visit && visit.service !== service) visit = visit.next;
    found = visit !== null;
  }
  leaveCritical(flags);
  return found;
}

/** The visit has begun; interrupts are off. */
export function beginVisit(object: ThreadObject, visit: Visit, process: Process): void {
  process.callsInside++;
  visit.process = process;
  visit.next = changetype<Visit | null>(object.visits);
  object.visits = changetype<usize>(visit);
}

/** Comes in, waiting while the gate is closed. E_DISCONNECTED, E_CANCELLED. */
export function enterService(object: ThreadObject, service: Service, visit: Visit): HRESULT {
  visit.service = service;
  while (true) {
    const flags = enterCritical();
    const gate = service.gate;
    const open = gate === GATE_OPEN || (gate === GATE_CLOSED && isInside(object, service));
    if (open) beginVisit(object, visit, service.process);
    leaveCritical(flags);
    if (open) return S_OK;
    if (gate === GATE_GONE) return E_DISCONNECTED;
    if (waitOn(gateWord(service), GATE_CLOSED, FOREVER) === WAIT_CANCELLED) return E_CANCELLED;
  }
}

/** The innermost visit is over; `process` may be gone afterwards. */
export function leaveVisit(object: ThreadObject): void {
  const visit = changetype<Visit>(object.visits);
  object.visits = changetype<usize>(visit.next);
  const process = visit.process;
  giveVisit(visit);
  leaveProcess(process);
}

/** Ends the visits of a thread that comes to its end, or those within the visit `until`. */
export function leaveVisits(object: ThreadObject, until: usize): void {
  while (object.visits !== until && object.visits !== 0) leaveVisit(object);
}

/** The innermost visit of a thread to an instance, 0 if there is none. */
export function visitTo(object: ThreadObject, process: Process): usize {
  let visit = changetype<Visit | null>(object.visits);
  while (visit && visit.process !== process) visit = visit.next;
  return changetype<usize>(visit);
}
