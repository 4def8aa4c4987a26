/** What the kernel has at a time, by kinds (`ISystem.option`): after a case that makes and ends much, it must be what it was. */

import { systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";
import { sleep } from "../../lib/rt/wait";
import { expectEqual } from "./check";

/** How long what has ended may take until nothing is left of it, in ms. */
const PATIENCE: u32 = 2000;
/** Blocks of the kernel's heap that may come to stay: pools, and the tables of this program. */
const CACHED_BLOCKS: u32 = 24;

const KINDS: u32 = 9;
const THREADS: u32 = 1;
const CALL_RECORDS: u32 = 4;
const HEAP_BLOCKS: u32 = 8;
const before: usize = memory.data(64, 16);

function kindName(kind: u32): usize {
  switch (kind) {
    case 0:
      return text("live.processes");
    case THREADS:
      return text("live.threads");
    case 2:
      return text("live.handles");
    case 3:
      return text("live.remoteProxies");
    case CALL_RECORDS:
      return text("live.callRecords");
    case 5:
      return text("live.names");
    case 6:
      return text("live.images");
    case 7:
      return text("live.doors");
    default:
      return text("heap.blocks");
  }
}

function live(kind: u32): u32 {
  const digits = stackAlloc(16);
  const word = stackAlloc(4);
  store<u32>(word, 0);
  systemObject().option(kindName(kind), digits, 16);
  parseNumber(digits, word);
  return load<u32>(word);
}

export function rememberLive(): void {
  for (let kind: u32 = 0; kind < KINDS; kind++) store<u32>(before + kind * 4, live(kind));
}

/** A thread may keep a call record. */
function limitOf(kind: u32): u32 {
  const count = load<u32>(before + kind * 4);
  if (kind === CALL_RECORDS) return max<u32>(count, load<u32>(before + THREADS * 4));
  return kind === HEAP_BLOCKS ? count + CACHED_BLOCKS : count;
}

export function expectNothingLeft(): void {
  for (let kind: u32 = 0; kind < KINDS; kind++) {
    for (let waited: u32 = 0; live(kind) > limitOf(kind) && waited < PATIENCE; waited += 10) sleep(10);
    if (live(kind) > limitOf(kind)) expectEqual(live(kind), load<u32>(before + kind * 4), kindName(kind));
  }
}
