/**
 * Counts of live kernel objects by kind. Every place that makes or ends one counts it here, so a leak shows as a number that
 * does not return to where it was; `ISystem.option("live.KIND")` reads it.
 */

import { privateTraps } from "../i386/traps";
import { heapBlocks } from "../memory/heap";
import { textEquals } from "./texts";

export const LIVE_PROCESSES: u32 = 0;
export const LIVE_THREADS: u32 = 1;
export const LIVE_HANDLES: u32 = 2;
export const LIVE_REMOTE_PROXIES: u32 = 3;
export const LIVE_CALL_RECORDS: u32 = 4;
export const LIVE_NAMES: u32 = 5;
export const LIVE_IMAGES: u32 = 6;
export const LIVE_IMAGE_FILES: u32 = 7;
/** Calls that arrived by a trap, calls that a server thread ran, and private traps, since boot: not objects, but asked for the same way. */
export const COUNT_SYSTEM_CALLS: u32 = 8;
export const COUNT_REMOTE_CALLS: u32 = 9;
export const LIVE_DOORS: u32 = 10;
export const LIVE_SERVICES: u32 = 11;
export const COUNT_PRIVATE_TRAPS: u32 = 12;
/** Blocks of the kernel's heap in use. */
export const LIVE_HEAP_BLOCKS: u32 = 13;
export const LIVE_KINDS: u32 = 14;

const counts: usize = memory.data(48, 16);

export function countLive(kind: u32, change: i32): void {
  atomicAdd(counts + kind * 4, <u32>change);
}

export function liveCount(kind: u32): u32 {
  if (kind === LIVE_HEAP_BLOCKS) return heapBlocks();
  return kind === COUNT_PRIVATE_TRAPS ? privateTraps() : load<u32>(counts + kind * 4);
}

/** "live.handles" and the like, by which they are asked for. */
export function liveCountName(kind: u32): usize {
  switch (kind) {
    case LIVE_PROCESSES:
      return text("live.processes");
    case LIVE_THREADS:
      return text("live.threads");
    case LIVE_HANDLES:
      return text("live.handles");
    case LIVE_REMOTE_PROXIES:
      return text("live.remoteProxies");
    case LIVE_CALL_RECORDS:
      return text("live.callRecords");
    case LIVE_NAMES:
      return text("live.names");
    case LIVE_IMAGES:
      return text("live.images");
    case LIVE_IMAGE_FILES:
      return text("live.imageFiles");
    case COUNT_SYSTEM_CALLS:
      return text("count.systemCalls");
    case COUNT_REMOTE_CALLS:
      return text("count.remoteCalls");
    case LIVE_DOORS:
      return text("live.doors");
    case LIVE_SERVICES:
      return text("live.services");
    case COUNT_PRIVATE_TRAPS:
      return text("count.privateTraps");
    default:
      return text("heap.blocks");
  }
}

/** The kind called `name` ("live.handles"), or -1. */
export function liveKind(name: usize): i32 {
  for (let kind: u32 = 0; kind < LIVE_KINDS; kind++) {
    if (textEquals(name, liveCountName(kind))) return <i32>kind;
  }
  return -1;
}
