/** Faults that the program handles itself, in a process and in the kernel alike. Each returns 0 when all went as it should. */

import { FAULT_DECLINE, FAULT_RESUME, type FaultFrame } from "../../interfaces/IFaults";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { S_OK } from "../../interfaces/results";
import { attempt, handleFaults, unwindTo } from "../../lib/rt/faults";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";

const PAGE: u32 = 4096;
const PAGE_FAULT: u32 = 14;
const ESCAPED: u32 = 77;
const NOT_MINE: i32 = -1;

let guard: u32 = 0;
let handled: u32 = 0;
let seenVector: u32 = 0;
let seenAddress: u32 = 0;
const context: usize = memory.data(24, 16); // CONTEXT_SIZE

/** A page to which no access is allowed. */
function makeGuard(): bool {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (memoryObject().map(word, PAGE, 0) !== S_OK) return false;
  guard = load<u32>(word);
  return true;
}

function note(frame: usize): void {
  handled++;
  seenVector = changetype<FaultFrame>(frame).vector;
  seenAddress = changetype<FaultFrame>(frame).address;
}

function repair(frame: usize): u32 {
  note(frame);
  memoryObject().protect(guard, PAGE, PROTECT_READ | PROTECT_WRITE);
  return FAULT_RESUME;
}

function getAway(frame: usize): u32 {
  note(frame);
  unwindTo(changetype<FaultFrame>(frame), context, ESCAPED);
  return FAULT_RESUME;
}

function decline(frame: usize): u32 {
  note(frame);
  return FAULT_DECLINE;
}

function stumble(_frame: usize): u32 {
  unreachable();
  return FAULT_RESUME;
}

/** The instruction runs again and goes through, and every register is as it was. */
function repairs(): i32 {
  if (!makeGuard() || handleFaults(functionAddress(repair)) !== S_OK) return 1;
  let sum: u32 = 1;
  for (let offset: u32 = 0; offset < 64; offset += 4) {
    store<u32>(guard + 100 + offset, offset);
    sum += load<u32>(guard + 100 + offset);
  }
  if (sum !== 1 + 480) return 2;
  if (handled !== 1) return 3;
  if (seenVector !== PAGE_FAULT || seenAddress !== guard + 100) return 4;
  // Once it is taken away it is gone; and what was repaired stays.
  return handleFaults(0) === S_OK && memoryObject().unmap(guard) === S_OK ? 0 : 5;
}

function fallDeep(depth: u32): u32 {
  const area = stackAlloc(64);
  store<u32>(area, depth);
  if (depth === 0) return load<u32>(guard);
  return fallDeep(depth - 1) + load<u32>(area);
}

/** Three times from deep inside back to here. */
function unwinds(): i32 {
  if (!makeGuard() || handleFaults(functionAddress(getAway)) !== S_OK) return 1;
  for (let times: u32 = 1; times <= 3; times++) {
    if (attempt(context, functionAddress(fallDeep), 20) !== ESCAPED) return 2;
    if (handled !== times || seenAddress !== guard) return 3;
  }
  memoryObject().protect(guard, PAGE, PROTECT_READ | PROTECT_WRITE);
  if (attempt(context, functionAddress(fallDeep), 20) !== 210) return 4;
  return memoryObject().unmap(guard) === S_OK ? 0 : 5;
}

function passGuard(_argument: usize): u32 {
  systemObject().self(guard);
  return 1;
}

/** A bad pointer in a call is the program's fault when the call returns. */
function passesBadPointer(): i32 {
  if (!makeGuard() || handleFaults(functionAddress(getAway)) !== S_OK) return 1;
  if (attempt(context, functionAddress(passGuard), 0) !== ESCAPED) return 2;
  return handled === 1 && seenAddress === guard ? 0 : 3;
}

/** A page of its own that the kernel was not to write is as it was, and as readable, once the call is over. */
function passesReadOnly(): i32 {
  if (!makeGuard() || handleFaults(functionAddress(getAway)) !== S_OK) return 1;
  memoryObject().protect(guard, PAGE, PROTECT_READ | PROTECT_WRITE);
  store<u32>(guard, ESCAPED, 8);
  memoryObject().protect(guard, PAGE, PROTECT_READ);
  if (attempt(context, functionAddress(passGuard), 0) !== ESCAPED) return 2;
  if (attempt(context, functionAddress(readGuard), 0) !== ESCAPED || handled !== 1) return 3;
  return memoryObject().unmap(guard) === S_OK ? 0 : 4;
}

function readGuard(_argument: usize): u32 {
  return volatileLoad32(guard + 8);
}

/** NOT_MINE for another name. */
export function handlerAbuse(name: usize): i32 {
  if (stringEquals(name, text("handle-repair"))) return repairs();
  if (stringEquals(name, text("handle-unwind"))) return unwinds();
  if (stringEquals(name, text("handle-pointer"))) return passesBadPointer();
  if (stringEquals(name, text("handle-read-only"))) return passesReadOnly();
  const declines = stringEquals(name, text("handle-decline"));
  if (declines || stringEquals(name, text("handle-stumble"))) {
    if (!makeGuard()) return 1;
    handleFaults(declines ? functionAddress(decline) : functionAddress(stumble));
    store<u32>(guard, 1);
    return 2;
  }
  return NOT_MINE;
}
