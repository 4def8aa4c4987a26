/**
 * The system checks on our machine, on Bochs and on QEMU. Ours must do what the manual says, in every check; so must the oracles, but
 * for the deviations that are listed one by one.
 */

import { describe, expect, it } from "vitest";
import { isAvailable, type MachineName, runKernel, skipReason } from "../run-kernel.ts";
import { buildCheckKernel, describeLine } from "./check-kernel.ts";
import type { SystemCheck } from "./check-writer.ts";
import { debugChecks } from "./checks-debug.ts";
import { pagingChecks } from "./checks-paging.ts";
import { ringChecks } from "./checks-rings.ts";
import { segmentChecks } from "./checks-segments.ts";
import { taskChecks } from "./checks-tasks.ts";
import { deviations } from "./deviations.ts";

const suites: Readonly<Record<string, readonly SystemCheck[]>> = {
  segments: segmentChecks,
  rings: ringChecks,
  paging: pagingChecks,
  tasks: taskChecks,
  debugging: debugChecks,
};

/** Results by name. */
async function observe(machine: MachineName, checks: readonly SystemCheck[]): Promise<Map<string, string>> {
  const run = await runKernel(machine, buildCheckKernel(checks), { timeout: 30_000 });
  const lines = run.debug.split("\n").filter((line) => line.includes(" N"));
  return new Map(lines.map(describeLine).map(({ name, result }) => [name, result]));
}

/** What the machine must show; null where it must show anything but the manual's result. */
function expected(machine: MachineName, check: SystemCheck): string | null {
  const deviation = machine === "ours" ? undefined : deviations[machine].get(check.name);
  if (deviation === undefined) return check.expect;
  return deviation.result ?? null;
}

describe("system checks", () => {
  it("have names of their own", () => {
    const names = Object.values(suites).flatMap((checks) => checks.map((check) => check.name));
    expect(new Set(names).size).toBe(names.length);
    expect(names.length).toBeGreaterThan(290);
  });

  it("list only deviations of checks that exist", () => {
    const names = new Set(Object.values(suites).flatMap((checks) => checks.map((check) => check.name)));
    for (const list of Object.values(deviations)) {
      for (const name of list.keys()) expect(names, name).toContain(name);
    }
  });

  for (const machine of ["ours", "bochs", "qemu"] as const) {
    for (const [suite, checks] of Object.entries(suites)) {
      it.skipIf(!isAvailable(machine))(`${suite} on ${machine}${skipReason(machine)}`, async () => {
        const results = await observe(machine, checks);
        const seen: Record<string, string> = {};
        const wanted: Record<string, string> = {};
        for (const check of checks) {
          const result = results.get(check.name) ?? "nothing";
          const right = expected(machine, check);
          if (right === null) expect(result, check.name).not.toBe(check.expect);
          else {
            seen[check.name] = result;
            wanted[check.name] = right;
          }
        }
        expect(seen).toEqual(wanted);
      });
    }
  }
});
