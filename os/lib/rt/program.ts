/**
 * Start and surroundings of a program: the kernel calls `startProgram` with the StartBlock of os/README.md. In a process this
 * library's data is the program's own; in the kernel all programs there share it, so nothing here belongs to one program.
 */

import { IMemory } from "../../interfaces/IMemory";
import type { ISystem } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { exitThread, FOREVER, setThreadWord, sleep, waitOn } from "./wait";

const MOST_ARGUMENTS: u32 = 32;

let system: usize = 0;
let memoryPointer: usize = 0;

/** The space's first object. */
export function systemObject(): ISystem {
  return changetype<ISystem>(system);
}

export function memoryObject(): IMemory {
  return changetype<IMemory>(memoryPointer);
}

/** Entry of a program's first thread; does not return. */
export function startProgram(block: usize): void {
  if (system === 0) enterSpace(load<u32>(block), load<u32>(block, 16));
  // Other libraries' initialisers may use this one, which has none itself.
  const initialisers = load<u32>(block, 12);
  for (let index: u32 = 0; index < initialisers; index++)
    call_indirect<void>(load<u32>(block + 20 + index * 4));
  const list = stackAlloc((MOST_ARGUMENTS + 1) * 4);
  const count = splitWords(load<u32>(block, 8), list);
  exitThread(call_indirect<u32>(load<u32>(block, 4), count, list));
}

/** Several programs in the kernel may do this at a time, and all do the same; `system` says that the rest is there. */
function enterSpace(object: usize, threadWord: u32): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  setThreadWord(threadWord);
  if (changetype<ISystem>(object).queryInterface(IMemory.IID, word) !== S_OK)
    exitThread(<u32>E_NO_MEMORY_OBJECT);
  memoryPointer = load<u32>(word);
  system = object;
}

/** Exit code of a program whose space lacks its first objects. */
const E_NO_MEMORY_OBJECT: i32 = <i32>0x80004002;

/** Splits a string at blanks, in place; stores the words' addresses and a null after them. Words past the most are left out. */
function splitWords(string: usize, list: usize): u32 {
  let count: u32 = 0;
  let at = string;
  while (count < MOST_ARGUMENTS) {
    while (load<u8>(at) === 32) at++;
    if (load<u8>(at) === 0) break;
    store<u32>(list + count * 4, <u32>at);
    count++;
    while (load<u8>(at) !== 0 && load<u8>(at) !== 32) at++;
    if (load<u8>(at) === 0) break;
    store<u8>(at, 0);
    at++;
  }
  store<u32>(list + count * 4, 0);
  return count;
}

/** Keeps a service's main thread waiting; its threads and objects go on. Returns when the program is asked to end. */
export function serve(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  serveUntil(word);
}

/** The same until the word at `stop` is not 0 (and was woken). */
export function serveUntil(stop: usize): void {
  const cancelled: u32 = 3;
  while (volatileLoad32(stop) === 0) {
    if (waitOn(stop, 0, FOREVER) === cancelled) return;
  }
}

/** Finds the object registered under `name`, waiting up to `milliseconds` for it; its interface pointer, with a reference, goes to `out`. */
export function bindWaiting(name: usize, iid: u32, milliseconds: u32, out: usize): HRESULT {
  let result = systemObject().bind(name, iid, out);
  for (let waited: u32 = 0; result !== S_OK && waited < milliseconds; waited++) {
    if (sleep(1) !== 0) return result;
    result = systemObject().bind(name, iid, out);
  }
  return result;
}
