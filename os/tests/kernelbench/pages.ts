/** Page faults of every kind, and regions. */

import { IEcho } from "../../interfaces/IEcho";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS, type StackInfo } from "../../interfaces/ISystem";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { begin, end, endLess, endUnnamed, leaveOut, nextPhase } from "./marks";

const PAGES: u32 = 64;
const PAGE: u32 = 4096;
const REGIONS: u32 = 1000;
const STACK_PAGES: u32 = 16;
const COPIED: u32 = 4;
const SCRATCH_PAGES: u32 = 16;
const PATIENCE: u32 = 2000;
/** Nothing is mapped from here on. */
const NOWHERE: usize = 0x20000000;
const SERVER: usize = text("kernelbench.scratch");

/** Pages of the image between data that is not 0, so that the file holds them: written, they are copied. */
const before: usize = memory.data<u32>([1]);
const imagePages: usize = memory.data(20480, 16);
const pagesAddress: usize = memory.data<usize>([imagePages]);
const after: usize = memory.data<u32>([1]);

export function pageRows(): HRESULT {
  let result = touchedPages(0);
  if (result === S_OK) result = amongRegions();
  if (result !== S_OK) return result;
  if (codeSegment() & 2) copiedPages();
  stackPages();
  return scratchPages();
}

function amongRegions(): HRESULT {
  const list = stackAlloc(REGIONS * 4);
  let made: u32 = 0;
  let result: HRESULT = S_OK;
  for (; made < REGIONS && result === S_OK; made++) {
    store<u32>(list + made * 4, 0);
    result = memoryObject().map(list + made * 4, PAGE, PROTECT_READ | PROTECT_WRITE);
  }
  if (result === S_OK) result = touchedPages(text(", among 1000 regions"));
  for (let index: u32 = 0; index < made; index++) memoryObject().unmap(load<u32>(list + index * 4));
  return result;
}

/** A region of many pages: made, touched, ended. */
export function touchedPages(where: usize): HRESULT {
  const address = stackAlloc(4);
  store<u32>(address, 0);
  begin();
  const result = memoryObject().map(address, PAGES * PAGE, PROTECT_READ | PROTECT_WRITE);
  end(1, text("region made"), where);
  if (result !== S_OK) return result;
  const region: usize = load<u32>(address);
  store<u8>(region, 1); // brings the page table
  begin();
  for (let page: u32 = 1; page < PAGES; page++) store<u8>(region + page * PAGE, 1);
  end(PAGES - 1, text("page fault, first touch"), where);
  begin();
  const unmapped = memoryObject().unmap(<u32>region);
  end(1, text("region of 64 pages ended"), where);
  return unmapped;
}

/** In the kernel an image's data is copied when it is loaded. */
function copiedPages(): void {
  let first = volatileLoad32(pagesAddress);
  first = (first + PAGE - 1) & ~(PAGE - 1);
  volatileLoad32(first);
  begin();
  for (let page: u32 = 0; page < COPIED; page++) volatileStore32(first + page * PAGE, 1);
  end(COPIED, text("page fault, copy on write"));
  volatileStore32(before, volatileLoad32(after));
}

/** The stack grows by a page a call: a user stack in a process, a kernel stack in the kernel. */
function stackPages(): void {
  const address = stackAlloc(offsetof<StackInfo>());
  systemObject().stackInfo(address);
  if (changetype<StackInfo>(address).limit < (STACK_PAGES + 4) * PAGE) {
    leaveOut(text("page fault, growth of the stack, which has all its pages from the start"));
    return;
  }
  begin();
  deeper(STACK_PAGES);
  end(STACK_PAGES, text("page fault, growth of the stack"));
}

function deeper(pages: u32): u32 {
  if (pages === 0) return 0;
  const frame = stackAlloc(PAGE - 64);
  volatileStore32(frame, pages);
  return deeper(pages - 1) + volatileLoad32(frame);
}

/** A server in the kernel reads pages that its caller, which ends of that, does not have. */
function scratchPages(): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = systemObject().run(text("echo"), SERVER, PLACE_KERNEL, word);
  if (result !== S_OK) return result;
  const server = changetype<IProcess>(load<usize>(word));
  result = bindWaiting(SERVER, IEcho.IID, PATIENCE, word);
  if (result !== S_OK) return result;
  const echo = changetype<IEcho>(load<usize>(word));
  result = badCaller(text("bad 1"));
  const one = nextPhase();
  begin();
  if (result === S_OK) result = badCaller(text("bad 1"));
  endUnnamed();
  begin();
  if (result === S_OK) result = badCaller(text("bad 17"));
  endLess(SCRATCH_PAGES, one, text("page fault, scratch page, with 4 KB read"));
  echo.quit();
  echo.release();
  server.wait(word);
  server.release();
  return result;
}

function badCaller(args: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(text("kernelbench"), args, PLACE_PROCESS, word);
  if (result !== S_OK) return result;
  const process = changetype<IProcess>(load<usize>(word));
  process.wait(word);
  process.release();
  return S_OK;
}

/** The program "kernelbench bad PAGES": one call with a buffer of so many pages that are not there. */
export function callBadly(pages: u32): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = bindWaiting(SERVER, IEcho.IID, PATIENCE, word);
  if (result !== S_OK) return result;
  changetype<IEcho>(load<usize>(word)).probe(NOWHERE, pages * PAGE);
  return 0;
}
