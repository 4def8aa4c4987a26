/** A clock without a processor, for device tests: time moves when the test says so. */
import type { Clock, ClockEvent, SavedEvent } from "../contract.ts";

interface Pending extends ClockEvent {
  readonly action: () => void;
}

export class FakeClock implements Clock {
  now = 0;
  readonly frequency: number;
  #pending: Pending[] = [];
  #order = 0;

  constructor(frequency = 75_000_000) {
    this.frequency = frequency;
  }

  schedule(cycle: number, action: () => void): ClockEvent {
    return this.resume({ cycle, order: this.#order++ }, action);
  }

  resume(saved: SavedEvent, action: () => void): ClockEvent {
    const event = { ...saved, action };
    this.#pending.push(event);
    return event;
  }

  cancel(event: ClockEvent): void {
    this.#pending = this.#pending.filter((pending) => pending !== event);
  }

  get scheduled(): number {
    return this.#pending.length;
  }

  /** Moves time forward, firing events at their own cycles. */
  advance(cycles: number): void {
    const end = this.now + cycles;
    for (;;) {
      let first: Pending | undefined;
      for (const event of this.#pending) if (!first || event.cycle < first.cycle) first = event;
      if (!first || first.cycle > end) break;
      this.cancel(first);
      this.now = Math.max(this.now, first.cycle);
      first.action();
    }
    this.now = end;
  }

  /** Moves time forward in one leap, as a long instruction does: events fire late. */
  leap(cycles: number): void {
    this.now += cycles;
    this.advance(0);
  }
}

/** An interrupt wire that remembers its level and counts rising edges. */
export class ProbeLine {
  high = false;
  rises = 0;

  set(high: boolean): void {
    if (high && !this.high) this.rises++;
    this.high = high;
  }
}
