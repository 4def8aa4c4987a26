/**
 * Doors: what clients hold of a movable service (interfaces/IServiceState.ts), in processes and in the kernel alike.
 *
 *   client ──► Door ──► target: the object itself (service in the kernel), or its RemoteProxy (in a process)
 *                └────► Service: gate, and the program whose instance is behind all its doors now
 *
 * A call through a door is a visit. Closing the gate keeps new visits out (they wait; only a call that a visit under way makes back into the
 * service comes in), and once the instance has no visitor its doors can be given targets in another. So moving a service (objects/moving.ts) never
 * touches what its clients hold. The price is a door's call in front of every call, which is why a service that is registered without its state
 * has none: collocated clients call it directly (§5.1). Interface pointers that come out of a call are made doors too. Those that a
 * service passes as arguments in calls of its own are not: they end with its instance.
 *
 * A visit is also the way out of a module that faults: the call comes back with E_DISCONNECTED. For that reason the kernel's own calls of a
 * service go through doors too, inner ones, which belong to one instance and pass by the gate.
 *
 * Service.lock guards the list of doors and the step of a door's references to 0; a leaf. `gate` and the counts of visits change with
 * interrupts off. A door's last release never waits: while the gate is closed the door stays in the list with 0 references, until `sweepDoors`.
 */

import { IServiceObject } from "../../interfaces/IServiceObject";
import { IServiceState } from "../../interfaces/IServiceState";
import { IUnknown } from "../../interfaces/IUnknown";
import {
  E_CANCELLED,
  E_DISCONNECTED,
  E_MOVED,
  E_NOINTERFACE,
  E_NOTIMPL,
  E_OUTOFMEMORY,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, leaveCritical } from "../i386/critical";
import { allocate, free } from "../memory/heap";
import { countLive, LIVE_DOORS, LIVE_SERVICES } from "../objects/live";
import type { Process } from "../objects/process";
import { currentThreadObject, type ThreadObject } from "../objects/threads";
import type { Mutex } from "../threads/mutex";
import { FOREVER, WAIT_CANCELLED, waitOn, wake } from "../threads/wait";
import {
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_INTERFACE_OUT,
  ARGUMENT_SIZE,
  type Argument,
  type Interface,
  interfaceWithId,
  isInternal,
  METHOD_ADD_REF,
  METHOD_QUERY_INTERFACE,
  METHOD_RELEASE,
  METHOD_WORDS,
  type Method,
  methodAt,
} from "./descriptors";
import { clearInterfaces } from "./marshal";
import { MAX_METHODS } from "./proxies";
import { servedFor } from "./records";
import { isRemoteProxy, type RemoteProxy } from "./remote";

declare function doorStubAddress(): usize;
declare function guardedInvoke(code: usize, words: usize, guard: usize): i32;

export const GATE_OPEN: u32 = 0;
export const GATE_CLOSED: u32 = 1;
/** Its program has ended: every call answers E_DISCONNECTED. */
export const GATE_GONE: u32 = 2;
/** The key of an object that is no IServiceObject: it cannot be found in another instance. */
export const NO_KEY: u32 = 0xffffffff;

const STUB_SIZE: usize = 16;
export const DOOR_BUCKETS: u32 = 32;
export const INNER_DOOR: usize = 36;
const VISIT_POOL: u32 = 16;

const vtable: usize = memory.data(256, 16);

/** A movable service under way. */
@unmanaged
export class Service {
  /** Its program's, one of each door, and of whoever is at work with it. */
  references: u32 = 0;
  gate: u32 = 0;
  /** How often the gate has been closed. */
  closings: u32 = 0;
  lock: u32 = 0;
  /** Held while it is moved, restarted or taken down; comes before all other locks. */
  moveLock: u32 = 0;
  /** The program that its calls go to; one reference. */
  process: Process = changetype<Process>(0);
  /** Heads of the lists of doors, by target. */
  buckets: usize = 0;
}

@unmanaged
export class Door {
  vtable: usize = 0;
  references: u32 = 0;
  service: Service = changetype<Service>(0);
  /** The object in the present instance, with one reference; 0 once the service is gone. */
  target: usize = 0;
  descriptor: usize = 0;
  /** IServiceObject.key, as far as it is known. */
  key: u32 = 0;
  /** The object in the instance to come. */
  prepared: usize = 0;
  next: Door | null = null;
  /** Of an inner door: the instance whose `target` it stands for. */
  instance: Process | null = null;
}

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

/** Runs once, before the first call. */
export function prepareDoors(): void {
  for (let method: usize = 0; method < MAX_METHODS; method++) {
    store<usize>(vtable + (method << 2), doorStubAddress() + method * STUB_SIZE);
  }
}

export function isDoor(pointer: usize): bool {
  return load<usize>(pointer) === vtable;
}

/** Is this pointer a door to an object of `process`? */
export function isDoorOf(pointer: usize, process: Process): bool {
  return isDoor(pointer) && changetype<Door>(pointer).service.process === process;
}

/** A service whose first instance is `process`, with a reference for the caller; null when memory is exhausted. */
export function createService(process: Process): Service | null {
  const service = changetype<Service | null>(allocate(offsetof<Service>()));
  if (!service) return null;
  service.buckets = allocate(DOOR_BUCKETS << 2);
  if (service.buckets === 0) {
    free(changetype<usize>(service));
    return null;
  }
  process.addRef();
  service.process = process;
  service.references = 1;
  countLive(LIVE_SERVICES, 1);
  return service;
}

export function addServiceReference(service: Service): void {
  atomicAdd(changetype<usize>(service) + offsetof<Service>("references"), 1);
}

export function releaseService(service: Service): void {
  if (atomicAdd(changetype<usize>(service) + offsetof<Service>("references"), 0xffffffff) !== 1) return;
  service.process.release();
  free(service.buckets);
  free(changetype<usize>(service));
  countLive(LIVE_SERVICES, -1);
}

function doorMutex(service: Service): Mutex {
  return changetype<Mutex>(changetype<usize>(service) + offsetof<Service>("lock"));
}

function bucketOf(service: Service, target: usize): usize {
  return service.buckets + (((<u32>(target >> 4) * 0x9e3779b1) >> 27) << 2);
}

/** The door to an object, with a reference for the caller. Takes over the reference to the object, also when it fails (null: out of memory). */
export function doorFor(service: Service, target: usize, descriptor: usize): Door | null {
  const mutex = doorMutex(service);
  mutex.acquire();
  const bucket = bucketOf(service, target);
  let door = load<Door | null>(bucket);
  while (door && (door.target !== target || door.descriptor !== descriptor)) door = door.next;
  const found = door !== null;
  if (door) atomicAdd(changetype<usize>(door) + offsetof<Door>("references"), 1);
  else {
    door = changetype<Door | null>(allocate(offsetof<Door>()));
    if (door) {
      door.vtable = vtable;
      door.references = 1;
      door.service = service;
      door.target = target;
      door.descriptor = descriptor;
      door.key = NO_KEY;
      door.next = load<Door | null>(bucket);
      store<usize>(bucket, changetype<usize>(door));
      addServiceReference(service);
      countLive(LIVE_DOORS, 1);
    }
  }
  mutex.release();
  if (found || !door) releaseTarget(service, service.process, target);
  // A module that faults cannot be asked any more.
  else if (!service.process.ownSpace) learnKey(door);
  return door;
}

/** Makes, in INNER_DOOR bytes at `area`, an inner door to interface `iid` of an object; it holds no reference. */
export function innerDoor(area: usize, service: Service, process: Process, target: usize, iid: u32): usize {
  memory.fill(area, 0, INNER_DOOR);
  const door = changetype<Door>(area);
  door.vtable = vtable;
  door.service = service;
  door.instance = process;
  door.target = target;
  door.descriptor = interfaceWithId(iid);
  return area;
}

/** Gives an object of an instance its reference back. */
export function releaseTarget(service: Service, process: Process, target: usize): void {
  const door = innerDoor(stackAlloc(INNER_DOOR), service, process, target, IUnknown.IID);
  changetype<IUnknown>(door).release();
}

/** Asks the object behind a door for its key. */
export function learnKey(door: Door): HRESULT {
  const word = stackAlloc(4);
  const area = stackAlloc(INNER_DOOR);
  const service = door.service;
  store<usize>(word, 0);
  const asked = innerDoor(area, service, service.process, door.target, IUnknown.IID);
  let result = changetype<IUnknown>(asked).queryInterface(IServiceObject.IID, word);
  const target = load<usize>(word);
  if (result < 0 || target === 0) return result < 0 ? result : E_NOINTERFACE;
  const object = innerDoor(area, service, service.process, target, IServiceObject.IID);
  result = changetype<IServiceObject>(object).key(word);
  changetype<IServiceObject>(object).release();
  if (result >= 0) door.key = load<u32>(word);
  return result;
}

/** First of the doors in bucket `index`, of DOOR_BUCKETS. */
export function doorInBucket(service: Service, index: u32): Door | null {
  return load<Door | null>(service.buckets + (index << 2));
}

/** Sorts the doors anew after their targets have changed; nobody else is at work with them. */
export function rehashDoors(service: Service): void {
  let all: Door | null = null;
  for (let index: u32 = 0; index < DOOR_BUCKETS; index++) {
    let door = doorInBucket(service, index);
    store<usize>(service.buckets + (index << 2), 0);
    while (door) {
      const next = door.next;
      door.next = all;
      all = door;
      door = next;
    }
  }
  while (all) {
    const door: Door = all;
    all = door.next;
    const bucket = bucketOf(service, door.target);
    door.next = load<Door | null>(bucket);
    store<usize>(bucket, changetype<usize>(door));
  }
}

/** The list is locked. A door without target stands in the bucket of the target it had, so all are looked through. */
function unlinkDoor(service: Service, door: Door): void {
  for (let index: u32 = 0; index < DOOR_BUCKETS; index++) {
    let before: Door | null = null;
    for (let other = doorInBucket(service, index); other; other = other!.next) {
      if (other === door) {
        if (before) before.next = door.next;
        else store<usize>(service.buckets + (index << 2), changetype<usize>(door.next));
        return;
      }
      before = other;
    }
  }
}

function freeDoor(door: Door): void {
  const service = door.service;
  free(changetype<usize>(door));
  countLive(LIVE_DOORS, -1);
  releaseService(service);
}

function addDoorReference(door: Door): u32 {
  return atomicAdd(changetype<usize>(door) + offsetof<Door>("references"), 1) + 1;
}

function releaseDoor(door: Door): u32 {
  const word = changetype<usize>(door) + offsetof<Door>("references");
  while (true) {
    const count = volatileLoad32(word);
    if (count === 1) break;
    if (atomicCompareExchange(word, count, count - 1) === count) return count - 1;
  }
  const service = door.service;
  const mutex = doorMutex(service);
  mutex.acquire();
  const left = atomicAdd(word, 0xffffffff) - 1;
  let target: usize = 0;
  let over = false;
  const process = service.process;
  if (left === 0) {
    const flags = enterCritical();
    // Behind a closed gate the target is about to change, behind a gate that is gone somebody else gives it back.
    over = service.gate === GATE_OPEN || door.target === 0;
    if (over && door.target !== 0) process.callsInside++;
    leaveCritical(flags);
    if (over) {
      target = door.target;
      unlinkDoor(service, door);
    }
  }
  mutex.release();
  if (!over) return left;
  if (target !== 0) {
    releaseTarget(service, process, target);
    leaveProcess(process);
  }
  freeDoor(door);
  return 0;
}

/** Ends the doors that nobody holds any more: after the gate has opened, or once the service is gone. */
export function sweepDoors(service: Service): void {
  const mutex = doorMutex(service);
  while (true) {
    let dead: Door | null = null;
    mutex.acquire();
    for (let index: u32 = 0; index < DOOR_BUCKETS && !dead; index++) {
      dead = doorInBucket(service, index);
      while (dead && dead.references !== 0) dead = dead.next;
    }
    if (dead) unlinkDoor(service, dead);
    mutex.release();
    if (!dead) return;
    if (dead.target !== 0) releaseTarget(service, service.process, dead.target);
    freeDoor(dead);
  }
}

/** Takes one target away from the doors of a service that is gone; 0 when none is left. */
export function takeTarget(service: Service): usize {
  const mutex = doorMutex(service);
  let target: usize = 0;
  mutex.acquire();
  for (let index: u32 = 0; index < DOOR_BUCKETS && target === 0; index++) {
    for (let door = doorInBucket(service, index); door && target === 0; door = door!.next) {
      target = door.target;
      door.target = 0;
    }
  }
  mutex.release();
  return target;
}

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

function leaveProcess(process: Process): void {
  if (atomicAdd(insideWord(process), 0xffffffff) === 1) wake(insideWord(process), 0xffffffff);
}

function takeVisit(): Visit | null {
  const flags = enterCritical();
  const visit = pool;
  if (visit) {
    pool = visit.next;
    pooled--;
  }
  leaveCritical(flags);
  return visit ? visit : changetype<Visit | null>(allocate(offsetof<Visit>()));
}

function giveVisit(visit: Visit): void {
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
function begin(object: ThreadObject, visit: Visit, process: Process): void {
  process.callsInside++;
  visit.process = process;
  visit.next = changetype<Visit | null>(object.visits);
  object.visits = changetype<usize>(visit);
}

/** Comes in, waiting while the gate is closed. E_DISCONNECTED, E_CANCELLED. */
function enter(object: ThreadObject, service: Service, visit: Visit): HRESULT {
  visit.service = service;
  while (true) {
    const flags = enterCritical();
    const gate = service.gate;
    const open = gate === GATE_OPEN || (gate === GATE_CLOSED && isInside(object, service));
    if (open) begin(object, visit, service.process);
    leaveCritical(flags);
    if (open) return S_OK;
    if (gate === GATE_GONE) return E_DISCONNECTED;
    if (waitOn(gateWord(service), GATE_CLOSED, FOREVER) === WAIT_CANCELLED) return E_CANCELLED;
  }
}

/** The innermost visit is over; `process` may be gone afterwards. */
function leave(object: ThreadObject): void {
  const visit = changetype<Visit>(object.visits);
  object.visits = changetype<usize>(visit.next);
  const process = visit.process;
  giveVisit(visit);
  leaveProcess(process);
}

/** Ends the visits of a thread that comes to its end, or those within the visit `until`. */
export function leaveVisits(object: ThreadObject, until: usize): void {
  while (object.visits !== until && object.visits !== 0) leave(object);
}

/** The innermost visit of a thread to an instance, 0 if there is none. */
export function visitTo(object: ThreadObject, process: Process): usize {
  let visit = changetype<Visit | null>(object.visits);
  while (visit && visit.process !== process) visit = visit.next;
  return changetype<usize>(visit);
}

/** What the stubs of the vtable call: `words` is the address of the caller's argument words, `this` first. */
export function doorInvoke(door: Door, index: u32, words: usize): i32 {
  if (door.instance) return innerInvoke(door, index, words);
  if (index === METHOD_ADD_REF) return <i32>addDoorReference(door);
  if (index === METHOD_RELEASE) return <i32>releaseDoor(door);
  const descriptor = changetype<Interface>(door.descriptor);
  if (index >= descriptor.methodCount) return E_NOTIMPL;
  const method = methodAt(descriptor, index);
  if (index === METHOD_QUERY_INTERFACE && load<u32>(words, 4) === descriptor.iid) {
    addDoorReference(door);
    store<usize>(load<usize>(words, 8), changetype<usize>(door));
    return S_OK;
  }
  const service = door.service;
  const object = currentThreadObject();
  while (true) {
    const visit = takeVisit();
    if (!visit) return clearInterfaces(method, words, E_OUTOFMEMORY);
    const closings = service.closings;
    let result = enter(object, service, visit);
    if (result < 0) {
      giveVisit(visit);
      return clearInterfaces(method, words, result);
    }
    const before = object.guardVtable;
    result = isApart(descriptor, visit.process, index)
      ? clearInterfaces(method, words, E_NOINTERFACE)
      : callTarget(object, door.target, method, index, words, visit);
    object.guardVtable = before;
    if (method.flags !== 0) result = makeDoors(service, visit.process, method, words, result);
    leave(object);
    // Only a service that is on the move may send its callers away.
    if (result !== E_MOVED || service.closings === closings) return result;
  }
}

/** Is it a call of an internal interface, while the service is elsewhere? The door's target is the object's IUnknown then. */
function isApart(descriptor: Interface, process: Process, index: u32): bool {
  return isInternal(changetype<usize>(descriptor)) && process.ownSpace !== 0 && index > METHOD_RELEASE;
}

/** A call through an inner door. */
function innerInvoke(door: Door, index: u32, words: usize): i32 {
  const method = methodAt(changetype<Interface>(door.descriptor), index);
  const visit = takeVisit();
  if (!visit) return clearInterfaces(method, words, E_OUTOFMEMORY);
  const object = currentThreadObject();
  visit.service = door.service;
  const flags = enterCritical();
  begin(object, visit, door.instance!);
  leaveCritical(flags);
  const before = object.guardVtable;
  const result = callTarget(object, door.target, method, index, words, visit);
  object.guardVtable = before;
  leave(object);
  return result;
}

/** Calls the object with a copy of the words; nothing may lie below the copy. */
function callTarget(
  object: ThreadObject,
  target: usize,
  method: Method,
  index: u32,
  words: usize,
  visit: Visit,
): i32 {
  const code = load<usize>(load<usize>(target) + (index << 2));
  object.guardVtable = load<usize>(target);
  const copy = stackAlloc(METHOD_WORDS << 2);
  memory.copy(copy, words, (<usize>method.words) << 2);
  store<usize>(copy, target);
  if (method.flags !== 0) openDoors(visit.service, method, copy);
  return guardedInvoke(code, copy, changetype<usize>(visit));
}

/** The service's own objects come back to it as themselves. */
function openDoors(service: Service, method: Method, words: usize): void {
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    if (argument.kind !== ARGUMENT_INTERFACE_IN) continue;
    const slot = words + ((<usize>argument.word) << 2);
    const pointer = load<usize>(slot);
    if (pointer === 0 || !isDoor(pointer) || changetype<Door>(pointer).service !== service) continue;
    store<usize>(slot, changetype<Door>(pointer).target);
  }
}

/** Puts doors in front of the service's objects that came out of a call. Its state is for objects/moving.ts alone, which uses inner doors. */
function makeDoors(service: Service, process: Process, method: Method, words: usize, result: i32): i32 {
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    if (argument.kind <= ARGUMENT_INTERFACE_IN) continue;
    const pointer = load<usize>(words + ((<usize>argument.word) << 2));
    if (result < 0) {
      if (pointer !== 0) store<usize>(pointer, 0);
      continue;
    }
    const object = load<usize>(pointer);
    if (object === 0 || !isObjectOf(process, object)) continue;
    const descriptor: usize =
      argument.kind === ARGUMENT_INTERFACE_OUT
        ? argument.detail
        : interfaceWithId(load<u32>(words + ((<usize>argument.other) << 2)));
    const offered = descriptor !== 0 && changetype<Interface>(descriptor).iid !== IServiceState.IID;
    if (!offered) changetype<IUnknown>(object).release();
    const door: Door | null = offered ? doorFor(service, object, descriptor) : null;
    store<usize>(pointer, changetype<usize>(door));
    if (!door) result = offered ? E_OUTOFMEMORY : E_NOINTERFACE;
  }
  return result;
}

function isObjectOf(process: Process, pointer: usize): bool {
  if (process.ownSpace) return isRemoteProxy(pointer) && changetype<RemoteProxy>(pointer).process === process;
  return load<usize>(pointer) - process.imageStart < process.imageEnd - process.imageStart;
}
