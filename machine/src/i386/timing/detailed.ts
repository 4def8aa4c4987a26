/**
 * The `detailed` cycle model: instruction and data cache, memory bus, U and V pipe, on top of the table's clocks. It changes cycles
 * and nothing else. Without it none of this exists: no code, no test in a loop.
 *
 * **Code.** The decoder puts a record in front of every instruction's (`prepare`). When it runs (`account` in engine/timing.ts) it reads the lines of the
 * instruction through the code cache, decides in which pipe the instruction goes, and sets the clocks of the record behind
 * it. A wait for a line is time before the instruction: when it uses up the budget the run loop stops between the two records, and `account`
 * runs again for the same instruction. It then must not decide again, or a run would depend on how it is cut into slices. Compiled code decides
 * the same when it is translated (../jit/detailed-timing.ts).
 *
 * **Data.** `observeData` wraps the memory that instructions use: after an access was done, its lines go through the data cache. Device
 * memory and, with CR0.CD, all memory is uncached. The engine does the same for accesses on its fast path.
 *
 * Not modelled: address generation interlocks, branch prediction, prefixes' extra clocks, prefetching, bank conflicts, snoops.
 */

import * as Timing from "../../../engine/layout/timing.ts";
import type { CodeCache } from "../code-cache.ts";
import type { ProcessorCore } from "../core.ts";
import type { Engine } from "../engine.ts";
import { HotOperation } from "../hot-operations.ts";
import type { Instruction } from "../instruction.ts";
import { Address, Field, Slot, SOFT_TLB_SETS } from "../layout.ts";
import type { Memory } from "../memory.ts";
import type { Paging } from "../paging.ts";
import { prefixKind, prefixKinds } from "../table.ts";
import { issueOf } from "./pairing.ts";

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
  /** The bus is busy until; where the partner of the instruction before must stand, or -1; its issue word when there is such a place, else 0. */
  readonly bus: number;
  readonly next: number;
  readonly waiting: number;
  /** Physical address of the instruction that is accounted but has not run, or -1; its clocks, else 0. */
  readonly stoppedAt: number;
  readonly stoppedClocks: number;
  readonly counters: DetailedCounters;
}

export interface DetailedTiming {
  /**
   * Fills the record in front of the instruction at `p`, decoded by `row` from physical address `physical`. It must not depend on what was
   * decoded before: that is no state of the machine.
   */
  prepare(row: Instruction, p: number, physical: number): void;
  observeData(memory: Memory): Memory;
  invalidateCaches(): void;
  readonly counters: DetailedCounters;
  clearCounters(): void;
  save(): DetailedState;
  restore(state: DetailedState): void;
  reset(): void;
}

const { OPERATION, CLOCKS, OFFSET, BYTES, LINK, WORDS } = Field;
const { ISSUE, ALONE, NEXT, WAITING, STOPPED_AT, STOPPED_CLOCKS, INVALID_LINE, LINE_SHIFT } = Timing;

/** Words of a cache's image. */
export const CACHE_WORDS = 2 * Timing.CACHE_SETS;

const counterWords: Readonly<Record<keyof DetailedCounters, number>> = {
  codeCacheMisses: Timing.CODE_CACHE_MISSES,
  dataReadMisses: Timing.DATA_READ_MISSES,
  dataWriteMisses: Timing.DATA_WRITE_MISSES,
  writeBacks: Timing.WRITE_BACKS,
  pairs: Timing.PAIRS,
  stalls: Timing.STALLS,
};
const counterNames = Object.keys(counterWords) as readonly (keyof DetailedCounters)[];

export function createDetailedTiming(
  core: ProcessorCore,
  codeCache: CodeCache,
  paging: Paging,
  engine: Engine,
): DetailedTiming {
  const { s, ram8, ramSize } = core;
  const { pool } = codeCache;
  const { BASE, MODE, TRANSLATION_FAILED } = Slot;
  const codeLines = core.words(Address.CODE_LINES, CACHE_WORDS);
  const dataLines = core.words(Address.DATA_LINES, CACHE_WORDS);
  const words = core.words(Address.TIMING, Timing.WORDS);
  const times = core.doubles(Address.TIMING_TIMES, Timing.STALLS + 1);

  const use = (physical: number, isWrite: boolean): void =>
    engine.timeData(physical, physical >>> 0 < ramSize, isWrite);

  /** Both lines of an access by linear address that has just been done, and so is translated. */
  function access(linear: number, size: number, isWrite: boolean): void {
    const page = linear >>> 12;
    const soft = (page & (SOFT_TLB_SETS - 1)) | s[MODE]!;
    const physical =
      paging.readTags[soft] === (linear & 0xfffff000)
        ? (linear + paging.addends[soft]!) | 0
        : paging.peek(linear);
    use(physical, isWrite);
    const last = (linear + size - 1) | 0;
    if (last >>> LINE_SHIFT === linear >>> LINE_SHIFT) return;
    use(last >>> 12 === page ? physical + size - 1 : paging.peek(last), isWrite);
  }

  function invalidateCaches(): void {
    codeLines.fill(INVALID_LINE);
    dataLines.fill(INVALID_LINE);
  }

  function counters(): DetailedCounters {
    const read = counterNames.map((name) => [name, times[counterWords[name]]!] as const);
    return Object.fromEntries(read) as unknown as DetailedCounters;
  }

  function setCounters(values: DetailedCounters | null): void {
    for (const name of counterNames) times[counterWords[name]] = values === null ? 0 : values[name];
  }

  function hasPrefix(physical: number): boolean {
    return physical >>> 0 < ramSize && prefixKinds[ram8[physical]!] !== prefixKind.none;
  }

  const timing: DetailedTiming = {
    get counters() {
      return counters();
    },
    prepare(row, p, physical) {
      const record = p - WORDS;
      pool[record + OPERATION] = HotOperation.account;
      pool[record + CLOCKS] = 0;
      pool[record + OFFSET] = pool[p + OFFSET]!;
      pool[record + BYTES] = pool[p + BYTES]!;
      pool[record + LINK] = p;
      pool[record + ISSUE] = issueOf(row, pool, p, hasPrefix(physical));
      pool[record + ALONE] = pool[p + CLOCKS]!;
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
        readCompiled(segment, offset, size) {
          const value = memory.readCompiled(segment, offset, size);
          if (s[TRANSLATION_FAILED] === 0) access(linear(segment, offset), size, false);
          return value;
        },
        modifyCompiled(segment, offset, size) {
          const value = memory.modifyCompiled(segment, offset, size);
          if (s[TRANSLATION_FAILED] === 0) access(linear(segment, offset), size, false);
          return value;
        },
        writeCompiled(segment, offset, size, value) {
          memory.writeCompiled(segment, offset, size, value);
          if (s[TRANSLATION_FAILED] === 0) access(linear(segment, offset), size, true);
        },
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

    invalidateCaches,
    clearCounters: () => setCounters(null),

    save: () => ({
      codeLines: [...codeLines],
      dataLines: [...dataLines],
      bus: times[Timing.BUS_FREE]!,
      next: words[NEXT]!,
      waiting: words[NEXT] === -1 ? 0 : words[WAITING]!,
      stoppedAt: words[STOPPED_AT]!,
      stoppedClocks: words[STOPPED_AT] === -1 ? 0 : words[STOPPED_CLOCKS]!,
      counters: counters(),
    }),

    restore(state) {
      codeLines.set(state.codeLines);
      dataLines.set(state.dataLines);
      times[Timing.BUS_FREE] = state.bus;
      words[NEXT] = state.next;
      words[WAITING] = state.waiting;
      words[STOPPED_AT] = state.stoppedAt;
      words[STOPPED_CLOCKS] = state.stoppedClocks;
      setCounters(state.counters);
    },

    reset() {
      invalidateCaches();
      times[Timing.BUS_FREE] = 0;
      words[NEXT] = -1;
      words[WAITING] = 0;
      words[STOPPED_AT] = -1;
      setCounters(null);
    },
  };
  return timing;
}
