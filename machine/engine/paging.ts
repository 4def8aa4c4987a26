/**
 * Translation, with the modelled TLBs and the soft TLB before them, as `../src/i386/paging.ts` describes them. A translation that fails
 * leaves 1 in TRANSLATION_FAILED and the page fault in FAULT_VECTOR, FAULT_CODE and CR2; it is counted.
 */

import { codeWritten } from "./code-cache";
import { isWatched, readBus, tlbMissed, writeBus } from "./imports";
import * as Address from "./layout/addresses";
import * as ControlBit from "./layout/control-bits";
import * as Counter from "./layout/counters";
import * as Listener from "./layout/listeners";
import * as Slot from "./layout/slots";
import { DATA_ENTRIES, LARGE_SETS, SOFT_CODE_SETS, SOFT_TLB_SETS } from "./layout/tlb-sizes";
import * as Vector from "./layout/vectors";
import { addTo, count, get, listeners, ramBytes, set, spend } from "./state";
import { timeData } from "./timing";
import * as Tlb from "./tlb";

/** Bits of a TLB entry below the frame address, as in a page-table entry. */
const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;
const FRAME = -4096;

const NO_PAGE = 0x800;
/** Bytes of one kind of entry tags, and of one half of the soft TLB. */
const KIND = DATA_ENTRIES * 4;
const HALF = SOFT_TLB_SETS * 4;
const CODE_HALF = SOFT_CODE_SETS * 4;

const FAULT_PRESENT = 1;
const FAULT_WRITE = 2;
const FAULT_USER = 4;
const FAULT_RESERVED = 8;

const CODE_MISS = 0;
const DATA_MISS = 1;
const LARGE_MISS = 2;

function readEntry(address: i32): i32 {
  const entry = u32(address) < ramBytes() ? load<i32>(address, Address.RAM) : readBus(address);
  return entry;
}

function tellTableRead(address: i32): void {
  if ((listeners() & Listener.ACCESSES) !== 0) timeData(address, u32(address) < ramBytes(), false);
}

function writeEntry(address: i32, value: i32): void {
  if (u32(address) < ramBytes()) {
    store<i32>(address, value, Address.RAM);
    if (load<u8>(address >>> 12, Address.CODE_FRAMES) !== 0) codeWritten(address, 4);
  } else writeBus(address, value);
}

/** The walk's result when it fails. */
function pageFault(linear: i32, code: i32): i32 {
  set(Slot.CR2, linear);
  count(Counter.PAGE_FAULTS);
  set(Slot.FAULT_VECTOR, Vector.PF);
  set(Slot.FAULT_CODE, code);
  set(Slot.TRANSLATION_FAILED, 1);
  return 0;
}

function allows(entry: i32, write: i32, user: i32): bool {
  if (user) return (entry & USER) !== 0 && (!write || (entry & WRITABLE) !== 0);
  return !write || (entry & WRITABLE) !== 0 || (get(Slot.CR0) & ControlBit.CR0_WP) === 0;
}

/** Walks the tables and returns the entry as the TLB keeps it: frame of the 4 KB piece, combined permissions; 0 when it failed. */
function walk(linear: i32, write: i32, user: i32): i32 {
  const access = (write ? FAULT_WRITE : 0) | (user ? FAULT_USER : 0);
  const directoryAddress = (get(Slot.CR3) & FRAME) | ((linear >>> 20) & 0xffc);
  const directory = readEntry(directoryAddress);
  tellTableRead(directoryAddress);
  if ((directory & PRESENT) === 0) return pageFault(linear, access);
  const dirty = write ? DIRTY : 0;
  if ((directory & LARGE) !== 0 && (get(Slot.CR4) & ControlBit.CR4_PSE) !== 0) {
    if ((directory & 0x3f_e000) !== 0) return pageFault(linear, access | FAULT_PRESENT | FAULT_RESERVED);
    if (!allows(directory, write, user)) return pageFault(linear, access | FAULT_PRESENT);
    const marked = directory | ACCESSED | dirty;
    if (marked !== directory) writeEntry(directoryAddress, marked);
    return (marked & -0x40_0000) | (linear & 0x3f_f000) | (marked & 0xfff);
  }
  const tableAddress = (directory & FRAME) | ((linear >>> 10) & 0xffc);
  const table = readEntry(tableAddress);
  tellTableRead(tableAddress);
  if ((table & PRESENT) === 0) return pageFault(linear, access);
  const combined = table & (directory | ~(USER | WRITABLE));
  if (!allows(combined, write, user)) return pageFault(linear, access | FAULT_PRESENT);
  if ((directory & ACCESSED) === 0) writeEntry(directoryAddress, directory | ACCESSED);
  const marked = table | ACCESSED | dirty;
  if (marked !== table) writeEntry(tableAddress, marked);
  return (combined & ~LARGE) | ACCESSED | (marked & DIRTY);
}

function setTags(at: i32, read: i32, userRead: i32, write: i32, userWrite: i32, addend: i32): void {
  store<i32>(at, read, Address.READ_TAGS);
  store<i32>(at, userRead, Address.READ_TAGS + HALF);
  store<i32>(at, write, Address.WRITE_TAGS);
  store<i32>(at, userWrite, Address.WRITE_TAGS + HALF);
  store<i32>(at, addend, Address.ADDENDS);
  store<i32>(at, addend, Address.ADDENDS + HALF);
}

/** `Missed.setFast`. */
function setFast(page: i32, entry: i32, index: i32): void {
  Missed.setFast(page, entry, index);
}

/** Makes the page of a data TLB entry, whose tags are known, the fast one of its set. */
function restoreFast(page: i32, index: i32): void {
  const at = (page & (SOFT_TLB_SETS - 1)) << 2;
  const tags = index << 2;
  store<i32>(at, 0, Address.LARGE_OWNERS);
  setTags(
    at,
    load<i32>(tags, Address.ENTRY_TAGS),
    load<i32>(tags, Address.ENTRY_TAGS + KIND),
    load<i32>(tags, Address.ENTRY_TAGS + 2 * KIND),
    load<i32>(tags, Address.ENTRY_TAGS + 3 * KIND),
    (load<i32>(tags, Address.DATA_TLB_ENTRIES) & FRAME) - (page << 12),
  );
}

function forgetSet(number: i32): void {
  const at = number << 2;
  store<i32>(at, NO_PAGE, Address.READ_TAGS);
  store<i32>(at, NO_PAGE, Address.READ_TAGS + HALF);
  store<i32>(at, NO_PAGE, Address.WRITE_TAGS);
  store<i32>(at, NO_PAGE, Address.WRITE_TAGS + HALF);
}

/** A 4 MB page becomes the youngest of its set: soft entries of the one before must not hide later uses of it. */
function touchLarge(largePage: i32): void {
  const owner = largePage & 1;
  if (load<i32>(owner << 2, Address.YOUNGEST_LARGE) === largePage) return;
  store<i32>(owner << 2, largePage, Address.YOUNGEST_LARGE);
  for (let i = 0; i < SOFT_TLB_SETS; i++) {
    if (load<i32>(i << 2, Address.LARGE_OWNERS) === owner + 1) {
      forgetSet(i);
      store<i32>(i << 2, 0, Address.LARGE_OWNERS);
    }
  }
}

/** Physical address for a data access. `mode` is 0 for supervisor, SOFT_TLB_SETS for user accesses. */
export function translate(linear: i32, write: i32, mode: i32): i32 {
  const page = linear >>> 12;
  const soft = ((page & (SOFT_TLB_SETS - 1)) | mode) << 2;
  const tag = linear & FRAME;
  const tags = write ? load<i32>(soft, Address.WRITE_TAGS) : load<i32>(soft, Address.READ_TAGS);
  return tags === tag ? linear + load<i32>(soft, Address.ADDENDS) : translateMissed(linear, write, mode);
}

/** The same when the soft TLB does not know the page. */
export function translateMissed(linear: i32, write: i32, mode: i32): i32 {
  const page = linear >>> 12;
  if ((get(Slot.CR0) & ControlBit.CR0_PG) === 0) {
    setFast(page, (linear & FRAME) | PRESENT | WRITABLE | USER | ACCESSED | DIRTY, -1);
    return linear;
  }
  const user = i32(mode !== 0);
  const index = Tlb.find(Address.DATA_TLB_TAGS, Address.DATA_TLB_AGES, SOFT_TLB_SETS, page);
  if (index >= 0) return useEntry(linear, write, user, index);
  const largePage = linear >>> 22;
  const largeIndex = Tlb.find(Address.LARGE_TLB_TAGS, Address.LARGE_TLB_AGES, LARGE_SETS, largePage);
  if (largeIndex >= 0) return useLargeEntry(linear, write, user, largeIndex);
  const entry = walk(linear, write, user);
  return get(Slot.TRANSLATION_FAILED) !== 0 ? 0 : missed(linear, entry);
}

/** The page is in the data TLB. */
function useEntry(linear: i32, write: i32, user: i32, index: i32): i32 {
  const page = linear >>> 12;
  const at = index << 2;
  if (load<i32>(at + (write ? 2 * KIND : 0) + (user ? KIND : 0), Address.ENTRY_TAGS) === (linear & FRAME)) {
    restoreFast(page, index);
    return (load<i32>(at, Address.DATA_TLB_ENTRIES) & FRAME) | (linear & 0xfff);
  }
  let entry = load<i32>(at, Address.DATA_TLB_ENTRIES);
  if (!allows(entry, write, user) || (write && (entry & DIRTY) === 0)) {
    entry = walk(linear, write, user);
    if (get(Slot.TRANSLATION_FAILED) !== 0) return 0;
    if ((entry & LARGE) !== 0) {
      // The table entry became a 4 MB page behind the TLB's back: this entry is stale.
      Tlb.remove(Address.DATA_TLB_TAGS, SOFT_TLB_SETS, page);
      return missed(linear, entry);
    }
    store<i32>(at, entry, Address.DATA_TLB_ENTRIES);
    Tlb.changed();
  }
  setFast(page, entry, index);
  return (entry & FRAME) | (linear & 0xfff);
}

function useLargeEntry(linear: i32, write: i32, user: i32, index: i32): i32 {
  const largePage = linear >>> 22;
  const at = index << 2;
  let entry = load<i32>(at, Address.LARGE_TLB_ENTRIES);
  touchLarge(largePage);
  if (!allows(entry, write, user) || (write && (entry & DIRTY) === 0)) {
    entry = walk(linear, write, user);
    if (get(Slot.TRANSLATION_FAILED) !== 0) return 0;
    if ((entry & LARGE) === 0) {
      Tlb.remove(Address.LARGE_TLB_TAGS, LARGE_SETS, largePage);
      store<i32>((largePage & 1) << 2, -1, Address.YOUNGEST_LARGE);
      return missed(linear, entry);
    }
    store<i32>(at, entry, Address.LARGE_TLB_ENTRIES);
  }
  entry = (entry & -0x3f_f001) | (linear & 0x3f_f000);
  setFast(linear >>> 12, entry, -1);
  return (entry & FRAME) | (linear & 0xfff);
}

function tellMiss(kind: i32, linear: i32): void {
  if ((listeners() & Listener.OBSERVER) !== 0) tlbMissed(kind, linear);
}

function insertData(page: i32, entry: i32): i32 {
  return Tlb.Inlined.insert(
    Address.DATA_TLB_TAGS,
    Address.DATA_TLB_ENTRIES,
    Address.DATA_TLB_AGES,
    SOFT_TLB_SETS,
    page,
    entry,
  );
}

function insertLarge(page: i32, entry: i32): void {
  Tlb.Inlined.insert(
    Address.LARGE_TLB_TAGS,
    Address.LARGE_TLB_ENTRIES,
    Address.LARGE_TLB_AGES,
    LARGE_SETS,
    page,
    entry,
  );
}

function missed(linear: i32, entry: i32): i32 {
  const page = linear >>> 12;
  spend(load<i32>(Address.DATA_TLB_MISS));
  if ((entry & LARGE) !== 0) {
    count(Counter.TLB_DATA_4M);
    tellMiss(LARGE_MISS, linear);
    const largePage = linear >>> 22;
    insertLarge(largePage, entry);
    touchLarge(largePage);
    setFast(page, entry, -1);
  } else {
    count(Counter.TLB_DATA_4K);
    tellMiss(DATA_MISS, linear);
    Missed.setFast(page, entry, insertData(page, entry));
  }
  return (entry & FRAME) | (linear & 0xfff);
}

/** Physical address of a page of code, as the soft code TLB has it in this mode; −1 when it has not. */
export function softCodeFrame(page: i32): i32 {
  const at = (page & (SOFT_CODE_SETS - 1)) << 2;
  const tag = load<i32>(at + (get(Slot.MODE) !== 0 ? CODE_HALF : 0), Address.CODE_TAGS);
  return tag === page ? load<i32>(at, Address.CODE_ENTRY_FRAMES) : -1;
}

/** The same when the soft TLB has not: it learns the page if fetching from it does not fault; −1 then. */
export function reachCodeFrame(linear: i32): i32 {
  const frame = Missed.codeFrame(linear, get(Slot.MODE));
  return takeFailureBack() ? -1 : frame;
}

/** To be put in their callers' place. */
class Missed {
  /** Makes the page the fast one of its soft set; `index` is its place in the data TLB, or -1. */
  @inline
  static setFast(page: i32, entry: i32, index: i32): void {
    const at = (page & (SOFT_TLB_SETS - 1)) << 2;
    const frame = entry & FRAME;
    store<i32>(at, (entry & LARGE) !== 0 ? ((page >>> 10) & 1) + 1 : 0, Address.LARGE_OWNERS);
    let readable = u32(frame) < ramBytes();
    if ((listeners() & Listener.WATCHED_PAGES) !== 0 && isWatched(page)) readable = false;
    const writable = readable && (entry & DIRTY) !== 0 && load<u8>(frame >>> 12, Address.CODE_FRAMES) === 0;
    const user = (entry & USER) !== 0;
    const mayWrite = (entry & WRITABLE) !== 0;
    const tag = page << 12;
    const read = readable ? tag : NO_PAGE;
    const userRead = readable && user ? tag : NO_PAGE;
    const write = writable && (mayWrite || (get(Slot.CR0) & ControlBit.CR0_WP) === 0) ? tag : NO_PAGE;
    const userWrite = writable && user && mayWrite ? tag : NO_PAGE;
    setTags(at, read, userRead, write, userWrite, frame - tag);
    if (index < 0) return;
    const tags = index << 2;
    store<i32>(tags, read, Address.ENTRY_TAGS);
    store<i32>(tags, userRead, Address.ENTRY_TAGS + KIND);
    store<i32>(tags, write, Address.ENTRY_TAGS + 2 * KIND);
    store<i32>(tags, userWrite, Address.ENTRY_TAGS + 3 * KIND);
  }

  /** Frame of a page of code that the soft TLB has not, which has it then; 0 when that fails. */
  @inline
  static codeFrame(linear: i32, mode: i32): i32 {
    const page = linear >>> 12;
    const user = i32(mode !== 0);
    const index = Tlb.find(Address.CODE_TLB_TAGS, Address.CODE_TLB_AGES, SOFT_CODE_SETS, page);
    let entry = 0;
    if (index >= 0) entry = load<i32>(index << 2, Address.CODE_TLB_ENTRIES);
    if (index < 0 || !allows(entry, 0, user)) {
      entry = codeEntry(linear, index, user);
      if (get(Slot.TRANSLATION_FAILED) !== 0) return 0;
    }
    const at = (page & (SOFT_CODE_SETS - 1)) << 2;
    store<i32>(at, page, Address.CODE_TAGS);
    store<i32>(at, (entry & USER) !== 0 ? page : -1, Address.CODE_TAGS + CODE_HALF);
    store<i32>(at, entry & FRAME, Address.CODE_ENTRY_FRAMES);
    return entry & FRAME;
  }
}

/** Entry of a page that the code TLB, where it has index `index` or −1, has not or does not allow. */
function codeEntry(linear: i32, index: i32, user: i32): i32 {
  if ((get(Slot.CR0) & ControlBit.CR0_PG) === 0) return (linear & FRAME) | USER;
  const entry = walk(linear, 0, user);
  if (get(Slot.TRANSLATION_FAILED) !== 0) return 0;
  if (index >= 0) store<i32>(index << 2, entry, Address.CODE_TLB_ENTRIES);
  else missedCode(linear, entry);
  return entry;
}

/** Physical address of an instruction byte. */
export function translateCode(linear: i32, mode: i32): i32 {
  const page = linear >>> 12;
  const at = (page & (SOFT_CODE_SETS - 1)) << 2;
  if (load<i32>(at + (mode !== 0 ? CODE_HALF : 0), Address.CODE_TAGS) === page)
    return load<i32>(at, Address.CODE_ENTRY_FRAMES) | (linear & 0xfff);
  return Missed.codeFrame(linear, mode) | (linear & 0xfff);
}

function missedCode(linear: i32, entry: i32): void {
  spend(load<i32>(Address.CODE_TLB_MISS));
  count(Counter.TLB_CODE_4K);
  tellMiss(CODE_MISS, linear);
  Tlb.Inlined.insert(
    Address.CODE_TLB_TAGS,
    Address.CODE_TLB_ENTRIES,
    Address.CODE_TLB_AGES,
    SOFT_CODE_SETS,
    linear >>> 12,
    entry,
  );
}

/** Takes a failed translation back: the slow way will meet the same fault. Returns whether there was one. */
export function takeFailureBack(): bool {
  if (get(Slot.TRANSLATION_FAILED) === 0) return false;
  set(Slot.TRANSLATION_FAILED, 0);
  addTo(Counter.PAGE_FAULTS, -1);
  return true;
}

function fillWords(address: i32, words: i32, value: i32): void {
  for (let at = address; at < address + (words << 2); at += 4) store<i32>(at, value);
}

/** Drops the soft TLB alone: misses do not change. */
export function forgetFastPaths(): void {
  forgetSoft();
  fillWords(Address.ENTRY_TAGS, 4 * DATA_ENTRIES, NO_PAGE);
}

function forgetSoft(): void {
  Tlb.changed();
  fillWords(Address.READ_TAGS, 4 * SOFT_TLB_SETS, NO_PAGE);
  memory.fill(Address.CODE_TAGS, 0xff, 2 * CODE_HALF);
  set(Slot.CODE_PAGE, -1);
}

/** Drops the fast paths of writes: a page got decoded code, or lost it. */
export function forgetWrites(): void {
  fillWords(Address.WRITE_TAGS, 2 * SOFT_TLB_SETS, NO_PAGE);
  fillWords(Address.ENTRY_TAGS + 2 * KIND, 2 * DATA_ENTRIES, NO_PAGE);
}

/** After MOV CR3, a change of CR0.PG, WP or CR4.PSE, or a task switch. Soft tags behind empty entries of the data TLB mean nothing. */
export function flush(): void {
  memory.fill(Address.DATA_TLB_TAGS, 0xff, DATA_ENTRIES * 4);
  memory.fill(Address.LARGE_TLB_TAGS, 0xff, LARGE_SETS * 16);
  memory.fill(Address.CODE_TLB_TAGS, 0xff, SOFT_CODE_SETS * 16);
  store<i64>(Address.YOUNGEST_LARGE, -1);
  forgetSoft();
}

export function invalidatePage(linear: i32): void {
  const page = linear >>> 12;
  Tlb.remove(Address.DATA_TLB_TAGS, SOFT_TLB_SETS, page);
  Tlb.remove(Address.LARGE_TLB_TAGS, LARGE_SETS, linear >>> 22);
  Tlb.remove(Address.CODE_TLB_TAGS, SOFT_CODE_SETS, page);
  // Only fast paths to the page, and to those that may have been pieces of the same 4 MB page, are in doubt.
  const own = page & (SOFT_TLB_SETS - 1);
  for (let i = 0; i < SOFT_TLB_SETS; i++) {
    if (i === own || load<i32>(i << 2, Address.LARGE_OWNERS) !== 0) forgetSet(i);
  }
  const at = (page & (SOFT_CODE_SETS - 1)) << 2;
  store<i32>(at, -1, Address.CODE_TAGS);
  store<i32>(at, -1, Address.CODE_TAGS + CODE_HALF);
  set(Slot.CODE_PAGE, -1);
}
