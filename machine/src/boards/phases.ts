/**
 * What a guest tells about its own run through the monitor port: marks between phases, each with the processor's counts at that
 * moment, and counters of the guest's own by name.
 *
 * A mark has two moments: `reached`, when the phase before it ended, and `resumed`, when the phase after it began. Between them
 * the guest publishes its counters, whose cost so belongs to no phase. Without a resume the two are equal.
 */
import type { PhaseMark } from "../devices/monitor.ts";
import { StateError, StateReader } from "../devices/state-reader.ts";
import type { ProcessorStatistics } from "../i386/statistics.ts";

export interface RecordedPhase extends PhaseMark {
  readonly reached: ProcessorStatistics;
  readonly resumed: ProcessorStatistics;
  readonly counters: Readonly<Record<string, number>>;
}

/** What a snapshot keeps. */
export interface PhaseState {
  readonly phases: readonly RecordedPhase[];
  readonly counters: readonly (readonly [name: string, value: number])[];
  readonly lost: number;
}

/** Whether a value has the template's fields, of the same types, lists of the same length. */
function isLike(value: unknown, template: unknown): boolean {
  if (typeof template !== "object" || template === null) {
    return typeof value === typeof template && (typeof value !== "number" || Number.isFinite(value));
  }
  if (typeof value !== "object" || value === null || Array.isArray(value) !== Array.isArray(template))
    return false;
  if (Array.isArray(value) && value.length !== (template as readonly unknown[]).length) return false;
  return Object.entries(template).every(
    ([name, field]) => Object.hasOwn(value, name) && isLike((value as Record<string, unknown>)[name], field),
  );
}

function isCounterPair(pair: unknown): boolean {
  return Array.isArray(pair) && pair.length === 2 && isLike(pair, ["", 0]);
}

function isCounterRecord(counters: unknown): boolean {
  if (typeof counters !== "object" || counters === null || Array.isArray(counters)) return false;
  return Object.entries(counters).every(isCounterPair);
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

  state(): PhaseState {
    return { phases: this.#phases, counters: [...this.#counters], lost: this.#lost };
  }

  /** Checks all, then returns what takes it over. Throws `StateError`. */
  prepareState(state: unknown): () => void {
    const reader = new StateReader(state, "phases");
    const phases = reader.list("phases");
    const counters = reader.list("counters");
    if (phases.length > MOST_PHASES || counters.length > MOST_COUNTERS)
      throw new StateError("phases", "too many");
    const template = {
      cycle: 0,
      phase: 0,
      name: "",
      reached: this.#statistics(),
      resumed: this.#statistics(),
    };
    for (const phase of phases) {
      if (!isLike(phase, template) || !isCounterRecord((phase as RecordedPhase).counters))
        throw new StateError("phases", "it holds something that is no phase");
    }
    if (!counters.every(isCounterPair))
      throw new StateError("phases", "it holds something that is no counter");
    const lost = reader.number("lost");
    return () => {
      this.#phases.splice(0, this.#phases.length, ...(phases as RecordedPhase[]));
      this.#counters.clear();
      for (const [name, value] of counters as (readonly [string, number])[]) this.#counters.set(name, value);
      this.#lost = lost;
    };
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
