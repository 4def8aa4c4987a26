/**
 * Descriptors and descriptor caches, as `../src/i386/segments.ts` describes them, for loads that pass all checks and need nothing written.
 * Whatever else comes is left to the slow way: then nothing has changed but the TLB, as the slow way will change it.
 */

import * as Access from "./layout/access-bits";
import * as Address from "./layout/addresses";
import * as Counter from "./layout/counters";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import { SOFT_TLB_SETS } from "./layout/tlb-sizes";
import { takeFailureBack, translate } from "./paging";
import { count, get, listeners, ramBytes, set } from "./state";

/** Bits of a descriptor's high word that are not base: what the cache keeps. */
export const ACCESS_BITS = 0x00f0_ff00;
/** Of these and the limit the counts of a segment are made. */
const SHAPE = Access.USABLE | Access.CODE | Access.WRITABLE | Access.EXPAND_DOWN;
const PAGE = -4096;

/** Instead of a physical address: only the slow way can do it. */
export const NOWHERE: i32 = -1;

/** The descriptor that was fetched last. */
export let low: i32 = 0;
export let high: i32 = 0;

/** Physical address in RAM of bytes in one page, translated as an access would; NOWHERE when there is none. */
export function placeOf(linear: i32, bytes: i32, write: i32, mode: i32): i32 {
  if ((linear & 0xfff) + bytes > 4096) return NOWHERE;
  const at = (((linear >>> 12) & (SOFT_TLB_SETS - 1)) | mode) << 2;
  const tag = write ? load<i32>(at, Address.WRITE_TAGS) : load<i32>(at, Address.READ_TAGS);
  if (tag === (linear & PAGE)) return linear + load<i32>(at, Address.ADDENDS);
  return translated(linear, write, mode);
}

function translated(linear: i32, write: i32, mode: i32): i32 {
  const physical = translate(linear, write, mode);
  return takeFailureBack() || u32(physical) >= ramBytes() ? NOWHERE : physical;
}

/** Reads the descriptor of `selector`; false when it lies outside its table, or only the slow way can read it. */
export function fetch(selector: i32): bool {
  const last = (selector & 0xfff8) + 7;
  let base = get(Slot.GDT_BASE);
  if ((selector & 4) !== 0) {
    if ((get(Slot.ACCESS + Segment.LDTR) & Access.USABLE) === 0) return false;
    if (u32(last) > u32(get(Slot.LIMIT + Segment.LDTR))) return false;
    base = get(Slot.BASE + Segment.LDTR);
  } else if (last > get(Slot.GDT_LIMIT)) return false;
  const place = placeOf(base + (selector & 0xfff8), 8, 0, 0);
  if (place === NOWHERE) return false;
  low = load<i32>(place, Address.RAM);
  high = load<i32>(place, Address.RAM + 4);
  return true;
}

export function dplOf(access: i32): i32 {
  return (access >>> Access.DPL_SHIFT) & 3;
}

export function isConformingCode(access: i32): bool {
  return (access & (Access.CODE | Access.EXPAND_DOWN)) === (Access.CODE | Access.EXPAND_DOWN);
}

export function isCode(access: i32): bool {
  return (access & (Access.NOT_SYSTEM | Access.CODE)) === (Access.NOT_SYSTEM | Access.CODE);
}

/** Present, and its accessed bit need not be set. */
export function isReady(access: i32): bool {
  return (access & (Access.PRESENT | Access.ACCESSED)) === (Access.PRESENT | Access.ACCESSED);
}

export function baseOf(first: i32, second: i32): i32 {
  return (first >>> 16) | ((second & 0xff) << 16) | (second & -0x100_0000);
}

/** Effective limit: the last valid offset of an expand-up segment. */
export function limitOf(first: i32, second: i32): i32 {
  const limit = (first & 0xffff) | (second & 0xf_0000);
  return (second & Access.GRANULAR) !== 0 ? (limit << 12) | 0xfff : limit;
}

/** Recomputes the fast-path counts of a segment from its cache, none where only the slow path can decide. */
export function refreshLimits(segment: i32): void {
  const access = get(Slot.ACCESS + segment);
  const limit = get(Slot.LIMIT + segment);
  const isCodeSegment = (access & Access.CODE) !== 0;
  const mayWrite = (access & Access.WRITABLE) !== 0;
  const usable = (access & Access.USABLE) !== 0 && (isCodeSegment || (access & Access.EXPAND_DOWN) === 0);
  // With alignment checks on, only bytes may take the fast path: it does not look at alignment of words.
  const words = get(Slot.ALIGNMENT_CHECK) === 0;
  const whole = limit === -1;
  const bytes = whole ? limit : limit + 1;
  const count2 = words ? limit : 0;
  const count4 = !words || u32(limit) < 3 ? 0 : whole ? limit : limit - 2;
  const readable = usable && (!isCodeSegment || mayWrite);
  const writable = usable && !isCodeSegment && mayWrite;
  const bytesAndWords = (u64(u32(count2)) << 32) | u64(u32(bytes));
  const at = segment << 4;
  store<i64>(at, readable ? bytesAndWords : 0, Address.READ_LIMITS);
  store<i32>(at, readable ? count4 : 0, Address.READ_LIMITS + 8);
  store<i64>(at, writable ? bytesAndWords : 0, Address.WRITE_LIMITS);
  store<i32>(at, writable ? count4 : 0, Address.WRITE_LIMITS + 8);
  refreshFlatness(segment, whole && (segment === Segment.CS || (writable && words)));
}

/** See FLAT_SEGMENTS. `isOpen`: limit FFFFFFFFH, readable and writable (CS: the limit alone). */
function refreshFlatness(segment: i32, isOpen: bool): void {
  const isFlat = isOpen && (segment === Segment.CS || get(Slot.BASE + segment) === 0);
  const bits = isFlat ? 0x101 << segment : isOpen ? 0x100 << segment : 0;
  set(Slot.FLAT_SEGMENTS, (get(Slot.FLAT_SEGMENTS) & ~(0x101 << segment)) | bits);
}

/** Fills the cache of one of the six segments from a checked descriptor. */
export function setSegment(segment: i32, selector: i32, first: i32, second: i32): void {
  const base = baseOf(first, second);
  const limit = limitOf(first, second);
  const access = (second & ACCESS_BITS) | Access.USABLE;
  set(Slot.SELECTOR + segment, selector);
  count(Counter.SEGMENT_LOADS);
  // Gates and returns mostly load what is there already: then nothing that hangs on the cache changes.
  const isSameLimit = get(Slot.LIMIT + segment) === limit;
  const changed = get(Slot.ACCESS + segment) ^ access;
  if (get(Slot.BASE + segment) === base && isSameLimit && changed === 0) return;
  set(Slot.BASE + segment, base);
  set(Slot.LIMIT + segment, limit);
  set(Slot.ACCESS + segment, access);
  if (segment === Segment.CS) set(Slot.CODE_PAGE, -1);
  if (isSameLimit && (changed & SHAPE) === 0)
    refreshFlatness(segment, (get(Slot.FLAT_SEGMENTS) & (0x100 << segment)) !== 0);
  else refreshLimits(segment);
}

export function setNull(segment: i32, selector: i32): void {
  set(Slot.SELECTOR + segment, selector);
  set(Slot.ACCESS + segment, get(Slot.ACCESS + segment) & ~Access.USABLE);
  count(Counter.SEGMENT_LOADS);
  refreshLimits(segment);
}

/** Fetches and checks the descriptor of a new SS at `ring`. */
export function fetchStack(selector: i32, ring: i32): bool {
  if ((selector & 0xfffc) === 0 || !fetch(selector) || (selector & 3) !== ring) return false;
  const kind = high & (Access.NOT_SYSTEM | Access.CODE | Access.WRITABLE);
  return kind === (Access.NOT_SYSTEM | Access.WRITABLE) && dplOf(high) === ring && isReady(high);
}

/** MOV, POP, Lxx to DS, ES, FS, GS, SS. False when the slow way must do it. */
export function loadSegment(segment: i32, selector: i32): bool {
  if (listeners() !== 0) return false;
  if (segment === Segment.SS) {
    if (!fetchStack(selector, get(Slot.CPL))) return false;
  } else if ((selector & 0xfffc) === 0) {
    setNull(segment, selector);
    return true;
  } else if (!fetch(selector) || !isReady(high) || !mayRead(selector)) return false;
  setSegment(segment, selector, low, high);
  return true;
}

/** Whether the fetched segment can be read at the current ring through `selector`. */
function mayRead(selector: i32): bool {
  if ((high & Access.NOT_SYSTEM) === 0) return false;
  if ((high & (Access.CODE | Access.WRITABLE)) === Access.CODE) return false;
  if (isConformingCode(high)) return true;
  const dpl = dplOf(high);
  return (selector & 3) <= dpl && get(Slot.CPL) <= dpl;
}

/** On return to an outer ring: data segments that the new ring may not use become null. */
export function dropPrivileged(): void {
  const ring = get(Slot.CPL);
  for (let segment = 0; segment < 6; segment++) {
    if (segment === Segment.CS || segment === Segment.SS) continue;
    const access = get(Slot.ACCESS + segment);
    if ((access & Access.USABLE) === 0 || isConformingCode(access)) continue;
    if (dplOf(access) < ring) setNull(segment, 0);
  }
}
