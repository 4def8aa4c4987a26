/**
 * Add, subtract, multiply, divide and square root of extended numbers, exact to the last bit and flag. This is the
 * reference; `double.ts` takes over where plain doubles give the same answer.
 *
 * Every routine reads its operands before it writes `out`, so `out` may be one of them.
 */

import type { Computation } from "./computation.ts";
import {
  bias,
  compareSignificands,
  copy,
  Exception,
  Extended,
  Kind,
  kindOf,
  normalize,
  Rounding,
  setInfinity,
  setZero,
} from "./extended.ts";

const left = new Extended();
const right = new Extended();

/** The operation field of the arithmetic opcodes (bits 3 to 5 of ModR/M). Compare is 2 and 3. */
export const Operation = {
  add: 0,
  multiply: 1,
  compare: 2,
  comparePop: 3,
  subtract: 4,
  subtractReversed: 5,
  divide: 6,
  divideReversed: 7,
} as const;

/** High word of the product of two unsigned 32-bit numbers. */
export function multiplyHigh(a: number, b: number): number {
  const al = a & 0xffff;
  const ah = a >>> 16;
  const bl = b & 0xffff;
  const bh = b >>> 16;
  const middle = ah * bl + ((al * bl) >>> 16);
  const other = al * bh + (middle & 0xffff);
  return ah * bh + (middle >>> 16) + (other >>> 16);
}

/** Computes ST(0) `operation` operand, in the order that the opcode field means for both destinations. */
export function arithmetic(c: Computation, out: Extended, operation: number, a: Extended, b: Extended): void {
  switch (operation) {
    case Operation.add: {
      add(c, out, a, b, 0);
      return;
    }
    case Operation.multiply: {
      multiply(c, out, a, b);
      return;
    }
    case Operation.subtract: {
      add(c, out, a, b, 1);
      return;
    }
    case Operation.subtractReversed: {
      add(c, out, b, a, 1);
      return;
    }
    case Operation.divide: {
      divide(c, out, a, b);
      return;
    }
    default: {
      divide(c, out, b, a);
      return;
    }
  }
}

/** a + b, or a - b when `negate` is 1. */
export function add(c: Computation, out: Extended, a: Extended, b: Extended, negate: 0 | 1): void {
  const ka = kindOf(a);
  const kb = kindOf(b);
  if (c.special(out, a, ka, b, kb)) return;
  const signB = b.sign ^ negate;
  if (ka === Kind.infinity || kb === Kind.infinity) {
    if (ka === kb && a.sign !== signB) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(ka, kb);
    setInfinity(out, ka === Kind.infinity ? a.sign : signB);
    return;
  }
  c.noteDenormals(ka, kb);
  if (ka === Kind.zero && kb === Kind.zero) {
    setZero(out, a.sign === signB ? a.sign : c.rounding === Rounding.down ? 1 : 0);
    return;
  }
  if (ka === Kind.zero || kb === Kind.zero) {
    normalize(left, ka === Kind.zero ? b : a);
    const sign = ka === Kind.zero ? signB : a.sign;
    c.round(out, sign, left.exponent, left.high, left.low, 0, c.precisionBits);
    return;
  }
  normalize(left, a);
  normalize(right, b);
  const signA = a.sign;
  let sign = signA;
  let big = left;
  let small = right;
  if (
    left.exponent < right.exponent ||
    (left.exponent === right.exponent && compareSignificands(left, right) < 0)
  ) {
    big = right;
    small = left;
    sign = signB;
  }
  c.high = small.high;
  c.low = small.low;
  let extra = c.shiftRight(big.exponent - small.exponent, 0);
  let exponent = big.exponent;
  if (signA === signB) {
    let low = (big.low >>> 0) + (c.low >>> 0);
    let high = (big.high >>> 0) + (c.high >>> 0);
    if (low >= 0x100000000) high++;
    low |= 0;
    if (high >= 0x100000000) {
      extra = (low << 31) | (extra >>> 1) | (extra & 1);
      low = ((high | 0) << 31) | (low >>> 1);
      high = ((high | 0) >>> 1) | 0x80000000;
      exponent++;
    }
    c.round(out, sign, exponent, high | 0, low, extra, c.precisionBits);
    return;
  }
  let borrow = extra !== 0 ? 1 : 0;
  extra = -extra | 0;
  let low = (big.low >>> 0) - (c.low >>> 0) - borrow;
  borrow = low < 0 ? 1 : 0;
  low |= 0;
  let high = (big.high - c.high - borrow) | 0;
  if ((high | low | extra) === 0) {
    setZero(out, c.rounding === Rounding.down ? 1 : 0);
    return;
  }
  while (high === 0) {
    high = low;
    low = extra;
    extra = 0;
    exponent -= 32;
  }
  const shift = Math.clz32(high);
  if (shift > 0) {
    high = (high << shift) | (low >>> (32 - shift));
    low = (low << shift) | (extra >>> (32 - shift));
    extra <<= shift;
    exponent -= shift;
  }
  c.round(out, sign, exponent, high, low, extra, c.precisionBits);
}

export function multiply(c: Computation, out: Extended, a: Extended, b: Extended): void {
  const ka = kindOf(a);
  const kb = kindOf(b);
  if (c.special(out, a, ka, b, kb)) return;
  const sign = a.sign ^ b.sign;
  if (ka === Kind.infinity || kb === Kind.infinity) {
    if (ka === Kind.zero || kb === Kind.zero) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(ka, kb);
    setInfinity(out, sign);
    return;
  }
  c.noteDenormals(ka, kb);
  if (ka === Kind.zero || kb === Kind.zero) {
    setZero(out, sign);
    return;
  }
  normalize(left, a);
  normalize(right, b);
  // Words of the 128-bit product, most significant first: p3 p2 p1 p0.
  const p0 = Math.imul(left.low, right.low);
  const crossA = Math.imul(left.high, right.low) >>> 0;
  const crossB = Math.imul(left.low, right.high) >>> 0;
  const sum1 = multiplyHigh(left.low, right.low) + crossA + crossB;
  const p1 = sum1 | 0;
  const sum2 =
    multiplyHigh(left.high, right.low) +
    multiplyHigh(left.low, right.high) +
    (Math.imul(left.high, right.high) >>> 0) +
    Math.floor(sum1 / 0x100000000);
  let p2 = sum2 | 0;
  let p3 = (multiplyHigh(left.high, right.high) + Math.floor(sum2 / 0x100000000)) | 0;
  let exponent = left.exponent + right.exponent - bias + 1;
  let extra = p1;
  let rest = p0;
  if (p3 >= 0) {
    p3 = (p3 << 1) | (p2 >>> 31);
    p2 = (p2 << 1) | (p1 >>> 31);
    extra = (p1 << 1) | (p0 >>> 31);
    rest <<= 1;
    exponent--;
  }
  c.round(out, sign, exponent, p3, p2, extra | (rest !== 0 ? 1 : 0), c.precisionBits);
}

export function divide(c: Computation, out: Extended, a: Extended, b: Extended): void {
  const ka = kindOf(a);
  const kb = kindOf(b);
  if (c.special(out, a, ka, b, kb)) return;
  const sign = a.sign ^ b.sign;
  if (ka === Kind.infinity) {
    if (kb === Kind.infinity) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(ka, kb);
    setInfinity(out, sign);
    return;
  }
  if (kb === Kind.zero) {
    if (ka === Kind.zero) {
      c.invalid(out);
      return;
    }
    c.exceptions |= Exception.zeroDivide;
    setInfinity(out, sign);
    return;
  }
  c.noteDenormals(ka, kb);
  if (ka === Kind.zero || kb === Kind.infinity) {
    setZero(out, sign);
    return;
  }
  normalize(left, a);
  normalize(right, b);
  let exponent = left.exponent - right.exponent + bias;
  const divisorHigh = right.high >>> 0;
  const divisorLow = right.low >>> 0;
  let remainderHigh = left.high >>> 0;
  let remainderLow = left.low >>> 0;
  // One quotient bit a step; the remainder stays below the divisor, and `over` is its 65th bit after doubling.
  let over = 0;
  if (compareSignificands(left, right) < 0) {
    exponent--;
    over = remainderHigh >>> 31;
    remainderHigh = ((remainderHigh << 1) | (remainderLow >>> 31)) >>> 0;
    remainderLow = (remainderLow << 1) >>> 0;
  }
  let high = 0;
  let low = 0;
  let word = 0;
  for (let bit = 0; bit < 64; bit++) {
    word <<= 1;
    if (
      over !== 0 ||
      remainderHigh > divisorHigh ||
      (remainderHigh === divisorHigh && remainderLow >= divisorLow)
    ) {
      word |= 1;
      const difference = remainderLow - divisorLow;
      remainderHigh = (remainderHigh - divisorHigh - (difference < 0 ? 1 : 0)) >>> 0;
      remainderLow = difference >>> 0;
    }
    over = remainderHigh >>> 31;
    remainderHigh = ((remainderHigh << 1) | (remainderLow >>> 31)) >>> 0;
    remainderLow = (remainderLow << 1) >>> 0;
    if (bit === 31) {
      high = word;
      word = 0;
    }
  }
  low = word;
  // The doubled remainder against the divisor: below, at or above one half of the last place.
  let extra = 0;
  if ((over | remainderHigh | remainderLow) !== 0) {
    const above =
      over !== 0 ||
      remainderHigh > divisorHigh ||
      (remainderHigh === divisorHigh && remainderLow > divisorLow);
    const half = over === 0 && remainderHigh === divisorHigh && remainderLow === divisorLow;
    extra = half ? 0x80000000 | 0 : above ? 0xc0000000 | 0 : 0x40000000;
  }
  c.round(out, sign, exponent, high, low, extra, c.precisionBits);
}

export function squareRoot(c: Computation, out: Extended, a: Extended): void {
  const kind = c.specialOne(out, a);
  if (kind >= Kind.quietNaN) return;
  if (kind === Kind.zero) {
    copy(out, a);
    return;
  }
  if (a.sign !== 0) {
    c.invalid(out);
    return;
  }
  if (kind === Kind.infinity) {
    copy(out, a);
    return;
  }
  c.noteDenormals(kind, kind);
  normalize(left, a);
  // The radicand is significand * 2^64 for an odd unbiased exponent, half of that for an even one: two of its bits a step.
  const unbiased = left.exponent - bias;
  let high = left.high;
  let low = left.low;
  let below = 0;
  if ((unbiased & 1) === 0) {
    below = low << 31;
    low = (high << 31) | (low >>> 1);
    high >>>= 1;
  }
  let rootHigh = 0;
  let rootLow = 0;
  let remainderTop = 0;
  let remainderHigh = 0;
  let remainderLow = 0;
  for (let bit = 0; bit < 64; bit++) {
    remainderTop = (remainderTop << 2) | (remainderHigh >>> 30);
    remainderHigh = ((remainderHigh << 2) | (remainderLow >>> 30)) >>> 0;
    remainderLow = ((remainderLow << 2) | (high >>> 30)) >>> 0;
    high = (high << 2) | (low >>> 30);
    low = (low << 2) | (below >>> 30);
    below <<= 2;
    const trialTop = rootHigh >>> 30;
    const trialHigh = ((rootHigh << 2) | (rootLow >>> 30)) >>> 0;
    const trialLow = ((rootLow << 2) | 1) >>> 0;
    rootHigh = (rootHigh << 1) | (rootLow >>> 31);
    rootLow <<= 1;
    if (
      remainderTop > trialTop ||
      (remainderTop === trialTop &&
        (remainderHigh > trialHigh || (remainderHigh === trialHigh && remainderLow >= trialLow)))
    ) {
      rootLow |= 1;
      const lowDifference = remainderLow - trialLow;
      const highDifference = remainderHigh - trialHigh - (lowDifference < 0 ? 1 : 0);
      remainderTop = remainderTop - trialTop - (highDifference < 0 ? 1 : 0);
      remainderHigh = highDifference >>> 0;
      remainderLow = lowDifference >>> 0;
    }
  }
  // root + 1/2 squared is root^2 + root + 1/4: the fraction exceeds one half when the remainder exceeds the root.
  let extra = 0;
  if ((remainderTop | remainderHigh | remainderLow) !== 0) {
    const rh = rootHigh >>> 0;
    const rl = rootLow >>> 0;
    const above = remainderTop > 0 || remainderHigh > rh || (remainderHigh === rh && remainderLow > rl);
    extra = above ? 0xc0000000 | 0 : 0x40000000;
  }
  c.round(out, 0, (unbiased >> 1) + bias, rootHigh, rootLow, extra, c.precisionBits);
}

export const Order = { greater: 0, less: 1, equal: 2, unordered: 3 } as const;
export type Order = (typeof Order)[keyof typeof Order];

/** Compares a with b. An ordered comparison makes every NaN invalid, an unordered one (FUCOM) only signalling NaNs. */
export function compare(c: Computation, a: Extended, b: Extended, unorderedAllowed: boolean): Order {
  const ka = kindOf(a);
  const kb = kindOf(b);
  if (ka >= Kind.quietNaN || kb >= Kind.quietNaN) {
    if (!unorderedAllowed || ka >= Kind.signallingNaN || kb >= Kind.signallingNaN)
      c.exceptions |= Exception.invalid;
    return Order.unordered;
  }
  c.noteDenormals(ka, kb);
  if (ka === Kind.zero && kb === Kind.zero) return Order.equal;
  if (ka === Kind.zero) return b.sign !== 0 ? Order.greater : Order.less;
  if (kb === Kind.zero || a.sign !== b.sign) return a.sign !== 0 ? Order.less : Order.greater;
  // A pseudo-denormal has exponent 0 and the scale of exponent 1.
  const ea = a.exponent === 0 ? 1 : a.exponent;
  const eb = b.exponent === 0 ? 1 : b.exponent;
  const magnitude = ea !== eb ? ea - eb : compareSignificands(a, b);
  if (magnitude === 0) return Order.equal;
  return magnitude > 0 === (a.sign === 0) ? Order.greater : Order.less;
}
