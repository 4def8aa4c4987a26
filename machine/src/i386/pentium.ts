/**
 * The Pentium: what the board constructs and drives. This file holds the run loop (events, interrupts, debug traps, HLT) and the
 * view of the registers for loaders, debuggers and tests; the parts are built in the constructor and described in their files.
 *
 * 32-bit protected mode only: reset leaves the processor as a multiboot loader does (flat segments, paging off, interrupts off). Real
 * mode, virtual-8086 mode, 16-bit code and stack segments and 16-bit TSSs are not supported.
 *
 * Order at every instruction boundary (manual, volume 3, table 14-1): events of the clock, debug traps of the instruction before,
 * hardware interrupts, instruction breakpoints, then the instruction. The result of a run does not depend on how it is cut into
 * calls of `run` and `step`.
 */

import type { EventClock } from "../clock.ts";
import type { Bus, Processor, StopReason } from "../contract.ts";
import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore, ProcessorObserver } from "./core.ts";
import { type CycleModel, type CycleModelName, cycleModels } from "./cycles.ts";
import { type Debugging, DebugStatus } from "./debugging.ts";
import type { Engine } from "./engine.ts";
import { NO_ERROR_CODE, pendingFault } from "./fault.ts";
import { IF, RF, TF } from "./instruction.ts";

import { DELIVERED, FAULTED } from "./interpreter.ts";
import { type CompilerOptions, createCompiler, type HotCodeCompiler } from "./jit/compiler.ts";
import { ControlBit, Field, Segment, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Paging } from "./paging.ts";
import { createParts } from "./parts.ts";
import type { InstructionWatcher } from "./probe.ts";
import { type ProcessorState, prepareProcessor, readProcessor } from "./processor-state.ts";
import { RegisterView } from "./register-view.ts";
import type { Segments } from "./segments.ts";
import { Counter, describeCounters, type ProcessorStatistics } from "./statistics.ts";
import { TrapKind } from "./traps.ts";
import type { FloatingPointUnit } from "./x87/contract.ts";

export interface PentiumOptions {
  /** Name of a cycle model; `fast` when absent. */
  readonly cycleModel?: CycleModelName;
  /** How hot code is compiled; null or absent: all is interpreted. */
  readonly compiler?: CompilerOptions | null;
}

const FLAT_CODE = 0x00cf_9b00;
const FLAT_DATA = 0x00cf_9300;
/**
 * Longest slice, in cycles, between two looks at the clock. Short, because a host that has optimised the engine meanwhile uses the new code
 * only when it is called again; 16,384 cycles cost less than a percent.
 */
const LONGEST_SLICE = 0x4000;

export class Pentium extends RegisterView implements Processor {
  readonly clock: EventClock;
  readonly cycleModel: CycleModel;
  readonly floatingPoint: FloatingPointUnit;
  /** For the debugger and tests: descriptor caches, translations, memory as the processor sees it. */
  readonly core: ProcessorCore;
  readonly memory: Memory;
  readonly paging: Paging;
  readonly segments: Segments;
  readonly debugging: Debugging;
  readonly codeCache: CodeCache;
  readonly engine: Engine;
  /** Null when all code is interpreted. */
  readonly compiler: HotCodeCompiler | null;

  private readonly bus: Bus;
  private retiredBefore = 0;
  private stopReason: StopReason | null = null;
  /** Whether the last boundary led to an instruction or a delivery. */
  private progressed = true;
  /** Linear address whose host breakpoint is passed over once, so that a run can start on it. */
  private passBreakpoint = -1;
  /** The last run ended at its cycle: nobody was told of a breakpoint where it ended. */
  private cut = false;
  /** Origin of the counted instructions and cycles, moved by `resetStatistics`. */
  private instructionOrigin = 0;
  private cycleOrigin = 0;

  constructor(bus: Bus, clock: EventClock, options: PentiumOptions = {}) {
    const cycleModel = cycleModels[options.cycleModel ?? "fast"];
    const parts = createParts(bus, cycleModel, (p) => this.atHostBreakpoint(p));
    super(parts);
    this.bus = bus;
    this.clock = clock;
    this.cycleModel = cycleModel;
    const { core, codeCache, paging, memory, segments, debugging, floatingPoint } = parts;
    this.core = core;
    this.codeCache = codeCache;
    this.engine = parts.engine;
    this.paging = paging;
    this.memory = memory;
    this.segments = segments;
    this.debugging = debugging;
    this.floatingPoint = floatingPoint;
    debugging.onWatchpoint = () => this.stopFor("breakpoint");
    clock.drivenBy({
      get now() {
        return core.now();
      },
      deadlineMoved: core.attention,
    });
    this.compiler = options.compiler == null ? null : createCompiler(parts, options.compiler);
    this.reset();
    core.counters.fill(0);
  }

  /** Registers as a multiboot loader leaves them; time, counters and memory are not touched. */
  reset(): void {
    const { s } = this;
    const budget = s[Slot.BUDGET]!;
    s.fill(0);
    s[Slot.BUDGET] = budget;
    s[Slot.EFLAGS] = 2;
    s[Slot.CR0] = ControlBit.CR0_PE | ControlBit.CR0_ET;
    s[Slot.DR6] = 0xffff_0ff0;
    s[Slot.DR7] = 0x400;
    this.core.setCpl(0);
    this.segments.set(Segment.CS, 0x08, 0xffff, FLAT_CODE | 0xf_0000);
    for (const segment of [Segment.SS, Segment.DS, Segment.ES, Segment.FS, Segment.GS]) {
      this.segments.set(segment, 0x10, 0xffff, FLAT_DATA | 0xf_0000);
    }
    this.paging.flush();
    this.codeCache.dropAll();
    this.floatingPoint.reset();
    this.parts.timing?.reset();
    this.debugging.refresh();
  }

  /** Where a multiboot loader leaves the processor: reset, then entry point and registers by name. */
  enterFlat(entry: number, registers: { readonly eax?: number; readonly ebx?: number } = {}): void {
    this.reset();
    this.eip = entry;
    this.s[Slot.EAX] = registers.eax ?? 0;
    this.s[Slot.EBX] = registers.ebx ?? 0;
  }

  // Running.

  /** Level of the INTR pin. */
  get interruptLine(): boolean {
    return this.s[Slot.INTERRUPT_LINE] !== 0;
  }

  set interruptLine(level: boolean) {
    this.s[Slot.INTERRUPT_LINE] = level ? 1 : 0;
    if (level && (this.s[Slot.EFLAGS]! & IF) !== 0) this.core.attention();
  }

  get instructions(): number {
    return this.retiredBefore + this.s[Slot.RETIRED]!;
  }

  run(untilCycle: number): StopReason {
    this.passBreakpoint = this.cut ? -1 : this.currentLinear();
    this.stopReason = null;
    for (;;) {
      const reason = this.boundary(untilCycle, LONGEST_SLICE);
      if (reason === null) continue;
      this.cut = reason === "cycle";
      return reason;
    }
  }

  /** Exactly one instruction, repetition of a string instruction, or delivery; in HLT, the next event. */
  step(): StopReason | null {
    this.cut = false;
    this.passBreakpoint = this.currentLinear();
    this.stopReason = null;
    for (;;) {
      this.progressed = true;
      const reason = this.boundary(Number.MAX_SAFE_INTEGER, 1);
      if (reason !== null || this.progressed) return reason;
    }
  }

  stop(): void {
    this.stopFor("stopped");
  }

  /** What happens between two instructions, then instructions for at most `longest` cycles. */
  private boundary(until: number, longest: number): StopReason | null {
    const { s, core, clock } = this;
    let now = core.now();
    if (now >= clock.nextCycle) {
      clock.fireDue();
      now = core.now();
    }
    if (this.stopReason !== null) return this.stopReason;
    if (s[Slot.SHUTDOWN] !== 0) return "shutdown";
    if (now >= until) return "cycle";

    const shadow = s[Slot.SHADOW]!;
    if (s[Slot.DEBUG_PENDING] !== 0 && shadow !== 2) {
      s[Slot.HALTED] = 0;
      this.debugging.report(s[Slot.DEBUG_PENDING]!);
      s[Slot.DEBUG_PENDING] = 0;
      this.deliver(Vector.DB, TrapKind.exception);
      return null;
    }
    if (s[Slot.INTERRUPT_LINE] !== 0 && shadow === 0 && (s[Slot.EFLAGS]! & IF) !== 0) {
      s[Slot.HALTED] = 0;
      this.deliver(this.bus.acknowledgeInterrupt(), TrapKind.hardware);
      return null;
    }
    if (s[Slot.HALTED] !== 0) return this.waitForEvent(now, until);

    const eflags = s[Slot.EFLAGS]!;
    let slice = longest;
    if (shadow !== 0 || (eflags & TF) !== 0) slice = 1;
    if (s[Slot.CODE_BREAKPOINTS] !== 0) {
      slice = 1;
      const status = (eflags & RF) === 0 ? this.debugging.codeBreakpoints(this.currentLinear()) : 0;
      if (status !== 0) {
        s[Slot.SHADOW] = 0;
        this.debugging.report(status);
        this.deliver(Vector.DB, TrapKind.exception);
        return null;
      }
    }
    const deliveries = s[Slot.DELIVERIES]!;
    s[Slot.SHADOW] = 0;
    s[Slot.EFLAGS] = eflags & ~RF;
    this.progressed = this.execute(now, Math.min(Math.ceil(Math.min(until, clock.nextCycle) - now), slice));
    if (!this.progressed) {
      // Only the way to the instruction was found, and cost time: what holds for the instruction holds still.
      s[Slot.SHADOW] = shadow;
      s[Slot.EFLAGS] = s[Slot.EFLAGS]! | (eflags & RF);
    } else if ((eflags & TF) !== 0 && deliveries === s[Slot.DELIVERIES]) {
      s[Slot.DEBUG_PENDING] = s[Slot.DEBUG_PENDING]! | DebugStatus.BS;
    }
    return null;
  }

  /**
   * Instructions for `budget` cycles, or until something asks for the run loop. False when none ran: a TLB miss on the way to the
   * first one took the cycles. Events that became due meanwhile come first, as they would in the middle of a slice.
   */
  private execute(now: number, budget: number): boolean {
    const { s, core } = this;
    s[Slot.BUDGET] = budget;
    s[Slot.PARTIAL] = 0;
    core.time[0] = now + budget;
    let p: number;
    try {
      p = this.parts.decoder.locate(s[Slot.EIP]!);
    } catch (error) {
      if (error !== pendingFault) throw error;
      s[Slot.FETCHING] = 0;
      this.parts.traps.deliverFault(s[Slot.EIP]!);
      return true;
    }
    if (s[Slot.BUDGET]! <= 0) return false;
    p = this.parts.interpreter.execute(p);
    if (p === FAULTED && s[Slot.FAULT_RECORD] === DELIVERED) s[Slot.FAULT_RECORD] = 0;
    else if (p === FAULTED) {
      let eip = s[Slot.EIP]!;
      if (s[Slot.FETCHING] !== 0) s[Slot.FETCHING] = 0;
      else {
        eip = this.parts.decoder.eipOf(s[Slot.FAULT_RECORD]!);
        s[Slot.RETIRED] = s[Slot.RETIRED]! - 1;
      }
      this.parts.traps.deliverFault(eip);
      s[Slot.PARTIAL] = 1;
    } else s[Slot.EIP] = this.parts.decoder.eipOf(p);
    const retired = s[Slot.RETIRED]!;
    this.retiredBefore += retired;
    s[Slot.RETIRED] = 0;
    return retired !== 0 || s[Slot.PARTIAL] !== 0;
  }

  private deliver(vector: number, kind: TrapKind): void {
    const { s } = this;
    try {
      this.parts.traps.interrupt(vector, kind, NO_ERROR_CODE, s[Slot.EIP]!);
    } catch (error) {
      if (error !== pendingFault) throw error;
      s[Slot.EXTERNAL] = 0;
      s[Slot.FETCHING] = 0;
      this.parts.traps.deliverFault(s[Slot.EIP]!);
    }
  }

  /** HLT: time passes to the next event. */
  private waitForEvent(now: number, until: number): StopReason | null {
    const { s, core } = this;
    if ((s[Slot.EFLAGS]! & IF) === 0) return "halted";
    const next = this.clock.nextCycle;
    if (next === Number.POSITIVE_INFINITY) return "halted";
    const target = Math.ceil(Math.min(next, until));
    this.bookRing(now);
    core.counters[Counter.CYCLES_IDLE] = core.counters[Counter.CYCLES_IDLE]! + target - now;
    s[Slot.BUDGET] = 0;
    core.time[0] = target;
    core.time[1] = target;
    core.observer?.idle?.(now, target);
    return null;
  }

  private stopFor(reason: StopReason): void {
    this.stopReason = reason;
    this.core.attention();
  }

  private atHostBreakpoint(p: number): number {
    const { s } = this;
    s[Slot.RETIRED] = s[Slot.RETIRED]! - 1;
    const linear = (this.parts.decoder.eipOf(p) + s[Slot.BASE + Segment.CS]!) >>> 0;
    if (!this.parts.decoder.breakpoints.has(linear) || linear === this.passBreakpoint) {
      this.passBreakpoint = -1;
      return p + Field.WORDS;
    }
    this.stopFor("breakpoint");
    return p;
  }

  // Host breakpoints: they never show in guest memory or registers.

  /** Stops in front of the instruction at a linear address. */
  addBreakpoint(linear: number): void {
    this.parts.decoder.breakpoints.add(linear >>> 0);
    this.codeCache.dropAll();
  }

  removeBreakpoint(linear: number): void {
    this.parts.decoder.breakpoints.delete(linear >>> 0);
    this.codeCache.dropAll();
  }

  // Observation.

  /** Null when nobody listens; see `ProcessorObserver`. */
  get observer(): ProcessorObserver | null {
    return this.core.observer;
  }

  set observer(observer: ProcessorObserver | null) {
    this.core.observer = observer;
  }

  /** Null when nobody watches instructions; see probe.ts. */
  get watcher(): InstructionWatcher | null {
    return this.parts.probes.watcher;
  }

  set watcher(watcher: InstructionWatcher | null) {
    this.parts.probes.watcher = watcher;
    this.parts.decoder.probeAt = watcher && ((eip) => watcher.numberOf(eip));
    this.codeCache.dropAll();
  }

  /** A copy of the counters as they are now. */
  statistics(): ProcessorStatistics {
    const now = this.core.now();
    this.bookRing(now);
    return describeCounters(
      this.core.counters,
      this.instructions - this.instructionOrigin,
      now - this.cycleOrigin,
      this.parts.timing?.counters,
    );
  }

  /** Counting starts again from zero; time and retired instructions go on. */
  resetStatistics(): void {
    const now = this.core.now();
    this.bookRing(now);
    this.core.counters.fill(0);
    this.parts.timing?.clearCounters();
    this.instructionOrigin = this.instructions;
    this.cycleOrigin = now;
  }

  /** For snapshots; see processor-state.ts. */
  state(): ProcessorState {
    const { instructions, instructionOrigin, cycleOrigin } = this;
    return readProcessor(this.parts, { instructions, instructionOrigin, cycleOrigin });
  }

  /** Checks a state whole, then returns what takes it over: RAM must follow. Throws `StateError`. */
  prepareState(state: unknown): () => void {
    const restore = prepareProcessor(this.parts, state);
    return () => {
      const tally = restore();
      this.retiredBefore = tally.instructions;
      this.instructionOrigin = tally.instructionOrigin;
      this.cycleOrigin = tally.cycleOrigin;
      this.stopReason = null;
      this.cut = false;
    };
  }

  /** Physical address behind a linear one, or -1; touches neither TLB nor accessed bits. */
  physicalOf(linear: number): number {
    return this.paging.peek(linear | 0);
  }

  /** The host changed RAM: what was decoded from it is dropped. */
  memoryChanged(address: number, bytes: number): void {
    for (let page = address >>> 12; page <= (address + bytes - 1) >>> 12; page++) {
      const first = Math.max(address, page * 4096);
      const last = Math.min(address + bytes, (page + 1) * 4096);
      this.codeCache.written(first, last - first);
    }
  }

  private bookRing(now: number): void {
    const { counters, time } = this.core;
    const index = Counter.CYCLES_BY_RING + this.s[Slot.CPL]!;
    counters[index] = counters[index]! + now - time[1]!;
    time[1] = now;
  }

  private currentLinear(): number {
    return (this.s[Slot.EIP]! + this.s[Slot.BASE + Segment.CS]!) >>> 0;
  }
}
