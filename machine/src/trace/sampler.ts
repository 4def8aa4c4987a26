/**
 * Looks at a run every so many cycles. The run is only cut there, which changes nothing; works with compiled code too. Samples in HLT are idle
 * time.
 */
import {
  calleeIn,
  type Profile,
  type ProfiledCall,
  type ProfiledPlace,
  type ProfiledSpace,
  spaceKey,
} from "./profile.ts";

/** What the sampler needs of a machine that runs in slices. */
export interface SlicedMachine<Stop> {
  readonly cycle: number;
  run(untilCycle: number): Stop;
}

/** What is asked at a sample. */
export interface SampledGuest {
  readonly halted: boolean;
  readonly instructions: number;
  /** The chain of calls, innermost first: at least the code that runs. */
  stack(): readonly { readonly space: ProfiledSpace; readonly eip: number }[];
}

export class Sampler<Stop extends { readonly reason: string }> {
  readonly #machine: SlicedMachine<Stop>;
  readonly #guest: SampledGuest;
  readonly #interval: number;
  readonly #start: { readonly cycle: number; readonly instructions: number };
  #next: number;
  #idle = 0;
  readonly #places = new Map<string, { space: ProfiledSpace; eip: number; count: number }>();
  readonly #roots = new Map<string, ProfiledCall>();

  /** `interval`: cycles between samples. */
  constructor(machine: SlicedMachine<Stop>, guest: SampledGuest, interval: number) {
    this.#machine = machine;
    this.#guest = guest;
    this.#interval = interval;
    this.#start = { cycle: machine.cycle, instructions: guest.instructions };
    this.#next = machine.cycle + interval;
  }

  /** Runs the machine on, and samples it. */
  run(untilCycle: number): Stop {
    for (;;) {
      const stop = this.#machine.run(Math.min(untilCycle, this.#next));
      const due = this.#machine.cycle >= this.#next;
      if (due) this.#sample();
      if (stop.reason !== "cycle" || !due || this.#machine.cycle >= untilCycle) return stop;
    }
  }

  #sample(): void {
    this.#next += this.#interval * Math.ceil((this.#machine.cycle + 1 - this.#next) / this.#interval);
    if (this.#guest.halted) {
      this.#idle++;
      return;
    }
    const stack = this.#guest.stack();
    let callees = this.#roots;
    let call: ProfiledCall | undefined;
    for (const { space, eip } of [...stack].reverse()) {
      call = calleeIn(callees, space, eip);
      callees = call.callees;
    }
    if (call) call.cycles += this.#interval;
    const [{ space, eip }] = stack as [(typeof stack)[0]];
    const key = `${eip} ${spaceKey(space)}`;
    const place = this.#places.get(key);
    if (place) place.count++;
    else this.#places.set(key, { space, eip, count: 1 });
  }

  profile(): Profile {
    const places = [...this.#places.values()].map(
      ({ space, eip, count }): ProfiledPlace => ({ space, eip, cycles: count * this.#interval, count }),
    );
    return {
      kind: "sample",
      cycles: this.#machine.cycle - this.#start.cycle,
      idle: this.#idle * this.#interval,
      instructions: this.#guest.instructions - this.#start.instructions,
      interval: this.#interval,
      places,
      roots: this.#roots.values(),
    };
  }
}
