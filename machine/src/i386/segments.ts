/**
 * Selectors, descriptors and the descriptor caches of segment registers. Source: Pentium Processor Family Developer's Manual,
 * volume 3, chapters 11 (segmentation), 12 (protection) and the pseudo-code of MOV, POP, LDS, LLDT, LTR in chapter 25.
 *
 *   descriptor, high word                           selector
 *   31..24 base  23 G  22 B/D  20 AVL  19..16 limit     15..3 index  2 table (1 = LDT)  1..0 RPL
 *   15 P  14..13 DPL  12 S  11..8 type  7..0 base
 *
 * Error codes are the selector without RPL, with EXT from `Slot.EXTERNAL`.
 */

import type { ProcessorCore } from "./core.ts";
import type { Engine } from "./engine.ts";
import { raise } from "./fault.ts";
import { Access, Segment, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { Counter } from "./statistics.ts";

/** Bits of a descriptor's high word that are not base: what the cache keeps. */
const ACCESS_BITS = 0x00f0_ff00;

export interface Descriptor {
  low: number;
  high: number;
}

export interface Segments {
  /** Reads the descriptor of `selector` into `into`; false when it lies outside its table. */
  fetch(selector: number, into: Descriptor): boolean;
  /** Linear address of the descriptor. */
  descriptorAddress(selector: number): number;
  /** Error code for a selector. */
  code(selector: number): number;
  /** MOV, POP, Lxx to DS, ES, FS, GS, SS: all checks, then the cache is loaded. */
  load(segment: number, selector: number): void;
  /** Checks for a new SS at `ring`; raises `vector` for bad descriptors. Fills `into`, sets the accessed bit. */
  checkStack(selector: number, ring: number, vector: number, into: Descriptor): void;
  /** Fills the cache from a checked descriptor. */
  set(segment: number, selector: number, low: number, high: number): void;
  /** Loads the null selector: the segment becomes unusable. */
  setNull(segment: number, selector: number): void;
  /** Sets the accessed bit in the table when it is clear; returns the new high word. */
  markAccessed(selector: number, high: number): number;
  /** On return to an outer ring: data segments that the new ring may not use become null. */
  dropPrivileged(): void;
}

export const descriptorBase = (low: number, high: number): number =>
  (low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000);

/** Effective limit: the last valid offset of an expand-up segment. */
export function descriptorLimit(low: number, high: number): number {
  const limit = (low & 0xffff) | (high & 0xf_0000);
  return (high & Access.GRANULAR) !== 0 ? (limit << 12) | 0xfff : limit;
}

export const descriptorDpl = (high: number): number => (high >> Access.DPL_SHIFT) & 3;

/** Conforming code segments have both bits, and are exempt from DPL checks. */
export const isConformingCode = (high: number): boolean =>
  (high & (Access.CODE | Access.EXPAND_DOWN)) === (Access.CODE | Access.EXPAND_DOWN);

export const isCode = (high: number): boolean =>
  (high & (Access.NOT_SYSTEM | Access.CODE)) === (Access.NOT_SYSTEM | Access.CODE);

export const isWritableData = (high: number): boolean =>
  (high & (Access.NOT_SYSTEM | Access.CODE | Access.WRITABLE)) === (Access.NOT_SYSTEM | Access.WRITABLE);

export function createSegments(core: ProcessorCore, memory: Memory, engine: Engine): Segments {
  const { s, counters } = core;
  const { BASE, SELECTOR, LIMIT, ACCESS, CPL, EXTERNAL } = Slot;
  const scratch: Descriptor = { low: 0, high: 0 };

  const code = (selector: number): number => (selector & 0xfffc) | s[EXTERNAL]!;

  function descriptorAddress(selector: number): number {
    const base = (selector & 4) !== 0 ? s[BASE + Segment.LDTR]! : s[Slot.GDT_BASE]!;
    return (base + (selector & 0xfff8)) | 0;
  }

  function fetch(selector: number, into: Descriptor): boolean {
    const last = (selector & 0xfff8) + 7;
    if ((selector & 4) !== 0) {
      if ((s[ACCESS + Segment.LDTR]! & Access.USABLE) === 0) return false;
      if (last > s[LIMIT + Segment.LDTR]! >>> 0) return false;
    } else if (last > s[Slot.GDT_LIMIT]!) return false;
    const address = descriptorAddress(selector);
    into.low = memory.readSystem32(address);
    into.high = memory.readSystem32((address + 4) | 0);
    return true;
  }

  function markAccessed(selector: number, high: number): number {
    if ((high & Access.ACCESSED) !== 0) return high;
    memory.writeLinear((descriptorAddress(selector) + 5) | 0, 1, ((high >> 8) & 0xff) | 1, 0);
    return high | Access.ACCESSED;
  }

  function set(segment: number, selector: number, low: number, high: number): void {
    const base = descriptorBase(low, high);
    const limit = descriptorLimit(low, high);
    const access = (high & ACCESS_BITS) | Access.USABLE;
    s[SELECTOR + segment] = selector;
    counters[Counter.SEGMENT_LOADS]!++;
    // Gates and returns mostly load what is there already: then nothing that hangs on the cache changes.
    if (s[BASE + segment] === base && s[LIMIT + segment] === limit && s[ACCESS + segment] === access) return;
    s[BASE + segment] = base;
    s[LIMIT + segment] = limit;
    s[ACCESS + segment] = access;
    if (segment === Segment.CS) s[Slot.CODE_PAGE] = -1;
    if (segment < 6) memory.refreshLimits(segment);
  }

  function setNull(segment: number, selector: number): void {
    s[SELECTOR + segment] = selector;
    s[ACCESS + segment] = s[ACCESS + segment]! & ~Access.USABLE;
    counters[Counter.SEGMENT_LOADS]!++;
    if (segment < 6) memory.refreshLimits(segment);
  }

  function checkStack(selector: number, ring: number, vector: number, into: Descriptor): void {
    if ((selector & 0xfffc) === 0) raise(vector, s[EXTERNAL]!);
    if (!fetch(selector, into) || (selector & 3) !== ring) raise(vector, code(selector));
    if (!isWritableData(into.high) || descriptorDpl(into.high) !== ring) raise(vector, code(selector));
    if ((into.high & Access.PRESENT) === 0) raise(Vector.SS, code(selector));
  }

  function load(segment: number, selector: number): void {
    if (engine.loadSegment(segment, selector) !== 0) return;
    if (segment === Segment.SS) {
      checkStack(selector, s[CPL]!, Vector.GP, scratch);
    } else {
      if ((selector & 0xfffc) === 0) {
        setNull(segment, selector);
        return;
      }
      if (!fetch(selector, scratch)) raise(Vector.GP, code(selector));
      const { high } = scratch;
      const readable =
        (high & Access.NOT_SYSTEM) !== 0 && (high & (Access.CODE | Access.WRITABLE)) !== Access.CODE;
      if (!readable) raise(Vector.GP, code(selector));
      if (!isConformingCode(high)) {
        const dpl = descriptorDpl(high);
        if ((selector & 3) > dpl || s[CPL]! > dpl) raise(Vector.GP, code(selector));
      }
      if ((high & Access.PRESENT) === 0) raise(Vector.NP, code(selector));
    }
    const high = markAccessed(selector, scratch.high);
    set(segment, selector, scratch.low, high);
  }

  function dropPrivileged(): void {
    const ring = s[CPL]!;
    for (let segment = 0; segment < 6; segment++) {
      if (segment === Segment.CS || segment === Segment.SS) continue;
      const access = s[ACCESS + segment]!;
      if ((access & Access.USABLE) === 0 || isConformingCode(access)) continue;
      if (descriptorDpl(access) < ring) setNull(segment, 0);
    }
  }

  return { fetch, descriptorAddress, code, load, checkStack, set, setNull, markAccessed, dropPrivileged };
}
