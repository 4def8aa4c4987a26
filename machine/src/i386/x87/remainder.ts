/**
 * FPREM, FPREM1, FSCALE and FXTRACT: the operations that are exact by nature.
 * Source: Pentium Processor Family Developer's Manual, volume 3, chapter 25, pages of these instructions.
 */

import { Bits, type Computation } from "./computation.ts";
import {
  assign,
  bias,
  compareSignificands,
  copy,
  Exception,
  Extended,
  Kind,
  kindOf,
  normalize,
  setInfinity,
  setZero,
} from "./extended.ts";

const left = new Extended();
const right = new Extended();

/** What FPREM leaves in the condition codes besides the remainder. */
export interface RemainderResult {
  /** Low bits of the quotient when `partial` is false; -1 when there was no division (a NaN results). */
  quotient: number;
  /** True when the reduction is incomplete (C2). */
  partial: boolean;
}

/**
 * The remainder of a by b: truncating (FPREM), or rounding the quotient to nearest even (FPREM1, IEEE). When the
 * exponents differ by 64 or more, one execution takes off 32 to 63 of the difference and reports a partial remainder.
 */
export function remainder(
  c: Computation,
  out: Extended,
  a: Extended,
  b: Extended,
  toNearest: boolean,
  result: RemainderResult,
): void {
  result.quotient = -1;
  result.partial = false;
  const ka = kindOf(a);
  const kb = kindOf(b);
  if (c.special(out, a, ka, b, kb)) return;
  if (ka === Kind.infinity || kb === Kind.zero) {
    c.invalid(out);
    return;
  }
  result.quotient = 0;
  c.noteDenormals(ka, kb);
  if (ka === Kind.zero) {
    copy(out, a);
    return;
  }
  normalize(left, a);
  let sign = a.sign;
  if (kb === Kind.infinity) {
    c.round(out, sign, left.exponent, left.high, left.low, 0, Bits.extended);
    return;
  }
  normalize(right, b);
  const difference = left.exponent - right.exponent;
  if (difference < (toNearest ? -1 : 0)) {
    c.round(out, sign, left.exponent, left.high, left.low, 0, Bits.extended);
    return;
  }
  let steps = difference;
  let exponent = right.exponent;
  if (difference >= 64) {
    steps = (difference & 31) | 32;
    exponent = left.exponent - steps;
    result.partial = true;
  }
  const divisorHigh = right.high >>> 0;
  const divisorLow = right.low >>> 0;
  let high = left.high >>> 0;
  let low = left.low >>> 0;
  let over = 0;
  let quotient = 0;
  let half = -1; // order of the remainder against half the divisor
  if (difference < 0) {
    // FPREM1 only: a is below b but may be above half of it.
    half = compareSignificands(left, right);
    exponent = left.exponent;
  } else {
    for (let step = 0; ; step++) {
      quotient <<= 1;
      if (over !== 0 || high > divisorHigh || (high === divisorHigh && low >= divisorLow)) {
        quotient |= 1;
        const d = low - divisorLow;
        high = (high - divisorHigh - (d < 0 ? 1 : 0)) >>> 0;
        low = d >>> 0;
      }
      if (step === steps) break;
      over = high >>> 31;
      high = ((high << 1) | (low >>> 31)) >>> 0;
      low = (low << 1) >>> 0;
    }
    if (toNearest && !result.partial) {
      const doubledHigh = ((high << 1) | (low >>> 31)) >>> 0;
      const doubledLow = (low << 1) >>> 0;
      half =
        high >>> 31 !== 0
          ? 1
          : doubledHigh !== divisorHigh
            ? doubledHigh - divisorHigh
            : doubledLow - divisorLow;
    }
  }
  if (toNearest && !result.partial && (half > 0 || (half === 0 && (quotient & 1) !== 0))) {
    // The nearest multiple is the next one: the remainder is what lacks to it, with the other sign.
    quotient++;
    sign ^= 1;
    let minuendHigh = divisorHigh;
    let minuendLow = divisorLow;
    let top = 0;
    if (difference < 0) {
      top = minuendHigh >>> 31;
      minuendHigh = ((minuendHigh << 1) | (minuendLow >>> 31)) >>> 0;
      minuendLow = (minuendLow << 1) >>> 0;
    }
    const d = minuendLow - low;
    const h = top * 0x100000000 + minuendHigh - high - (d < 0 ? 1 : 0);
    high = h >>> 0;
    low = d >>> 0;
  }
  result.quotient = quotient & 7;
  if ((high | low) === 0) {
    setZero(out, a.sign);
    return;
  }
  if (high >>> 31 === 0) {
    if (high === 0) {
      high = low;
      low = 0;
      exponent -= 32;
    }
    const shift = Math.clz32(high);
    if (shift > 0) {
      high = (high << shift) | (low >>> (32 - shift));
      low <<= shift;
      exponent -= shift;
    }
  }
  c.round(out, sign, exponent, high | 0, low | 0, 0, Bits.extended);
}

/** a * 2^trunc(b). */
export function scale(c: Computation, out: Extended, a: Extended, b: Extended): void {
  const ka = kindOf(a);
  const kb = kindOf(b);
  if (c.special(out, a, ka, b, kb)) return;
  const { sign } = a;
  if (kb === Kind.infinity) {
    if (b.sign === 0) {
      if (ka === Kind.zero) {
        c.invalid(out);
        return;
      }
      c.noteDenormals(ka, kb);
      setInfinity(out, sign);
      return;
    }
    if (ka === Kind.infinity) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(ka, kb);
    setZero(out, sign);
    return;
  }
  c.noteDenormals(ka, kb);
  if (ka === Kind.zero || ka === Kind.infinity) {
    copy(out, a);
    return;
  }
  let count = 0;
  if (kb === Kind.normal && b.exponent >= bias) {
    const shift = b.exponent - bias;
    // Beyond 2^17 every number has left the range of exponents on one side.
    count = shift > 16 ? 0x20000 : (b.high >>> 0) >>> (31 - shift);
    if (b.sign !== 0) count = -count;
  }
  normalize(left, a);
  c.round(out, sign, left.exponent + count, left.high, left.low, 0, Bits.extended);
}

/** Splits into an unbiased exponent, as a number, and a significand with the exponent of 1. */
export function extract(c: Computation, exponent: Extended, significand: Extended, x: Extended): void {
  const kind = c.specialOne(significand, x);
  if (kind >= Kind.quietNaN) {
    copy(exponent, significand);
    return;
  }
  const { sign } = x;
  if (kind === Kind.infinity) {
    copy(significand, x);
    setInfinity(exponent, 0);
    return;
  }
  if (kind === Kind.zero) {
    c.exceptions |= Exception.zeroDivide;
    copy(significand, x);
    setInfinity(exponent, 1);
    return;
  }
  c.noteDenormals(kind, kind);
  normalize(left, x);
  assign(significand, sign, bias, left.high, left.low);
  const unbiased = left.exponent - bias;
  if (unbiased === 0) {
    setZero(exponent, 0);
    return;
  }
  const magnitude = Math.abs(unbiased);
  const shift = Math.clz32(magnitude);
  assign(exponent, unbiased < 0 ? 1 : 0, bias + 31 - shift, magnitude << shift, 0);
}
