/** Bad addresses that the kernel meets: the scratch page (§5.1.1), and pages for which there is no memory. */

import { type MemoryCounters, PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import type { ISharedMemory } from "../../interfaces/ISharedMemory";
import { type MemoryInfo, PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { E_OUTOFMEMORY, E_POINTER, S_OK } from "../../interfaces/results";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { expectAbuse, type Server, startServer } from "./servers";

const PAGE: u32 = 4096;
const PATIENCE: u32 = 3000;
const LARGE_PAGES: u32 = 256;
const UNTOUCHED: u32 = 0x5eed5eed;
const NAME: usize = text("suite.shared");

function scratchHits(): u32 {
  const counters = changetype<MemoryCounters>(stackAlloc(offsetof<MemoryCounters>()));
  memoryObject().counters(changetype<usize>(counters));
  return counters.scratchHits;
}

function structures(): void {
  const before = scratchHits();
  expectAbuse(text("pass-null"), E_POINTER);
  expectAbuse(text("pass-straddling"), E_POINTER);
  expect(scratchHits() - before >= 1, text("the scratch page was not used"));
}

function endlessString(): void {
  const before = scratchHits();
  withServer(text("pass-endless-string"));
  expect(scratchHits() - before >= 1, text("the scratch page was not used"));
}

/** Runs an abuse beside an echo server in the kernel, which meets the bad address. */
function withServer(abuse: usize): void {
  const server = changetype<Server>(stackAlloc(offsetof<Server>()));
  if (!startServer(server, PLACE_KERNEL)) return;
  expectAbuse(abuse, E_POINTER);
  server.stop();
}

function largeBuffer(): void {
  const before = scratchHits();
  withServer(text("pass-large-buffer"));
  expect(scratchHits() - before >= LARGE_PAGES, text("not every page went to the scratch page"));
}

/** Runs an abuse that maps memory of the suite's with UNTOUCHED in its first word; returns what is there then. */
function withSharedWord(abuse: usize): u32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(memoryObject().share(2 * PAGE, word), S_OK, text("result of share"))) return 0;
  const object = changetype<ISharedMemory>(load<usize>(word));
  store<u32>(word, 0);
  memoryObject().mapShared(object, word, PROTECT_READ | PROTECT_WRITE);
  const region: usize = load<u32>(word);
  store<u32>(region, UNTOUCHED);
  expectEqual(systemObject().register(NAME, object), S_OK, text("result of register"));
  withServer(abuse);
  expectEqual(systemObject().unregister(NAME), S_OK, text("result of unregister"));
  object.release();
  const value = load<u32>(region);
  expectEqual(memoryObject().unmap(<u32>region), S_OK, text("result of unmap"));
  return value;
}

function readOnly(): void {
  expectEqual(withSharedWord(text("pass-read-only-buffer")), UNTOUCHED, text("word of a read-only page"));
}

/** Where the program may not write, the kernel does not write for it. */
function outArguments(): void {
  expectAbuse(text("out-into-code"), 0);
  expectAbuse(text("out-into-read-only"), 0);
  expectAbuse(text("out-straddling"), 0);
  expectAbuse(text("out-interface"), 0);
}

function outArgumentsOfServers(): void {
  for (let place = PLACE_PROCESS; place <= PLACE_KERNEL; place++) {
    const server = changetype<Server>(stackAlloc(offsetof<Server>()));
    if (!startServer(server, place)) return;
    expectAbuse(text("out-of-server"), 0);
    server.stop();
  }
}

function outIntoSharedData(): void {
  expectAbuse(text("out-into-shared-data"), 0);
}

/** What one thread's call put into the scratch page, the call of another one does not find there. */
function anothersScratch(): void {
  expectEqual(withSharedWord(text("scratch-of-another")), 0, text("sum of another thread's bad page"));
}

function withoutMemory(): void {
  expectAbuse(text("pass-without-memory"), E_OUTOFMEMORY);
}

function withoutMemoryInKernel(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(text("abuse"), text("touch-through-kernel"), PLACE_KERNEL, word);
  if (!expectEqual(result, S_OK, text("result of run"))) return;
  const process = changetype<IProcess>(load<usize>(word));
  process.wait(word);
  process.release();
  expectEqual(load<u32>(word), E_OUTOFMEMORY, text("exit code"));
  // The process that took all memory holds it for a while.
  const info = changetype<MemoryInfo>(stackAlloc(offsetof<MemoryInfo>()));
  for (let waited: u32 = 0; waited < PATIENCE; waited += 20) {
    systemObject().memoryInfo(changetype<usize>(info));
    if (info.free > info.total / 4) return;
    sleep(20);
  }
  expect(false, text("memory did not come back"));
}

export function scratchCases(): void {
  runCase(text("scratch-for-structures"), functionAddress(structures));
  runCase(text("scratch-for-a-string"), functionAddress(endlessString));
  runCase(text("scratch-for-a-large-buffer"), functionAddress(largeBuffer));
  runCase(text("scratch-for-read-only-pages"), functionAddress(readOnly));
  runCase(text("out-arguments-into-read-only-pages"), functionAddress(outArguments));
  runCase(text("out-arguments-of-servers-into-read-only-pages"), functionAddress(outArgumentsOfServers));
  runCase(text("out-arguments-into-shared-data"), functionAddress(outIntoSharedData));
  runCase(text("scratch-of-another-thread"), functionAddress(anothersScratch));
  runCase(text("touch-without-memory-in-a-call"), functionAddress(withoutMemory));
  runCase(text("touch-without-memory-in-the-kernel"), functionAddress(withoutMemoryInKernel));
}
