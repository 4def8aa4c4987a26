/**
 * The eight registers, the stack pointer and the tags.
 *
 * Layout. Register r (physical; ST(i) is (top + i) & 7) has two homes, and `form[r]` says which one counts:
 *
 *   form  bit 0: 0 = signExponent[r], high[r], low[r] hold it (extended format)
 *                1 = number[r] holds it (a double; the other home is stale)
 *         bit 1: 1 = tagged empty (the contents stay, as FSAVE shows)
 *
 * Invariant: bit 0 is set exactly when the value is a zero or a number whose value is a normal double, so `form === 1` is all
 * that the fast path asks. Double-precision denormals, infinities and NaNs live in the extended home.
 */

import { bias, Extended, integerBit, Kind, kindOf, setIndefinite } from "./extended.ts";

export const Form = { extended: 0, double: 1, emptyExtended: 2, emptyDouble: 3, emptyBit: 2 } as const;

const floats = new Float64Array(1);
/** Low word first: every JavaScript engine's host is little-endian. */
const words = new Int32Array(floats.buffer);

const scratch = new Extended();
const indefinite = new Extended();
setIndefinite(indefinite);

export class RegisterStack {
  top = 0;
  readonly form = new Uint8Array(8).fill(Form.emptyDouble);
  readonly number = new Float64Array(8);
  private readonly signExponent = new Int32Array(8);
  private readonly high = new Int32Array(8);
  private readonly low = new Int32Array(8);

  /** Copies register r into `to`. */
  read(r: number, to: Extended): void {
    if ((this.form[r] & 1) === 0) {
      const word = this.signExponent[r];
      to.sign = word >>> 15;
      to.exponent = word & 0x7fff;
      to.high = this.high[r];
      to.low = this.low[r];
      return;
    }
    floats[0] = this.number[r];
    const high = words[1];
    const low = words[0];
    const exponent = (high >>> 20) & 0x7ff;
    to.sign = high >>> 31;
    if (exponent === 0) {
      to.exponent = 0;
      to.high = 0;
      to.low = 0;
      return;
    }
    to.exponent = exponent + bias - 1023;
    to.high = integerBit | ((high & 0xfffff) << 11) | (low >>> 21);
    to.low = low << 11;
  }

  /** Sets register r, tagged in use. */
  write(r: number, x: Extended): void {
    const exponent = x.exponent - bias + 1023;
    if (exponent > 0 && exponent < 0x7ff && x.high < 0 && (x.low & 0x7ff) === 0) {
      words[1] = (x.sign << 31) | (exponent << 20) | ((x.high >>> 11) & 0xfffff);
      words[0] = (x.high << 21) | (x.low >>> 11);
      this.number[r] = floats[0];
      this.form[r] = Form.double;
    } else if (x.exponent === 0 && (x.high | x.low) === 0) {
      this.number[r] = x.sign !== 0 ? -0 : 0;
      this.form[r] = Form.double;
    } else {
      this.signExponent[r] = (x.sign << 15) | x.exponent;
      this.high[r] = x.high;
      this.low[r] = x.low;
      this.form[r] = Form.extended;
    }
  }

  writeIndefinite(r: number): void {
    this.write(r, indefinite);
  }

  isEmpty(r: number): boolean {
    return (this.form[r] & Form.emptyBit) !== 0;
  }

  setEmpty(r: number): void {
    this.form[r] |= Form.emptyBit;
  }

  setInUse(r: number): void {
    this.form[r] &= 1;
  }

  /** Copies contents and tag. */
  move(to: number, from: number): void {
    this.form[to] = this.form[from];
    this.number[to] = this.number[from];
    this.signExponent[to] = this.signExponent[from];
    this.high[to] = this.high[from];
    this.low[to] = this.low[from];
  }

  exchange(a: number, b: number): void {
    const form = this.form[a];
    const number = this.number[a];
    const signExponent = this.signExponent[a];
    const high = this.high[a];
    const low = this.low[a];
    this.move(a, b);
    this.form[b] = form;
    this.number[b] = number;
    this.signExponent[b] = signExponent;
    this.high[b] = high;
    this.low[b] = low;
  }

  pop(): void {
    this.form[this.top] |= Form.emptyBit;
    this.top = (this.top + 1) & 7;
  }

  /** Makes the next register ST(0) and returns its number; the caller fills it. */
  push(): number {
    this.top = (this.top - 1) & 7;
    return this.top;
  }

  /** All registers empty, contents kept. */
  clear(): void {
    this.top = 0;
    for (let r = 0; r < 8; r++) this.form[r] |= Form.emptyBit;
  }

  /** The tag word: two bits a physical register, computed from the contents as the processor does when it stores it. */
  tagWord(): number {
    let word = 0;
    for (let r = 7; r >= 0; r--) {
      let tag = 3;
      if (!this.isEmpty(r)) {
        this.read(r, scratch);
        const kind = kindOf(scratch);
        tag = kind === Kind.normal ? 0 : kind === Kind.zero ? 1 : 2;
      }
      word = (word << 2) | tag;
    }
    return word;
  }

  /** Only empty or not survives a load. */
  setTagWord(word: number): void {
    for (let r = 0; r < 8; r++) {
      if (((word >>> (2 * r)) & 3) === 3) this.setEmpty(r);
      else this.setInUse(r);
    }
  }
}
