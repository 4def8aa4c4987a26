/** A short run of the fuzzer over all of its subjects, the same every time; and that it would find something. */
import { beforeAll, describe, expect, it } from "vitest";
import { fuzz } from "./fuzzer.ts";
import { buildFuzzedSystem, type FuzzedSystem, fuzzSubjects } from "./subjects.ts";

const INPUTS: readonly (readonly [name: string, inputs: number])[] = [
  ["multiboot", 40],
  ["snapshot", 30],
  ["machine state", 30],
  ["recording", 40],
  ["archive", 100],
  ["symbols", 100],
  ["debugger", 40],
  ["program", 2],
];
const BUILD_TIME = 600_000;

const after = (count: number) => (inputs: number) => inputs >= count;

describe("fuzzing", () => {
  let system: FuzzedSystem;
  beforeAll(async () => {
    system = await buildFuzzedSystem();
  }, BUILD_TIME);

  it("has an entry here for every subject", () => {
    expect(INPUTS.map(([name]) => name)).toEqual([...fuzzSubjects(system).keys()]);
  });

  it.each(INPUTS)("%s: takes or refuses everything (%i inputs)", (name, inputs) => {
    const subject = fuzzSubjects(system).get(name)?.();
    if (!subject) throw new Error(`no ${name}`);
    const report = fuzz(subject, { seed: 1, enough: after(inputs) });
    expect(report.findings.map(({ what }) => what)).toEqual([]);
    expect(report.inputs).toBeGreaterThanOrEqual(inputs);
    // What it begins with is taken.
    expect(report.accepted).toBeGreaterThan(0);
    expect(report.reached).toBeGreaterThan(0);
  });

  it("finds an error that only an unlikely input reaches, by the code that it reaches on the way", () => {
    const magic = [0xff, 0x80];
    const fault = (input: Uint8Array): void => {
      if (input[0] !== magic[0]) throw new RangeError("first");
      if (input[1] === magic[1]) throw new TypeError("found");
    };
    const subject = {
      name: "example",
      sources: /fuzz\.test/,
      seeds: [new Uint8Array(2)],
      refusals: ["RangeError"],
      run: fault,
    };
    const report = fuzz(subject, { seed: 5, enough: (inputs, findings) => inputs >= 800 || findings > 0 });
    expect(report.findings).toHaveLength(1);
    expect(report.findings[0].what).toMatch(/TypeError: found/);
  });
});
