/**
 * What must not depend on how much there is: the same operations among 1, 10, 100 and 1,000 threads, regions, objects and processes more, or as
 * many as there is memory for. Rows are called "OPERATION, COUNT KIND".
 */

import { IEcho } from "../../interfaces/IEcho";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS } from "../../interfaces/ISystem";
import { IThreads } from "../../interfaces/IThreads";
import type { IUnknown } from "../../interfaces/IUnknown";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { begin, end, GROUPS } from "./marks";
import { touchedPages } from "./pages";
import { dismissCrowd, gatherCrowd, switches } from "./threads";

const THREADS: u32 = 0;
const REGIONS: u32 = 1;
const OBJECTS: u32 = 2;
const PROCESSES: u32 = 3;
const KINDS: u32 = 4;
const MOST: u32 = 1000;
const CALLS: u32 = 50;
const FEW: u32 = 5;
const PAGE: u32 = 4096;
const PATIENCE: u32 = 2000;
const SERVER: usize = text("kernelbench.scale");

/** Of what has been gathered: addresses of regions, pointers to objects. */
const gathered: usize = memory.data(4000, 16);
/** ", COUNT KIND". */
const label: usize = memory.data(32, 16);

export function scaleRows(): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = systemObject().run(text("echo"), SERVER, PLACE_PROCESS, word);
  if (result !== S_OK) return result;
  const server = changetype<IProcess>(load<usize>(word));
  result = bindWaiting(SERVER, IEcho.IID, PATIENCE, word);
  if (result !== S_OK) return result;
  const echo = changetype<IEcho>(load<usize>(word));
  for (let kind: u32 = 0; kind < KINDS && result === S_OK; kind++) result = amongMany(kind, echo);
  echo.quit();
  echo.release();
  server.wait(word);
  server.release();
  return result;
}

function amongMany(kind: u32, echo: IEcho): HRESULT {
  let count: u32 = 0;
  let result: HRESULT = S_OK;
  for (let wanted: u32 = 1; wanted <= MOST && result === S_OK; wanted *= 10) {
    const before = count;
    count = gather(kind, count, wanted);
    if (count === before) break;
    // The last of the memory is for what is measured.
    if (count < wanted) count = giveBack(kind, count, count - count / 10);
    writeLabel(kind, count);
    result = operations(echo);
    if (count < wanted) break;
  }
  giveBack(kind, count, 0);
  return result;
}

function kindName(kind: u32): usize {
  if (kind === THREADS) return text(" threads");
  if (kind === REGIONS) return text(" regions");
  return kind === OBJECTS ? text(" objects") : text(" processes");
}

function writeLabel(kind: u32, count: u32): void {
  store<u16>(label, 0x202c); // ", "
  let at = writeNumber(label + 2, count);
  for (let from = kindName(kind); load<u8>(from) !== 0; from++) store<u8>(at++, load<u8>(from));
  store<u8>(at, 0);
}

/** Returns where its digits end. */
function writeNumber(at: usize, value: u32): usize {
  const last = value < 10 ? at : writeNumber(at, value / 10);
  store<u8>(last, <u8>(48 + (value % 10)));
  return last + 1;
}

/** Makes more of a kind, from `first` to `count`; returns how many there are then. */
function gather(kind: u32, first: u32, count: u32): u32 {
  if (kind === THREADS) return gatherCrowd(first, count) === S_OK ? count : first;
  for (let index = first; index < count; index++) {
    const at = gathered + index * 4;
    store<u32>(at, 0);
    if (make(kind, at) !== S_OK) return index;
  }
  return count;
}

function make(kind: u32, out: usize): HRESULT {
  if (kind === REGIONS) return memoryObject().map(out, PAGE, PROTECT_READ | PROTECT_WRITE);
  if (kind === OBJECTS) return memoryObject().share(PAGE, out);
  return systemObject().run(text("kernelbench"), text("sleeps"), PLACE_PROCESS, out);
}

/** Ends the last of a kind, until `left` are left; returns that. Threads go all at once. */
function giveBack(kind: u32, count: u32, left: u32): u32 {
  if (kind === THREADS) {
    dismissCrowd();
    return 0;
  }
  for (let index = left; index < count; index++) endOne(kind, load<usize>(gathered + index * 4));
  return left;
}

function endOne(kind: u32, one: usize): void {
  const word = stackAlloc(4);
  if (kind === REGIONS) {
    memoryObject().unmap(<u32>one);
    return;
  }
  if (kind === PROCESSES) {
    changetype<IProcess>(one).kill();
    changetype<IProcess>(one).wait(word);
  }
  changetype<IUnknown>(one).release();
}

function operations(echo: IEcho): HRESULT {
  calls(echo);
  objects();
  let result = switches(label);
  if (result === S_OK) result = touchedPages(label);
  return result === S_OK ? programs() : result;
}

function calls(echo: IEcho): void {
  const word = stackAlloc(4);
  systemObject().queryInterface(IThreads.IID, word);
  const threads = changetype<IThreads>(load<usize>(word));
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) threads.current(word);
    end(CALLS, text("call to the kernel, 4 B out"), label);
    begin();
    for (let round: u32 = 0; round < CALLS; round++) echo.nothing();
    end(CALLS, text("null call, server in a process"), label);
  }
  threads.release();
}

/** Interface pointers, which in a process are handles: found again, new ones; an object found by its name. */
function objects(): void {
  const word = stackAlloc(4);
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) {
      systemObject().queryInterface(IThreads.IID, word);
      changetype<IUnknown>(load<usize>(word)).release();
    }
    end(CALLS, text("interface asked for and released"), label);
    begin();
    for (let round: u32 = 0; round < CALLS; round++) {
      memoryObject().share(PAGE, word);
      changetype<IUnknown>(load<usize>(word)).release();
    }
    end(CALLS, text("object made and released"), label);
    begin();
    for (let round: u32 = 0; round < CALLS; round++) {
      systemObject().bind(text("boot.archive"), IThreads.IID, word);
    }
    end(CALLS, text("object looked up by its name"), label);
  }
}

function programs(): HRESULT {
  const word = stackAlloc(4);
  begin();
  for (let round: u32 = 0; round < FEW; round++) {
    store<u32>(word, 0);
    const result = systemObject().run(text("kernelbench"), text("nothing"), PLACE_PROCESS, word);
    if (result !== S_OK) return result;
    const process = changetype<IProcess>(load<usize>(word));
    process.wait(word);
    process.release();
  }
  end(FEW, text("process made and ended"), label);
  return S_OK;
}
