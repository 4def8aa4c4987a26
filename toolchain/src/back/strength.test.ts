/**
 * Division and products by constants, and f64 products and quotients near the subnormal range: the two places where
 * the back end replaces an operation by others that must give the same result. Against Node's wasm, in a process.
 */
import { describe, expect, it } from "vitest";
import { compileModule } from "./compile.ts";
import { generator, readValue } from "./testing/boundary-values.ts";
import { areaStart, canRunProcesses, plainFront, runInProcess, runInWasm } from "./testing/linux-process.ts";
import { encodeModule, signed, type TestFunction, unsigned } from "./testing/wasm-writer.ts";

const available = canRunProcesses();
if (!available) console.log("strength tests are skipped: this host runs no 32-bit i386 programs");

const i32 = (value: number) => [0x41, ...signed(value | 0)];

function run(functions: readonly TestFunction[], inputs: Uint8Array): [DataView, DataView] {
  const test: TestFunction = {
    name: "test",
    exported: true,
    body: functions.flatMap((_, n) => [0x10, ...unsigned(n)]),
  };
  const wasm = encodeModule({ functions: [...functions, test], data: { address: areaStart, bytes: inputs } });
  const expected = runInWasm(wasm)!;
  const { area, signal } = runInProcess(compileModule(plainFront(wasm)));
  expect(signal).toBeUndefined();
  return [new DataView(area!.buffer, area!.byteOffset), new DataView(expected.buffer)];
}

describe.skipIf(!available)("operations by constants", () => {
  const random = generator(4242);
  const divisors = [
    3, 5, 6, 7, 9, 10, 11, 12, 13, 25, 60, 100, 125, 641, 1000, 1023, 1025, 10000, 65537, 1000000,
  ];
  divisors.push(
    0x7fffffff,
    0x7ffffffe,
    0x40000001,
    -3,
    -7,
    -10,
    -1000,
    -0x7fffffff,
    -0x80000000,
    0x80000001 | 0,
  );
  for (let n = 0; n < 60; n++) divisors.push((random() >>> (random() % 31)) | 0 || 17);
  const values = [
    0, 1, 2, -1, -2, 0x7fffffff, -0x80000000, -0x7fffffff, 0x7ffffffe, 99, 100, 101, -99, -100, -101,
  ];
  for (let n = 0; n < 40; n++) values.push((random() >>> (random() % 32)) | 0);

  it.each([
    ["div_s", 0x6d],
    ["div_u", 0x6e],
    ["rem_s", 0x6f],
    ["rem_u", 0x70],
    ["mul", 0x6c],
  ])("%s", (name, opcode) => {
    const inputs = new Uint8Array(new Int32Array(values).buffer);
    let output = areaStart + 0x1000;
    const functions = divisors.map((d): TestFunction => {
      const body = values.flatMap((v, n) => {
        if (opcode === 0x6d && v === -0x80000000 && d === -1) return [];
        return [...i32(output + 4 * n), ...i32(areaStart + 4 * n), 0x28, 2, 0, ...i32(d), opcode, 0x36, 2, 0];
      });
      output += 4 * values.length;
      return { name: `${name} ${d}`, body };
    });
    const [ours, theirs] = run(functions, inputs);
    const wrong: string[] = [];
    divisors.forEach((d, k) => {
      values.forEach((v, n) => {
        const at = 0x1000 + 4 * (k * values.length + n);
        const [a, b] = [readValue(ours, at, "i32"), readValue(theirs, at, "i32")];
        if (a !== b) wrong.push(`${v} ${name} ${d} = ${b}, not ${a}`);
      });
    });
    expect(wrong).toEqual([]);
  });

  it("rounds tiny f64 products and quotients once", () => {
    const count = 4000;
    const inputs = new DataView(new ArrayBuffer(16 * count));
    const float = (exponent: number) => {
      const view = new DataView(new ArrayBuffer(8));
      // Few bits set in some, so that exact halves occur.
      const low = random() % 3 === 0 ? 0 : random();
      view.setUint32(0, ((random() & 1) << 31) | (((exponent + 1023) & 0x7ff) << 20) | (random() & 0xfffff));
      view.setUint32(4, low);
      return view.getFloat64(0);
    };
    for (let n = 0; n < count; n++) {
      const x = -200 - (random() % 600);
      const total = -1020 - (random() % 58);
      const product = n % 2 === 0;
      inputs.setFloat64(16 * n, float(x), true);
      inputs.setFloat64(16 * n + 8, float(product ? total - x : x - total), true);
    }
    const output = areaStart + 16 * count;
    const operation = (n: number) => (n % 2 === 0 ? 0xa2 : 0xa3);
    const loop = (parity: number): number[] => [
      ...[0x03, 0x40, ...i32(output), 0x20, 0, 0x41, 3, 0x74, 0x6a],
      ...[...i32(areaStart), 0x20, 0, 0x41, 4, 0x74, 0x6a, 0x22, 1, 0x2b, 3, 0, 0x20, 1, 0x2b, 3, 8],
      ...[operation(parity), 0x39, 3, 0, 0x20, 0, 0x41, 2, 0x6a, 0x22, 0, ...i32(count), 0x49, 0x0d, 0, 0x0b],
    ];
    const functions = [0, 1].map(
      (parity): TestFunction => ({
        name: `loop ${parity}`,
        locals: ["i32", "i32"],
        body: [...i32(parity), 0x21, 0, ...loop(parity)],
      }),
    );
    const [ours, theirs] = run(functions, new Uint8Array(inputs.buffer));
    const wrong: string[] = [];
    let subnormal = 0;
    for (let n = 0; n < count; n++) {
      const at = 16 * count + 8 * n;
      const [a, b] = [ours.getFloat64(at, true), theirs.getFloat64(at, true)];
      if (b !== 0 && Math.abs(b) < 2.2250738585072014e-308) subnormal++;
      if (!Object.is(a, b)) wrong.push(`case ${n}: ${b}, not ${a}`);
    }
    expect(subnormal).toBeGreaterThan(count / 2);
    expect(wrong).toEqual([]);
  });
});
