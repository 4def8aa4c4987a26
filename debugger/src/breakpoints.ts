/**
 * Breakpoints and watchpoints, remembered by address and given to the processor for each run.
 *
 * An address means what it means to the code that runs: a breakpoint stops where EIP has that value, in whichever segment, so that one
 * breakpoint in an image stops it in a process and in the kernel. The processor compares linear addresses: a breakpoint is one at
 * address + base for every base that code may run with (those of the descriptor table now, and the debugger's own), and a stop at which EIP
 * is another one is passed over. Watchpoints are treated the same way, with the data segment.
 */
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { Watchpoint } from "@rialto/machine/i386/debugging.ts";
import { Segment } from "@rialto/machine/i386/layout.ts";
import type { Addresses, AddressSpace } from "./addresses.ts";
import type { BreakpointKind, TargetStop } from "./target.ts";

interface WatchRequest {
  readonly kind: "write" | "read" | "access";
  readonly address: number;
  readonly bytes: number;
}

interface WatchHit {
  readonly request: WatchRequest;
  readonly base: number;
}

export class Breakpoints {
  readonly #pc: PentiumPc;
  readonly #addresses: Addresses;
  readonly #space: () => AddressSpace;
  readonly #byAddress = new Map<number, Set<"software" | "hardware">>();
  readonly #watches: WatchRequest[] = [];
  /** What was given to the processor for this run. */
  #linear: ReadonlySet<number> = new Set();
  #watchpoints: ReadonlyMap<Watchpoint, WatchHit> = new Map();
  #hits: WatchHit[] = [];

  /** `space` is that of the code that the processor executes. */
  constructor(pc: PentiumPc, addresses: Addresses, space: () => AddressSpace) {
    this.#pc = pc;
    this.#addresses = addresses;
    this.#space = space;
    const { debugging } = pc.processor;
    const stopForWatchpoint = debugging.onWatchpoint;
    debugging.onWatchpoint = (watchpoint, linear, write) => {
      const hit = this.#watchpoints.get(watchpoint);
      if (hit) this.#hits.push(hit);
      stopForWatchpoint(watchpoint, linear, write);
    };
  }

  insert(kind: BreakpointKind, address: number, bytes: number): void {
    if (kind === "software" || kind === "hardware") {
      const kinds = this.#byAddress.get(address) ?? new Set();
      this.#byAddress.set(address, kinds.add(kind));
    } else if (!this.#watches.some((known) => isSame(known, { kind, address, bytes }))) {
      this.#watches.push({ kind, address, bytes });
    }
  }

  remove(kind: BreakpointKind, address: number, bytes: number): void {
    if (kind === "software" || kind === "hardware") {
      const kinds = this.#byAddress.get(address);
      kinds?.delete(kind);
      if (kinds?.size === 0) this.#byAddress.delete(address);
    } else {
      const index = this.#watches.findIndex((known) => isSame(known, { kind, address, bytes }));
      if (index >= 0) this.#watches.splice(index, 1);
    }
  }

  clear(): void {
    this.#byAddress.clear();
    this.#watches.length = 0;
  }

  /** Gives the processor what is to stop it, and a breakpoint of the debugger's own at `also`. */
  arm(also?: number): void {
    const { processor } = this.#pc;
    const bases = this.#addresses.codeBases(this.#space(), processor.gdtr);
    for (const base of this.#addresses.bases) bases.add(base);
    bases.add(processor.segment(Segment.CS).base);
    bases.add(processor.segment(Segment.DS).base);
    this.#armBreakpoints(bases, also);
    this.#armWatchpoints(bases);
  }

  #armBreakpoints(bases: ReadonlySet<number>, also: number | undefined): void {
    const { processor } = this.#pc;
    const linear = new Set<number>();
    for (const base of bases) {
      for (const address of this.#byAddress.keys()) linear.add((address + base) >>> 0);
      if (also !== undefined) linear.add((also + base) >>> 0);
    }
    for (const old of this.#linear) if (!linear.has(old)) processor.removeBreakpoint(old);
    for (const address of linear) if (!this.#linear.has(address)) processor.addBreakpoint(address);
    this.#linear = linear;
  }

  #armWatchpoints(bases: ReadonlySet<number>): void {
    const { debugging } = this.#pc.processor;
    const before = this.#watchpoints;
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
    this.#watchpoints = watchpoints;
    this.#hits = [];
  }

  /** The watchpoint that was met since the last call. */
  watched(): TargetStop | undefined {
    const { base } = this.#pc.processor.segment(Segment.DS);
    const hit = this.#hits.find((candidate) => candidate.base === base);
    this.#hits = [];
    return hit && { reason: "watchpoint", kind: hit.request.kind, address: hit.request.address };
  }

  /** The breakpoint at the next instruction. */
  here(): TargetStop | undefined {
    const kinds = this.#byAddress.get(this.#pc.processor.eip);
    return kinds && { reason: "breakpoint", kind: kinds.has("software") ? "software" : "hardware" };
  }

  /** Whether the processor was to stop at the next instruction. */
  get armedHere(): boolean {
    const { processor } = this.#pc;
    return this.#linear.has((processor.eip + processor.segment(Segment.CS).base) >>> 0);
  }
}

function isSame(a: WatchRequest, b: WatchRequest): boolean {
  return a.kind === b.kind && a.address === b.address && a.bytes === b.bytes;
}
