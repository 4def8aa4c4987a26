/**
 * Random calls on objects of every interface, with random arguments: `fuzzcalls SEED CALLS`. Equal arguments make equal calls. Whatever
 * happens, it must happen to this process alone. It survives the faults of its calls, and tells `fuzz.control` (IEchoCallback) how many calls it
 * has made. Exit code 0 when all have been made, 3 without objects, and 0 at once when another is under way: then it was started
 * by a random call.
 */

import { IEchoCallback } from "../../interfaces/IEchoCallback";
import { FAULT_RESUME, type FaultFrame, IFaults } from "../../interfaces/IFaults";
import type { IUnknown } from "../../interfaces/IUnknown";
import { S_OK } from "../../interfaces/results";
import { attempt, handleFaults, unwindTo } from "../../lib/rt/faults";
import { print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";
import { currentThread, exitThread } from "../../lib/rt/wait";
import { despair, fillArguments, makeArguments, random, renewLosable, seed } from "./arguments";
import { gatherObjects, isBrief, isLeftOut, objectCount, objectInterface, objectPointer } from "./objects";
import { iidOf, methodCountOf, methodOf } from "./table";

/** Calls between two reports. */
const REPORT: u32 = 64;
/** Calls at the end with which the program may bring itself to its end. */
const DESPERATE: u32 = 16;

const context: usize = memory.data(24, 16);
const words: usize = memory.data(32, 16);
let mainThread: u32 = 0;
let made: u32 = 0;

/** A fault of the main thread is one of the call's; other threads run what calls made them run, and end. */
function onFault(address: usize): u32 {
  const frame = changetype<FaultFrame>(address);
  if (currentThread() === mainThread) unwindTo(frame, context, 0);
  else frame.eip = <u32>functionAddress(endThread);
  return FAULT_RESUME;
}

function endThread(): void {
  exitThread(0);
}

/** Makes the call whose words are ready, of method `index`. */
function makeCall(index: usize): u32 {
  const object = load<usize>(words);
  const code = load<u32>(load<usize>(object) + index * 4);
  return call_indirect<u32>(
    code,
    object,
    load<u32>(words, 4),
    load<u32>(words, 8),
    load<u32>(words, 12),
    load<u32>(words, 16),
    load<u32>(words, 20),
    load<u32>(words, 24),
    load<u32>(words, 28),
  );
}

/** One call; false if the choice fell on a method that is left out. */
function callOnce(): bool {
  const object = (random() >> 3) % objectCount();
  const entry = objectInterface(object);
  // One past the last, sometimes: there is no such method.
  const index = (random() >> 3) % (methodCountOf(entry) + (random() % 16 === 0 ? 1 : 0));
  if (isLeftOut(object, index)) return false;
  store<usize>(words, objectPointer(object));
  const described = index < methodCountOf(entry) ? methodOf(entry, index) : methodOf(entry, 0);
  fillArguments(words, described, isBrief(object, index));
  made++;
  attempt(context, functionAddress(makeCall), index);
  if (iidOf(entry) === IFaults.IID) handleFaults(functionAddress(onFault));
  return true;
}

function report(control: IEchoCallback, calls: u32): void {
  const word = stackAlloc(4);
  control.called(calls, word);
}

/** Claims the name that says that one is under way. */
function isFirst(control: IEchoCallback): bool {
  return systemObject().register(text("fuzz.running"), changetype<IUnknown>(control)) === S_OK;
}

export function main(argc: i32, argv: usize): i32 {
  const start = stackAlloc(4);
  const calls = stackAlloc(4);
  if (argc !== 3 || !parseNumber(load<usize>(argv, 4), start) || !parseNumber(load<usize>(argv, 8), calls)) {
    print(text("usage: fuzzcalls SEED CALLS\n"));
    return 2;
  }
  const word = stackAlloc(4);
  if (load<u32>(calls) === 0) return 0;
  if (systemObject().bind(text("fuzz.control"), IEchoCallback.IID, word) !== S_OK) return 3;
  const control = changetype<IEchoCallback>(load<usize>(word));
  if (!isFirst(control)) return 0;
  seed(load<u32>(start));
  mainThread = currentThread();
  if (!gatherObjects() || !makeArguments()) return 3;
  if (handleFaults(functionAddress(onFault)) !== S_OK) return 3;
  while (made < load<u32>(calls)) {
    if (made + DESPERATE >= load<u32>(calls)) despair();
    if (!callOnce() || made % REPORT !== 0) continue;
    report(control, REPORT);
    renewLosable();
  }
  report(control, made % REPORT);
  return 0;
}
