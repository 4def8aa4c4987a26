/**
 * `stackload settop SECONDS`: the threads of a set-top box (§7), for Figure 7-2. Four applications in processes and three services in the
 * kernel, some 58 threads with the system's own. They mostly wait. From time to time each works: a little of its stack, sometimes a page
 * or two more, calls of the kernel and of a server in a process; some start a thread that soon ends. What comes when is told by the numbers
 * of program and thread alone, so every run is the same.
 */

import type { IFile } from "../../interfaces/IFile";
import { IFileSystem } from "../../interfaces/IFileSystem";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { stringLength } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";

const APPLICATIONS: u32 = 4;
const SERVICES: u32 = 3;
export const MOST_SECONDS: u32 = 100000;
const PROGRAMS: u32 = APPLICATIONS + SERVICES;
const THREADS_OF_APPLICATION: u32 = 7;
const THREADS_OF_SERVICE: u32 = 4;
const MOST_THREADS: u32 = 8;
const PAGE: u32 = 4096;
const DIGIT_0: u32 = 48;
const BLANK: u8 = 32;
/** Milliseconds between two pieces of work, at least, and how much more there may be. */
const SHORTEST: u32 = 200;
const RANGE: u32 = 1800;
/** Every how many pieces of work a thread uses a page more of its stack, two pages more, or starts another thread. */
const PAGE_MORE: u32 = 16;
const TWO_MORE: u32 = 40;
const ANOTHER: u32 = 11;

/** Of one program, while the others of the kernel have theirs elsewhere: on its first thread's stack. */
@unmanaged
class Program {
  number: u32 = 0;
  seconds: u32 = 0;
  threads: IThreads = changetype<IThreads>(0);
  files: IFileSystem = changetype<IFileSystem>(0);
  result: HRESULT = S_OK;
}

/** A thread of a program. */
@unmanaged
class Worker {
  program: Program = changetype<Program>(0);
  number: u32 = 0;
  thread: usize = 0;
}

/** The next of a thread's numbers, each of which looks like chance (Numerical Recipes' generator). */
function next(number: u32): u32 {
  return number * 1664525 + 1013904223;
}

/** Uses so many pages of stack. */
function useStack(pages: u32): u32 {
  const frame = stackAlloc(PAGE);
  volatileStore32(frame, pages);
  return pages <= 1 ? volatileLoad32(frame) : useStack(pages - 1) + volatileLoad32(frame);
}

/** Calls of the kernel, a page touched, and a file opened, by a call of the server of files. */
function call(program: Program): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = memoryObject().map(word, PAGE, PROTECT_READ | PROTECT_WRITE);
  if (result !== S_OK) return result;
  store<u32>(load<u32>(word), 1);
  result = memoryObject().unmap(load<u32>(word));
  if (result === S_OK) result = program.files.open(text("bin/hello"), word);
  if (result === S_OK) changetype<IFile>(load<usize>(word)).release();
  return result;
}

/** A thread that soon ends. */
function passing(_argument: usize): u32 {
  return useStack(1);
}

function startPassing(program: Program): HRESULT {
  const word = stackAlloc(4);
  const result = program.threads.create(<u32>functionAddress(passing), 0, PRIORITY_DEFAULT, word);
  if (result !== S_OK) return result;
  const thread = changetype<IThread>(load<usize>(word));
  thread.join(word);
  thread.release();
  return S_OK;
}

/** A thread of a program: waits and works in turn until the time is over. */
function works(argument: usize): u32 {
  const worker = changetype<Worker>(argument);
  const program = worker.program;
  let chance = next(program.number * MOST_THREADS + worker.number);
  let left = program.seconds * 1000;
  let pause = SHORTEST + ((chance >> 8) % RANGE);
  for (let piece: u32 = 1; left >= pause && program.result === S_OK; piece++) {
    sleep(pause);
    left -= pause;
    chance = next(chance);
    pause = SHORTEST + ((chance >> 8) % RANGE);
    if (piece % TWO_MORE === 0) useStack(2);
    else if (piece % PAGE_MORE === 0) useStack(1);
    let result = call(program);
    if (result === S_OK && piece % ANOTHER === 0) result = startPassing(program);
    if (result !== S_OK) program.result = result;
  }
  return 0;
}

/** One of the programs: `stackload program NUMBER SECONDS`. */
export function settopProgram(number: u32, seconds: u32): HRESULT {
  const word = stackAlloc(4);
  const program = changetype<Program>(stackAlloc(offsetof<Program>()));
  program.number = number;
  program.seconds = seconds;
  store<u32>(word, 0);
  program.result = systemObject().queryInterface(IThreads.IID, word);
  if (program.result !== S_OK) return program.result;
  program.threads = changetype<IThreads>(load<usize>(word));
  store<u32>(word, 0);
  program.result = systemObject().bind(text("files"), IFileSystem.IID, word);
  if (program.result === S_OK) {
    program.files = changetype<IFileSystem>(load<usize>(word));
    runWorkers(program, number < APPLICATIONS ? THREADS_OF_APPLICATION : THREADS_OF_SERVICE);
    program.files.release();
  }
  program.threads.release();
  return program.result;
}

function runWorkers(program: Program, count: u32): void {
  const word = stackAlloc(4);
  const workers = stackAlloc(MOST_THREADS * offsetof<Worker>());
  let made: u32 = 0;
  for (; made < count && program.result === S_OK; made++) {
    const worker = changetype<Worker>(workers + made * offsetof<Worker>());
    worker.program = program;
    worker.number = made;
    worker.thread = 0;
    const entry = <u32>functionAddress(works);
    const out = workers + made * offsetof<Worker>() + offsetof<Worker>("thread");
    const result = program.threads.create(entry, changetype<u32>(worker), PRIORITY_DEFAULT, out);
    if (result !== S_OK) program.result = result;
  }
  for (let index: u32 = 0; index < made; index++) {
    const worker = changetype<Worker>(workers + index * offsetof<Worker>());
    if (worker.thread === 0) continue;
    changetype<IThread>(worker.thread).join(word);
    changetype<IThread>(worker.thread).release();
  }
}

/** "program NUMBER SECONDS", where there are 32 bytes. */
function programWords(number: u32, seconds: usize, at: usize): void {
  const start = text("program ");
  const length = stringLength(start);
  memory.copy(at, start, length);
  store<u8>(at + length, <u8>(DIGIT_0 + number));
  store<u8>(at + length + 1, BLANK);
  memory.copy(at + length + 2, seconds, stringLength(seconds) + 1);
}

/** Starts all programs and waits for their ends: the first result that is no success. `seconds` is a string of digits. */
export function settop(seconds: usize): HRESULT {
  const word = stackAlloc(4);
  const programs = stackAlloc(PROGRAMS * 4);
  const words = stackAlloc(32);
  let result: HRESULT = S_OK;
  let started: u32 = 0;
  while (started < PROGRAMS && result === S_OK) {
    programWords(started, seconds, words);
    const place = started < APPLICATIONS ? PLACE_PROCESS : PLACE_KERNEL;
    result = systemObject().run(text("stackload"), words, place, programs + started * 4);
    if (result === S_OK) started++;
  }
  for (let index: u32 = 0; index < started; index++) {
    const process = changetype<IProcess>(load<usize>(programs + index * 4));
    store<u32>(word, 0);
    process.wait(word);
    process.release();
    if (result === S_OK) result = load<i32>(word);
  }
  return result;
}
