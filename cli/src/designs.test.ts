/**
 * The kernels that boot options make (§7.4, Figure 7-2, the VTLB's least size, the probe checks): a few cases of the guest's suite that tell them
 * apart, in a process and in the kernel, on our machine. `npm run designs` runs the whole suite under each.
 */
import { describe, expect, it } from "vitest";
import { buildSystemReporting } from "./build-system.ts";
import { runGuest, runLine } from "./guest-run.ts";
import { readReport, TRIM_INTERVAL } from "./suite-run.ts";

const CASES = [
  "kernel-calls-at-page-borders",
  "idle-stacks",
  "stacks-of-waiting-threads",
  "deep-recursion",
  "fault-stack-overflow",
  "process-server-callbacks",
  "program-killed",
];
const MEMORY = 16 * 2 ** 20;

/** Boot option, ring of programs in the kernel, and a counter that shows that the option was taken. */
const KERNELS: readonly [string, string, number, string, number][] = [
  ["traps", "taskgate", 0, "stacks.policy", 0],
  ["traps", "ring0", 0, "stacks.policy", 2],
  ["stacks", "untrimmed", 1, "stacks.policy", 1],
  ["stacks", "fixed", 1, "stacks.policy", 2],
  ["stacks", "dedicated", 1, "stacks.policy", 3],
  ["vtlb", "10", 1, "vtlb.bound", 10],
  ["debug", "on", 1, "stacks.policy", 0],
];

await buildSystemReporting();

describe("the suite's cases of stacks and traps", () => {
  it.each(KERNELS)("with %s=%s", async (option, value, ring, counter, wanted) => {
    const places = ["process", "kernel"] as const;
    const lines = [...places.map((place) => runLine("suite", place, ["all", ...CASES])), "run -k hello"];
    const options = new Map([
      ["trim", TRIM_INTERVAL],
      [option, value],
    ]);
    const run = await runGuest({ on: "rialto", lines, memory: MEMORY, options, show: "nothing" });
    const { passed, failed } = readReport(run.text);
    expect(failed).toEqual([]);
    expect(passed.toSorted(), run.text).toEqual([...CASES, ...CASES].toSorted());
    expect(run.status).toBe(0);
    expect(run.text).toMatch(new RegExp(`^Hello from process 0 \\(kernel\\), ring ${ring},`, "m"));
    expect(run.statistics?.counters[counter]).toBe(wanted);
  });
});
