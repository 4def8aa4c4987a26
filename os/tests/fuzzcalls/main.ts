/**
 * Random calls on objects of every interface, with random arguments, from two threads: `fuzzcalls SEED CALLS`. Equal arguments make equal runs on one
 * machine. Whatever happens, it must happen to this process alone. It tells `fuzz.control` (IEchoCallback) how many calls it has made.
 * Exit code 0 when all have been made, 3 without objects, and 0 at once when another is under way: then it was started by a random call.
 */

import { IEchoCallback } from "../../interfaces/IEchoCallback";
import { IThreads } from "../../interfaces/IThreads";
import type { IUnknown } from "../../interfaces/IUnknown";
import { S_OK } from "../../interfaces/results";
import { handleFaults } from "../../lib/rt/faults";
import { print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { despair, makeArguments, renewLosable, seed } from "./arguments";
import { becomeCaller, callOnce, onFault } from "./caller";
import { gatherObjects } from "./objects";

/** Calls between two reports. */
const REPORT: u32 = 64;
/** Tells a report from a random call of the same method. */
const REPORT_MARK: u32 = 0xca110000;
/** Calls at the end with which the program may bring itself to its end. */
const DESPERATE: u32 = 16;

/** Calls made that have not been reported. */
const unreported: usize = memory.data(4, 16);

function report(control: IEchoCallback): u32 {
  const word = stackAlloc(4);
  const calls = atomicExchange(unreported, 0);
  control.called(REPORT_MARK | calls, word);
  return calls;
}

/** Claims the name that says that one is under way. */
function isFirst(control: IEchoCallback): bool {
  return systemObject().register(text("fuzz.running"), changetype<IUnknown>(control)) === S_OK;
}

/** Makes calls until the program ends. */
function second(_argument: usize): u32 {
  const caller = becomeCaller();
  while (true) {
    if (callOnce(caller)) atomicAdd(unreported, 1);
  }
}

function startSecond(): bool {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return false;
  const threads = changetype<IThreads>(load<usize>(word));
  const result = threads.create(<u32>functionAddress(second), 0, PRIORITY_DEFAULT, word);
  changetype<IUnknown>(load<usize>(word)).release();
  threads.release();
  return result === S_OK;
}

export function main(argc: i32, argv: usize): i32 {
  const start = stackAlloc(4);
  const calls = stackAlloc(4);
  if (argc !== 3 || !parseNumber(load<usize>(argv, 4), start) || !parseNumber(load<usize>(argv, 8), calls)) {
    print(text("usage: fuzzcalls SEED CALLS\n"));
    return 2;
  }
  const word = stackAlloc(4);
  // A random call may move this program, as a service, into the kernel, where its calls would do harm.
  if (load<u32>(calls) === 0 || (codeSegment() & 2) === 0) return 0;
  if (systemObject().bind(text("fuzz.control"), IEchoCallback.IID, word) !== S_OK) return 3;
  const control = changetype<IEchoCallback>(load<usize>(word));
  if (!isFirst(control)) return 0;
  seed(load<u32>(start));
  const caller = becomeCaller();
  if (!gatherObjects() || !makeArguments()) return 3;
  if (handleFaults(functionAddress(onFault)) !== S_OK || !startSecond()) return 3;
  let made: u32 = 0;
  while (made + volatileLoad32(unreported) < load<u32>(calls)) {
    if (made + volatileLoad32(unreported) + DESPERATE >= load<u32>(calls)) despair();
    if (callOnce(caller)) atomicAdd(unreported, 1);
    if (volatileLoad32(unreported) < REPORT) continue;
    made += report(control);
    renewLosable();
  }
  report(control);
  return 0;
}
