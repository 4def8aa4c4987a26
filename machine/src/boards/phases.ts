/**
 * What a guest tells about its own run through the monitor port: marks between phases, each with the processor's counts at that
 * moment, and counters of the guest's own by name.
 *
 * A mark has two moments: `reached`, when the phase before it ended, and `resumed`, when the phase after it began. Between them
 * the guest publishes its counters, whose cost so belongs to no phase. Without a resume the two are equal.
 */
import type { PhaseMark } from "../devices/monitor.ts";
import type { ProcessorStatistics } from "../i386/statistics.ts";

export interface RecordedPhase extends PhaseMark {
  readonly reached: ProcessorStatistics;
  readonly resumed: ProcessorStatistics;
  readonly counters: Readonly<Record<string, number>>;
}

/** A guest that marks without end must not exhaust the host: later marks are lost. */
const MOST_PHASES = 4096;
/** The same for names of counters. */
const MOST_COUNTERS = 1024;

export class PhaseRecord {
  readonly #statistics: () => ProcessorStatistics;
  readonly #phases: RecordedPhase[] = [];
  readonly #counters = new Map<string, number>();
  #lost = 0;

  /** `statistics` gives the processor's counts of the moment. */
  constructor(statistics: () => ProcessorStatistics) {
    this.#statistics = statistics;
  }

  get phases(): readonly RecordedPhase[] {
    return this.#phases;
  }

  /** Counters as last published. */
  get counters(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counters);
  }

  /** Marks that were not recorded, because there were too many. */
  get lost(): number {
    return this.#lost;
  }

  mark(mark: PhaseMark): void {
    if (this.#phases.length === MOST_PHASES) {
      this.#lost++;
      return;
    }
    const now = this.#statistics();
    this.#phases.push({ ...mark, reached: now, resumed: now, counters: this.counters });
  }

  counter(name: string, value: number): void {
    if (this.#counters.has(name) || this.#counters.size < MOST_COUNTERS) this.#counters.set(name, value);
  }

  resume(): void {
    const last = this.#phases.at(-1);
    if (!last || this.#lost > 0) return;
    this.#phases[this.#phases.length - 1] = {
      ...last,
      resumed: this.#statistics(),
      counters: this.counters,
    };
  }
}
