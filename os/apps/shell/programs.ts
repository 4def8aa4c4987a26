/** Commands that start and end programs. */

import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS, type ProcessInfo } from "../../interfaces/ISystem";
import { E_NOINTERFACE, E_NOTFOUND, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { makePrinter, PRINTER_SIZE, print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";
import { parseNumber, stringEquals, stringLength } from "../../lib/rt/strings";

const USAGE: i32 = 2;
/** Status of a line whose program could not be started. */
const NOT_STARTED: i32 = 127;
/** Status of a program that a fault ended or that was killed. */
const ENDED: i32 = 126;
const ARGUMENTS: u32 = 512;

/** Id of the program that the shell waits for, 0 for none. */
const foregroundWord: usize = memory.data(4, 16);

export function foreground(): u32 {
  return volatileLoad32(foregroundWord);
}

/** Starts words[at] with the words from there on as its arguments. */
function launch(count: u32, words: usize, out: usize): HRESULT {
  let at: u32 = 1;
  let place = PLACE_PROCESS;
  if (stringEquals(load<usize>(words, 4), text("-k"))) {
    place = PLACE_KERNEL;
    at = 2;
  }
  if (at === count) {
    print(text("which program?\n"));
    return -1;
  }
  const args = stackAlloc(ARGUMENTS);
  joinWords(words + (at + 1) * 4, count - at - 1, args);
  const name = load<usize>(words + at * 4);
  const result = systemObject().run(name, args, place, out);
  if (result !== S_OK) {
    const message = makePrinter(stackAlloc(PRINTER_SIZE));
    message.text(name);
    message.text(text(": "));
    message.text(describeResult(result));
    message.end();
  }
  return result;
}

/** Joins words with blanks; what does not fit is left out. */
function joinWords(words: usize, count: u32, to: usize): void {
  let length: u32 = 0;
  for (let index: u32 = 0; index < count; index++) {
    const word = load<usize>(words + index * 4);
    const size = stringLength(word);
    if (length + size + 2 > ARGUMENTS) break;
    if (length > 0) store<u8>(to + length++, 32);
    memory.copy(to + length, word, size);
    length += size;
  }
  store<u8>(to + length, 0);
}

export function runCommand(count: u32, words: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (launch(count, words, word) !== S_OK) return NOT_STARTED;
  const process = changetype<IProcess>(load<usize>(word));
  process.identity(foregroundWord);
  const result = process.wait(word);
  volatileStore32(foregroundWord, 0);
  process.release();
  const code = <i32>load<u32>(word);
  if (result !== S_OK || code < 0) {
    print(text("ended: "));
    print(describeResult(result !== S_OK ? result : code));
    print(text("\n"));
    return ENDED;
  }
  return code;
}

export function startCommand(count: u32, words: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (launch(count, words, word) !== S_OK) return NOT_STARTED;
  changetype<IProcess>(load<usize>(word)).release();
  return 0;
}

export function stopCommand(_count: u32, words: usize): i32 {
  const name = load<usize>(words, 4);
  const info = stackAlloc(offsetof<ProcessInfo>());
  let ended: u32 = 0;
  let failed: HRESULT = S_OK;
  for (let index: u32 = 1; systemObject().processInfo(index, info) === S_OK; index++) {
    if (!stringEquals(info + offsetof<ProcessInfo>("name0"), name)) continue;
    failed = systemObject().kill(changetype<ProcessInfo>(info).id);
    if (failed !== S_OK) break;
    ended++;
  }
  if (failed === S_OK && ended > 0) return 0;
  print(name);
  print(text(": "));
  print(failed === S_OK ? text("no program of that name is running") : describeResult(failed));
  print(text("\n"));
  return 1;
}

export function placeCommand(_count: u32, words: usize): i32 {
  const name = load<usize>(words, 4);
  const wanted = load<usize>(words, 8);
  const inKernel = stringEquals(wanted, text("kernel"));
  if (!inKernel && !stringEquals(wanted, text("process"))) {
    print(text("a place is kernel or process\n"));
    return USAGE;
  }
  const result = systemObject().place(name, inKernel ? PLACE_KERNEL : PLACE_PROCESS);
  if (result >= 0) return 0;
  const message = makePrinter(stackAlloc(PRINTER_SIZE));
  message.text(name);
  message.text(text(": "));
  if (result === E_NOTFOUND) message.text(text("no such service; names lists what is registered"));
  else if (result === E_NOINTERFACE)
    message.text(text("it cannot be moved: it was not registered with its state"));
  else message.text(describeResult(result));
  message.end();
  return 1;
}

export function killCommand(_count: u32, words: usize): i32 {
  const id = stackAlloc(4);
  if (!parseNumber(load<usize>(words, 4), id)) {
    print(text("the id must be a number; ps lists them\n"));
    return USAGE;
  }
  const result = systemObject().kill(load<u32>(id));
  if (result === S_OK) return 0;
  print(text("kill: "));
  print(describeResult(result));
  print(text("\n"));
  return 1;
}
