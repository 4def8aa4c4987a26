/**
 * Driver of the first serial port (16550): queues filled and drained by its first-level interrupt handler. It makes driver
 * calls, so it runs in the kernel only.
 */

import { IDriver } from "../../interfaces/IDriver";
import { ILog } from "../../interfaces/ILog";
import type { ISerial } from "../../interfaces/ISerial";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { print } from "../../lib/rt/print";
import { serve, systemObject } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";
import type { SerialPort } from "./port";

/** Interrupt line of COM1. */
const LINE: u32 = 4;

export function main(_argc: i32, _argv: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result: HRESULT = systemObject().queryInterface(IDriver.IID, word);
  if (result !== S_OK) return fail(result);
  const driver = changetype<IDriver>(load<usize>(word));
  const port = newObject<SerialPort>();
  if (!port) return fail(-1);
  port.driver = driver;
  result = systemObject().bind(text("kernel.log"), ILog.IID, word);
  if (result !== S_OK) return fail(result);
  port.log = changetype<ILog>(load<usize>(word));
  result = driver.connectInterrupt(LINE, <u32>functionAddress(serialInterrupt), changetype<u32>(port));
  if (result !== S_OK) return fail(result);
  port.start();
  result = systemObject().register(text("serial"), interfaceOf<ISerial>(port));
  if (result === S_OK) serve();
  port.stop();
  driver.disconnectInterrupt(LINE);
  systemObject().unregister(text("serial"));
  port.log.release();
  port.release();
  driver.release();
  return result === S_OK ? 0 : fail(result);
}

/** First-level handler, ring 0. */
function serialInterrupt(port: usize): void {
  changetype<SerialPort>(port).interrupt();
}

function fail(result: HRESULT): i32 {
  print(text("serial: the driver needs the kernel: "));
  print(describeResult(result));
  print(text("\n"));
  return 1;
}
