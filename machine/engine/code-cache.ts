/**
 * Decoded instructions. One pool of fixed records (layout/fields.ts) holds them in the order of the code, so that the next instruction of a
 * straight line is the next record; each physical page with decoded code has a map from byte offset to record.
 *
 * A store into decoded bytes changes the records of just these bytes, in place: whatever leads there (the record in front, links of branches,
 * the instruction under way) meets a record `stale`, which is decoded again where it stands when the new instruction is as long as the old
 * one, or else `relocate`, which looks the instruction up anew. Nobody has to be told. A page whose decoded bytes are written over and over
 * without being run holds data: it is released. Links between records never leave a page.
 *
 * Records that are not reached any more stay in the pool until it, or the room for maps, is full; then all are dropped at once.
 */

import { allDropped, codeChanged } from "./imports";
import * as Address from "./layout/addresses";
import {
  CACHED_END,
  COMPILED,
  DECODED,
  FIRST_CACHED,
  FIRST_TIME_RECORD,
  PAGE_MAP,
  RECORD_WORDS,
} from "./layout/code-cache";
import * as Field from "./layout/fields";
import * as HotOperation from "./layout/hot-operations";
import * as Slot from "./layout/slots";
import { forgetWrites } from "./paging";
import { attention, get, set } from "./state";

/** Records kept free at the end, so that one run of decoding never meets the end of the pool; the same for pages. */
const RESERVE = 256;
const PAGES_RESERVE = 8;

/** What is known of a page with decoded code: the words below, then a bit for each offset that was looked up. */
const PAGE_BYTES = 0x240;
const MOST_PAGES = 4096;
/** Number of the page, or −1; the next of those that are free. */
const FRAME = 0;
const NEXT_FREE = 4;
/** Bytes at the page's start that belong to decoded instructions of the page before. */
const TAIL = 8;
/** Writes to decoded bytes since something of the page was decoded. */
const WRITES = 12;
/** Times that an instruction was decoded again because it had been written. */
const REWRITES = 16;
/** PAGE_MAP is the address of its map, 4096 words by offset, pool index or 0; `EMPTY_MAP` until something is cached. */
const SEEN = 0x40;
/** Every page has room for a map of its own. Maps begin at different places of the host's caches. */
const MAP_BYTES = 0x4040;

/** So many writes to decoded bytes, and nothing of the page run: it holds data. */
const MOST_WRITES = 32;
/** A write of so many bytes replaces the page. */
const WHOLE = 64;
/** An instruction may start so many bytes before the last one of it. */
const LONGEST_REACH = 14;

const OPERATION = Address.POOL + (Field.OPERATION << 2);
const CLOCKS = Address.POOL + (Field.CLOCKS << 2);
const BYTES = Address.POOL + (Field.BYTES << 2);
const LINK = Address.POOL + (Field.LINK << 2);

/** Index of the next free record. */
export let top: i32 = FIRST_CACHED;
/** Changes when all records were dropped: links must not be written across a change. */
export let generation: i32 = 0;
/** Pages taken so far, and the first of those given back. */
let pages: i32 = 0;
let freePage: i32 = 0;
/** Records may stand in front of an instruction (breakpoints, probes, detailed timing). */
export let hasFronts: bool = false;

// Records of the run of code that was met for the first time: its page, or −1, and bytes.
let firstTimeFrame: i32 = -1;
let firstTimeStart: i32 = 0;
let firstTimeEnd: i32 = 0;

export function setTop(index: i32): void {
  top = index;
}

export function isFull(): bool {
  return top > CACHED_END - RESERVE * RECORD_WORDS || (freePage === 0 && pages > MOST_PAGES - PAGES_RESERVE);
}

/** Address of what is known of a page of RAM, 0 when there is no decoded code in it. */
export function knownPage(frame: i32): i32 {
  return load<i32>(frame << 2, Address.CODE_PAGES);
}

/** The same, made when missing. */
export function codePage(frame: i32): i32 {
  const known = knownPage(frame);
  if (known !== 0) return known;
  let page = freePage;
  if (page !== 0) freePage = load<i32>(page, NEXT_FREE);
  else page = Address.CODE_PAGE_TABLE + pages++ * PAGE_BYTES;
  memory.fill(page, 0, PAGE_BYTES);
  store<i32>(page, frame, FRAME);
  store<i32>(page, Address.EMPTY_MAP, PAGE_MAP);
  store<i32>(frame << 2, page, Address.CODE_PAGES);
  store<u8>(frame, DECODED, Address.CODE_FRAMES);
  forgetWrites();
  return page;
}

/** Address of a page's map, which must not be written: see `ownMap`. */
export function mapOf(page: i32): i32 {
  return load<i32>(page, PAGE_MAP);
}

/** The page's map, for entries to be made. */
export function ownMap(page: i32): i32 {
  const known = load<i32>(page, PAGE_MAP);
  if (known !== Address.EMPTY_MAP) return known;
  const map = Address.MAPS + ((page - Address.CODE_PAGE_TABLE) / PAGE_BYTES) * MAP_BYTES;
  memory.fill(map, 0, MAP_BYTES);
  store<i32>(page, map, PAGE_MAP);
  return map;
}

/** Notes that an offset is looked up; whether it was before. */
export function wasSeen(page: i32, offset: i32): bool {
  const place = page + (offset >> 3);
  const seen = <i32>load<u8>(place, SEEN);
  const bit = 1 << (offset & 7);
  store<u8>(place, seen | bit, SEEN);
  return (seen & bit) !== 0;
}

/** Something of the page was decoded, and so is run. */
export function noteDecoded(page: i32): void {
  store<i32>(page, 0, WRITES);
}

export function noteRewritten(page: i32): void {
  store<i32>(page, rewrites(page) + 1, REWRITES);
}

export function rewrites(page: i32): i32 {
  return load<i32>(page, REWRITES);
}

/** So many bytes of the page belong to an instruction of the page before. */
export function coverTail(page: i32, bytes: i32): void {
  store<i32>(page, max(load<i32>(page, TAIL), bytes), TAIL);
}

/** The records for code that is met for the first time hold these bytes of a page. */
export function noteFirstTime(frame: i32, start: i32, end: i32): void {
  firstTimeFrame = frame;
  firstTimeStart = start;
  firstTimeEnd = end;
}

export function versionOf(frame: i32): i32 {
  return load<i32>(frame << 2, Address.CODE_VERSIONS);
}

function bumpVersion(frame: i32): void {
  store<i32>(frame << 2, versionOf(frame) + 1, Address.CODE_VERSIONS);
}

function detach(frame: i32): void {
  store<i32>(frame << 2, 0, Address.CODE_PAGES);
  store<u8>(frame, 0, Address.CODE_FRAMES);
}

function become(p: i32, operation: i32): void {
  store<i32>(p << 2, operation, OPERATION);
  store<i32>(p << 2, 0, CLOCKS);
}

function dropFirstTime(): void {
  firstTimeFrame = -1;
  for (let p = FIRST_TIME_RECORD; p < FIRST_CACHED; p += RECORD_WORDS) become(p, HotOperation.relocate);
}

export function dropAll(): void {
  for (let i = 0; i < pages; i++) {
    const frame = load<i32>(Address.CODE_PAGE_TABLE + i * PAGE_BYTES, FRAME);
    if (frame >= 0) detach(frame);
  }
  pages = 0;
  freePage = 0;
  top = FIRST_CACHED;
  generation++;
  dropFirstTime();
  set(Slot.CODE_PAGE, -1);
  hasFronts = allDropped() !== 0;
  forgetWrites();
}

/** Makes a record, and the copy that stands for it while it is counted, look the instruction up anew. */
export function unlinkRecord(p: i32): void {
  if (load<i32>(p << 2, OPERATION) === HotOperation.countedEntry)
    become(load<i32>(p << 2, LINK), HotOperation.relocate);
  become(p, HotOperation.relocate);
}

/** The bytes of the instruction to which a page's map leads were written. */
function changed(map: i32, offset: i32, p: i32): void {
  // In front of an instruction, or of one across a page end, stand records of no bytes.
  if (hasFronts || load<i32>(p << 2, BYTES) === 0) {
    store<i32>(map + (offset << 2), 0);
    let last = p;
    for (; load<i32>(last << 2, BYTES) === 0; last += RECORD_WORDS) unlinkRecord(last);
    unlinkRecord(last);
  } else if (load<i32>(p << 2, OPERATION) === HotOperation.countedEntry)
    become(load<i32>(p << 2, LINK), HotOperation.stale);
  else become(p, HotOperation.stale);
}

/** Bytes of the instruction to which a page's map leads. */
function lengthAt(p: i32): i32 {
  let q = p << 2;
  while (load<i32>(q, BYTES) === 0) q += RECORD_WORDS << 2;
  return load<i32>(q, BYTES);
}

/** A page loses its decoded code. */
function release(frame: i32, page: i32): void {
  const map = mapOf(page);
  if (map !== Address.EMPTY_MAP) {
    for (let offset = 0; offset < 4096; offset++) {
      const p = load<i32>(map + (offset << 2));
      if (p !== 0) unlinkRecord(p);
    }
  }
  if (firstTimeFrame === frame) dropFirstTime();
  const isCompiled = (load<u8>(frame, Address.CODE_FRAMES) & COMPILED) !== 0;
  detach(frame);
  bumpVersion(frame);
  store<i32>(page, -1, FRAME);
  store<i32>(page, freePage, NEXT_FREE);
  freePage = page;
  if (get(Slot.CODE_FRAME) >>> 12 === frame) set(Slot.CODE_PAGE, -1);
  forgetWrites();
  if (isCompiled) codeChanged(frame, 0, 4095);
}

/** Changes the records that bytes `first` to `last` of a page belong to; whether there are any. */
function change(map: i32, first: i32, last: i32): bool {
  let isHit = false;
  for (let offset = max(first - LONGEST_REACH, 0); offset <= last; offset++) {
    const p = load<i32>(map + (offset << 2));
    if (p === 0 || offset + lengthAt(p) <= first) continue;
    changed(map, offset, p);
    isHit = true;
  }
  return isHit;
}

/** RAM was written: what was decoded from these bytes of one page is so no longer. */
export function codeWritten(physical: i32, bytes: i32): void {
  const frame = physical >>> 12;
  const page = knownPage(frame);
  if (page === 0) return;
  if (bytes >= WHOLE) {
    release(frame, page);
    return;
  }
  const first = physical & 0xfff;
  const last = min(first + bytes - 1, 4095);
  if (first < load<i32>(page, TAIL)) {
    bumpVersion(frame);
    // The instruction under way may be the one: looked for again, it meets the check of this page.
    attention();
  }
  let isHit = false;
  if (frame === firstTimeFrame && first < firstTimeEnd && last >= firstTimeStart) {
    dropFirstTime();
    isHit = true;
  }
  const map = mapOf(page);
  if (map !== Address.EMPTY_MAP && change(map, first, last)) isHit = true;
  if (!isHit) return;
  const writes = load<i32>(page, WRITES) + 1;
  store<i32>(page, writes, WRITES);
  if (writes >= MOST_WRITES) release(frame, page);
  else if ((load<u8>(frame, Address.CODE_FRAMES) & COMPILED) !== 0) codeChanged(frame, first, last);
}
