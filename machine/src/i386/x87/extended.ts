/**
 * The 80-bit extended format and the bits of the control and status words. Source: Intel, Pentium Processor Family
 * Developer's Manual, volume 3, chapter 6 ("Numeric Applications"), tables 6-1 to 6-12.
 *
 *   79   78         64 63 62                        0
 *   sign  exponent     J  fraction                       value = J.fraction * 2^(exponent - 16383)
 *
 * J is explicit. With exponent 0 the scale is that of exponent 1 (denormals; with J set, pseudo-denormals, which
 * the unit reads as the normal number they denote). A clear J with any other exponent is an unsupported format.
 * `high` and `low` are the significand's halves as signed 32-bit integers, so that they stay small integers in V8:
 * J is the sign of `high`. Unsigned comparison needs `>>> 0`.
 */

export class Extended {
  /** 0 or 1. */
  sign = 0;
  /** 0 to 0x7fff in a stored number; any integer in an intermediate one. */
  exponent = 0;
  high = 0;
  low = 0;
}

export const Exception = {
  invalid: 0x01,
  denormal: 0x02,
  zeroDivide: 0x04,
  overflow: 0x08,
  underflow: 0x10,
  precision: 0x20,
  /** The exceptions that are found before anything is computed: unmasked, they leave the operands as they were. */
  beforeComputing: 0x07,
  all: 0x3f,
} as const;

export const Status = {
  stackFault: 0x40,
  errorSummary: 0x80,
  c0: 0x100,
  c1: 0x200,
  c2: 0x400,
  c3: 0x4000,
  conditions: 0x4700,
  busy: 0x8000,
} as const;

/** Bits 8 and 9 of the control word, and what they say. */
export const Precision = { single: 0, reserved: 1, double: 2, extended: 3 } as const;

/** Bits 10 and 11 of the control word. */
export const Rounding = { nearest: 0, down: 1, up: 2, chop: 3 } as const;

/** What a bit pattern is. The order matters: everything from `infinity` on needs care in arithmetic. */
export const Kind = {
  normal: 0,
  zero: 1,
  denormal: 2,
  infinity: 3,
  quietNaN: 4,
  signallingNaN: 5,
  unsupported: 6,
} as const;
export type Kind = (typeof Kind)[keyof typeof Kind];

export const bias = 16383;
export const maximumExponent = 0x7fff;
/** The sign and integer bit of a significand's high half. */
export const integerBit = 0x80000000 | 0;
/** The bias adjustment of an unmasked overflow or underflow whose destination is a register. */
export const wrapBias = 24576;

export function kindOf(x: Extended): Kind {
  if (x.exponent === 0) return (x.high | x.low) === 0 ? Kind.zero : Kind.denormal;
  if (x.high >= 0) return Kind.unsupported;
  if (x.exponent !== maximumExponent) return Kind.normal;
  if (x.high === integerBit && x.low === 0) return Kind.infinity;
  return (x.high & 0x40000000) !== 0 ? Kind.quietNaN : Kind.signallingNaN;
}

export function assign(to: Extended, sign: number, exponent: number, high: number, low: number): void {
  to.sign = sign;
  to.exponent = exponent;
  to.high = high | 0;
  to.low = low | 0;
}

export function copy(to: Extended, from: Extended): void {
  to.sign = from.sign;
  to.exponent = from.exponent;
  to.high = from.high;
  to.low = from.low;
}

export function setZero(to: Extended, sign: number): void {
  assign(to, sign, 0, 0, 0);
}

export function setInfinity(to: Extended, sign: number): void {
  assign(to, sign, maximumExponent, integerBit, 0);
}

/** The real indefinite: the quiet NaN that masked invalid operations deliver. */
export function setIndefinite(to: Extended): void {
  assign(to, 1, maximumExponent, 0xc0000000, 0);
}

export function setOne(to: Extended, sign: number): void {
  assign(to, sign, bias, integerBit, 0);
}

/** Unsigned comparison of significands: negative, zero or positive as a is below, equal to or above b. */
export function compareSignificands(a: Extended, b: Extended): number {
  if (a.high !== b.high) return a.high >>> 0 < b.high >>> 0 ? -1 : 1;
  if (a.low !== b.low) return a.low >>> 0 < b.low >>> 0 ? -1 : 1;
  return 0;
}

/**
 * Copies a non-zero finite number with the integer bit set: a denormal gets the exponent, zero or below, that its
 * value has.
 */
export function normalize(to: Extended, from: Extended): void {
  let { high, low } = from;
  let exponent = from.exponent === 0 ? 1 : from.exponent;
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
  assign(to, from.sign, exponent, high, low);
}
