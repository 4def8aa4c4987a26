/**
 * A device's own crystal, seen through the processor's clock: tick n falls in the first cycle at or after its exact
 * time. The ratio of the two frequencies is kept as a reduced fraction, so that tick and cycle convert into each other
 * without drift (exact while cycle × numerator stays below 2^53: years of guest time at 75 MHz).
 */
import type { Clock } from "../contract.ts";

function greatestCommonDivisor(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y !== 0) [x, y] = [y, x % y];
  return x;
}

export class Oscillator {
  readonly clock: Clock;
  readonly #ticks: number;
  readonly #cycles: number;

  /** The crystal runs at `hertz` / `divisor` ticks a second; both are whole numbers. */
  constructor(clock: Clock, hertz: number, divisor = 1) {
    const cycles = clock.frequency * divisor;
    const common = greatestCommonDivisor(hertz, cycles);
    this.clock = clock;
    this.#ticks = hertz / common;
    this.#cycles = cycles / common;
  }

  /** Whole ticks since reset. */
  get now(): number {
    return Math.floor((this.clock.now * this.#ticks) / this.#cycles);
  }

  /** First cycle at which `now` is at least `tick`. */
  cycleOf(tick: number): number {
    return Math.ceil((tick * this.#cycles) / this.#ticks);
  }
}
