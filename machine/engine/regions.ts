/**
 * Between the interpreter's loop and compiled regions (src/i386/jit): into a region at a counted entry, out of one to a record. The hash table
 * of regions is written by src/i386/jit/runtime.ts, which says how it is laid out.
 */

import { countEntry, postpone, sleep, visited } from "./counted-entries";
import { locate } from "./decoder";
import { Gates, NO_ERROR_CODE, SOFTWARE } from "./gates";
import { goOn, leftRegion, visitEntry } from "./imports";
import { COUNTS, LONGEST_PAUSE, POOL, REGIONS } from "./layout/addresses";
import {
  CACHED_END,
  ENTRY_FRAME,
  FIRST_CACHED,
  FIRST_ENTRY_RECORD,
  ORIGINAL,
  PAUSE,
  RECORD_WORDS,
  REPEATS,
  VISITS,
} from "./layout/code-cache";
import * as Exit from "./layout/exits";
import * as Field from "./layout/fields";
import * as HotOperation from "./layout/hot-operations";
import { INDEX_MASK, INSTRUCTIONS, RUNS, SLEEPS } from "./layout/regions";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import { reachCodeFrame, softCodeFrame } from "./paging";
import { get, set } from "./state";
import { beginsCompiled } from "./timing";

const RECORD = Field.WORDS << 2;
const OPERATION = POOL + (Field.OPERATION << 2);
const OFFSET = POOL + (Field.OFFSET << 2);
const LINK = POOL + (Field.LINK << 2);
const ENTRY_FRAME_WORD = POOL + (ENTRY_FRAME << 2);
const ORIGINAL_WORD = POOL + (ORIGINAL << 2);
const PAUSE_WORD = POOL + (PAUSE << 2);
const REPEATS_WORD = POOL + (REPEATS << 2);
const VISITS_WORD = POOL + (VISITS << 2);

/**
 * To go into a region and come back costs as much as it takes for so many instructions. A run that ends before that, because it leads to code
 * that is not compiled, is not worth it.
 */
const SHORT_RUN = 24;

function add(counter: i32, change: i32): void {
  const at = COUNTS + (counter << 3);
  store<f64>(at, load<f64>(at) + f64(change));
}

/** Place in the table of the region that begins at an entry, as things are now; 0 when none is known. */
function regionAt(copy: i32): i32 {
  const q = copy << 2;
  return placeAt((load<i32>(q + RECORD, ENTRY_FRAME_WORD) << 12) | load<i32>(q, OFFSET));
}

/** The same, of a physical address. */
function placeAt(physical: i32): i32 {
  const key = get(Slot.FLAT_SEGMENTS) | (get(Slot.MODE) << 12);
  const at = ((physical ^ (physical >>> 9) ^ (key >>> 6) ^ key) << 4) & INDEX_MASK;
  if (load<i32>(at, REGIONS) !== physical || load<i32>(at, REGIONS + 4) !== key) return 0;
  return load<i32>(at, REGIONS + 8);
}

/** Where to go on behind a region's result, or FAULTED. */
function leave(code: i32): i32 {
  const p = code & ~15;
  switch (code & 15) {
    case Exit.plain:
      return p;
    case Exit.branch:
      if (p >= FIRST_ENTRY_RECORD) return load<i32>((p << 2) + RECORD, ORIGINAL_WORD);
      countEntry(p, get(Slot.CODE_FRAME) >>> 12, 0);
      return p;
    default:
      return leftRegion(code);
  }
}

/** After a short run the next visits of the entry are the interpreter's, twice as many each time; in the end it sleeps, if it may. */
function pause(copy: i32, instructions: i32): void {
  const q = (copy << 2) + RECORD;
  const before = load<i32>(q, PAUSE_WORD);
  const longest = load<i32>(LONGEST_PAUSE);
  const visits: i32 = instructions < SHORT_RUN ? min<i32>(before * 2 + 1, longest) : 0;
  store<i32>(q, visits, PAUSE_WORD);
  store<i32>(q, visits, VISITS_WORD);
  if (visits === 0 || before !== longest || load<i32>(q, REPEATS_WORD) !== 0) return;
  // When it wakes it is tried at once.
  store<i32>(q, 0, VISITS_WORD);
  if (sleep(copy)) add(SLEEPS, 1);
}

/** Runs the region at a counted entry without visits left, if there is one; where to go on, or FAULTED. */
export function enterRegion(p: i32): i32 {
  const copy = load<i32>(p << 2, LINK);
  if (load<i32>(copy << 2, OPERATION) === HotOperation.account && !beginsCompiled(copy << 2)) {
    // The second of a pair goes alone: what stands behind it can begin.
    countEntry(p + 2 * RECORD_WORDS, get(Slot.CODE_FRAME) >>> 12, 0);
    return copy;
  }
  let place = regionAt(copy);
  if (place === 0) {
    if (postpone(copy)) return copy;
    const next = visitEntry(p);
    if (next !== 0) return next;
    place = regionAt(copy);
  }
  const before = get(Slot.RETIRED);
  let code = call_indirect<i32>(place);
  while ((code & 15) === Exit.chain) code = call_indirect<i32>(code >> 4);
  const next = leave(code);
  const instructions = get(Slot.RETIRED) - before;
  add(RUNS, 1);
  add(INSTRUCTIONS, instructions);
  const isEntry = load<i32>(p << 2, OPERATION) === HotOperation.countedEntry;
  if (isEntry && load<i32>(p << 2, LINK) === copy) pause(copy, instructions);
  return next;
}

/** To be put in its callers' place. */
class Ahead {
  /** Where code goes on at EIP, which may be in another page, ring or segment: a result of a region. The runtime's `locate` does the same. */
  @inline
  static goOn(): i32 {
    const eip = get(Slot.EIP);
    const linear = eip + get(Slot.BASE + Segment.CS);
    const page = linear >>> 12;
    let frame = softCodeFrame(page);
    if (frame < 0) frame = reachCodeFrame(linear);
    const start = eip - (linear & 0xfff);
    const limit = get(Slot.LIMIT + Segment.CS);
    if (frame < 0 || u32(limit) < 4095 || u32(start) > u32(limit - 4095)) return follow();
    const place = placeAt(frame | (linear & 0xfff));
    if (place === 0) return follow();
    set(Slot.CODE_PAGE, page);
    set(Slot.PAGE_EIP, start);
    set(Slot.CODE_FRAME, frame);
    set(Slot.CODE_MAP, -1);
    return (place << 4) | Exit.chain;
  }
}

/** For regions: INT; 0 when `interrupt` has not done it. */
export function interruptAndGoOn(vector: i32, eip: i32): i32 {
  return Gates.interrupt(vector, SOFTWARE, NO_ERROR_CODE, eip) ? Ahead.goOn() : 0;
}

/** For regions: IRETD; 0 when `interruptReturn` has not done it. */
export function returnAndGoOn(next: i32): i32 {
  return Gates.interruptReturn(next) ? Ahead.goOn() : 0;
}

/** For regions: where code goes on at EIP, when that is not compiled; a result of a region. */
export function follow(): i32 {
  const p = locate(get(Slot.EIP));
  if (p < 0) {
    set(Slot.COMPILED_FAULT, 1);
    return Exit.fault;
  }
  return get(Slot.BUDGET) > 0 ? goOnAt(p) : p;
}

function goOnAt(record: i32): i32 {
  const isLink = load<i32>(record << 2, OPERATION) === HotOperation.continueAt;
  const p = isLink ? load<i32>(record << 2, LINK) : record;
  const operation = load<i32>(p << 2, OPERATION);
  if (operation > HotOperation.stale) return goOn(p);
  if (operation !== HotOperation.countedEntry) {
    if (p >= FIRST_CACHED && p < CACHED_END) visited(p);
    return p;
  }
  const copy = load<i32>(p << 2, LINK);
  const place = regionAt(copy);
  if (place !== 0) return (place << 4) | Exit.chain;
  return load<i32>(copy << 2, OPERATION) > HotOperation.stale ? goOn(p) : p;
}
