/**
 * What the engine does of gates, returns, task switches and loads of segments equals the slow ways, which an observer asks for, and compiled
 * code: the same cycles, TLB misses and counts, the same state of the whole machine behind all system checks.
 */
import { describe, expect, it } from "vitest";
import { PentiumPc } from "../../boards/pentium-pc.ts";
import { buildCheckKernel } from "./check-kernel.ts";
import { pagingChecks } from "./checks-paging.ts";
import { ringChecks } from "./checks-rings.ts";
import { segmentChecks } from "./checks-segments.ts";
import { taskChecks } from "./checks-tasks.ts";

const suites = { segments: segmentChecks, rings: ringChecks, paging: pagingChecks, tasks: taskChecks };

function run(kernel: Uint8Array, jit: "on" | "off", isObserved: boolean) {
  const pc = new PentiumPc({ memory: 8 * 2 ** 20, jit, compiler: { hot: 1 } });
  let switches = 0;
  if (isObserved) pc.processor.observer = { taskSwitch: () => switches++ };
  pc.loadMultiboot(kernel);
  pc.run(1e9);
  return { seen: { cycle: pc.cycle, state: pc.stateHash(), statistics: pc.statistics() }, switches };
}

describe("slow ways", () => {
  it.each(Object.entries(suites))("%s", (name, checks) => {
    const kernel = buildCheckKernel(checks);
    const slow = run(kernel, "off", true);
    expect(run(kernel, "off", false).seen).toEqual(slow.seen);
    expect(run(kernel, "on", false).seen).toEqual(slow.seen);
    if (name === "tasks") expect(slow.switches).toBeGreaterThan(20);
  });
});
