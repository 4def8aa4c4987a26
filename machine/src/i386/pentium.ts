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
import { type CodeCache, createCodeCache } from "./code-cache.ts";
import { createControlHandlers } from "./control.ts";
import { createCore, type ProcessorCore, type ProcessorObserver } from "./core.ts";
import { type CycleModel, type CycleModelName, cycleModels } from "./cycles.ts";
import { createDebugging, type Debugging, DebugStatus } from "./debugging.ts";
import { coldNumbers, createDecoder, type Decoder } from "./decoder.ts";
import { NO_ERROR_CODE, pendingFault } from "./fault.ts";
import { createFlags, type Flags } from "./flags.ts";
import { createFloatHandlers } from "./float.ts";
import { IF, RF, TF } from "./instruction.ts";
import { createIntegerHandlers } from "./integer.ts";
import { createInterpreter, FAULTED, type Handler, type Interpreter } from "./interpreter.ts";
import { Access, ControlBit, Field, Segment, Slot, Vector } from "./layout.ts";
import { createMemory, type Memory } from "./memory.ts";
import { createOperands } from "./operands.ts";
import { createPaging, type Paging } from "./paging.ts";
import { createPorts } from "./ports.ts";
import { assemblePriming, PRIMING_CODE, PRIMING_END } from "./priming.ts";
import { createSegments, type Descriptor, type Segments } from "./segments.ts";
import { Counter, describeCounters, type ProcessorStatistics } from "./statistics.ts";
import { createStringHandlers } from "./strings.ts";
import { createSystemHandlers } from "./system.ts";
import { instructions } from "./table.ts";
import { createTasks } from "./tasks.ts";
import { createTransfers } from "./transfers.ts";
import { createTraps, TrapKind, type Traps } from "./traps.ts";
import type { FloatingPointUnit } from "./x87/contract.ts";
import { createFloatingPointUnit } from "./x87/unit.ts";

export interface PentiumOptions {
  /** Name of a cycle model; `fast` when absent. */
  readonly cycleModel?: CycleModelName;
}

/** A segment register with its descriptor cache. */
export interface SegmentState {
  readonly selector: number;
  readonly base: number;
  /** Effective limit: last valid offset (expand-up). */
  readonly limit: number;
  /** High word of the descriptor without base bits (type, S, DPL, P, AVL, B, G). */
  readonly access: number;
  readonly usable: boolean;
}

const FLAT_CODE = 0x00cf_9b00;
const FLAT_DATA = 0x00cf_9300;
/**
 * Longest slice, in cycles, between two looks at the clock. Short, because a host that has optimised the interpreter meanwhile
 * uses the new code only when it is called again; 16,384 cycles cost less than a percent.
 */
const LONGEST_SLICE = 0x4000;

export class Pentium implements Processor {
  readonly clock: EventClock;
  readonly cycleModel: CycleModel;
  /** EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI. */
  readonly registers: Int32Array;
  readonly floatingPoint: FloatingPointUnit;
  /** For the debugger and tests: descriptor caches, translations, memory as the processor sees it. */
  readonly core: ProcessorCore;
  readonly memory: Memory;
  readonly paging: Paging;
  readonly segments: Segments;
  readonly debugging: Debugging;

  private readonly bus: Bus;
  private readonly s: Int32Array;
  /** For tests of the decoder. */
  readonly codeCache: CodeCache;
  private readonly flags: Flags;
  private readonly decoder: Decoder;
  private readonly interpreter: Interpreter;
  private readonly traps: Traps;
  private retiredBefore = 0;
  private stopReason: StopReason | null = null;
  /** Linear address whose host breakpoint is passed over once, so that a run can start on it. */
  private passBreakpoint = -1;
  /** Origin of the counted instructions and cycles, moved by `resetStatistics`. */
  private instructionOrigin = 0;
  private cycleOrigin = 0;

  constructor(bus: Bus, clock: EventClock, options: PentiumOptions = {}) {
    this.bus = bus;
    this.clock = clock;
    this.cycleModel = cycleModels[options.cycleModel ?? "fast"];
    const core = createCore(bus);
    this.core = core;
    this.s = core.s;
    this.registers = core.s.subarray(0, 8);
    const codeCache = createCodeCache(core);
    const paging = createPaging(core, codeCache, this.cycleModel);
    codeCache.onPagesChanged = paging.forgetWrites;
    const memory = createMemory(core, codeCache, paging);
    const segments = createSegments(core, memory);
    const flags = createFlags(core);
    const tasks = createTasks(core, memory, paging, segments, flags);
    const traps = createTraps(core, memory, segments, tasks, flags);
    const transfers = createTransfers(core, memory, segments, tasks, flags);
    const decoder = createDecoder(core, codeCache, paging, memory);
    const operands = createOperands(core, codeCache, memory);
    const ports = createPorts(core, memory);
    const debugging = createDebugging(core, memory, paging);
    this.floatingPoint = createFloatingPointUnit();
    const float = createFloatHandlers(core, codeCache, memory, operands, this.floatingPoint);
    const named: Record<string, Handler> = {
      ...createIntegerHandlers(core, codeCache, memory, flags, operands),
      ...createControlHandlers(
        ...([core, codeCache, memory, flags, operands, decoder, segments, transfers, traps] as const),
      ),
      ...createStringHandlers(core, codeCache, memory, paging, flags, operands, ports),
      ...createSystemHandlers(
        ...([core, codeCache, memory, paging, flags, operands, decoder, segments, ports, debugging] as const),
      ),
      fwait: float.wait,
      hostBreakpoint: (p) => this.atHostBreakpoint(p),
    };
    for (const row of instructions) {
      if (!row.twoByte && row.opcode >= 0xd8 && row.opcode <= 0xdf) named[row.operation] = float.escape;
    }
    const handlers: Handler[] = [];
    for (const [name, number] of coldNumbers) {
      const handler = named[name];
      if (handler === undefined)
        throw new Error(`operation "${name}" of the instruction table has no handler`);
      handlers[number] = handler;
    }
    this.codeCache = codeCache;
    this.paging = paging;
    this.memory = memory;
    this.segments = segments;
    this.flags = flags;
    this.traps = traps;
    this.decoder = decoder;
    this.debugging = debugging;
    this.interpreter = createInterpreter(core, codeCache, memory, flags, decoder, handlers);
    core.onDebugRegistersChanged = debugging.refresh;
    debugging.onWatchpoint = () => this.stopFor("breakpoint");
    clock.drivenBy({
      get now() {
        return core.now();
      },
      deadlineMoved: core.attention,
    });
    this.prime();
  }

  /** See priming.ts. Leaves the processor reset, at cycle 0, and RAM as it was. */
  private prime(): void {
    const { s, core } = this;
    const used = core.ram8.subarray(0, PRIMING_END);
    if (used.length === PRIMING_END) {
      const before = used.slice();
      used.fill(0);
      used.set(assemblePriming(), PRIMING_CODE);
      this.enterFlat(PRIMING_CODE);
      while (s[Slot.HALTED] === 0 && s[Slot.SHUTDOWN] === 0) this.execute(core.now(), LONGEST_SLICE);
      const failed = s[Slot.SHUTDOWN] !== 0;
      used.set(before);
      if (failed) throw new Error("the priming program of the interpreter faulted");
    }
    this.reset();
    core.counters.fill(0);
    core.time.fill(0);
    s[Slot.BUDGET] = 0;
    s[Slot.RETIRED] = 0;
    this.retiredBefore = 0;
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
    this.passBreakpoint = this.currentLinear();
    this.stopReason = null;
    for (;;) {
      const reason = this.boundary(untilCycle, LONGEST_SLICE);
      if (reason !== null) return reason;
    }
  }

  /** Exactly one instruction, repetition of a string instruction, or delivery; in HLT, the next event. */
  step(): StopReason | null {
    this.passBreakpoint = this.currentLinear();
    this.stopReason = null;
    return this.boundary(Number.MAX_SAFE_INTEGER, 1);
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
    if (shadow !== 0) slice = 1;
    s[Slot.SHADOW] = 0;
    if (s[Slot.CODE_BREAKPOINTS] !== 0) {
      slice = 1;
      const status = (eflags & RF) === 0 ? this.debugging.codeBreakpoints(this.currentLinear()) : 0;
      if (status !== 0) {
        this.debugging.report(status);
        this.deliver(Vector.DB, TrapKind.exception);
        return null;
      }
    }
    s[Slot.EFLAGS] = eflags & ~RF;
    const budget = Math.min(Math.ceil(Math.min(until, clock.nextCycle) - now), slice);
    if ((eflags & TF) === 0) this.execute(now, budget);
    else {
      const deliveries = s[Slot.DELIVERIES]!;
      this.execute(now, 1);
      if (deliveries === s[Slot.DELIVERIES]) s[Slot.DEBUG_PENDING] = s[Slot.DEBUG_PENDING]! | DebugStatus.BS;
    }
    return null;
  }

  /** Instructions for `budget` cycles, or until something asks for the run loop. */
  private execute(now: number, budget: number): void {
    const { s, core } = this;
    s[Slot.BUDGET] = budget;
    core.time[0] = now + budget;
    let p: number;
    try {
      p = this.decoder.locate(s[Slot.EIP]!);
    } catch (error) {
      if (error !== pendingFault) throw error;
      s[Slot.FETCHING] = 0;
      this.traps.deliverFault(s[Slot.EIP]!);
      return;
    }
    p = this.interpreter.execute(p);
    if (p === FAULTED) {
      let eip = s[Slot.EIP]!;
      if (s[Slot.FETCHING] !== 0) s[Slot.FETCHING] = 0;
      else {
        eip = this.decoder.eipOf(s[Slot.FAULT_RECORD]!);
        s[Slot.RETIRED] = s[Slot.RETIRED]! - 1;
      }
      this.traps.deliverFault(eip);
    } else s[Slot.EIP] = this.decoder.eipOf(p);
    this.retiredBefore += s[Slot.RETIRED]!;
    s[Slot.RETIRED] = 0;
  }

  private deliver(vector: number, kind: TrapKind): void {
    const { s } = this;
    try {
      this.traps.interrupt(vector, kind, NO_ERROR_CODE, s[Slot.EIP]!);
    } catch (error) {
      if (error !== pendingFault) throw error;
      s[Slot.EXTERNAL] = 0;
      s[Slot.FETCHING] = 0;
      this.traps.deliverFault(s[Slot.EIP]!);
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
    return null;
  }

  private stopFor(reason: StopReason): void {
    this.stopReason = reason;
    this.core.attention();
  }

  private atHostBreakpoint(p: number): number {
    const { s } = this;
    s[Slot.RETIRED] = s[Slot.RETIRED]! - 1;
    const linear = (this.decoder.eipOf(p) + s[Slot.BASE + Segment.CS]!) >>> 0;
    if (!this.decoder.breakpoints.has(linear) || linear === this.passBreakpoint) {
      this.passBreakpoint = -1;
      return p + Field.WORDS;
    }
    this.stopFor("breakpoint");
    return p;
  }

  // Host breakpoints: they never show in guest memory or registers.

  /** Stops in front of the instruction at a linear address. */
  addBreakpoint(linear: number): void {
    this.decoder.breakpoints.add(linear >>> 0);
    this.codeCache.dropAll();
  }

  removeBreakpoint(linear: number): void {
    this.decoder.breakpoints.delete(linear >>> 0);
    this.codeCache.dropAll();
  }

  // Registers.

  get eip(): number {
    return this.s[Slot.EIP]! >>> 0;
  }

  set eip(value: number) {
    this.s[Slot.EIP] = value;
  }

  get eflags(): number {
    return this.flags.read() >>> 0;
  }

  set eflags(value: number) {
    this.flags.write(value | 2);
    this.memory.updateAlignmentCheck();
  }

  get interruptsEnabled(): boolean {
    return (this.s[Slot.EFLAGS]! & IF) !== 0;
  }

  get cpl(): number {
    return this.s[Slot.CPL]!;
  }

  get cr0(): number {
    return this.s[Slot.CR0]! >>> 0;
  }

  set cr0(value: number) {
    this.s[Slot.CR0] = value | ControlBit.CR0_PE | ControlBit.CR0_ET;
    this.paging.flush();
    this.memory.updateAlignmentCheck();
  }

  get cr2(): number {
    return this.s[Slot.CR2]! >>> 0;
  }

  set cr2(value: number) {
    this.s[Slot.CR2] = value;
  }

  get cr3(): number {
    return this.s[Slot.CR3]! >>> 0;
  }

  set cr3(value: number) {
    this.s[Slot.CR3] = value;
    this.paging.flush();
  }

  get cr4(): number {
    return this.s[Slot.CR4]! >>> 0;
  }

  set cr4(value: number) {
    this.s[Slot.CR4] = value;
    this.paging.flush();
  }

  debugRegister(number: number): number {
    return this.s[Slot.DR0 + number]! >>> 0;
  }

  setDebugRegister(number: number, value: number): void {
    this.s[Slot.DR0 + number] = value;
    this.debugging.refresh();
  }

  get gdtr(): { base: number; limit: number } {
    return { base: this.s[Slot.GDT_BASE]! >>> 0, limit: this.s[Slot.GDT_LIMIT]! };
  }

  set gdtr(value: { base: number; limit: number }) {
    this.s[Slot.GDT_BASE] = value.base;
    this.s[Slot.GDT_LIMIT] = value.limit;
  }

  get idtr(): { base: number; limit: number } {
    return { base: this.s[Slot.IDT_BASE]! >>> 0, limit: this.s[Slot.IDT_LIMIT]! };
  }

  set idtr(value: { base: number; limit: number }) {
    this.s[Slot.IDT_BASE] = value.base;
    this.s[Slot.IDT_LIMIT] = value.limit;
  }

  /** Segment register `number` (see `Segment`; 6 is LDTR, 7 is TR) with its cache. */
  segment(number: number): SegmentState {
    const { s } = this;
    const access = s[Slot.ACCESS + number]!;
    return {
      selector: s[Slot.SELECTOR + number]!,
      base: s[Slot.BASE + number]! >>> 0,
      limit: s[Slot.LIMIT + number]! >>> 0,
      access: access & ~Access.USABLE,
      usable: (access & Access.USABLE) !== 0,
    };
  }

  /** Loads a selector and its cache from the descriptor tables, without checks of privilege; CS sets CPL to its RPL. */
  loadSegment(number: number, selector: number): void {
    const descriptor: Descriptor = { low: 0, high: 0 };
    if ((selector & 0xfffc) === 0) this.segments.setNull(number, selector);
    else if (!this.segments.fetch(selector, descriptor)) {
      throw new RangeError(`selector ${selector.toString(16)} lies outside its descriptor table`);
    } else this.segments.set(number, selector, descriptor.low, descriptor.high);
    if (number === Segment.CS) this.core.setCpl(selector & 3);
    this.memory.updateAlignmentCheck();
  }

  /** Everything that the future of a run depends on, lazy flags resolved: equal for equal machines. */
  stateWords(): Int32Array {
    const { s } = this;
    const { data, large, code } = this.paging.banks;
    const unit = this.floatingPoint.save();
    const unitWords = new Int32Array(Math.ceil(unit.length / 4));
    new Uint8Array(unitWords.buffer).set(unit);
    return Int32Array.of(
      ...this.registers,
      this.eip,
      this.eflags,
      ...s.subarray(Slot.BASE, Slot.DR0 + 8),
      ...[Slot.CPL, Slot.SHADOW, Slot.DEBUG_PENDING, Slot.HALTED, Slot.SHUTDOWN].map((slot) => s[slot]!),
      ...[Slot.INTERRUPT_LINE, Slot.REPEATING].map((slot) => s[slot]!),
      ...unitWords,
      ...data.save(),
      ...large.save(),
      ...code.save(),
    );
  }

  // Observation.

  /** Null when nobody listens; see `ProcessorObserver`. */
  get observer(): ProcessorObserver | null {
    return this.core.observer;
  }

  set observer(observer: ProcessorObserver | null) {
    this.core.observer = observer;
  }

  /** A copy of the counters as they are now. */
  statistics(): ProcessorStatistics {
    const now = this.core.now();
    this.bookRing(now);
    return describeCounters(
      this.core.counters,
      this.instructions - this.instructionOrigin,
      now - this.cycleOrigin,
    );
  }

  /** Counting starts again from zero; time and retired instructions go on. */
  resetStatistics(): void {
    const now = this.core.now();
    this.bookRing(now);
    this.core.counters.fill(0);
    this.instructionOrigin = this.instructions;
    this.cycleOrigin = now;
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
