/**
 * Compiled and interpreted code side by side: the same programs on two machines, one of which compiles every entry at its first
 * visits. At every stop registers, flags, cycles, retired instructions, TLB banks, RAM and statistics must be the same.
 */
import { describe, expect, it } from "vitest";
import { createIntegerLoop } from "../../bench/integer-loop.ts";
import { makeSystemImage } from "../../bench/system-images.ts";
import { PentiumPc } from "../../boards/pentium-pc.ts";
import { bareHarness } from "../../test/instructions/bare-harness.ts";
import { generateCases } from "../../test/instructions/generate.ts";
import {
  crowdedTlb,
  distantCalls,
  earlyEntry,
  jumpTable,
  lateEntry,
  movingBase,
  randomProgram,
  segmentLoads,
} from "../../test/lock-step-programs.ts";
import type { CycleModelName } from "../cycles.ts";
import { Slot } from "../layout.ts";

interface Pair {
  readonly interpreted: PentiumPc;
  readonly compiled: PentiumPc;
}

function pairOf(
  kernel: Uint8Array,
  memory: number,
  hot: number,
  cycleModel: CycleModelName = "fast",
  pause = 0,
  mostRegions = 1000,
): Pair {
  const interpreted = new PentiumPc({ memory, cycleModel });
  const compiled = new PentiumPc({ memory, cycleModel, jit: "on", compiler: { hot, pause, mostRegions } });
  for (const pc of [interpreted, compiled]) pc.loadMultiboot(kernel);
  return { interpreted, compiled };
}

/** What differs, first register first; empty when nothing does. */
function differences({ interpreted, compiled }: Pair, withMemory: boolean): string[] {
  const found: string[] = [];
  const [a, b] = [interpreted.processor, compiled.processor];
  if (interpreted.cycle !== compiled.cycle) found.push(`cycle ${interpreted.cycle}, ${compiled.cycle}`);
  if (a.instructions !== b.instructions) found.push(`instructions ${a.instructions}, ${b.instructions}`);
  const [left, right] = [a.stateWords(), b.stateWords()];
  for (let i = 0; i < left.length; i++) {
    if (left[i] !== right[i]) {
      found.push(
        `state word ${i} ${left[i]!.toString(16)}, ${right[i]!.toString(16)} at ${a.eip.toString(16)}`,
      );
    }
  }
  const [timing, otherTiming] = [a, b].map((processor) => JSON.stringify(processor.state().timing));
  if (timing !== otherTiming) found.push(`timing ${timing}, ${otherTiming} at ${a.eip.toString(16)}`);
  if (withMemory && found.length === 0) {
    if (interpreted.stateHash() !== compiled.stateHash())
      found.push(`state hash at cycle ${interpreted.cycle}`);
  }
  return found;
}

/** Runs both in steps of so many cycles. */
function runInStep(pair: Pair, step: number, last: number, hashEvery: number): void {
  for (let i = 1; i * step <= last; i++) {
    const stop = pair.interpreted.run(i * step);
    const other = pair.compiled.run(i * step);
    expect(other).toEqual(stop);
    expect(differences(pair, i % hashEvery === 0)).toEqual([]);
    if (stop.reason !== "cycle") break;
  }
  expect(differences(pair, true)).toEqual([]);
  expect(pair.compiled.statistics()).toEqual(pair.interpreted.statistics());
}

describe.each(["fast", "detailed"] as const)(
  "with the model %s compiled code is the interpreter's equal",
  (model) => {
    it("on random programs", () => {
      let compiledShare = 0;
      const seeds = model === "fast" ? 12 : 6;
      for (let seed = 1; seed <= seeds; seed++) {
        const pair = pairOf(randomProgram(seed), 4 * 2 ** 20, 3, model);
        runInStep(pair, 97 + seed * 31, 60_000, 40);
        const { instructions } = pair.compiled.processor.compiler!.statistics;
        compiledShare += instructions / pair.compiled.instructions / seeds;
      }
      expect(compiledShare).toBeGreaterThan(0.5);
    }, 60_000);

    it("on every instruction form of the generator, with faults", () => {
      const pair = pairOf(
        bareHarness(generateCases().filter((_, i) => i % 10 === 0)).elf,
        64 * 2 ** 20,
        1,
        model,
      );
      runInStep(pair, 1_000_000, 5e9, 1e9);
      expect(pair.compiled.end?.reason).toBe("exit");
    }, 60_000);

    it("where an instruction that the interpreter runs becomes an entry of its own after its region was compiled", () => {
      const pair = pairOf(lateEntry(), 4 * 2 ** 20, 3, model);
      runInStep(pair, 1009, 60_000, 10);
      expect(pair.compiled.processor.compiler?.statistics.instructions).toBeGreaterThan(0);
    });

    it("where jumps go through a table that changes", () => {
      const pair = pairOf(jumpTable(), 4 * 2 ** 20, 3, model);
      runInStep(pair, 1009, 200_000, 20);
      const { instructions } = pair.compiled.processor.compiler!.statistics;
      expect(instructions / pair.compiled.instructions).toBeGreaterThan(0.9);
    });

    it("where the base of a segment changes, without coming back from every region", () => {
      const pair = pairOf(movingBase(), 4 * 2 ** 20, 3, model);
      runInStep(pair, 1013, 100_000, 20);
      const { instructions, runs } = pair.compiled.processor.compiler!.statistics;
      expect(instructions / pair.compiled.instructions).toBeGreaterThan(0.9);
      expect(instructions / runs).toBeGreaterThan(100);
    });

    it("where pages displace each other in the data TLB", () => {
      for (const seed of [1, 2]) {
        const pair = pairOf(crowdedTlb(seed), 4 * 2 ** 20, 3, model);
        runInStep(pair, 1013, 100_000, 20);
        const { instructions } = pair.compiled.processor.compiler!.statistics;
        expect(instructions / pair.compiled.instructions).toBeGreaterThan(0.8);
        expect(pair.compiled.statistics().tlbMisses.data4K).toBeGreaterThan(1000);
      }
    });

    it("where data segments are loaded in the middle of a region", () => {
      for (const seed of [1, 2, 3]) {
        const pair = pairOf(segmentLoads(seed), 8 * 2 ** 20, 3, model);
        runInStep(pair, 1013, 150_000, 20);
        const { instructions } = pair.compiled.processor.compiler!.statistics;
        expect(instructions / pair.compiled.instructions).toBeGreaterThan(model === "fast" ? 0.5 : 0.1);
      }
    });

    it("on the CRC loop", () => {
      const [plain, fast] = [createIntegerLoop("off"), createIntegerLoop("on")];
      for (let i = 0; i < 5; i++) expect(fast.run(1_000_000)).toBe(plain.run(1_000_000));
      expect(fast.result()).toBe(plain.result());
      expect(fast.result()).not.toBe(0);
    });
  },
);

describe("entries that sleep", () => {
  it.each([
    ...[1, 2].map((seed) => [`random loads of segments ${seed}`, segmentLoads(seed), 1013] as const),
    ["code that is written", makeSystemImage("writtenCode", 50).bytes, 997],
    // No run is long.
    ["an instruction that the interpreter runs", earlyEntry(), 41],
    ["page faults", makeSystemImage("pageFault", 50).bytes, 3001],
  ] as const)("do not change %s", (_name, kernel, step) => {
    const pair = pairOf(kernel, 8 * 2 ** 20, 3, "fast", 1);
    runInStep(pair, step, step * 200, 20);
    expect(pair.compiled.processor.compiler!.statistics.sleeps).toBeGreaterThan(3);
  });

  it("are forgotten with all code, or with all regions", () => {
    const pair = pairOf(segmentLoads(4), 8 * 2 ** 20, 3, "fast", 1, 10);
    for (let i = 1; i < 30; i++) {
      for (const pc of [pair.interpreted, pair.compiled]) pc.run(i * 10_007);
      expect(differences(pair, true)).toEqual([]);
      if (i % 7 === 0) pair.compiled.processor.codeCache.dropAll();
    }
    const { sleeps, flushes } = pair.compiled.processor.compiler!.statistics;
    expect(sleeps).toBeGreaterThan(100);
    expect(flushes).toBeGreaterThan(5);
  });
});

it("small regions wait longer than others", () => {
  for (const [kernel, isSmall] of [
    [distantCalls(), true],
    [lateEntry(), false],
  ] as const) {
    const pc = new PentiumPc({ memory: 4 * 2 ** 20, jit: "on" });
    pc.loadMultiboot(kernel);
    const { statistics } = pc.processor.compiler!;
    while (statistics.modules === 0 && pc.instructions < 1_000_000) pc.run(pc.cycle + 5000);
    const turns = pc.processor.core.s[Slot.ESI]!;
    expect(turns).toBeGreaterThan(isSmall ? 50_000 : 4000);
    expect(turns).toBeLessThan(isSmall ? 60_000 : 8000);
  }
});
