/**
 * Descriptors and descriptor caches, as `../src/i386/segments.ts` describes them, for loads that pass all checks and need nothing written.
 * Whatever else comes is left to the slow way: then nothing has changed but the TLB, as the slow way will change it.
 */

import * as Descriptor from "./descriptors";
import * as Access from "./layout/access-bits";
import * as Address from "./layout/addresses";
import * as Counter from "./layout/counters";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import { SOFT_TLB_SETS } from "./layout/tlb-sizes";
import { takeFailureBack, translateMissed } from "./paging";
import { count, get, listeners, ramBytes, set } from "./state";

const PAGE = -4096;

/** Instead of a physical address: only the slow way can do it. */
export const NOWHERE: i32 = -1;

/** Physical address in RAM of bytes in one page, translated as an access would; NOWHERE when there is none. */
export function placeOf(linear: i32, bytes: i32, write: i32, mode: i32): i32 {
  if ((linear & 0xfff) + bytes > 4096) return NOWHERE;
  const at = (((linear >>> 12) & (SOFT_TLB_SETS - 1)) | mode) << 2;
  const tag = write ? load<i32>(at, Address.WRITE_TAGS) : load<i32>(at, Address.READ_TAGS);
  if (tag === (linear & PAGE)) return linear + load<i32>(at, Address.ADDENDS);
  const physical = translateMissed(linear, write, mode);
  return takeFailureBack() || u32(physical) >= ramBytes() ? NOWHERE : physical;
}

// The same, if the soft TLB decides, NOWHERE otherwise: without calls, so that the compiler puts them where they are wanted.

function quick(tags: i32, linear: i32, bytes: i32, mode: i32): i32 {
  const at = (((linear >>> 12) & (SOFT_TLB_SETS - 1)) | mode) << 2;
  return load<i32>(at + tags) === (linear & (PAGE | (bytes - 1)))
    ? linear + load<i32>(at, Address.ADDENDS)
    : NOWHERE;
}

/** Of an aligned double word to read. */
export function quickWord(linear: i32, mode: i32): i32 {
  return quick(Address.READ_TAGS, linear, 4, mode);
}

/** Of an aligned pair of double words that the supervisor reads. */
export function quickPair(linear: i32): i32 {
  return quick(Address.READ_TAGS, linear, 8, 0);
}

/** Of an aligned double word to write. */
export function quickWrite(linear: i32, mode: i32): i32 {
  return quick(Address.WRITE_TAGS, linear, 4, mode);
}

/** Put in their callers' place, which are many: calls are what gates cost most. */
export class Inlined {
  /** Place of an aligned pair of double words that the supervisor reads, or NOWHERE. */
  @inline
  static placeOfPair(linear: i32): i32 {
    const place = quickPair(linear);
    return place !== NOWHERE ? place : placeOf(linear, 8, 0, 0);
  }

  /**
   * Reads the descriptor of `selector`: its record (descriptors.ts); 0 when it is null, lies outside its table, or only the slow way can read
   * it.
   */
  @inline
  static find(selector: i32): i32 {
    const offset = selector & 0xfff8;
    if ((selector & 0xfffc) === 0) return 0;
    let limit = get(Slot.GDT_LIMIT);
    let base = get(Slot.GDT_BASE);
    if ((selector & 4) !== 0) {
      if ((get(Slot.ACCESS + Segment.LDTR) & Access.USABLE) === 0) return 0;
      limit = get(Slot.LIMIT + Segment.LDTR);
      base = get(Slot.BASE + Segment.LDTR);
    }
    if (u32(offset + 7) > u32(limit)) return 0;
    const place = Inlined.placeOfPair(base + offset);
    if (place === NOWHERE) return 0;
    return Descriptor.Inlined.recordOf(load<i32>(place, Address.RAM), load<i32>(place, Address.RAM + 4));
  }

  /** Record of the descriptor of a new SS at `ring`; 0 when the slow way must decide. */
  @inline
  static findStack(selector: i32, ring: i32): i32 {
    if ((selector & 3) !== ring) return 0;
    const record = Inlined.find(selector);
    return record !== 0 && load<i32>(record, Descriptor.STACK) === ring + 1 ? record : 0;
  }

  /** Fills the cache of one of the six segments from the record of a checked descriptor: without alignment checks, and not counted. */
  @inline
  static take(record: i32, segment: i32, selector: i32): void {
    const base = load<i32>(record, Descriptor.BASE);
    const limit = load<i32>(record, Descriptor.LIMIT);
    const access = load<i32>(record, Descriptor.ACCESS);
    set(Slot.SELECTOR + segment, selector);
    // Gates and returns mostly load what is there already: then nothing that hangs on the cache changes.
    const changed =
      (get(Slot.BASE + segment) ^ base) |
      (get(Slot.LIMIT + segment) ^ limit) |
      (get(Slot.ACCESS + segment) ^ access);
    if (changed === 0) return;
    set(Slot.BASE + segment, base);
    set(Slot.LIMIT + segment, limit);
    set(Slot.ACCESS + segment, access);
    if (segment === Segment.CS) set(Slot.CODE_PAGE, -1);
    const at = segment << 4;
    store<i64>(at, load<i64>(record, Descriptor.READ_COUNTS), Address.READ_LIMITS);
    store<i32>(at, load<i32>(record, Descriptor.READ_COUNTS + 8), Address.READ_LIMITS + 8);
    store<i64>(at, load<i64>(record, Descriptor.WRITE_COUNTS), Address.WRITE_LIMITS);
    store<i32>(at, load<i32>(record, Descriptor.WRITE_COUNTS + 8), Address.WRITE_LIMITS + 8);
    const flat = segment === Segment.CS ? Descriptor.FLAT_CODE : Descriptor.FLAT;
    setFlatness(segment, load<i32>(record + flat));
  }

  /** The same with both. */
  @inline
  static setFrom(record: i32, segment: i32, selector: i32): void {
    Inlined.take(record, segment, selector);
    count(Counter.SEGMENT_LOADS);
    if (get(Slot.ALIGNMENT_CHECK) !== 0) refreshLimits(segment);
  }

  /** On return to an outer ring: data segments that the new ring may not use become null. */
  @inline
  static dropPrivileged(ring: i32): void {
    if (isPrivileged(Segment.DS, ring)) setNull(Segment.DS, 0);
    if (isPrivileged(Segment.ES, ring)) setNull(Segment.ES, 0);
    if (isPrivileged(Segment.FS, ring)) setNull(Segment.FS, 0);
    if (isPrivileged(Segment.GS, ring)) setNull(Segment.GS, 0);
  }
}

/** `Inlined.find`. */
export function find(selector: i32): i32 {
  return Inlined.find(selector);
}

/** Recomputes the fast-path counts of a segment from its cache, none where only the slow path can decide. */
export function refreshLimits(segment: i32): void {
  const access = get(Slot.ACCESS + segment);
  const limit = get(Slot.LIMIT + segment);
  const words = get(Slot.ALIGNMENT_CHECK) === 0;
  const writable = Descriptor.isFastToWrite(access);
  const at = segment << 4;
  Descriptor.storeCounts(at + Address.READ_LIMITS, Descriptor.isFastToRead(access), limit, words);
  Descriptor.storeCounts(at + Address.WRITE_LIMITS, writable, limit, words);
  const isOpen = limit === -1 && (segment === Segment.CS || (writable && words));
  setFlatness(segment, Descriptor.flatBits(segment === Segment.CS ? 0 : get(Slot.BASE + segment), isOpen));
}

/** `bits`: those of segment 0. */
function setFlatness(segment: i32, bits: i32): void {
  set(Slot.FLAT_SEGMENTS, (get(Slot.FLAT_SEGMENTS) & ~(0x101 << segment)) | (bits << segment));
}

export function setNull(segment: i32, selector: i32): void {
  set(Slot.SELECTOR + segment, selector);
  set(Slot.ACCESS + segment, get(Slot.ACCESS + segment) & ~Access.USABLE);
  count(Counter.SEGMENT_LOADS);
  refreshLimits(segment);
}

/** MOV, POP, Lxx to DS, ES, FS, GS, SS. False when the slow way must do it. */
export function loadSegment(segment: i32, selector: i32): bool {
  if (listeners() !== 0) return false;
  let record = 0;
  if (segment === Segment.SS) {
    record = Inlined.findStack(selector, get(Slot.CPL));
    if (record === 0) return false;
  } else if ((selector & 0xfffc) === 0) {
    setNull(segment, selector);
    return true;
  } else {
    record = Inlined.find(selector);
    if (record === 0) return false;
    const most = load<i32>(record, Descriptor.READABLE);
    if ((selector & 3) >= most || get(Slot.CPL) >= most) return false;
  }
  Inlined.setFrom(record, segment, selector);
  return true;
}

function isPrivileged(segment: i32, ring: i32): bool {
  const access = get(Slot.ACCESS + segment);
  if ((access & Access.USABLE) === 0 || Descriptor.dplOf(access) >= ring) return false;
  return !Descriptor.isConformingCode(access);
}
