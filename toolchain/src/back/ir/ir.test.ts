/** The intermediate representation itself: the verifier can fail, folding and the passes do what their heads say. */
import { describe, expect, it } from "vitest";
import { Builder, newBlock, newRoutine } from "./build.ts";
import { removeDeadCode } from "./dead-code.ts";
import { finishGraph, splitCriticalEdges } from "./flow.ts";
import type { Block, Instruction, Routine } from "./instructions.ts";
import { legalise } from "./legalise.ts";
import { numberValues } from "./number-values.ts";
import { optimise, optimiseLegal } from "./optimise.ts";
import { printRoutine } from "./print.ts";
import { verify } from "./verify.ts";

function jump(from: Block, target: Block): void {
  from.terminator = { kind: "jump", target };
  target.predecessors.push(from);
}

function branch(from: Block, condition: Instruction, taken: Block, otherwise: Block): void {
  from.terminator = { kind: "branch", condition, taken, otherwise };
  taken.predecessors.push(from);
  otherwise.predecessors.push(from);
}

/** Sum of 0 to n - 1, as i64. */
function countingLoop(): { routine: Routine; loop: Block; sum: Instruction } {
  const routine = newRoutine("sum", ["i32"], "i64");
  const [entry, loop, exit] = [newBlock(routine), newBlock(routine), newBlock(routine)];
  const b = new Builder(routine, entry);
  const n = b.make("parameter", "i32", [], { offset: 0 });
  const [zero, zeroLong] = [b.i32(0), b.i64(0n)];
  jump(entry, loop);
  b.block = loop;
  const i = b.phi("i32", loop);
  const sum = b.phi("i64", loop);
  const next = b.make("add", "i32", [i, b.i32(1)]);
  const total = b.make("add", "i64", [sum, b.make("extendS", "i64", [i])]);
  branch(loop, b.make("ltS", "i32", [next, n]), loop, exit);
  i.operands = [zero, next];
  sum.operands = [zeroLong, total];
  exit.terminator = { kind: "return", values: [total] };
  finishGraph(routine, entry);
  return { routine, loop, sum };
}

describe("verifier", () => {
  it("accepts a loop, before and after every pass", () => {
    const { routine } = countingLoop();
    verify(routine);
    optimise(routine);
    verify(routine);
    legalise(routine);
    verify(routine);
    optimiseLegal(routine);
    splitCriticalEdges(routine);
    verify(routine);
    expect(printRoutine(routine)).not.toContain("i64 =");
  });

  it.each<[string, (made: ReturnType<typeof countingLoop>) => void, RegExp]>([
    ["a use before its definition", ({ loop }) => loop.instructions.reverse(), /before its definition/],
    ["a phi without operands", ({ sum }) => sum.operands.pop(), /lacks operands/],
    ["a missing edge", ({ loop }) => loop.predecessors.pop(), /0 edges/],
    ["a value that stands nowhere", ({ routine }) => routine.blocks[0].instructions.pop(), /stands nowhere/],
    [
      "phis of mixed types",
      ({ sum, loop }) => sum.operands.splice(0, 1, loop.phis[0]),
      /merges i32 into i64/,
    ],
  ])("refuses %s", (_, spoil, message) => {
    const made = countingLoop();
    spoil(made);
    expect(() => verify(made.routine)).toThrow(message);
  });
});

describe("folding", () => {
  const routine = newRoutine("f", ["i32", "i32"], "i32");
  const b = new Builder(routine, newBlock(routine));
  const x = b.make("parameter", "i32", [], { offset: 0 });
  const y = b.make("parameter", "i32", [], { offset: 1 });
  const c = (value: number) => b.i32(value);
  const add = (...operands: Instruction[]) => b.make("add", "i32", operands);

  it("removes identities", () => {
    expect(add(x, c(0))).toBe(x);
    expect(b.make("mul", "i32", [c(1), x])).toBe(x);
    expect(b.make("and", "i32", [x, c(-1)])).toBe(x);
    expect(b.make("sub", "i32", [x, x]).constant).toBe(0);
    expect(b.make("select", "i32", [x, y, y])).toBe(y);
  });

  it("gathers constants", () => {
    const sum = add(add(x, c(3)), add(y, c(4)));
    expect(sum.operands[1].constant).toBe(7);
    const load = b.make("load", "i32", [add(add(x, c(8)), y)], { offset: 4 });
    expect(load.offset).toBe(12);
  });

  it("turns negated addresses into sums", () => {
    const address = b.make("address", "i32", [], { symbol: "data", offset: 16 });
    const negated = b.make("sub", "i32", [c(0), address]);
    const sum = b.make("sub", "i32", [x, negated]);
    expect(sum.operation).toBe("add");
    const load = b.make("load", "i32", [add(sum, c(4))]);
    expect(load).toMatchObject({ symbol: "data", offset: 20, operands: [x] });
  });

  it("inverts comparisons with zero, but not those of floats", () => {
    const less = b.make("ltS", "i32", [x, y]);
    expect(b.make("eq", "i32", [less, c(0)]).operation).toBe("geS");
    const f = b.make("convertS", "f64", [x]);
    const below = b.make("lt", "i32", [f, f]);
    expect(b.make("eq", "i32", [below, c(0)]).operands[0]).toBe(below);
  });

  it("leaves a division by zero to run time", () => {
    expect(b.make("divS", "i32", [c(1), c(0)]).operation).toBe("divS");
    expect(b.make("divS", "i32", [c(-0x80000000), c(-1)]).operation).toBe("divS");
  });
});

describe("value numbering", () => {
  function loads(between: (b: Builder, x: Instruction, y: Instruction) => void): number {
    const routine = newRoutine("f", ["i32", "i32"], "i32");
    const entry = newBlock(routine);
    const b = new Builder(routine, entry);
    const x = b.make("parameter", "i32", [], { offset: 0 });
    const y = b.make("parameter", "i32", [], { offset: 1 });
    const first = b.make("load", "i32", [x], { offset: 4 });
    between(b, x, y);
    const second = b.make("load", "i32", [x], { offset: 4 });
    entry.terminator = { kind: "return", values: [b.make("mul", "i32", [first, second])] };
    finishGraph(routine, entry);
    numberValues(routine);
    removeDeadCode(routine);
    verify(routine);
    return entry.instructions.filter((i) => i.operation === "load").length;
  }

  it("merges loads of one address", () => {
    expect(loads(() => {})).toBe(1);
  });
  it("keeps a load after a store that may have changed it", () => {
    expect(loads((b, _x, y) => b.make("store", "void", [y, b.i32(1)]))).toBe(2);
    expect(loads((b, x) => b.make("store", "void", [x, b.i32(1)], { offset: 6, width: 2 }))).toBe(2);
    expect(loads((b) => b.make("call", "void", [], { symbol: "other" }))).toBe(2);
    expect(loads((b) => b.make("intrinsic", "void", [], { symbol: "enableInterrupts" }))).toBe(2);
  });
  it("sees past stores elsewhere", () => {
    expect(loads((b, x) => b.make("store", "void", [x, b.i32(1)], { offset: 8 }))).toBe(1);
    expect(loads((b) => b.make("store", "void", [b.i32(1)], { symbol: "global:g" }))).toBe(1);
  });
  it("takes the value that was stored", () => {
    expect(loads((b, x, y) => b.make("store", "void", [x, y], { offset: 4 }))).toBe(1);
  });
});
