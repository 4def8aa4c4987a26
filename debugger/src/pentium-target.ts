/**
 * The Pentium board as GDB's target, with Rialto's threads when the kernel is Rialto's.
 *
 * The host runs the board through `run`, in slices; between two of them the session may hold it. Everything that the debugger does
 * happens between two instructions and leaves time, caches and TLBs of the guest alone: a debugged run counts the same
 * cycles as any other.
 *
 * Going back. With a history (machine/src/history) the run can be gone back in. Backwards, a breakpoint stops at its instruction like
 * forwards; a watchpoint stops before the instruction that made the access, where the memory is what it was.
 */

import type { PcEnd, PcStop, PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { History, type HistoryOptions, type Place } from "@rialto/machine/history/history.ts";
import type { AddressSpace } from "./addresses.ts";
import { Breakpoints } from "./breakpoints.ts";
import { type CodePlace, Deliveries, isSame } from "./deliveries.ts";
import { GuestThreads } from "./guest-threads.ts";
import { runMonitorCommand } from "./monitor-commands.ts";
import { registerSizes, targetDescription } from "./registers.ts";
import type { RialtoThread } from "./rialto/kernel.ts";
import type { KernelLayout } from "./rialto/layout.ts";
import type { BreakpointKind, DebugTarget, TargetListener, TargetStop, ThreadDescription } from "./target.ts";

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

export class PentiumTarget implements DebugTarget {
  listener: TargetListener | undefined;
  readonly description = targetDescription();
  readonly registerSizes = registerSizes;
  readonly pc: PentiumPc;
  readonly guest: GuestThreads;
  /** Whether a step goes into what is delivered on the way, see deliveries.ts. */
  deliveries: "over" | "into" = "over";

  readonly #options: PentiumTargetOptions;
  readonly #breakpoints: Breakpoints;
  readonly #deliveries: Deliveries;
  #held = true;
  #told = false;
  #history: History | undefined;
  /** A search backwards is on: what is before this place is still to be searched. */
  #searchedTo: Place | undefined;
  /** The run ends where this thread goes on. */
  #until: RialtoThread | undefined;
  #untilEip = 0;
  /** The run is part of a step that was interrupted; whether the instruction is still to be executed. */
  #interrupted: { readonly place: CodePlace; readonly repeat: boolean } | undefined;

  constructor(pc: PentiumPc, options: PentiumTargetOptions = {}) {
    this.pc = pc;
    this.#options = options;
    this.guest = new GuestThreads(pc, options.layout, options.symbols);
    this.#breakpoints = new Breakpoints(pc, this.guest.addresses, () => this.guest.processorSpace());
    this.#deliveries = new Deliveries(pc, this.guest);
    this.#remember();
  }

  // Threads, registers, memory.

  currentThread(): number {
    return this.guest.current();
  }

  threads(): readonly ThreadDescription[] {
    return this.guest.list();
  }

  /** For the monitor's commands: the space of the code that the processor executes. */
  space(): AddressSpace {
    return this.guest.processorSpace();
  }

  readRegisters(thread: number): Uint8Array | undefined {
    return this.guest.registers(thread);
  }

  readMemory(thread: number, address: number, length: number): Uint8Array {
    return this.guest.readMemory(thread, address, length);
  }

  writeRegister(thread: number, register: number, value: Uint8Array): boolean {
    return this.#change(() => this.guest.writeRegister(thread, register, value));
  }

  writeMemory(thread: number, address: number, bytes: Uint8Array): boolean {
    return this.#change(() => this.guest.writeMemory(thread, address, bytes));
  }

  writePhysical(address: number, bytes: Uint8Array): boolean {
    return this.#change(() => this.guest.writePhysical(address, bytes));
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

  // Breakpoints and watchpoints.

  insert(kind: BreakpointKind, address: number, bytes: number): void {
    this.#breakpoints.insert(kind, address, bytes);
  }

  remove(kind: BreakpointKind, address: number, bytes: number): void {
    this.#breakpoints.remove(kind, address, bytes);
  }

  /** Why the debugger should see this stop of the processor, or undefined when it is passed over. */
  #causeOfBreakpoint(): TargetStop | undefined {
    const watched = this.#breakpoints.watched();
    if (watched) return watched;
    if (!this.#breakpoints.armedHere) return undefined;
    const here = this.#breakpoints.here();
    if (here) return here;
    const isThere = this.pc.processor.eip === this.#untilEip && this.currentThread() === this.#until?.id;
    return isThere ? { reason: "step" } : undefined;
  }

  // Running.

  get #machine(): History | PentiumPc {
    return this.#history ?? this.pc;
  }

  /** Nothing of an earlier run is wanted any more. */
  #forgetRun(): void {
    this.#until = undefined;
    this.#interrupted = undefined;
    this.#searchedTo = undefined;
  }

  #letRun(): void {
    this.#held = false;
    this.#options.wake?.();
  }

  #hold(stop: TargetStop): void {
    this.#forgetRun();
    this.#held = true;
    this.listener?.stopped(stop);
  }

  step(): TargetStop | undefined {
    this.#forgetRun();
    this.#breakpoints.arm();
    const stop = this.#stepOnce();
    if (this.pc.end) this.#told = true;
    if (!stop || this.pc.end) this.#letRun();
    return stop;
  }

  /** Undefined when the run is to go on to the end of the step. */
  #stepOnce(): TargetStop | undefined {
    const from = this.#deliveries.here();
    const { stop, interrupted } = this.#deliveries.during(() => this.#machine.step());
    if (this.pc.end) return describeEnd(this.pc.end);
    const watched = stop.reason === "breakpoint" ? this.#breakpoints.watched() : undefined;
    if (watched) return watched;
    if (!interrupted || this.deliveries === "into") return { reason: "step" };
    const here = this.#breakpoints.here();
    if (here) return here;
    this.#interrupted = { place: interrupted, repeat: isSame(interrupted, from) };
    return undefined;
  }

  /** A trap has returned, perhaps to the code that is stepped. */
  #afterReturn({
    place,
    repeat,
  }: {
    readonly place: CodePlace;
    readonly repeat: boolean;
  }): TargetStop | undefined {
    const outcome = this.#deliveries.outcome(place);
    if (outcome === "there" && repeat) {
      this.#interrupted = undefined;
      return this.#stepOnce();
    }
    const here = this.#breakpoints.here();
    if (here) return here;
    return outcome === "pending" ? undefined : { reason: "step" };
  }

  resume(until?: number): void {
    this.#forgetRun();
    const thread = until === undefined ? undefined : this.guest.find(until);
    this.#until = thread;
    this.#untilEip = thread ? (this.guest.kernel?.savedRegister(thread.record, "eip") ?? 0) : 0;
    this.#breakpoints.arm(thread && this.#untilEip);
    this.#letRun();
  }

  get reversible(): boolean {
    return this.#history !== undefined;
  }

  stepBack(): TargetStop {
    const history = this.#history;
    if (!history) return { reason: "beginning" };
    this.#forgetRun();
    if (this.deliveries === "over") {
      return { reason: this.#deliveries.stepBack(history) ? "step" : "beginning" };
    }
    const before = history.placeBefore(history.place);
    history.goTo(before ?? history.beginning);
    return { reason: before ? "step" : "beginning" };
  }

  resumeBack(): void {
    this.#forgetRun();
    this.#breakpoints.arm();
    this.#searchedTo = this.#history?.place;
    this.#letRun();
  }

  /** Searches one piece of the history; tells the listener when that ends the search. */
  #searchBack(history: History, end: Place): void {
    let last: { readonly cause: TargetStop; readonly place: Place } | undefined;
    const start = history.repeatUpTo(end, (place, isStart) => {
      const cause = isStart ? this.#breakpoints.here() : this.#causeOfBreakpoint();
      if (cause) last = { cause, place };
    });
    this.#searchedTo = start;
    if (start && !last) return;
    const isWatch = last?.cause.reason === "watchpoint";
    const place = last && isWatch ? history.placeBefore(last.place) : last?.place;
    history.goTo(place ?? history.beginning);
    this.#breakpoints.watched();
    this.#hold(last?.cause ?? { reason: "beginning" });
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
    this.#breakpoints.watched();
    this.#hold({ reason: "interrupt" });
  }

  /** Holds the guest for a debugger that has just come, without telling anybody. */
  hold(): void {
    this.#held = true;
    this.#remember();
  }

  /** In the past, the guest goes on where it was before the debugger went back. */
  release(): void {
    this.#breakpoints.clear();
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

  networkInput(frame: Uint8Array): void {
    if (this.#history) this.#history.input(() => this.pc.networkInput(frame));
    else this.pc.networkInput(frame);
  }

  run(untilCycle: number): DebuggedStop {
    for (;;) {
      if (this.#held) return { reason: "held" };
      if (this.#history && this.#searchedTo) {
        this.#searchBack(this.#history, this.#searchedTo);
        return { reason: this.#held ? "held" : "cycle" };
      }
      const interrupted = this.#interrupted;
      const run = () => this.#machine.run(untilCycle);
      const stop = interrupted ? this.#deliveries.stoppingAtReturns(run) : run();
      const atReturn = interrupted && stop.reason === "stopped" && !this.pc.end;
      const cause = atReturn ? this.#afterReturn(interrupted) : undefined;
      if (this.pc.end) {
        if (!this.#told) this.listener?.stopped(describeEnd(this.pc.end));
        this.#told = true;
        return this.pc.end;
      }
      if (cause) this.#hold(cause);
      else if (stop.reason === "breakpoint") {
        const met = this.#causeOfBreakpoint();
        if (met) this.#hold(met);
      } else if (!atReturn || this.pc.cycle >= untilCycle) return atReturn ? { reason: "cycle" } : stop;
    }
  }
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
