/** Counts and chains of calls of a program whose every instruction is known, and that watching changes nothing. */
import { describe, expect, it } from "vitest";
import { PentiumPc } from "../boards/pentium-pc.ts";
import { Assembler } from "../i386/assembler.ts";
import { al, dword, eax, ecx, edi, esi, esp, symbol } from "../i386/assembly.ts";
import type { CycleModelName } from "../i386/cycles.ts";
import { Coverage } from "./coverage.ts";
import { ExactProfiler } from "./exact-profiler.ts";
import type { ProfiledCall } from "./profile.ts";
import { Sampler } from "./sampler.ts";

const CODE = 0x1_0ff0;
const CALLS = 10;
const LEVELS = 4;

interface Program {
  readonly pc: PentiumPc;
  readonly symbols: ReadonlyMap<string, number>;
  readonly functionOf: (eip: number) => number;
}

/** `main` calls `outer` ten times, which copies a page and calls `inner`, which calls itself. Code crosses a page's end. */
function program(cycleModel: CycleModelName = "fast"): Program {
  const pc = new PentiumPc({ memory: 4 * 2 ** 20, cycleModel });
  const a = new Assembler();
  a.label("main");
  a.emit("mov", esp, 0x2_0000);
  a.emit("mov", eax, CALLS);
  a.label("again");
  a.emit("call", symbol("outer"));
  a.emit("dec", eax);
  a.emit("jnz", symbol("again"));
  a.emit("mov", al, 2);
  a.emit("out", 0xf4, al);
  a.label("outer");
  a.emit("mov", esi, 0x3_0000);
  a.emit("mov", edi, 0x4_0000);
  a.emit("mov", ecx, 1024);
  a.emitPrefixed("rep", "movsd");
  a.emit("mov", ecx, LEVELS);
  a.emit("call", symbol("inner"));
  a.emit("ret");
  a.label("inner");
  a.emit("dec", ecx);
  a.emit("jz", symbol("bottom"));
  a.emit("call", symbol("inner"));
  a.label("bottom");
  a.emit("add", dword({ displacement: 0x5_0000 }), 1);
  a.emit("ret");
  const { text, symbols, fixups } = a.finish();
  const bytes = pc.ram;
  bytes.set(text, CODE);
  const view = pc.ramView;
  for (const { offset, symbol: name, addend, kind } of fixups) {
    const target = CODE + symbols.get(name)! + addend;
    view.setUint32(CODE + offset, kind === "absolute32" ? target : target - (CODE + offset + 4), true);
  }
  pc.processor.enterFlat(CODE);
  const starts = ["main", "outer", "inner"].map((name) => CODE + symbols.get(name)!);
  return { pc, symbols, functionOf: (eip) => starts.filter((start) => start <= eip).at(-1) ?? 0 };
}

function ended(pc: PentiumPc, slice: number): string {
  while (!pc.end) pc.run(pc.cycle + slice);
  expect(pc.end).toMatchObject({ reason: "exit" });
  return `${pc.cycle} ${pc.instructions} ${pc.stateHash()}`;
}

const sum = (numbers: Iterable<number>) => [...numbers].reduce((total, number) => total + number, 0);
const total = (calls: Iterable<ProfiledCall>): number =>
  sum([...calls].map(({ cycles, callees }) => cycles + total(callees.values())));

describe("the exact profiler", () => {
  it.each([
    ["fast", 1_000_000],
    ["fast", 37],
    ["detailed", 1_000_000],
    ["detailed", 37],
  ] as const)("model %s in slices of %i: every instruction and cycle, once", (model, slice) => {
    const plain = ended(program(model).pc, slice);
    const { pc, symbols, functionOf } = program(model);
    const profiler = new ExactProfiler(pc.processor, undefined, functionOf);
    pc.processor.watcher = profiler;
    pc.processor.observer = profiler;
    expect(ended(pc, slice)).toBe(plain);
    const { places, roots, cycles, instructions, idle } = profiler.profile();
    expect([cycles, instructions, idle]).toEqual([pc.cycle, pc.instructions, 0]);
    expect(sum(places.map((place) => place.cycles))).toBe(pc.cycle);
    expect(sum(places.map(({ count }) => count))).toBe(pc.instructions);
    const countAt = (name: string) => places.find(({ eip }) => eip === CODE + symbols.get(name)!)?.count;
    expect(["again", "outer", "inner", "bottom"].map(countAt)).toEqual([
      ...[CALLS, CALLS, CALLS * LEVELS, CALLS * LEVELS],
    ]);
    // Main, outer, and inner four deep.
    const chain: number[] = [];
    for (let calls = [...roots]; calls.length > 0; calls = [...calls[0]!.callees.values()]) {
      expect(calls).toHaveLength(1);
      chain.push(calls[0]!.eip - CODE);
    }
    const at = (name: string) => symbols.get(name)!;
    expect(chain).toEqual([at("main"), at("outer"), ...Array(LEVELS).fill(at("inner"))]);
    expect(total(profiler.profile().roots)).toBe(pc.cycle);
  });
});

describe("coverage", () => {
  it("holds what ran and nothing else, and changes nothing", () => {
    const plain = ended(program().pc, 5000);
    const { pc, symbols } = program();
    const coverage = new Coverage();
    pc.processor.watcher = coverage;
    expect(ended(pc, 5000)).toBe(plain);
    for (const name of ["main", "outer", "inner", "bottom"])
      expect(coverage.executed.has(CODE + symbols.get(name)!)).toBe(true);
    // 7 in main, 7 in outer, 5 in inner.
    expect(coverage.executed.size).toBe(7 + 7 + 5);
  });
});

describe("the sampler", () => {
  it("changes nothing, and its samples are spread as the time is", () => {
    const plain = ended(program().pc, 5000);
    const { pc, functionOf } = program();
    const sampler = new Sampler(
      pc,
      {
        halted: false,
        get instructions() {
          return pc.instructions;
        },
        stack: () => [{ space: { process: 0, name: "main", ring: 0 }, eip: functionOf(pc.processor.eip) }],
      },
      100,
    );
    while (!pc.end) sampler.run(pc.cycle + 3333);
    expect(`${pc.cycle} ${pc.instructions} ${pc.stateHash()}`).toBe(plain);
    const { places, cycles } = sampler.profile();
    expect(cycles).toBe(pc.cycle);
    expect(sum(places.map(({ count }) => count))).toBe(Math.floor(pc.cycle / 100));
    // Nearly all the time goes into copying, which is in outer.
    const busiest = places.reduce((a, b) => (a.count > b.count ? a : b));
    expect(busiest.cycles / cycles).toBeGreaterThan(0.8);
  });
});
