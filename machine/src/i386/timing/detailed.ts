/**
 * The `detailed` cycle model: instruction and data cache, memory bus, U and V pipe, on top of the table's clocks. It changes cycles
 * and nothing else. Without it none of this exists: no code, no test in a loop.
 *
 * **Code.** The decoder puts a record in front of every instruction's (`prepare`). When it runs (`account`) it reads the lines of the
 * instruction through the code cache, decides in which pipe the instruction goes, and sets the clocks of the record behind
 * it. A wait for a line is time before the instruction: when it uses up the budget the run loop stops between the two records, and `account`
 * runs again for the same instruction. It then must not decide again, or a run would depend on how it is cut into slices.
 *
 * **Data.** `observeData` wraps the memory that instructions use: after an access was done, its lines go through the data cache. Device
 * memory and, with CR0.CD, all memory is uncached.
 *
 * Not modelled: address generation interlocks, branch prediction, prefixes' extra clocks, prefetching, bank conflicts, snoops.
 */

import type { CodeCache } from "../code-cache.ts";
import type { ProcessorCore } from "../core.ts";
import type { Instruction } from "../instruction.ts";
import { ControlBit, Field, Slot, SOFT_TLB_SETS } from "../layout.ts";
import type { Memory } from "../memory.ts";
import type { Paging } from "../paging.ts";
import { prefixKind, prefixKinds } from "../table.ts";
import { MemoryBus } from "./bus.ts";
import { CacheTags, LINE_SHIFT } from "./cache.ts";
import { issueOf, pairedClocks, U } from "./pairing.ts";

export interface DetailedCounters {
  codeCacheMisses: number;
  dataReadMisses: number;
  dataWriteMisses: number;
  writeBacks: number;
  /** Instructions that went into the V pipe. */
  pairs: number;
  /** Cycles in which the processor waited for memory. */
  stalls: number;
}

/** What a snapshot keeps. */
export interface DetailedState {
  readonly codeLines: ArrayLike<number>;
  readonly dataLines: ArrayLike<number>;
  /** The bus is busy until; physical address behind the instruction before; its issue word when it waits for a partner in the V pipe, else 0. */
  readonly bus: number;
  readonly next: number;
  readonly waiting: number;
  /** Physical address of the instruction that is accounted but has not run, or -1. */
  readonly stoppedAt: number;
  readonly counters: DetailedCounters;
}

export interface DetailedTiming {
  /**
   * Fills the record in front of the instruction at `p`, decoded by `row` from physical address `physical`. It must not depend on what was
   * decoded before: that is no state of the machine.
   */
  prepare(row: Instruction, p: number, physical: number): void;
  /** Handler of that record. */
  account(p: number): number;
  observeData(memory: Memory): Memory;
  /** Clocks of a walk's read of a table entry. */
  readTable(physical: number): void;
  invalidateCaches(): void;
  readonly counters: DetailedCounters;
  clearCounters(): void;
  save(): DetailedState;
  restore(state: DetailedState): void;
  reset(): void;
}

const { OPERATION, CLOCKS, OFFSET, BYTES, WORDS } = Field;
/** Words of the record in front of an instruction: what pairing knows of it, and its clocks by the table. */
const ISSUE = Field.IMMEDIATE;
const ALONE = Field.EXTRA;

const noCounters = (): DetailedCounters => ({
  codeCacheMisses: 0,
  dataReadMisses: 0,
  dataWriteMisses: 0,
  writeBacks: 0,
  pairs: 0,
  stalls: 0,
});

export function createDetailedTiming(
  core: ProcessorCore,
  codeCache: CodeCache,
  paging: Paging,
  operation: number,
  frameOfCode: () => number,
): DetailedTiming {
  const { s, ram8, ramSize } = core;
  const { pool } = codeCache;
  const { BUDGET, RETIRED, CR0, BASE, MODE } = Slot;
  const codeTags = new CacheTags();
  const dataTags = new CacheTags();
  const bus = new MemoryBus();
  const counters = noCounters();
  /** Physical address behind the instruction accounted last; its issue word when it is in the U pipe and may get a partner, else 0. */
  let next = -1;
  let waiting = 0;
  /** Physical address of the instruction in front of which time ran out, or -1. */
  let stoppedAt = -1;

  const isCached = (): boolean => (s[CR0]! & ControlBit.CR0_CD) === 0;

  function stall(clocks: number): void {
    counters.stalls += clocks;
    s[BUDGET] = s[BUDGET]! - clocks;
  }

  function fill(tags: CacheTags, line: number): boolean {
    const lookup = tags.read(line);
    if (lookup === "hit") return false;
    const writesBack = lookup === "replaced dirty";
    if (writesBack) counters.writeBacks++;
    stall(bus.fill(core.now(), writesBack));
    return true;
  }

  function fetch(line: number): void {
    if (isCached()) {
      if (fill(codeTags, line)) counters.codeCacheMisses++;
    } else stall(bus.readUncached(core.now()));
  }

  function read(physical: number): void {
    if (physical >>> 0 < ramSize && isCached()) {
      if (fill(dataTags, physical >>> LINE_SHIFT)) counters.dataReadMisses++;
    } else stall(bus.readUncached(core.now()));
  }

  function write(physical: number): void {
    if (physical >>> 0 < ramSize && isCached() && dataTags.write(physical >>> LINE_SHIFT)) return;
    counters.dataWriteMisses++;
    stall(bus.write(core.now()));
  }

  /** Both lines of an access by linear address that has just been done, and so is translated. */
  function access(linear: number, size: number, isWrite: boolean): void {
    const page = linear >>> 12;
    const soft = (page & (SOFT_TLB_SETS - 1)) | s[MODE]!;
    const physical =
      paging.readTags[soft] === (linear & 0xfffff000)
        ? (linear + paging.addends[soft]!) | 0
        : paging.peek(linear);
    const use = isWrite ? write : read;
    use(physical);
    const last = (linear + size - 1) | 0;
    if (last >>> LINE_SHIFT === linear >>> LINE_SHIFT) return;
    use(last >>> 12 === page ? physical + size - 1 : paging.peek(last));
  }

  function hasPrefix(physical: number): boolean {
    return physical >>> 0 < ramSize && prefixKinds[ram8[physical]!] !== prefixKind.none;
  }

  return {
    counters,
    prepare(row, p, physical) {
      const record = p - WORDS;
      pool[record + OPERATION] = operation;
      pool[record + CLOCKS] = 0;
      pool[record + OFFSET] = pool[p + OFFSET]!;
      pool[record + BYTES] = pool[p + BYTES]!;
      pool[record + ISSUE] = issueOf(row, pool, p, hasPrefix(physical));
      pool[record + ALONE] = pool[p + CLOCKS]!;
    },

    account(record) {
      s[RETIRED] = s[RETIRED]! - 1;
      const physical = ((frameOfCode() << 12) | pool[record + OFFSET]!) >>> 0;
      const p = record + WORDS;
      if (physical === stoppedAt) {
        stoppedAt = -1;
        return p;
      }
      stoppedAt = -1;
      const end = physical + pool[record + BYTES]!;
      fetch(physical >>> LINE_SHIFT);
      // The second page of an instruction across a page end is taken for the next frame: only the line's number depends on it.
      if ((end - 1) >>> LINE_SHIFT !== physical >>> LINE_SHIFT) fetch((end - 1) >>> LINE_SHIFT);
      const issue = pool[record + ISSUE]!;
      const added = waiting !== 0 && next === physical ? pairedClocks(waiting, issue) : -1;
      if (added >= 0) {
        pool[p + CLOCKS] = added;
        waiting = 0;
        counters.pairs++;
      } else {
        pool[p + CLOCKS] = pool[record + ALONE]!;
        waiting = (issue & U) !== 0 ? issue : 0;
      }
      next = end;
      if (s[BUDGET]! <= 0) stoppedAt = physical;
      return p;
    },

    observeData(memory) {
      const linear = (segment: number, offset: number): number => (s[BASE + segment]! + offset) | 0;
      const reading =
        (size: number, done: (segment: number, offset: number) => number) =>
        (segment: number, offset: number): number => {
          const value = done(segment, offset);
          access(linear(segment, offset), size, false);
          return value;
        };
      const writing =
        (size: number, done: (segment: number, offset: number, value: number) => void) =>
        (segment: number, offset: number, value: number): void => {
          done(segment, offset, value);
          access(linear(segment, offset), size, true);
        };
      return {
        ...memory,
        get watcher() {
          return memory.watcher;
        },
        set watcher(watcher) {
          memory.watcher = watcher;
        },
        read8: reading(1, memory.read8),
        read16: reading(2, memory.read16),
        read32: reading(4, memory.read32),
        modify8: reading(1, memory.modify8),
        modify16: reading(2, memory.modify16),
        modify32: reading(4, memory.modify32),
        write8: writing(1, memory.write8),
        write16: writing(2, memory.write16),
        write32: writing(4, memory.write32),
        readSystem16(address) {
          const value = memory.readSystem16(address);
          access(address, 2, false);
          return value;
        },
        readSystem32(address) {
          const value = memory.readSystem32(address);
          access(address, 4, false);
          return value;
        },
        writeSystem16(address, value) {
          memory.writeSystem16(address, value);
          access(address, 2, true);
        },
        writeSystem32(address, value) {
          memory.writeSystem32(address, value);
          access(address, 4, true);
        },
      };
    },

    readTable: read,

    invalidateCaches() {
      codeTags.invalidate();
      dataTags.invalidate();
    },

    clearCounters() {
      Object.assign(counters, noCounters());
    },

    save: () => ({
      codeLines: [...codeTags.save()],
      dataLines: [...dataTags.save()],
      bus: bus.busyUntil,
      next,
      waiting,
      stoppedAt,
      counters: { ...counters },
    }),

    restore(state) {
      codeTags.restore(state.codeLines);
      dataTags.restore(state.dataLines);
      bus.busyUntil = state.bus;
      next = state.next;
      waiting = state.waiting;
      stoppedAt = state.stoppedAt;
      Object.assign(counters, state.counters);
    },

    reset() {
      codeTags.invalidate();
      dataTags.invalidate();
      bus.busyUntil = 0;
      next = -1;
      waiting = 0;
      stoppedAt = -1;
      Object.assign(counters, noCounters());
    },
  };
}
