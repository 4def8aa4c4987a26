/**
 * What a trace holds, and its form as JSON lines: one object a line, the first of them the header.
 *
 *   {"rialto":"trace","version":1,"model":"fast","frequency":75000000,"events":["traps","calls","switches","interrupts"]}
 *   {"cycle":9120,"event":"trap","thread":7,"ring":3,"vector":14,"name":"page fault","eip":"0x41400310","error":6,"address":"0x7f0ffc"}
 *   {"cycle":9344,"event":"call","phase":"begin","thread":7,"path":"remote","interface":"IConsole","method":"write"}
 *   {"cycle":9970,"event":"call","phase":"end","thread":7,"path":"remote","result":0}
 *   {"cycle":9980,"event":"switch","thread":{"id":3,"process":2,"name":"console"}}
 *   {"cycle":9990,"event":"idle","until":75000}
 *   {"cycle":75000,"event":"interrupt","thread":0,"ring":0,"vector":32,"name":"irq 0"}
 *   {"cycle":75400,"event":"tlb","thread":3,"kind":"data4K","address":"0x80123000"}
 *
 * `cycle` counts from the machine's start and never falls. `thread` is the guest's thread for which the processor works, 0 for none.
 * Calls of one thread nest. A path is "system" (trap to an object of the kernel), "remote" (trap to an object of another process) or
 * "server" (the other end: a method that a server thread runs). A call's end lacks `result` when the thread ended in it. Addresses
 * are hexadecimal: of code as the code sees it, of data linear.
 */

/** What can be asked for, in the order in which it is documented. */
export const TRACE_CATEGORIES = ["traps", "calls", "switches", "interrupts", "tlb"] as const;
export type TraceCategory = (typeof TRACE_CATEGORIES)[number];

/** Without a wish: everything but TLB misses, which are most of the events. */
export const DEFAULT_CATEGORIES: readonly TraceCategory[] = ["traps", "calls", "switches", "interrupts"];

export interface TracedThread {
  readonly id: number;
  /** Its process's id; 0 is the kernel. */
  readonly process: number;
  /** Its program's name. */
  readonly name: string;
}

export type CallPath = "system" | "remote" | "server";

export type TraceEvent = { readonly cycle: number } & (
  | {
      /** An exception, or a software interrupt that is no call. */
      readonly event: "trap";
      readonly thread: number;
      /** Ring of the code that trapped. */
      readonly ring: number;
      readonly vector: number;
      readonly name: string;
      readonly eip: number;
      readonly error?: number;
      /** Linear address of a page fault. */
      readonly address?: number;
    }
  | {
      readonly event: "call";
      readonly phase: "begin";
      readonly thread: number;
      readonly path: CallPath;
      readonly interface: string;
      readonly method: string;
    }
  | {
      readonly event: "call";
      readonly phase: "end";
      readonly thread: number;
      readonly path: CallPath;
      readonly result?: number;
    }
  /** Another thread goes on, or the same one after idle time. */
  | { readonly event: "switch"; readonly thread: TracedThread }
  /** HLT. */
  | { readonly event: "idle"; readonly until: number }
  | {
      readonly event: "interrupt";
      readonly thread: number;
      readonly ring: number;
      readonly vector: number;
      readonly name: string;
    }
  | {
      readonly event: "tlb";
      readonly thread: number;
      readonly kind: "code4K" | "data4K" | "data4M";
      readonly address: number;
    }
);

export interface TraceHeader {
  /** Cycle model, and cycles in a second. */
  readonly model: string;
  readonly frequency: number;
  readonly events: readonly TraceCategory[];
}

/** Where events go. */
export interface TraceSink {
  event(event: TraceEvent): void;
  /** After the last event, at the cycle at which the machine stands. */
  close(cycle: number): void;
}

const ADDRESSES: ReadonlySet<string> = new Set(["eip", "address"]);

function withAddresses(key: string, value: unknown): unknown {
  return typeof value === "number" && ADDRESSES.has(key) ? `0x${value.toString(16)}` : value;
}

/** Writes JSON lines; `write` gets each with its newline. */
export class JsonLines implements TraceSink {
  readonly #write: (line: string) => void;

  constructor(header: TraceHeader, write: (line: string) => void) {
    this.#write = write;
    write(`${JSON.stringify({ rialto: "trace", version: 1, ...header })}\n`);
  }

  event(event: TraceEvent): void {
    this.#write(`${JSON.stringify(event, withAddresses)}\n`);
  }

  close(): void {}
}
