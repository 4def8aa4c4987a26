/**
 * Numbers of about 106 bits as unevaluated sums of two doubles, for the transcendental instructions: they need some 40
 * bits more than the 64 of their results to round well. Method: the error-free transformations of Dekker and Knuth.
 *
 * Invariant: |low| is at most half a unit in the last place of `high`.
 */

export interface DoubleDouble {
  readonly high: number;
  readonly low: number;
}

export function exact(x: number): DoubleDouble {
  return { high: x, low: 0 };
}

/** The sum of two doubles of any size, exactly. */
export function sumOf(a: number, b: number): DoubleDouble {
  const high = a + b;
  const part = high - a;
  return { high, low: a - (high - part) + (b - part) };
}

/** The same when |a| >= |b| or a is 0. */
function orderedSum(a: number, b: number): DoubleDouble {
  const high = a + b;
  return { high, low: b - (high - a) };
}

/** 2^27 + 1 splits a double into two halves of 26 bits. */
const splitter = 134217729;

/** a * b - product, exactly, if neither the product's error nor a split leaves the range of doubles. */
export function productError(a: number, b: number, product: number): number {
  const sa = splitter * a;
  const ah = sa - (sa - a);
  const al = a - ah;
  const sb = splitter * b;
  const bh = sb - (sb - b);
  const bl = b - bh;
  return ah * bh - product + ah * bl + al * bh + al * bl;
}

export function add(a: DoubleDouble, b: DoubleDouble): DoubleDouble {
  const s = sumOf(a.high, b.high);
  const t = sumOf(a.low, b.low);
  const first = orderedSum(s.high, s.low + t.high);
  return orderedSum(first.high, first.low + t.low);
}

export function negate(a: DoubleDouble): DoubleDouble {
  return { high: -a.high, low: -a.low };
}

export function subtract(a: DoubleDouble, b: DoubleDouble): DoubleDouble {
  return add(a, negate(b));
}

export function multiply(a: DoubleDouble, b: DoubleDouble): DoubleDouble {
  const product = a.high * b.high;
  const error = productError(a.high, b.high, product);
  return orderedSum(product, error + (a.high * b.low + a.low * b.high));
}

export function divide(a: DoubleDouble, b: DoubleDouble): DoubleDouble {
  const q1 = a.high / b.high;
  let rest = subtract(a, multiply(b, exact(q1)));
  const q2 = rest.high / b.high;
  rest = subtract(rest, multiply(b, exact(q2)));
  const q3 = rest.high / b.high;
  const sum = orderedSum(q1, q2);
  return add(sum, exact(q3));
}

/** Exact multiplication by a power of two. */
export function scaled(a: DoubleDouble, power: number): DoubleDouble {
  return { high: a.high * power, low: a.low * power };
}

export const one = exact(1);
export const ln2: DoubleDouble = { high: Math.LN2, low: 2.3190468138462996e-17 };
export const pi: DoubleDouble = { high: Math.PI, low: 1.2246467991473532e-16 };
export const log2e = divide(one, ln2);
