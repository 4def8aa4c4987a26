/**
 * Calls through doors (doors.ts): the visit, the call of the object behind the door, and doors in front of the service's objects that come out of
 * it. Inner doors, for the kernel's own calls of one instance, take the same way but for gate and doors.
 */

import { IServiceState } from "../../interfaces/IServiceState";
import type { IUnknown } from "../../interfaces/IUnknown";
import { E_MOVED, E_NOINTERFACE, E_NOTIMPL, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import { enterCritical, leaveCritical } from "../i386/critical";
import type { Process } from "../objects/process";
import { currentThreadObject, type ThreadObject } from "../objects/threads";
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
import { addDoorReference, type Door, doorFor, isDoor, releaseDoor, type Service } from "./doors";
import { clearInterfaces } from "./marshal";
import { isRemoteProxy, type RemoteProxy } from "./remote";
import { beginVisit, enterService, giveVisit, leaveVisit, takeVisit, type Visit } from "./visits";

declare function guardedInvoke(code: usize, words: usize, guard: usize): i32;

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
    let result = enterService(object, service, visit);
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
    leaveVisit(object);
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
  beginVisit(object, visit, door.instance!);
  leaveCritical(flags);
  const before = object.guardVtable;
  const result = callTarget(object, door.target, method, index, words, visit);
  object.guardVtable = before;
  leaveVisit(object);
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
