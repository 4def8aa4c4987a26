/**
 * Memory as instructions see it: offset in a segment, checked against base, limit, type and alignment, then paging, then RAM or
 * the bus. Source: Pentium Processor Family Developer's Manual, volume 3, chapters 12 (protection) and 14 (faults).
 *
 * Fast path: offset below the segment's count for this size (`readLimits`, `writeLimits`), page in the soft TLB, aligned (the tag
 * comparison sees to both). All else, and
 * every fault, is decided by the slow path, in the manual's order: segment type, limit, alignment, paging.
 *
 * Choices where the manual leaves one: an access that runs past offset FFFFFFFFH of an expand-up segment with that limit wraps
 * without a fault (the kernel's biased pointers rely on arithmetic modulo 2^32); so does one past linear FFFFFFFFH. When an access
 * straddles two pages both are checked before anything is read or written, the first one first.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Engine } from "./engine.ts";
import { raise } from "./fault.ts";
import { AC } from "./instruction.ts";
import { Access, ControlBit, Segment, Slot, SOFT_TLB_SETS, Vector } from "./layout.ts";
import type { Paging } from "./paging.ts";

/** Called on slow paths for pages in `Paging.watchedPages`. */
export type AccessWatcher = (linear: number, size: number, write: boolean) => void;

export interface Memory {
  read8(segment: number, offset: number): number;
  read16(segment: number, offset: number): number;
  read32(segment: number, offset: number): number;
  /** Value for an instruction that will write it back: faults as a write does. */
  modify8(segment: number, offset: number): number;
  modify16(segment: number, offset: number): number;
  modify32(segment: number, offset: number): number;
  write8(segment: number, offset: number, value: number): void;
  write16(segment: number, offset: number, value: number): void;
  write32(segment: number, offset: number, value: number): void;
  /** Raises what a write of `size` bytes (any number up to 4096) would raise. */
  probeWrite(segment: number, offset: number, size: number): void;
  /** Linear address after all segment checks. */
  linearOf(segment: number, offset: number, size: number, write: boolean): number;
  /** By linear address, with the rights of `mode`. Sizes 1, 2, 4. */
  readLinear(linear: number, size: number, mode: number): number;
  writeLinear(linear: number, size: number, value: number, mode: number): void;
  /** Implicit supervisor accesses: descriptor tables and task state. */
  readSystem16(linear: number): number;
  readSystem32(linear: number): number;
  writeSystem16(linear: number, value: number): void;
  writeSystem32(linear: number, value: number): void;
  /**
   * Accesses of compiled code that its fast path does not allow. A page fault is not thrown but left in TRANSLATION_FAILED; the value then
   * means nothing. `modify` reads what will be written back.
   */
  readCompiled(segment: number, offset: number, size: number): number;
  modifyCompiled(segment: number, offset: number, size: number): number;
  writeCompiled(segment: number, offset: number, size: number, value: number): void;
  readPhysical(address: number, size: number): number;
  writePhysical(address: number, size: number, value: number): void;
  /** Recomputes the fast-path counts of a segment from its cache. */
  refreshLimits(segment: number): void;
  /** After a change of CPL, EFLAGS.AC or CR0.AM. */
  updateAlignmentCheck(): void;
  watcher: AccessWatcher | null;
}

export function createMemory(
  core: ProcessorCore,
  codeCache: CodeCache,
  paging: Paging,
  { refreshLimits }: Engine,
): Memory {
  const { s, bus, ram8, ram32, ramView, ramSize, readLimits, writeLimits } = core;
  const { readTags, writeTags, addends, translate, tryTranslate, watchedPages } = paging;
  const { codeFrames } = codeCache;
  const { BASE, LIMIT, ACCESS, MODE, ALIGNMENT_CHECK, TRANSLATION_FAILED } = Slot;
  const { SS } = Segment;
  const SETS = SOFT_TLB_SETS - 1;

  function readPhysical(address: number, size: number): number {
    if (address >>> 0 < ramSize) {
      if (size === 4) return ramView.getInt32(address, true);
      return size === 2 ? ramView.getUint16(address, true) : ram8[address]!;
    }
    return bus.readPhysical(address >>> 0, size as 1 | 2 | 4) | 0;
  }

  function writePhysical(address: number, size: number, value: number): void {
    if (address >>> 0 < ramSize) {
      if (size === 4) ramView.setInt32(address, value, true);
      else if (size === 2) ramView.setInt16(address, value, true);
      else ram8[address] = value;
      if (codeFrames[address >>> 12] !== 0) codeCache.written(address, size);
    } else {
      const unsigned = size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
      bus.writePhysical(address >>> 0, size as 1 | 2 | 4, unsigned);
    }
  }

  function readLinear(linear: number, size: number, mode: number): number {
    let value = 0;
    if ((linear & 0xfff) + size <= 4096) value = readPhysical(translate(linear, false, mode), size);
    else {
      const first = 4096 - (linear & 0xfff);
      const low = translate(linear, false, mode);
      const high = translate((linear + first) | 0, false, mode);
      for (let i = size - 1; i >= 0; i--) {
        value = (value << 8) | readPhysical(i < first ? low + i : high + i - first, 1);
      }
    }
    if (watchedPages.size !== 0) memory.watcher?.(linear, size, false);
    return value;
  }

  function writeLinear(linear: number, size: number, value: number, mode: number): void {
    if ((linear & 0xfff) + size <= 4096) writePhysical(translate(linear, true, mode), size, value);
    else {
      const first = 4096 - (linear & 0xfff);
      const low = translate(linear, true, mode);
      const high = translate((linear + first) | 0, true, mode);
      for (let i = 0; i < size; i++) {
        writePhysical(i < first ? low + i : high + i - first, 1, (value >>> (8 * i)) & 0xff);
      }
    }
    if (watchedPages.size !== 0) memory.watcher?.(linear, size, true);
  }

  function segmentFault(segment: number): never {
    raise(segment === SS ? Vector.SS : Vector.GP, 0);
  }

  function linearOf(segment: number, offset: number, size: number, write: boolean): number {
    const access = s[ACCESS + segment]!;
    const start = offset >>> 0;
    const limit = s[LIMIT + segment]! >>> 0;
    const last = start + size - 1;
    if ((access & Access.USABLE) === 0) segmentFault(segment);
    if (write) {
      if ((access & (Access.CODE | Access.WRITABLE)) !== Access.WRITABLE) segmentFault(segment);
    } else if ((access & (Access.CODE | Access.WRITABLE)) === Access.CODE) segmentFault(segment);
    if ((access & (Access.CODE | Access.EXPAND_DOWN)) === Access.EXPAND_DOWN) {
      const top = (access & Access.BIG) !== 0 ? 0xffff_ffff : 0xffff;
      if (start <= limit || last > top) segmentFault(segment);
    } else if (limit !== 0xffff_ffff && last > limit) segmentFault(segment);
    if (s[ALIGNMENT_CHECK] !== 0 && (offset & (Math.min(size, 4) - 1)) !== 0 && size !== 3)
      raise(Vector.AC, 0);
    return (s[BASE + segment]! + offset) | 0;
  }

  function readSlow(segment: number, offset: number, size: number): number {
    return readLinear(linearOf(segment, offset, size, false), size, s[MODE]!);
  }

  function writeSlow(segment: number, offset: number, size: number, value: number): void {
    writeLinear(linearOf(segment, offset, size, true), size, value, s[MODE]!);
  }

  function modifySlow(segment: number, offset: number, size: number): number {
    const linear = linearOf(segment, offset, size, true);
    const mode = s[MODE]!;
    translate(linear, true, mode);
    if ((linear & 0xfff) + size > 4096) translate((linear + size - 1) & 0xfffff000, true, mode);
    return readLinear(linear, size, mode);
  }

  function read8(segment: number, offset: number): number {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < readLimits[segment << 2]! && readTags[soft] === (linear & 0xfffff000)) {
      return ram8[(linear + addends[soft]!) | 0]!;
    }
    return readSlow(segment, offset, 1);
  }

  function read16(segment: number, offset: number): number {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < readLimits[(segment << 2) + 1]! && readTags[soft] === (linear & 0xfffff001)) {
      return ramView.getUint16((linear + addends[soft]!) | 0, true);
    }
    return readSlow(segment, offset, 2);
  }

  function read32(segment: number, offset: number): number {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < readLimits[(segment << 2) + 2]! && readTags[soft] === (linear & 0xfffff003)) {
      return ram32[(linear + addends[soft]!) >> 2]!;
    }
    return readSlow(segment, offset, 4);
  }

  function write8(segment: number, offset: number, value: number): void {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < writeLimits[segment << 2]! && writeTags[soft] === (linear & 0xfffff000)) {
      ram8[(linear + addends[soft]!) | 0] = value;
    } else writeSlow(segment, offset, 1, value);
  }

  function write16(segment: number, offset: number, value: number): void {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < writeLimits[(segment << 2) + 1]! && writeTags[soft] === (linear & 0xfffff001)) {
      ramView.setInt16((linear + addends[soft]!) | 0, value, true);
    } else writeSlow(segment, offset, 2, value);
  }

  function write32(segment: number, offset: number, value: number): void {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < writeLimits[(segment << 2) + 2]! && writeTags[soft] === (linear & 0xfffff003)) {
      ram32[(linear + addends[soft]!) >> 2] = value;
    } else writeSlow(segment, offset, 4, value);
  }

  function modify8(segment: number, offset: number): number {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < writeLimits[segment << 2]! && writeTags[soft] === (linear & 0xfffff000)) {
      return ram8[(linear + addends[soft]!) | 0]!;
    }
    return modifySlow(segment, offset, 1);
  }

  function modify16(segment: number, offset: number): number {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < writeLimits[(segment << 2) + 1]! && writeTags[soft] === (linear & 0xfffff001)) {
      return ramView.getUint16((linear + addends[soft]!) | 0, true);
    }
    return modifySlow(segment, offset, 2);
  }

  function modify32(segment: number, offset: number): number {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & SETS) | s[MODE]!;
    if (offset >>> 0 < writeLimits[(segment << 2) + 2]! && writeTags[soft] === (linear & 0xfffff003)) {
      return ram32[(linear + addends[soft]!) >> 2]!;
    }
    return modifySlow(segment, offset, 4);
  }

  function probeWrite(segment: number, offset: number, size: number): void {
    const linear = linearOf(segment, offset, size, true);
    const mode = s[MODE]!;
    translate(linear, true, mode);
    if ((linear & 0xfff) + size > 4096) translate((linear + size - 1) & 0xfffff000, true, mode);
  }

  function readSystem32(linear: number): number {
    const soft = (linear >>> 12) & SETS;
    if (readTags[soft] === (linear & 0xfffff003)) {
      return ram32[(linear + addends[soft]!) >> 2]!;
    }
    return readLinear(linear, 4, 0);
  }

  function writeSystem32(linear: number, value: number): void {
    const soft = (linear >>> 12) & SETS;
    if (writeTags[soft] === (linear & 0xfffff003)) {
      ram32[(linear + addends[soft]!) >> 2] = value;
    } else writeLinear(linear, 4, value, 0);
  }

  /** Whether an access lies in one page that nobody watches. */
  const isPlain = (linear: number, size: number): boolean =>
    (linear & 0xfff) + size <= 4096 && watchedPages.size === 0;

  function readCompiled(segment: number, offset: number, size: number): number {
    const linear = linearOf(segment, offset, size, false);
    if (!isPlain(linear, size)) return readLinear(linear, size, s[MODE]!);
    const physical = tryTranslate(linear, false, s[MODE]!);
    return s[TRANSLATION_FAILED] !== 0 ? 0 : readPhysical(physical, size);
  }

  function modifyCompiled(segment: number, offset: number, size: number): number {
    const linear = linearOf(segment, offset, size, true);
    if (!isPlain(linear, size)) return modifySlow(segment, offset, size);
    const physical = tryTranslate(linear, true, s[MODE]!);
    return s[TRANSLATION_FAILED] !== 0 ? 0 : readPhysical(physical, size);
  }

  function writeCompiled(segment: number, offset: number, size: number, value: number): void {
    const linear = linearOf(segment, offset, size, true);
    if (!isPlain(linear, size)) {
      writeLinear(linear, size, value, s[MODE]!);
      return;
    }
    const physical = tryTranslate(linear, true, s[MODE]!);
    if (s[TRANSLATION_FAILED] === 0) writePhysical(physical, size, value);
  }

  const memory: Memory = {
    readCompiled,
    modifyCompiled,
    writeCompiled,
    read8,
    read16,
    read32,
    modify8,
    modify16,
    modify32,
    write8,
    write16,
    write32,
    probeWrite,
    linearOf,
    readLinear,
    writeLinear,
    readSystem16: (linear) => readLinear(linear, 2, 0),
    readSystem32,
    writeSystem16: (linear, value) => writeLinear(linear, 2, value, 0),
    writeSystem32,
    readPhysical,
    writePhysical,
    refreshLimits,
    updateAlignmentCheck() {
      const wanted =
        (s[Slot.EFLAGS]! & AC) !== 0 && s[Slot.CPL] === 3 && (s[Slot.CR0]! & ControlBit.CR0_AM) !== 0 ? 1 : 0;
      if (s[ALIGNMENT_CHECK] === wanted) return;
      s[ALIGNMENT_CHECK] = wanted;
      for (let segment = 0; segment < 6; segment++) refreshLimits(segment);
    },
    watcher: null,
  };
  return memory;
}
