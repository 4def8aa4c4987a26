/**
 * The console: lines of text over a serial port, with echo and editing. Runs in a process or in the kernel, and can be moved meanwhile.
 */

import type { IConsole } from "../../interfaces/IConsole";
import { ISerial } from "../../interfaces/ISerial";
import type { IServiceState } from "../../interfaces/IServiceState";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import { bindWaiting, serve, systemObject } from "../../lib/rt/program";
import type { Terminal } from "./terminal";

/** How long the serial driver may take to appear, in ms. */
const PATIENCE: u32 = 5000;

export function main(_argc: i32, _argv: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(text("serial"), ISerial.IID, PATIENCE, word) !== S_OK) return 1;
  const terminal = newObject<Terminal>();
  if (!terminal) return 1;
  terminal.serial = changetype<ISerial>(load<usize>(word));
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return 1;
  terminal.threads = changetype<IThreads>(load<usize>(word));
  const console = interfaceOf<IConsole>(terminal);
  let result = systemObject().registerService(text("console"), console, interfaceOf<IServiceState>(terminal));
  if (result === S_OK) result = terminal.resume();
  if (result >= 0) serve();
  terminal.release();
  return result < 0 ? 1 : 0;
}
