/**
 * What a process of its own does with its memory for a case of the suite: hogs, guards, shared pages. Each returns a number that says which
 * step went wrong, or dies.
 */

import { type MemoryCounters, PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { ISharedMemory } from "../../interfaces/ISharedMemory";
import type { MemoryInfo, ProcessInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { E_FAIL, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { type Condition, FOREVER, type Mutex, sleep, WAIT_WOKEN, waitOn, wake } from "../../lib/rt/wait";
import { outArgumentAbuse } from "./out-arguments";
import { scratchAbuse } from "./scratch";

const PAGE: usize = 4096;
/** As often as the suite's case. */
const TURNS: u32 = 200;
const PATIENCE: u32 = 2000;
const BOTH: u32 = PROTECT_READ | PROTECT_WRITE;
/** One page table each. */
const PLACES: u32 = 64;
const FIRST_PLACE: usize = 0x20000000;
const TABLE_REACH: usize = 0x400000;
const MARK: u32 = 0x5eed5eed;
/** Static data of the image's file, since strings follow it: whole pages that nothing has written to. */
const untouched: usize = memory.data(24576, 16);
/** A zero that the compiler does not know. */
const zero: usize = memory.data(4, 16);

/** Runs the abuse `name`; E_FAIL if there is none. */
export function memoryAbuse(name: usize, argument: usize): i32 {
  if (stringEquals(name, text("hog-by-touch"))) return hog();
  if (stringEquals(name, text("hog-by-commit"))) return hogByCommit();
  if (stringEquals(name, text("hog-regions"))) return hogRegions();
  if (stringEquals(name, text("tables-without-frames"))) return tablesWithoutFrames();
  if (stringEquals(name, text("guard"))) return touchGuard();
  if (stringEquals(name, text("pass-guard"))) return passGuard();
  if (stringEquals(name, text("unmap-race"))) return unmapRace();
  if (stringEquals(name, text("copy-on-write"))) return copyOnWrite();
  if (stringEquals(name, text("copy-on-write-wait"))) return waitOnUntouched();
  if (stringEquals(name, text("shared-peer"))) return sharedPeer(argument);
  if (stringEquals(name, text("shared-mutex"))) return takeTurns(argument);
  if (stringEquals(name, text("shared-fake"))) return mapFake();
  const result = scratchAbuse(name);
  return result === E_FAIL ? outArgumentAbuse(name) : result;
}

function reserve(size: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  return memoryObject().map(word, size, BOTH) === S_OK ? load<u32>(word) : 0;
}

/** Touches more pages than the machine has. */
function hog(): i32 {
  const size: u32 = 0x3c000000;
  const region = reserve(size);
  if (region === 0) return 1;
  for (let at: usize = 0; at < size; at += PAGE) store<u8>(region + at, 1);
  return 2;
}

/** The same by asking, which gets an answer instead of an end; afterwards memory can be had again. */
function hogByCommit(): i32 {
  const size: u32 = 0x3c000000;
  const region = reserve(size);
  if (region === 0) return 1;
  if (memoryObject().commit(<u32>region, size) !== E_OUTOFMEMORY) return 2;
  if (memoryObject().unmap(<u32>region) !== S_OK) return 3;
  const small = reserve(64 * <u32>PAGE);
  if (small === 0 || memoryObject().commit(<u32>small, 64 * <u32>PAGE) !== S_OK) return 4;
  return memoryObject().unmap(<u32>small) === S_OK ? 0 : 5;
}

/**
 * Maps an object of one page far and wide, takes all frames, and then reads it everywhere: each place wants a page table, for most of which there
 * is no frame.
 */
function tablesWithoutFrames(): i32 {
  const word = stackAlloc(4);
  const counters = changetype<MemoryCounters>(stackAlloc(offsetof<MemoryCounters>()));
  store<u32>(word, 0);
  if (memoryObject().share(<u32>PAGE, word) !== S_OK) return 1;
  const object = changetype<ISharedMemory>(load<usize>(word));
  for (let place: u32 = 0; place < PLACES; place++) {
    store<u32>(word, <u32>(FIRST_PLACE + place * TABLE_REACH));
    if (memoryObject().mapShared(object, word, BOTH) !== S_OK) return 2;
  }
  store<u32>(FIRST_PLACE, MARK);
  const rest = reserve(0x1c000000);
  if (rest === 0 || memoryObject().commit(<u32>rest, 0x1c000000) !== E_OUTOFMEMORY) return 3;
  memoryObject().counters(changetype<usize>(counters));
  const evictions = counters.evictions;
  for (let round: u32 = 0; round < 2; round++)
    for (let place: u32 = 0; place < PLACES; place++)
      if (volatileLoad32(FIRST_PLACE + place * TABLE_REACH) !== MARK) return 4;
  memoryObject().counters(changetype<usize>(counters));
  if (counters.evictions === evictions) return 5;
  return memoryObject().unmap(<u32>rest) === S_OK ? 0 : 6;
}

/** Maps one region after the other until the kernel will have no more. */
function hogRegions(): i32 {
  const word = stackAlloc(4);
  for (let count: u32 = 0; count < 100000; count++) {
    // Downwards, where each one is the first of its space.
    store<u32>(word, 0x30000000 - count * 8192);
    const result = memoryObject().map(word, <u32>PAGE, BOTH);
    if (result === E_OUTOFMEMORY) return count > 1000 ? 0 : 2;
    if (result !== S_OK) return 3;
  }
  return 4;
}

function touchGuard(): i32 {
  const region = reserve(3 * <u32>PAGE);
  if (region === 0) return 1;
  store<u32>(region + PAGE, 7);
  if (memoryObject().protect(<u32>(region + PAGE), <u32>PAGE, 0) !== S_OK) return 2;
  store<u32>(region, 1);
  store<u32>(region + 2 * PAGE, 1);
  return load<i32>(region + PAGE + volatileLoad32(zero)) === 7 ? 3 : 4;
}

function passGuard(): i32 {
  const region = reserve(<u32>PAGE);
  if (region === 0) return 1;
  if (memoryObject().protect(<u32>region, <u32>PAGE, 0) !== S_OK) return 2;
  return systemObject().self(region) === S_OK ? 3 : 4;
}

const raceEnds: usize = memory.data(4, 16);
const raceRegion: usize = memory.data(4, 16);

/** Takes the region away and brings it back, over and over. */
function unmapper(_argument: usize): u32 {
  const word = stackAlloc(4);
  for (let round: u32 = 0; round < 300; round++) {
    memoryObject().unmap(volatileLoad32(raceRegion));
    store<u32>(word, volatileLoad32(raceRegion));
    memoryObject().map(word, 16 * <u32>PAGE, BOTH);
  }
  volatileStore32(raceEnds, 1);
  return 0;
}

/** Lets the kernel write to a region that another thread takes away meanwhile: ends as a bad pointer, or well. */
function unmapRace(): i32 {
  const region = reserve(16 * <u32>PAGE);
  if (region === 0) return 1;
  volatileStore32(raceRegion, <u32>region);
  const thread = startThread(functionAddress(unmapper));
  if (!thread) return 2;
  while (volatileLoad32(raceEnds) === 0) {
    for (let page: usize = 0; page < 16; page++) systemObject().memoryInfo(region + page * PAGE + 4080);
  }
  return 0;
}

function startThread(entry: u32): IThread | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return null;
  const threads = changetype<IThreads>(load<usize>(word));
  const result = threads.create(entry, 0, PRIORITY_DEFAULT, word);
  threads.release();
  return result === S_OK ? changetype<IThread>(load<usize>(word)) : null;
}

export function frameOf(address: usize): u32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  memoryObject().frame(<u32>address, word);
  return load<u32>(word);
}

/** The first whole page of `untouched`. Where data lies is known only when the image is linked: the compiler must not do this rounding. */
function firstUntouched(): usize {
  const word = stackAlloc(4);
  volatileStore32(word, <u32>untouched);
  return (volatileLoad32(word) + PAGE - 1) & ~(PAGE - 1);
}

/** Pages of the image's data that are the archive's own until they are written: 0 and 1 for copies, 2 for a wait, 3 for out arguments. */
export function untouchedPage(index: u32): usize {
  return firstUntouched() + index * PAGE;
}

/** Pages of the image's data are shared until the program, or the kernel for it, writes to them. */
function copyOnWrite(): i32 {
  const page = firstUntouched();
  const before = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  const after = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  const counters = changetype<MemoryCounters>(stackAlloc(offsetof<MemoryCounters>()));
  if (frameOf(page) !== 0) return 1;
  if (volatileLoad32(page + 8) !== 0 || volatileLoad32(page + PAGE + 8) !== 0) return 2;
  const first = frameOf(page);
  const second = frameOf(page + PAGE);
  if (first === 0 || second !== first + PAGE) return 3; // the archive's frames lie in a row
  systemObject().self(changetype<usize>(before));
  memoryObject().counters(changetype<usize>(counters));
  const copies = counters.copies;
  volatileStore32(page + 8, 77);
  systemObject().self(changetype<usize>(after));
  memoryObject().counters(changetype<usize>(counters));
  if (frameOf(page) === first || volatileLoad32(page + 8) !== 77) return 4;
  if (after.sharedPages !== before.sharedPages - 1 || after.privatePages !== before.privatePages + 1)
    return 5;
  if (counters.copies - copies < 1) return 6;
  const info = changetype<MemoryInfo>(page + PAGE);
  systemObject().memoryInfo(page + PAGE);
  if (frameOf(page + PAGE) === second || info.total === 0) return 7;
  systemObject().self(changetype<usize>(after));
  return after.privatePages === before.privatePages + 2 ? 0 : 8;
}

/** A word in a page that is shared until it is written. */
function untouchedWord(): usize {
  return untouchedPage(2);
}

function waiter(_argument: usize): u32 {
  return waitOn(untouchedWord(), 0, FOREVER);
}

/** Waits on such a word; the write that comes before the waking gives the page another frame. */
function waitOnUntouched(): i32 {
  const word = stackAlloc(4);
  const thread = startThread(functionAddress(waiter));
  if (!thread) return 1;
  sleep(20);
  volatileStore32(untouchedWord(), 1);
  if (wake(untouchedWord(), 1) !== 1) return 2;
  store<u32>(word, 99);
  if (thread.join(word) !== S_OK || load<u32>(word) !== 0) return 3;
  thread.release();
  return 0;
}

/** Maps the object `name`, finds 5 in its first word and a waiter behind the second, and answers in the third page. */
function sharedPeer(name: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(name, ISharedMemory.IID, PATIENCE, word) !== S_OK) return 1;
  const object = changetype<ISharedMemory>(load<usize>(word));
  store<u32>(word, 0);
  if (memoryObject().mapShared(object, word, BOTH) !== S_OK) return 2;
  const region: usize = load<u32>(word);
  object.release();
  if (volatileLoad32(region) !== 5) return 3;
  if (volatileLoad32(region + 2 * PAGE) !== 0) return 4;
  volatileStore32(region + 2 * PAGE, frameOf(region));
  volatileStore32(region + 4, 1);
  if (wake(region + 4, 1) !== 1) return 5;
  return 0;
}

/** Counts in turns with whoever shares the memory: +0 mutex, +4 condition, +8 count, whose odd values are ours. Ends with the mutex. */
function takeTurns(name: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (bindWaiting(name, ISharedMemory.IID, PATIENCE, word) !== S_OK) return 1;
  const object = changetype<ISharedMemory>(load<usize>(word));
  store<u32>(word, 0);
  if (memoryObject().mapShared(object, word, BOTH) !== S_OK) return 2;
  object.release();
  const region: usize = load<u32>(word);
  const mutex = changetype<Mutex>(region);
  const turn = changetype<Condition>(region + 4);
  mutex.acquire();
  for (let round: u32 = 0; round < TURNS; round++) {
    while (volatileLoad32(region + 8) % 2 === 0) {
      if (turn.wait(mutex, PATIENCE) !== WAIT_WOKEN) return 3;
    }
    volatileStore32(region + 8, volatileLoad32(region + 8) + 1);
    turn.signal();
  }
  return 0;
}

/** Passes objects that are no shared memory. */
function mapFake(): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = memoryObject().mapShared(
    changetype<ISharedMemory>(changetype<usize>(systemObject())),
    word,
    BOTH,
  );
  if (result >= 0) return 1;
  return memoryObject().mapShared(changetype<ISharedMemory>(0), word, BOTH) < 0 ? 0 : 2;
}
