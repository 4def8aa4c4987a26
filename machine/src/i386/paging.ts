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

import * as Listener from "../../engine/layout/listeners.ts";
import { LARGE_SETS, WAYS } from "../../engine/layout/tlb-sizes.ts";
import type { ProcessorCore } from "./core.ts";
import type { CycleModel } from "./cycles.ts";
import type { Engine } from "./engine.ts";
import { raise } from "./fault.ts";
import { Address, ControlBit, Slot, SOFT_CODE_SETS, SOFT_TLB_SETS } from "./layout.ts";
import { TlbBank } from "./tlb.ts";

const PRESENT = 0x1;
const LARGE = 0x80;
/** Of a tag, and what an access is compared with has bits 11 to 2 clear. */
const NO_PAGE = 0x800;

export interface Paging {
  readonly readTags: Int32Array;
  readonly writeTags: Int32Array;
  readonly addends: Int32Array;
  /** Physical address for a data access; raises #PF. `mode` is 0 for supervisor, SOFT_TLB_SETS for user accesses. */
  translate(linear: number, write: boolean, mode: number): number;
  /** The same without a throw: see `machine/engine/paging.ts`. */
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
  readonly banks: { readonly data: TlbBank; readonly large: TlbBank; readonly code: TlbBank };
}

export function createPaging(core: ProcessorCore, engine: Engine, cycles: CycleModel): Paging {
  const { s, bus, ramView, ramSize } = core;
  const { CR0, CR3, CR4, TRANSLATION_FAILED } = Slot;
  const { CR0_PG, CR4_PSE } = ControlBit;
  const readTags = core.words(Address.READ_TAGS, 2 * SOFT_TLB_SETS).fill(NO_PAGE);
  const writeTags = core.words(Address.WRITE_TAGS, 2 * SOFT_TLB_SETS).fill(NO_PAGE);
  const addends = core.words(Address.ADDENDS, 2 * SOFT_TLB_SETS);
  const bank = (sets: number, tags: number, entries: number, ages: number): TlbBank =>
    new TlbBank(core.words(tags, sets * WAYS), core.words(entries, sets * WAYS), core.words(ages, sets));
  const data = bank(SOFT_TLB_SETS, Address.DATA_TLB_TAGS, Address.DATA_TLB_ENTRIES, Address.DATA_TLB_AGES);
  const large = bank(LARGE_SETS, Address.LARGE_TLB_TAGS, Address.LARGE_TLB_ENTRIES, Address.LARGE_TLB_AGES);
  const code = bank(SOFT_CODE_SETS, Address.CODE_TLB_TAGS, Address.CODE_TLB_ENTRIES, Address.CODE_TLB_AGES);
  const watchedPages = new Set<number>();
  core.words(Address.DATA_TLB_MISS, 1)[0] = cycles.dataTlbMiss;
  core.words(Address.CODE_TLB_MISS, 1)[0] = cycles.codeTlbMiss;
  engine.flush();
  engine.forgetFastPaths();

  function readEntry(address: number): number {
    return address >>> 0 < ramSize ? ramView.getInt32(address, true) : bus.readPhysical(address >>> 0, 4) | 0;
  }

  function throwFailure(): never {
    s[TRANSLATION_FAILED] = 0;
    raise(s[Slot.FAULT_VECTOR]!, s[Slot.FAULT_CODE]!);
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

  return {
    readTags,
    writeTags,
    addends,
    tryTranslate: (linear, write, mode) => engine.translate(linear, write ? 1 : 0, mode),
    translate(linear, write, mode) {
      const physical = engine.translate(linear, write ? 1 : 0, mode);
      if (s[TRANSLATION_FAILED] !== 0) throwFailure();
      return physical;
    },
    translateCode(linear, mode) {
      const physical = engine.translateCode(linear, mode);
      if (s[TRANSLATION_FAILED] !== 0) throwFailure();
      return physical;
    },
    peek,
    flush: engine.flush,
    invalidatePage: engine.invalidatePage,
    forgetFastPaths() {
      core.listen(Listener.WATCHED_PAGES, watchedPages.size !== 0);
      engine.forgetFastPaths();
    },
    forgetWrites: engine.forgetWrites,
    watchedPages,
    banks: { data, large, code },
  };
}
