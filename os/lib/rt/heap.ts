/**
 * The heap of a space: blocks in powers of two from chunks of auto-commit memory, larger ones as regions of their own.
 *
 *   block:  size class u32 | mark u32 | the caller's bytes …        (8-byte aligned)
 *
 * One mutex guards it. In the kernel all programs there share one heap, as they share the library's data.
 */

import { type IMemory, PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { S_OK } from "../../interfaces/results";
import { memoryObject } from "./program";
import type { Mutex } from "./wait";

const HEADER: usize = 8;
const CHUNK: u32 = 0x10000;
/** Classes 4 (16 bytes) to 14 (16 KB), header included; a larger block is a region. */
const SMALLEST: u32 = 4;
const LARGEST: u32 = 14;
const IN_USE: u32 = 0x52494c54;
const IS_FREE: u32 = 0x46524545;

/** First free block by class. */
const freeLists: usize = memory.data(64, 16);
const lock: usize = memory.data(4, 16);
const regionCount: usize = memory.data(4, 16);
let chunkAt: usize = 0;
let chunkEnd: usize = 0;
let liveBlocks: u32 = 0;

/** Blocks in use, for leak checks. */
export function heapBlocks(): u32 {
  return liveBlocks + load<u32>(regionCount);
}

function mapMemory(size: u32): usize {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const memoryInterface: IMemory = memoryObject();
  return memoryInterface.map(word, size, PROTECT_READ | PROTECT_WRITE) === S_OK ? load<u32>(word) : 0;
}

/** Zeroed memory, 8-byte aligned; 0 when exhausted. */
export function allocate(size: usize): usize {
  if (size > 0x40000000) return 0;
  const total = <u32>(size + HEADER);
  let kind: u32 = 32 - clz<u32>(total - 1);
  if (kind < SMALLEST) kind = SMALLEST;
  if (kind > LARGEST) return allocateRegion(total);
  const mutex = changetype<Mutex>(lock);
  mutex.acquire();
  let block: usize = load<u32>(freeLists + kind * 4);
  const used = block !== 0;
  if (used) {
    store<u32>(freeLists + kind * 4, load<u32>(block + HEADER));
  } else {
    block = carve((<u32>1) << kind);
  }
  if (block !== 0) liveBlocks++;
  mutex.release();
  if (block === 0) return 0;
  store<u32>(block, kind);
  store<u32>(block, IN_USE, 4);
  if (used) memory.fill(block + HEADER, 0, size);
  return block + HEADER;
}

/** Fresh memory from the current chunk; what is left of an old one is given up. */
function carve(size: u32): usize {
  if (chunkEnd - chunkAt < size) {
    const chunk = mapMemory(CHUNK);
    if (chunk === 0) return 0;
    chunkAt = chunk;
    chunkEnd = chunk + CHUNK;
  }
  const block = chunkAt;
  chunkAt += size;
  return block;
}

function allocateRegion(total: u32): usize {
  const region = mapMemory(total);
  if (region === 0) return 0;
  store<u32>(region, 32);
  store<u32>(region, IN_USE, 4);
  atomicAdd(regionCount, 1);
  return region + HEADER;
}

/** Gives memory from `allocate` back; anything else, or a second time, is a program error and traps. */
export function free(address: usize): void {
  if (address === 0) return;
  const block = address - HEADER;
  if (load<u32>(block, 4) !== IN_USE) unreachable();
  const kind = load<u32>(block);
  if (kind > LARGEST) {
    atomicAdd(regionCount, 0xffffffff);
    memoryObject().unmap(block);
    return;
  }
  const mutex = changetype<Mutex>(lock);
  mutex.acquire();
  store<u32>(block, IS_FREE, 4);
  store<u32>(address, load<u32>(freeLists + kind * 4));
  store<u32>(freeLists + kind * 4, <u32>block);
  liveBlocks--;
  mutex.release();
}
