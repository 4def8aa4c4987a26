/**
 * Integer arithmetic and logic outside the interpreter's switch: other operand sizes and forms, multiplication, division, decimal
 * adjustment. Source: Pentium Processor Family Developer's Manual, volume 3, chapter 25.
 *
 * Every operation reads all its operands (with write rights where it will write) before it changes flags, registers or memory.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { raise } from "./fault.ts";
import { FlagKind, type Flags } from "./flags.ts";
import { AF, CF } from "./instruction.ts";
import type { Handler } from "./interpreter.ts";
import { Field, Prefix, Slot, Vector } from "./layout.ts";
import { type Operands, signExtend, zeroExtend } from "./operands.ts";

export function createArithmeticHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  flags: Flags,
  operands: Operands,
): Record<string, Handler> {
  const { s, s8, s16 } = core;
  const { pool } = codeCache;
  const { FLAG_KIND, FLAG_RESULT, FLAG_LEFT, FLAG_RIGHT, FLAG_CARRY, EAX, EDX } = Slot;
  const { REG, IMMEDIATE, SIZE, PREFIX, WORDS } = Field;
  const { readRm, modifyRm, writeRm, readRegister, writeRegister } = operands;

  const formOf = (p: number) => (pool[p + PREFIX]! >> Prefix.FORM_SHIFT) & 3;

  function save(kind: number, left: number, right: number, result: number): void {
    s[FLAG_LEFT] = left;
    s[FLAG_RIGHT] = right;
    s[FLAG_RESULT] = result;
    s[FLAG_KIND] = kind;
  }

  /** The two-operand operations of opcodes 00 to 3F and group 1. */
  function arithmetic(operation: number): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const form = formOf(p);
      const compares = operation === 7;
      let left: number;
      let right: number;
      if (form === 1) {
        right = readRm(p, size);
        left = readRegister(pool[p + REG]!, size);
      } else {
        left = compares ? readRm(p, size) : modifyRm(p, size);
        right = form === 0 ? readRegister(pool[p + REG]!, size) : signExtend(pool[p + IMMEDIATE]!, size);
      }
      let result = 0;
      let kind: number = FlagKind.LOGIC;
      switch (operation) {
        case 0:
          kind = FlagKind.ADD;
          result = left + right;
          break;
        case 1:
          result = left | right;
          break;
        case 2: {
          const carry = flags.carry();
          kind = FlagKind.ADD + carry;
          result = left + right + carry;
          break;
        }
        case 3: {
          const carry = flags.carry();
          kind = FlagKind.SUB + carry;
          result = left - right - carry;
          break;
        }
        case 4:
          result = left & right;
          break;
        case 6:
          result = left ^ right;
          break;
        default:
          kind = FlagKind.SUB;
          result = left - right;
      }
      result = signExtend(result, size);
      if (!compares) {
        if (form === 1) writeRegister(pool[p + REG]!, size, result);
        else writeRm(p, size, result);
      }
      save(kind, left, right, result);
      return p + WORDS;
    };
  }

  function step(kind: number, change: number): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const left = modifyRm(p, size);
      const carry = flags.carry();
      const result = signExtend(left + change, size);
      writeRm(p, size, result);
      s[FLAG_CARRY] = carry;
      save(kind, left, 1, result);
      return p + WORDS;
    };
  }

  /** Shifts: counts are taken modulo 32; a count of 0 leaves the flags alone. */
  /** 64-bit product of two unsigned or signed words as [low, high] in `product`. */
  const product = new Int32Array(2);
  function multiplyUnsigned(a: number, b: number): void {
    const left = a >>> 0;
    const right = b >>> 0;
    const lowLow = (left & 0xffff) * (right & 0xffff);
    const lowHigh = (left & 0xffff) * (right >>> 16);
    const highLow = (left >>> 16) * (right & 0xffff);
    const middle = (lowLow >>> 16) + (lowHigh & 0xffff) + (highLow & 0xffff);
    product[0] = Math.imul(a, b);
    product[1] = (left >>> 16) * (right >>> 16) + (lowHigh >>> 16) + (highLow >>> 16) + (middle >>> 16);
  }

  function multiplySigned(a: number, b: number): void {
    multiplyUnsigned(a, b);
    product[1] = product[1]! - (a < 0 ? b : 0) - (b < 0 ? a : 0);
  }

  function multiply(signed: boolean): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const right = readRm(p, size);
      let overflow: boolean;
      let result: number;
      if (size === 4) {
        if (signed) multiplySigned(s[EAX]!, right);
        else multiplyUnsigned(s[EAX]!, right);
        s[EAX] = product[0]!;
        s[EDX] = product[1]!;
        result = product[0]!;
        overflow = signed ? product[1] !== product[0]! >> 31 : product[1] !== 0;
      } else {
        const left = readRegister(0, size);
        const full = signed ? left * right : zeroExtend(left, size) * zeroExtend(right, size);
        if (size === 2) {
          s16[0] = full;
          s16[EDX * 2] = full >>> 16;
        } else s16[0] = full;
        result = signExtend(full, size);
        overflow = signed ? result !== full : full >>> (size * 8) !== 0;
      }
      flags.given(result, overflow ? 1 : 0, overflow ? 1 : 0);
      return p + WORDS;
    };
  }

  function divideUnsigned(p: number): number {
    const size = pool[p + SIZE]!;
    const divisor = zeroExtend(readRm(p, size), size);
    if (divisor === 0) raise(Vector.DE);
    if (size === 4) {
      const high = s[EDX]! >>> 0;
      if (high >= divisor) raise(Vector.DE);
      if (high === 0) {
        const low = s[EAX]! >>> 0;
        s[EAX] = Math.floor(low / divisor);
        s[EDX] = low % divisor;
      } else {
        const dividend = (BigInt(high) << 32n) | BigInt(s[EAX]! >>> 0);
        const by = BigInt(divisor);
        s[EAX] = Number(dividend / by) | 0;
        s[EDX] = Number(dividend % by) | 0;
      }
    } else if (size === 2) {
      const dividend = ((s16[EDX * 2]! << 16) | s16[0]!) >>> 0;
      const quotient = Math.floor(dividend / divisor);
      if (quotient > 0xffff) raise(Vector.DE);
      s16[0] = quotient;
      s16[EDX * 2] = dividend % divisor;
    } else {
      const dividend = s16[0]!;
      const quotient = Math.floor(dividend / divisor);
      if (quotient > 0xff) raise(Vector.DE);
      s8[0] = quotient;
      s8[1] = dividend % divisor;
    }
    return p + WORDS;
  }

  function divideSigned(p: number): number {
    const size = pool[p + SIZE]!;
    const divisor = readRm(p, size);
    if (divisor === 0) raise(Vector.DE);
    if (size === 4) {
      const high = s[EDX]!;
      const low = s[EAX]!;
      if (high === low >> 31) {
        // The dividend is a 32-bit number; doubles divide those exactly.
        const quotient = Math.trunc(low / divisor);
        if (quotient === 0x8000_0000) raise(Vector.DE);
        s[EAX] = quotient;
        s[EDX] = low - Math.imul(quotient, divisor);
      } else {
        const dividend = (BigInt(high) << 32n) | BigInt(low >>> 0);
        const by = BigInt(divisor);
        const quotient = dividend / by;
        if (quotient > 0x7fff_ffffn || quotient < -0x8000_0000n) raise(Vector.DE);
        s[EAX] = Number(quotient);
        s[EDX] = Number(dividend % by);
      }
    } else if (size === 2) {
      const dividend = (s16[EDX * 2]! << 16) | s16[0]!;
      const quotient = Math.trunc(dividend / divisor);
      if (quotient > 0x7fff || quotient < -0x8000) raise(Vector.DE);
      s16[0] = quotient;
      s16[EDX * 2] = dividend % divisor;
    } else {
      const dividend = (s16[0]! << 16) >> 16;
      const quotient = Math.trunc(dividend / divisor);
      if (quotient > 0x7f || quotient < -0x80) raise(Vector.DE);
      s8[0] = quotient;
      s8[1] = dividend % divisor;
    }
    return p + WORDS;
  }

  function imulTruncated(p: number): number {
    const size = pool[p + SIZE]!;
    const right = readRm(p, size);
    // The three-operand forms are opcodes 69 and 6B; 0F AF multiplies its own destination.
    const opcode = (pool[p + PREFIX]! >> Prefix.OPCODE_SHIFT) & 0xff;
    const left =
      opcode === 0xaf ? readRegister(pool[p + REG]!, size) : signExtend(pool[p + IMMEDIATE]!, size);
    const result = signExtend(size === 4 ? Math.imul(left, right) : left * right, size);
    const overflow = result === left * right ? 0 : 1;
    writeRegister(pool[p + REG]!, size, result);
    flags.given(result, overflow, overflow);
    return p + WORDS;
  }

  /** BT, BTS, BTR, BTC. A register bit offset reaches beyond a memory operand, in either direction. */
  const AL = 0;
  const AH = 1;

  /** Sets SF, ZF, PF from AL, and CF and AF as given. */
  function decimalFlags(carry: boolean, adjust: boolean): void {
    flags.given((s8[AL]! << 24) >> 24, carry ? 1 : 0, 0);
    if (adjust) flags.writeArithmetic(flags.read() | AF);
  }

  function decimalAdjust(sign: 1 | -1): Handler {
    return (p) => {
      const before = flags.read();
      const al = s8[AL]!;
      const oldCarry = (before & CF) !== 0;
      let carry = false;
      let value = al;
      const adjust = (al & 15) > 9 || (before & AF) !== 0;
      if (adjust) {
        value = al + 6 * sign;
        carry = oldCarry || value < 0 || value > 255;
      }
      if (al > 0x99 || oldCarry) {
        value += 0x60 * sign;
        carry = true;
      } else if (sign === 1) carry = false;
      s8[AL] = value;
      decimalFlags(carry, adjust);
      return p + WORDS;
    };
  }

  function asciiAdjust(sign: 1 | -1): Handler {
    return (p) => {
      const adjust = (s8[AL]! & 15) > 9 || (flags.read() & AF) !== 0;
      if (adjust) {
        s16[0] = s16[0]! + 6 * sign;
        s8[AH] = s8[AH]! + sign;
      }
      s8[AL] = s8[AL]! & 15;
      decimalFlags(adjust, adjust);
      return p + WORDS;
    };
  }

  return {
    add: arithmetic(0),
    or: arithmetic(1),
    adc: arithmetic(2),
    sbb: arithmetic(3),
    and: arithmetic(4),
    sub: arithmetic(5),
    xor: arithmetic(6),
    cmp: arithmetic(7),
    test(p) {
      const size = pool[p + SIZE]!;
      const left = readRm(p, size);
      const right = formOf(p) === 0 ? readRegister(pool[p + REG]!, size) : pool[p + IMMEDIATE]!;
      s[FLAG_RESULT] = signExtend(left & right, size);
      s[FLAG_KIND] = FlagKind.LOGIC;
      return p + WORDS;
    },
    inc: step(FlagKind.INC, 1),
    dec: step(FlagKind.DEC, -1),
    not(p) {
      const size = pool[p + SIZE]!;
      writeRm(p, size, ~modifyRm(p, size));
      return p + WORDS;
    },
    neg(p) {
      const size = pool[p + SIZE]!;
      const right = modifyRm(p, size);
      const result = signExtend(-right, size);
      writeRm(p, size, result);
      save(FlagKind.SUB, 0, right, result);
      return p + WORDS;
    },
    mul: multiply(false),
    imulWide: multiply(true),
    imulTruncated,
    div: divideUnsigned,
    idiv: divideSigned,
    daa: decimalAdjust(1),
    das: decimalAdjust(-1),
    aaa: asciiAdjust(1),
    aas: asciiAdjust(-1),
    aam(p) {
      const base = pool[p + IMMEDIATE]!;
      if (base === 0) raise(Vector.DE);
      const al = s8[AL]!;
      s8[AH] = Math.floor(al / base);
      s8[AL] = al % base;
      decimalFlags(false, false);
      return p + WORDS;
    },
    aad(p) {
      s16[0] = (s8[AL]! + s8[AH]! * pool[p + IMMEDIATE]!) & 0xff;
      decimalFlags(false, false);
      return p + WORDS;
    },
    salc(p) {
      s8[AL] = flags.carry() !== 0 ? 0xff : 0;
      return p + WORDS;
    },
  };
}
