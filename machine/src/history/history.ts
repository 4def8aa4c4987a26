/**
 * A run that can be gone back in: snapshots of the machine every so many cycles, in memory, and everything that came into it in between.
 * Any place between two instructions is reached by restoring the snapshot before it and running on as it ran, bit for bit.
 *
 * A place is a count of cycles and of retired instructions. What enters (input, changes by a debugger) enters between two calls of `run`, is
 * kept with its place, and enters there again. `present` is the furthest place reached: before it the run is a repetition, at it the
 * run is new, and only there new input enters; what comes earlier waits. A change in the past makes another future: what was known of the old one goes.
 *
 * Memory is bounded: when the snapshots take more than the limit, every second one goes, and the distance between new ones doubles.
 */
import type { PcStop } from "../boards/pentium-pc.ts";

export interface Place {
  readonly cycle: number;
  readonly instructions: number;
}

/** What a history needs of a board. */
export interface HistoricalMachine extends Place {
  readonly end: unknown;
  /** Cycle of the next event of its clock. */
  readonly nextEvent: number;
  run(untilCycle: number): PcStop;
  step(): PcStop;
  save(): Uint8Array;
  restore(snapshot: Uint8Array): void;
}

export interface HistoryOptions {
  /** Cycles between snapshots, at first. */
  readonly interval?: number;
  /** Bytes that all snapshots together may take. */
  readonly limit?: number;
}

interface Entry extends Place {
  readonly enter: () => void;
}

interface Kept extends Place {
  readonly snapshot: Uint8Array;
  /** Entries that have entered. */
  readonly entered: number;
  /** Bytes of output until there. */
  readonly output: number;
}

const INTERVAL = 5_000_000;
const LIMIT = 256 * 2 ** 20;
/** Cycles before a place in which the instruction before it is looked for, at first. */
const WINDOW = 5_000;

export function isBefore(a: Place, b: Place): boolean {
  return a.cycle < b.cycle || (a.cycle === b.cycle && a.instructions < b.instructions);
}

const isAt = (a: Place, b: Place): boolean => a.cycle === b.cycle && a.instructions === b.instructions;

export class History {
  readonly #machine: HistoricalMachine;
  readonly #limit: number;
  #interval: number;
  readonly #entries: Entry[] = [];
  /** The first entry that has not entered yet. */
  #next = 0;
  /** In order; the first is where the history begins. */
  readonly #kept: Kept[] = [];
  #present: Place;
  /** Near the place that was gone back from last: the next step back starts here. */
  #near: Kept | undefined;
  readonly #waiting: (() => void)[] = [];
  #output = 0;
  #shown = 0;

  constructor(machine: HistoricalMachine, { interval = INTERVAL, limit = LIMIT }: HistoryOptions = {}) {
    this.#machine = machine;
    this.#interval = interval;
    this.#limit = limit;
    this.#present = this.place;
    this.#keep();
  }

  get place(): Place {
    const { cycle, instructions } = this.#machine;
    return { cycle, instructions };
  }

  /** Where the history begins. */
  get beginning(): Place {
    const { cycle, instructions } = this.#kept[0]!;
    return { cycle, instructions };
  }

  /** Cycles from one snapshot to the next, now, and bytes of all. */
  get size(): { readonly interval: number; readonly snapshots: number; readonly bytes: number } {
    const bytes = this.#kept.reduce((sum, { snapshot }) => sum + snapshot.length, 0);
    return { interval: this.#interval, snapshots: this.#kept.length, bytes };
  }

  get #repeats(): boolean {
    return isBefore(this.place, this.#present);
  }

  /** To be asked for every byte that the machine puts out: false when it was put out before. */
  isNewOutput(): boolean {
    this.#output++;
    if (this.#output <= this.#shown) return false;
    this.#shown = this.#output;
    return true;
  }

  // What enters.

  /** Input of the host; in the past it waits for the present. */
  input(enter: () => void): void {
    if (this.#repeats) this.#waiting.push(enter);
    else this.#enter(enter);
  }

  /** A change that a debugger makes here; the future that was known is gone. */
  change(enter: () => void): void {
    if (this.#repeats) {
      const isGone = (kept: Kept) => isBefore(this.place, kept) || kept.entered > this.#next;
      this.#entries.length = this.#next;
      while (this.#kept.length > 1 && isGone(this.#kept.at(-1)!)) this.#kept.pop();
      if (this.#near && isGone(this.#near)) this.#near = undefined;
      this.#shown = this.#output;
    }
    this.#enter(enter);
    for (const late of this.#waiting.splice(0)) this.#enter(late);
  }

  #enter(enter: () => void): void {
    this.#present = this.place;
    this.#entries.push({ ...this.#present, enter });
    this.#next = this.#entries.length;
    enter();
  }

  // Going on.

  /** As the machine's own `run`. */
  run(untilCycle: number): PcStop {
    if (untilCycle <= this.#machine.cycle) return this.#machine.run(untilCycle);
    for (;;) {
      const entered = this.#next;
      const limit = this.#repeats ? Math.min(untilCycle, this.#present.cycle) : untilCycle;
      const due = this.#kept.at(-1)!.cycle + this.#interval;
      const stop = this.#advance(due > this.#machine.cycle ? Math.min(limit, due) : limit);
      this.#arrived();
      // A processor that waits for input has got some.
      if (stop.reason === "waiting" && this.#next !== entered) continue;
      if (stop.reason !== "cycle" || this.#machine.cycle >= untilCycle) return stop;
    }
  }

  /** As the machine's own `step`. */
  step(): PcStop {
    const stop = this.#stepOnce();
    this.#arrived();
    return stop;
  }

  /** Runs on, at most to the next entry, which enters there. */
  #advance(limit: number): PcStop {
    const entry = this.#entries[this.#next];
    const until = entry ? Math.min(limit, entry.cycle) : limit;
    // Several places may have one cycle.
    const stop = until > this.#machine.cycle ? this.#machine.run(until) : this.#machine.step();
    this.#enterDue();
    return stop;
  }

  #stepOnce(): PcStop {
    const { cycle, instructions, nextEvent } = this.#machine;
    const entry = this.#entries[this.#next];
    // An entry on the way to the next instruction, or while the processor waits.
    const between =
      entry && entry.instructions === instructions && entry.cycle > cycle && entry.cycle <= nextEvent;
    const stop = between ? this.#machine.run(entry.cycle) : this.#machine.step();
    this.#enterDue();
    return stop;
  }

  #enterDue(): void {
    for (let entry = this.#entries[this.#next]; entry && !isBefore(this.place, entry); ) {
      this.#next++;
      entry.enter();
      entry = this.#entries[this.#next];
    }
  }

  /** At the present: late input enters; beyond it: the present moves, and a snapshot may be due. */
  #arrived(): void {
    if (this.#repeats) return;
    this.#present = this.place;
    for (const late of this.#waiting.splice(0)) this.#enter(late);
    if (this.#present.cycle >= this.#kept.at(-1)!.cycle + this.#interval && !this.#machine.end) this.#keep();
  }

  // Going back.

  #take(): Kept {
    return { ...this.place, snapshot: this.#machine.save(), entered: this.#next, output: this.#output };
  }

  #keep(): void {
    this.#kept.push(this.#take());
    while (this.#kept.length > 2 && this.size.bytes > this.#limit) {
      const thinned = this.#kept.filter((_, index) => index % 2 === 0);
      this.#kept.splice(0, this.#kept.length, ...thinned);
      this.#interval *= 2;
    }
  }

  #restore({ snapshot, output, entered }: Kept): void {
    this.#machine.restore(snapshot);
    this.#output = output;
    this.#next = entered;
    this.#enterDue();
  }

  /** The last snapshot before a place, or at it. */
  #before(place: Place, orAt: boolean): Kept | undefined {
    const fits = (kept: Kept) => isBefore(kept, place) || (orAt && isAt(kept, place));
    const kept = this.#kept.filter(fits).at(-1);
    return this.#near && fits(this.#near) && (!kept || isBefore(kept, this.#near)) ? this.#near : kept;
  }

  /** Runs to a place ahead, whatever breakpoints are met on the way. */
  #reach(place: Place): void {
    while (this.#machine.cycle < place.cycle && !this.#machine.end) this.#advance(place.cycle);
    while (isBefore(this.place, place) && !this.#machine.end) this.#stepOnce();
  }

  /** Goes to a place that was reached before. */
  goTo(place: Place): void {
    const from = this.#before(place, true);
    if (!from) throw new RangeError(`cycle ${place.cycle} is before the history begins`);
    this.#restore(from);
    this.#reach(place);
  }

  /** Goes to the furthest place reached. */
  goToPresent(): void {
    if (this.#repeats) this.#reach(this.#present);
    this.#arrived();
  }

  /** The place one step before another one; undefined when the history begins there. */
  placeBefore(place: Place): Place | undefined {
    for (let window = WINDOW, bound = place; ; ) {
      const from = this.#before(bound, false);
      if (!from) return undefined;
      const start = Math.max(from.cycle, place.cycle - window);
      this.#restore(from);
      while (this.#machine.cycle < start) this.#advance(start);
      if (isBefore(this.place, place)) {
        if (this.#machine.cycle - from.cycle > WINDOW) this.#near = this.#take();
        const found = this.#lastStepTo(place);
        // A run to a cycle may stop where no step does: only what a step led to is sure, or a snapshot that is the beginning.
        if (found.sure || from === this.#kept[0]) return found.place;
      }
      if (start > from.cycle) window *= 16;
      else bound = from;
    }
  }

  #lastStepTo(place: Place): { readonly place: Place; readonly sure: boolean } {
    let [before, sure] = [this.place, false];
    for (;;) {
      this.#stepOnce();
      if (!isBefore(this.place, place) || this.#machine.end) return { place: before, sure };
      before = this.place;
      sure = true;
    }
  }

  /**
   * Runs from the last snapshot before `end` to it and tells of every stop on the way (breakpoints, watchpoints, the processor's `stop`) in
   * order, the first of them the snapshot itself. Returns that snapshot's place; undefined when nothing is before `end`.
   */
  repeatUpTo(end: Place, stopped: (place: Place, isStart: boolean) => void): Place | undefined {
    const from = this.#kept.filter((kept) => isBefore(kept, end)).at(-1);
    if (!from) return undefined;
    this.#restore(from);
    stopped(this.place, true);
    while (this.#machine.cycle < end.cycle && !this.#machine.end) {
      const stop = this.#advance(end.cycle);
      if (stop.reason === "breakpoint" || stop.reason === "stopped") stopped(this.place, false);
    }
    return from;
  }
}
