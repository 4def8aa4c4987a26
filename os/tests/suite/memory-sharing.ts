/** The VTLB, sharing between spaces, guards, and what happens when memory is exhausted. */

import { type MemoryCounters, PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import type { ISharedMemory } from "../../interfaces/ISharedMemory";
import { type MemoryInfo, PLACE_PROCESS, type ProcessInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { E_INVALIDARG, E_NOTFOUND, E_OUTOFMEMORY, E_POINTER, S_OK } from "../../interfaces/results";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { waitOn } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { expectAbuse, runToEnd } from "./servers";
import { joinThread, threadsObject } from "./started-threads";

const PAGE: usize = 4096;
const BOTH: u32 = PROTECT_READ | PROTECT_WRITE;
/** One page in each of so many page tables. */
const TABLES: u32 = 24;
const REACH: usize = 0x400000;
const MANY_REGIONS: u32 = 1000;
/** Regions into which an address space is divided, by halves. */
const PIECES: u32 = 256;
const NAME: usize = text("suite.shared");
const PATIENCE: u32 = 2000;

function reserve(size: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = memoryObject().map(word, size, BOTH);
  return expectEqual(result, S_OK, text("result of map")) ? load<u32>(word) : 0;
}

function counters(): MemoryCounters {
  return changetype<MemoryCounters>(countersArea);
}
const countersArea: usize = memory.data(64, 16);

function readCounters(): void {
  expectEqual(memoryObject().counters(countersArea), S_OK, text("result of counters"));
}

/** More page tables than a small bound allows: what they map survives, and there are never more than the bound. */
function manyTables(): void {
  const region = reserve(TABLES * <u32>REACH);
  if (region === 0) return;
  readCounters();
  const evictions = counters().evictions;
  const refills = counters().refills;
  const frames = stackAlloc(TABLES * 4);
  for (let index: u32 = 0; index < TABLES; index++) {
    const at = region + index * REACH;
    store<u32>(at, index * 3 + 1);
    memoryObject().frame(<u32>at, frames + index * 4);
  }
  for (let round: u32 = 0; round < 3; round++) {
    for (let index: u32 = 0; index < TABLES; index++)
      expectEqual(load<u32>(region + index * REACH), index * 3 + 1, text("a word in a far page"));
  }
  const frame = stackAlloc(4);
  for (let index: u32 = 0; index < TABLES; index++) {
    memoryObject().frame(<u32>(region + index * REACH), frame);
    expectEqual(load<u32>(frame), load<u32>(frames + index * 4), text("frame of a far page"));
  }
  readCounters();
  expect(counters().tables <= counters().tableBound, text("there are more page tables than the bound"));
  if (counters().tableBound < TABLES) {
    expect(counters().evictions - evictions >= TABLES, text("page tables were not evicted"));
    expect(counters().refills - refills >= TABLES, text("translations were not brought back"));
  }
  expectEqual(memoryObject().unmap(<u32>region), S_OK, text("result of unmap"));
}

function copyOnWrite(): void {
  expectAbuse(text("copy-on-write"), 0);
  // What the first one wrote went to no other.
  expectAbuse(text("copy-on-write"), 0);
}

function copyOnWriteWait(): void {
  expectAbuse(text("copy-on-write-wait"), 0);
}

/** Two spaces map one object; frames, contents and waiting are common, and all of it goes with the last. */
function sharedMemory(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const before = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  const info = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  if (!expectEqual(memoryObject().share(4 * <u32>PAGE - 5, word), S_OK, text("result of share"))) return;
  const object = changetype<ISharedMemory>(load<usize>(word));
  object.size(word);
  expectEqual(load<u32>(word), 4 * <u32>PAGE, text("size of the object"));
  store<u32>(word, 0);
  expectEqual(memoryObject().mapShared(object, word, BOTH), S_OK, text("result of mapShared"));
  const region: usize = load<u32>(word);
  store<u32>(word, 0);
  expectEqual(memoryObject().mapShared(object, word, PROTECT_READ), S_OK, text("result of mapping it twice"));
  const mirror: usize = load<u32>(word);
  if (region === 0 || mirror === 0) return;
  store<u32>(region, 5);
  store<u32>(region + 4, 0);
  expectEqual(load<u32>(mirror), 5, text("word of the second mapping"));
  expectEqual(systemObject().register(NAME, object), S_OK, text("result of register"));
  store<u32>(word, 0);
  const started = systemObject().run(text("abuse"), text("shared-peer suite.shared"), PLACE_PROCESS, word);
  if (expectEqual(started, S_OK, text("result of run"))) {
    const peer = changetype<IProcess>(load<usize>(word));
    expectEqual(waitOn(region + 4, 0, PATIENCE), 0, text("result of waiting for the peer"));
    peer.wait(word);
    expectEqual(load<u32>(word), 0, text("exit code of the peer"));
    peer.release();
    memoryObject().frame(<u32>region, word);
    expectEqual(load<u32>(region + 2 * PAGE), load<u32>(word), text("frame that the peer saw"));
  }
  object.resident(word);
  expectEqual(load<u32>(word), 2, text("resident pages"));
  expectEqual(systemObject().unregister(NAME), S_OK, text("result of unregister"));
  object.release();
  expectEqual(load<u32>(mirror), 5, text("word after the object was released"));
  systemObject().self(changetype<usize>(before));
  expectEqual(memoryObject().unmap(<u32>region), S_OK, text("result of unmap"));
  systemObject().self(changetype<usize>(info));
  expectEqual(info.sharedPages, before.sharedPages - 2, text("shared pages without one of the mappings"));
  expectEqual(load<u32>(mirror + 4), 1, text("word after the first mapping went"));
  expectEqual(memoryObject().unmap(<u32>mirror), S_OK, text("result of unmapping the second"));
}

function sharedErrors(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  expectEqual(memoryObject().share(0, word), E_INVALIDARG, text("result of sharing nothing"));
  expectEqual(memoryObject().share(0xf0000000, word), E_INVALIDARG, text("result of sharing too much"));
  expectAbuse(text("shared-fake"), 0);
}

function guards(): void {
  expectAbuse(text("guard"), E_POINTER);
  expectAbuse(text("pass-guard"), E_POINTER);
}

/** Depending on who was first, the kernel met a hole or did not; either way only the program notices. */
function unmapRace(): void {
  const code = stackAlloc(4);
  store<u32>(code, 99);
  expectEqual(runToEnd(text("abuse"), text("unmap-race"), code), S_OK, text("result of run"));
  if (load<u32>(code) !== 0) expectEqual(load<u32>(code), E_POINTER, text("exit code"));
}

/** The machine has not so many frames: an answer, and everything is there afterwards. */
function commitTooMuch(): void {
  const info = changetype<MemoryInfo>(stackAlloc(offsetof<MemoryInfo>()));
  systemObject().memoryInfo(changetype<usize>(info));
  const size = (info.total + 1) << 12;
  const region = reserve(size);
  if (region === 0) return;
  expectEqual(memoryObject().commit(<u32>region, size), E_OUTOFMEMORY, text("result of commit"));
  expectEqual(memoryObject().unmap(<u32>region), S_OK, text("result of unmap"));
  const small = reserve(<u32>PAGE);
  expectEqual(memoryObject().commit(<u32>small, <u32>PAGE), S_OK, text("result of commit afterwards"));
  expectEqual(
    memoryObject().commit(<u32>small, 2 * <u32>PAGE),
    E_NOTFOUND,
    text("result of commit past the end"),
  );
  expectEqual(memoryObject().unmap(<u32>small), S_OK, text("result of unmapping that"));
}

function doNothing(_argument: usize): u32 {
  return 0;
}

/** Regions until there is no room for a page. Then all answers are errors, and after a region has gone there is room for one like it. */
function fullAddressSpace(): void {
  const list = stackAlloc(PIECES * 4);
  const word = stackAlloc(4);
  let made: u32 = 0;
  let size: u32 = 0x10000000;
  while (size >= <u32>PAGE && made < PIECES) {
    store<u32>(word, 0);
    const result = memoryObject().map(word, size, BOTH);
    if (result === S_OK) store<u32>(list + made++ * 4, load<u32>(word));
    else {
      expectEqual(result, E_OUTOFMEMORY, text("result of map when there is no room"));
      size >>= 1;
    }
  }
  expect(size < <u32>PAGE, text("the address space did not fill up"));
  store<u32>(word, 0);
  expectEqual(memoryObject().share(<u32>PAGE, word), S_OK, text("result of share"));
  const object = changetype<ISharedMemory>(load<usize>(word));
  store<u32>(word, 0);
  expectEqual(memoryObject().mapShared(object, word, BOTH), E_OUTOFMEMORY, text("result of mapShared"));
  const threads = threadsObject();
  const result = threads.create(<u32>functionAddress(doNothing), 0, PRIORITY_DEFAULT, word);
  threads.release();
  // A thread of a process has its stack in the process's address space.
  expectEqual(result, codeSegment() & 2 ? E_OUTOFMEMORY : S_OK, text("result of starting a thread"));
  if (result === S_OK) joinThread(changetype<IThread>(load<usize>(word)));
  const last = load<u32>(list + --made * 4);
  store<u32>(last, 5);
  expectEqual(memoryObject().unmap(last), S_OK, text("result of unmapping one"));
  store<u32>(word, 0);
  expectEqual(memoryObject().mapShared(object, word, BOTH), S_OK, text("result of mapShared into the gap"));
  expectEqual(load<u32>(load<u32>(word)), 0, text("word of the object"));
  expectEqual(memoryObject().unmap(load<u32>(word)), S_OK, text("result of unmapping the object"));
  object.release();
  while (made > 0)
    expectEqual(memoryObject().unmap(load<u32>(list + --made * 4)), S_OK, text("result of unmap"));
}

/** Page tables when there is no frame for one: those there are change hands. */
function tablesWithoutFrames(): void {
  expectAbuse(text("tables-without-frames"), 0);
}

function hogs(): void {
  expectAbuse(text("hog-by-touch"), E_OUTOFMEMORY);
  expectAbuse(text("hog-by-commit"), 0);
}

function regionHog(): void {
  expectAbuse(text("hog-regions"), 0);
}

/** Every region of many is found. */
function manyRegions(): void {
  const list = reserve(MANY_REGIONS * 4);
  if (list === 0) return;
  let made: u32 = 0;
  const word = stackAlloc(4);
  for (; made < MANY_REGIONS; made++) {
    store<u32>(word, 0);
    if (!expectEqual(memoryObject().map(word, <u32>PAGE, BOTH), S_OK, text("result of map"))) break;
    store<u32>(list + made * 4, load<u32>(word));
    store<u32>(load<u32>(word), made);
  }
  for (let index: u32 = 0; index < made; index++) {
    const region = load<u32>(list + index * 4);
    expectEqual(load<u32>(region), index, text("word of a region"));
    expectEqual(memoryObject().unmap(region), S_OK, text("result of unmap"));
  }
  expectEqual(memoryObject().unmap(<u32>list), S_OK, text("result of unmapping the list"));
}

export function sharingCases(): void {
  runCase(text("vtlb-many-tables"), functionAddress(manyTables));
  runCase(text("copy-on-write"), functionAddress(copyOnWrite));
  runCase(text("copy-on-write-wait"), functionAddress(copyOnWriteWait));
  runCase(text("shared-memory"), functionAddress(sharedMemory));
  runCase(text("shared-memory-errors"), functionAddress(sharedErrors));
  runCase(text("guard-pages"), functionAddress(guards));
  runCase(text("unmap-while-the-kernel-writes"), functionAddress(unmapRace));
  runCase(text("commit-too-much"), functionAddress(commitTooMuch));
  runCase(text("address-space-full"), functionAddress(fullAddressSpace));
  runCase(text("vtlb-without-frames"), functionAddress(tablesWithoutFrames));
  runCase(text("memory-hogs"), functionAddress(hogs));
  runCase(text("region-hog"), functionAddress(regionHog));
  runCase(text("many-regions"), functionAddress(manyRegions));
}
