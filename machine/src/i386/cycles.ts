/**
 * Cycle models: what is added to the clocks of the instruction table. Every number has its source.
 *
 * `fast`: clocks of the instruction table (hits in the caches, no pairing), gates and task switches from the same tables
 * (`gateClocks`), TLB misses. A miss reads two words of page tables (one for a 4 MB page); Intel's manuals give no number
 * for it. The value is two reads that miss the 8 KB data cache and hit the second-level cache with 66 MHz bus timing 3-1-1-1
 * (Pentium Processor Family Developer's Manual, volume 1, chapter 6: bus cycles), rounded: an assumption, stated as such.
 *
 * `detailed`: the same clocks, with instruction and data cache, memory bus and pairing (`timing/detailed.ts`). The reads of a TLB miss go
 * through the data cache; each costs 2 clocks besides (address and cache access stages of the pipeline): an assumption.
 *
 * `instructions`: every instruction takes the table's clocks, nothing else is added; for comparing path lengths.
 */
export interface CycleModel {
  readonly name: string;
  /** For people who read its results. */
  readonly description: string;
  readonly dataTlbMiss: number;
  readonly codeTlbMiss: number;
  readonly detailed: boolean;
}

export const cycleModels = {
  fast: {
    name: "fast",
    description: "clocks of Intel's instruction tables, cache hits assumed, no pairing, plus TLB misses",
    dataTlbMiss: 12,
    codeTlbMiss: 12,
    detailed: false,
  },
  detailed: {
    name: "detailed",
    description:
      "clocks of Intel's instruction tables, 8 KB instruction and data caches, no second-level cache, U and V pipe, TLB misses",
    dataTlbMiss: 4,
    codeTlbMiss: 4,
    detailed: true,
  },
  instructions: {
    name: "instructions",
    description: "clocks of Intel's instruction tables alone",
    dataTlbMiss: 0,
    codeTlbMiss: 0,
    detailed: false,
  },
} as const satisfies Record<string, CycleModel>;

export type CycleModelName = keyof typeof cycleModels;

export const cycleModelNames = Object.keys(cycleModels) as readonly CycleModelName[];
