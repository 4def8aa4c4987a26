/** `ISystem`: what the system tells about itself, boot options, the end of the run. */

import type { MemoryInfo, ModuleInfo, ProcessInfo } from "../../interfaces/ISystem";
import { E_ACCESSDENIED, E_BUFFER, E_CANCELLED, E_NOTFOUND, S_FALSE, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { breakAsAsked } from "../epitaph";
import { kernelRing } from "../i386/design";
import { endRun } from "../i386/monitor";
import { imageWithIndex, type LoadedImage, lockLoader, unlockLoader } from "../loader/images";
import { privateCodePages } from "../loader/mapping";
import { frameAt } from "../memory/copy";
import {
  frameCount,
  freeFrames,
  OWNER_ANONYMOUS,
  OWNER_BOOT_ARCHIVE,
  OWNER_IMAGE_CODE,
  OWNER_IMAGE_DATA,
  OWNER_KERNEL_HEAP,
  OWNER_KERNEL_IMAGE,
  OWNER_KERNEL_STACKS,
  OWNER_PAGE_TABLES,
  OWNER_STACK_TABLES,
  OWNER_USER_STACKS,
  totalFrames,
} from "../memory/frames";
import type { Thread } from "../threads/thread";
import { sleep, WAIT_CANCELLED } from "../threads/wait";
import { liveCount, liveKind } from "./live";
import {
  endProgram,
  kernelProcess,
  lockProcess,
  lockProcesses,
  type Process,
  processWithId,
  unlockProcess,
  unlockProcesses,
} from "./process";
import { spanEquals, storeNumber, storeText } from "./texts";

const NAME_FIELD: u32 = 32;
const OPTION_LIMIT: u32 = 255;
/** isa-debug-exit: the machine's exit status is 2 × value + 1, so values go up to 127. */
const DEBUG_EXIT: u32 = 0xf4;
const DEBUG_EXIT_MOST: u32 = 127;

let commandLine: usize = 0;

export function setCommandLine(line: usize): void {
  commandLine = line;
}

/** Fills in facts about one process; the list is locked. */
function fillProcess(process: Process, info: ProcessInfo): void {
  memory.fill(changetype<usize>(info), 0, offsetof<ProcessInfo>());
  info.id = process.id;
  info.ring = process.ownSpace ? 3 : kernelRing();
  lockProcess(process);
  info.threads = process.threadCount;
  let cycles = process.endedCycles;
  for (let object = process.threads; object; object = object!.next)
    cycles += changetype<Thread>(object.thread).cycles;
  unlockProcess(process);
  info.cycles = cycles;
  if (process.ownSpace) info.handles = process.handles.live;
  if (process.ownSpace || process === kernelProcess()) {
    info.privatePages = process.space.privatePages;
    info.sharedPages = process.space.sharedPages;
  } else countImagePages(process, info);
  storeText(changetype<usize>(info) + offsetof<ProcessInfo>("name0"), NAME_FIELD, process.name);
}

/** A program in the kernel has no space of its own: its pages are those of its image. */
function countImagePages(process: Process, info: ProcessInfo): void {
  lockLoader();
  for (let index: u32 = 0; ; index++) {
    const image = imageWithIndex(index);
    if (!image) break;
    if (image.program !== process) continue;
    const code = image.file.codeSize >> 12;
    if (image.file.inArchive && image.shift === 0) info.sharedPages += code;
    else info.privatePages += code;
    info.privatePages += image.file.dataSize >> 12;
  }
  unlockLoader();
}

/** Facts about the space of `process`; of the kernel's, those of process 0. */
export function describeSpace(process: Process, info: usize): HRESULT {
  lockProcesses();
  fillProcess(process, changetype<ProcessInfo>(info));
  unlockProcesses();
  return S_OK;
}

export function describeProcess(index: u32, info: usize): HRESULT {
  let left = index;
  let result: HRESULT = S_FALSE;
  for (let process = lockProcesses(); process; process = process!.next) {
    if (left-- !== 0) continue;
    fillProcess(process, changetype<ProcessInfo>(info));
    result = S_OK;
    break;
  }
  unlockProcesses();
  return result;
}

export function describeModule(index: u32, info: usize): HRESULT {
  lockLoader();
  const image = imageWithIndex(index);
  if (image) fillModule(image, changetype<ModuleInfo>(info));
  unlockLoader();
  return image ? S_OK : S_FALSE;
}

function fillModule(image: LoadedImage, info: ModuleInfo): void {
  const file = image.file;
  memory.fill(changetype<usize>(info), 0, offsetof<ModuleInfo>());
  info.process = image.process.ownSpace ? image.process.id : 0;
  info.base = <u32>image.start;
  info.codeSize = file.codeSize;
  info.dataSize = file.dataSize;
  info.codeFrame = frameAt(image.space, file.codeStart + image.shift);
  if (file.dataSize !== 0) info.dataFrame = frameAt(image.space, file.dataStart + image.shift);
  info.relocated = image.shift !== 0 ? 1 : 0;
  info.privateCodePages = privateCodePages(image);
  storeText(changetype<usize>(info) + offsetof<ModuleInfo>("name0"), NAME_FIELD, file.name);
}

export function describeMemory(address: usize): HRESULT {
  const info = changetype<MemoryInfo>(address);
  info.total = totalFrames();
  info.free = freeFrames();
  info.kernelImage = frameCount(OWNER_KERNEL_IMAGE);
  info.kernelHeap = frameCount(OWNER_KERNEL_HEAP);
  info.bootArchive = frameCount(OWNER_BOOT_ARCHIVE);
  info.pageTables = frameCount(OWNER_PAGE_TABLES) + frameCount(OWNER_STACK_TABLES);
  info.userStacks = frameCount(OWNER_USER_STACKS);
  info.kernelStacks = frameCount(OWNER_KERNEL_STACKS);
  info.imageCode = frameCount(OWNER_IMAGE_CODE);
  info.imageData = frameCount(OWNER_IMAGE_DATA);
  info.anonymous = frameCount(OWNER_ANONYMOUS);
  info.reserved = 0;
  return S_OK;
}

/**
 * A program may end itself and what it started; the kernel and programs that etc/system names (the shell) may end all but the kernel.
 * E_NOTFOUND, E_ACCESSDENIED.
 */
export function killProcess(caller: Process, id: u32): HRESULT {
  const process = processWithId(id);
  if (!process) return E_NOTFOUND;
  const own = process === caller || process.starter === caller.id;
  const trusted = caller === kernelProcess() || caller.announced !== 0;
  const allowed = process !== kernelProcess() && (own || trusted);
  if (allowed) endProgram(process, E_CANCELLED);
  process.release();
  return allowed ? S_OK : E_ACCESSDENIED;
}

/** Address of the value of boot option `key`, which ends at a blank or NUL; 0 if it is not given. */
export function findOption(prefix: usize, key: usize): usize {
  let at = commandLine;
  if (at === 0) return 0;
  while (load<u8>(at) !== 0) {
    let rest = afterText(at, prefix);
    if (rest !== 0) rest = afterText(rest, key);
    if (rest !== 0 && load<u8>(rest) === 61) return rest + 1;
    at = nextWord(at);
  }
  return 0;
}

/** The first option whose key starts with `prefix` at or after `from` (0: the start): where the rest of its key is; 0 for none. */
export function nextOption(prefix: usize, from: usize): usize {
  let at = from !== 0 ? nextWord(from) : commandLine;
  if (at === 0) return 0;
  while (load<u8>(at) !== 0) {
    const rest = afterText(at, prefix);
    if (rest !== 0) return rest;
    at = nextWord(at);
  }
  return 0;
}

function nextWord(from: usize): usize {
  let at = from;
  while (load<u8>(at) !== 0 && load<u8>(at) !== 32) at++;
  while (load<u8>(at) === 32) at++;
  return at;
}

/** Where the text at `at` goes on if it starts with `prefix`, else 0. */
function afterText(at: usize, prefix: usize): usize {
  let length: usize = 0;
  for (; load<u8>(prefix + length) !== 0; length++) {
    if (load<u8>(at + length) !== load<u8>(prefix + length)) return 0;
  }
  return at + length;
}

/** Is boot option `key` given as `value`? */
export function optionIs(key: usize, value: usize): bool {
  const found = findOption(text(""), key);
  if (found === 0) return false;
  let length: u32 = 0;
  while (load<u8>(found + length) > 32) length++;
  return spanEquals(found, length, value);
}

/** Boot options, and the counts of live.ts under "live.KIND" and "count.KIND". E_NOTFOUND, E_BUFFER. */
export function optionValue(key: usize, value: usize, size: u32): HRESULT {
  const kind = liveKind(key);
  if (kind >= 0) {
    const digits = stackAlloc(16);
    storeNumber(digits, liveCount(<u32>kind));
    return storeText(value, size, digits) ? S_OK : E_BUFFER;
  }
  const found = findOption(text(""), key);
  if (found === 0) return E_NOTFOUND;
  let length: u32 = 0;
  while (length < OPTION_LIMIT && load<u8>(found + length) !== 0 && load<u8>(found + length) !== 32) length++;
  if (length >= size) return E_BUFFER;
  memory.copy(value, found, length);
  store<u8>(value + length, 0);
  return S_OK;
}

/** Ends the run. Where no device does that, the machine idles. */
export function powerOff(code: u32): HRESULT {
  breakAsAsked();
  endRun(code);
  portOut32(DEBUG_EXIT, code > DEBUG_EXIT_MOST ? DEBUG_EXIT_MOST : code);
  while (sleep(1000) !== WAIT_CANCELLED) {}
  return E_CANCELLED;
}
