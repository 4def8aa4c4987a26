/**
 * Moving a service while it runs (`ISystem.place`), and starting one anew after a fault (boot option `demote=on`). The protocol that the
 * service sees is drawn in interfaces/IServiceState.ts; what its clients hold, and why they notice nothing, is told in calls/doors.ts.
 *
 *   1  a new instance is started at the other place; it registers, which makes it wait             old one serves
 *   2  the gate is closed, the old one suspended, calls under way come to their end                clients wait
 *   3  the state is copied, every door gets its object in the new instance
 *   4  commit: doors, names and the program behind the service are exchanged; no step of this fails
 *   5  the gate opens; the old instance is ended
 *
 * A failure before 4 ends the new instance, resumes the old one and opens the gate. A caller that is killed meanwhile is such a failure.
 *
 * A service in the kernel that faults is not asked for its state, which may be what made it fault: the new instance is started from the
 * beginning, in a process, and doors find their objects by the keys that are known already. Those that it does not know answer E_DISCONNECTED.
 */

import { IServiceState } from "../../interfaces/IServiceState";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { IUnknown } from "../../interfaces/IUnknown";
import {
  E_BUFFER,
  E_BUSY,
  E_DISCONNECTED,
  E_INVALIDARG,
  E_NOINTERFACE,
  E_NOTFOUND,
  E_OUTOFMEMORY,
  E_TIMEOUT,
  S_FALSE,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { type Interface, isInternal, unknownInterface } from "../calls/descriptors";
import {
  addServiceReference,
  createService,
  DOOR_BUCKETS,
  type Door,
  doorFor,
  doorInBucket,
  INNER_DOOR,
  innerDoor,
  learnKey,
  NO_KEY,
  rehashDoors,
  releaseService,
  releaseTarget,
  type Service,
  sweepDoors,
  takeTarget,
} from "../calls/doors";
import { disconnectedObject, isRemoteProxy } from "../calls/remote";
import { GATE_CLOSED, GATE_GONE, GATE_OPEN, isInside, setGate, waitForVisitors } from "../calls/visits";
import { print } from "../console";
import { launchSuccessor } from "../loader/launch";
import { allocate, free } from "../memory/heap";
import type { Mutex } from "../threads/mutex";
import { PRIORITY_DEFAULT } from "../threads/thread";
import { sleep, WAIT_CANCELLED, waitOn, wake } from "../threads/wait";
import {
  endProgram,
  kernelProcess,
  lockProcess,
  lockProcesses,
  NAME_LIMIT,
  PROCESS_ENDED,
  PROCESS_RUNNING,
  type Process,
  succeedProcess,
  unlockProcess,
  unlockProcesses,
} from "./process";
import { ownsNames, passNames, registeredService, registerName } from "./registry";
import { optionIs } from "./system";
import { copyText, textEquals, textLength } from "./texts";
import { currentThreadObject, startProcessThread } from "./threads";

/** How long a new instance may take until it registers, calls under way until they are over, an instance until it has ended; in ms. */
const START_TIMEOUT: u32 = 5000;
const DRAIN_TIMEOUT: u32 = 1000;
const END_TIMEOUT: u32 = 5000;
const REGISTER_TIMEOUT: u32 = 1000;
const STEP: u32 = 10;
/** Most bytes of state, and what is tried first. */
const STATE_LIMIT: u32 = 0x100000;
const STATE_FIRST: u32 = 0x1000;

function moveMutex(service: Service): Mutex {
  return changetype<Mutex>(changetype<usize>(service) + offsetof<Service>("moveLock"));
}

/** The state object of an instance, as an inner door in INNER_DOOR bytes at `area`. */
function stateOf(service: Service, process: Process, area: usize): IServiceState {
  return changetype<IServiceState>(
    innerDoor(area, service, process, process.serviceState, IServiceState.IID),
  );
}

/** `ISystem.registerService`. What `register` returns, E_OUTOFMEMORY; S_FALSE for the new instance of a service under way. */
export function registerService(owner: Process, name: usize, object: usize, state: usize): HRESULT {
  if (owner.isSuccessor && owner.service === 0) {
    if (keepState(owner, state)) wake(offeredWord(owner), 1);
    return S_FALSE;
  }
  const service = serviceOf(owner, state);
  if (!service) return owner.state === PROCESS_RUNNING ? E_OUTOFMEMORY : E_DISCONNECTED;
  changetype<IUnknown>(object).addRef();
  const door = doorFor(service, object, unknownInterface());
  if (!door) return E_OUTOFMEMORY;
  const result = registerName(owner, name, changetype<usize>(door));
  changetype<IUnknown>(changetype<usize>(door)).release();
  return result;
}

function offeredWord(process: Process): usize {
  return changetype<usize>(process) + offsetof<Process>("offered");
}

/** The process keeps its service's state object. False if it has one. */
function keepState(process: Process, state: usize): bool {
  lockProcess(process);
  const first = process.serviceState === 0 && process.state === PROCESS_RUNNING;
  if (first) process.serviceState = state;
  unlockProcess(process);
  if (!first) return false;
  changetype<IUnknown>(state).addRef();
  volatileStore32(offeredWord(process), 1);
  return true;
}

/** The service of a program, made when it registers for the first time. Null without memory, or if the program is ending. */
function serviceOf(owner: Process, state: usize): Service | null {
  if (owner.service !== 0) return changetype<Service>(owner.service);
  const service = createService(owner);
  if (!service) return null;
  keepState(owner, state);
  lockProcess(owner);
  const running = owner.state === PROCESS_RUNNING;
  if (running) owner.service = changetype<usize>(service);
  unlockProcess(owner);
  if (running) return service;
  releaseService(service);
  return null;
}

/** The service that a process runs, with a reference; null if it runs none. */
function referencedService(process: Process): Service | null {
  lockProcess(process);
  const service = changetype<Service | null>(process.service);
  if (service) addServiceReference(service);
  unlockProcess(process);
  return service;
}

/** The movable service of a running program of that name. */
function serviceOfProgram(name: usize): Service | null {
  let service: Service | null = null;
  for (let process = lockProcesses(); process && !service; process = process!.next) {
    if (process.state === PROCESS_RUNNING && textEquals(process.name, name))
      service = referencedService(process);
  }
  unlockProcesses();
  return service;
}

/** Does a program of that name run that has not registered anything yet? `known` (a word) tells whether any runs. */
function isStarting(name: usize, known: usize): bool {
  let starting = false;
  store<u32>(known, 0);
  for (let process = lockProcesses(); process && !starting; process = process!.next) {
    if (process.state !== PROCESS_RUNNING || !textEquals(process.name, name)) continue;
    store<u32>(known, 1);
    starting = !ownsNames(process);
  }
  unlockProcesses();
  return starting;
}

/** The service called `name`, as registered or as a program, with a reference in `out`. A program that was just started has a moment to register. */
function findService(name: usize, out: usize): HRESULT {
  const result = registeredService(name, out);
  if (load<usize>(out) !== 0 || textLength(name, NAME_LIMIT + 1) > NAME_LIMIT) return result;
  const known = stackAlloc(4);
  for (let waited: u32 = 0; waited < REGISTER_TIMEOUT; waited += STEP) {
    const service = serviceOfProgram(name);
    store<usize>(out, changetype<usize>(service));
    if (service) return S_OK;
    if (!isStarting(name, known) || sleep(STEP) === WAIT_CANCELLED) break;
  }
  return result === E_NOTFOUND && load<u32>(known) !== 0 ? E_NOINTERFACE : result;
}

/** `ISystem.place`. */
export function placeService(name: usize, place: u32): HRESULT {
  if (place !== PLACE_KERNEL && place !== PLACE_PROCESS) return E_INVALIDARG;
  const copy = copyText(name, NAME_LIMIT + 1);
  if (copy === 0) return E_OUTOFMEMORY;
  const word = stackAlloc(4);
  let result = findService(copy, word);
  const service = load<Service | null>(word);
  free(copy);
  if (!service) return result;
  result = isInside(currentThreadObject(), service) ? E_BUSY : move(service, place);
  releaseService(service);
  return result;
}

function move(service: Service, place: u32): HRESULT {
  const mutex = moveMutex(service);
  mutex.acquire();
  const old = service.process;
  let result = moveReady(service, place);
  let successor: Process | null = null;
  if (result === S_OK) {
    const word = stackAlloc(4);
    store<usize>(word, 0);
    result = startSuccessor(old, place, word);
    successor = load<Process | null>(word);
  }
  old.addRef();
  if (successor && result >= 0) {
    setGate(service, GATE_CLOSED);
    result = exchange(service, successor);
    setGate(service, GATE_OPEN);
    sweepDoors(service);
  }
  mutex.release();
  if (successor) {
    // Whichever lost goes, and all its memory with it, before this returns.
    const loser = result >= 0 ? old : successor;
    endProgram(loser, result >= 0 ? S_OK : result);
    waitForEnd(loser);
    successor.release();
  }
  old.release();
  return result;
}

/** S_OK if the service can be moved there, S_FALSE if it is there. */
function moveReady(service: Service, place: u32): HRESULT {
  if (service.gate === GATE_GONE) return E_DISCONNECTED;
  if (service.gate !== GATE_OPEN) return E_BUSY;
  return (place === PLACE_PROCESS) === (service.process.ownSpace !== 0) ? S_FALSE : S_OK;
}

/** Starts a new instance and waits until it has registered. `out` gets its process with a reference if it was started at all. */
function startSuccessor(old: Process, place: u32, out: usize): HRESULT {
  let result = launchSuccessor(old, place, out);
  if (result < 0) return result;
  const successor = load<Process>(out);
  result = E_TIMEOUT;
  for (let waited: u32 = 0; waited < START_TIMEOUT; waited += STEP) {
    if (volatileLoad32(offeredWord(successor)) !== 0) return S_OK;
    if (successor.state !== PROCESS_RUNNING) return E_DISCONNECTED;
    waitOn(offeredWord(successor), 0, STEP);
  }
  return result;
}

function waitForEnd(process: Process): void {
  const word = changetype<usize>(process) + offsetof<Process>("state");
  for (let waited: u32 = 0; waited < END_TIMEOUT; waited += STEP) {
    const state = volatileLoad32(word);
    if (state === PROCESS_ENDED) return;
    waitOn(word, state, STEP);
  }
}

/** Steps 2 to 4; the gate is closed. */
function exchange(service: Service, successor: Process): HRESULT {
  const old = service.process;
  const oldState = stateOf(service, old, stackAlloc(INNER_DOOR));
  const newState = stateOf(service, successor, stackAlloc(INNER_DOOR));
  let result = oldState.suspend();
  if (result >= 0 && waitForVisitors(old, DRAIN_TIMEOUT) !== 0) result = E_TIMEOUT;
  if (result >= 0) sweepDoors(service);
  if (result >= 0) result = copyState(oldState, newState);
  if (result >= 0) result = prepareDoors(service, successor, newState, true);
  if (result >= 0) result = newState.resume();
  if (result >= 0) result = commit(service, successor);
  if (result >= 0) return S_OK;
  dropPrepared(service, successor);
  if (old.state === PROCESS_RUNNING) oldState.resume();
  return result;
}

function copyState(from: IServiceState, to: IServiceState): HRESULT {
  const word = stackAlloc(4);
  let room = STATE_FIRST;
  while (true) {
    const bytes = allocate(room);
    if (bytes === 0) return E_OUTOFMEMORY;
    store<u32>(word, 0);
    let result = from.save(bytes, room, word);
    const length = load<u32>(word);
    if (result >= 0) result = length <= room ? to.restore(bytes, length) : E_BUFFER;
    else if (result === E_BUFFER && length > room && length <= STATE_LIMIT) result = S_FALSE;
    free(bytes);
    if (result !== S_FALSE || length <= room) return result;
    room = length;
  }
}

/**
 * Finds the counterpart of every door's object in a new instance. Of a running one (`alive`) every object must have one; behind what a
 * faulted one has left, doors without one will answer E_DISCONNECTED.
 */
function prepareDoors(service: Service, successor: Process, state: IServiceState, alive: bool): HRESULT {
  const word = stackAlloc(4);
  for (let index: u32 = 0; index < DOOR_BUCKETS; index++) {
    for (let door = doorInBucket(service, index); door; door = door!.next) {
      let result: HRESULT = door.key !== NO_KEY ? S_OK : alive ? learnKey(door) : E_NOINTERFACE;
      store<usize>(word, 0);
      if (result >= 0) result = state.object(door.key, wantedInterface(door, successor), word);
      if (result >= 0 && load<usize>(word) === 0) result = E_NOINTERFACE;
      if (result >= 0) door.prepared = load<usize>(word);
      else if (alive) return result;
      else door.prepared = disconnectedObject();
    }
  }
  return S_OK;
}

/** Of an internal interface that is not offered from there, IUnknown keeps the object alive. */
function wantedInterface(door: Door, successor: Process): u32 {
  if (successor.ownSpace && isInternal(door.descriptor)) return IUnknown.IID;
  return changetype<Interface>(door.descriptor).iid;
}

function dropPrepared(service: Service, successor: Process): void {
  for (let index: u32 = 0; index < DOOR_BUCKETS; index++) {
    for (let door = doorInBucket(service, index); door; door = door!.next) {
      const prepared = door.prepared;
      door.prepared = 0;
      if (prepared !== 0 && prepared !== disconnectedObject()) giveBack(service, successor, prepared);
    }
  }
}

/** Makes the new instance the service. E_DISCONNECTED if it is ending, and nothing has changed then. */
function commit(service: Service, successor: Process): HRESULT {
  const old = service.process;
  lockProcess(successor);
  const running = successor.state === PROCESS_RUNNING;
  if (running) successor.service = changetype<usize>(service);
  unlockProcess(successor);
  if (!running) return E_DISCONNECTED;
  lockProcess(old);
  old.service = 0;
  unlockProcess(old);
  successor.addRef();
  service.process = successor;
  for (let index: u32 = 0; index < DOOR_BUCKETS; index++) {
    for (let door = doorInBucket(service, index); door; door = door!.next) exchangeTarget(door, service, old);
  }
  rehashDoors(service);
  passNames(old, successor, service);
  succeedProcess(old, successor);
  old.release();
  return S_OK;
}

function exchangeTarget(door: Door, service: Service, old: Process): void {
  const target = door.target;
  door.target = door.prepared;
  door.prepared = 0;
  giveBack(service, old, target);
}

/** Gives an object its reference back while its code is there; the code of a program that a fault has ended is not run any more. */
function giveBack(service: Service, process: Process, target: usize): void {
  if (isRemoteProxy(target) || !process.faulted) releaseTarget(service, process, target);
}

/** A program ends: its service is gone, unless it has gone on elsewhere. Part of its reaping, while its code is still there. */
export function endService(process: Process): void {
  const service = referencedService(process);
  if (service) {
    const mutex = moveMutex(service);
    mutex.acquire();
    // It may have been moved meanwhile.
    if (process.service === changetype<usize>(service)) takeDown(service, process);
    mutex.release();
    releaseService(service);
  }
  const state = process.serviceState;
  process.serviceState = 0;
  if (state !== 0 && (process.ownSpace || !process.faulted)) changetype<IUnknown>(state).release();
}

function takeDown(service: Service, process: Process): void {
  setGate(service, GATE_GONE);
  lockProcess(process);
  process.service = 0;
  unlockProcess(process);
  const busy = process.ownSpace ? 0 : waitForVisitors(process, DRAIN_TIMEOUT);
  for (let target = takeTarget(service); target !== 0; target = takeTarget(service)) {
    if (busy === 0 || process.ownSpace) giveBack(service, process, target);
  }
  sweepDoors(service);
  releaseService(service);
}

/**
 * A fault is about to end a program in the kernel, whose code is not to be called any more: its service, if it has one, is gone. With
 * `demote=on` the gate only closes, and a thread of the kernel starts the service anew in a process.
 */
export function serviceFaulted(culprit: Process): void {
  const service = referencedService(culprit);
  if (!service) return;
  if (service.gate !== GATE_OPEN || !optionIs(text("demote"), text("on"))) {
    setGate(service, GATE_GONE);
    releaseService(service);
    return;
  }
  setGate(service, GATE_CLOSED);
  lockProcess(culprit);
  culprit.service = 0;
  unlockProcess(culprit);
  passNames(culprit, kernelProcess(), service);
  const argument = changetype<usize>(service);
  const main = functionAddress(restart);
  if (startProcessThread(kernelProcess(), main, argument, PRIORITY_DEFAULT, false, 0) < 0) abandon(service);
}

/** Thread of the kernel; the program's reference to the service is its own now, `argument` carries another. */
function restart(argument: usize): u32 {
  const service = changetype<Service>(argument);
  const old = service.process;
  const word = stackAlloc(4);
  store<usize>(word, 0);
  const mutex = moveMutex(service);
  mutex.acquire();
  old.addRef();
  let result = startSuccessor(old, PLACE_PROCESS, word);
  const successor = load<Process | null>(word);
  if (successor && result >= 0) {
    const state = stateOf(service, successor, stackAlloc(INNER_DOOR));
    result = prepareDoors(service, successor, state, false);
    if (result >= 0) result = state.resume();
    if (result >= 0) result = commit(service, successor);
    if (result < 0) dropPrepared(service, successor);
  }
  if (result >= 0) {
    passNames(kernelProcess(), successor!, service);
    print(old.name);
    print(text(": restarted in a process\n"));
    setGate(service, GATE_OPEN);
    sweepDoors(service);
    mutex.release();
    releaseService(service);
  } else {
    mutex.release();
    if (successor) endProgram(successor, result);
    abandon(service);
  }
  if (successor) successor.release();
  old.release();
  return 0;
}

/** The service could not be started anew. */
function abandon(service: Service): void {
  print(service.process.name);
  print(text(": cannot be restarted in a process\n"));
  passNames(kernelProcess(), service.process, service);
  takeDown(service, service.process);
  releaseService(service);
}
