/**
 * Path lengths of the kernel: repeats one operation at a time between two marks of the monitor port, and prints a line for each
 * pair of marks, which `rialto bench kernel` joins with the machine's counts:
 *
 *   bench PHASE ROUNDS NAME     marks PHASE and PHASE + 1 enclose ROUNDS times the operation
 *
 * The first one is empty: what a pair of marks costs itself. "kernelbench nothing" only ends, as the program that is started
 * and ended.
 */

import { IEcho } from "../../interfaces/IEcho";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { makePrinter, PRINTER_SIZE, print } from "../../lib/rt/print";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";
import { stringEquals } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { FOREVER, type Mutex, waitOn, wake, yieldProcessor } from "../../lib/rt/wait";

const PATIENCE: u32 = 2000;
const CALLS: u32 = 500;
const FEW: u32 = 20;
const PAGES: u32 = 64;
const PAGE: u32 = 4096;
const REGIONS: u32 = 1000;
const LARGE: u32 = 65536;

const IN_KERNEL: usize = text("kernelbench.kernel");
const IN_PROCESS: usize = text("kernelbench.process");

let phase: u32 = 0;
/** What the two threads of a switch take turns on. */
const turn: usize = memory.data(16, 16);

function begin(): void {
  systemObject().markPhase(phase);
}

function end(rounds: u32, name: usize): void {
  systemObject().markPhase(phase + 1);
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("bench "));
  out.number(phase);
  out.text(text(" "));
  out.number(rounds);
  out.text(text(" "));
  out.text(name);
  out.end();
  phase += 2;
}

export function main(argc: i32, argv: usize): i32 {
  if (argc === 2 && stringEquals(load<usize>(argv, 4), text("nothing"))) return 0;
  if (argc !== 1) {
    print(text("usage: kernelbench [nothing]\n"));
    return 2;
  }
  phase = 0;
  begin();
  end(1, text("a pair of marks"));
  let result = calls(PLACE_KERNEL, IN_KERNEL);
  if (result === S_OK) result = calls(PLACE_PROCESS, IN_PROCESS);
  if (result === S_OK) result = synchronisation();
  if (result === S_OK) result = pages();
  if (result === S_OK) result = programs();
  if (result === S_OK) return 0;
  print(text("kernelbench: "));
  print(describeResult(result));
  print(text("\n"));
  return 1;
}

/** Calls of an echo server at `place`. */
function calls(place: u32, name: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = systemObject().run(text("echo"), name, place, word);
  if (result !== S_OK) return result;
  const server = changetype<IProcess>(load<usize>(word));
  result = bindWaiting(name, IEcho.IID, PATIENCE, word);
  if (result !== S_OK) return result;
  const echo = changetype<IEcho>(load<usize>(word));
  result = echo.nothing();
  if (result === S_OK) result = callEcho(echo, place === PLACE_KERNEL);
  echo.quit();
  echo.release();
  server.wait(word);
  server.release();
  return result;
}

function callEcho(echo: IEcho, inKernel: bool): HRESULT {
  begin();
  for (let round: u32 = 0; round < CALLS; round++) echo.nothing();
  end(CALLS, inKernel ? text("null call, server in the kernel") : text("null call, server in a process"));
  const word = stackAlloc(4);
  const buffer = stackAlloc(16);
  const address = stackAlloc(4);
  store<u32>(address, 0);
  const result = memoryObject().map(address, LARGE, PROTECT_READ | PROTECT_WRITE);
  if (result !== S_OK) return result;
  const large: usize = load<u32>(address);
  for (let at: usize = 0; at < LARGE; at += PAGE) store<u8>(large + at, 1);
  begin();
  for (let round: u32 = 0; round < CALLS; round++) echo.fill(round, buffer, 4);
  end(
    CALLS,
    inKernel
      ? text("call with 4 bytes out, server in the kernel")
      : text("call with 4 bytes out, server in a process"),
  );
  begin();
  for (let round: u32 = 0; round < FEW; round++) echo.sum(large, PAGE, word);
  end(
    FEW,
    inKernel
      ? text("call with 4 KB in, server in the kernel")
      : text("call with 4 KB in, server in a process"),
  );
  begin();
  for (let round: u32 = 0; round < FEW; round++) echo.sum(large, LARGE, word);
  end(
    FEW,
    inKernel
      ? text("call with 64 KB in, server in the kernel")
      : text("call with 64 KB in, server in a process"),
  );
  return memoryObject().unmap(<u32>large);
}

/** Waits for its turn (1), gives it back (0), until told to end (2). */
function partner(_argument: usize): u32 {
  while (true) {
    const value = volatileLoad32(turn);
    if (value === 2) return 0;
    if (value === 0) {
      waitOn(turn, 0, FOREVER);
      continue;
    }
    volatileStore32(turn, 0);
    wake(turn, 1);
  }
}

function yielder(_argument: usize): u32 {
  while (volatileLoad32(turn) !== 2) yieldProcessor();
  return 0;
}

function startThread(entry: usize, out: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const found = systemObject().queryInterface(IThreads.IID, word);
  if (found !== S_OK) return found;
  const threads = changetype<IThreads>(load<usize>(word));
  const result = threads.create(<u32>entry, 0, PRIORITY_DEFAULT, out);
  threads.release();
  return result;
}

function finish(thread: IThread): void {
  const word = stackAlloc(4);
  volatileStore32(turn, 2);
  wake(turn, FOREVER);
  thread.join(word);
  thread.release();
}

function synchronisation(): HRESULT {
  begin();
  for (let round: u32 = 0; round < CALLS; round++) wake(turn, 0);
  end(CALLS, text("private trap"));
  const mutex = changetype<Mutex>(turn + 4);
  begin();
  for (let round: u32 = 0; round < CALLS; round++) {
    mutex.acquire();
    mutex.release();
  }
  end(CALLS, text("mutex taken and given back, uncontended"));
  const word = stackAlloc(4);
  store<u32>(word, 0);
  volatileStore32(turn, 0);
  let result = startThread(functionAddress(yielder), word);
  if (result !== S_OK) return result;
  yieldProcessor();
  begin();
  for (let round: u32 = 0; round < CALLS; round++) yieldProcessor();
  end(CALLS * 2, text("thread switch by yielding"));
  finish(changetype<IThread>(load<usize>(word)));
  volatileStore32(turn, 0);
  result = startThread(functionAddress(partner), word);
  if (result !== S_OK) return result;
  begin();
  for (let round: u32 = 0; round < CALLS; round++) {
    volatileStore32(turn, 1);
    wake(turn, 1);
    while (volatileLoad32(turn) === 1) waitOn(turn, 1, FOREVER);
  }
  end(CALLS * 2, text("thread switch by waiting and waking"));
  finish(changetype<IThread>(load<usize>(word)));
  begin();
  for (let round: u32 = 0; round < FEW; round++) {
    result = startThread(functionAddress(returns), word);
    if (result !== S_OK) return result;
    const thread = changetype<IThread>(load<usize>(word));
    thread.join(word);
    thread.release();
  }
  end(FEW, text("thread made, run and joined"));
  return S_OK;
}

function returns(_argument: usize): u32 {
  return 0;
}

function pages(): HRESULT {
  let result = pagesOf(text("page fault, first touch of a page"));
  const list = stackAlloc(REGIONS * 4);
  let made: u32 = 0;
  for (; made < REGIONS && result === S_OK; made++) {
    store<u32>(list + made * 4, 0);
    result = memoryObject().map(list + made * 4, PAGE, PROTECT_READ | PROTECT_WRITE);
  }
  if (result === S_OK) result = pagesOf(text("page fault, first touch of a page, among 1000 regions"));
  for (let index: u32 = 0; index < made; index++) memoryObject().unmap(load<u32>(list + index * 4));
  return result;
}

/** A region of many pages: made, touched, ended. */
function pagesOf(touch: usize): HRESULT {
  const address = stackAlloc(4);
  store<u32>(address, 0);
  begin();
  const result = memoryObject().map(address, PAGES * PAGE, PROTECT_READ | PROTECT_WRITE);
  end(1, text("region made"));
  if (result !== S_OK) return result;
  const region: usize = load<u32>(address);
  store<u8>(region, 1); // brings the page table
  begin();
  for (let page: u32 = 1; page < PAGES; page++) store<u8>(region + page * PAGE, 1);
  end(PAGES - 1, touch);
  begin();
  const unmapped = memoryObject().unmap(<u32>region);
  end(1, text("region of 64 pages ended"));
  return unmapped;
}

/** Programs made and ended: from the call that loads them until their end is known. */
function programs(): HRESULT {
  const word = stackAlloc(4);
  for (let place = PLACE_PROCESS; place <= PLACE_KERNEL; place++) {
    begin();
    for (let round: u32 = 0; round < FEW; round++) {
      store<u32>(word, 0);
      const result = systemObject().run(text("kernelbench"), text("nothing"), place, word);
      if (result !== S_OK) return result;
      const process = changetype<IProcess>(load<usize>(word));
      process.wait(word);
      process.release();
    }
    end(
      FEW,
      place === PLACE_KERNEL
        ? text("program loaded in the kernel and unloaded")
        : text("process made and ended"),
    );
  }
  return S_OK;
}
