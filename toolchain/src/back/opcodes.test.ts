/**
 * Every numeric opcode of wasm on boundary values: compiled to i386 code and run as a Linux process, against Node's
 * wasm. Three shapes of each: both operands from memory, one a constant, and comparisons as branches.
 */
import { describe, expect, it } from "vitest";
import { compileModule } from "./compile.ts";
import type { ValueType } from "./ir/instructions.ts";
import { isComparison } from "./ir/instructions.ts";
import { verify } from "./ir/verify.ts";
import { boundaryValues, readValue, writeValue } from "./testing/boundary-values.ts";
import {
  areaSize,
  areaStart,
  canRunProcesses,
  plainFront,
  runInProcess,
  runInWasm,
} from "./testing/linux-process.ts";
import { encodeModule, signed, type TestFunction, unsigned } from "./testing/wasm-writer.ts";
import { type NumericOpcode, numericOpcodes } from "./wasm/opcodes.ts";

const available = canRunProcesses();
if (!available) console.log("opcode tests are skipped: this host runs no 32-bit i386 programs");

const load: Record<ValueType, number> = { i32: 0x28, i64: 0x29, f32: 0x2a, f64: 0x2b };
const store: Record<ValueType, number> = { i32: 0x36, i64: 0x37, f32: 0x38, f64: 0x39 };

function opcodeBytes(code: number): number[] {
  return code > 0xff ? [code >> 8, code & 0xff] : [code];
}

function constant(type: ValueType, value: number | bigint): number[] {
  if (type === "i32") return [0x41, ...signed(value)];
  if (type === "i64") return [0x42, ...signed(value)];
  const view = new DataView(new ArrayBuffer(8));
  writeValue(view, 0, type, value);
  return [type === "f32" ? 0x43 : 0x44, ...new Uint8Array(view.buffer, 0, type === "f32" ? 4 : 8)];
}

interface Range {
  readonly least: number;
  readonly most: number;
}

/** Operands of trapping truncation that do not trap lie strictly between these. */
const truncationRanges: Record<string, Range> = {
  i32truncateS: { least: -2147483649, most: 2147483648 },
  i32truncateU: { least: -1, most: 4294967296 },
  i64truncateS: { least: -(2 ** 63) * (1 + 2 ** -52), most: 2 ** 63 },
  i64truncateU: { least: -1, most: 2 ** 64 },
};

function traps(op: NumericOpcode, x: number | bigint, y: number | bigint): boolean {
  const zero = op.operands[0] === "i64" ? 0n : 0;
  if (["divU", "remU", "remS"].includes(op.operation)) return y === zero;
  if (op.operation === "divS") {
    const least = op.operands[0] === "i64" ? -(1n << 63n) : -2147483648;
    return y === zero || (x === least && (y === -1 || y === -1n));
  }
  const range = truncationRanges[op.result + op.operation];
  if (!range) return false;
  const single = op.operands[0] === "f32" && op.result === "i32" && op.operation === "truncateS";
  return !((x as number) > (single ? -2147483904 : range.least) && (x as number) < range.most);
}

interface Case {
  readonly function: TestFunction;
  readonly op: NumericOpcode;
  readonly output: number;
  readonly result: ValueType;
  readonly describe: (n: number) => string;
  readonly count: number;
}

/** Runs a loop body over `count` pairs of inputs at `input`; results go to `output`, 8 bytes apart. */
function loopOver(count: number, input: number, output: number, body: number[], result: ValueType): number[] {
  return [
    ...[0x03, 0x40],
    ...[0x20, 0, 0x41, 3, 0x74, 0x41, ...signed(output), 0x6a],
    ...[0x20, 0, 0x41, 4, 0x74, 0x41, ...signed(input), 0x6a, 0x21, 1],
    ...body,
    ...[store[result], 0, 0],
    ...[0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x41, ...signed(count), 0x49, 0x0d, 0],
    0x0b,
  ];
}

const left = (type: ValueType) => [0x20, 1, load[type], 0, 0];
const right = (type: ValueType) => [0x20, 1, load[type], 0, 8];

/** Compiles and runs the cases over one table of inputs, and compares every result. */
function check(cases: readonly Case[], inputs: Uint8Array): void {
  const names = cases.map((c) => c.function);
  const test: TestFunction = {
    name: "test",
    exported: true,
    body: names.flatMap((_, n) => [0x10, ...unsigned(n)]),
  };
  const data = { address: areaStart, bytes: inputs };
  const wasm = encodeModule({ functions: [...names, test], data });
  const expected = runInWasm(wasm);
  expect(expected).toBeDefined();
  const code = compileModule(plainFront(wasm), { inspect: verify });
  const { area, signal } = runInProcess(code);
  expect(signal).toBeUndefined();
  const [a, b] = [area!, expected!].map(
    (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length),
  );
  const wrong: string[] = [];
  for (const c of cases) {
    for (let n = 0; n < c.count; n++) {
      const at = c.output - areaStart + 8 * n;
      const [ours, theirs] = [readValue(a, at, c.result), readValue(b, at, c.result)];
      if (ours !== theirs && wrong.length < 20) wrong.push(`${c.describe(n)} = ${theirs}, not ${ours}`);
    }
  }
  expect(wrong).toEqual([]);
}

type Pair = readonly [number | bigint, number | bigint];

function tableOf(pairs: readonly Pair[], type: ValueType): Uint8Array {
  const view = new DataView(new ArrayBuffer(16 * pairs.length));
  for (const [n, [x, y]] of pairs.entries()) {
    writeValue(view, 16 * n, type, x);
    writeValue(view, 16 * n + 8, type, y);
  }
  return new Uint8Array(view.buffer);
}

function allPairs(op: NumericOpcode): Pair[] {
  const values = boundaryValues(op.operands[0]);
  const second = op.operands.length > 1 ? values : [values[0]];
  return values.flatMap((x) => second.map((y): Pair => [x, y])).filter(([x, y]) => !traps(op, x, y));
}

const shapes = {
  value: (op: NumericOpcode) => [
    ...left(op.operands[0]),
    ...(op.operands.length > 1 ? right(op.operands[0]) : []),
    ...opcodeBytes(op.code),
  ],
  branch: (op: NumericOpcode) => [...shapes.value(op), ...[0x04, 0x7f, 0x41, 11, 0x05, 0x41, 22, 0x0b]],
  select: (op: NumericOpcode) => [0x41, 11, 0x41, 22, ...shapes.value(op), 0x1b],
};

function caseOf(op: NumericOpcode, shape: keyof typeof shapes, pairs: readonly Pair[]): Case {
  const output = areaStart + 16 * pairs.length;
  return {
    op,
    output,
    result: op.result,
    count: pairs.length,
    describe: (n) => `${op.name}(${pairs[n][0]}, ${pairs[n][1]})`,
    function: {
      name: op.name,
      locals: ["i32", "i32"],
      body: loopOver(pairs.length, areaStart, output, shapes[shape](op), op.result),
    },
  };
}

describe.skipIf(!available)("numeric opcodes", () => {
  it.each(numericOpcodes.map((op) => [op.name, op] as const))("%s", (_, op) => {
    const pairs = allPairs(op);
    check([caseOf(op, "value", pairs)], tableOf(pairs, op.operands[0]));
  });

  const comparisons = numericOpcodes.filter((op) => op.operation === "eqz" || isComparison(op.operation));
  it.each(comparisons.map((op) => [op.name, op] as const))("%s as branch and select", (_, op) => {
    const pairs = allPairs(op);
    check([caseOf(op, "branch", pairs)], tableOf(pairs, op.operands[0]));
    check([caseOf(op, "select", pairs)], tableOf(pairs, op.operands[0]));
  });

  it.each(numericOpcodes.map((op) => [op.name, op] as const))("%s of constants", (_, op) => {
    const type = op.operands[0];
    const every = op.operands.length > 1 ? 7 : 1;
    const pairs = allPairs(op).filter((_pair, n) => n % every === 0);
    const output = areaStart + 16;
    const body = pairs.flatMap(([x, y], n) => [
      ...constant("i32", output + 8 * n),
      ...constant(type, x),
      ...(op.operands.length > 1 ? constant(type, y) : []),
      ...opcodeBytes(op.code),
      ...[store[op.result], 0, 0],
    ]);
    const describe = (n: number) => `${op.name}(${pairs[n].join(", ")}) of constants`;
    const whole = { name: op.name, body };
    check(
      [{ op, output, result: op.result, count: pairs.length, describe, function: whole }],
      new Uint8Array(16),
    );
  });

  const binary = numericOpcodes.filter((op) => op.operands.length === 2);
  it.each(binary.map((op) => [op.name, op] as const))("%s with a constant", (_, op) => {
    const type = op.operands[0];
    const values = boundaryValues(type);
    const table = tableOf(
      values.map((v): Pair => [v, v]),
      type,
    );
    const cases: Case[] = [];
    let output = areaStart + table.length;
    for (const fixed of values) {
      for (const side of ["left", "right"] as const) {
        const pair = (v: number | bigint): Pair => (side === "right" ? [v, fixed] : [fixed, v]);
        if (values.some((v) => traps(op, ...pair(v)))) continue;
        const body =
          side === "right"
            ? [...left(type), ...constant(type, fixed), ...opcodeBytes(op.code)]
            : [...constant(type, fixed), ...left(type), ...opcodeBytes(op.code)];
        cases.push({
          op,
          output,
          result: op.result,
          count: values.length,
          describe: (n) => `${op.name}(${pair(values[n]).join(", ")}), ${side} constant`,
          function: {
            name: `${op.name} ${cases.length}`,
            locals: ["i32", "i32"],
            body: loopOver(values.length, areaStart, output, body, op.result),
          },
        });
        output += 8 * values.length;
      }
    }
    expect(output).toBeLessThan(areaStart + areaSize);
    check(cases, table);
  });
});
