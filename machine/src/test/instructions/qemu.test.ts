/** A sample of the ring 3 cases on our machine and on QEMU, by the same bare-metal harness. */
import { describe, expect, it } from "vitest";
import { differences, type InstructionCase } from "./case.ts";
import { generateCases } from "./generate.ts";
import { hasQemu, runOnQemu } from "./run-case-programs.ts";
import { runOnPentiumPc } from "./run-on-pentium-pc.ts";
import { summary } from "./summary.ts";

/**
 * What QEMU leaves out, by its own reckoning: limits, types and null selectors of data segments; whether a fault of a read-modify-write
 * counts as a write (it reads first); undefined LOCKs (its translator fails); TEST's second encoding; flags that a faulting rotate
 * has changed; an ARPL that changes nothing still writes.
 */
function qemuDiffers(test: InstructionCase, found: readonly string[]): boolean {
  const faults = found[0]!.startsWith("error code") || test.row.operation.startsWith("rc");
  return /[cf]s:/.test(test.text) || faults || test.row.alias || test.row.operation === "arpl";
}

describe.skipIf(!hasQemu())("compared with QEMU (skipped where it is not installed)", () => {
  it("a sample of the integer instructions, its known gaps apart", () => {
    const all = generateCases((_, form) => !form.prefixes.includes(0xf0));
    const cases = generateCases((row, form) => row.number % 9 === 0 && !form.prefixes.includes(0xf0));
    expect(cases.length).toBeGreaterThan(all.length / 20);
    const qemu = runOnQemu(cases);
    const ours = runOnPentiumPc(cases);
    summary("QEMU sample", cases, qemu);
    const found = cases.flatMap((test, i) => {
      const list = differences(test, i, ours, qemu);
      return list.length === 0 || qemuDiffers(test, list) ? [] : [`${test.text}: ${list.join("; ")}`];
    });
    expect(found).toEqual([]);
  });
});
