/**
 * From the kernel's first thread to the programs of `etc/system`: one a line, `NAME kernel|process [arguments]`, started in
 * order; `#` starts a comment. The option `place.NAME` overrides where a program goes. Anything wrong with what was brought
 * ends the run with a message and exit code 1, because nobody could be told later.
 */

import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import { resolveDescriptors } from "../calls/descriptors";
import { prepareDoors } from "../calls/doors";
import { createProxyFrames } from "../calls/proxies";
import { prepareRemoteCalls } from "../calls/remote";
import { print, printHexadecimal } from "../console";
import { offerLog } from "../objects/log";
import { createKernelProcess, kernelProcess, type Process } from "../objects/process";
import { startReaper } from "../objects/reaper";
import { createServices } from "../objects/services";
import { findOption, nextOption, powerOff, setCommandLine } from "../objects/system";
import { copyText, spanEquals, textEquals, textNumber } from "../objects/texts";
import { adoptThread } from "../objects/threads";
import { setTrimInterval } from "../threads/helper";
import { currentThread } from "../threads/thread";
import { fileContents, fileIntact, findFile, openArchive } from "./archive";
import { offerBootFile } from "./boot-files";
import { launch } from "./launch";

const MODULE_SIZE: usize = 12;
const LINE_LIMIT: u32 = 1024;
const BLANK: u32 = 32;
const NEWLINE: u32 = 10;
const COMMENT: u32 = 35;
const PLACE_UNKNOWN: u32 = 0xffffffff;

let lastStarted: Process | null = null;

/** Runs on the first thread. `modules` is an array of { start, end, command line } (window addresses). */
export function start(commandLine: usize, modules: usize, count: u32): void {
  setCommandLine(commandLine);
  const trim = findOption(text(""), text("trim"));
  if (trim !== 0) setTrimInterval(textNumber(trim));
  resolveDescriptors();
  if (!createKernelProcess() || !adoptThread(kernelProcess(), currentThread())) outOfMemory();
  if (!createServices(kernelProcess()) || !createProxyFrames()) outOfMemory();
  prepareRemoteCalls();
  prepareDoors();
  if (startReaper() < 0 || !offerLog()) outOfMemory();
  let archive: usize = 0;
  for (let index: u32 = 0; index < count; index++) {
    const module = modules + index * MODULE_SIZE;
    const from = load<usize>(module);
    const to = load<usize>(module, 4);
    const name = load<usize>(module, 8);
    let good: bool = true;
    if (endsWith(name, text("archive"))) {
      archive = module;
      good = offerBootFile(text("boot.archive"), from, to);
    } else if (endsWith(name, text("script"))) good = offerBootFile(text("boot.script"), from, to);
    if (!good) outOfMemory();
  }
  if (archive === 0) stop(text("the boot loader brought no module called archive"), text(""));
  if (!openArchive(load<usize>(archive), load<usize>(archive, 4))) powerOff(1);
  startPrograms();
}

function outOfMemory(): void {
  stop(text("not enough memory to start"), text(""));
}

/** Says what is wrong and ends the run. */
function stop(message: usize, detail: usize): void {
  print(text("boot: "));
  print(message);
  print(detail);
  print(text("\n"));
  powerOff(1);
}

/** Boot loaders put the file's path before a module's own words. */
function endsWith(line: usize, word: usize): bool {
  if (line === 0) return false;
  let last = line;
  for (let at = line; load<u8>(at) !== 0; at++) {
    if (load<u8>(at) === BLANK && load<u8>(at + 1) !== 0 && load<u8>(at + 1) !== BLANK) last = at + 1;
  }
  let length: u32 = 0;
  while (load<u8>(last + length) !== 0 && load<u8>(last + length) !== BLANK) length++;
  return spanEquals(last, length, word);
}

function startPrograms(): void {
  const file = findFile(text("etc/"), text("system"));
  if (!file) {
    stop(text("the boot archive has no etc/system"), text(""));
    return;
  }
  if (!fileIntact(file)) stop(text("the checksum of etc/system is wrong"), text(""));
  const contents = fileContents(file);
  checkPlaces(contents, contents + file.size);
  let at = contents;
  while (at < contents + file.size) at = startLine(at, contents + file.size);
  waitForLast();
}

/** The run ends at the latest with the last program of etc/system, the shell. */
function waitForLast(): void {
  const last = lastStarted;
  if (!last) {
    stop(text("etc/system starts no program"), text(""));
    return;
  }
  const code = stackAlloc(4);
  store<i32>(code, 1);
  last.wait(code);
  powerOff(load<i32>(code) === 0 ? 0 : 1);
}

/** Every `place.NAME` must name a program of etc/system. */
function checkPlaces(from: usize, to: usize): void {
  for (let key = nextOption(text("place."), 0); key !== 0; key = nextOption(text("place."), key)) {
    let length: u32 = 0;
    while (load<u8>(key + length) !== 61 && load<u8>(key + length) > BLANK) length++;
    let found = false;
    for (let at = from; at < to && !found; at = lineEnd(at, to) + 1) {
      let same: u32 = 0;
      while (same < length && at + same < to && load<u8>(at + same) === load<u8>(key + same)) same++;
      found = same === length && length !== 0 && at + same < to && load<u8>(at + same) === BLANK;
    }
    if (!found) stop(text("place: etc/system starts no program called "), copyText(key, length));
  }
}

function lineEnd(from: usize, to: usize): usize {
  let at = from;
  while (at < to && load<u8>(at) !== NEWLINE) at++;
  return at;
}

/** Starts the program of the line at `from`; returns where the next line starts. */
function startLine(from: usize, to: usize): usize {
  const end = lineEnd(from, to);
  const length = <u32>(end - from);
  if (length === 0 || load<u8>(from) === COMMENT) return end + 1;
  // The line is copied and cut into strings in place.
  const line = stackAlloc(LINE_LIMIT);
  if (length >= LINE_LIMIT) {
    stop(text("etc/system: a line is too long"), text(""));
    return end + 1;
  }
  memory.copy(line, from, length);
  store<u8>(line + length, 0);
  const placeWord = cut(line);
  const args = cut(placeWord);
  let place = placeOf(placeWord);
  const wanted = findOption(text("place."), line);
  if (wanted !== 0) place = placeAt(wanted);
  if (place === PLACE_UNKNOWN) stop(text("a place must be kernel or process, for "), line);
  startProgram(line, args, place);
  return end + 1;
}

/** Ends the word at `at` with a NUL and returns where the next one starts. */
function cut(at: usize): usize {
  let end = at;
  while (load<u8>(end) > BLANK) end++;
  while (load<u8>(end) !== 0 && load<u8>(end) <= BLANK) {
    store<u8>(end, 0);
    end++;
  }
  return end;
}

function placeOf(word: usize): u32 {
  if (textEquals(word, text("kernel"))) return PLACE_KERNEL;
  return textEquals(word, text("process")) ? PLACE_PROCESS : PLACE_UNKNOWN;
}

/** The same for a word of the command line, which ends at a blank. */
function placeAt(value: usize): u32 {
  let length: u32 = 0;
  while (load<u8>(value + length) > BLANK) length++;
  if (spanEquals(value, length, text("kernel"))) return PLACE_KERNEL;
  return spanEquals(value, length, text("process")) ? PLACE_PROCESS : PLACE_UNKNOWN;
}

function startProgram(name: usize, args: usize, place: u32): void {
  const out = stackAlloc(4);
  store<usize>(out, 0);
  const result = launch(name, args, place, out);
  if (result === S_OK) {
    if (lastStarted) lastStarted!.release();
    lastStarted = changetype<Process>(load<usize>(out));
    lastStarted!.announced = 1;
    return;
  }
  print(text("boot: result "));
  printHexadecimal(<u32>result);
  print(text("\n"));
  stop(text("cannot start "), name);
}
