/**
 * Calls of the kernel, or of the server "suite.echo" in it, with addresses behind which there is nothing, for cases about the scratch page
 * (§5.1.1). Such a call ends the program; one that comes back returns a number that says which step went wrong.
 */

import { IEcho } from "../../interfaces/IEcho";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { ISharedMemory } from "../../interfaces/ISharedMemory";
import { ISystem, PLACE_PROCESS } from "../../interfaces/ISystem";
import { IThreads } from "../../interfaces/IThreads";
import { E_FAIL, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";

const PAGE: u32 = 4096;
const BOTH: u32 = PROTECT_READ | PROTECT_WRITE;
const PATIENCE: u32 = 2000;
/** Nothing is mapped from here on. */
const NOWHERE: usize = 0x20000000;
/** Many more pages than the kernel keeps scratch mappings. */
const LARGE: u32 = 256 * PAGE;
const MUCH: u32 = 0x30000000;
const FULL: usize = text("abuse.full");

let server: IEcho = changetype<IEcho>(0);

/** Runs the abuse `name`; E_FAIL if there is none. */
export function scratchAbuse(name: usize): i32 {
  if (stringEquals(name, text("pass-null"))) return systemObject().self(0);
  if (stringEquals(name, text("pass-straddling"))) return passStraddling();
  if (stringEquals(name, text("pass-endless-string"))) return passEndlessString();
  if (stringEquals(name, text("pass-large-buffer"))) return fillNowhere();
  if (stringEquals(name, text("pass-read-only-buffer"))) return fillReadOnly();
  if (stringEquals(name, text("scratch-of-another"))) return lookAtAnothers();
  if (stringEquals(name, text("pass-without-memory"))) return passWithoutMemory();
  if (stringEquals(name, text("touch-through-kernel"))) return touchThroughKernel();
  if (stringEquals(name, text("hold-memory"))) return holdMemory();
  return E_FAIL;
}

function reserve(size: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  return memoryObject().map(word, size, BOTH) === S_OK ? load<u32>(word) : 0;
}

/** A structure whose second half lies on a guard page. */
function passStraddling(): i32 {
  const region = reserve(2 * PAGE);
  if (region === 0 || memoryObject().protect(<u32>region + PAGE, PAGE, 0) !== S_OK) return 1;
  return systemObject().memoryInfo(region + PAGE - 16) === S_OK ? 2 : 3;
}

/** A string that runs into a guard page. */
function passEndlessString(): i32 {
  const region = reserve(2 * PAGE);
  if (region === 0 || memoryObject().protect(<u32>region + PAGE, PAGE, 0) !== S_OK) return 1;
  memory.fill(region, 97, PAGE);
  const word = stackAlloc(4);
  if (!bindServer()) return 2;
  return server.length(region + PAGE - 8, word) === S_OK ? 3 : 4;
}

function bindServer(): bool {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(text("suite.echo"), IEcho.IID, PATIENCE, word) !== S_OK) return false;
  server = changetype<IEcho>(load<usize>(word));
  return true;
}

function fillNowhere(): i32 {
  if (!bindServer()) return 1;
  return server.fill(1, NOWHERE, LARGE) === S_OK ? 2 : 3;
}

/** Maps the memory that the suite shares. */
function shared(protection: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(text("suite.shared"), ISharedMemory.IID, PATIENCE, word) !== S_OK) return 0;
  const object = changetype<ISharedMemory>(load<usize>(word));
  store<u32>(word, 0);
  return memoryObject().mapShared(object, word, protection) === S_OK ? load<u32>(word) : 0;
}

function fillReadOnly(): i32 {
  const region = shared(PROTECT_READ);
  if (region === 0 || !bindServer()) return 1;
  return server.fill(1, region, 2 * PAGE) === S_OK ? 2 : 3;
}

function fillLong(_argument: usize): u32 {
  server.fill(1, NOWHERE, LARGE);
  return 0;
}

/** While another thread fills memory that is not there, asks for the sum of the same page. */
function lookAtAnothers(): i32 {
  const region = shared(BOTH);
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (region === 0 || !bindServer()) return 1;
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return 2;
  const threads = changetype<IThreads>(load<usize>(word));
  if (threads.create(<u32>functionAddress(fillLong), 0, PRIORITY_DEFAULT - 1, word) !== S_OK) return 3;
  sleep(3);
  return server.sum(NOWHERE, PAGE, region) === S_OK ? 4 : 5;
}

/** Good memory that nobody has touched yet, when there is no frame for it any more. */
function passWithoutMemory(): i32 {
  const region = reserve(2 * PAGE);
  const rest = reserve(MUCH);
  if (region === 0 || rest === 0) return 1;
  if (memoryObject().commit(<u32>rest, MUCH) !== E_OUTOFMEMORY) return 2;
  return systemObject().memoryInfo(region + 4) === S_OK ? 3 : 4;
}

/** Takes all memory for a while. */
function holdMemory(): i32 {
  const region = reserve(MUCH);
  if (region === 0 || memoryObject().commit(<u32>region, MUCH) !== E_OUTOFMEMORY) return 1;
  const result = systemObject().register(FULL, systemObject());
  sleep(300);
  return result;
}

/** The same from a program in the kernel, whose call is not one that could raise anything when it returns. */
function touchThroughKernel(): i32 {
  const word = stackAlloc(4);
  const region = reserve(2 * PAGE);
  store<u32>(word, 0);
  if (region === 0) return 1;
  if (systemObject().run(text("abuse"), text("hold-memory"), PLACE_PROCESS, word) !== S_OK) return 2;
  changetype<IProcess>(load<usize>(word)).release();
  if (bindWaiting(FULL, ISystem.IID, PATIENCE, word) !== S_OK) return 3;
  changetype<ISystem>(load<usize>(word)).release();
  systemObject().memoryInfo(region + 4);
  for (let round: u32 = 0; round < 1000000000; round++) volatileStore32(word, round);
  return 4;
}
