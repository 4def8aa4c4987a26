/**
 * Counts every instruction and every cycle of a run. The time between two instructions belongs to the first of them, with what it caused:
 * TLB misses, the delivery of its fault or of an interrupt behind it. So the cycles of all places and the idle ones are those of the run,
 * and the counts of all places are its retired instructions.
 *
 * Chains of calls come from the stack pointer alone: a function begun at its first instruction is over when ESP is above what it was then.
 * Each thread has a chain; what runs at an inner ring stands above what it interrupted, and is over when the ring rises again. A thread
 * that goes on at ring 1 on another stack than it left (it was parked) begins that part anew.
 */
import type { ProcessorObserver } from "../i386/core.ts";
import type { InstructionWatcher } from "../i386/probe.ts";
import type { TracedThread } from "./events.ts";
import type { GuestView } from "./guest-view.ts";
import {
  calleeIn,
  type Profile,
  type ProfiledCall,
  type ProfiledPlace,
  type ProfiledSpace,
  spaceKey,
} from "./profile.ts";

/** What the profiler reads of the processor. */
export interface ProfiledProcessor {
  readonly clock: { readonly now: number };
  readonly instructions: number;
  readonly registers: Int32Array;
  readonly cpl: number;
}

/** Start of the function that holds an address; 0 when unknown. */
export type FunctionOf = (eip: number) => number;

const ESP = 4;
/** A first-level handler that lets a thread go on puts at most so many bytes on its stack. */
const CONTINUATION = 256;
const NO_THREAD: TracedThread = { id: 0, process: 0, name: "kernel" };

interface Frame {
  readonly call: ProfiledCall;
  readonly start: number;
  readonly ring: number;
  /** At its first instruction: the address of its return address. */
  readonly esp: number;
}

interface ThreadChain {
  readonly frames: Frame[];
  process: number;
  name: string;
  /** ESP when it last left ring 1. */
  kernelStack: number;
}

/** Counts of one space, by number of the instruction. */
interface Counts {
  readonly space: ProfiledSpace;
  count: Float64Array;
  cycles: Float64Array;
}

export class ExactProfiler implements InstructionWatcher, ProcessorObserver {
  readonly #processor: ProfiledProcessor;
  readonly #view: GuestView | undefined;
  readonly #functionOf: FunctionOf;
  readonly #startCycle: number;
  readonly #startInstructions: number;

  // Instructions by number.
  readonly #numbers = new Map<number, number>();
  readonly #eips: number[] = [];
  readonly #functions: number[] = [];

  readonly #spaces = new Map<string, Counts>();
  readonly #chains = new Map<number, ThreadChain>();
  readonly #roots = new Map<string, ProfiledCall>();

  #thread = 0;
  #chain: ThreadChain = { frames: [], process: 0, name: "kernel", kernelStack: 0 };
  #space: Counts;
  /** Ring or thread may have changed since the last instruction. */
  #moved = true;
  /** Ring 0 was left since. */
  #resumed = false;

  // The instruction under way.
  #number = -1;
  #since: number;
  #call: ProfiledCall | undefined;
  #function = -1;
  #esp = 0;
  /** ESP above which the innermost function is over. */
  #top = 0;
  /** Instructions that should have retired by now. */
  #expected: number;
  #idle = 0;

  constructor(processor: ProfiledProcessor, view: GuestView | undefined, functionOf: FunctionOf) {
    this.#processor = processor;
    this.#view = view;
    this.#functionOf = functionOf;
    this.#startCycle = this.#since = processor.clock.now;
    this.#startInstructions = this.#expected = processor.instructions;
    this.#chains.set(0, this.#chain);
    this.#space = this.#countsOf(processor.cpl);
  }

  // Hearing.

  trap(_vector: number, _kind: string, _errorCode: number, fromRing: number): void {
    this.#moved = true;
    if (fromRing === 1) this.#chain.kernelStack = this.#esp;
  }

  returned(from: number, to: number): void {
    this.#moved = true;
    if (from !== 0 || to === 0) return;
    this.#resumed = true;
    if (this.#view) this.#follow(this.#view);
  }

  idle(from: number, until: number): void {
    this.#settle(from);
    this.#idle += until - from;
    this.#since = until;
  }

  numberOf(eip: number): number {
    let number = this.#numbers.get(eip);
    if (number === undefined) {
      number = this.#eips.length;
      this.#numbers.set(eip, number);
      this.#eips.push(eip);
      this.#functions.push(this.#functionOf(eip));
    }
    return number;
  }

  reached(number: number): boolean {
    this.#settle(this.#processor.clock.now);
    if (this.#moved) this.#enterSpace();
    const esp = this.#processor.registers[ESP]! >>> 0;
    this.#esp = esp;
    const start = this.#functions[number]!;
    if (start !== this.#function || esp > this.#top || this.#eips[number] === start) {
      this.#enterFunction(start, this.#eips[number]!, esp);
    }
    if (number >= this.#space.count.length) this.#grow(this.#space);
    this.#space.count[number]!++;
    this.#expected++;
    this.#number = number;
    return true;
  }

  // Counting.

  /** Gives the time since the last instruction to it; takes it back when it did not retire. */
  #settle(now: number): void {
    const number = this.#number;
    if (number >= 0) {
      const { cycles, count } = this.#space;
      cycles[number] = cycles[number]! + now - this.#since;
      if (this.#call) this.#call.cycles += now - this.#since;
      const { instructions } = this.#processor;
      if (instructions < this.#expected) {
        count[number]!--;
        this.#expected = instructions;
      }
    }
    this.#since = now;
  }

  #grow(counts: Counts): void {
    const length = Math.max(2 * counts.count.length, this.#eips.length + 1024);
    const [count, cycles] = [new Float64Array(length), new Float64Array(length)];
    count.set(counts.count);
    cycles.set(counts.cycles);
    counts.count = count;
    counts.cycles = cycles;
  }

  #countsOf(ring: number): Counts {
    const { process, name } = this.#chain;
    const space = { process, name, ring };
    const key = spaceKey(space);
    let counts = this.#spaces.get(key);
    if (!counts) {
      counts = { space, count: new Float64Array(1024), cycles: new Float64Array(1024) };
      this.#spaces.set(key, counts);
    }
    return counts;
  }

  // Chains.

  /** The thread that goes on from ring 0. What ran at ring 0 for the one before is over. */
  #follow(view: GuestView): void {
    const key = view.current();
    if (key === this.#thread) return;
    this.#leaveRings(0);
    this.#thread = key;
    const { id, process, name } = key === 0 ? NO_THREAD : view.thread(key);
    // Records of threads are used again; ids are not.
    let chain = this.#chains.get(id);
    if (!chain) {
      chain = { frames: [], process, name, kernelStack: 0 };
      this.#chains.set(id, chain);
    }
    chain.process = process;
    chain.name = name;
    this.#chain = chain;
  }

  /** Ends what runs at rings up to `ring` in the current chain. */
  #leaveRings(ring: number): void {
    const { frames } = this.#chain;
    while (frames.length > 0 && frames.at(-1)!.ring <= ring) frames.pop();
  }

  #enterSpace(): void {
    const { cpl, registers } = this.#processor;
    this.#moved = false;
    this.#leaveRings(cpl - 1);
    if (cpl === 1 && this.#resumed) {
      const pushed = (this.#chain.kernelStack - registers[ESP]!) | 0;
      if (pushed < -CONTINUATION || pushed > CONTINUATION) this.#leaveRings(1);
    }
    this.#resumed = false;
    this.#space = this.#countsOf(cpl);
    this.#function = -1;
  }

  #enterFunction(start: number, eip: number, esp: number): void {
    const { frames } = this.#chain;
    const { ring } = this.#space.space;
    let top = frames.at(-1);
    while (top && top.ring === ring && (esp > top.esp || (esp === top.esp && start !== top.start))) {
      frames.pop();
      top = frames.at(-1);
    }
    const goesOn = top?.ring === ring && top.start === start && !(eip === start && esp < top.esp);
    if (!goesOn) {
      const callees = top?.call.callees ?? this.#roots;
      const call = calleeIn(callees, this.#space.space, start === 0 ? eip : start);
      top = { call, start, ring, esp };
      frames.push(top);
    }
    this.#call = top!.call;
    this.#function = start;
    this.#top = top!.esp;
  }

  /** What was gathered until now. */
  profile(): Profile {
    this.#settle(this.#processor.clock.now);
    const places: ProfiledPlace[] = [];
    for (const { space, count, cycles } of this.#spaces.values()) {
      for (const [number, eip] of this.#eips.entries()) {
        if (cycles[number] || count[number])
          places.push({ space, eip, cycles: cycles[number]!, count: count[number]! });
      }
    }
    return {
      kind: "exact",
      cycles: this.#since - this.#startCycle,
      idle: this.#idle,
      instructions: this.#processor.instructions - this.#startInstructions,
      places,
      roots: this.#roots.values(),
    };
  }
}
