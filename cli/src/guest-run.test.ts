import { describe, expect, it } from "vitest";
import { comparedRows, formatTable, type Measurement } from "./compare-run.ts";
import { UsageError } from "./errors.ts";
import { runLine } from "./guest-run.ts";
import { type Counts, describeCounts } from "./statistics-file.ts";
import { checkGroup, readReport } from "./suite-run.ts";

describe("the shell's run line", () => {
  it("names place, program and arguments", () => {
    expect(runLine("hello", "process", [])).toBe("run hello");
    expect(runLine("hello", "kernel", ["a", "-b"])).toBe("run -k hello a -b");
  });

  it.each([[["a b"]], [["line\nbreak"]], [[""]], [Array<string>(31).fill("x")], [["x".repeat(501)]]])(
    "refuses what the shell would split or cut: %j",
    (words) => {
      expect(() => runLine("hello", "process", words)).toThrow(UsageError);
    },
  );
});

describe("the suite's report", () => {
  it("is complete when its last line agrees with the lines before", () => {
    expect(readReport("ok one\n  two: wrong\nFAILED two\nok three\n2 passed, 1 failed\n")).toEqual({
      passed: ["one", "three"],
      failed: ["two"],
      complete: true,
    });
  });

  it.each(["ok one\n", "ok one\n2 passed, 0 failed\n", "", "1 passed, 0 failed\n"])("is not: %j", (text) => {
    expect(readReport(text).complete).toBe(false);
  });

  it("has groups that the suite knows", () => {
    expect(checkGroup("threads")).toBe("threads");
    expect(() => checkGroup("thread")).toThrow(/Did you mean 'threads'/);
  });
});

function counts(change: (statistics: Parameters<typeof describeCounts>[0]) => void): Counts {
  const statistics = {
    instructions: 0,
    cycles: 0,
    cyclesByRing: [0, 0, 0, 0] as [number, number, number, number],
    cyclesIdle: 0,
    exceptions: Array<number>(256).fill(0),
    softwareInterrupts: Array<number>(256).fill(0),
    hardwareInterrupts: Array<number>(256).fill(0),
    ringTransitions: { "3-1": 0 },
    taskSwitches: 0,
    tlbMisses: { code4K: 0, data4K: 0, data4M: 0 },
    pageFaults: 0,
    segmentLoads: 0,
    cr3Loads: 0,
  };
  change(statistics);
  return describeCounts(statistics);
}

describe("counts", () => {
  it("have the documented names", () => {
    const described = counts((s) => {
      s.cycles = 1000;
      s.cyclesByRing = [1, 2, 3, 4];
      s.cyclesIdle = 990;
      s.exceptions[14] = 5;
      s.exceptions[13] = 1;
      s.softwareInterrupts[0x30] = 6;
      s.softwareInterrupts[0x31] = 7;
      s.softwareInterrupts[0x32] = 8;
      s.softwareInterrupts[0x33] = 9;
      s.hardwareInterrupts[0x20] = 9;
      s.ringTransitions = { "3-1": 2, "1-3": 0 };
    });
    expect(described).toMatchObject({
      cycles: { total: 1000, user: 4, ring2: 3, kernel: 2, firstLevel: 1, idle: 990 },
      traps: {
        systemCalls: 6,
        privateTraps: 16,
        serverReturns: 8,
        pageFaults: 5,
        otherExceptions: 1,
        interrupts: 9,
      },
      ringTransitions: { "3-1": 2 },
      exceptions: { 13: 1, 14: 5 },
    });
  });
});

describe("compare's table", () => {
  const measured = (place: "process" | "kernel", instructions: number): Measurement => ({
    place,
    outcome: {
      status: 0,
      text: "",
      message: undefined,
      statistics: undefined,
      processorMilliseconds: undefined,
    },
    counts: counts((s) => {
      s.instructions = instructions;
      s.ringTransitions = place === "process" ? { "3-1": 4 } : {};
    }),
    pages: 3,
    calls: { system: 0, remote: 0 },
  });

  it("puts both runs and their ratio side by side", () => {
    const table = formatTable(comparedRows(measured("process", 3000), measured("kernel", 2000)));
    expect(table).toMatch(/^instructions +3,000 +2,000 +1\.50$/m);
    expect(table).toMatch(/^ring 3 to 1 +4 +0 +–$/m);
    expect(table).toMatch(/^page faults +0 +0$/m);
    expect(table).toMatch(/^pages, most at once +3 +3 +1\.00$/m);
  });
});
