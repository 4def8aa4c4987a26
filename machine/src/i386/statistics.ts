/**
 * What the processor counts. Names are stable: results and experiments refer to them.
 *
 * Counters are doubles (exact up to 2^53) and are touched only on slow paths; instructions and cycles are derived from the
 * processor's own clock, so that counting costs nothing in straight-line code.
 */

import * as Counter from "../../engine/layout/counters.ts";
import type { DetailedCounters } from "./timing/detailed.ts";

/** A copy of all counters at one moment, or the difference of two. */
export interface ProcessorStatistics {
  instructions: number;
  cycles: number;
  /** Cycles at CPL 0, 1, 2, 3, without those in HLT. */
  cyclesByRing: [number, number, number, number];
  /** Cycles in HLT. */
  cyclesIdle: number;
  /** Deliveries by vector, 256 each. */
  exceptions: number[];
  softwareInterrupts: number[];
  hardwareInterrupts: number[];
  /** By "from-to": "3-0", "1-1" …: every transfer through a gate, by IRET, far CALL or RET, or a task switch. */
  ringTransitions: Record<string, number>;
  taskSwitches: number;
  /** Misses of the modelled TLBs by kind of entry. */
  tlbMisses: { code4K: number; data4K: number; data4M: number };
  pageFaults: number;
  segmentLoads: number;
  cr3Loads: number;
  /** Only with the cycle model `detailed`. */
  caches?: DetailedCounters;
}

export { Counter };

/** Turns counters into the documented object. */
export function describeCounters(
  counters: Float64Array,
  instructions: number,
  cycles: number,
  caches?: DetailedCounters,
): ProcessorStatistics {
  const ringTransitions: Record<string, number> = {};
  for (let from = 0; from < 4; from++) {
    for (let to = 0; to < 4; to++) {
      ringTransitions[`${from}-${to}`] = counters[Counter.RING_TRANSITIONS + from * 4 + to]!;
    }
  }
  const vectors = (start: number) => Array.from(counters.subarray(start, start + 256));
  const ring = (number: number) => counters[Counter.CYCLES_BY_RING + number]!;
  return {
    instructions,
    cycles,
    cyclesByRing: [ring(0), ring(1), ring(2), ring(3)],
    cyclesIdle: counters[Counter.CYCLES_IDLE]!,
    exceptions: vectors(Counter.EXCEPTIONS),
    softwareInterrupts: vectors(Counter.SOFTWARE_INTERRUPTS),
    hardwareInterrupts: vectors(Counter.HARDWARE_INTERRUPTS),
    ringTransitions,
    taskSwitches: counters[Counter.TASK_SWITCHES]!,
    tlbMisses: {
      code4K: counters[Counter.TLB_CODE_4K]!,
      data4K: counters[Counter.TLB_DATA_4K]!,
      data4M: counters[Counter.TLB_DATA_4M]!,
    },
    pageFaults: counters[Counter.PAGE_FAULTS]!,
    segmentLoads: counters[Counter.SEGMENT_LOADS]!,
    cr3Loads: counters[Counter.CR3_LOADS]!,
    ...(caches === undefined ? {} : { caches: { ...caches } }),
  };
}

function cachesBetween(
  earlier: DetailedCounters | undefined,
  later: DetailedCounters | undefined,
): { caches?: DetailedCounters } {
  if (earlier === undefined || later === undefined) return {};
  return {
    caches: {
      codeCacheMisses: later.codeCacheMisses - earlier.codeCacheMisses,
      dataReadMisses: later.dataReadMisses - earlier.dataReadMisses,
      dataWriteMisses: later.dataWriteMisses - earlier.dataWriteMisses,
      writeBacks: later.writeBacks - earlier.writeBacks,
      pairs: later.pairs - earlier.pairs,
      stalls: later.stalls - earlier.stalls,
    },
  };
}

/** Counter by counter, `later` minus `earlier`. */
export function statisticsBetween(
  earlier: ProcessorStatistics,
  later: ProcessorStatistics,
): ProcessorStatistics {
  const lists = (a: number[], b: number[]) => b.map((value, index) => value - a[index]!);
  const ringTransitions: Record<string, number> = {};
  for (const [kind, count] of Object.entries(later.ringTransitions)) {
    ringTransitions[kind] = count - earlier.ringTransitions[kind]!;
  }
  return {
    instructions: later.instructions - earlier.instructions,
    cycles: later.cycles - earlier.cycles,
    cyclesByRing: lists(earlier.cyclesByRing, later.cyclesByRing) as [number, number, number, number],
    cyclesIdle: later.cyclesIdle - earlier.cyclesIdle,
    exceptions: lists(earlier.exceptions, later.exceptions),
    softwareInterrupts: lists(earlier.softwareInterrupts, later.softwareInterrupts),
    hardwareInterrupts: lists(earlier.hardwareInterrupts, later.hardwareInterrupts),
    ringTransitions,
    taskSwitches: later.taskSwitches - earlier.taskSwitches,
    tlbMisses: {
      code4K: later.tlbMisses.code4K - earlier.tlbMisses.code4K,
      data4K: later.tlbMisses.data4K - earlier.tlbMisses.data4K,
      data4M: later.tlbMisses.data4M - earlier.tlbMisses.data4M,
    },
    pageFaults: later.pageFaults - earlier.pageFaults,
    segmentLoads: later.segmentLoads - earlier.segmentLoads,
    cr3Loads: later.cr3Loads - earlier.cr3Loads,
    ...cachesBetween(earlier.caches, later.caches),
  };
}
