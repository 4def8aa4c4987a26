/** Libraries loaded and unloaded while a program runs: `digest`, which nothing else in the suite's space needs. */

import type { ILibrary } from "../../interfaces/ILibrary";
import { PROTECT_READ } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import {
  type MemoryInfo,
  type ModuleInfo,
  PLACE_KERNEL,
  PLACE_PROCESS,
  type ProcessInfo,
} from "../../interfaces/ISystem";
import { E_INVALIDARG, E_NOSYMBOL, E_NOTFOUND, S_OK } from "../../interfaces/results";
import { loadLibrary } from "../../lib/rt/libraries";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";

const DIGEST: usize = text("digest");
const DIGEST_BASE: u32 = 0x40100000;
const PAGE: u32 = 4096;
const PATIENCE: u32 = 2000;
/** CRC-32 of "123456789", the check value of every description of it. */
const CHECK_VALUE: u32 = 0xcbf43926;

function open(): ILibrary | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(loadLibrary(DIGEST, word), S_OK, text("result of loadLibrary"))) return null;
  return changetype<ILibrary>(load<usize>(word));
}

function call(library: ILibrary, name: usize): u32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(library.symbol(name, word), S_OK, text("result of symbol"))) return 0;
  return call_indirect<u32>(load<u32>(word));
}

function checkDigest(library: ILibrary): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(library.symbol(text("crc32"), word), S_OK, text("result of symbol"))) return;
  const crc = call_indirect<u32>(load<u32>(word), <u32>0, text("123456789"), <u32>9);
  expectEqual(crc, CHECK_VALUE, text("CRC"));
}

/** Fills `info` with the row of module `name` in space `space`. False if there is none. */
function findModule(space: u32, name: usize, info: ModuleInfo): bool {
  for (let index: u32 = 0; systemObject().moduleInfo(index, changetype<usize>(info)) === S_OK; index++) {
    if (info.process === space && stringEquals(changetype<usize>(info) + offsetof<ModuleInfo>("name0"), name))
      return true;
  }
  return false;
}

/** Id of this space, as `modules` shows it. */
function ownSpace(): u32 {
  const info = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  return systemObject().self(changetype<usize>(info)) === S_OK ? info.id : 0xffffffff;
}

function loadAndUnload(): void {
  const info = changetype<ModuleInfo>(stackAlloc(offsetof<ModuleInfo>()));
  const space = ownSpace();
  expect(!findModule(space, DIGEST, info), text("the library is there already"));
  for (let round: u32 = 0; round < 2; round++) {
    const library = open();
    if (!library) return;
    expectEqual(call(library, text("digestEntries")), 256, text("entries: has the initialiser run?"));
    expectEqual(call(library, text("digestedBytes")), 0, text("bytes digested before"));
    checkDigest(library);
    expectEqual(call(library, text("digestedBytes")), 9, text("bytes digested"));
    if (findModule(space, DIGEST, info)) {
      expectEqual(info.base, DIGEST_BASE, text("base"));
      expectEqual(info.relocated | info.privateCodePages, 0, text("relocation"));
    } else expect(false, text("the module is not listed"));
    library.release();
    expect(!findModule(space, DIGEST, info), text("the module is still listed"));
  }
}

function countedBySpace(): void {
  const info = changetype<ModuleInfo>(stackAlloc(offsetof<ModuleInfo>()));
  const first = open();
  const second = open();
  if (!first || !second) return;
  checkDigest(first);
  first.release();
  expectEqual(call(second, text("digestedBytes")), 9, text("bytes digested: is it the same library?"));
  second.addRef();
  second.release();
  checkDigest(second);
  second.release();
  expect(!findModule(ownSpace(), DIGEST, info), text("the module is still listed"));
}

function refusals(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  expectEqual(loadLibrary(text("nosuchlibrary"), word), E_NOTFOUND, text("result for no library"));
  expectEqual(load<u32>(word), 0, text("the pointer"));
  expectEqual(loadLibrary(text(""), word), E_INVALIDARG, text("result for no name"));
  expectEqual(loadLibrary(text("dig\nest"), word), E_INVALIDARG, text("result for an unprintable name"));
  const longName = text("0123456789012345678901234567890123456789012345678901234567890123");
  expectEqual(loadLibrary(longName, word), E_INVALIDARG, text("result for too long a name"));
  const library = open();
  if (!library) return;
  expectEqual(library.symbol(text("crc33"), word), E_NOSYMBOL, text("result for no symbol"));
  expectEqual(library.symbol(text(""), word), E_NOSYMBOL, text("result for an empty symbol"));
  library.release();
}

/** Starts `abuse load-library`, which has the library and sleeps, and finds its module. */
function startHolder(info: ModuleInfo): IProcess | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const started = systemObject().run(text("abuse"), text("load-library"), PLACE_PROCESS, word);
  if (!expectEqual(started, S_OK, text("result of run"))) return null;
  const process = changetype<IProcess>(load<usize>(word));
  process.identity(word);
  for (let waited: u32 = 0; waited < PATIENCE; waited++) {
    if (findModule(load<u32>(word), DIGEST, info) && info.dataFrame !== 0) return process;
    sleep(1);
  }
  expect(false, text("the other process has no library"));
  process.kill();
  return process;
}

function sharedByFrame(): void {
  const word = stackAlloc(4);
  const own = changetype<ModuleInfo>(stackAlloc(offsetof<ModuleInfo>()));
  const other = changetype<ModuleInfo>(stackAlloc(offsetof<ModuleInfo>()));
  const library = open();
  if (!library) return;
  checkDigest(library);
  const holder = startHolder(other);
  if (holder && findModule(ownSpace(), DIGEST, own)) {
    expectEqual(own.base, other.base, text("base"));
    expectEqual(own.codeFrame, other.codeFrame, text("frame of the code"));
    expect(own.codeFrame !== 0, text("the code has no frame"));
    expect(own.dataFrame !== other.dataFrame, text("the data is shared"));
  }
  library.release();
  if (!holder) return;
  holder.kill();
  holder.wait(word);
  holder.release();
  store<u32>(word, 0);
  expect(!findModule(other.process, DIGEST, own), text("the ended process still has the module"));
}

/** A page at the preferred base sends the library elsewhere, at the price of code pages of its own. */
function relocated(): void {
  const word = stackAlloc(4);
  const info = changetype<ModuleInfo>(stackAlloc(offsetof<ModuleInfo>()));
  const before = changetype<MemoryInfo>(stackAlloc(offsetof<MemoryInfo>()));
  const after = changetype<MemoryInfo>(stackAlloc(offsetof<MemoryInfo>()));
  store<u32>(word, DIGEST_BASE);
  if (!expectEqual(memoryObject().map(word, PAGE, PROTECT_READ), S_OK, text("result of map"))) return;
  systemObject().memoryInfo(changetype<usize>(before));
  const library = open();
  if (library) {
    checkDigest(library);
    expectEqual(call(library, text("digestEntries")), 256, text("entries"));
    systemObject().memoryInfo(changetype<usize>(after));
    if (findModule(ownSpace(), DIGEST, info)) {
      expectEqual(info.relocated, 1, text("relocated"));
      expect(info.base !== DIGEST_BASE, text("it is at its preferred base"));
      expect(info.privateCodePages !== 0, text("relocation cost nothing"));
      const cost = after.imageCode - before.imageCode;
      expectEqual(info.privateCodePages, cost, text("code pages of its own"));
    } else expect(false, text("the module is not listed"));
    library.release();
  }
  systemObject().memoryInfo(changetype<usize>(after));
  expectEqual(after.imageCode, before.imageCode, text("pages of relocated code"));
  memoryObject().unmap(DIGEST_BASE);
  loadAndUnload();
}

/** A program that ends without a word leaves no library behind. */
function goesWithProgram(place: u32): void {
  const word = stackAlloc(4);
  const info = changetype<ModuleInfo>(stackAlloc(offsetof<ModuleInfo>()));
  store<u32>(word, 0);
  const started = systemObject().run(text("abuse"), text("keep-library"), place, word);
  if (!expectEqual(started, S_OK, text("result of run"))) return;
  const process = changetype<IProcess>(load<usize>(word));
  expectEqual(process.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), CHECK_VALUE, text("CRC"));
  process.release();
  expect(!findModule(0, DIGEST, info), text("the kernel still has the module"));
}

function endWithLibrary(): void {
  goesWithProgram(PLACE_PROCESS);
  goesWithProgram(PLACE_KERNEL);
}

/** A library that a program was linked against, in both places, and one after the other. */
function neededByProgram(): void {
  const word = stackAlloc(4);
  const info = changetype<ModuleInfo>(stackAlloc(offsetof<ModuleInfo>()));
  for (let place: u32 = PLACE_PROCESS; place <= PLACE_KERNEL; place++) {
    store<u32>(word, 0);
    const started = systemObject().run(text("checksum"), text("etc/system"), place, word);
    if (!expectEqual(started, S_OK, text("result of run"))) return;
    const process = changetype<IProcess>(load<usize>(word));
    expectEqual(process.wait(word), S_OK, text("result of wait"));
    expectEqual(load<u32>(word), 0, text("exit code"));
    process.release();
    expect(!findModule(0, DIGEST, info), text("the kernel still has the module"));
  }
}

export function libraryCases(): void {
  runCase(text("library-loaded-and-unloaded"), functionAddress(loadAndUnload));
  runCase(text("library-counted-by-space"), functionAddress(countedBySpace));
  runCase(text("library-refusals"), functionAddress(refusals));
  runCase(text("library-shared-by-frame"), functionAddress(sharedByFrame));
  runCase(text("library-relocated"), functionAddress(relocated));
  runCase(text("library-goes-with-its-program"), functionAddress(endWithLibrary));
  runCase(text("library-needed-by-a-program"), functionAddress(neededByProgram));
}
