/**
 * Running cases: every case is a function (): void that reports what it finds wrong with `expect` and `expectEqual`. After each case
 * the system must hold what it held before: free frames, handles of this space, blocks of its heap.
 */

import {
  type MemoryInfo,
  type ProcessInfo,
  STACKS_UNTRIMMED,
  type StackInfo,
} from "../../interfaces/ISystem";
import { heapBlocks } from "../../lib/rt/heap";
import { makePrinter, PRINTER_SIZE } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { sleep } from "../../lib/rt/wait";

/** What ends may come late (a thread's last pages, a process's tables): how long to wait for them, in ms. */
const SETTLE: u32 = 3000;
/** How often a case may be repeated until one repetition leaves the system as it was. */
const REPETITIONS: u32 = 4;

let caseFailed = false;
let passed: u32 = 0;
let failed: u32 = 0;
let caseName: usize = 0;
/** Array of the names of the cases to run, all if there are none. */
let selected: usize = 0;
let selectedCount: u32 = 0;

/** Has only cases of these names run; `names` is an array of `count` strings. */
export function selectCases(names: usize, count: u32): void {
  selected = names;
  selectedCount = count;
}

function isSelected(name: usize): bool {
  for (let index: u32 = 0; index < selectedCount; index++)
    if (stringEquals(load<usize>(selected + index * 4), name)) return true;
  return selectedCount === 0;
}

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

/** Free frames; and those of kernel stacks where they give nothing back, as every stack of the pool may still come to be as deep as another. */
function spareFrames(info: MemoryInfo): u32 {
  const stacks = changetype<StackInfo>(stackAlloc(offsetof<StackInfo>()));
  const kept =
    systemObject().stackInfo(changetype<usize>(stacks)) === 0 && stacks.policy === STACKS_UNTRIMMED;
  return info.free + (kept ? info.kernelStacks : 0);
}

function spareFramesNow(): u32 {
  const info = stackAlloc(offsetof<MemoryInfo>());
  return systemObject().memoryInfo(info) === 0 ? spareFrames(changetype<MemoryInfo>(info)) : 0;
}

/** What must be after a case as it was before it. */
@unmanaged
class Holdings {
  memory: usize = 0;
  handles: u32 = 0;
  blocks: u32 = 0;
}

function takeStock(holdings: Holdings): void {
  systemObject().memoryInfo(holdings.memory);
  holdings.handles = handles();
  holdings.blocks = heapBlocks();
}

function hasGrown(holdings: Holdings): bool {
  return (
    spareFramesNow() < spareFrames(changetype<MemoryInfo>(holdings.memory)) ||
    handles() !== holdings.handles ||
    heapBlocks() !== holdings.blocks
  );
}

/** Reports what was lost, and whose the frames are now. */
function complainOfGrowth(holdings: Holdings): void {
  expectEqual(handles(), holdings.handles, text("number of handles"));
  expectEqual(heapBlocks(), holdings.blocks, text("number of heap blocks"));
  const info = stackAlloc(offsetof<MemoryInfo>());
  if (systemObject().memoryInfo(info) !== 0) return;
  const before = changetype<MemoryInfo>(holdings.memory);
  const after = changetype<MemoryInfo>(info);
  if (spareFrames(after) >= spareFrames(before)) return;
  expectEqual(after.free, before.free, text("number of free frames"));
  expectEqual(after.kernelHeap, before.kernelHeap, text("kernel heap"));
  expectEqual(after.pageTables, before.pageTables, text("page tables"));
  expectEqual(after.userStacks, before.userStacks, text("user stacks"));
  expectEqual(after.kernelStacks, before.kernelStacks, text("kernel stacks"));
  expectEqual(after.imageCode, before.imageCode, text("image code"));
  expectEqual(after.imageData, before.imageData, text("image data"));
  expectEqual(after.anonymous, before.anonymous, text("anonymous memory"));
}

function handles(): u32 {
  const info = stackAlloc(offsetof<ProcessInfo>());
  return systemObject().self(info) === 0 ? changetype<ProcessInfo>(info).handles : 0;
}

function body(run: usize): void {
  call_indirect<void>(<u32>run);
}

/**
 * Runs one case, then again with a look at what the system holds. Caches that stay (pooled stacks, heap chunks, server threads)
 * may still fill in a repetition, a leak grows in every one.
 */
export function runCase(name: usize, run: usize): void {
  if (!isSelected(name)) return;
  caseName = name;
  caseFailed = false;
  body(run);
  const holdings = changetype<Holdings>(stackAlloc(offsetof<Holdings>()));
  holdings.memory = stackAlloc(offsetof<MemoryInfo>());
  let clean = false;
  for (let round: u32 = 0; round < REPETITIONS && !clean && !caseFailed; round++) {
    settle(0);
    takeStock(holdings);
    body(run);
    settle(spareFrames(changetype<MemoryInfo>(holdings.memory)));
    clean = !hasGrown(holdings);
  }
  if (!clean && !caseFailed) complainOfGrowth(holdings);
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(caseFailed ? text("FAILED ") : text("ok "));
  out.text(name);
  out.end();
  if (caseFailed) failed++;
  else passed++;
}

/** Waits until at least `frames` are spare and the number has stopped growing, or the time is over. */
function settle(frames: u32): void {
  let before: u32 = 0;
  for (let waited: u32 = 0; waited < SETTLE; waited += 5) {
    const spare = spareFramesNow();
    if (spare === before && (frames === 0 || spare >= frames)) return;
    before = spare;
    sleep(5);
  }
}
