/**
 * Between the extended format and everything that memory holds: single, double, integers, packed decimal.
 * Source: Pentium Processor Family Developer's Manual, volume 3, sections 6.2.2 to 6.2.4 and table 6-11.
 *
 * 64-bit values travel as two 32-bit halves in `Wide`.
 */

import { Bits, type Computation, ExponentRange } from "./computation.ts";
import {
  assign,
  bias,
  Exception,
  Extended,
  integerBit,
  Kind,
  kindOf,
  maximumExponent,
  normalize,
  setZero,
} from "./extended.ts";

export class Wide {
  high = 0;
  low = 0;
}

const scratch = new Extended();

/** Widens without quieting; tells whether the source was a denormal (which becomes a normal number). */
export function fromSingle(to: Extended, word: number): boolean {
  const sign = word >>> 31;
  const exponent = (word >>> 23) & 0xff;
  const fraction = word & 0x7fffff;
  if (exponent === 0) {
    if (fraction === 0) {
      setZero(to, sign);
      return false;
    }
    const shift = Math.clz32(fraction);
    assign(to, sign, bias - 126 + 8 - shift, fraction << shift, 0);
    return true;
  }
  assign(
    to,
    sign,
    exponent === 0xff ? maximumExponent : exponent + bias - 127,
    integerBit | (fraction << 8),
    0,
  );
  return false;
}

export function fromDouble(to: Extended, high: number, low: number): boolean {
  const sign = high >>> 31;
  const exponent = (high >>> 20) & 0x7ff;
  const top = ((high & 0xfffff) << 11) | (low >>> 21);
  const bottom = low << 11;
  if (exponent === 0) {
    if ((top | bottom) === 0) {
      setZero(to, sign);
      return false;
    }
    // The fraction sits one place below the integer bit; `normalize` moves it up and gives the exponent that it then has.
    assign(scratch, sign, 1, top, bottom);
    normalize(to, scratch);
    to.exponent += bias - 1023;
    return true;
  }
  assign(to, sign, exponent === 0x7ff ? maximumExponent : exponent + bias - 1023, integerBit | top, bottom);
  return false;
}

/** Integer in two's complement, sign-extended into `high` by the caller. Exact. */
export function fromInteger(to: Extended, high: number, low: number): void {
  const sign = high >>> 31;
  if (sign !== 0) {
    low = -low | 0;
    high = ~high + (low === 0 ? 1 : 0);
  }
  fromMagnitude(to, sign, high, low);
}

export function fromMagnitude(to: Extended, sign: number, high: number, low: number): void {
  if ((high | low) === 0) {
    setZero(to, sign);
    return;
  }
  assign(scratch, sign, bias + 63, high, low);
  normalize(to, scratch);
}

/**
 * Narrows to single precision. The bits are meaningless if an unmasked exception forbids the store. An extended denormal raises
 * underflow, never the denormal exception.
 */
export function toSingle(c: Computation, x: Extended): number {
  const kind = c.specialOne(scratch, x);
  switch (kind) {
    case Kind.zero:
      return (x.sign << 31) | 0;
    case Kind.infinity:
      return (x.sign << 31) | 0x7f800000;
    case Kind.quietNaN:
    case Kind.signallingNaN:
    case Kind.unsupported:
      return (scratch.sign << 31) | 0x7f800000 | ((scratch.high >>> 8) & 0x7fffff);
    default: {
      const sign = x.sign;
      normalize(scratch, x);
      c.round(
        scratch,
        sign,
        scratch.exponent - bias + 127,
        scratch.high,
        scratch.low,
        0,
        Bits.single,
        ExponentRange.single,
      );
      return (sign << 31) | (scratch.exponent << 23) | ((scratch.high >>> 8) & 0x7fffff);
    }
  }
}

export function toDouble(c: Computation, x: Extended, to: Wide): void {
  const kind = c.specialOne(scratch, x);
  switch (kind) {
    case Kind.zero:
      to.high = (x.sign << 31) | 0;
      to.low = 0;
      return;
    case Kind.infinity:
      to.high = (x.sign << 31) | 0x7ff00000;
      to.low = 0;
      return;
    case Kind.quietNaN:
    case Kind.signallingNaN:
    case Kind.unsupported:
      scratch.exponent = 0x7ff;
      break;
    default:
      scratch.sign = x.sign;
      normalize(scratch, x);
      c.round(
        scratch,
        x.sign,
        scratch.exponent - bias + 1023,
        scratch.high,
        scratch.low,
        0,
        Bits.double,
        ExponentRange.double,
      );
  }
  to.high = (scratch.sign << 31) | (scratch.exponent << 20) | ((scratch.high >>> 11) & 0xfffff);
  to.low = (scratch.high << 21) | (scratch.low >>> 11);
}

/**
 * Rounds a finite non-zero number to an integer magnitude in `c.high`:`c.low`; false when it does not fit 64 bits.
 */
export function roundToInteger(c: Computation, x: Extended): boolean {
  normalize(scratch, x);
  const shift = 63 - (scratch.exponent - bias);
  if (shift < 0) return false;
  c.high = scratch.high;
  c.low = scratch.low;
  const extra = c.shiftRight(shift, 0);
  return c.roundBits(x.sign, extra, Bits.extended) === 0;
}

/** To a signed integer of 16, 32 or 64 bits; the integer indefinite (the most negative one) when it does not fit. */
export function toInteger(c: Computation, x: Extended, bits: 16 | 32 | 64, to: Wide): void {
  const kind = kindOf(x);
  if (kind === Kind.zero) {
    to.high = 0;
    to.low = 0;
    return;
  }
  if (kind < Kind.infinity && roundToInteger(c, x)) {
    let { high, low } = c;
    let fits: boolean;
    if (bits === 64) fits = high >= 0 || (x.sign !== 0 && high === integerBit && low === 0);
    else {
      const limit = bits === 32 ? 0x80000000 : 0x8000;
      fits = high === 0 && low >>> 0 < limit + x.sign;
    }
    if (fits) {
      if (x.sign !== 0) {
        low = -low | 0;
        high = (~high + (low === 0 ? 1 : 0)) | 0;
      }
      to.high = high;
      to.low = low;
      return;
    }
  }
  c.exceptions = Exception.invalid;
  c.roundedUp = false;
  to.high = integerBit;
  to.low = bits === 64 ? 0 : bits === 32 ? integerBit : 0x8000;
}

/** FRNDINT. */
export function roundToIntegral(c: Computation, out: Extended, x: Extended): void {
  const kind = c.specialOne(out, x);
  if (kind >= Kind.quietNaN) return;
  const { sign } = x;
  if (kind === Kind.zero || kind === Kind.infinity || x.exponent >= bias + 63) {
    assign(out, sign, x.exponent, x.high, x.low);
    return;
  }
  c.noteDenormals(kind, kind);
  roundToInteger(c, x);
  fromMagnitude(out, sign, c.high, c.low);
}

/** 10^18 - 1, the largest packed decimal. */
const largestDecimalHigh = 0x0de0b6b3;
const largestDecimalLow = 0xa763ffff;

/** To 18 packed digits: nine bytes of digits, low ones first, then the sign byte. */
export function toPackedDecimal(c: Computation, x: Extended, to: Uint8Array): void {
  const kind = kindOf(x);
  to.fill(0);
  if (kind === Kind.zero) {
    to[9] = x.sign << 7;
    return;
  }
  const fits =
    kind < Kind.infinity &&
    roundToInteger(c, x) &&
    (c.high >>> 0 < largestDecimalHigh ||
      (c.high === largestDecimalHigh && c.low >>> 0 <= largestDecimalLow));
  if (!fits) {
    c.exceptions = Exception.invalid;
    c.roundedUp = false;
    to[7] = 0xc0;
    to[8] = 0xff;
    to[9] = 0xff;
    return;
  }
  let high = c.high >>> 0;
  let low = c.low >>> 0;
  for (let index = 0; index < 9; index++) {
    const carried = (high % 100) * 0x100000000 + low;
    high = Math.floor(high / 100);
    low = Math.floor(carried / 100);
    const pair = carried % 100;
    // A quotient of the low word stays below 2^32, because the carried part is below 100.
    to[index] = (Math.floor(pair / 10) << 4) | (pair % 10);
  }
  to[9] = x.sign << 7;
}

export function fromPackedDecimal(to: Extended, bytes: Uint8Array): void {
  let high = 0;
  let low = 0;
  for (let index = 8; index >= 0; index--) {
    const digits = (bytes[index] >>> 4) * 10 + (bytes[index] & 15);
    const product = low * 100 + digits;
    low = product % 0x100000000;
    high = high * 100 + Math.floor(product / 0x100000000);
  }
  fromMagnitude(to, bytes[9] >>> 7, high | 0, low | 0);
}
