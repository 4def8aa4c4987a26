/**
 * What `--stats FILE` writes: one JSON object, whose names are stable. `statistics-help.ts` says the same to users.
 *
 *   { model, frequency, memory,      cycle model, cycles in a second, bytes of RAM
 *     …Counts,                       of the whole run
 *     counters: { NAME: number },    the guest's own, as last published: the kernel publishes at every mark and at power-off
 *     phases: [                      one for each mark, in order
 *       { phase, name, cycle,        number and name of the mark, the cycle in which it was reached
 *         counts: Counts,            of what ran since the mark before, or boot; publishing counters is not counted
 *         counters } ] }             at the mark
 *
 *   Counts
 *     instructions, taskSwitches, segmentLoads, cr3Loads
 *     cycles: { total, user (ring 3), kernel (ring 1), firstLevel (ring 0), ring2, idle (HLT) }
 *     traps: { systemCalls (int 0x30), privateTraps (int 0x31, 0x33), serverReturns (int 0x32), pageFaults, otherExceptions,
 *              interrupts }
 *     ringTransitions: { "3-1": n, … }     every kind that occurred
 *     tlbMisses: { code4K, data4K, data4M }
 *     exceptions, softwareInterrupts, hardwareInterrupts: { VECTOR: n }, those that occurred
 *     caches: { codeCacheMisses, dataReadMisses, dataWriteMisses, writeBacks, pairs (instructions in the V pipe), stalls (cycles of
 *              waiting for memory) }        with --cycle-model detailed only
 *
 *   Counters of Rialto's kernel (os/kernel/i386/monitor.ts); pages are 4 KB
 *     pages.total, .free, .kernelImage, .kernelHeap, .bootArchive, .pageTables, .imageCode, .imageData, .anonymous
 *     pages.peakInUse                       most in use since the mark before
 *     stacks.policy   0 trimmed, 1 untrimmed, 2 fixed, 3 dedicated
 *     stacks.kernel.now, .peak, .meanThousandths, .faults, .trimmed   the mean is weighted by time, in thousandths of a page
 *     stacks.kernel.deepest, .limit   most pages that one stack had, bytes that one may have
 *     stacks.user.now, .peak, .meanThousandths
 *     threads.now, .peak, .meanThousandths, threads.switches, scratch.hits, heap.blocks (kernel's heap)
 *     count.systemCalls, count.remoteCalls  calls by path: trap to the kernel, server thread of a process (direct calls are not seen)
 *     live.processes, .threads, .handles, .remoteProxies, .callRecords, .names, .images, .imageFiles
 */
import { closeSync, writeFileSync } from "node:fs";
import type { PcStatistics } from "@rialto/machine/boards/pentium-pc.ts";
import type { RecordedPhase } from "@rialto/machine/boards/phases.ts";
import { type ProcessorStatistics, statisticsBetween } from "@rialto/machine/i386/statistics.ts";

export interface Counts {
  readonly instructions: number;
  readonly cycles: {
    readonly total: number;
    readonly user: number;
    readonly kernel: number;
    readonly firstLevel: number;
    readonly ring2: number;
    readonly idle: number;
  };
  readonly traps: {
    readonly systemCalls: number;
    readonly privateTraps: number;
    readonly serverReturns: number;
    readonly pageFaults: number;
    readonly otherExceptions: number;
    readonly interrupts: number;
  };
  readonly ringTransitions: Readonly<Record<string, number>>;
  readonly tlbMisses: { readonly code4K: number; readonly data4K: number; readonly data4M: number };
  readonly taskSwitches: number;
  readonly segmentLoads: number;
  readonly cr3Loads: number;
  readonly exceptions: Readonly<Record<string, number>>;
  readonly softwareInterrupts: Readonly<Record<string, number>>;
  readonly hardwareInterrupts: Readonly<Record<string, number>>;
  readonly caches?: NonNullable<ProcessorStatistics["caches"]>;
}

export interface PhaseCounts {
  readonly phase: number;
  readonly name: string;
  readonly cycle: number;
  readonly counts: Counts;
  readonly counters: Readonly<Record<string, number>>;
}

export interface RunStatistics extends Counts {
  readonly model: string;
  readonly frequency: number;
  readonly memory: number;
  readonly counters: Readonly<Record<string, number>>;
  readonly phases: readonly PhaseCounts[];
}

const PAGE_FAULT = 14;
const SYSTEM_CALL = 0x30;
const PRIVATE_TRAP = 0x31;
const SERVER_RETURN = 0x32;
const HAND_OFF = 0x33;

const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

function occurred(counts: Iterable<readonly [string | number, number]>): Record<string, number> {
  const result: Record<string, number> = {};
  for (const [name, count] of counts) if (count !== 0) result[`${name}`] = count;
  return result;
}

export function describeCounts(statistics: ProcessorStatistics): Counts {
  const { exceptions, softwareInterrupts, hardwareInterrupts, cyclesByRing } = statistics;
  const pageFaults = exceptions[PAGE_FAULT]!;
  return {
    instructions: statistics.instructions,
    cycles: {
      total: statistics.cycles,
      user: cyclesByRing[3],
      kernel: cyclesByRing[1],
      firstLevel: cyclesByRing[0],
      ring2: cyclesByRing[2],
      idle: statistics.cyclesIdle,
    },
    traps: {
      systemCalls: softwareInterrupts[SYSTEM_CALL]!,
      privateTraps: softwareInterrupts[PRIVATE_TRAP]! + softwareInterrupts[HAND_OFF]!,
      serverReturns: softwareInterrupts[SERVER_RETURN]!,
      pageFaults,
      otherExceptions: sum(exceptions) - pageFaults,
      interrupts: sum(hardwareInterrupts),
    },
    ringTransitions: occurred(Object.entries(statistics.ringTransitions)),
    tlbMisses: statistics.tlbMisses,
    taskSwitches: statistics.taskSwitches,
    segmentLoads: statistics.segmentLoads,
    cr3Loads: statistics.cr3Loads,
    exceptions: occurred(exceptions.entries()),
    softwareInterrupts: occurred(softwareInterrupts.entries()),
    hardwareInterrupts: occurred(hardwareInterrupts.entries()),
    ...(statistics.caches === undefined ? {} : { caches: statistics.caches }),
  };
}

function describePhases(phases: readonly RecordedPhase[]): PhaseCounts[] {
  return phases.map(({ phase, name, cycle, reached, counters }, index) => {
    const before = phases[index - 1];
    const counts = describeCounts(before ? statisticsBetween(before.resumed, reached) : reached);
    return { phase, name, cycle, counts, counters };
  });
}

export function describeRun(statistics: PcStatistics): RunStatistics {
  const { model, frequency, memory, counters, phases } = statistics;
  return {
    model,
    frequency,
    memory,
    ...describeCounts(statistics),
    counters,
    phases: describePhases(phases),
  };
}

/** Writes the statistics of a run to an open file and closes it. */
export function writeStatistics(descriptor: number, statistics: PcStatistics): void {
  writeFileSync(descriptor, `${JSON.stringify(describeRun(statistics), null, 2)}\n`);
  closeSync(descriptor);
}
