/**
 * The heap of a space: blocks in powers of two from chunks of auto-commit memory, larger ones as regions of their own.
 *
 *   block:  owner and size class u32 | mark u32 | the caller's bytes …        (8-byte aligned)
 *   chunk:  next chunk u32 | 12 bytes unused | blocks …                      region: next u32 | previous u32 | block
 *
 * A block belongs to the code that asked for it: its owner (bits 31-12) is the page of that code, its class bits 7-0. One mutex guards the heap. In
 * the kernel all programs there share one, as they share the library's data; when one leaves, `reclaimBlocks` frees what it has left.
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
/** Headers of chunks and of regions. */
const OUTER_HEADER: usize = 16;
const REGION_CLASS: u32 = 32;
const CLASS_MASK: u32 = 0xff;
const OWNER_MASK: u32 = 0xfffff000;

let firstChunk: usize = 0;
let firstRegion: usize = 0;
let chunkAt: usize = 0;
let chunkEnd: usize = 0;
let liveBlocks: u32 = 0;

/** Blocks in use, for leak checks. */
export function heapBlocks(): u32 {
  return liveBlocks;
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
  const owner = load<u32>(framePointer(), 4) & OWNER_MASK;
  const total = <u32>(size + HEADER);
  let kind: u32 = 32 - clz<u32>(total - 1);
  if (kind < SMALLEST) kind = SMALLEST;
  if (kind > LARGEST) return allocateRegion(<u32>(size + OUTER_HEADER), owner);
  const mutex = changetype<Mutex>(lock);
  mutex.acquire();
  let block: usize = load<u32>(freeLists + kind * 4);
  const used = block !== 0;
  if (used) {
    store<u32>(freeLists + kind * 4, load<u32>(block + HEADER));
  } else {
    block = carve((<u32>1) << kind);
  }
  if (block !== 0) {
    liveBlocks++;
    store<u32>(block, owner | kind);
    store<u32>(block, IN_USE, 4);
  }
  mutex.release();
  if (block === 0) return 0;
  if (used) memory.fill(block + HEADER, 0, size);
  return block + HEADER;
}

/** Fresh memory from the current chunk; what is left of an old one is given up. */
function carve(size: u32): usize {
  if (chunkEnd - chunkAt < size) {
    const chunk = mapMemory(CHUNK);
    if (chunk === 0) return 0;
    store<usize>(chunk, firstChunk);
    firstChunk = chunk;
    chunkAt = chunk + OUTER_HEADER;
    chunkEnd = chunk + CHUNK;
  }
  const block = chunkAt;
  chunkAt += size;
  return block;
}

function allocateRegion(total: u32, owner: u32): usize {
  const region = mapMemory(total);
  if (region === 0) return 0;
  store<u32>(region, owner | REGION_CLASS, 8);
  store<u32>(region, IN_USE, 12);
  const mutex = changetype<Mutex>(lock);
  mutex.acquire();
  store<usize>(region, firstRegion);
  if (firstRegion !== 0) store<usize>(firstRegion, region, 4);
  firstRegion = region;
  liveBlocks++;
  mutex.release();
  return region + OUTER_HEADER;
}

/** Gives memory from `allocate` back; anything else, or a second time, is a program error and traps. */
export function free(address: usize): void {
  if (address === 0) return;
  const block = address - HEADER;
  if (load<u32>(block, 4) !== IN_USE) unreachable();
  const isRegion = (load<u32>(block) & CLASS_MASK) > LARGEST;
  const mutex = changetype<Mutex>(lock);
  mutex.acquire();
  if (isRegion) unlinkRegion(address - OUTER_HEADER);
  else freeBlock(block);
  mutex.release();
  if (isRegion) memoryObject().unmap(<u32>(address - OUTER_HEADER));
}

function freeBlock(block: usize): void {
  const list = freeLists + (load<u32>(block) & CLASS_MASK) * 4;
  store<u32>(block, IS_FREE, 4);
  store<u32>(block, load<u32>(list), 8);
  store<u32>(list, <u32>block);
  liveBlocks--;
}

function unlinkRegion(region: usize): void {
  const next = load<usize>(region);
  const previous = load<usize>(region, 4);
  if (previous !== 0) store<usize>(previous, next);
  else firstRegion = next;
  if (next !== 0) store<usize>(next, previous, 4);
  liveBlocks--;
}

/** Frees every block that code of [start, end) has asked for and not freed; the code is about to leave the kernel. */
export function reclaimBlocks(start: usize, end: usize): void {
  const mutex = changetype<Mutex>(lock);
  mutex.acquire();
  for (let chunk = firstChunk; chunk !== 0; chunk = load<usize>(chunk)) {
    // Memory past the last block is zero, which is no size class.
    for (let block = chunk + OUTER_HEADER; block < chunk + CHUNK && load<u32>(block) !== 0; ) {
      const kind = load<u32>(block) & CLASS_MASK;
      if (load<u32>(block, 4) === IN_USE && isOwner(block, start, end)) freeBlock(block);
      block += (<usize>1) << kind;
    }
  }
  let region = firstRegion;
  while (region !== 0) {
    const next = load<usize>(region);
    if (isOwner(region + 8, start, end)) {
      unlinkRegion(region);
      memoryObject().unmap(<u32>region);
    }
    region = next;
  }
  mutex.release();
}

function isOwner(block: usize, start: usize, end: usize): bool {
  const owner: usize = load<u32>(block) & OWNER_MASK;
  return owner >= start && owner < end;
}
