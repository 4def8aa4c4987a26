/**
 * What follows from the two words of a descriptor alone, worked out once and kept by a hash of them. It depends on nothing else: descriptor
 * tables are read, and the TLB asked, at every load. A record of zeroes is right for a descriptor that is not present.
 *
 * A record lasts until the next one is asked for, that of code also over one of a stack: code and data have a half of the table each.
 */

import * as Access from "./layout/access-bits";
import { DESCRIPTORS } from "./layout/addresses";

/** Bits of a descriptor's high word that are not base: what the descriptor cache keeps. */
export const ACCESS_BITS = 0x00f0_ff00;
/** Bytes of a record, as a power of two; mask of the records' byte offsets in a half; from bit CODE of a descriptor to the half. */
const RECORD_SHIFT = 6;
const RECORDS_MASK = 0x3fc0;
const HALF_SHIFT = 3;

// Byte offsets in a record.
const LOW = 0;
export const HIGH = 4;
export const BASE = 8;
export const LIMIT = 12;
/** As in the descriptor cache. */
export const ACCESS = 16;
/** Bits in FLAT_SEGMENTS, as of segment 0: of a data segment, and in CS. */
export const FLAT = 20;
export const FLAT_CODE = 36;
// 1 + DPL for a segment of the kind that needs no write of its accessed bit; 0 for others. What can be read: 1 + the least privilege that may.
/** Conforming code: and `CONFORMING`. */
export const CODE = 24;
/** Writable data. */
export const STACK = 28;
export const READABLE = 32;
/** Counts for bytes and words, then for double words, as in READ_LIMITS and WRITE_LIMITS, without alignment checks. */
export const READ_COUNTS = 40;
export const WRITE_COUNTS = 52;

export const CONFORMING = 8;

export function dplOf(access: i32): i32 {
  return (access >>> Access.DPL_SHIFT) & 3;
}

export function isConformingCode(access: i32): bool {
  return (access & (Access.CODE | Access.EXPAND_DOWN)) === (Access.CODE | Access.EXPAND_DOWN);
}

function baseOf(low: i32, high: i32): i32 {
  return (low >>> 16) | ((high & 0xff) << 16) | (high & -0x100_0000);
}

/** Effective limit: the last valid offset of an expand-up segment. */
function limitOf(low: i32, high: i32): i32 {
  const limit = (low & 0xffff) | (high & 0xf_0000);
  return (high & Access.GRANULAR) !== 0 ? (limit << 12) | 0xfff : limit;
}

/** To be put in its callers' place. */
export class Inlined {
  /** Address of the record of a descriptor, never 0. */
  @inline
  static recordOf(low: i32, high: i32): i32 {
    const hash = (high >>> 8) ^ (high >>> 22) ^ (low >>> 16) ^ (low >>> 26) ^ low;
    const half = (high & Access.CODE) << HALF_SHIFT;
    const record = DESCRIPTORS + half + ((hash << RECORD_SHIFT) & RECORDS_MASK);
    if (load<i32>(record, LOW) === low && load<i32>(record, HIGH) === high) return record;
    return fill(record, low, high);
  }
}

function fill(record: i32, low: i32, high: i32): i32 {
  const limit = limitOf(low, high);
  const access = (high & ACCESS_BITS) | Access.USABLE;
  const base = baseOf(low, high);
  store<i32>(record, low, LOW);
  store<i32>(record, high, HIGH);
  store<i32>(record, base, BASE);
  store<i32>(record, limit, LIMIT);
  store<i32>(record, access, ACCESS);
  storeCounts(record + READ_COUNTS, isFastToRead(access), limit, true);
  storeCounts(record + WRITE_COUNTS, isFastToWrite(access), limit, true);
  store<i32>(record, flatBits(base, isFastToWrite(access) && limit === -1), FLAT);
  store<i32>(record, flatBits(0, limit === -1), FLAT_CODE);
  const ready = Access.PRESENT | Access.ACCESSED | Access.NOT_SYSTEM;
  const kind = (high & ready) === ready ? dplOf(high) + 1 : 0;
  const isCode = (high & Access.CODE) !== 0;
  const mayWrite = (high & Access.WRITABLE) !== 0;
  const isConforming = isConformingCode(high);
  store<i32>(record, isCode && kind !== 0 ? kind | (isConforming ? CONFORMING : 0) : 0, CODE);
  store<i32>(record, !isCode && mayWrite ? kind : 0, STACK);
  store<i32>(record, isCode && !mayWrite ? 0 : isConforming && kind !== 0 ? 4 : kind, READABLE);
  return record;
}

/** Whether a return to `ring` may enter the segment of a record. */
export function allowsReturn(record: i32, ring: i32): bool {
  const kind = load<i32>(record, CODE);
  return kind < CONFORMING ? kind === ring + 1 : (kind & 7) <= ring + 1;
}

/** Whether the counts decide about reads through a cache with such bits in ACCESS; otherwise only the slow path can. */
export function isFastToRead(access: i32): bool {
  return (
    (access & Access.USABLE) !== 0 &&
    (access & (Access.CODE | Access.WRITABLE)) !== Access.CODE &&
    isUp(access)
  );
}

export function isFastToWrite(access: i32): bool {
  const kind = access & (Access.USABLE | Access.CODE | Access.WRITABLE | Access.EXPAND_DOWN);
  return kind === (Access.USABLE | Access.WRITABLE);
}

function isUp(access: i32): bool {
  return (access & Access.CODE) !== 0 || (access & Access.EXPAND_DOWN) === 0;
}

/** See FLAT_SEGMENTS. `isOpen`: limit FFFFFFFFH, readable and writable (CS: the limit alone). */
export function flatBits(base: i32, isOpen: bool): i32 {
  if (!isOpen) return 0;
  return base === 0 ? 0x101 : 0x100;
}

/** The three counts of a segment; `words`: no alignment checks, with which only bytes may take the fast path. */
export function storeCounts(at: i32, isFast: bool, limit: i32, words: bool): void {
  const whole = limit === -1;
  const bytes = whole ? limit : limit + 1;
  const count2 = words ? limit : 0;
  const count4 = !words || u32(limit) < 3 ? 0 : whole ? limit : limit - 2;
  store<i64>(at, isFast ? (u64(u32(count2)) << 32) | u64(u32(bytes)) : 0);
  store<i32>(at, isFast ? count4 : 0, 8);
}
