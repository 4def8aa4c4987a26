/**
 * The fast path: instructions on registers in double form (`registers.ts`), in JavaScript's doubles where they give the architectural
 * result, and through the reference (`operations.ts`, `transfers.ts`) everywhere else.
 *
 * Registers in double form are zeros and normal doubles, so neither NaNs nor denormals nor infinities occur. Arithmetic in doubles
 * is right when precision control is 53 bits, rounding is to nearest, and the result is a normal double or an exact zero: x87 rounds to
 * 53 bits without narrowing the exponent, which then makes no difference. Loads, stores of doubles and comparisons are exact in
 * any mode. C1 and the inexact flag come from the exact error (`double.ts`).
 *
 * A memory operand passes from `readSingle`, `readDouble` or `setIntegerOperand` to its user in `floats[0]` when it is plain (a zero
 * or a normal double), else in `operand`.
 */

import { Operation } from "./arithmetic.ts";
import { clocks } from "./clocks.ts";
import type { FloatingPointMemory } from "./contract.ts";
import { fromDouble, fromInteger, fromSingle } from "./conversions.ts";
import { directionOf, roundDouble, squareRootOperation } from "./double.ts";
import { Extended, Status } from "./extended.ts";
import * as operations from "./operations.ts";
import { Form } from "./registers.ts";
import { FloatingPointState } from "./state.ts";
import * as transfers from "./transfers.ts";

/** Smallest normal double: at or below it a product or quotient may have been rounded as a denormal. */
const smallestNormal = 2.2250738585072014e-308;
const largestSingle = 3.4028234663852886e38;
const smallestNormalSingle = 1.1754943508222875e-38;

const floats = new Float64Array(1);
/** Low word first. */
const words = new Int32Array(floats.buffer);
const singles = new Float32Array(1);
const singleWords = new Int32Array(singles.buffer);

const operand = new Extended();

/** Whether the fast path is used: without it every instruction goes through the reference, for tests and doubt. */
export const Path = { fast: 0, reference: 1 } as const;
export type Path = (typeof Path)[keyof typeof Path];

export class DoublePath extends FloatingPointState {
  /** 1 for a register that the fast path may use; no form equals it in reference mode. */
  private readonly usable: number;
  private plain = false;
  /** Whether `operand` was a denormal in memory. */
  private denormal = false;

  constructor(path: Path) {
    super();
    this.usable = path === Path.fast ? Form.double : 0xff;
  }

  protected arithmeticClocks(operation: number): number {
    if (operation >= Operation.divide) return clocks.divide[(this.control >>> 8) & 3];
    return operation === Operation.multiply ? clocks.multiply : clocks.add;
  }

  protected integerClocks(operation: number): number {
    if (operation >= Operation.divide) return clocks.divideInteger[(this.control >>> 8) & 3];
    if (operation === Operation.compare || operation === Operation.comparePop) return clocks.compareInteger;
    return operation === Operation.multiply ? clocks.integerMultiply : clocks.integerAdd;
  }

  /**
   * a `operation` b in doubles, or NaN when the reference must do it: the result is not a normal double nor an exact zero.
   */
  protected inDoubles(operation: number, a: number, b: number): number {
    let result: number;
    switch (operation) {
      case Operation.add:
        result = a + b;
        break;
      case Operation.multiply:
        result = a * b;
        break;
      case Operation.subtract:
        result = a - b;
        break;
      case Operation.subtractReversed:
        result = b - a;
        break;
      case Operation.divide:
        result = a / b;
        break;
      default:
        result = b / a;
    }
    const size = Math.abs(result);
    if (size > smallestNormal && size < Number.POSITIVE_INFINITY) {
      this.defer(operation, a, b, result);
      return result;
    }
    if (size === 0) {
      const sum = operation !== Operation.multiply && operation < Operation.divide;
      const zeroOperand = operation === Operation.divideReversed ? b === 0 : a === 0;
      if (sum || zeroOperand || (operation === Operation.multiply && b === 0)) {
        this.clearC1();
        return result;
      }
    }
    return Number.NaN;
  }

  protected registerArithmetic(operation: number, i: number, destination: number, pop: boolean): number {
    const { registers, usable } = this;
    const t = registers.top;
    const r = (t + i) & 7;
    if (this.doublesAllowed && registers.form[t] === usable && registers.form[r] === usable) {
      const result = this.inDoubles(operation, registers.number[t], registers.number[r]);
      if (!Number.isNaN(result)) {
        registers.number[destination] = result;
        if (pop) registers.pop();
        return this.arithmeticClocks(operation);
      }
    }
    this.settle();
    operations.arithmeticRegisters(this, operation, i, destination, pop);
    return this.arithmeticClocks(operation);
  }

  /** ST(0) with the operand that `readSingle`, `readDouble` or `setIntegerOperand` left. */
  protected operandArithmetic(operation: number, integer: boolean): number {
    const { registers, usable } = this;
    const t = registers.top;
    const fast = this.plain && registers.form[t] === usable;
    if (operation === Operation.compare || operation === Operation.comparePop) {
      if (fast) {
        this.compareDoubles(registers.number[t], floats[0]);
        if (operation === Operation.comparePop) registers.pop();
      } else {
        this.settle();
        this.spreadOperand();
        operations.compareOperand(this, operand, this.denormal, operation === Operation.comparePop);
      }
      return integer ? clocks.compareInteger : clocks.compare;
    }
    const spent = integer ? this.integerClocks(operation) : this.arithmeticClocks(operation);
    if (fast && this.doublesAllowed) {
      const result = this.inDoubles(operation, registers.number[t], floats[0]);
      if (!Number.isNaN(result)) {
        registers.number[t] = result;
        return spent;
      }
    }
    this.settle();
    this.spreadOperand();
    operations.arithmeticMemory(this, operation, operand, this.denormal);
    return spent;
  }

  protected compareDoubles(a: number, b: number): void {
    this.setConditions(a > b ? 0 : a < b ? Status.c0 : Status.c3);
  }

  protected compareRegisters(i: number, comparison: number, pops: 0 | 1 | 2): number {
    const { registers, usable } = this;
    const t = registers.top;
    const r = (t + i) & 7;
    if (registers.form[t] === usable && registers.form[r] === usable) {
      this.compareDoubles(registers.number[t], registers.number[r]);
      if (pops > 0) registers.pop();
      if (pops > 1) registers.pop();
      return clocks.compare;
    }
    this.settle();
    operations.compareRegisters(this, i, comparison, pops);
    return clocks.compare;
  }

  /** A single in memory: exactly a double, if it is neither special nor denormal; otherwise in `operand`. */
  protected readSingle(memory: FloatingPointMemory): void {
    const word = memory.read32(0);
    const exponent = (word >>> 23) & 0xff;
    if ((exponent !== 0 && exponent !== 0xff) || word << 1 === 0) {
      singleWords[0] = word;
      floats[0] = singles[0];
      this.plain = true;
      this.denormal = false;
      return;
    }
    this.plain = false;
    this.denormal = fromSingle(operand, word | 0);
  }

  protected readDouble(memory: FloatingPointMemory): void {
    const low = memory.read32(0) | 0;
    const high = memory.read32(4) | 0;
    const exponent = (high >>> 20) & 0x7ff;
    if ((exponent !== 0 && exponent !== 0x7ff) || ((high << 1) | low) === 0) {
      words[0] = low;
      words[1] = high;
      this.plain = true;
      this.denormal = false;
      return;
    }
    this.plain = false;
    this.denormal = fromDouble(operand, high, low);
  }

  protected setIntegerOperand(value: number): void {
    floats[0] = value;
    this.plain = true;
    this.denormal = false;
  }

  /** Makes `operand` hold what `floats[0]` holds. */
  protected spreadOperand(): void {
    if (this.plain) fromDouble(operand, words[1], words[0]);
  }

  protected loadOperand(): void {
    const { registers } = this;
    const next = (registers.top - 1) & 7;
    if (this.plain && registers.isEmpty(next)) {
      this.clearC1();
      registers.top = next;
      registers.number[next] = floats[0];
      registers.form[next] = Form.double;
      return;
    }
    this.settle();
    this.spreadOperand();
    transfers.pushConverted(this, operand, this.denormal);
  }

  protected loadInteger64(memory: FloatingPointMemory): void {
    const low = memory.read32(0) >>> 0;
    const high = memory.read32(4) | 0;
    if (high >= -0x200000 && high < 0x200000) {
      this.setIntegerOperand(high * 0x100000000 + low);
      this.loadOperand();
      return;
    }
    this.settle();
    fromInteger(operand, high, low | 0);
    transfers.push(this, operand);
  }

  protected loadRegister(i: number): number {
    const { registers } = this;
    const r = (registers.top + i) & 7;
    const next = (registers.top - 1) & 7;
    if (registers.form[r] === Form.double && registers.isEmpty(next)) {
      this.clearC1();
      registers.top = next;
      registers.number[next] = registers.number[r];
      registers.form[next] = Form.double;
      return clocks.loadReal;
    }
    this.settle();
    transfers.pushRegister(this, i);
    return clocks.loadReal;
  }

  protected storeRegister(i: number, pop: boolean): number {
    this.settle();
    transfers.storeRegister(this, i, pop);
    return clocks.storeRegister;
  }

  protected exchange(i: number): number {
    const { registers } = this;
    const t = registers.top;
    const r = (t + i) & 7;
    if (registers.form[t] === Form.double && registers.form[r] === Form.double) {
      const number = registers.number[t];
      registers.number[t] = registers.number[r];
      registers.number[r] = number;
      this.clearC1();
      return clocks.exchange;
    }
    this.settle();
    operations.exchange(this, i);
    return clocks.exchange;
  }

  /** FCHS (1) or FABS (0). */
  protected changeSign(keepBit: 0 | 1): number {
    const { registers } = this;
    const t = registers.top;
    if (registers.form[t] === Form.double) {
      const number = registers.number[t];
      registers.number[t] = keepBit !== 0 ? -number : Math.abs(number);
      this.clearC1();
    } else {
      this.settle();
      operations.changeSign(this, keepBit);
    }
    return keepBit !== 0 ? clocks.changeSign : clocks.absolute;
  }

  protected squareRoot(): number {
    const { registers, usable } = this;
    const t = registers.top;
    const number = registers.number[t];
    if (this.doublesAllowed && registers.form[t] === usable && number > 0) {
      const root = Math.sqrt(number);
      registers.number[t] = root;
      this.defer(squareRootOperation, number, number, root);
      return clocks.squareRoot;
    }
    this.settle();
    operations.unary(this, operations.Unary.squareRoot);
    return clocks.squareRoot;
  }

  protected roundToInteger(): number {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      const number = registers.number[t];
      const rounded = roundDouble(number, (this.control >>> 10) & 3);
      registers.number[t] = rounded;
      this.clearC1();
      this.rounded(directionOf(number - rounded, number));
      return clocks.roundToInteger;
    }
    this.settle();
    operations.unary(this, operations.Unary.roundToInteger);
    return clocks.roundToInteger;
  }

  protected storeSingle(memory: FloatingPointMemory, pop: boolean): void {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      const number = registers.number[t];
      const single = Math.fround(number);
      const size = Math.abs(single);
      if (
        number === 0 ||
        (size > smallestNormalSingle &&
          size <= largestSingle &&
          (single === number || (this.control & 0xc00) === 0))
      ) {
        singles[0] = single;
        memory.write32(0, singleWords[0] >>> 0);
        this.clearC1();
        this.rounded(directionOf(number - single, number));
        if (pop) registers.pop();
        return;
      }
    }
    this.settle();
    transfers.storeSingle(this, memory, pop);
  }

  protected storeDouble(memory: FloatingPointMemory, pop: boolean): void {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      memory.probeWrite(8);
      floats[0] = registers.number[t];
      const high = words[1];
      memory.write32(0, words[0] >>> 0);
      memory.write32(4, high >>> 0);
      this.clearC1();
      if (pop) registers.pop();
      return;
    }
    this.settle();
    transfers.storeDouble(this, memory, pop);
  }

  protected storeInteger(memory: FloatingPointMemory, bits: 16 | 32 | 64, pop: boolean): void {
    const { registers, usable } = this;
    const t = registers.top;
    if (registers.form[t] === usable) {
      const number = registers.number[t];
      const rounded = roundDouble(number, (this.control >>> 10) & 3);
      const limit = bits === 64 ? 0x20000000000000 : bits === 32 ? 0x80000000 : 0x8000;
      if (rounded >= -limit && rounded < limit) {
        if (bits === 16) memory.write16(0, rounded & 0xffff);
        else if (bits === 32) memory.write32(0, rounded >>> 0);
        else {
          memory.probeWrite(8);
          memory.write32(0, rounded >>> 0);
          memory.write32(4, Math.floor(rounded / 0x100000000) >>> 0);
        }
        this.clearC1();
        this.rounded(directionOf(number - rounded, number));
        if (pop) registers.pop();
        return;
      }
    }
    this.settle();
    transfers.storeInteger(this, memory, bits, pop);
  }
}
