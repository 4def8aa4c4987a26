/**
 * Every ring 3 instruction on our machine, compared with the host's own processor (a 32-bit Linux process).
 * What is compared: all registers, defined flags, segment registers, memory, exception vector, error code, CR2.
 */
import { describe, expect, it } from "vitest";
import { instructions } from "../../i386/table.ts";
import { differences, type InstructionCase } from "./case.ts";
import { generateFloatingPointCases } from "./floating-point-cases.ts";
import { generateCases, isUserRow } from "./generate.ts";
import { RESULT_SIZE } from "./layout.ts";
import { readContext } from "./results.ts";
import { runOnHost } from "./run-case-programs.ts";
import { runOnPentiumPc } from "./run-on-pentium-pc.ts";
import { summary } from "./summary.ts";

const hostRuns = runOnHost(generateCases().slice(0, 1)) !== undefined;
const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

function disagreements(cases: readonly InstructionCase[], ours: Uint8Array, theirs: Uint8Array): string[] {
  return cases.flatMap((test, i) => {
    const found = differences(test, i, ours, theirs);
    return found.length === 0
      ? []
      : [`case ${i}: ${test.text} (${hex(test.slot)}): ${found.slice(0, 8).join("; ")}`];
  });
}

describe.skipIf(!hostRuns)(
  "compared with the host's processor (skipped where 32-bit x86 programs do not run)",
  () => {
    it("integer, control and refused system instructions", () => {
      const cases = generateCases();
      const host = runOnHost(cases)!;
      summary("integer", cases, host);
      expect(disagreements(cases, runOnPentiumPc(cases), host)).toEqual([]);
    });

    it("floating-point instructions", () => {
      const cases = generateFloatingPointCases();
      const host = runOnHost(cases)!;
      summary("floating point", cases, host);
      expect(disagreements(cases, runOnPentiumPc(cases), host)).toEqual([]);
    });

    it("a wrong flag, register, byte of memory or vector would be seen", () => {
      const cases = generateCases((row) => row.operation === "add");
      const host = runOnHost(cases)!;
      const finished = cases.findIndex((_, i) => readContext(host, i * RESULT_SIZE).vector === 3);
      // Vector, EAX, EFLAGS, a byte of the window.
      for (const offset of [48, 44, 64, 88 + 300]) {
        const changed = host.slice();
        changed[finished * RESULT_SIZE + offset]! ^= 1;
        expect(disagreements(cases, changed, host)).toHaveLength(1);
      }
    });
  },
);

it("cases cover every row that ring 3 can run or is refused", () => {
  const covered = new Set(generateCases().map((test) => test.row.number));
  expect(instructions.filter((row) => isUserRow(row) && !covered.has(row.number))).toEqual([]);
});
