/** The programs of the bench compute what they claim, whoever compiles them. */
import { readFileSync } from "node:fs";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { describe, expect, it } from "vitest";
import { gccAvailable, measureGcc, measureOurs } from "./generated-code.ts";
import { BENCH_PROGRAMS } from "./programs.ts";

const ambient = readFileSync(`${REPOSITORY}os/ambient.d.ts`, "utf8");
const gcc = gccAvailable();

/** Results that do not come from either compiler. */
const KNOWN: Readonly<Record<string, number>> = {
  "sieve to 16384": 1900, // primes below 16384
  "calls: fibonacci 18 through a pointer": 2584,
};

describe(`generated code${gcc ? "" : " (not compared: gcc -m32 is not installed)"}`, () => {
  it.each(BENCH_PROGRAMS)("$name", async (program) => {
    const ours = await measureOurs(program, ambient);
    expect(ours.instructions).toBeGreaterThan(10_000);
    expect(ours.bytes).toBeGreaterThan(20);
    const known = KNOWN[program.name];
    if (known !== undefined) expect(ours.result).toBe(known);
    if (gcc) expect(measureGcc(program).result).toBe(ours.result);
  });

  it("counts alike in every run", async () => {
    const [program] = BENCH_PROGRAMS;
    const { instructions, cycles } = await measureOurs(program!, ambient);
    expect(await measureOurs(program!, ambient)).toMatchObject({ instructions, cycles });
  });
});
