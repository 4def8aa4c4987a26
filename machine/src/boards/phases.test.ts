import { describe, expect, it } from "vitest";
import { Counter, describeCounters, type ProcessorStatistics } from "../i386/statistics.ts";
import { PhaseRecord } from "./phases.ts";

/** Statistics whose instruction count grows by one each time they are asked for. */
function counting(): () => ProcessorStatistics {
  let asked = 0;
  return () => describeCounters(new Float64Array(Counter.LENGTH), ++asked, asked * 10);
}

describe("phases", () => {
  it("keep what the guest does between mark and resume out of both phases", () => {
    const record = new PhaseRecord(counting());
    record.counter("threads", 3);
    record.mark({ cycle: 10, phase: 1, name: "one" });
    record.counter("threads", 4);
    record.resume();
    record.counter("threads", 5);
    const [phase] = record.phases;
    expect(phase).toMatchObject({ phase: 1, name: "one", counters: { threads: 4 } });
    expect([phase!.reached.instructions, phase!.resumed.instructions]).toEqual([1, 2]);
    expect(record.counters).toEqual({ threads: 5 });
  });

  it("take a mark without resume as one moment, and a resume without mark as nothing", () => {
    const record = new PhaseRecord(counting());
    record.resume();
    expect(record.phases).toEqual([]);
    record.mark({ cycle: 10, phase: 1, name: "" });
    expect(record.phases[0]!.resumed).toBe(record.phases[0]!.reached);
  });

  it("are bounded", () => {
    const record = new PhaseRecord(counting());
    for (let phase = 0; phase < 5000; phase++) record.mark({ cycle: phase, phase, name: "" });
    const last = record.phases.at(-1);
    record.resume();
    expect(record.phases.length + record.lost).toBe(5000);
    expect(record.phases.at(-1)).toBe(last);
  });
});
