/**
 * The objects that random calls are made on: one of every interface at least, or there is a row that says why not. All methods of an object
 * are called but those that a row beside it leaves out. `gatherObjects` fails if that is not so.
 */

import { IAlarm } from "../../interfaces/IAlarm";
import { IConsole } from "../../interfaces/IConsole";
import { IDriver } from "../../interfaces/IDriver";
import { IEcho } from "../../interfaces/IEcho";
import { IEchoCallback } from "../../interfaces/IEchoCallback";
import { IFaults } from "../../interfaces/IFaults";
import { IFile } from "../../interfaces/IFile";
import { IFileContents } from "../../interfaces/IFileContents";
import { IFileSystem } from "../../interfaces/IFileSystem";
import { IInternal } from "../../interfaces/IInternal";
import { ILibraries } from "../../interfaces/ILibraries";
import { ILibrary } from "../../interfaces/ILibrary";
import { ILog } from "../../interfaces/ILog";
import { IMemory } from "../../interfaces/IMemory";
import { IProcess } from "../../interfaces/IProcess";
import { ISerial } from "../../interfaces/ISerial";
import { IServiceObject } from "../../interfaces/IServiceObject";
import { IServiceState } from "../../interfaces/IServiceState";
import { ISharedMemory } from "../../interfaces/ISharedMemory";
import { ISystem, PLACE_PROCESS } from "../../interfaces/ISystem";
import { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { ITimer } from "../../interfaces/ITimer";
import { IUnknown } from "../../interfaces/IUnknown";
import { S_OK } from "../../interfaces/results";
import { loadLibrary } from "../../lib/rt/libraries";
import { memoryObject, serve, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import {
  iidOf,
  interfaceAt,
  interfaceCount,
  interfaceWithId,
  methodCalled,
  methodCountOf,
  methodOf,
  wordsOf,
} from "./table";

/** Threads that make calls. */
export const MOST_CALLERS: u32 = 2;
const MOST_OBJECTS: u32 = 48;
/** Stack words of a method that main.ts can call. */
const MOST_WORDS: u32 = 8;
/** Bytes of shared memory to map. */
const SHARED: u32 = 0x3000;
/** A handle that this program never has. */
const FREE_HANDLE: usize = 0x3f001000 + 7000 * 8;

/** Of each object: pointer, entry of its interface; masks (64 bits) of methods left out and of methods whose values are kept small. */
const pointers: usize = memory.data(192, 16);
const entries: usize = memory.data(192, 16);
const leftOut: usize = memory.data(384, 16);
const brief: usize = memory.data(384, 16);
/** By number of an interface in the table: it is accounted for. */
const seen: usize = memory.data(256, 16);
/** Where calls put what they find. */
const found: usize = memory.data(4, 16);

/** How many were gathered. Behind them each caller has places of its own for objects that have come out of its calls. */
let count: u32 = 0;
let complete: bool = true;

/** Places of one caller. */
function ownPlaces(): u32 {
  return (MOST_OBJECTS - count) / MOST_CALLERS;
}

/** An object that this caller may call, by a random number. Nobody else gives it back meanwhile. */
export function chooseObject(caller: u32, choice: u32): u32 {
  const index = (choice >> 3) % (count + ownPlaces());
  return index < count ? index : index + caller * ownPlaces();
}

/** Pointer to pass in a call, the other caller's objects too. */
export function anyObject(choice: u32): usize {
  return objectPointer((choice >> 3) % MOST_OBJECTS);
}

export function objectPointer(index: u32): usize {
  return load<usize>(pointers + index * 4);
}

export function objectInterface(index: u32): usize {
  return load<usize>(entries + index * 4);
}

export function isLeftOut(index: u32, method: u32): bool {
  return ((load<u64>(leftOut + index * 8) >> method) & 1) !== 0;
}

export function isBrief(index: u32, method: u32): bool {
  return ((load<u64>(brief + index * 8) >> method) & 1) !== 0;
}

/** Adds the object that a call with this result stored at `found`. Its reference is given back by nobody, so release is left out. */
function add(iid: u32, result: i32): void {
  const entry = interfaceWithId(iid);
  if (result !== S_OK || count === MOST_OBJECTS || entry === 0) {
    complete = false;
    return;
  }
  store<usize>(pointers + count * 4, load<usize>(found));
  store<usize>(entries + count * 4, entry);
  count++;
  noteInterface(iid);
  for (let index: u32 = 0; index < methodCountOf(entry); index++)
    if (wordsOf(methodOf(entry, index)) > MOST_WORDS) complete = false;
  without(text("release"), text("the object is to last"));
}

function noteInterface(iid: u32): void {
  for (let index: u32 = 0; index < interfaceCount(); index++)
    if (iidOf(interfaceAt(index)) === iid) store<u8>(seen + index, 1);
}

/** There is no object of an interface. */
function none(iid: u32, _reason: usize): void {
  noteInterface(iid);
}

function mark(masks: usize, method: usize): void {
  const entry = objectInterface(count - 1);
  const index = methodCalled(entry, method);
  if (index === methodCountOf(entry)) complete = false;
  const at = masks + (count - 1) * 8;
  store<u64>(at, load<u64>(at) | ((<u64>1) << index));
}

/** A method of the newest object is not called. */
function without(method: usize, _reason: usize): void {
  mark(leftOut, method);
}

/** A method of the newest object waits for as long as its values say. */
function waits(method: usize): void {
  mark(brief, method);
}

function newest(): usize {
  return objectPointer(count - 1);
}

function ask(object: usize, iid: u32): i32 {
  return changetype<IUnknown>(object).queryInterface(iid, found);
}

function gatherSystem(): void {
  const system = changetype<usize>(systemObject());
  add(ISystem.IID, ask(system, ISystem.IID));
  without(text("markPhase"), text("ends what the host measures"));
  without(text("powerOff"), text("ends the run"));
  without(text("kill"), text("may end this program, which may do that to itself"));
  waits(text("sleep"));
  add(IFaults.IID, ask(system, IFaults.IID));
  add(IDriver.IID, ask(system, IDriver.IID));
  add(ILibraries.IID, ask(system, ILibraries.IID));
  add(ILibrary.IID, loadLibrary(text("digest"), found));
  add(IMemory.IID, ask(system, IMemory.IID));
  add(ISharedMemory.IID, memoryObject().share(SHARED, found));
}

function startIn(threads: IThreads, entry: usize): i32 {
  return threads.create(<u32>entry, 0, PRIORITY_DEFAULT, found);
}

/** A thread that stays, one that has ended, an alarm; a program of this program's that ends at once. */
function gatherThreads(): void {
  add(IThreads.IID, ask(changetype<usize>(systemObject()), IThreads.IID));
  const threads = changetype<IThreads>(newest());
  add(IAlarm.IID, threads.alarm(found));
  add(IThread.IID, startIn(threads, functionAddress(stayHere)));
  without(text("join"), text("waits for a thread that does not end"));
  add(IThread.IID, startIn(threads, functionAddress(endAtOnce)));
  changetype<IThread>(newest()).join(found);
  add(IProcess.IID, systemObject().run(text("fuzzcalls"), text("0 0"), PLACE_PROCESS, found));
}

function stayHere(_argument: usize): u32 {
  serve();
  return 0;
}

function endAtOnce(_argument: usize): u32 {
  return 0;
}

function bind(name: usize, iid: u32): void {
  add(iid, systemObject().bind(name, iid, found));
}

function gatherServices(): void {
  bind(text("files"), IFileSystem.IID);
  const files = newest();
  add(IFile.IID, changetype<IFileSystem>(files).open(text("etc/system"), found));
  add(IServiceObject.IID, ask(files, IServiceObject.IID));
  bind(text("boot.archive"), IFile.IID);
  bind(text("fuzz.moving"), IEchoCallback.IID);
  bind(text("timer"), ITimer.IID);
  waits(text("wait"));
  bind(text("kernel.log"), ILog.IID);
  without(text("write"), text("would be found in the epitaph, if there is one"));
  bind(text("console"), IConsole.IID);
  without(text("write"), text("is read on the console of the run"));
  without(text("readLine"), text("takes what others read, and waits for it"));
  without(text("waitInterrupt"), text("waits for a key"));
  bind(text("serial"), ISerial.IID);
  without(text("write"), text("is read on the console of the run"));
  without(text("read"), text("takes what others read, and waits for it"));
  without(text("cancelRead"), text("ends a read of the console's"));
}

/** The same server in a process and in the kernel. */
function gatherServers(): void {
  bind(text("fuzz.echo"), IEcho.IID);
  without(text("quit"), text("ends the server for all later calls"));
  waits(text("slow"));
  bind(text("fuzz.kernel"), IEcho.IID);
  without(text("quit"), text("ends the server for all later calls"));
  without(text("leave"), text("ends the calling thread, whose call runs there"));
  waits(text("slow"));
}

/** A caller's call has given an object out, with a reference: it takes one of the caller's places, whose object goes. `choice` is random. */
export function adopt(caller: u32, pointer: usize, iid: u32, choice: u32): void {
  let first: u32 = 0;
  while (first < count && iidOf(objectInterface(first)) !== iid) first++;
  if (first === count) return;
  const at = count + caller * ownPlaces() + ((choice >> 3) % ownPlaces());
  const before = objectPointer(at);
  let without: u64 = 0;
  for (let index = first; index < count; index++)
    if (iidOf(objectInterface(index)) === iid) without |= load<u64>(leftOut + index * 8);
  store<u64>(leftOut + at * 8, without);
  store<u64>(brief + at * 8, load<u64>(brief + first * 8));
  store<usize>(entries + at * 4, objectInterface(first));
  store<usize>(pointers + at * 4, pointer);
  if (before !== 0) changetype<IUnknown>(before).release();
}

/** False if an object is missing, or an interface or method forgotten. */
export function gatherObjects(): bool {
  gatherSystem();
  gatherThreads();
  gatherServices();
  gatherServers();
  store<usize>(found, FREE_HANDLE);
  add(IUnknown.IID, S_OK);
  none(IServiceState.IID, text("only the kernel gets one"));
  none(IFileContents.IID, text("a process is not offered one"));
  none(IInternal.IID, text("base of those two"));
  for (let index: u32 = 0; index < interfaceCount(); index++)
    if (load<u8>(seen + index) === 0) complete = false;
  return complete;
}
