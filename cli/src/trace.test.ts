/** Traces of the booted system: what they hold, that every span ends, and that nothing in the machine is different for it. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TraceEvent } from "@rialto/machine/trace/events.ts";
import { afterAll, describe, expect, it } from "vitest";
import { type BootRequest, bootMachine } from "./boot.ts";
import { UsageError } from "./errors.ts";
import { parseTraceFlags } from "./observation-flags.ts";

const folder = mkdtempSync(join(tmpdir(), "rialto-trace-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const BUILD_TIME = 600_000;

interface Ended {
  readonly hash: string;
  readonly statistics: unknown;
}

/** Boots and runs a kernel and a remote call; the machine at the end. */
async function boot(more: Partial<BootRequest>): Promise<Ended> {
  const request: BootRequest = {
    on: "rialto",
    script: "run callbench 2\n",
    options: new Map([["quiet", "1"]]),
    memory: 16 * 2 ** 20,
    interruptible: false,
    ...more,
  };
  const { pc, status } = await bootMachine(request, () => ({ write: () => {}, flush: async () => {} }));
  expect(status).toBe(0);
  return { hash: pc.stateHash(), statistics: pc.statistics() };
}

const traced = (file: string, events = "all") => ({
  observation: { trace: parseTraceFlags({ trace: join(folder, file), traceEvents: events }) },
});
const read = (file: string) => readFileSync(join(folder, file), "utf8");
const events = (text: string) =>
  text
    .trimEnd()
    .split("\n")
    .slice(1)
    .map((line) => JSON.parse(line) as TraceEvent);

describe("traces of the system", () => {
  let plain: Ended;

  it(
    "changes nothing, compiled or interpreted, and is the same for both",
    async () => {
      plain = await boot({});
      expect(await boot({ ...traced("interpreted.jsonl"), jit: "off" })).toEqual(plain);
      expect(await boot({ ...traced("compiled.jsonl"), jit: "on" })).toEqual(plain);
      expect(read("compiled.jsonl")).toBe(read("interpreted.jsonl"));
    },
    BUILD_TIME,
  );

  it("holds calls by name on both sides, switches, faults and what the processor counts", async () => {
    const text = read("interpreted.jsonl");
    expect(JSON.parse(text.slice(0, text.indexOf("\n")))).toMatchObject({
      rialto: "trace",
      version: 1,
      frequency: 75_000_000,
    });
    const all = events(text);
    const called = (path: string) =>
      all.filter(
        (event) =>
          event.event === "call" &&
          event.phase === "begin" &&
          event.path === path &&
          `${event.interface}.${event.method}` === "IEcho.add",
      ).length;
    expect(called("remote")).toBeGreaterThanOrEqual(2);
    expect(called("server")).toBe(called("remote"));
    expect(
      all.some((event) => event.event === "call" && "interface" in event && event.interface === "?"),
    ).toBe(false);
    const names = new Set(all.flatMap((event) => (event.event === "switch" ? [event.thread.name] : [])));
    expect([...names]).toEqual(expect.arrayContaining(["kernel", "shell", "callbench", "echo", "console"]));
    const counted = plain.statistics as { pageFaults: number; tlbMisses: { data4K: number; code4K: number } };
    const count = (wanted: (event: TraceEvent) => boolean) => all.filter(wanted).length;
    expect(count((event) => event.event === "trap" && event.name === "page fault")).toBe(counted.pageFaults);
    expect(count((event) => event.event === "tlb" && event.kind === "data4K")).toBe(counted.tlbMisses.data4K);
    expect(count((event) => event.event === "tlb" && event.kind === "code4K")).toBe(counted.tlbMisses.code4K);
  });

  it("never goes back in time, and the calls of a thread nest", () => {
    const open = new Map<number, string[]>();
    let before = 0;
    for (const event of events(read("interpreted.jsonl"))) {
      expect(event.cycle).toBeGreaterThanOrEqual(before);
      before = event.cycle;
      if (event.event !== "call") continue;
      const paths = open.get(event.thread) ?? [];
      open.set(event.thread, paths);
      if (event.phase === "begin") paths.push(event.path);
      else expect(paths.pop()).toBe(event.path);
    }
  });

  it("is a file for Perfetto: named tracks, spans that end, microseconds", async () => {
    await boot(traced("trace.json", "switches,calls"));
    const { traceEvents } = JSON.parse(read("trace.json")) as {
      traceEvents: {
        ph: string;
        pid: number;
        tid: number;
        ts: number;
        name?: string;
        args?: { name?: string };
      }[];
    };
    const threads = traceEvents.filter(({ name }) => name === "thread_name").map(({ args }) => args!.name);
    expect(threads).toEqual(expect.arrayContaining(["running", "interrupts"]));
    // Instants are traps, interrupts and TLB misses: nobody asked for them.
    expect(traceEvents.some(({ ph }) => ph === "i")).toBe(false);
    expect(threads.some((name) => /^callbench thread \d+$/.test(name!))).toBe(true);
    const depth = new Map<string, number>();
    for (const { ph, pid, tid } of traceEvents) {
      const track = `${pid} ${tid}`;
      if (ph === "B") depth.set(track, (depth.get(track) ?? 0) + 1);
      if (ph === "E") {
        expect(depth.get(track)).toBeGreaterThan(0);
        depth.set(track, depth.get(track)! - 1);
      }
    }
    expect([...depth.values()].every((open) => open === 0)).toBe(true);
    const last = Math.max(...traceEvents.map(({ ts }) => ts ?? 0));
    const { cycles, frequency } = plain.statistics as { cycles: number; frequency: number };
    expect(last).toBeCloseTo((cycles / frequency) * 1e6, 0);
  });
});

describe("flags of a trace", () => {
  it.each([
    [{ trace: "x.txt" }, /ends in \.jsonl .* or \.json/],
    [{ traceEvents: "calls" }, /it needs --trace FILE/],
    [{ trace: "x.json", traceEvents: "cals" }, /Did you mean calls\?/],
    [{ trace: "x.json", traceEvents: "" }, /it takes traps,calls/],
  ])("%o is refused", (flags, message) => {
    expect(() => parseTraceFlags(flags)).toThrow(UsageError);
    expect(() => parseTraceFlags(flags)).toThrow(message);
  });
});
