/**
 * The guest test suite: one program for both environments. `suite [GROUP [CASE…]]` runs all cases, those of one group, or those named (of
 * any group, if that is "all"), and ends with "N passed, N failed". `suite fuzz CALLS SEED` makes twice that many random calls at least.
 */

import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { makePrinter, PRINTER_SIZE, print } from "../../lib/rt/print";
import { parseNumber, stringEquals } from "../../lib/rt/strings";
import { callCases, connectionCases } from "./calls";
import { cancellingCases } from "./cancelling";
import { failedCases, passedCases, selectCases } from "./check";
import { driverCases } from "./drivers";
import { faultCases } from "./faults";
import { fuzzCases } from "./fuzz";
import { hostileCases, startBystander, stopBystander } from "./hostile";
import { internalCases } from "./internal";
import { killedCases } from "./killed";
import { libraryCases } from "./libraries";
import { memoryCases } from "./memory";
import { scratchCases } from "./memory-scratch";
import { sharingCases } from "./memory-sharing";
import { stackCases } from "./memory-stacks";
import { poolCases } from "./pools";
import { abuseCases, programCases } from "./programs";
import { serviceCases } from "./services";
import { synchronisationCases } from "./synchronisation";
import { threadStateCases } from "./thread-states";
import { threadCases } from "./threads";

/** Of the random calls: how many each of the case's two runs makes in either place (scripts/fuzz.ts makes more); the first seeds. */
const FUZZ_CALLS: u32 = 10000;
const FUZZ_SEED: u32 = 1;
const FUZZ_SEED_IN_KERNEL: u32 = 1001;

export function main(argc: i32, argv: usize): i32 {
  const calls = stackAlloc(4);
  const seed = stackAlloc(4);
  store<u32>(calls, FUZZ_CALLS);
  store<u32>(seed, codeSegment() & 2 ? FUZZ_SEED : FUZZ_SEED_IN_KERNEL);
  const group: usize = argc > 1 ? load<usize>(argv, 4) : text("all");
  const numbers = argc === 4 && stringEquals(group, text("fuzz")) && parsedNumbers(argv, calls, seed);
  if (argc > 2 && !numbers) selectCases(argv + 8, argc - 2);
  if (wanted(group, text("memory"))) {
    memoryCases();
    sharingCases();
  }
  if (wanted(group, text("scratch"))) scratchCases();
  if (wanted(group, text("stacks"))) stackCases();
  if (wanted(group, text("threads"))) {
    threadCases();
    synchronisationCases();
  }
  if (wanted(group, text("thread-states"))) {
    threadStateCases();
    cancellingCases();
  }
  if (wanted(group, text("drivers"))) driverCases();
  if (wanted(group, text("programs"))) programCases();
  if (wanted(group, text("libraries"))) libraryCases();
  if (wanted(group, text("calls"))) {
    callCases(PLACE_PROCESS);
    callCases(PLACE_KERNEL);
  }
  if (wanted(group, text("connections"))) connectionCases();
  if (wanted(group, text("pools"))) poolCases();
  if (wanted(group, text("killed"))) killedCases();
  if (wanted(group, text("services"))) {
    serviceCases();
    internalCases();
  }
  if (wanted(group, text("faults"))) faultCases();
  if (wanted(group, text("abuse"))) {
    startBystander();
    abuseCases();
    stopBystander(text("bystander-of-abuse"));
  }
  if (wanted(group, text("hostile"))) {
    startBystander();
    hostileCases();
    stopBystander(text("bystander-of-hostile-programs"));
  }
  if (wanted(group, text("fuzz"))) fuzzCases(load<u32>(calls), load<u32>(seed));
  if (passedCases() + failedCases() === 0) {
    print(
      text(
        "usage: suite [GROUP [CASE…]], GROUP being all, calls, connections, pools, services, faults, threads, thread-states, drivers, memory, scratch, stacks, programs, libraries, abuse, hostile, fuzz; or suite fuzz CALLS SEED\n",
      ),
    );
  }
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.number(passedCases());
  out.text(text(" passed, "));
  out.number(failedCases());
  out.text(text(" failed"));
  out.end();
  return failedCases() > 0 || passedCases() === 0 ? 1 : 0;
}

function parsedNumbers(argv: usize, calls: usize, seed: usize): bool {
  return parseNumber(load<usize>(argv, 8), calls) && parseNumber(load<usize>(argv, 12), seed);
}

function wanted(group: usize, name: usize): bool {
  return stringEquals(group, text("all")) || stringEquals(group, name);
}
