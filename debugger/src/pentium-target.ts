/**
 * The Pentium board as GDB's target, with Rialto's threads when the kernel is Rialto's.
 *
 * The host runs the board through `run`, in slices; between two of them the session may hold it. Everything that the debugger does
 * happens between two instructions and leaves time, caches and TLBs of the guest alone: a debugged run counts the same
 * cycles as any other.
 *
 * Breakpoints. An address means what it means to the code that runs: a breakpoint stops where EIP has that value, in whichever
 * segment, so that one breakpoint in an image stops it in a process and in the kernel. The processor compares linear
 * addresses: a breakpoint is one at address + base for every base that code may run with (those of the descriptor table now,
 * and `bases`), and a stop at which EIP is another one is passed over. Watchpoints are treated the same way, with the data segment.
 *
 * Going back. With a history (machine/src/history) the run can be gone back in. Backwards, a breakpoint stops at its instruction like
 * forwards; a watchpoint stops before the instruction that made the access, where the memory is what it was.
 *
 * While all threads wait, and before there are threads, the processor is a thread of its own (`PROCESSOR_THREAD`).
 */

import type { PcEnd, PcStop, PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { History, type HistoryOptions, type Place } from "@rialto/machine/history/history.ts";
import type { Watchpoint } from "@rialto/machine/i386/debugging.ts";
import { Segment } from "@rialto/machine/i386/layout.ts";
import { Addresses, type AddressSpace } from "./addresses.ts";
import { runMonitorCommand } from "./monitor-commands.ts";
import {
  processorRegisters,
  type RegisterSource,
  registerBytes,
  registerName,
  registerSizes,
  setFloatingRegister,
  targetDescription,
  writeProcessorRegister,
} from "./registers.ts";
import { type KernelMemory, RialtoKernel, type RialtoThread } from "./rialto/kernel.ts";
import { kernelMemory } from "./rialto/kernel-memory.ts";
import type { KernelLayout } from "./rialto/layout.ts";
import type { BreakpointKind, DebugTarget, TargetListener, TargetStop, ThreadDescription } from "./target.ts";

export const PROCESSOR_THREAD = 0x7fff_ffff;
const PAGING = 0x8000_0000;
const CONTEXT_BYTES = 108;

export interface PentiumTargetOptions {
  /** Symbols of the kernel, and where its records have their fields; without them there is one thread. */
  readonly symbols?: ReadonlyMap<string, number>;
  readonly layout?: KernelLayout;
  /** Called when a held target is to run, so that the host calls `run` again. */
  readonly wake?: () => void;
  /** GDB has asked for the guest's end. */
  readonly quit?: () => void;
  /** While a debugger is there, the run can be gone back in. */
  readonly history?: HistoryOptions;
}

/** Result of a slice. */
export type DebuggedStop = PcStop | { readonly reason: "held" };

interface WatchRequest {
  readonly kind: "write" | "read" | "access";
  readonly address: number;
  readonly bytes: number;
}

interface WatchHit {
  readonly request: WatchRequest;
  readonly base: number;
}

export class PentiumTarget implements DebugTarget {
  listener: TargetListener | undefined;
  readonly description = targetDescription();
  readonly registerSizes = registerSizes;
  readonly pc: PentiumPc;
  readonly addresses: Addresses;
  readonly kernel: RialtoKernel | undefined;

  readonly #options: PentiumTargetOptions;
  readonly #kernelMemory: KernelMemory;
  #held = true;
  #told = false;
  readonly #breakpoints = new Map<number, Set<"software" | "hardware">>();
  readonly #watches: WatchRequest[] = [];
  /** What was given to the processor for this run. */
  #armed: { readonly linear: ReadonlySet<number>; readonly watchpoints: ReadonlyMap<Watchpoint, WatchHit> };
  #hits: WatchHit[] = [];
  #history: History | undefined;
  /** A search backwards is on: what is before this place is still to be searched. */
  #searchedTo: Place | undefined;
  /** The run ends where this thread goes on. */
  #until: RialtoThread | undefined;
  #untilEip = 0;

  constructor(pc: PentiumPc, options: PentiumTargetOptions = {}) {
    this.pc = pc;
    this.#options = options;
    this.#armed = { linear: new Set(), watchpoints: new Map() };
    const { layout, symbols } = options;
    const bases = layout ? [0, layout.kernelBase, layout.unpagedBase] : [0];
    this.addresses = new Addresses(pc.memory, pc.statistics().memory, bases);
    this.#kernelMemory = kernelMemory(pc, layout?.kernelBase ?? 0);
    if (layout && symbols) this.kernel = RialtoKernel.find(layout, this.#kernelMemory, symbols);
    this.#remember();
    const { debugging } = pc.processor;
    const stopForWatchpoint = debugging.onWatchpoint;
    debugging.onWatchpoint = (watchpoint, linear, write) => {
      const hit = this.#armed.watchpoints.get(watchpoint);
      if (hit) this.#hits.push(hit);
      stopForWatchpoint(watchpoint, linear, write);
    };
  }

  // Address spaces.

  #processorSpace(): AddressSpace {
    const { processor } = this.pc;
    const { base, limit } = processor.segment(Segment.DS);
    const directory = processor.cr0 >= PAGING ? processor.cr3 : undefined;
    return { base, limit, directory, cr4: processor.cr4 };
  }

  #spaceOf(thread: number): AddressSpace | undefined {
    const own = this.#processorSpace();
    if (thread === this.currentThread()) return own;
    const found = this.#thread(thread);
    if (!found || !this.kernel) return undefined;
    const selector = this.kernel.savedRegister(found.record, "ds");
    const segment = this.addresses.descriptor(own, this.pc.processor.gdtr, selector);
    return {
      base: segment?.base ?? own.base,
      limit: segment?.limit ?? own.limit,
      directory: found.directory ?? own.directory,
      cr4: own.cr4,
    };
  }

  /** For the monitor's commands: the space of the code that the processor executes. */
  space(): AddressSpace {
    return this.#processorSpace();
  }

  // Threads.

  #thread(id: number): RialtoThread | undefined {
    return this.kernel?.threads().find((thread) => thread.id === id);
  }

  currentThread(): number {
    const record = this.kernel?.runningRecord() ?? 0;
    return record === 0 ? PROCESSOR_THREAD : this.kernel!.thread(record).id;
  }

  threads(): readonly ThreadDescription[] {
    const current = this.currentThread();
    const threads = (this.kernel?.threads() ?? []).map(
      ({ id, program, process, state, priority }): ThreadDescription => ({
        id,
        name: program,
        detail: `${state}, process ${process}, priority ${priority}${id === current ? `, ring ${this.pc.processor.cpl}` : ""}`,
      }),
    );
    if (current === PROCESSOR_THREAD || !threads.some(({ id }) => id === current)) {
      const name = current === PROCESSOR_THREAD ? "processor" : "new";
      threads.unshift({ id: current, name, detail: `ring ${this.pc.processor.cpl}` });
    }
    return threads;
  }

  #savedRegisters(thread: RialtoThread): RegisterSource {
    const kernel = this.kernel!;
    const space = this.#spaceOf(thread.id)!;
    const { gdtr } = this.pc.processor;
    const processor = processorRegisters(this.pc.processor);
    const saved = (name: string) => kernel.savedRegister(thread.record, name);
    const baseOf = (selector: number) => this.addresses.descriptor(space, gdtr, selector)?.base ?? 0;
    const area =
      thread.floatingPoint === 0 ? undefined : this.#kernelMemory.bytes(thread.floatingPoint, CONTEXT_BYTES);
    return {
      floatingPoint: area?.length === CONTEXT_BYTES ? area : this.pc.processor.floatingPoint.save(),
      read(name) {
        switch (name) {
          case "cs":
          case "ss":
          case "ds":
          case "es":
            return saved(name) & 0xffff;
          case "fs":
          case "gs":
            return 0;
          case "cr3":
            return space.directory ?? 0;
          case "cs_base":
            return baseOf(saved("cs"));
          case "ds_base":
            return baseOf(saved("ds"));
          case "cr0":
          case "cr2":
          case "cr4":
            return processor.read(name);
          default:
            return saved(name);
        }
      },
    };
  }

  readRegisters(thread: number): Uint8Array | undefined {
    if (thread === this.currentThread()) return registerBytes(processorRegisters(this.pc.processor));
    const found = this.#thread(thread);
    return found ? registerBytes(this.#savedRegisters(found)) : undefined;
  }

  /** Makes a change that belongs to the history. */
  #change(change: () => boolean): boolean {
    if (!this.#history) return change();
    let done = false;
    this.#history.change(() => {
      done = change();
    });
    return done;
  }

  writeRegister(thread: number, register: number, value: Uint8Array): boolean {
    return this.#change(() => this.#setRegister(thread, register, value));
  }

  #setRegister(thread: number, register: number, value: Uint8Array): boolean {
    const name = registerName(register);
    if (name === undefined) return false;
    if (thread === this.currentThread()) return writeProcessorRegister(this.pc.processor, name, value);
    const found = this.#thread(thread);
    if (!found || /^(fs|gs|cr\d|.s_base)$/.test(name)) return false;
    if (/^(st\d|f\w+)$/.test(name)) return this.#writeSavedFloatingPoint(found, name, value);
    const address = found.record + this.kernel!.layout.thread(name);
    return this.#writeKernel(address, value);
  }

  #writeSavedFloatingPoint(thread: RialtoThread, name: string, value: Uint8Array): boolean {
    if (thread.floatingPoint === 0) return writeProcessorRegister(this.pc.processor, name, value);
    const image = this.#kernelMemory.bytes(thread.floatingPoint, CONTEXT_BYTES);
    if (image.length !== CONTEXT_BYTES || !setFloatingRegister(image, name, value)) return false;
    return this.#writeKernel(thread.floatingPoint, image);
  }

  #writeKernel(address: number, bytes: Uint8Array): boolean {
    const base = this.#options.layout!.kernelBase;
    return this.#write({ ...this.#processorSpace(), base, limit: 0xffff_ffff }, address, bytes);
  }

  #write(space: AddressSpace, address: number, bytes: Uint8Array): boolean {
    return this.addresses.write(space, address, bytes, (physical, length) =>
      this.pc.processor.memoryChanged(physical, length),
    );
  }

  readMemory(thread: number, address: number, length: number): Uint8Array {
    const space = this.#spaceOf(thread);
    return space ? this.addresses.read(space, address, length) : new Uint8Array(0);
  }

  writeMemory(thread: number, address: number, bytes: Uint8Array): boolean {
    return this.#change(() => {
      const space = this.#spaceOf(thread);
      return space !== undefined && this.#write(space, address, bytes);
    });
  }

  writePhysical(address: number, bytes: Uint8Array): boolean {
    return this.#change(() => {
      if (!this.addresses.writePhysical(address, bytes)) return false;
      this.pc.processor.memoryChanged(address, bytes.length);
      return true;
    });
  }

  // Breakpoints and watchpoints: remembered by address, given to the processor for each run.

  insert(kind: BreakpointKind, address: number, bytes: number): void {
    if (kind === "software" || kind === "hardware") {
      const kinds = this.#breakpoints.get(address) ?? new Set();
      this.#breakpoints.set(address, kinds.add(kind));
    } else if (!this.#watches.some((known) => isSame(known, { kind, address, bytes }))) {
      this.#watches.push({ kind, address, bytes });
    }
  }

  remove(kind: BreakpointKind, address: number, bytes: number): void {
    if (kind === "software" || kind === "hardware") {
      const kinds = this.#breakpoints.get(address);
      kinds?.delete(kind);
      if (kinds?.size === 0) this.#breakpoints.delete(address);
    } else {
      const index = this.#watches.findIndex((known) => isSame(known, { kind, address, bytes }));
      if (index >= 0) this.#watches.splice(index, 1);
    }
  }

  #arm(): void {
    const { processor } = this.pc;
    const bases = this.addresses.codeBases(this.#processorSpace(), processor.gdtr);
    for (const base of this.addresses.bases) bases.add(base);
    bases.add(processor.segment(Segment.CS).base);
    bases.add(processor.segment(Segment.DS).base);

    const linear = new Set<number>();
    for (const base of bases) {
      for (const address of this.#breakpoints.keys()) linear.add((address + base) >>> 0);
      if (this.#until) linear.add((this.#untilEip + base) >>> 0);
    }
    for (const old of this.#armed.linear) if (!linear.has(old)) processor.removeBreakpoint(old);
    for (const address of linear) if (!this.#armed.linear.has(address)) processor.addBreakpoint(address);

    const { debugging } = processor;
    const before = this.#armed.watchpoints;
    for (const watchpoint of before.keys()) debugging.watchpoints.delete(watchpoint);
    const watchpoints = new Map<Watchpoint, WatchHit>();
    for (const request of this.#watches) {
      for (const base of bases) {
        const watchpoint: Watchpoint = {
          linear: (request.address + base) >>> 0,
          bytes: request.bytes,
          onRead: request.kind !== "write",
          onWrite: request.kind !== "read",
        };
        debugging.watchpoints.add(watchpoint);
        watchpoints.set(watchpoint, { request, base });
      }
    }
    if (before.size > 0 || watchpoints.size > 0) debugging.refresh();
    this.#armed = { linear, watchpoints };
    this.#hits = [];
  }

  /** Why the debugger should see this stop of the processor, or undefined when it is passed over. */
  #causeOfBreakpoint(): TargetStop | undefined {
    const { processor } = this.pc;
    const { base } = processor.segment(Segment.DS);
    const hit = this.#hits.find((candidate) => candidate.base === base);
    this.#hits = [];
    if (hit) return { reason: "watchpoint", kind: hit.request.kind, address: hit.request.address };
    const linear = (processor.eip + processor.segment(Segment.CS).base) >>> 0;
    if (!this.#armed.linear.has(linear)) return undefined;
    const here = this.#breakpointHere();
    if (here) return here;
    if (this.#until && processor.eip === this.#untilEip && this.currentThread() === this.#until.id) {
      return { reason: "step" };
    }
    return undefined;
  }

  #breakpointHere(): TargetStop | undefined {
    const kinds = this.#breakpoints.get(this.pc.processor.eip);
    return kinds && { reason: "breakpoint", kind: kinds.has("software") ? "software" : "hardware" };
  }

  // Running.

  step(): TargetStop {
    this.#until = undefined;
    this.#arm();
    const stop = (this.#history ?? this.pc).step();
    if (stop.reason === "breakpoint") {
      const { base } = this.pc.processor.segment(Segment.DS);
      const hit = this.#hits.find((candidate) => candidate.base === base);
      if (hit) return { reason: "watchpoint", kind: hit.request.kind, address: hit.request.address };
    }
    if (this.pc.end) {
      this.#held = false;
      this.#told = true;
      this.#options.wake?.();
      return describeEnd(this.pc.end);
    }
    return { reason: "step" };
  }

  resume(until?: number): void {
    const thread = until === undefined ? undefined : this.#thread(until);
    this.#until = thread;
    this.#untilEip = thread ? this.kernel!.savedRegister(thread.record, "eip") : 0;
    this.#arm();
    this.#held = false;
    this.#options.wake?.();
  }

  get reversible(): boolean {
    return this.#history !== undefined;
  }

  stepBack(): TargetStop {
    const history = this.#history!;
    const before = history.placeBefore(history.place);
    history.goTo(before ?? history.beginning);
    return { reason: before ? "step" : "beginning" };
  }

  resumeBack(): void {
    this.#until = undefined;
    this.#arm();
    this.#searchedTo = this.#history!.place;
    this.#held = false;
    this.#options.wake?.();
  }

  /** Searches one piece of the history; tells the listener when that ends the search. */
  #searchBack(history: History, end: Place): void {
    let last: { readonly cause: TargetStop; readonly place: Place } | undefined;
    const start = history.repeatUpTo(end, (place, isStart) => {
      const cause = isStart ? this.#breakpointHere() : this.#causeOfBreakpoint();
      if (cause) last = { cause, place };
    });
    this.#searchedTo = start;
    if (start && !last) return;
    this.#searchedTo = undefined;
    const isWatch = last?.cause.reason === "watchpoint";
    const place = last && isWatch ? history.placeBefore(last.place) : last?.place;
    history.goTo(place ?? history.beginning);
    this.#hits = [];
    this.#held = true;
    this.listener?.stopped(last?.cause ?? { reason: "beginning" });
  }

  /** Starts to remember the run, if that is wanted. */
  #remember(): void {
    if (this.#options.history && !this.pc.end) this.#history ??= new History(this.pc, this.#options.history);
  }

  /** To be asked for every byte of the guest's output: false when it was put out before. */
  isNewOutput(): boolean {
    return this.#history?.isNewOutput() ?? true;
  }

  interrupt(): void {
    if (this.#held || this.pc.end) return;
    this.#searchedTo = undefined;
    this.#hits = [];
    this.#held = true;
    this.listener?.stopped({ reason: "interrupt" });
  }

  /** Holds the guest for a debugger that has just come, without telling anybody. */
  hold(): void {
    this.#held = true;
    this.#remember();
  }

  /** In the past, the guest goes on where it was before the debugger went back. */
  release(): void {
    this.#breakpoints.clear();
    this.#watches.length = 0;
    this.#searchedTo = undefined;
    this.#history?.goToPresent();
    this.#history = undefined;
    this.resume();
  }

  kill(): void {
    this.release();
    this.#options.quit?.();
  }

  monitor(command: string): string {
    return runMonitorCommand(this, command);
  }

  // What the host runs instead of the board.

  get frequency(): number {
    return this.pc.frequency;
  }

  get cycle(): number {
    return this.pc.cycle;
  }

  get idleCycles(): number {
    return this.pc.idleCycles;
  }

  serialInput(bytes: Iterable<number>): void {
    if (this.#history) this.#history.input(() => this.pc.serialInput(bytes));
    else this.pc.serialInput(bytes);
  }

  run(untilCycle: number): DebuggedStop {
    for (;;) {
      if (this.#held) return { reason: "held" };
      if (this.#history && this.#searchedTo) {
        this.#searchBack(this.#history, this.#searchedTo);
        return { reason: this.#held ? "held" : "cycle" };
      }
      const stop = (this.#history ?? this.pc).run(untilCycle);
      if (this.pc.end) {
        if (!this.#told) {
          this.#told = true;
          this.listener?.stopped(describeEnd(this.pc.end));
        }
        return stop;
      }
      if (stop.reason !== "breakpoint") return stop;
      const cause = this.#causeOfBreakpoint();
      if (cause) {
        this.#held = true;
        this.listener?.stopped(cause);
      }
    }
  }
}

function isSame(a: WatchRequest, b: WatchRequest): boolean {
  return a.kind === b.kind && a.address === b.address && a.bytes === b.bytes;
}

function describeEnd(end: PcEnd): TargetStop {
  switch (end.reason) {
    case "exit":
      return { reason: "exit", status: end.status };
    case "shutdown":
      return { reason: "crash" };
    default:
      return { reason: "exit", status: 0 };
  }
}
