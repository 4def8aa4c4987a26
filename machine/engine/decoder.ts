/**
 * From EIP to records of the code cache.
 *
 * Cached: instructions in pages of RAM that lie wholly inside the CS limit, from the second time on that they are looked up; before that they
 * are decoded into a few records of their own, because most code that runs once runs no more. All others (in a page cut by the limit, in device memory)
 * are decoded each time they run, into scratch records, with every byte checked. An instruction that goes on in the next page is cached
 * behind a record that looks, each time, whether the next page is still the same and unchanged (`continuesOnNextPage`).
 *
 * Faults of fetching belong to the instruction that is looked for, not to the one before: FETCHING is 1 and EIP is set while
 * anything here may raise; the result is then FAULTED. Decoding ahead raises nothing: it stops in front of what it cannot decode.
 *
 * When instructions are decoded, and which, changes nothing that a guest can see: the code TLB is asked when a page is entered, and for the
 * second page of an instruction each time it runs.
 *
 * Limits: code segments are taken as 32-bit (D = 1), stacks as 32-bit (B = 1).
 */

import {
  codePage,
  coverTail,
  dropAll,
  generation,
  hasFronts,
  isFull,
  knownPage,
  mapOf,
  noteDecoded,
  noteFirstTime,
  noteRewritten,
  ownMap,
  setTop,
  top,
  unlinkRecord,
  versionOf,
  wasSeen,
} from "./code-cache";
import { countEntry } from "./counted-entries";
import { placeBreakpoint, placeProbe, prepareFault, prepareTiming, readBusByte } from "./imports";
import { decodeInstruction, descriptor, MOST_READ } from "./instruction-decoder";
import * as Address from "./layout/addresses";
import {
  FAULTED,
  FIRST_CACHED,
  FIRST_ENTRY_RECORD,
  FIRST_TIME_RECORD,
  ORIGINAL,
  RECORD_WORDS,
  SCRATCH_RECORD,
} from "./layout/code-cache";
import * as Form from "./layout/decoding";
import * as Field from "./layout/fields";
import * as HotOperation from "./layout/hot-operations";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import * as Vector from "./layout/vectors";
import { softCodeFrame, translateCode } from "./paging";
import { get, ramBytes, set } from "./state";
import { decodeByTemplates, hasEnded, keepTemplate, reached } from "./templates";

/** Longest instruction, prefixes included; one more byte is #GP(0). */
const LONGEST = 15;
/** Records decoded ahead in one go, and when the code is met for the first time. */
const RUN = 48;
const FIRST_TIME_RUN = 24;
const RECORD = RECORD_WORDS << 2;

const OPERATION = Address.POOL + (Field.OPERATION << 2);
const OFFSET = Address.POOL + (Field.OFFSET << 2);
const BYTES = Address.POOL + (Field.BYTES << 2);
const IMMEDIATE = Address.POOL + (Field.IMMEDIATE << 2);
const LINK = Address.POOL + (Field.LINK << 2);
const EXTRA = Address.POOL + (Field.EXTRA << 2);

/** Number of the operation that runs `continuesOnNextPage`. */
let nextPageCheck: i32 = 0;
/** Physical address of the page behind the one in use, once an instruction was fetched from it. */
let nextPage: i32 = 0;
let hasNextPage: bool = false;

export function setUpDecoder(check: i32): void {
  nextPageCheck = check;
}

function pseudo(p: i32, operation: i32, offset: i32, target: i32): void {
  const q = p << 2;
  store<i32>(q, operation, OPERATION);
  store<i32>(q, 0, Address.POOL + (Field.CLOCKS << 2));
  store<i32>(q, offset, OFFSET);
  store<i32>(q, 0, BYTES);
  store<i32>(q, target, LINK);
}

/** Whether so many bytes from offset `start` of CS on lie inside it. */
function isInside(start: i32, bytes: u32): bool {
  const limit = <u32>get(Slot.LIMIT + Segment.CS);
  return limit === 0xffff_ffff || <u64>(<u32>start) + bytes - 1 <= <u64>limit;
}

function translated(linear: i32): i32 {
  return translateCode(linear, get(Slot.MODE));
}

/** Whether a translation failed: its fault is pending then. */
function hasFailed(): bool {
  if (get(Slot.TRANSLATION_FAILED) === 0) return false;
  set(Slot.TRANSLATION_FAILED, 0);
  prepareFault(get(Slot.FAULT_VECTOR), get(Slot.FAULT_CODE));
  return true;
}

function protectionFault(): void {
  prepareFault(Vector.GP, 0);
}

function readByte(physical: i32): i32 {
  return u32(physical) < ramBytes() ? <i32>load<u8>(physical, Address.RAM) : readBusByte(physical);
}

/** Fetches byte number `count` of the instruction at `offset` of the page in use. False when that faults. */
function fetchByte(offset: i32, count: i32): bool {
  const place = offset + count;
  if (count === LONGEST || !isInside(get(Slot.PAGE_EIP) + place, 1)) {
    protectionFault();
    return false;
  }
  if (place >= 4096 && !hasNextPage) {
    nextPage = translated((get(Slot.CODE_PAGE) + 1) << 12);
    if (hasFailed()) return false;
    hasNextPage = true;
  }
  const physical = place < 4096 ? get(Slot.CODE_FRAME) + place : nextPage + place - 4096;
  store<u8>(Address.FETCHED + count, readByte(physical));
  return true;
}

/**
 * Decodes the instruction at `offset` of the page in use into record `p`, every byte checked: inside CS, mapped, not the sixteenth. Its length,
 * or FAULTED.
 */
function decodeChecked(p: i32, offset: i32): i32 {
  hasNextPage = false;
  memory.fill(Address.FETCHED, 0, MOST_READ);
  let count = 0;
  let length = 1;
  while (length > count) {
    if (!fetchByte(offset, count)) return FAULTED;
    length = decodeInstruction(p, Address.FETCHED, offset);
    count++;
  }
  return length;
}

/** The same, without faults, of what lies in the page in use: 0 when the instruction cannot be decoded there. */
function decodeAhead(p: i32, offset: i32): i32 {
  const there = 4096 - offset;
  let bytes = Address.RAM + get(Slot.CODE_FRAME) + offset;
  if (there < MOST_READ) {
    memory.fill(Address.FETCHED, 0, MOST_READ);
    memory.copy(Address.FETCHED, bytes, there);
    bytes = Address.FETCHED;
  }
  const length = decodeInstruction(p, bytes, offset);
  keepTemplate(p, bytes, length);
  return length > min(there, LONGEST) ? 0 : length;
}

function timed(p: i32, offset: i32): void {
  if (hasFronts) prepareTiming(<i32>load<u16>(descriptor, Form.ROW), p, get(Slot.CODE_FRAME) + offset);
}

function decodeScratch(offset: i32): i32 {
  let p = SCRATCH_RECORD;
  if (hasFronts) p = placeProbe(placeBreakpoint(p, offset), offset);
  const length = decodeChecked(p, offset);
  if (length < 0) return FAULTED;
  timed(p, offset);
  pseudo(p + RECORD_WORDS, HotOperation.relocate, offset + length, 0);
  return SCRATCH_RECORD;
}

/** The instruction at `offset` goes on in the next page, and is met for the first time. */
function decodeStraddlingOnce(offset: i32): i32 {
  if (!isInside(get(Slot.PAGE_EIP), 8192)) return decodeScratch(offset);
  const length = decodeChecked(FIRST_TIME_RECORD, offset);
  if (length < 0) return FAULTED;
  if (u32(nextPage) < ramBytes()) coverTail(codePage(nextPage >>> 12), offset + length - 4096);
  pseudo(FIRST_TIME_RECORD + RECORD_WORDS, HotOperation.relocate, offset + length, 0);
  noteFirstTime(get(Slot.CODE_FRAME) >>> 12, offset, 4096);
  return FIRST_TIME_RECORD;
}

/**
 * The same, not for the first time: caches it as [check of the next page] [instruction] [look up the next one]. Not where the next page is cut
 * by the limit or no RAM.
 */
function decodeStraddling(page: i32, offset: i32): i32 {
  if (!isInside(get(Slot.PAGE_EIP), 8192)) return decodeScratch(offset);
  const entry = top;
  let check = entry;
  if (hasFronts) check = placeBreakpoint(entry, offset);
  let p = check + RECORD_WORDS;
  if (hasFronts) p = placeProbe(p, offset);
  const length = decodeChecked(p, offset);
  if (length < 0) return FAULTED;
  if (u32(nextPage) >= ramBytes()) return decodeScratch(offset);
  const nextFrame = nextPage >>> 12;
  pseudo(check, nextPageCheck, offset, 0);
  coverTail(codePage(nextFrame), offset + length - 4096);
  timed(p, offset);
  store<i32>(check << 2, nextFrame, EXTRA);
  store<i32>(check << 2, versionOf(nextFrame), IMMEDIATE);
  pseudo(p + RECORD_WORDS, HotOperation.relocate, offset + length, 0);
  store<i32>(ownMap(page) + (offset << 2), entry);
  setTop(p + 2 * RECORD_WORDS);
  return entry;
}

/** Handler of the record in front of an instruction across a page end. */
export function continuesOnNextPage(p: i32): i32 {
  set(Slot.RETIRED, get(Slot.RETIRED) - 1);
  const offset = load<i32>(p << 2, OFFSET);
  const start = get(Slot.PAGE_EIP);
  const eip = start + offset;
  set(Slot.EIP, eip);
  set(Slot.FETCHING, 1);
  const physical = translated(start + get(Slot.BASE + Segment.CS) + 4096);
  if (hasFailed()) return FAULTED;
  set(Slot.FETCHING, 0);
  const frame = physical >>> 12;
  if (frame === load<i32>(p << 2, EXTRA) && versionOf(frame) === load<i32>(p << 2, IMMEDIATE))
    return p + RECORD_WORDS;
  forget(offset, p);
  return locate(eip);
}

/** The instruction at a record of the page in use is looked up anew from now on. */
function forget(offset: i32, p: i32): void {
  const page = knownPage(get(Slot.CODE_FRAME) >>> 12);
  // Where records stand in front of it, the map leads to them.
  if (page !== 0 && (hasFronts || load<i32>(mapOf(page) + (offset << 2)) === p))
    store<i32>(ownMap(page) + (offset << 2), 0);
  unlinkRecord(p);
}

/** Enters into a page's map the instructions of the records from one on up to another. */
function enterRecords(map: i32, first: i32, end: i32): void {
  for (let p = first; p !== end; p += RECORD_WORDS) store<i32>(map + (load<i32>(p << 2, OFFSET) << 2), p);
}

/** Decodes a run of instructions from `start` of the page in use on, of which the first is not decoded yet; its first record, or FAULTED. */
function decodeRun(page: i32, start: i32): i32 {
  const map = ownMap(page);
  set(Slot.CODE_MAP, map);
  noteDecoded(page);
  const entry = top;
  const end = entry + (hasFronts ? 2 * RUN : RUN) * RECORD_WORDS;
  let p = entry;
  let offset = start;
  while (offset < 4096 && p < end) {
    if (!hasFronts) {
      const behind = decodeByTemplates(p, end, offset, map);
      enterRecords(map, p, behind);
      p = behind;
      offset = reached;
      if (hasEnded || p === end) break;
    }
    const known = load<i32>(map + (offset << 2));
    if (known !== 0) {
      pseudo(p, HotOperation.continueAt, offset, known);
      setTop(p + RECORD_WORDS);
      return entry;
    }
    const here = p;
    if (hasFronts) p = placeProbe(placeBreakpoint(p, offset), offset);
    const length = decodeAhead(p, offset);
    if (length === 0) {
      if (offset === start) return decodeStraddling(page, offset);
      p = here;
      break;
    }
    timed(p, offset);
    store<i32>(map + (offset << 2), here);
    offset += length;
    p += RECORD_WORDS;
    if ((<i32>load<u8>(descriptor, Form.FLAGS) & Form.ENDS_RUN) !== 0) break;
  }
  // Behind a jump or return too: what is written over it may go on here (`refresh`).
  pseudo(p, HotOperation.relocate, offset, 0);
  setTop(p + RECORD_WORDS);
  return entry;
}

/** The same for code that is met for the first time: nothing leads to its records but the instructions in front of them. */
function decodeFirstTime(page: i32, start: i32): i32 {
  const map = mapOf(page);
  const end = FIRST_TIME_RECORD + FIRST_TIME_RUN * RECORD_WORDS;
  let p = FIRST_TIME_RECORD;
  let offset = start;
  for (;;) {
    p = decodeByTemplates(p, end, offset, map);
    offset = reached;
    if (hasEnded || p === end || offset >= 4096 || load<i32>(map + (offset << 2)) !== 0) break;
    const length = decodeAhead(p, offset);
    if (length === 0) {
      if (offset === start) return decodeStraddlingOnce(start);
      break;
    }
    offset += length;
    p += RECORD_WORDS;
    if (p === end || (<i32>load<u8>(descriptor, Form.FLAGS) & Form.ENDS_RUN) !== 0) break;
  }
  pseudo(p, HotOperation.relocate, offset, 0);
  noteDecoded(page);
  noteFirstTime(get(Slot.CODE_FRAME) >>> 12, start, offset);
  return FIRST_TIME_RECORD;
}

/**
 * Decodes a record again whose bytes were written: where it stands when the instruction is as long as the old one. The next record, or
 * FAULTED.
 */
export function refresh(p: i32): i32 {
  const q = p << 2;
  const offset = load<i32>(q, OFFSET);
  const page = knownPage(get(Slot.CODE_FRAME) >>> 12);
  noteDecoded(page);
  noteRewritten(page);
  if (decodeAhead(top, offset) === load<i32>(q, BYTES)) {
    memory.copy(Address.POOL + q, Address.POOL + (top << 2), RECORD);
    return p;
  }
  const isCopy = p >= FIRST_ENTRY_RECORD;
  forget(offset, isCopy ? load<i32>(q + RECORD, Address.POOL + (ORIGINAL << 2)) : p);
  return locate(get(Slot.PAGE_EIP) + offset);
}

/** Makes the page of a linear address, at offset `eip` of CS, the one in use. False when that faults. */
function enterPage(linear: i32, eip: i32): bool {
  const physical = translated(linear);
  if (hasFailed()) return false;
  const start = eip - (linear & 0xfff);
  const frame = physical & ~0xfff;
  const isCached = isInside(start, 4096) && u32(frame) < ramBytes();
  set(Slot.CODE_MAP, isCached ? mapOf(codePage(frame >>> 12)) : 0);
  set(Slot.CODE_PAGE, linear >>> 12);
  set(Slot.CODE_FRAME, frame);
  set(Slot.PAGE_EIP, start);
  return true;
}

/** The record of the instruction at `offset` of the page in use, which may be cached but is not; or FAULTED. */
function decode(linear: i32, eip: i32): i32 {
  if (isFull()) {
    dropAll();
    if (!enterPage(linear, eip)) return FAULTED;
  }
  const offset = linear & 0xfff;
  const page = knownPage(get(Slot.CODE_FRAME) >>> 12);
  if (!wasSeen(page, offset) && !hasFronts) return decodeFirstTime(page, offset);
  return decodeRun(page, offset);
}

/** The same as `locate`, when `locateKnown` has found nothing. */
export function locateUnknown(eip: i32): i32 {
  const linear = eip + get(Slot.BASE + Segment.CS);
  set(Slot.EIP, eip);
  set(Slot.FETCHING, 1);
  if (linear >>> 12 !== get(Slot.CODE_PAGE) && !enterPage(linear, eip)) return FAULTED;
  let map = get(Slot.CODE_MAP);
  if (map < 0) {
    map = mapOf(codePage(get(Slot.CODE_FRAME) >>> 12));
    set(Slot.CODE_MAP, map);
  }
  let p = map === 0 ? decodeScratch(linear & 0xfff) : load<i32>(map + ((linear & 0xfff) << 2));
  if (p === 0) p = decode(linear, eip);
  if (p >= 0) set(Slot.FETCHING, 0);
  return p;
}

/**
 * Pool index of the instruction at offset `eip` of CS, when that is known without a change of anything but which page is in use: the soft code
 * TLB has the page, it lies wholly inside CS, and the instruction is cached. Otherwise 0, and `locateUnknown` must be asked.
 */
export function locateKnown(eip: i32): i32 {
  const linear = eip + get(Slot.BASE + Segment.CS);
  const page = linear >>> 12;
  const place = (linear & 0xfff) << 2;
  if (page === get(Slot.CODE_PAGE)) {
    const map = get(Slot.CODE_MAP);
    return map > 0 ? load<i32>(map + place) : 0;
  }
  const frame = softCodeFrame(page);
  const start = eip - (linear & 0xfff);
  if (u32(frame) >= ramBytes() || !isInside(start, 4096)) return 0;
  const known = knownPage(frame >>> 12);
  if (known === 0) return 0;
  const map = mapOf(known);
  set(Slot.CODE_MAP, map);
  set(Slot.CODE_PAGE, page);
  set(Slot.CODE_FRAME, frame);
  set(Slot.PAGE_EIP, start);
  return load<i32>(map + place);
}

/** Pool index of the instruction at offset `eip` of CS, or FAULTED. */
export function locate(eip: i32): i32 {
  const p = locateKnown(eip);
  return p !== 0 ? p : locateUnknown(eip);
}

/** Record behind record `p` of the same first-time run that has the instruction at `offset` of its page; 0 when none has. */
function laterInRun(p: i32, offset: i32): i32 {
  for (let q = (p + RECORD_WORDS) << 2; load<i32>(q, OPERATION) !== HotOperation.relocate; q += RECORD)
    if (load<i32>(q, OFFSET) === offset) return q >> 2;
  return 0;
}

/**
 * Pool index of the target of a branch inside its page, or FAULTED; a target outside CS is the branch's own #GP(0), FETCHING is then 0.
 * Remembered in the branch's record.
 */
export function linkBranch(p: i32): i32 {
  const before = generation;
  const eip = get(Slot.PAGE_EIP) + load<i32>(p << 2, IMMEDIATE);
  if (!isInside(eip, 1)) {
    set(Slot.FAULT_RECORD, p);
    protectionFault();
    return FAULTED;
  }
  if (p >= FIRST_TIME_RECORD && p < FIRST_CACHED) {
    const later = laterInRun(p, load<i32>(p << 2, IMMEDIATE));
    if (later !== 0) return later;
  }
  const target = locate(eip);
  if (p >= FIRST_CACHED && target >= FIRST_CACHED && generation === before) {
    store<i32>(p << 2, target, LINK);
    if (load<i32>(p << 2, IMMEDIATE) <= load<i32>(p << 2, OFFSET))
      countEntry(target, get(Slot.CODE_FRAME) >>> 12, 0);
  }
  return target;
}
