/**
 * Stands where the recorder stood and plays its lines back: every input at its own cycle, every count and hash compared. Input from the
 * host is refused, so that the run can only be the recorded one.
 */
import {
  differences,
  type RecordedEntry,
  type Recording,
  RecordingError,
  type RecordingHeader,
} from "./format.ts";
import type { RecordableMachine } from "./recorder.ts";

/** The replayed run departed from the recorded one. */
export class Divergence extends RecordingError {
  /** Where it was found; it happened after the line before. */
  readonly cycle: number;

  constructor(message: string, cycle: number) {
    super(message);
    this.name = "Divergence";
    this.cycle = cycle;
  }
}

/** How the recording ended, once its last line is played. */
export interface ReplayEnd {
  /** As recorded; undefined when the recording was cut off. */
  readonly end: string | undefined;
  readonly cycle: number;
  readonly hashesCompared: number;
}

export class Replayer<Stop extends { readonly reason: string }> {
  readonly #machine: RecordableMachine<Stop>;
  readonly #entries: readonly RecordedEntry[];
  #next = 0;
  #hashesCompared = 0;
  #finished: ReplayEnd | undefined;

  /** `now` describes the machine as it stands. Throws `RecordingError` when the recording does not fit it. */
  constructor(machine: RecordableMachine<Stop>, recording: Recording, now: RecordingHeader) {
    const found = differences(recording.header, now);
    if (found.length > 0) {
      throw new RecordingError(
        `the recording does not fit this machine:\n${found.map((line) => `  ${line}`).join("\n")}`,
      );
    }
    this.#machine = machine;
    this.#entries = recording.entries;
  }

  get frequency(): number {
    return this.#machine.frequency;
  }

  get cycle(): number {
    return this.#machine.cycle;
  }

  get idleCycles(): number {
    return this.#machine.idleCycles;
  }

  /** Set when there is nothing more to play; the machine may still run. */
  get finished(): ReplayEnd | undefined {
    return this.#finished;
  }

  /** Input of the host has no place in a replay. */
  serialInput(_bytes: Iterable<number>): void {}

  keyInput(_scanCodes: Iterable<number>): void {}

  networkInput(_frame: Uint8Array): void {}

  /**
   * Runs on as recorded, to `untilCycle` or an earlier reason; returns at once when the recording is finished. Throws `Divergence` at
   * the first difference.
   */
  run(untilCycle: number): Stop {
    for (;;) {
      const entry = this.#entries[this.#next];
      if (!entry) {
        this.#finish(undefined);
        return this.#machine.run(this.#machine.cycle);
      }
      const stop = this.#machine.run(Math.min(untilCycle, entry.cycle));
      const { cycle, instructions, end } = this.#machine;
      if (end && (entry.end !== end.reason || entry.cycle !== cycle)) {
        throw this.#divergence(`the machine ended (${end.reason}), and the recording goes on`, entry);
      }
      if (cycle < entry.cycle) {
        if (stop.reason === "cycle") return stop;
        throw this.#divergence(`the machine stopped (${stop.reason})`, entry);
      }
      if (cycle !== entry.cycle) throw this.#divergence("the machine ran past the recorded cycle", entry);
      if (instructions !== entry.instructions) {
        throw this.#divergence(
          `${instructions} instructions were executed, and the recording says ${entry.instructions}`,
          entry,
        );
      }
      this.#play(entry);
      this.#next++;
      if (entry.end !== undefined) {
        this.#finish(entry.end);
        return this.#machine.end ? this.#machine.run(cycle) : stop;
      }
    }
  }

  #play(entry: RecordedEntry): void {
    if (entry.hash !== undefined) {
      const hash = this.#machine.stateHash();
      if (hash !== entry.hash)
        throw this.#divergence(`the state's hash is ${hash}, and the recording says ${entry.hash}`, entry);
      this.#hashesCompared++;
    }
    if (entry.serial) this.#machine.serialInput(entry.serial);
    if (entry.keys) this.#machine.keyInput(entry.keys);
    if (entry.frame) this.#machine.networkInput(entry.frame, entry.arrival);
    if (entry.end === undefined || entry.end === "left") return;
    // HLT with interrupts off ends the machine without taking time: it shows when the machine is asked to go on.
    if (!this.#machine.end) this.#machine.run(entry.cycle + 1);
    const { end } = this.#machine;
    if (end?.reason !== entry.end) {
      const here = end ? `ended (${end.reason})` : "still runs";
      throw this.#divergence(`the machine ${here}, and the recording ends (${entry.end})`, entry);
    }
  }

  #finish(end: string | undefined): void {
    this.#finished ??= { end, cycle: this.#machine.cycle, hashesCompared: this.#hashesCompared };
  }

  #divergence(what: string, entry: RecordedEntry): Divergence {
    const { cycle } = this.#machine;
    const before = this.#entries[this.#next - 1];
    const since = before ? `; the line before, at cycle ${before.cycle}, agreed` : "";
    return new Divergence(
      `the replay departs from the recording at cycle ${cycle} (recorded cycle ${entry.cycle}): ${what}${since}`,
      cycle,
    );
  }
}
