/**
 * Deliveries of interrupts and exceptions, as steps see them. A step is one instruction of the code that is stepped: what is delivered on
 * the way is handled at full speed, and the step ends where that code has gone on; as with the trap flag, which the processor clears on
 * delivery and IRET restores. `int n` is an instruction like others: a step goes into it. Backwards the same way: what was
 * delivered is passed over to before it began.
 *
 * Code has gone on when its thread is at the same ring, instruction and stack again. At ring 3 any instruction will do: a program's fault
 * handler is reached that way.
 */
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { History, Place } from "@rialto/machine/history/history.ts";
import type { ProcessorObserver } from "@rialto/machine/i386/core.ts";
import { NO_ERROR_CODE } from "@rialto/machine/i386/fault.ts";
import { Segment } from "@rialto/machine/i386/layout.ts";
import { combineObservers } from "@rialto/machine/trace/observers.ts";
import { type GuestThreads, PROCESSOR_THREAD } from "./guest-threads.ts";

const IRET = 0xcf;
const ESP = 4;
/** Of ESP in a task state. */
const TASK_ESP = 56;

/** An instruction that a thread is about to execute. */
export interface CodePlace {
  readonly thread: number;
  readonly ring: number;
  readonly eip: number;
  readonly esp: number;
}

export const isSame = (a: CodePlace, b: CodePlace): boolean =>
  a.thread === b.thread && a.ring === b.ring && a.eip === b.eip && a.esp === b.esp;

interface Delivery {
  readonly kind: "exception" | "software" | "hardware";
  /** Where the interrupted code is to go on. */
  readonly from: CodePlace;
}

export class Deliveries {
  readonly #pc: PentiumPc;
  readonly #threads: GuestThreads;

  constructor(pc: PentiumPc, threads: GuestThreads) {
    this.#pc = pc;
    this.#threads = threads;
  }

  here(): CodePlace {
    const { cpl, eip, registers } = this.#pc.processor;
    return { thread: this.#threads.current(), ring: cpl, eip, esp: registers[ESP] };
  }

  #observed<Result>(observer: ProcessorObserver, run: () => Result): Result {
    const { processor } = this.#pc;
    const before = processor.observer;
    processor.observer = combineObservers(before ? [before, observer] : [observer]);
    try {
      return run();
    } finally {
      processor.observer = before;
    }
  }

  #listener(delivered: (delivery: Delivery) => void): ProcessorObserver {
    let left: number | undefined;
    return {
      taskSwitch: (from) => {
        left = from;
      },
      trap: (_vector, kind, errorCode, ring, eip) => {
        // A task that was entered through a gate links to the one that was left.
        const throughGate = left !== undefined && left === (this.#taskWord(this.#task, 0) & 0xffff);
        const esp = throughGate ? this.#taskWord(left ?? 0, TASK_ESP) : this.#stackInFrame(ring, errorCode);
        left = undefined;
        delivered({ kind, from: { thread: this.#threads.current(), ring, eip, esp } });
      },
    };
  }

  get #task(): number {
    return this.#pc.processor.segment(Segment.TR).selector;
  }

  #taskWord(selector: number, offset: number): number {
    const { gdtr } = this.#pc.processor;
    return this.#threads.addresses.taskWord(this.#threads.processorSpace(), gdtr, selector, offset) ?? 0;
  }

  /** The stack pointer that a trap left: in its frame (error code, eip, cs, eflags, esp, ss), or behind it when the ring is the same. */
  #stackInFrame(ring: number, errorCode: number): number {
    const { processor } = this.#pc;
    const behind = processor.registers[ESP] + (errorCode === NO_ERROR_CODE ? 12 : 16);
    if (ring === processor.cpl) return behind >>> 0;
    const linear = processor.segment(Segment.SS).base + behind;
    const { addresses } = this.#threads;
    const physical = addresses.physical(this.#threads.processorSpace(), linear);
    return (physical === undefined ? undefined : addresses.physicalWord(physical)) ?? 0;
  }

  /** Where the stepped code goes on if `step` delivered an interrupt or an exception. */
  during<Stop>(step: () => Stop): { readonly stop: Stop; readonly interrupted: CodePlace | undefined } {
    let interrupted: CodePlace | undefined;
    const listener = this.#listener(({ kind, from }) => {
      if (kind !== "software") interrupted ??= from;
    });
    const stop = this.#observed(listener, step);
    return { stop, interrupted };
  }

  /** Has `run` stop ("stopped") wherever a trap returns. */
  stoppingAtReturns<Stop>(run: () => Stop): Stop {
    const stop = () => this.#pc.processor.stop();
    return this.#observed({ returned: stop, taskSwitch: stop }, run);
  }

  /** What has become of code that was interrupted, at a return from a trap. */
  outcome(interrupted: CodePlace): "there" | "elsewhere" | "ended" | "pending" {
    const now = this.here();
    if (isSame(now, interrupted)) return "there";
    if (now.ring === 3 && interrupted.ring === 3 && now.thread === interrupted.thread) return "elsewhere";
    return this.#lives(interrupted.thread) ? "pending" : "ended";
  }

  #lives(thread: number): boolean {
    if (thread === PROCESSOR_THREAD) return true;
    const found = this.#threads.find(thread);
    return found !== undefined && found.state !== "dead";
  }

  /** One step back. Undefined at the beginning of the history, where the machine then is. */
  stepBack(history: History): Place | undefined {
    for (;;) {
      const [place, after] = [history.place, this.here()];
      const before = history.placeBefore(place);
      history.goTo(before ?? history.beginning);
      if (!before || !this.#isAtReturn()) return before;
      const interruption = this.#interruption(history, place, after);
      history.goTo(interruption ?? before);
      // The instruction in front of it may be part of the step: a jump to where the page is missing.
      if (!interruption || !isSame(this.here(), after)) return interruption ?? before;
    }
  }

  #isAtReturn(): boolean {
    const { processor } = this.#pc;
    const linear = processor.eip + processor.segment(Segment.CS).base;
    const physical = this.#threads.addresses.physical(this.#threads.processorSpace(), linear);
    return physical !== undefined && this.#threads.addresses.physicalBytes(physical, 1)[0] === IRET;
  }

  /** The step in which code was interrupted that goes on at `after`; undefined when it asked for the trap itself, or begins there. */
  #interruption(history: History, place: Place, after: CodePlace): Place | undefined {
    for (let end: Place | undefined = place; end; ) {
      const piece = this.#lastDelivery(history, end, after);
      if (piece.kind === "software") return undefined;
      if (piece.place) return history.placeBefore(piece.place);
      end = piece.start;
    }
    return undefined;
  }

  /** The last delivery in the piece of history before `end` that left the code there; `start` of the piece, if more can be before it. */
  #lastDelivery(history: History, end: Place, interrupted: CodePlace) {
    let delivery: Delivery | undefined;
    let found: { readonly kind?: Delivery["kind"]; readonly place?: Place } = {};
    let isFirst = false;
    const listener = this.#listener((delivered) => {
      delivery = delivered;
      this.#pc.processor.stop();
    });
    const start = this.#observed(listener, () =>
      history.repeatUpTo(end, (place, isStart) => {
        if (isStart) isFirst = !this.#lives(interrupted.thread);
        if (delivery && isSame(delivery.from, interrupted)) found = { kind: delivery.kind, place };
        delivery = undefined;
      }),
    );
    return { ...found, start: isFirst ? undefined : start };
  }
}
