/**
 * From linear to physical addresses: the walk through page directory and tables, the modelled TLBs, and the soft TLB that the
 * interpreter looks into. Source: Pentium Processor Family Developer's Manual, volume 3, chapter 11 (paging, page-level
 * protection) and 23 (CR4.PSE); fault codes: chapter 14, interrupt 14.
 *
 * The soft TLB holds, for each of the 16 sets of the 4 KB data TLB, only the page used last. Using that page again changes
 * nothing in the modelled TLB, so the fast path needs no bookkeeping and the miss counts are still exact. It is kept
 * twice, for CPL 0-2 and CPL 3 (index = set + MODE), and apart for reads and writes:
 *
 *   readTags[i]   linear address of the page when reads are allowed, else NO_PAGE
 *   writeTags[i]  the same when writes are allowed, the dirty bit is set and the page holds no decoded code
 *   addends[i]    physical minus linear address; the page is RAM
 *
 * NO_PAGE is no page's address with any of the lowest bits set, so that one comparison tells page and alignment.
 *
 * Behind it, for each entry of the data TLB, stand the four tags that the page gets when it becomes its set's latest (`entryTags`), so that
 * going back to a page in the same set is a short search.
 *
 * Rules kept here: accessed and dirty bits are set only by accesses that are allowed; a translation found in the TLB that does not allow
 * an access is walked again before a fault is raised; CR2 and the code are exact.
 */

import { DATA_ENTRIES, LARGE_SETS, WAYS } from "../../engine/layout/tlb-sizes.ts";
import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { CycleModel } from "./cycles.ts";
import { pendingFault, prepareFault } from "./fault.ts";
import { Address, ControlBit, Slot, SOFT_CODE_SETS, SOFT_TLB_SETS, Vector } from "./layout.ts";
import { Counter } from "./statistics.ts";
import { TlbBank } from "./tlb.ts";

/** Bits of a TLB entry below the frame address, as in a page-table entry. */
const PRESENT = 0x1;
const WRITABLE = 0x2;
const USER = 0x4;
const ACCESSED = 0x20;
const DIRTY = 0x40;
const LARGE = 0x80;

/** Of a tag, and what an access is compared with has bits 11 to 2 clear. */
const NO_PAGE = 0x800;
const FAULT_PRESENT = 1;
const FAULT_WRITE = 2;
const FAULT_USER = 4;
const FAULT_RESERVED = 8;

export interface Paging {
  readonly readTags: Int32Array;
  readonly writeTags: Int32Array;
  readonly addends: Int32Array;
  /** What compiled code needs to make an entry of the data TLB its set's latest: see the file's head and `restoreFast`. */
  readonly entryTags: Int32Array;
  readonly largeOwners: Int32Array;
  /** The same for code: page numbers of supervisor, then of user fetches; frames of both. */
  readonly codeTags: Int32Array;
  readonly codeEntryFrames: Int32Array;
  /** Physical address for a data access; raises #PF. `mode` is 0 for supervisor, SOFT_TLB_SETS for user accesses. */
  translate(linear: number, write: boolean, mode: number): number;
  /** The same without a throw: TRANSLATION_FAILED becomes 1, and `pendingFault` is filled. */
  tryTranslate(linear: number, write: boolean, mode: number): number;
  /** Physical address of an instruction byte; raises #PF at EIP. */
  translateCode(linear: number, mode: number): number;
  /** The same without faults, TLB or accessed bits: -1 when not mapped. For loaders and debuggers. */
  peek(linear: number): number;
  /** After MOV CR3, a change of CR0.PG, WP or CR4.PSE, or a task switch. */
  flush(): void;
  invalidatePage(linear: number): void;
  /** Drops the soft TLB alone: watched pages changed, misses do not. */
  forgetFastPaths(): void;
  /** Drops the fast paths of writes: a page got decoded code, or lost it. */
  forgetWrites(): void;
  /** Linear page numbers whose accesses must take the slow path (watchpoints, data breakpoints). */
  readonly watchedPages: Set<number>;
  /** Told of every table entry that a walk reads, by physical address; null when nobody asks. */
  onTableRead: ((physical: number) => void) | null;
  readonly banks: { readonly data: TlbBank; readonly large: TlbBank; readonly code: TlbBank };
}

export function createPaging(core: ProcessorCore, codeCache: CodeCache, cycles: CycleModel): Paging {
  const { s, bus, ramView, ramSize, counters } = core;
  const { codeFrames } = codeCache;
  const { CR0, CR2, CR3, CR4, BUDGET, TRANSLATION_FAILED } = Slot;
  const { CR0_PG, CR0_WP, CR4_PSE } = ControlBit;
  const readTags = core.words(Address.READ_TAGS, 2 * SOFT_TLB_SETS).fill(NO_PAGE);
  const writeTags = core.words(Address.WRITE_TAGS, 2 * SOFT_TLB_SETS).fill(NO_PAGE);
  const addends = core.words(Address.ADDENDS, 2 * SOFT_TLB_SETS);
  const largeOwners = core.words(Address.LARGE_OWNERS, SOFT_TLB_SETS);
  /** Index = kind × 64 + entry of the data TLB; kinds are read, user read, write, user write, as bits 0 (user) and 1 (write) number them. */
  const entryTags = core.words(Address.ENTRY_TAGS, 4 * DATA_ENTRIES).fill(NO_PAGE);
  const codeTags = core.words(Address.CODE_TAGS, 2 * SOFT_CODE_SETS).fill(-1);
  const codeEntryFrames = core.words(Address.CODE_ENTRY_FRAMES, SOFT_CODE_SETS);
  const bank = (sets: number, tags: number, entries: number, ages: number): TlbBank =>
    new TlbBank(core.words(tags, sets * WAYS), core.words(entries, sets * WAYS), core.words(ages, sets));
  const data = bank(SOFT_TLB_SETS, Address.DATA_TLB_TAGS, Address.DATA_TLB_ENTRIES, Address.DATA_TLB_AGES);
  const large = bank(LARGE_SETS, Address.LARGE_TLB_TAGS, Address.LARGE_TLB_ENTRIES, Address.LARGE_TLB_AGES);
  const code = bank(SOFT_CODE_SETS, Address.CODE_TLB_TAGS, Address.CODE_TLB_ENTRIES, Address.CODE_TLB_AGES);
  const youngestLarge = core.words(Address.YOUNGEST_LARGE, LARGE_SETS).fill(-1);
  const watchedPages = new Set<number>();
  const { dataTlbMiss, codeTlbMiss } = cycles;

  function readEntry(address: number): number {
    return address >>> 0 < ramSize ? ramView.getInt32(address, true) : bus.readPhysical(address >>> 0, 4) | 0;
  }

  function writeEntry(address: number, value: number): void {
    if (address >>> 0 < ramSize) {
      ramView.setInt32(address, value, true);
      if (codeFrames[address >>> 12] !== 0) codeCache.written(address, 4);
    } else bus.writePhysical(address >>> 0, 4, value >>> 0);
  }

  /** The walk's result when it fails. */
  function pageFault(linear: number, code: number): number {
    s[CR2] = linear;
    counters[Counter.PAGE_FAULTS]!++;
    prepareFault(Vector.PF, code);
    s[TRANSLATION_FAILED] = 1;
    return 0;
  }

  /** Walks the tables and returns the entry as the TLB keeps it: frame of the 4 KB piece, combined permissions; 0 when it failed. */
  function walk(linear: number, write: boolean, user: boolean): number {
    const access = (write ? FAULT_WRITE : 0) | (user ? FAULT_USER : 0);
    const directoryAddress = (s[CR3]! & 0xfffff000) | ((linear >>> 20) & 0xffc);
    const directory = readEntry(directoryAddress);
    paging.onTableRead?.(directoryAddress);
    if ((directory & PRESENT) === 0) return pageFault(linear, access);
    if ((directory & LARGE) !== 0 && (s[CR4]! & CR4_PSE) !== 0) {
      if ((directory & 0x3f_e000) !== 0) return pageFault(linear, access | FAULT_PRESENT | FAULT_RESERVED);
      if (!allows(directory, write, user)) return pageFault(linear, access | FAULT_PRESENT);
      const marked = directory | ACCESSED | (write ? DIRTY : 0);
      if (marked !== directory) writeEntry(directoryAddress, marked);
      return (marked & 0xffc0_0000) | (linear & 0x3f_f000) | (marked & 0xfff);
    }
    const tableAddress = (directory & 0xfffff000) | ((linear >>> 10) & 0xffc);
    const table = readEntry(tableAddress);
    paging.onTableRead?.(tableAddress);
    if ((table & PRESENT) === 0) return pageFault(linear, access);
    const combined = table & (directory | ~(USER | WRITABLE));
    if (!allows(combined, write, user)) return pageFault(linear, access | FAULT_PRESENT);
    if ((directory & ACCESSED) === 0) writeEntry(directoryAddress, directory | ACCESSED);
    const marked = table | ACCESSED | (write ? DIRTY : 0);
    if (marked !== table) writeEntry(tableAddress, marked);
    return (combined & ~LARGE) | ACCESSED | (marked & DIRTY);
  }

  function allows(entry: number, write: boolean, user: boolean): boolean {
    if (user) return (entry & USER) !== 0 && (!write || (entry & WRITABLE) !== 0);
    return !write || (entry & WRITABLE) !== 0 || (s[CR0]! & CR0_WP) === 0;
  }

  /** Makes the page the fast one of its soft set; `index` is its place in the data TLB, or -1. */
  function setFast(page: number, entry: number, index: number): void {
    const set = page & (SOFT_TLB_SETS - 1);
    const frame = entry & 0xfffff000;
    largeOwners[set] = (entry & LARGE) !== 0 ? ((page >>> 10) & 1) + 1 : 0;
    let readable = frame >>> 0 < ramSize;
    if (watchedPages.size !== 0 && watchedPages.has(page)) readable = false;
    const writable = readable && (entry & DIRTY) !== 0 && codeFrames[frame >>> 12] === 0;
    const user = (entry & USER) !== 0;
    const tag = page << 12;
    const read = readable ? tag : NO_PAGE;
    const userRead = readable && user ? tag : NO_PAGE;
    const write = writable && ((entry & WRITABLE) !== 0 || (s[CR0]! & CR0_WP) === 0) ? tag : NO_PAGE;
    const userWrite = writable && user && (entry & WRITABLE) !== 0 ? tag : NO_PAGE;
    readTags[set] = read;
    readTags[set + SOFT_TLB_SETS] = userRead;
    writeTags[set] = write;
    writeTags[set + SOFT_TLB_SETS] = userWrite;
    addends[set] = frame - tag;
    addends[set + SOFT_TLB_SETS] = frame - tag;
    if (index < 0) return;
    entryTags[index] = read;
    entryTags[index + DATA_ENTRIES] = userRead;
    entryTags[index + 2 * DATA_ENTRIES] = write;
    entryTags[index + 3 * DATA_ENTRIES] = userWrite;
  }

  /** Makes the page of a data TLB entry, whose tags are known, the fast one of its set. */
  function restoreFast(page: number, index: number): void {
    const set = page & (SOFT_TLB_SETS - 1);
    const addend = (data.entries[index]! & 0xfffff000) - (page << 12);
    largeOwners[set] = 0;
    readTags[set] = entryTags[index]!;
    readTags[set + SOFT_TLB_SETS] = entryTags[index + DATA_ENTRIES]!;
    writeTags[set] = entryTags[index + 2 * DATA_ENTRIES]!;
    writeTags[set + SOFT_TLB_SETS] = entryTags[index + 3 * DATA_ENTRIES]!;
    addends[set] = addend;
    addends[set + SOFT_TLB_SETS] = addend;
  }

  function forgetSet(set: number): void {
    readTags[set] = NO_PAGE;
    readTags[set + SOFT_TLB_SETS] = NO_PAGE;
    writeTags[set] = NO_PAGE;
    writeTags[set + SOFT_TLB_SETS] = NO_PAGE;
  }

  /** A 4 MB page becomes the youngest of its set: soft entries of the one before must not hide later uses of it. */
  function touchLarge(largePage: number): void {
    const set = largePage & 1;
    if (youngestLarge[set] === largePage) return;
    youngestLarge[set] = largePage;
    for (let i = 0; i < SOFT_TLB_SETS; i++) {
      if (largeOwners[i] === set + 1) {
        forgetSet(i);
        largeOwners[i] = 0;
      }
    }
  }

  function translate(linear: number, write: boolean, mode: number): number {
    const physical = tryTranslate(linear, write, mode);
    if (s[TRANSLATION_FAILED] !== 0) throwFailure();
    return physical;
  }

  function throwFailure(): never {
    s[TRANSLATION_FAILED] = 0;
    throw pendingFault;
  }

  function tryTranslate(linear: number, write: boolean, mode: number): number {
    const page = linear >>> 12;
    const soft = (page & (SOFT_TLB_SETS - 1)) | mode;
    const tag = linear & 0xfffff000;
    if ((write ? writeTags : readTags)[soft] === tag) return (linear + addends[soft]!) | 0;
    if ((s[CR0]! & CR0_PG) === 0) {
      setFast(page, (linear & 0xfffff000) | PRESENT | WRITABLE | USER | ACCESSED | DIRTY, -1);
      return linear;
    }
    const user = mode !== 0;
    const index = data.find(page);
    if (index >= 0) {
      if (entryTags[index + (write ? 2 * DATA_ENTRIES : 0) + (user ? DATA_ENTRIES : 0)] === tag) {
        restoreFast(page, index);
        return (linear + addends[soft]!) | 0;
      }
      let entry = data.entries[index]!;
      if (!allows(entry, write, user) || (write && (entry & DIRTY) === 0)) {
        entry = walk(linear, write, user);
        if (s[TRANSLATION_FAILED] !== 0) return 0;
        if ((entry & LARGE) !== 0) {
          // The table entry became a 4 MB page behind the TLB's back: this entry is stale.
          data.remove(page);
          return missed(linear, page, entry);
        }
        data.entries[index] = entry;
      }
      setFast(page, entry, index);
      return (entry & 0xfffff000) | (linear & 0xfff);
    }
    const largePage = linear >>> 22;
    const largeIndex = large.find(largePage);
    if (largeIndex >= 0) {
      let entry = large.entries[largeIndex]!;
      touchLarge(largePage);
      if (!allows(entry, write, user) || (write && (entry & DIRTY) === 0)) {
        entry = walk(linear, write, user);
        if (s[TRANSLATION_FAILED] !== 0) return 0;
        if ((entry & LARGE) === 0) {
          large.remove(largePage);
          youngestLarge[largePage & 1] = -1;
          return missed(linear, page, entry);
        }
        large.entries[largeIndex] = entry;
      }
      entry = (entry & 0xffc0_0fff) | (linear & 0x3f_f000);
      setFast(page, entry, -1);
      return (entry & 0xfffff000) | (linear & 0xfff);
    }
    const entry = walk(linear, write, user);
    return s[TRANSLATION_FAILED] !== 0 ? 0 : missed(linear, page, entry);
  }

  function missed(linear: number, page: number, entry: number): number {
    s[BUDGET] = s[BUDGET]! - dataTlbMiss;
    if ((entry & LARGE) !== 0) {
      counters[Counter.TLB_DATA_4M]!++;
      core.observer?.tlbMiss?.("data4M", linear >>> 0);
      large.insert(linear >>> 22, entry);
      touchLarge(linear >>> 22);
      setFast(page, entry, -1);
    } else {
      counters[Counter.TLB_DATA_4K]!++;
      core.observer?.tlbMiss?.("data4K", linear >>> 0);
      setFast(page, entry, data.insert(page, entry));
    }
    return (entry & 0xfffff000) | (linear & 0xfff);
  }

  function translateCode(linear: number, mode: number): number {
    const page = linear >>> 12;
    const set = page & (SOFT_CODE_SETS - 1);
    const soft = mode === 0 ? set : set + SOFT_CODE_SETS;
    if (codeTags[soft] === page) return codeEntryFrames[set]! | (linear & 0xfff);
    let entry: number;
    if ((s[CR0]! & CR0_PG) === 0) entry = (linear & 0xfffff000) | USER;
    else {
      const user = mode !== 0;
      const index = code.find(page);
      if (index >= 0) {
        entry = code.entries[index]!;
        if (!allows(entry, false, user)) {
          entry = walk(linear, false, user);
          if (s[TRANSLATION_FAILED] !== 0) throwFailure();
          code.entries[index] = entry;
        }
      } else {
        entry = walk(linear, false, user);
        if (s[TRANSLATION_FAILED] !== 0) throwFailure();
        s[BUDGET] = s[BUDGET]! - codeTlbMiss;
        counters[Counter.TLB_CODE_4K]!++;
        core.observer?.tlbMiss?.("code4K", linear >>> 0);
        code.insert(page, entry);
      }
    }
    codeTags[set] = page;
    codeTags[set + SOFT_CODE_SETS] = (entry & USER) !== 0 ? page : -1;
    codeEntryFrames[set] = entry & 0xfffff000;
    return (entry & 0xfffff000) | (linear & 0xfff);
  }

  function peek(linear: number): number {
    if ((s[CR0]! & CR0_PG) === 0) return linear;
    const directory = readEntry((s[CR3]! & 0xfffff000) | ((linear >>> 20) & 0xffc));
    if ((directory & PRESENT) === 0) return -1;
    if ((directory & LARGE) !== 0 && (s[CR4]! & CR4_PSE) !== 0) {
      return ((directory & 0xffc0_0000) | (linear & 0x3f_ffff)) >>> 0;
    }
    const table = readEntry((directory & 0xfffff000) | ((linear >>> 10) & 0xffc));
    return (table & PRESENT) === 0 ? -1 : ((table & 0xfffff000) | (linear & 0xfff)) >>> 0;
  }

  function forgetFastPaths(): void {
    readTags.fill(NO_PAGE);
    writeTags.fill(NO_PAGE);
    entryTags.fill(NO_PAGE);
    codeTags.fill(-1);
    s[Slot.CODE_PAGE] = -1;
  }

  function forgetWrites(): void {
    writeTags.fill(NO_PAGE);
    entryTags.fill(NO_PAGE, 2 * DATA_ENTRIES);
  }

  function flush(): void {
    data.flush();
    large.flush();
    code.flush();
    youngestLarge.fill(-1);
    forgetFastPaths();
  }

  function invalidatePage(linear: number): void {
    const page = linear >>> 12;
    data.remove(page);
    large.remove(linear >>> 22);
    code.remove(page);
    // Only fast paths to the page, and to those that may have been pieces of the same 4 MB page, are in doubt.
    for (let set = 0; set < SOFT_TLB_SETS; set++) {
      if (set !== (page & (SOFT_TLB_SETS - 1)) && largeOwners[set] === 0) continue;
      forgetSet(set);
    }
    const set = page & (SOFT_CODE_SETS - 1);
    codeTags[set] = codeTags[set + SOFT_CODE_SETS] = -1;
    s[Slot.CODE_PAGE] = -1;
  }

  const paging: Paging = {
    onTableRead: null,
    readTags,
    writeTags,
    addends,
    entryTags,
    largeOwners,
    codeTags,
    codeEntryFrames,
    translate,
    tryTranslate,
    translateCode,
    peek,
    flush,
    invalidatePage,
    forgetFastPaths,
    forgetWrites,
    watchedPages,
    banks: { data, large, code },
  };
  return paging;
}
