/**
 * F2XM1, FYL2X, FYL2XP1, FPATAN, FPTAN, FSIN, FCOS, FSINCOS.
 *
 * Results are computed to about 100 bits and then rounded to 64 as the rounding control says, so the error stays below
 * 0.501 units in the last place of the true function (Intel promises 1 for the Pentium: manual, volume 3, appendix G). As on the
 * Pentium, the trigonometric instructions reduce by the 66-bit value of pi, exactly: they are the functions of x * pi / pi66.
 * Precision control does not apply. Special operands: volume 3, chapter 25, tables of these instructions.
 *
 * The caller has dealt with empty registers. Exponents of very large and small operands never enter the doubles: significands
 * are in [1, 2) and the exponent is carried beside.
 *
 * Over 500 lines, because all functions share how operands become double-doubles and how results are rounded.
 */

import { Bits, type Computation } from "./computation.ts";
import {
  add,
  type DoubleDouble,
  divide,
  exact,
  ln2,
  log2e,
  multiply,
  negate,
  one,
  pi,
  scaled,
  subtract,
  sumOf,
} from "./double-double.ts";
import {
  assign,
  bias,
  copy,
  Exception,
  Extended,
  integerBit,
  Kind,
  kindOf,
  normalize,
  setInfinity,
  setOne,
  setZero,
} from "./extended.ts";

const left = new Extended();
const right = new Extended();

/** Below this exponent the second term of every series here is under a quarter unit in the last place of the first. */
const tinyExponent = -40;
/** Stands for such a second term: it decides directed rounding and nothing else. */
const nudge = 2 ** -80;

/** The significand as a number in [1, 2). */
function significandOf(x: Extended): DoubleDouble {
  return sumOf((x.high >>> 0) / 0x80000000, (x.low >>> 0) / 0x8000000000000000);
}

/** The value of a normalized number whose exponent is within the doubles'. */
function numberOf(x: Extended): DoubleDouble {
  return scaled(significandOf(x), 2 ** (x.exponent - bias));
}

const floatView = new Float64Array(1);
const wordView = new Int32Array(floatView.buffer);

/** Rounds magnitude * 2^exponent (unbiased; magnitude positive) into `out`. */
function deliver(
  c: Computation,
  out: Extended,
  sign: number,
  magnitude: DoubleDouble,
  exponent: number,
): void {
  let { high, low } = magnitude;
  floatView[0] = high;
  let own = ((wordView[1] >>> 20) & 0x7ff) - 1023;
  let power = 2 ** -own;
  if (high * power === 1 && low < 0) {
    own--;
    power *= 2;
  }
  high *= power;
  low *= power;
  // high has at most 53 bits and low starts below them: split at 2^-31 and 2^-63, what remains is `extra`.
  let top = Math.floor(high * 0x80000000);
  const lowUnits = low * 0x8000000000000000;
  const lowFloor = Math.floor(lowUnits);
  let bottom = (high * 0x80000000 - top) * 0x100000000 + lowFloor;
  if (bottom < 0) {
    bottom += 0x100000000;
    top--;
  } else if (bottom >= 0x100000000) {
    bottom -= 0x100000000;
    top++;
  }
  const fraction = lowUnits - lowFloor;
  let extra = 0;
  if (fraction > 0) {
    const scaledFraction = fraction * 0x100000000;
    extra =
      scaledFraction >= 0xffffffff ? -1 : Math.floor(scaledFraction) | (scaledFraction % 1 !== 0 ? 1 : 0);
  }
  c.round(out, sign, own + exponent + bias, top | 0, bottom | 0, extra, Bits.extended);
}

/** e^x - 1 for |x| <= 0.7: the series of x / 64, then six doublings e(2x) = e(x) (e(x) + 2), which lose nothing near 0. */
function exponentialMinusOne(x: DoubleDouble): DoubleDouble {
  const y = scaled(x, 1 / 64);
  let sum = one;
  for (let n = 15; n > 1; n--) sum = add(one, multiply(divide(y, exact(n)), sum));
  let result = multiply(y, sum);
  for (let doubling = 0; doubling < 6; doubling++) result = multiply(result, add(result, exact(2)));
  return result;
}

/** F2XM1: 2^x - 1 for |x| <= 1. Outside that range, where the manual leaves the result undefined, the operand stays. */
export function exponential(c: Computation, out: Extended, x: Extended): void {
  const kind = c.specialOne(out, x);
  if (kind >= Kind.quietNaN) return;
  const { sign } = x;
  if (kind === Kind.infinity) {
    if (sign === 0) {
      setInfinity(out, 0);
      return;
    }
    setOne(out, 1);
    return;
  }
  if (kind === Kind.zero) {
    copy(out, x);
    return;
  }
  c.noteDenormals(kind, kind);
  normalize(left, x);
  const exponent = left.exponent - bias;
  if (exponent >= 0) {
    if (exponent === 0 && left.high === integerBit && left.low === 0) {
      if (sign === 0) {
        setOne(out, 0);
        return;
      }
      assign(out, 1, bias - 1, integerBit, 0);
      return;
    }
    copy(out, x);
    return;
  }
  c.exceptions |= Exception.precision;
  if (exponent < -70) {
    const linear = multiply(significandOf(left), ln2);
    deliver(c, out, sign, linear, exponent);
    return;
  }
  const y = multiply(numberOf(left), ln2);
  const result = exponentialMinusOne(sign === 0 ? y : negate(y));
  deliver(c, out, sign, sign === 0 ? result : negate(result), 0);
}

/** 2 atanh(s) / ln 2 / s = log2((1 + s) / (1 - s)) / s, for |s| <= 0.1716. */
function logarithmSeries(s: DoubleDouble): DoubleDouble {
  const square = multiply(s, s);
  let sum = exact(0);
  for (let n = 43; n >= 1; n -= 2) sum = add(divide(one, exact(n)), multiply(square, sum));
  return multiply(scaled(log2e, 2), sum);
}

/** Multiplies y by a logarithm given as a signed number and an exponent beside it. */
function deliverProduct(
  c: Computation,
  out: Extended,
  y: Extended,
  logarithm: DoubleDouble,
  exponent: number,
): void {
  normalize(right, y);
  const negative = logarithm.high < 0;
  const product = multiply(significandOf(right), negative ? negate(logarithm) : logarithm);
  deliver(c, out, y.sign ^ (negative ? 1 : 0), product, right.exponent - bias + exponent);
}

/** FYL2X: y * log2(x). */
export function logarithm(c: Computation, out: Extended, x: Extended, y: Extended): void {
  const kx = kindOf(x);
  const ky = kindOf(y);
  if (c.special(out, x, kx, y, ky)) return;
  if (kx !== Kind.zero && x.sign !== 0) {
    c.invalid(out);
    return;
  }
  if (kx === Kind.zero) {
    if (ky === Kind.zero) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(kx, ky);
    if (ky !== Kind.infinity) c.exceptions |= Exception.zeroDivide;
    setInfinity(out, y.sign ^ 1);
    return;
  }
  if (kx === Kind.infinity) {
    if (ky === Kind.zero) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(kx, ky);
    setInfinity(out, y.sign);
    return;
  }
  normalize(left, x);
  const exponent = left.exponent - bias;
  const isOne = exponent === 0 && left.high === integerBit && left.low === 0;
  const below = exponent < 0 ? 1 : 0;
  if (ky === Kind.infinity) {
    if (isOne) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(kx, ky);
    setInfinity(out, y.sign ^ below);
    return;
  }
  c.noteDenormals(kx, ky);
  if (isOne || ky === Kind.zero) {
    setZero(out, y.sign ^ below);
    return;
  }
  let m = significandOf(left);
  let whole = exponent;
  if (m.high > Math.SQRT2) {
    m = scaled(m, 0.5);
    whole++;
  }
  let result = exact(whole);
  if (m.high !== 1 || m.low !== 0) {
    const s = divide(subtract(m, one), add(m, one));
    result = add(result, multiply(s, logarithmSeries(s)));
  }
  deliverProduct(c, out, y, result, 0);
}

/**
 * FYL2XP1: y * log2(x + 1); defined for |x| up to 1 - sqrt(2)/2. Beyond, where the manual leaves the result undefined, larger x
 * give the logarithm as well, and an x of -1 or less comes back.
 */
export function logarithmPlusOne(c: Computation, out: Extended, x: Extended, y: Extended): void {
  const kx = kindOf(x);
  const ky = kindOf(y);
  if (c.special(out, x, kx, y, ky)) return;
  const sign = x.sign ^ y.sign;
  if (kx === Kind.zero) {
    if (ky === Kind.infinity) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(kx, ky);
    setZero(out, sign);
    return;
  }
  if (kx === Kind.infinity) {
    if (x.sign !== 0 || ky === Kind.zero) {
      c.invalid(out);
      return;
    }
    c.noteDenormals(kx, ky);
    setInfinity(out, sign);
    return;
  }
  c.noteDenormals(kx, ky);
  if (ky === Kind.infinity) {
    setInfinity(out, sign);
    return;
  }
  if (x.sign !== 0 && x.exponent >= bias) {
    c.exceptions |= Exception.precision;
    copy(out, x);
    return;
  }
  if (ky === Kind.zero) {
    setZero(out, sign);
    return;
  }
  c.exceptions |= Exception.precision;
  normalize(left, x);
  const exponent = left.exponent - bias;
  if (exponent < -110) {
    const slope = multiply(significandOf(left), log2e);
    deliverProduct(c, out, y, x.sign !== 0 ? negate(slope) : slope, exponent);
    return;
  }
  // Beyond the defined range the general logarithm serves; there x + 1 loses nothing that matters.
  const value = exponent > 64 ? significandOf(left) : numberOf(left);
  const signed = x.sign !== 0 ? negate(value) : value;
  if (exponent >= -1) {
    let m = exponent > 64 ? signed : add(signed, one);
    let whole = exponent > 64 ? exponent : 0;
    floatView[0] = m.high;
    const own = ((wordView[1] >>> 20) & 0x7ff) - 1023;
    m = scaled(m, 2 ** -own);
    whole += own;
    if (m.high > Math.SQRT2) {
      m = scaled(m, 0.5);
      whole++;
    }
    const s = divide(subtract(m, one), add(m, one));
    deliverProduct(c, out, y, add(exact(whole), multiply(s, logarithmSeries(s))), 0);
    return;
  }
  const s = divide(signed, add(signed, exact(2)));
  deliverProduct(c, out, y, multiply(s, logarithmSeries(s)), 0);
}

/** sin r for |r| <= pi/4 and a little more. */
function sineSeries(r: DoubleDouble): DoubleDouble {
  const square = negate(multiply(r, r));
  let sum = one;
  for (let n = 30; n >= 2; n -= 2) sum = add(one, multiply(divide(square, exact(n * (n + 1))), sum));
  return multiply(r, sum);
}

function cosineSeries(r: DoubleDouble): DoubleDouble {
  const square = negate(multiply(r, r));
  let sum = one;
  for (let n = 29; n >= 1; n -= 2) sum = add(one, multiply(divide(square, exact(n * (n + 1))), sum));
  return sum;
}

/** An angle reduced by multiples of pi/2: remainder in [-pi/4, pi/4] and the quotient modulo 4. */
interface Reduced {
  readonly remainder: DoubleDouble;
  readonly quadrant: number;
}

/** pi/2 to 66 bits is these three words times 2^-65: two bits, then two words. */
const halfPiTop = 3;
const halfPiHigh = 0x243f6a88;
const halfPiLow = 0x85a308d3;

/** Reduces the magnitude of a normalized number below 2^63, exactly, in integers of 67 bits with unit 2^-65. */
function reduce(x: Extended): Reduced {
  const exponent = x.exponent - bias;
  if (exponent < -2) return { remainder: numberOf(x), quadrant: 0 };
  let top = 0;
  let high = x.high >>> 0;
  let low = x.low >>> 0;
  let quadrant = 0;
  for (let step = 0; step < exponent + 2; step++) {
    top = (top << 1) | (high >>> 31);
    high = ((high << 1) | (low >>> 31)) >>> 0;
    low = (low << 1) >>> 0;
    quadrant <<= 1;
    if (
      top > halfPiTop ||
      (top === halfPiTop && (high > halfPiHigh || (high === halfPiHigh && low >= halfPiLow)))
    ) {
      const lowDifference = low - halfPiLow;
      const highDifference = high - halfPiHigh - (lowDifference < 0 ? 1 : 0);
      top = top - halfPiTop - (highDifference < 0 ? 1 : 0);
      high = highDifference >>> 0;
      low = lowDifference >>> 0;
      quadrant |= 1;
    }
  }
  let negative = false;
  // Above pi/4: go to the other side of the next multiple. 1.65 units of the top word are half of pi/2.
  if (top >= 2 || (top === 1 && high >= 0x921fb544)) {
    const lowDifference = halfPiLow - low;
    const highDifference = halfPiHigh - high - (lowDifference < 0 ? 1 : 0);
    top = halfPiTop - top - (highDifference < 0 ? 1 : 0);
    high = highDifference >>> 0;
    low = lowDifference >>> 0;
    quadrant++;
    negative = true;
  }
  const remainder = scaled(sumOf(top * 0x100000000 + high, low / 0x100000000), 2 ** -33);
  return { remainder: negative ? negate(remainder) : remainder, quadrant: quadrant & 3 };
}

function sineOf(reduced: Reduced, shift: number): DoubleDouble {
  const quadrant = (reduced.quadrant + shift) & 3;
  const value = (quadrant & 1) === 0 ? sineSeries(reduced.remainder) : cosineSeries(reduced.remainder);
  return quadrant >= 2 ? negate(value) : value;
}

function deliverSigned(c: Computation, out: Extended, sign: number, value: DoubleDouble): void {
  if (value.high < 0) deliver(c, out, sign ^ 1, negate(value), 0);
  else deliver(c, out, sign, value, 0);
}

/** What a trigonometric instruction did with its operand. */
export const Trigonometry = { done: 0, outOfRange: 1 } as const;
export type Trigonometry = (typeof Trigonometry)[keyof typeof Trigonometry];

/**
 * Sine into `sine`, cosine into `cosine`, tangent into `tangent`; null for what is not wanted. An operand of 2^63 or more is left
 * alone and reported: the instruction sets C2.
 */
export function trigonometry(
  c: Computation,
  x: Extended,
  sine: Extended | null,
  cosine: Extended | null,
  tangent: Extended | null,
): Trigonometry {
  const kind = kindOf(x);
  const { sign } = x;
  const sineLike = sine ?? tangent;
  if (kind >= Kind.infinity) {
    if (kind === Kind.infinity) c.invalid(left);
    else c.specialOne(left, x);
    if (sine !== null) copy(sine, left);
    if (cosine !== null) copy(cosine, left);
    if (tangent !== null) copy(tangent, left);
    return Trigonometry.done;
  }
  if (kind === Kind.zero) {
    if (sineLike !== null) setZero(sineLike, sign);
    if (cosine !== null) setOne(cosine, 0);
    return Trigonometry.done;
  }
  normalize(left, x);
  const exponent = left.exponent - bias;
  if (exponent >= 63) return Trigonometry.outOfRange;
  c.noteDenormals(kind, kind);
  c.exceptions |= Exception.precision;
  if (exponent < tinyExponent) {
    // sin x is just below x, tan x just above it, cos x just below 1.
    if (cosine !== null) deliver(c, cosine, 0, { high: 1, low: -nudge }, 0);
    if (sineLike !== null) {
      const m = significandOf(left);
      const moved = sumOf(m.high, m.low + (sine !== null ? -nudge : nudge));
      deliver(c, sineLike, sign, moved, exponent);
    }
    return Trigonometry.done;
  }
  const reduced = reduce(left);
  if (tangent !== null) {
    deliverSigned(c, tangent, sign, divide(sineOf(reduced, 0), sineOf(reduced, 1)));
    return Trigonometry.done;
  }
  if (cosine !== null) deliverSigned(c, cosine, 0, sineOf(reduced, 1));
  if (sine !== null) deliverSigned(c, sine, sign, sineOf(reduced, 0));
  return Trigonometry.done;
}

const halfPi = scaled(pi, 0.5);

/** FPATAN: the angle of the point (x, y), that is arctan(y / x) in the quadrant that the signs say. */
export function arctangent(c: Computation, out: Extended, x: Extended, y: Extended): void {
  const kx = kindOf(x);
  const ky = kindOf(y);
  if (c.special(out, x, kx, y, ky)) return;
  c.noteDenormals(kx, ky);
  const { sign } = y;
  const negative = x.sign !== 0;
  if (ky === Kind.zero || (kx === Kind.infinity && ky !== Kind.infinity)) {
    if (!negative) {
      setZero(out, sign);
      return;
    }
    c.exceptions |= Exception.precision;
    deliver(c, out, sign, pi, 0);
    return;
  }
  c.exceptions |= Exception.precision;
  if (ky === Kind.infinity) {
    const eighths = kx !== Kind.infinity ? 4 : negative ? 6 : 2;
    deliver(c, out, sign, multiply(pi, exact(eighths / 8)), 0);
    return;
  }
  if (kx === Kind.zero) {
    deliver(c, out, sign, halfPi, 0);
    return;
  }
  normalize(left, x);
  normalize(right, y);
  const difference = right.exponent - left.exponent;
  const sx = significandOf(left);
  const sy = significandOf(right);
  if (difference < tinyExponent && !negative) {
    // Just below the quotient, which may itself be exact.
    const quotient = divide(sy, sx);
    deliver(c, out, sign, sumOf(quotient.high, quotient.low - nudge), difference);
    return;
  }
  // Scale so that the larger coordinate has exponent 0; one 2^-200 of it is as good as any smaller.
  const u = difference > 0 ? scaled(sx, 2 ** Math.max(-difference, -200)) : sx;
  const v = difference < 0 ? scaled(sy, 2 ** Math.max(difference, -200)) : sy;
  const swap = v.high > u.high;
  const adjacent = swap ? v : u;
  const opposite = swap ? u : v;
  // Turn the point by a double-precision estimate of its angle; what is left is so small that its tangent is itself,
  // up to a cube below 2^-150.
  const estimate = exact(Math.atan2(opposite.high, adjacent.high));
  const s = sineSeries(estimate);
  const k = cosineSeries(estimate);
  const rest = divide(
    subtract(multiply(opposite, k), multiply(adjacent, s)),
    add(multiply(adjacent, k), multiply(opposite, s)),
  );
  let angle = add(estimate, rest);
  if (swap) angle = subtract(halfPi, angle);
  if (negative) angle = subtract(pi, angle);
  deliver(c, out, sign, angle, 0);
}

/** The constants of D9 E8 to EE: exponent, significand cut off after 64 bits, and whether it is nearer to the next number. */
const constants: readonly (readonly [number, number, number, boolean])[] = [
  [bias, 0x80000000, 0, false], // 1
  [bias + 1, 0xd49a784b, 0xcd1b8afe, false], // log2 10
  [bias, 0xb8aa3b29, 0x5c17f0bb, true], // log2 e
  [bias + 1, 0xc90fdaa2, 0x2168c234, true], // pi
  [bias - 2, 0x9a209a84, 0xfbcff798, true], // log10 2
  [bias - 1, 0xb17217f7, 0xd1cf79ab, true], // ln 2
  [0, 0, 0, false], // 0
];

/** Constants obey rounding control but raise nothing: they are wider inside the unit. */
export function loadConstant(c: Computation, out: Extended, index: number): void {
  const [exponent, high, low, nearerAbove] = constants[index];
  const inexact = index !== 0 && index !== 6;
  const up = inexact && (c.rounding === 0 ? nearerAbove : c.rounding === 2);
  assign(out, 0, exponent, high, low + (up ? 1 : 0));
}
