/**
 * A trace in the Trace Event Format that Perfetto (ui.perfetto.dev) and Chrome's tracing page read. Times are microseconds of guest time.
 *
 * One process of the file is a process of the guest, with a track for each of its threads: spans are calls, instants are traps.
 * The kernel is process 0 of the guest; process numbers are shifted by one, because the readers treat 0 apart. The processor is one
 * more process with the tracks "running" (which thread, idle time), "interrupts" and "TLB misses".
 * Source: Trace Event Format (Google), phases B, E, X, i and M.
 */
import type { TracedThread, TraceEvent, TraceHeader, TraceSink } from "./events.ts";

const PROCESSOR = 1_000_000;
const RUNNING = 1;
const INTERRUPTS = 2;
const TLB = 3;
/** Track of what happens before there are threads. */
const NO_THREAD: TracedThread = { id: 0, process: 0, name: "kernel" };

type Fields = Readonly<Record<string, unknown>>;

export class PerfettoTrace implements TraceSink {
  readonly #write: (text: string) => void;
  readonly #cyclesPerMicrosecond: number;
  readonly #threads = new Map<number, TracedThread>();
  readonly #named = new Set<string>();
  readonly #open = new Map<number, number>();
  #separator = "";
  /** The slice of the track "running" that is not over. */
  #running: { readonly name: string; readonly since: number } | undefined;

  constructor({ model, frequency }: TraceHeader, write: (text: string) => void) {
    this.#write = write;
    this.#cyclesPerMicrosecond = frequency / 1e6;
    write(`{"displayTimeUnit":"ns","otherData":${JSON.stringify({ model, frequency })},"traceEvents":[\n`);
    this.#name("process_name", PROCESSOR, 0, "processor");
    this.#name("thread_name", PROCESSOR, RUNNING, "running");
    this.#name("thread_name", PROCESSOR, INTERRUPTS, "interrupts");
    this.#name("thread_name", PROCESSOR, TLB, "TLB misses");
  }

  #put(phase: string, pid: number, tid: number, fields: Fields): void {
    this.#write(`${this.#separator}${JSON.stringify({ ph: phase, pid, tid, ...fields })}`);
    this.#separator = ",\n";
  }

  #name(what: "process_name" | "thread_name", pid: number, tid: number, name: string): void {
    this.#put("M", pid, tid, { name: what, args: { name } });
  }

  #time(cycle: number): number {
    return Number((cycle / this.#cyclesPerMicrosecond).toFixed(3));
  }

  /** The track of a thread, named when it is first used. */
  #track(thread: number): readonly [pid: number, tid: number] {
    const { id, process, name } = this.#threads.get(thread) ?? { ...NO_THREAD, id: thread };
    const pid = process + 1;
    const key = `${process} ${id} ${name}`;
    if (!this.#named.has(key)) {
      this.#named.add(key);
      if (!this.#named.has(`${process}`)) {
        this.#named.add(`${process}`);
        this.#name(
          "process_name",
          pid,
          0,
          process === 0 ? "kernel (process 0)" : `${name} (process ${process})`,
        );
      }
      this.#name("thread_name", pid, id, id === 0 ? "before threads" : `${name} thread ${id}`);
    }
    return [pid, id];
  }

  #instant(pid: number, tid: number, cycle: number, name: string, args: Fields): void {
    this.#put("i", pid, tid, { name, ts: this.#time(cycle), s: "t", args });
  }

  #endRunning(cycle: number): void {
    if (!this.#running) return;
    const { name, since } = this.#running;
    this.#running = undefined;
    this.#slice(name, since, cycle);
  }

  #slice(name: string, since: number, until: number): void {
    const ts = this.#time(since);
    this.#put("X", PROCESSOR, RUNNING, { name, ts, dur: Number((this.#time(until) - ts).toFixed(3)) });
  }

  event(event: TraceEvent): void {
    const { cycle } = event;
    const hex = (value: number) => `0x${value.toString(16)}`;
    switch (event.event) {
      case "switch": {
        const { thread } = event;
        this.#threads.set(thread.id, thread);
        this.#endRunning(cycle);
        this.#running = { name: `${thread.name} thread ${thread.id}`, since: cycle };
        break;
      }
      case "idle":
        this.#endRunning(cycle);
        this.#slice("idle", cycle, event.until);
        break;
      case "call": {
        const depth = this.#open.get(event.thread) ?? 0;
        const ts = this.#time(cycle);
        if (event.phase === "begin") {
          this.#open.set(event.thread, depth + 1);
          const name = `${event.interface}.${event.method}`;
          this.#put("B", ...this.#track(event.thread), {
            name,
            cat: event.path,
            ts,
            args: { path: event.path },
          });
        } else if (depth > 0) {
          this.#open.set(event.thread, depth - 1);
          this.#put("E", ...this.#track(event.thread), {
            ts,
            args: { result: event.result ?? "thread ended" },
          });
        }
        break;
      }
      case "trap": {
        const { name, ring, eip, error, address } = event;
        const more = {
          ...(error !== undefined && { error }),
          ...(address !== undefined && { address: hex(address) }),
        };
        this.#instant(...this.#track(event.thread), cycle, name, { ring, eip: hex(eip), ...more });
        break;
      }
      case "interrupt": {
        const { name, ring, thread } = event;
        this.#instant(PROCESSOR, INTERRUPTS, cycle, name, { ring, thread });
        break;
      }
      case "tlb": {
        const { kind, address, thread } = event;
        this.#instant(PROCESSOR, TLB, cycle, kind, { address: hex(address), thread });
        break;
      }
    }
  }

  /** Calls that are under way end here, so that every span has an end. */
  close(cycle: number): void {
    this.#endRunning(cycle);
    const ts = this.#time(cycle);
    for (const [thread, depth] of this.#open) {
      for (let left = depth; left > 0; left--) {
        this.#put("E", ...this.#track(thread), { ts, args: { result: "not over" } });
      }
    }
    this.#write("\n]}\n");
  }
}
