/** Memory, stacks and shared libraries. */

import { IMemory, PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { type ModuleInfo, type ProcessInfo, STACKS_FIXED, type StackInfo } from "../../interfaces/ISystem";
import { E_EXISTS, E_INVALIDARG, E_NOTFOUND, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import { allocate, free } from "../../lib/rt/heap";
import { systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { expect, expectEqual, runCase } from "./check";
import { runToEnd } from "./servers";

const PAGE: u32 = 4096;
const BLOCKS: u32 = 64;
/** Bytes of a level of `recurse`, at most, and what else may be on the stack. 500 levels are 1 MB. */
const LEVEL: u32 = 2128;
const STACK_IN_USE: u32 = 12288;

function memoryObject(): IMemory {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (systemObject().queryInterface(IMemory.IID, word) !== S_OK) return changetype<IMemory>(0);
  return changetype<IMemory>(load<usize>(word));
}

/** A new region, or 0. */
function mapPages(space: IMemory, pages: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = space.map(word, pages * PAGE, PROTECT_READ | PROTECT_WRITE);
  return expectEqual(result, S_OK, text("result of map")) ? load<u32>(word) : 0;
}

function autoCommit(): void {
  const space = memoryObject();
  const frame = stackAlloc(4);
  const region = mapPages(space, 8);
  if (region === 0) return;
  expectEqual(space.frame(region + 5 * PAGE, frame), S_OK, text("result of frame"));
  expectEqual(load<u32>(frame), 0, text("frame before the first touch"));
  expectEqual(load<u32>(region + 5 * PAGE + 12), 0, text("word before it was written"));
  store<u32>(region + 5 * PAGE + 12, 77);
  expectEqual(load<u32>(region + 5 * PAGE + 12), 77, text("word after it was written"));
  space.frame(region + 5 * PAGE, frame);
  expect(load<u32>(frame) !== 0, text("a touched page has no frame"));
  expectEqual(space.unmap(region), S_OK, text("result of unmap"));
  expectEqual(space.unmap(region), E_NOTFOUND, text("result of unmapping it again"));
  space.release();
}

function regionErrors(): void {
  const space = memoryObject();
  const word = stackAlloc(4);
  const region = mapPages(space, 4);
  if (region === 0) return;
  store<u32>(word, <u32>region + PAGE);
  expectEqual(space.map(word, PAGE, PROTECT_READ), E_EXISTS, text("result of overlapping"));
  store<u32>(word, <u32>region + 1);
  expectEqual(space.map(word, PAGE, PROTECT_READ), E_INVALIDARG, text("result of an unaligned address"));
  store<u32>(word, 0);
  expectEqual(space.map(word, 0, PROTECT_READ), E_INVALIDARG, text("result of size 0"));
  expectEqual(
    space.map(word, 0xfffff000, PROTECT_READ),
    E_OUTOFMEMORY,
    text("result of a size beyond the address space"),
  );
  expectEqual(
    space.protect(region + 16 * PAGE, PAGE, PROTECT_READ),
    E_NOTFOUND,
    text("result of protecting nothing"),
  );
  expectEqual(space.unmap(region), S_OK, text("result of unmap"));
  space.release();
}

function protection(): void {
  const space = memoryObject();
  const region = mapPages(space, 4);
  if (region === 0) return;
  store<u32>(region + PAGE, 5);
  expectEqual(space.protect(region + PAGE, PAGE, PROTECT_READ), S_OK, text("result of protect"));
  expectEqual(load<u32>(region + PAGE), 5, text("word of the read-only page"));
  store<u32>(region, 6);
  store<u32>(region + 2 * PAGE, 7);
  expectEqual(
    space.protect(region + PAGE, PAGE, PROTECT_READ | PROTECT_WRITE),
    S_OK,
    text("result of protecting back"),
  );
  store<u32>(region + PAGE, 8);
  expectEqual(
    load<u32>(region) + load<u32>(region + PAGE) + load<u32>(region + 2 * PAGE),
    21,
    text("sum of the words"),
  );
  // Protecting a part split the region in three.
  expectEqual(space.unmap(region), S_OK, text("result of unmapping the first part"));
  expectEqual(space.unmap(region + PAGE), S_OK, text("result of unmapping the middle"));
  expectEqual(space.unmap(region + 2 * PAGE), S_OK, text("result of unmapping the rest"));
  space.release();
}

function heap(): void {
  const blocks = stackAlloc(BLOCKS * 4);
  for (let index: u32 = 0; index < BLOCKS; index++) {
    const size: u32 = 1 + index * 97;
    const block = allocate(size);
    store<usize>(blocks + index * 4, block);
    if (!expect(block !== 0, text("the heap is exhausted"))) return;
    for (let at: u32 = 0; at < size; at++) {
      if (load<u8>(block + at) !== 0) {
        expect(false, text("new memory is not zero"));
        break;
      }
    }
    memory.fill(block, <u8>index, size);
  }
  for (let index: u32 = 0; index < BLOCKS; index++) {
    const block = load<usize>(blocks + index * 4);
    expectEqual(load<u8>(block), index, text("first byte of a block"));
    expectEqual(load<u8>(block + index * 97), index, text("last byte of a block"));
    free(block);
  }
}

function outOfMemory(): void {
  expectEqual(<u32>allocate(0x40000001), 0, text("more than the address space"));
  expectEqual(<u32>allocate(0x3f000000), 0, text("more than there is room for"));
}

/** Uses over 2 KB of stack a level. */
function recurse(depth: u32): u32 {
  const area = stackAlloc(2048);
  store<u32>(area, depth);
  store<u32>(area + 2044, depth);
  if (depth === 0) return 0;
  const below = recurse(depth - 1);
  return below + (load<u32>(area) === depth && load<u32>(area + 2044) === depth ? 1 : 0);
}

/** Fills the stack nearly to its limit: 1 MB at least, unless the boot options give kernel stacks a fixed size. */
function deepRecursion(): void {
  const address = stackAlloc(offsetof<StackInfo>());
  expectEqual(systemObject().stackInfo(address), S_OK, text("result of stackInfo"));
  const info = changetype<StackInfo>(address);
  const levels = (info.limit - STACK_IN_USE) / LEVEL;
  if (info.policy < STACKS_FIXED) expect(levels >= 500, text("a stack cannot grow to 500 levels"));
  expectEqual(recurse(levels), levels, text("levels with their stack intact"));
}

/** Frames under the library's code and data in the first and the last space that hold it. */
function sharedLibrary(): void {
  const address = stackAlloc(offsetof<ModuleInfo>());
  const info = changetype<ModuleInfo>(address);
  let spaces: u32 = 0;
  let base: u32 = 0;
  let codeFrame: u32 = 0;
  let dataFrame: u32 = 0;
  let touched: u32 = 0;
  for (let index: u32 = 0; systemObject().moduleInfo(index, address) === S_OK; index++) {
    if (!stringEquals(address + offsetof<ModuleInfo>("name0"), text("rt"))) continue;
    spaces++;
    if (base === 0) base = info.base;
    expectEqual(info.base, base, text("base of rt"));
    if (info.codeFrame !== 0) {
      if (codeFrame === 0) codeFrame = info.codeFrame;
      expectEqual(info.codeFrame, codeFrame, text("frame of its code"));
    }
    if (info.dataFrame !== 0) {
      expect(info.dataFrame !== dataFrame, text("two spaces share a page of data"));
      dataFrame = info.dataFrame;
      touched++;
    }
  }
  expect(spaces >= 2 && touched >= 2, text("rt is not in two spaces"));
}

/** Starts at 5 in every space. */
let privateWord: u32 = 5;

function privateData(): void {
  privateWord++;
  const code = stackAlloc(4);
  store<u32>(code, 0);
  expectEqual(runToEnd(text("abuse"), text("data"), code), S_OK, text("result of run"));
  expectEqual(load<u32>(code), 1, text("what a fresh process finds in its data"));
  privateWord--;
  expectEqual(privateWord, 5, text("my own data"));
}

function pagesCounted(): void {
  const address = stackAlloc(offsetof<ProcessInfo>());
  const info = changetype<ProcessInfo>(address);
  const space = memoryObject();
  systemObject().self(address);
  const before = info.privatePages;
  const region = mapPages(space, 4);
  for (let page: u32 = 0; page < 4; page++) store<u32>(region + page * PAGE, page);
  systemObject().self(address);
  expectEqual(info.privatePages, before + 4, text("private pages with the region"));
  space.unmap(region);
  systemObject().self(address);
  expectEqual(info.privatePages, before, text("private pages without it"));
  space.release();
}

export function memoryCases(): void {
  runCase(text("memory-auto-commit"), functionAddress(autoCommit));
  runCase(text("memory-region-errors"), functionAddress(regionErrors));
  runCase(text("memory-protection"), functionAddress(protection));
  runCase(text("memory-pages-counted"), functionAddress(pagesCounted));
  runCase(text("heap"), functionAddress(heap));
  runCase(text("out-of-memory"), functionAddress(outOfMemory));
  runCase(text("deep-recursion"), functionAddress(deepRecursion));
  runCase(text("shared-library-frames"), functionAddress(sharedLibrary));
  runCase(text("data-is-private"), functionAddress(privateData));
}
