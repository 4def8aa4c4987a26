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
 * Here: services and their lists of doors. Gate and visits are in visits.ts, calls in door-calls.ts.
 *
 * Service.lock guards the list of doors and the step of a door's references to 0; a leaf. A door's last release never waits: while the gate is
 * closed the door stays in the list with 0 references, until `sweepDoors`.
 */

import { IServiceObject } from "../../interfaces/IServiceObject";
import { IUnknown } from "../../interfaces/IUnknown";
import { E_NOINTERFACE } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { enterCritical, leaveCritical } from "../i386/critical";
import { allocate, free } from "../memory/heap";
import { countLive, LIVE_DOORS, LIVE_SERVICES } from "../objects/live";
import type { Process } from "../objects/process";
import type { Mutex } from "../threads/mutex";
import { interfaceWithId } from "./descriptors";
import { MAX_METHODS } from "./proxies";
import { GATE_OPEN, leaveProcess } from "./visits";

declare function doorStubAddress(): usize;

/** The key of an object that is no IServiceObject: it cannot be found in another instance. */
export const NO_KEY: u32 = 0xffffffff;

const STUB_SIZE: usize = 16;
export const DOOR_BUCKETS: u32 = 32;
export const INNER_DOOR: usize = 36;

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

/** Of the list of doors. */
export function doorMutex(service: Service): Mutex {
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

/** Returns how many there are then. */
export function addDoorReference(door: Door): u32 {
  return atomicAdd(changetype<usize>(door) + offsetof<Door>("references"), 1) + 1;
}

/** Gives a reference back; how many are left. */
export function releaseDoor(door: Door): u32 {
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
