/**
 * Out arguments of calls that point to where the program may not write (§5.1.1): what is there stays as it is, for everybody; the program gets
 * the fault, with the address, when the call has returned; and afterwards it sees its own memory again, not the scratch page. It handles the
 * fault and goes on, to look. Each returns 0, or the number of what went wrong.
 */

import { IEcho } from "../../interfaces/IEcho";
import { FAULT_RESUME, type FaultFrame } from "../../interfaces/IFaults";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { ISystem, type MemoryInfo, PLACE_PROCESS } from "../../interfaces/ISystem";
import { E_FAIL, S_OK } from "../../interfaces/results";
import { handleFaults } from "../../lib/rt/faults";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { frameOf, untouchedPage } from "./memory";

const PAGE: u32 = 4096;
const PATIENCE: u32 = 2000;
const MARK: u32 = 0x5eed5eed;
/** Bytes of a structure in front of the border between two pages. */
const BEFORE: u32 = 8;
/** The page of the image's data that only these use. */
const SHARED_PAGE: u32 = 3;

let faults: u32 = 0;
let faultAddress: u32 = 0;

/** Runs the abuse `name`; E_FAIL if there is none. */
export function outArgumentAbuse(name: usize): i32 {
  if (stringEquals(name, text("out-into-shared-data"))) return outIntoSharedData();
  if (stringEquals(name, text("look-at-shared-data"))) return lookAtSharedData();
  if (handleFaults(functionAddress(goOn)) !== S_OK) return 1;
  if (stringEquals(name, text("out-into-code"))) return outIntoCode();
  if (stringEquals(name, text("out-into-read-only"))) return outIntoReadOnly();
  if (stringEquals(name, text("out-straddling"))) return outStraddling();
  if (stringEquals(name, text("out-interface"))) return outInterface();
  if (stringEquals(name, text("out-of-server"))) return outOfServer();
  return E_FAIL;
}

/** The call is over, and cannot be made good: behind it. */
function goOn(frame: usize): u32 {
  faults++;
  faultAddress = changetype<FaultFrame>(frame).address;
  return FAULT_RESUME;
}

/** Was the last of so many faults at this address? */
function met(count: u32, address: usize): bool {
  return faults === count && faultAddress === <u32>address;
}

/** A region of two pages full of marks; the second is not for writing, and the first only if `first` says so. */
function marked(first: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (memoryObject().map(word, 2 * PAGE, PROTECT_READ | PROTECT_WRITE) !== S_OK) return 0;
  const region: usize = load<u32>(word);
  for (let offset: u32 = 0; offset < 2 * PAGE; offset += 4) store<u32>(region + offset, MARK);
  if (memoryObject().protect(<u32>region + PAGE, PAGE, PROTECT_READ) !== S_OK) return 0;
  return first === PROTECT_READ && memoryObject().protect(<u32>region, PAGE, first) !== S_OK ? 0 : region;
}

/** Are all words of [from, to) marks? */
function isMarked(from: usize, to: usize): bool {
  for (let at = from; at < to; at += 4) if (volatileLoad32(at) !== MARK) return false;
  return true;
}

/** The code of the very handler that runs next. */
function outIntoCode(): i32 {
  // What the address is the compiler does not know.
  const word = stackAlloc(4);
  volatileStore32(word, <u32>functionAddress(goOn));
  const target = volatileLoad32(word) & ~3;
  const size = <u32>offsetof<MemoryInfo>();
  const before = stackAlloc(size);
  memory.copy(before, target, size);
  const frame = frameOf(target);
  if (systemObject().memoryInfo(target) !== S_OK) return 2;
  if (!met(1, target)) return 3;
  for (let offset: u32 = 0; offset < size; offset += 4)
    if (volatileLoad32(target + offset) !== load<u32>(before + offset)) return 4;
  return frameOf(target) === frame ? 0 : 5;
}

function outIntoReadOnly(): i32 {
  const region = marked(PROTECT_READ);
  if (region === 0) return 2;
  if (systemObject().memoryInfo(region + 16) !== S_OK) return 3;
  if (!met(1, region + 16)) return 4;
  return isMarked(region, region + 2 * PAGE) ? 0 : 5;
}

/** What may be written is. */
function outStraddling(): i32 {
  const region = marked(PROTECT_WRITE);
  if (region === 0) return 2;
  const border = region + PAGE;
  if (systemObject().memoryInfo(border - BEFORE) !== S_OK) return 3;
  if (!met(1, border)) return 4;
  if (!isMarked(region, border - BEFORE) || !isMarked(border, border + PAGE)) return 5;
  return changetype<MemoryInfo>(border - BEFORE).total !== MARK ? 0 : 6;
}

/** Interface pointers are stored by the kernel itself. */
function outInterface(): i32 {
  const region = marked(PROTECT_READ);
  if (region === 0) return 2;
  if (systemObject().queryInterface(ISystem.IID, region) !== S_OK) return 3;
  if (!met(1, region)) return 4;
  return isMarked(region, region + 2 * PAGE) ? 0 : 5;
}

/** From a server that is in a process or in the kernel: a buffer of three kinds of pages, from the one that it may fill to none at all. */
function outOfServer(): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(text("suite.echo"), IEcho.IID, PATIENCE, word) !== S_OK) return 2;
  const server = changetype<IEcho>(load<usize>(word));
  const region = marked(PROTECT_WRITE);
  if (region === 0) return 3;
  if (server.fill(1, region + BEFORE, 2 * PAGE) !== S_OK) return 4;
  if (!met(1, region + PAGE)) return 5;
  if (!isMarked(region, region + BEFORE) || !isMarked(region + PAGE, region + 2 * PAGE)) return 6;
  if (load<u8>(region + BEFORE) !== 1 || load<u8>(region + PAGE - 1) !== <u8>(PAGE - BEFORE)) return 7;
  if (server.add(2, 3, region + PAGE) !== S_OK || !met(2, region + PAGE)) return 8;
  if (volatileLoad32(region + PAGE) !== MARK) return 9;
  server.release();
  return 0;
}

/** A page of data that two processes share until one has the kernel write to it: that one gets its own, the other one keeps what was there. */
function outIntoSharedData(): i32 {
  const page = untouchedPage(SHARED_PAGE);
  if (volatileLoad32(page) !== 0) return 1;
  const shared = frameOf(page);
  if (lookFromAnother() !== <i32>(shared >> 12)) return 2;
  if (systemObject().memoryInfo(page) !== S_OK || changetype<MemoryInfo>(page).total === 0) return 3;
  if (frameOf(page) === shared) return 4;
  return lookFromAnother() === <i32>(shared >> 12) ? 0 : 5;
}

/** Number of the frame that another process finds there; less than 0 if that is not all zeros. */
function lookFromAnother(): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(text("abuse"), text("look-at-shared-data"), PLACE_PROCESS, word);
  if (result !== S_OK) return -1;
  const process = changetype<IProcess>(load<usize>(word));
  process.wait(word);
  process.release();
  return load<i32>(word);
}

function lookAtSharedData(): i32 {
  const page = untouchedPage(SHARED_PAGE);
  for (let offset: u32 = 0; offset < PAGE; offset += 4) if (volatileLoad32(page + offset) !== 0) return -2;
  return <i32>(frameOf(page) >> 12);
}
