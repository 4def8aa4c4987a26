/** Which instructions ran at least once, by address as the code sees it. Each is watched until it has run: then it costs nothing more. */
import type { InstructionWatcher } from "../i386/probe.ts";

export class Coverage implements InstructionWatcher {
  readonly #executed = new Set<number>();
  /** Addresses by number; each decoding of an instruction gets one. */
  readonly #watched: number[] = [];

  get executed(): ReadonlySet<number> {
    return this.#executed;
  }

  numberOf(eip: number): number {
    return this.#executed.has(eip) ? -1 : this.#watched.push(eip) - 1;
  }

  reached(number: number): boolean {
    this.#executed.add(this.#watched[number]!);
    return false;
  }
}
