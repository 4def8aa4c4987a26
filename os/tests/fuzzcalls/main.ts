/**
 * Random calls on objects of every interface, with random arguments: `fuzzcalls SEED CALLS`. Equal arguments make equal calls. Whatever
 * happens, it must happen to this process alone. It tells `fuzz.control` (IEchoCallback) how many calls it has made. Exit code 0 when all have been made, 3 without objects, and 0 at once when another is under way: then it was started by a random call.
 */

import { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IUnknown } from "../../interfaces/IUnknown";
import { S_OK } from "../../interfaces/results";
import { handleFaults } from "../../lib/rt/faults";
import { print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";
import { despair, makeArguments, renewLosable, seed } from "./arguments";
import { becomeCaller, callOnce, onFault } from "./caller";
import { gatherObjects } from "./objects";

/** Calls between two reports. */
const REPORT: u32 = 64;
/** Tells a report from a random call of the same method. */
const REPORT_MARK: u32 = 0xca110000;
/** Calls at the end with which the program may bring itself to its end. */
const DESPERATE: u32 = 16;

function report(control: IEchoCallback, calls: u32): void {
  const word = stackAlloc(4);
  control.called(REPORT_MARK | calls, word);
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
  const caller = becomeCaller();
  if (!gatherObjects() || !makeArguments()) return 3;
  if (handleFaults(functionAddress(onFault)) !== S_OK) return 3;
  let made: u32 = 0;
  while (made < load<u32>(calls)) {
    if (made + DESPERATE >= load<u32>(calls)) despair();
    if (!callOnce(caller)) continue;
    made++;
    if (made % REPORT !== 0) continue;
    report(control, REPORT);
    renewLosable();
  }
  report(control, made % REPORT);
  return 0;
}
