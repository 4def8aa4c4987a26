/** Operands at which arithmetic changes its behaviour, by type, plus fixed pseudo-random ones. Floats as bits, too. */
import type { ValueType } from "../ir/instructions.ts";

/** Deterministic 32-bit generator (xorshift). */
export function generator(seed: number): () => number {
  let x = seed | 0 || 1;
  return () => {
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    return x >>> 0;
  };
}

const integers = [
  0, 1, -1, 2, -2, 3, 5, 7, 8, 9, 10, 31, 32, 33, 63, 64, 100, 127, 128, 255, 256, 32767, 32768, 65535, 65536,
];
const words = [0x7fffffff, 0x80000000, 0x80000001, 0xdeadbeef, 0x12345678, 0xaaaaaaaa, 0xffff0000];

const doubles = [
  ...[0, -0, 1, -1, 0.5, -0.5, 1.5, -1.5, 2.5, 3, 0.1, 1 / 3, 1e-5, 123456.789, -2.75],
  ...[
    2 ** 31,
    -(2 ** 31),
    2 ** 31 - 1,
    2 ** 32,
    2 ** 32 - 1,
    2 ** 53,
    2 ** 53 + 2,
    2 ** 63,
    -(2 ** 63),
    2 ** 64,
  ],
  ...[2 ** 63 - 1024, 2 ** 52 + 0.5, -0.99999, 4294967295.5, -2147483648.9],
  ...[Infinity, -Infinity, NaN, Number.MAX_VALUE, -Number.MAX_VALUE, Number.MIN_VALUE, -Number.MIN_VALUE],
  ...[2.2250738585072014e-308, 2.225073858507201e-308, 1e-310, 1e-160, -3e-155, 1.5e-154, 1e200, 1e308],
];

const singles = [
  3.4028234663852886e38, 1.1754943508222875e-38, 1.401298464324817e-45, 1e-40, 1e-20, 1e20, 16777215,
  16777217,
];

export function boundaryValues(type: ValueType): ReadonlyArray<number | bigint> {
  const random = generator(0x1234567);
  if (type === "i32") return [...integers, ...words, random(), random(), random()].map((v) => v | 0);
  if (type === "i64") {
    const long = [...integers.map(BigInt), ...words.map(BigInt), ...words.map((w) => BigInt(w) << 32n)];
    long.push(0x7fffffffffffffffn, -0x8000000000000000n, -0x7fffffffffffffffn, 0x100000001n, -0x100000000n);
    for (let n = 0; n < 4; n++) long.push((BigInt(random()) << 32n) | BigInt(random()));
    return long.map((v) => BigInt.asIntN(64, v));
  }
  const view = new DataView(new ArrayBuffer(8));
  const some: number[] = [];
  for (let n = 0; n < 8; n++) {
    view.setUint32(0, random());
    view.setUint32(4, random());
    some.push(type === "f32" ? view.getFloat32(0) : view.getFloat64(0));
  }
  const values = [...doubles, ...singles, ...some];
  return type === "f32" ? values.map(Math.fround) : values;
}

export function writeValue(view: DataView, offset: number, type: ValueType, value: number | bigint): void {
  if (type === "i32") view.setInt32(offset, value as number, true);
  else if (type === "i64") view.setBigInt64(offset, value as bigint, true);
  else if (type === "f32") view.setFloat32(offset, value as number, true);
  else view.setFloat64(offset, value as number, true);
}

/** The value as text; all NaNs are one. */
export function readValue(view: DataView, offset: number, type: ValueType): string {
  if (type === "i32") return String(view.getInt32(offset, true));
  if (type === "i64") return String(view.getBigInt64(offset, true));
  const value = type === "f32" ? view.getFloat32(offset, true) : view.getFloat64(offset, true);
  return Object.is(value, -0) ? "-0" : String(value);
}
