/**
 * One computation: the control word that governs it goes in, the exceptions and the rounding direction come out.
 * `round` is the only place where a result loses bits.
 *
 * Source: Pentium Processor Family Developer's Manual, volume 3, section 6.2.1 and chapter 7: rounding comes first, then
 * overflow; tininess is judged after rounding as if the exponent had no bounds; masked underflow needs a loss
 * of accuracy too; an unmasked overflow or underflow of a register result wraps the exponent by 24576.
 */

import {
  assign,
  copy,
  Exception,
  type Extended,
  integerBit,
  Kind,
  kindOf,
  maximumExponent,
  Precision,
  Rounding,
  setIndefinite,
  wrapBias,
} from "./extended.ts";

/** Bits of significand that a rounding keeps. */
export const Bits = { single: 24, double: 53, extended: 64 } as const;

/** Largest biased exponent of the format that a result goes to; the biased exponents are that format's own. */
export const ExponentRange = { single: 0xff, double: 0x7ff, extended: maximumExponent } as const;

export class Computation {
  control = 0x037f;
  /** Exceptions raised, as bits of the status word. */
  exceptions = 0;
  /** Whether the last rounding increased the magnitude: C1 of the status word. */
  roundedUp = false;
  /** `Exception.denormal` when an operand came from a denormal in memory, which the extended format holds as a normal. */
  denormalSource = 0;
  /** The significand of `roundBits` and of the integer conversions. */
  high = 0;
  low = 0;

  begin(control: number): void {
    this.control = control;
    this.exceptions = 0;
    this.roundedUp = false;
    this.denormalSource = 0;
  }

  get rounding(): number {
    return (this.control >> 10) & 3;
  }

  /** What precision control asks of add, subtract, multiply, divide and square root. The reserved value acts as extended. */
  get precisionBits(): number {
    const precision = (this.control >> 8) & 3;
    return precision === Precision.single
      ? Bits.single
      : precision === Precision.double
        ? Bits.double
        : Bits.extended;
  }

  masked(exception: number): boolean {
    return (this.control & exception) !== 0;
  }

  invalid(out: Extended): void {
    this.exceptions |= Exception.invalid;
    setIndefinite(out);
  }

  /** Raises the denormal exception if an operand calls for it. */
  noteDenormals(a: Kind, b: Kind): void {
    if (a === Kind.denormal || b === Kind.denormal) this.exceptions |= Exception.denormal;
    this.exceptions |= this.denormalSource;
  }

  /**
   * Rounds `high`:`low`:`extra` in this object to `bits` (64, 53 or 24) of significand, in place. `extra` holds the 32 bits
   * below `low`, its last bit sticky. Returns 1 when the increment carried out of the top (the significand is then 0).
   */
  roundBits(sign: number, extra: number, bits: number): 0 | 1 {
    let { high, low } = this;
    let inexact: boolean;
    let up: boolean; // to nearest
    if (bits === Bits.extended) {
      inexact = extra !== 0;
      up = extra < 0 && (extra !== integerBit || (low & 1) !== 0);
    } else if (bits === Bits.double) {
      const rest = low & 0x7ff;
      inexact = (rest | extra) !== 0;
      up = rest > 0x400 || (rest === 0x400 && (extra !== 0 || (low & 0x800) !== 0));
    } else {
      const rest = high & 0xff;
      const sticky = low | extra;
      inexact = (rest | sticky) !== 0;
      up = rest > 0x80 || (rest === 0x80 && (sticky !== 0 || (high & 0x100) !== 0));
    }
    this.roundedUp = false;
    let carry: 0 | 1 = 0;
    if (inexact) {
      this.exceptions |= Exception.precision;
      const rounding = (this.control >> 10) & 3;
      if (rounding === Rounding.chop) up = false;
      else if (rounding === Rounding.down) up = sign !== 0;
      else if (rounding === Rounding.up) up = sign === 0;
      this.roundedUp = up;
      if (bits === Bits.double) low &= ~0x7ff;
      else if (bits === Bits.single) {
        low = 0;
        high &= ~0xff;
      }
      if (up) {
        if (bits === Bits.single) {
          high = (high + 0x100) | 0;
          if (high === 0) carry = 1;
        } else {
          const before = low;
          low = (low + (bits === Bits.extended ? 1 : 0x800)) | 0;
          if (low >>> 0 < before >>> 0) {
            high = (high + 1) | 0;
            if (high === 0) carry = 1;
          }
        }
      }
    }
    this.high = high;
    this.low = low;
    return carry;
  }

  /** Shifts `high`:`low` of this object right by `count` >= 0 and returns the new bits below, `extra` included, sticky. */
  shiftRight(count: number, extra: number): number {
    let { high, low } = this;
    if (count > 98) {
      const sticky = (high | low | extra) !== 0 ? 1 : 0;
      this.high = 0;
      this.low = 0;
      return sticky;
    }
    for (; count >= 32; count -= 32) {
      extra = low | (extra !== 0 ? 1 : 0);
      low = high;
      high = 0;
    }
    if (count > 0) {
      const lost = extra << (32 - count);
      extra = (low << (32 - count)) | (extra >>> count) | (lost !== 0 ? 1 : 0);
      low = (high << (32 - count)) | (low >>> count);
      high >>>= count;
    }
    this.high = high | 0;
    this.low = low | 0;
    return extra | 0;
  }

  /**
   * Rounds a normalized significand (integer bit set) with its biased exponent, any integer, to a format. The result is
   * left in `out`, its exponent biased as the argument was. For the extended format the unmasked responses wrap the exponent;
   * for the memory formats the caller must not store when an unmasked overflow or underflow was raised.
   */
  round(
    out: Extended,
    sign: number,
    exponent: number,
    high: number,
    low: number,
    extra: number,
    bits: number,
    range: number = ExponentRange.extended,
  ): void {
    this.high = high;
    this.low = low;
    let tiny = false;
    if (exponent <= 0) {
      tiny = exponent < 0;
      if (!tiny) {
        // A carry lifts the value to the smallest normal: then it was not tiny.
        const before = this.exceptions;
        tiny = this.roundBits(sign, extra, bits) === 0;
        this.exceptions = before;
        this.high = high;
        this.low = low;
      }
      if (tiny && !this.masked(Exception.underflow)) {
        this.exceptions |= Exception.underflow;
        if (range === ExponentRange.extended) {
          exponent += wrapBias;
          if (exponent <= 0) {
            // Only FSCALE gets so far down: beyond the wrap there is nothing but zero.
            assign(out, sign, 0, 0, 0);
            this.exceptions |= Exception.precision;
            this.roundedUp = false;
            return;
          }
        }
        tiny = false;
      }
      if (exponent <= 0) {
        extra = this.shiftRight(1 - exponent, extra);
        exponent = 0;
      }
    }
    const carry = this.roundBits(sign, extra, bits);
    if (carry !== 0) {
      this.high = integerBit;
      exponent++;
    } else if (exponent === 0 && this.high < 0) exponent = 1;
    if (tiny && (this.exceptions & Exception.precision) !== 0) this.exceptions |= Exception.underflow;
    if (exponent >= range) {
      this.exceptions |= Exception.overflow;
      if (this.masked(Exception.overflow)) {
        this.overflow(out, sign, bits, range);
        return;
      }
      if (range === ExponentRange.extended) {
        exponent -= wrapBias;
        if (exponent >= range) {
          assign(out, sign, range, integerBit, 0);
          this.exceptions |= Exception.precision;
          this.roundedUp = true;
          return;
        }
      }
    }
    assign(out, sign, exponent, this.high, this.low);
  }

  /** Masked overflow: infinity, or the largest number when rounding leads away from infinity. */
  private overflow(out: Extended, sign: number, bits: number, range: number): void {
    const rounding = this.rounding;
    this.exceptions |= Exception.precision;
    const infinite = rounding === Rounding.nearest || rounding === (sign !== 0 ? Rounding.down : Rounding.up);
    this.roundedUp = infinite;
    if (infinite) assign(out, sign, range, integerBit, 0);
    else if (bits === Bits.extended) assign(out, sign, range - 1, -1, -1);
    else if (bits === Bits.double) assign(out, sign, range - 1, -1, ~0x7ff);
    else assign(out, sign, range - 1, ~0xff, 0);
  }

  /** The quiet NaN that an operation on two operands, at least one a NaN, delivers (manual, table 7-1). */
  propagate(out: Extended, a: Extended, kindOfA: Kind, b: Extended, kindOfB: Kind): void {
    if (kindOfA === Kind.signallingNaN || kindOfB === Kind.signallingNaN)
      this.exceptions |= Exception.invalid;
    let chosen: Extended;
    if (kindOfB < Kind.quietNaN) chosen = a;
    else if (kindOfA < Kind.quietNaN) chosen = b;
    else if (kindOfA !== kindOfB) chosen = kindOfA === Kind.quietNaN ? a : b;
    else {
      const sa = a.high >>> 0;
      const sb = b.high >>> 0;
      const order = sa !== sb ? sa - sb : (a.low >>> 0) - (b.low >>> 0);
      chosen = order > 0 || (order === 0 && a.sign <= b.sign) ? a : b;
    }
    copy(out, chosen);
    out.high |= 0x40000000;
  }

  /** Deals with operands that need no arithmetic: unsupported formats and NaNs. True when `out` is set. */
  special(out: Extended, a: Extended, kindOfA: Kind, b: Extended, kindOfB: Kind): boolean {
    if (kindOfA < Kind.quietNaN && kindOfB < Kind.quietNaN) return false;
    if (kindOfA === Kind.unsupported || kindOfB === Kind.unsupported) this.invalid(out);
    else this.propagate(out, a, kindOfA, b, kindOfB);
    return true;
  }

  /** The same for one operand. */
  specialOne(out: Extended, a: Extended): Kind {
    const kind = kindOf(a);
    if (kind === Kind.unsupported) this.invalid(out);
    else if (kind >= Kind.quietNaN) {
      if (kind === Kind.signallingNaN) this.exceptions |= Exception.invalid;
      copy(out, a);
      out.high |= 0x40000000;
    }
    return kind;
  }
}
