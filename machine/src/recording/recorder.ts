/**
 * Stands between a host and its machine and writes down what goes in. Lines are handed out as things happen, so that a host that is killed
 * leaves a usable recording.
 *
 * Invariant: input enters between two calls of `run`, so the cycle and the count of instructions at that moment name one place in the
 * run, however the run was cut (see Pentium).
 */
import { entryLine, headerLine, type RecordedEntry, type RecordingHeader } from "./format.ts";

/** What recording needs of a board. */
export interface RecordableMachine<Stop> {
  readonly frequency: number;
  readonly cycle: number;
  readonly instructions: number;
  readonly idleCycles: number;
  /** Set when the run is over. */
  readonly end: { readonly reason: string } | undefined;
  run(untilCycle: number): Stop;
  serialInput(bytes: Iterable<number>): void;
  keyInput(scanCodes: Iterable<number>): void;
  networkInput(frame: Uint8Array, cycle?: number): void;
  stateHash(): string;
}

export class Recorder<Stop extends { readonly reason: string }> {
  readonly #machine: RecordableMachine<Stop>;
  readonly #write: (line: string) => void;
  readonly #hashEvery: number;
  /** Cycle at which the next line is due whatever happens. */
  #due: number;
  #closed = false;

  /** `write` gets every line with its newline. The machine has not run yet. */
  constructor(machine: RecordableMachine<Stop>, header: RecordingHeader, write: (line: string) => void) {
    this.#machine = machine;
    this.#write = write;
    this.#hashEvery = header.hashEvery;
    this.#due = machine.cycle;
    this.#plan();
    write(headerLine(header));
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

  /** Without hashes a line a second of guest time says how far the run has come. */
  #plan(): void {
    const step = this.#hashEvery || this.#machine.frequency;
    this.#due = (Math.floor(this.#machine.cycle / step) + 1) * step;
  }

  #entry(more: Omit<RecordedEntry, "cycle" | "instructions">): void {
    const { cycle, instructions } = this.#machine;
    this.#write(entryLine({ cycle, instructions, ...more }));
  }

  run(untilCycle: number): Stop {
    for (;;) {
      const stop = this.#machine.run(Math.min(untilCycle, this.#due));
      if (this.#machine.end) {
        this.close(this.#machine.end.reason);
        return stop;
      }
      if (this.#machine.cycle >= this.#due) {
        this.#entry(this.#hashEvery ? { hash: this.#machine.stateHash() } : {});
        this.#plan();
      }
      if (stop.reason !== "cycle" || this.#machine.cycle >= untilCycle) return stop;
    }
  }

  serialInput(bytes: Iterable<number>): void {
    const serial = Uint8Array.from(bytes);
    this.#entry({ serial });
    this.#machine.serialInput(serial);
  }

  keyInput(scanCodes: Iterable<number>): void {
    const keys = Uint8Array.from(scanCodes);
    this.#entry({ keys });
    this.#machine.keyInput(keys);
  }

  networkInput(frame: Uint8Array, cycle = this.#machine.cycle): void {
    this.#machine.networkInput(frame, cycle);
    this.#entry({ frame, arrival: Math.max(cycle, this.#machine.cycle) });
  }

  /** Writes the last line: the machine's end, or "left" when the host leaves a machine that runs. Later calls do nothing. */
  close(end = "left"): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#entry({ hash: this.#machine.stateHash(), end: this.#machine.end?.reason ?? end });
  }
}
