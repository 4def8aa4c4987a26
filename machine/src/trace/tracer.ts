/**
 * Makes a trace: hears of traps, returns, idle time and TLB misses from the processor, asks the guest's view what they mean, and hands
 * events on.
 *
 * A context switch is seen where the processor leaves ring 0 with another thread current than before. A system call ends where
 * its thread returns to ring 3, since a thread is in one of them at a time; a server's method ends at its trap back. What a thread has
 * open when it ends is ended without a result.
 */
import type { ProcessorObserver } from "../i386/core.ts";
import { NO_ERROR_CODE } from "../i386/fault.ts";
import { Vector } from "../i386/layout.ts";
import type { CallPath, TraceCategory, TraceSink } from "./events.ts";
import type { GuestCall, GuestView } from "./guest-view.ts";

/** What a tracer reads of the processor. */
export interface TracedProcessor {
  readonly clock: { readonly now: number };
  readonly registers: Int32Array;
  readonly cr2: number;
}

const exceptionNames: ReadonlyMap<number, string> = new Map([
  [Vector.DE, "divide error"],
  [Vector.DB, "debug exception"],
  [Vector.NMI, "non-maskable interrupt"],
  [Vector.BP, "breakpoint"],
  [Vector.OF, "overflow"],
  [Vector.BR, "bounds check"],
  [Vector.UD, "invalid opcode"],
  [Vector.NM, "device not available"],
  [Vector.DF, "double fault"],
  [Vector.TS, "invalid TSS"],
  [Vector.NP, "segment not present"],
  [Vector.SS, "stack fault"],
  [Vector.GP, "general protection"],
  [Vector.PF, "page fault"],
  [Vector.MF, "floating-point error"],
  [Vector.AC, "alignment check"],
]);

/** What a thread has open, innermost last. Keys are used again, ids are not. */
interface OpenCalls {
  readonly id: number;
  readonly paths: CallPath[];
}

export class Tracer implements ProcessorObserver {
  readonly #processor: TracedProcessor;
  readonly #view: GuestView | undefined;
  readonly #wanted: ReadonlySet<TraceCategory>;
  readonly #sink: TraceSink;
  /** Key of the current thread; -1 when its going on is to be told in any case. */
  #key = -1;
  /** Key of the thread that ran last, and its id. */
  #last = 0;
  #thread = 0;
  readonly #open = new Map<number, OpenCalls>();

  constructor(
    processor: TracedProcessor,
    view: GuestView | undefined,
    categories: Iterable<TraceCategory>,
    sink: TraceSink,
  ) {
    this.#processor = processor;
    this.#view = view;
    this.#wanted = new Set(categories);
    this.#sink = sink;
  }

  get #now(): number {
    return this.#processor.clock.now;
  }

  trap(
    vector: number,
    kind: "exception" | "software" | "hardware",
    errorCode: number,
    ring: number,
    eip: number,
  ): void {
    const [cycle, thread] = [this.#now, this.#thread];
    if (kind === "exception") {
      if (!this.#wanted.has("traps")) return;
      const name = exceptionNames.get(vector) ?? `exception ${vector}`;
      const error = errorCode === NO_ERROR_CODE ? {} : { error: errorCode };
      const address = vector === Vector.PF ? { address: this.#processor.cr2 } : {};
      this.#sink.event({ cycle, event: "trap", thread, ring, vector, name, eip, ...error, ...address });
      return;
    }
    const meaning = this.#view?.trap(vector, ring);
    if (kind === "hardware") {
      if (!this.#wanted.has("interrupts")) return;
      const name = meaning?.kind === "named" ? meaning.name : `vector ${vector}`;
      this.#sink.event({ cycle, event: "interrupt", thread, ring, vector, name });
    } else if (meaning?.kind === "call") this.#begin(meaning.call);
    else if (meaning?.kind === "server return") this.#end("server");
    else if (this.#wanted.has("traps")) {
      const name = meaning?.name ?? `int 0x${vector.toString(16)}`;
      this.#sink.event({ cycle, event: "trap", thread, ring, vector, name, eip });
    }
  }

  returned(from: number, to: number): void {
    const view = this.#view;
    if (!view) return;
    if (from === 0 && to !== 0) this.#followSwitch(view);
    if (to !== 3) return;
    const paths = this.#open.get(this.#key)?.paths;
    const last = paths?.at(-1);
    if (last === "system" || last === "remote") this.#end(last);
    else if (from === 1 && last === undefined) {
      const call = view.serverCall();
      if (call) this.#begin(call);
    }
  }

  idle(from: number, until: number): void {
    if (this.#wanted.has("switches")) this.#sink.event({ cycle: from, event: "idle", until });
    this.#key = -1;
  }

  tlbMiss(kind: "code4K" | "data4K" | "data4M", address: number): void {
    if (!this.#wanted.has("tlb")) return;
    this.#sink.event({ cycle: this.#now, event: "tlb", thread: this.#thread, kind, address });
  }

  #followSwitch(view: GuestView): void {
    const key = view.current();
    if (key === this.#key) return;
    this.#key = key;
    if (key !== this.#last && view.isOver(this.#last)) this.#forget(this.#last);
    this.#last = key;
    const thread = view.thread(key);
    this.#thread = thread.id;
    if (this.#wanted.has("switches")) this.#sink.event({ cycle: this.#now, event: "switch", thread });
  }

  /** Ends what a thread has open that is over: it is the one that ran last, since threads end themselves. */
  #forget(key: number): void {
    const open = this.#open.get(key);
    this.#open.delete(key);
    if (!open || !this.#wanted.has("calls")) return;
    for (const path of open.paths.reverse())
      this.#sink.event({ cycle: this.#now, event: "call", phase: "end", thread: open.id, path });
  }

  #begin(call: GuestCall): void {
    const [key, id] = [this.#key, this.#thread];
    const open = this.#open.get(key);
    if (open?.id === id) open.paths.push(call.path);
    else this.#open.set(key, { id, paths: [call.path] });
    if (this.#wanted.has("calls"))
      this.#sink.event({ cycle: this.#now, event: "call", phase: "begin", thread: id, ...call });
  }

  /** Ends the innermost call of the current thread if it came that way. */
  #end(path: CallPath): void {
    const open = this.#open.get(this.#key);
    if (open?.paths.at(-1) !== path) return;
    open.paths.pop();
    if (open.paths.length === 0) this.#open.delete(this.#key);
    if (!this.#wanted.has("calls")) return;
    const result = this.#processor.registers[0]!;
    this.#sink.event({ cycle: this.#now, event: "call", phase: "end", thread: open.id, path, result });
  }

  close(): void {
    this.#sink.close(this.#now);
  }
}
