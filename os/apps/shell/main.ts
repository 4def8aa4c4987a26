/**
 * The shell: reads lines from the console, or from the boot script, and runs them. A script's lines are shown as if typed (boot
 * option `quiet=1`: not shown); after the last the machine is powered off with the status of the first that failed.
 */

import { IConsole } from "../../interfaces/IConsole";
import { IFile } from "../../interfaces/IFile";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import { allocate } from "../../lib/rt/heap";
import { print } from "../../lib/rt/print";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { runLine, shutDown } from "./commands";
import { foreground } from "./programs";

const LINE: u32 = 512;
const OPTION: u32 = 16;
const PROMPT: usize = text("rialto> ");
/** How long the console may take to appear, in ms. */
const PATIENCE: u32 = 10000;

export function main(_argc: i32, _argv: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(text("console"), IConsole.IID, PATIENCE, word) !== S_OK) return 1;
  const console = changetype<IConsole>(load<usize>(word));
  watchInterrupts(console);
  if (systemObject().bind(text("boot.script"), IFile.IID, word) === S_OK) {
    shutDown(<u32>runScript(changetype<IFile>(load<usize>(word))));
  }
  print(text("Rialto. Type help for the commands.\n"));
  const line = stackAlloc(LINE);
  while (true) {
    print(PROMPT);
    if (console.readLine(line, LINE, word) !== S_OK) break;
    runLine(line);
  }
  shutDown(0);
  return 0;
}

/** Starts the thread that ends the program in the foreground at Ctrl-C. */
function watchInterrupts(console: IConsole): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return;
  const threads = changetype<IThreads>(load<usize>(word));
  threads.create(<u32>functionAddress(interruptThread), changetype<u32>(console), PRIORITY_DEFAULT, word);
}

function interruptThread(console: usize): u32 {
  while (changetype<IConsole>(console).waitInterrupt() === S_OK) {
    const id = foreground();
    if (id !== 0) systemObject().kill(id);
    else print(PROMPT);
  }
  return 0;
}

/** Does boot option `quiet` ask that only programs print? */
function isQuiet(): bool {
  const value = stackAlloc(OPTION);
  return (
    systemObject().option(text("quiet"), value, OPTION) === S_OK &&
    load<u8>(value) === 49 &&
    load<u8>(value, 1) === 0
  );
}

/** Runs every line; the status of the first that failed, or 0. */
function runScript(file: IFile): i32 {
  const word = stackAlloc(4);
  if (file.length(word) !== S_OK) return 1;
  const size = load<u32>(word);
  const script = allocate(size + 1);
  if (script === 0 || file.read(0, script, size, word) !== S_OK) return 1;
  const quiet = isQuiet();
  let status: i32 = 0;
  let at = script;
  while (at < script + size) {
    let end = at;
    while (end < script + size && load<u8>(end) !== 10) end++;
    store<u8>(end, 0);
    if (!quiet) {
      print(PROMPT);
      print(at);
      print(text("\n"));
    }
    const result = runLine(at);
    if (status === 0) status = result;
    at = end + 1;
  }
  return status;
}
