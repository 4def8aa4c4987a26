/** A short run of the instruction fuzzer, the same every time; that it would find something; that strayed cases do the host no harm. */
import { describe, expect, it } from "vitest";
import { RESULT_SIZE } from "../instructions/layout.ts";
import { readContext } from "../instructions/results.ts";
import { runOnHost } from "../instructions/run-case-programs.ts";
import { isAvailable, skipReason } from "../run-kernel.ts";
import { canCompareWithHost } from "./compare-batch.ts";
import { caseOf, type FuzzInput, inputFromJson, inputToJson, listing } from "./fuzz-input.ts";
import { BATCH, type Check, compareOne, describeFinding, fuzzInstructions } from "./instruction-fuzzer.ts";

const batches = (count: number) => (done: number) => done >= count;

const INPUT: FuzzInput = {
  code: Uint8Array.of(0x40, 0xcd, 0x80),
  registers: new Int32Array(8),
  eflags: 0x202,
  memory: new Uint8Array(576),
  x87: false,
};

describe("fuzzing of instructions", () => {
  it("finds nothing in a short run, and learns from it", () => {
    const { compared, kept, features, findings } = fuzzInstructions({ seed: 1, enough: batches(1) });
    expect(findings.map(describeFinding)).toEqual([]);
    expect(compared).toBe(BATCH);
    expect(kept).toBeGreaterThan(50);
    expect(features).toBeGreaterThan(kept);
  }, 60_000);

  it.skipIf(!isAvailable("bochs"))(
    `finds nothing about segments either${skipReason("bochs")}`,
    () => {
      const { compared, kept, findings } = fuzzInstructions({ seed: 1, system: true, enough: batches(1) });
      expect(findings.map(describeFinding)).toEqual([]);
      expect(compared).toBe(BATCH);
      expect(kept).toBeGreaterThan(50);
    },
    60_000,
  );

  it("makes what it finds small", () => {
    // As if operand-size prefixes were wrong.
    const hasPrefix: Check = (batch) =>
      batch.flatMap(({ input }, index) =>
        input.code.includes(0x66) ? [{ index, found: ["eax 1 ≠ 2"] }] : [],
      );
    const { findings } = fuzzInstructions({ seed: 2, enough: batches(1), checks: { nobody: hasPrefix } });
    expect(findings.length).toBeGreaterThan(0);
    for (const finding of findings) {
      expect(describeFinding(finding)).toMatch(/^ours ≠ nobody: eax 1 ≠ 2\n {2}[0-9a-f]*66[0-9a-f]* +\S/);
      expect(listing(finding.input)).toHaveLength(1);
    }
  }, 60_000);

  it("takes up a written finding again, and says why one cannot be compared", () => {
    for (const input of [INPUT, { ...INPUT, descriptors: new Uint8Array(24).fill(7) }])
      expect(inputFromJson(inputToJson(input))).toEqual(input);
    expect(compareOne(INPUT)).toMatchObject([{ found: ["not comparable: system calls"] }]);
    expect(compareOne({ ...INPUT, code: Uint8Array.of(0x40) })).toEqual([]);
  });

  // What it has found: images of the x87 are aligned as a whole, long numbers to 8 bytes, and are read from their beginning.
  const AC = 0x4_0000;
  const found: readonly (readonly [what: string, input: Partial<FuzzInput>])[] = [
    ["FRSTOR of an aligned image", { code: Uint8Array.of(0x90), eflags: 0x202 | AC }],
    [
      "FLD of 8 bytes aligned to 4",
      { code: Uint8Array.of(0xdd, 0x05, 0x84, 0x0f, 0x80, 0), eflags: 0x202 | AC },
    ],
    ["FLD of 10 bytes across the last page", { code: Uint8Array.of(0xdb, 0x2d, 0xfc, 0x1f, 0x80, 0) }],
  ];
  it.skipIf(!canCompareWithHost())(
    "a far call with words for operands faults at the first word that it pushes, as it has found",
    () => {
      // Nothing is where ESP points.
      const registers = new Int32Array(8).fill(-1391373878);
      const code = Uint8Array.of(0x66, 0x9a, 0xd1, 0x92, 0x23, 0);
      expect(compareOne({ ...INPUT, registers, code }).map(describeFinding)).toEqual([]);
    },
  );

  it("compiled branches to where nothing is fault there, as it has found", () => {
    // JMP EAX, JNO far away.
    for (const code of [
      [0xff, 0xe0],
      [0x0f, 0x81, 0xf0, 0x8b, 0x86, 0x0f],
    ]) {
      const registers = new Int32Array(8).fill(0x1234_5678);
      expect(compareOne({ ...INPUT, registers, code: Uint8Array.from(code) }).map(describeFinding)).toEqual(
        [],
      );
    }
  });

  it("prefixes that mean nothing do not matter to compiled code, as it has found", () => {
    // LEAVE, NOP, CDQ, PUSH with a prefix for 16-bit addresses.
    for (const code of [
      [0x67, 0xc9],
      [0x67, 0x90],
      [0x67, 0x99],
      [0x67, 0x6a, 1],
    ]) {
      const registers = new Int32Array(8).fill(0x80_1000);
      expect(compareOne({ ...INPUT, registers, code: Uint8Array.from(code) }).map(describeFinding)).toEqual(
        [],
      );
    }
  });

  it.skipIf(!canCompareWithHost()).each(found)("%s is as on the host", (_, input) => {
    expect(compareOne({ ...INPUT, x87: true, ...input }).map(describeFinding)).toEqual([]);
  });

  it.skipIf(!canCompareWithHost())(
    "a system call of a case is not made (skipped where 32-bit programs do not run)",
    () => {
      // EAX 1 is exit: without the filter the program would end here.
      const results = runOnHost([
        caseOf(INPUT, 0x40_0000),
        caseOf({ ...INPUT, code: Uint8Array.of(0x90) }, 0x40_0040),
      ]);
      expect(results?.length).toBe(2 * RESULT_SIZE);
      if (!results) return;
      // The call's place is left with what the filter returns, and the INT3 behind it is not reached.
      expect(readContext(results, 0).eip).toBe(0x40_0000 + 20 + 3);
      expect(readContext(results, RESULT_SIZE).vector).toBe(3);
    },
  );
});
