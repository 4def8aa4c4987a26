/**
 * Driver of the PC's real-time clock (MC146818) as a periodic timer. It makes driver calls, so it runs in the kernel only.
 */

import { IDriver } from "../../interfaces/IDriver";
import type { ITimer } from "../../interfaces/ITimer";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { print } from "../../lib/rt/print";
import { serve, systemObject } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";
import { yieldProcessor } from "../../lib/rt/wait";
import type { ClockTimer } from "./clock";

/** Interrupt line of the clock. */
const LINE: u32 = 8;
/** Turns that its end leaves to programs in the kernel for giving its object back once they were told: after that it is gone. */
const TURNS: u32 = 1000;

export function main(_argc: i32, _argv: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result: HRESULT = systemObject().queryInterface(IDriver.IID, word);
  if (result !== S_OK) return fail(result);
  const driver = changetype<IDriver>(load<usize>(word));
  const timer = newObject<ClockTimer>();
  if (!timer) return fail(-1);
  timer.driver = driver;
  result = driver.connectInterrupt(LINE, <u32>functionAddress(clockInterrupt), changetype<u32>(timer));
  if (result === S_OK) {
    timer.start();
    result = systemObject().register(text("timer"), interfaceOf<ITimer>(timer));
    if (result === S_OK) serve();
    systemObject().unregister(text("timer"));
    timer.stop();
    driver.disconnectInterrupt(LINE);
    for (let turn: u32 = 0; timer.references > 1 && turn < TURNS; turn++) yieldProcessor();
  }
  timer.release();
  driver.release();
  return result === S_OK ? 0 : fail(result);
}

/** First-level handler, ring 0. */
function clockInterrupt(timer: usize): void {
  changetype<ClockTimer>(timer).interrupt();
}

function fail(result: HRESULT): i32 {
  print(text("timer: the driver cannot run: "));
  print(describeResult(result));
  print(text("\n"));
  return 1;
}
