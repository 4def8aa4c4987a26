/**
 * The console: lines of text over a serial port, with echo and editing. Runs in a process or in the kernel.
 */

import type { IConsole } from "../../interfaces/IConsole";
import { ISerial } from "../../interfaces/ISerial";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import { bindWaiting, serve, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
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
  const threads = changetype<IThreads>(load<usize>(word));
  const entry = <u32>functionAddress(readKeys);
  if (threads.create(entry, changetype<u32>(terminal), PRIORITY_DEFAULT, word) !== S_OK) return 1;
  if (systemObject().register(text("console"), interfaceOf<IConsole>(terminal)) !== S_OK) return 1;
  serve();
  return 0;
}

/** Thread that turns keys into lines. */
function readKeys(terminal: usize): u32 {
  changetype<Terminal>(terminal).readKeys();
  return 0;
}
