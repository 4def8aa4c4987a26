/**
 * Running cases: every case is a function (): void that reports what it finds wrong with `expect` and `expectEqual`. After each case
 * the system must hold what it held before: free frames, handles of this space, blocks of its heap.
 */

import type { MemoryInfo, ProcessInfo } from "../../interfaces/ISystem";
import { heapBlocks } from "../../lib/rt/heap";
import { makePrinter, PRINTER_SIZE } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { sleep } from "../../lib/rt/wait";

/** What ends may come late (a thread's last pages, a process's tables): how long to wait for them, in ms. */
const SETTLE: u32 = 300;

let caseFailed = false;
let passed: u32 = 0;
let failed: u32 = 0;
let caseName: usize = 0;

export function passedCases(): u32 {
  return passed;
}

export function failedCases(): u32 {
  return failed;
}

function complain(what: usize): void {
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("  "));
  out.text(caseName);
  out.text(text(": "));
  out.text(what);
  out.end();
  caseFailed = true;
}

/** Reports `what` unless `condition` holds; returns it. */
export function expect(condition: bool, what: usize): bool {
  if (!condition) complain(what);
  return condition;
}

/** Reports both values unless they are equal. */
export function expectEqual(value: u32, wanted: u32, what: usize): bool {
  if (value === wanted) return true;
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("  "));
  out.text(caseName);
  out.text(text(": "));
  out.text(what);
  out.text(text(" is 0x"));
  out.hexadecimal(value);
  out.text(text(", not 0x"));
  out.hexadecimal(wanted);
  out.end();
  caseFailed = true;
  return false;
}

function freeFrames(): u32 {
  const info = stackAlloc(offsetof<MemoryInfo>());
  return systemObject().memoryInfo(info) === 0 ? changetype<MemoryInfo>(info).free : 0;
}

function handles(): u32 {
  const info = stackAlloc(offsetof<ProcessInfo>());
  return systemObject().self(info) === 0 ? changetype<ProcessInfo>(info).handles : 0;
}

function body(run: usize): void {
  call_indirect<void>(<u32>run);
}

/**
 * Runs one case twice: the first run may fill caches that stay (pooled stacks, heap chunks, server threads), after the
 * second one everything must be as before it.
 */
export function runCase(name: usize, run: usize): void {
  caseName = name;
  caseFailed = false;
  body(run);
  if (!caseFailed) {
    settle(0);
    const frames = freeFrames();
    const handlesBefore = handles();
    const blocks = heapBlocks();
    body(run);
    settle(frames);
    if (freeFrames() < frames) expectEqual(freeFrames(), frames, text("number of free frames"));
    expectEqual(handles(), handlesBefore, text("number of handles"));
    expectEqual(heapBlocks(), blocks, text("number of heap blocks"));
  }
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(caseFailed ? text("FAILED ") : text("ok "));
  out.text(name);
  out.end();
  if (caseFailed) failed++;
  else passed++;
}

/** Waits until at least `frames` are free and the number has stopped growing, or the time is over. */
function settle(frames: u32): void {
  let before: u32 = 0;
  for (let waited: u32 = 0; waited < SETTLE; waited += 5) {
    const free = freeFrames();
    if (free === before && (frames === 0 || free >= frames)) return;
    before = free;
    sleep(5);
  }
}
