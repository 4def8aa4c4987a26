/**
 * The 8254 programmable interval timer: three 16-bit counters on a 1.193182 MHz crystal. Counter 0 drives interrupt
 * line 0, counter 1 is the memory refresh of old, counter 2 has its gate and output at port 0x61.
 * Source: Intel 8254 data sheet (231164). All six modes, binary and BCD, counter latch and read-back.
 *
 *   0x40-0x42  counters          0x43  control word (write only)
 *
 * Nothing runs between accesses: count and output are functions of the tick, and counter 0 asks the clock for its
 * next output edge only. `start` is the tick at which the counter held its whole count, one after the write.
 */
import type { Clock, ClockEvent } from "../contract.ts";
import { Oscillator } from "./oscillator.ts";
import type { BytePortDevice, DeviceState, InterruptLine, StatefulDevice } from "./ports.ts";
import { eventState, StateError, StateReader } from "./state-reader.ts";

/** 14.31818 MHz / 12, that crystal being 315/22 MHz. */
const CRYSTAL_HERTZ = 13_125_000;
const CRYSTAL_DIVISOR = 11;

const LOW_BYTE = 1;
const HIGH_BYTE = 2;
const BOTH_BYTES = 3;

function fromBcd(value: number): number {
  return (value >> 12) * 1000 + ((value >> 8) & 15) * 100 + ((value >> 4) & 15) * 10 + (value & 15);
}

function toBcd(value: number): number {
  const digits = [
    Math.floor(value / 1000) % 10,
    Math.floor(value / 100) % 10,
    Math.floor(value / 10) % 10,
    value % 10,
  ];
  return digits.reduce((bcd, digit) => (bcd << 4) | digit, 0);
}

class Counter {
  mode = 3;
  access = BOTH_BYTES;
  bcd = false;
  gate = true;
  /** Period or initial count, 1 to 65536. */
  reload = 0x10000;
  start = 0;
  /** A count has been written since the control word (modes 1 and 5: and the gate has risen). */
  running = false;
  /** Ticks counted when the gate went low in modes 0 and 4. */
  frozen: number | undefined;
  /** Modes 2 and 3: a new period waits for `replacedAt`. */
  replacement: number | undefined;
  replacedAt = 0;
  /** First byte of a two-byte write. */
  written: number | undefined;
  readHigh = false;
  latchedCount: number | undefined;
  latchedStatus: number | undefined;

  get #modulus(): number {
    return this.bcd ? 10_000 : 0x10000;
  }

  #settle(tick: number): void {
    if (this.replacement === undefined || tick < this.replacedAt) return;
    const highHalfEnded = this.mode === 3 && this.#phase(this.replacedAt - 1) < this.#highTicks();
    this.reload = this.replacement;
    this.start = highHalfEnded ? this.replacedAt - this.#highTicks() : this.replacedAt;
    this.replacement = undefined;
  }

  #phase(tick: number): number {
    return (tick - this.start) % this.reload;
  }

  #highTicks(): number {
    return Math.ceil(this.reload / 2);
  }

  #elapsed(tick: number): number {
    return this.frozen ?? tick - this.start;
  }

  output(tick: number): boolean {
    this.#settle(tick);
    const elapsed = this.#elapsed(tick);
    switch (this.mode) {
      case 0:
        return this.running && elapsed >= this.reload;
      case 1:
        return !this.running || elapsed < 0 || elapsed >= this.reload;
      case 2:
        return !this.running || !this.gate || elapsed < 0 || this.#phase(tick) !== this.reload - 1;
      case 3:
        return !this.running || !this.gate || elapsed < 0 || this.#phase(tick) < this.#highTicks();
      default:
        return !this.running || elapsed !== this.reload;
    }
  }

  /** The first tick after `tick` at which the output changes, or undefined when it stays. */
  nextEdge(tick: number): number | undefined {
    this.#settle(tick);
    if (!this.running || this.frozen !== undefined) return undefined;
    const zero = this.start + this.reload;
    switch (this.mode) {
      case 0:
        return tick < zero ? zero : undefined;
      case 1:
        return tick < this.start ? this.start : tick < zero ? zero : undefined;
      case 2:
      case 3: {
        if (!this.gate) return undefined;
        const low = this.mode === 2 ? this.reload - 1 : this.#highTicks();
        if (tick < this.start) return this.start + low;
        const base = tick - this.#phase(tick);
        return tick < base + low ? base + low : base + this.reload;
      }
      default:
        return tick < zero ? zero : tick === zero ? zero + 1 : undefined;
    }
  }

  count(tick: number): number {
    this.#settle(tick);
    const elapsed = Math.max(0, this.#elapsed(tick));
    let value: number;
    if (!this.running) value = this.reload;
    else if (this.mode === 2) value = this.reload - (elapsed % this.reload);
    else if (this.mode === 3) {
      const phase = elapsed % this.reload;
      const half = this.#highTicks();
      value = (this.reload & ~1) - 2 * (phase < half ? phase : phase - half);
    } else value = this.reload - elapsed;
    const modulus = this.#modulus;
    const wrapped = ((value % modulus) + modulus) % modulus;
    return this.bcd ? toBcd(wrapped) : wrapped;
  }

  status(tick: number): number {
    const output = this.output(tick);
    const nullCount = !this.running || tick < this.start || this.replacement !== undefined;
    return (
      (output ? 0x80 : 0) |
      (nullCount ? 0x40 : 0) |
      (this.access << 4) |
      (this.mode << 1) |
      (this.bcd ? 1 : 0)
    );
  }

  control(value: number): void {
    this.access = (value >> 4) & 3;
    const mode = (value >> 1) & 7;
    this.mode = mode > 5 ? mode & 3 : mode;
    this.bcd = (value & 1) !== 0;
    this.running = false;
    this.frozen = undefined;
    this.replacement = undefined;
    this.written = undefined;
    this.readHigh = false;
    this.latchedCount = undefined;
    this.latchedStatus = undefined;
  }

  write(tick: number, value: number): void {
    if (this.access === LOW_BYTE) this.#load(tick, value);
    else if (this.access === HIGH_BYTE) this.#load(tick, value << 8);
    else if (this.written === undefined) {
      this.written = value;
      // Mode 0: the first byte stops the counting and drops the output.
      if (this.mode === 0) this.running = false;
    } else {
      const low = this.written;
      this.written = undefined;
      this.#load(tick, low | (value << 8));
    }
  }

  #load(tick: number, written: number): void {
    const value = this.bcd ? fromBcd(written) : written;
    // Period 1 is not allowed in modes 2 and 3; the shortest that can be counted takes its place.
    const smallest = this.mode === 2 || this.mode === 3 ? 2 : 1;
    const reload = value === 0 ? this.#modulus : Math.max(value, smallest);
    if ((this.mode === 2 || this.mode === 3) && this.running && this.gate && tick >= this.start) {
      this.#settle(tick);
      const phase = this.#phase(tick);
      const half = this.#highTicks();
      const end = this.mode === 3 && phase < half ? half : this.reload;
      this.replacement = reload;
      this.replacedAt = tick - phase + end;
      return;
    }
    this.reload = reload;
    if (this.mode === 1 || this.mode === 5) return; // the gate starts it
    this.start = tick + 1;
    this.running = true;
    this.frozen = this.gate || this.mode === 2 || this.mode === 3 ? undefined : 0;
  }

  setGate(tick: number, gate: boolean): void {
    if (gate === this.gate) return;
    this.#settle(tick);
    if (this.mode === 0 || this.mode === 4) {
      if (!gate) this.frozen = Math.max(0, tick - this.start);
      else if (this.frozen !== undefined) {
        this.start = tick - this.frozen;
        this.frozen = undefined;
      }
    } else if (gate) {
      if (this.mode === 1 || this.mode === 5) this.running = true;
      if (this.replacement !== undefined) this.reload = this.replacement;
      this.replacement = undefined;
      this.start = tick + 1;
    }
    this.gate = gate;
  }

  latch(tick: number): void {
    this.latchedCount ??= this.count(tick);
  }

  read(tick: number): number {
    if (this.latchedStatus !== undefined) {
      const status = this.latchedStatus;
      this.latchedStatus = undefined;
      return status;
    }
    const count = this.latchedCount ?? this.count(tick);
    const high = this.access === HIGH_BYTE || (this.access === BOTH_BYTES && this.readHigh);
    if (this.access === BOTH_BYTES) this.readHigh = !this.readHigh;
    if (this.access !== BOTH_BYTES || high) this.latchedCount = undefined;
    return high ? count >> 8 : count & 0xff;
  }

  state(): DeviceState {
    const optional = (value: number | undefined) => value ?? null;
    return {
      mode: this.mode,
      access: this.access,
      flags: [this.bcd, this.gate, this.running, this.readHigh],
      reload: this.reload,
      start: this.start,
      frozen: optional(this.frozen),
      replacement: [optional(this.replacement), this.replacedAt],
      pending: [optional(this.written), optional(this.latchedCount), optional(this.latchedStatus)],
    };
  }

  /** Checks all, then returns what takes it over. */
  readState(state: StateReader): () => void {
    const mode = state.number("mode", 5);
    const access = state.number("access", 3);
    const [bcd, gate, running, readHigh] = state.flags("flags", 4);
    const reload = state.number("reload", 0x10000);
    // A gate that rose may have started a count of which not one tick is over, at tick -1 at the earliest.
    const start = state.integer("start");
    const frozen = state.optionalNumber("frozen");
    const [replacement, replacedAt] = state.optionalNumbers("replacement", 0x10000, Number.MAX_SAFE_INTEGER);
    const [written, count, status] = state.optionalNumbers("pending", 0xff, 0xffff, 0xff);
    const periodic = mode === 2 || mode === 3;
    const shortest = periodic ? 2 : 1;
    if (running && (reload < shortest || (replacement !== undefined && replacement < shortest)))
      throw new StateError("timer", `a period of less than ${shortest} ticks in mode ${mode}`);
    return () => {
      this.mode = mode;
      this.access = access;
      this.bcd = bcd!;
      this.gate = gate!;
      this.running = running!;
      this.readHigh = readHigh!;
      this.reload = reload;
      this.start = start;
      this.frozen = frozen;
      this.replacement = replacement;
      this.replacedAt = replacedAt ?? 0;
      this.written = written;
      this.latchedCount = count;
      this.latchedStatus = status;
    };
  }
}

export class IntervalTimer implements BytePortDevice, StatefulDevice {
  readonly #oscillator: Oscillator;
  readonly #line: InterruptLine;
  readonly #counters: readonly Counter[] = [new Counter(), new Counter(), new Counter()];
  #edge: ClockEvent | undefined;
  #edgeTick = 0;

  /** `line` is the output of counter 0. */
  constructor(clock: Clock, line: InterruptLine) {
    this.#oscillator = new Oscillator(clock, CRYSTAL_HERTZ, CRYSTAL_DIVISOR);
    this.#line = line;
    this.#counters[2]!.gate = false;
  }

  /** Ticks of the 1.193182 MHz crystal since reset. */
  get ticks(): number {
    return this.#oscillator.now;
  }

  get speakerGate(): boolean {
    return this.#counters[2]!.gate;
  }

  set speakerGate(gate: boolean) {
    this.#counters[2]!.setGate(this.ticks, gate);
  }

  get speakerOutput(): boolean {
    return this.#counters[2]!.output(this.ticks);
  }

  readByte(port: number): number {
    const counter = this.#counters[port & 3];
    return counter ? counter.read(this.ticks) : 0xff;
  }

  writeByte(port: number, value: number): void {
    const tick = this.ticks;
    if ((port & 3) !== 3) {
      this.#counters[port & 3]!.write(tick, value);
      if ((port & 3) === 0) this.#follow(tick);
    } else if (value >> 6 === 3) this.#readBack(tick, value);
    else {
      const counter = this.#counters[value >> 6]!;
      if (((value >> 4) & 3) === 0) counter.latch(tick);
      else counter.control(value);
      if (value >> 6 === 0) this.#follow(tick);
    }
  }

  #readBack(tick: number, value: number): void {
    this.#counters.forEach((counter, i) => {
      if (!(value & (2 << i))) return;
      if (!(value & 0x10)) counter.latchedStatus ??= counter.status(tick);
      if (!(value & 0x20)) counter.latch(tick);
    });
  }

  /** Puts counter 0's output on its line and asks for its next change. */
  #follow(tick: number): void {
    const counter = this.#counters[0]!;
    const clock = this.#oscillator.clock;
    if (this.#edge) clock.cancel(this.#edge);
    this.#line.set(counter.output(tick));
    const next = counter.nextEdge(tick);
    this.#edge = undefined;
    if (next === undefined) return;
    this.#edgeTick = next;
    this.#edge = clock.schedule(this.#oscillator.cycleOf(next), () => this.#reachEdge());
  }

  /** An instruction may outlast a low pulse: every edge that has passed is shown to the line in order. */
  #reachEdge(): void {
    this.#edge = undefined;
    const counter = this.#counters[0]!;
    const now = this.ticks;
    let tick = this.#edgeTick;
    for (
      let next = counter.nextEdge(tick);
      next !== undefined && next <= now;
      next = counter.nextEdge(tick)
    ) {
      this.#line.set(counter.output(tick));
      tick = next;
    }
    this.#follow(tick);
  }

  state(): DeviceState {
    return {
      counters: this.#counters.map((counter) => counter.state()),
      nextEdge: this.#edge ? this.#edgeTick : null,
      edge: eventState(this.#edge),
    };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "timer");
    const { clock } = this.#oscillator;
    const restore = reader.objects("counters", 3).map((each, i) => this.#counters[i]!.readState(each));
    const tick = reader.optionalNumber("nextEdge");
    const edge = reader.event("edge", clock.now);
    if ((tick === undefined) !== (edge === undefined))
      throw new StateError("timer", "an edge without its event");
    if (tick !== undefined && edge && this.#oscillator.cycleOf(tick) !== edge.cycle)
      throw new StateError("timer", "an edge at another cycle than its tick's");
    for (const each of restore) each();
    this.#edgeTick = tick ?? 0;
    this.#edge = edge && clock.resume(edge, () => this.#reachEdge());
  }
}
