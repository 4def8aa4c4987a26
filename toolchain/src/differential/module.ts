/**
 * One guest module out of generated functions: helpers, functions, a table of arguments, and `runAll`, which calls every
 * function with every tuple of arguments and stores what came out.
 *
 * ```
 *  results()  →  one record a call, 16 bytes, function by function
 *                +0 result, widened to 64 bits; NaN is canonical
 *                +8 checksum of the scratch memory and the globals after the call
 *  resultWord(index)  one 64-bit word of them, for a host that cannot look into memory
 * ```
 */
import type { Call, GeneratedFunction, ValueType } from "./generate.ts";

export const RECORD_SIZE = 16;
const CALL_SIZE = 40;

const HELPERS = `
const scratch: usize = memory.data(256, 8);
let G0: i32 = 5;
let G1: i64 = -6;
let G2: f64 = 0.75;

function bits32(value: f32): u32 { return value != value ? 0x7fc00000 : reinterpret<u32>(value); }
function bits64(value: f64): u64 { return value != value ? 0x7ff8000000000000 : reinterpret<u64>(value); }
function quiet32(value: f32): f32 { return value != value ? <f32>NaN : value; }
function quiet64(value: f64): f64 { return value != value ? NaN : value; }
function float32(bits: i32): f32 { return quiet32(reinterpret<f32>(bits)); }
function float64(bits: i64): f64 { return quiet64(reinterpret<f64>(bits)); }
function recursive(depth: i32, value: i32): i32 {
  const n = depth & 7;
  if (n == 0) return value;
  return recursive(n - 1, value * 31 + n) ^ (value >> 3);
}
function recursive64(depth: i32, value: i64): i64 {
  const n = depth & 7;
  return n == 0 ? value : recursive64(n - 1, value * 6364136223846793005 + 1442695040888963407) - value;
}
function mutual(depth: i32, value: i32): i32 {
  const n = depth & 15;
  return n == 0 ? value : mutualOther(n - 1, value + n);
}
function mutualOther(depth: i32, value: i32): i32 {
  return depth <= 0 ? ~value : mutual(depth - 1, value ^ 0x55) + 1;
}
function series(count: i32, value: f64): f64 {
  let sum: f64 = 0;
  for (let i = 1; i <= (count & 15); i++) sum += value / <f64>i;
  return sum;
}
function plus(p: i32, q: i32): i32 { return p + q; }
function minus(p: i32, q: i32): i32 { return p - q; }
function times(p: i32, q: i32): i32 { return p * q + G0; }
function rolled(p: i32, q: i32): i32 { return rotl<i32>(p, q); }
function mixed(p: i64, q: f64): i64 { return p + f64_to_i64(q); }
function chosen(which: i32): u32 {
  switch (which & 3) {
    case 0: return functionAddress<(p: i32, q: i32) => i32>(plus);
    case 1: return functionAddress<(p: i32, q: i32) => i32>(minus);
    case 2: return functionAddress<(p: i32, q: i32) => i32>(times);
    default: return functionAddress<(p: i32, q: i32) => i32>(rolled);
  }
}
`;

function divisionHelpers(): string {
  return (["i32", "u32", "i64", "u64"] as const)
    .map((type) => {
      const overflow = type.startsWith("i") ? ` || (q == -1 && p == ${type}.MIN_VALUE)` : "";
      return [
        `function divide_${type}(p: ${type}, q: ${type}): ${type} { return q == 0${overflow} ? p : p / q; }`,
        `function modulo_${type}(p: ${type}, q: ${type}): ${type} { return q == 0 ? p : p % q; }`,
      ].join("\n");
    })
    .join("\n");
}

/** Conversions that never leave the range of the result, where WebAssembly may trap. */
function conversionHelpers(): string {
  const range: Record<string, readonly [string, string]> = {
    i32: ["-2147483000", "2147483000"],
    u32: ["-0.9", "4294967000"],
    i64: ["-9223370000000000000", "9223370000000000000"],
    u64: ["-0.9", "18446740000000000000"],
  };
  return (["f32", "f64"] as const)
    .flatMap((from) =>
      Object.entries(range).map(([to, [low, high]]) =>
        `function ${from}_to_${to}(value: ${from}): ${to} { return value > <${from}>${low}.0 && value < <${from}>${high}.0 ? <${to}>value : 77; }`.replaceAll(
          "0.9.0",
          "0.9",
        ),
      ),
    )
    .join("\n");
}

const WIDENED: Readonly<Record<ValueType, (value: string) => string>> = {
  i32: (value) => `<u64><i64>${value}`,
  u32: (value) => `<u64>${value}`,
  i64: (value) => `<u64>${value}`,
  u64: (value) => value,
  f32: (value) => `<u64>bits32(${value})`,
  f64: (value) => `bits64(${value})`,
};

function callBytes(calls: readonly Call[]): Uint8Array {
  const view = new DataView(new ArrayBuffer(calls.length * CALL_SIZE));
  calls.forEach((call, index) => {
    const start = index * CALL_SIZE;
    view.setInt32(start, call.a, true);
    view.setInt32(start + 4, call.b, true);
    view.setBigInt64(start + 8, call.c, true);
    view.setBigInt64(start + 16, call.d, true);
    view.setFloat32(start + 24, call.e, true);
    view.setFloat64(start + 32, call.g, true);
  });
  return new Uint8Array(view.buffer);
}

function functionText({ result, body }: GeneratedFunction, index: number): string {
  return `
export function generated${index}(a: i32, b: i32, c: i64, d: i64, e: f32, g: f64): ${result} {
let x: i32 = a ^ b;
let w: u32 = <u32>b;
let y: i64 = c - d;
let v: u64 = <u64>d;
let s: f32 = e;
let z: f64 = g;
${body}
}
function run${index}(results: usize, calls: usize): usize {
  for (let n = 0; n < CALLS; n++) {
    prepare();
    const value = generated${index}(load<i32>(calls), load<i32>(calls, 4), load<i64>(calls, 8), load<i64>(calls, 16), load<f32>(calls, 24), load<f64>(calls, 32));
    store<u64>(results, ${WIDENED[result]("value")});
    store<u64>(results, checksum(), 8);
    results += ${RECORD_SIZE};
    calls += ${CALL_SIZE};
  }
  return results;
}`;
}

export function moduleSource(functions: readonly GeneratedFunction[], calls: readonly Call[]): string {
  const size = functions.length * calls.length * RECORD_SIZE;
  return `${HELPERS}
${divisionHelpers()}
${conversionHelpers()}
const CALLS: i32 = ${calls.length};
const callTable: usize = memory.data<u8>([${callBytes(calls).join(",")}], 8);
const resultTable: usize = memory.data(${size}, 8);

function prepare(): void {
  for (let n: usize = 0; n < 256; n += 8) store<u64>(scratch + n, 0x0123456789abcdef * (n + 1));
  G0 = 5;
  G1 = -6;
  G2 = 0.75;
}
function checksum(): u64 {
  let sum: u64 = <u64>G0 ^ <u64>G1 ^ bits64(G2);
  for (let n: usize = 0; n < 256; n += 8) sum = rotl<u64>(sum, 5) * 0x100000001b3 + load<u64>(scratch + n);
  return sum;
}
export function results(): usize { return resultTable; }
export function resultWord(index: u32): u64 { return load<u64>(resultTable + 8 * index); }
${functions.map(functionText).join("\n")}
export function runAll(): void {
  let results = resultTable;
${functions.map((_, index) => `  results = run${index}(results, callTable);`).join("\n")}
}
export function main(): i32 { runAll(); return 0; }
`;
}
