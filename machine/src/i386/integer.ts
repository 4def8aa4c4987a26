/**
 * Integer instructions outside the interpreter's switch: other operand sizes and forms, multiplication and division, rotates,
 * bit instructions, exchanges, decimal adjustment. Source: Pentium Processor Family Developer's Manual, volume 3, chapter 25.
 *
 * Every operation reads all its operands (with write rights where it will write) before it changes flags, registers or memory.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { raise } from "./fault.ts";
import { FlagKind, type Flags } from "./flags.ts";
import { AF, CF, OF, PF, SF, ZF } from "./instruction.ts";
import type { Handler } from "./interpreter.ts";
import { Field, Prefix, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { type Operands, signExtend, zeroExtend } from "./operands.ts";

export function createIntegerHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  flags: Flags,
  operands: Operands,
): Record<string, Handler> {
  const { s, s8, s16 } = core;
  const { pool } = codeCache;
  const { FLAG_KIND, FLAG_RESULT, FLAG_LEFT, FLAG_RIGHT, FLAG_CARRY, EAX, ECX, EDX, EBX } = Slot;
  const { REG, RM, SEGMENT, IMMEDIATE, SIZE, PREFIX, EXTRA, WORDS } = Field;
  const { readRm, modifyRm, writeRm, readRegister, writeRegister, address } = operands;

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
  function shift(operation: "shl" | "shr" | "sar"): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const immediate = pool[p + IMMEDIATE]!;
      const count = (immediate < 0 ? s8[ECX * 4]! : immediate) & 31;
      const value = modifyRm(p, size);
      if (count === 0) return p + WORDS;
      const bits = size * 8;
      const unsigned = zeroExtend(value, size);
      let result: number;
      let carry: number;
      let overflow: number;
      if (operation === "shl") {
        result = signExtend(count >= 32 ? 0 : value << count, size);
        carry = count <= bits ? (unsigned >>> (bits - count)) & 1 : 0;
        if (count === bits) carry = unsigned & 1;
        overflow = carry ^ (result >>> 31);
      } else if (operation === "shr") {
        result = signExtend(unsigned >>> count, size);
        carry = (unsigned >>> (count - 1)) & 1;
        overflow = (unsigned >>> (bits - 1)) & 1;
      } else {
        result = value >> count;
        carry = (value >> (count - 1)) & 1;
        overflow = 0;
      }
      writeRm(p, size, result);
      flags.given(result, carry, overflow);
      return p + WORDS;
    };
  }

  /** Rotates change only CF and OF. */
  function rotate(operation: "rol" | "ror" | "rcl" | "rcr"): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const bits = size * 8;
      const immediate = pool[p + IMMEDIATE]!;
      const count = (immediate < 0 ? s8[ECX * 4]! : immediate) & 31;
      const value = zeroExtend(modifyRm(p, size), size);
      if (count === 0) return p + WORDS;
      let result: number;
      let carry: number;
      let overflow: number;
      if (operation === "rol" || operation === "ror") {
        const by = (operation === "rol" ? count : bits - (count % bits)) % bits;
        result = by === 0 ? value : zeroExtend((value << by) | (value >>> (bits - by)), size);
        const top = (result >>> (bits - 1)) & 1;
        if (operation === "rol") {
          carry = result & 1;
          overflow = top ^ carry;
        } else {
          carry = top;
          overflow = top ^ ((result >>> (bits - 2)) & 1);
        }
      } else {
        // Through carry: a rotation of bits + 1 bits, done bit by bit.
        carry = flags.carry();
        result = value;
        const steps = count % (bits + 1);
        for (let i = 0; i < steps; i++) {
          if (operation === "rcl") {
            const out = (result >>> (bits - 1)) & 1;
            result = zeroExtend((result << 1) | carry, size);
            carry = out;
          } else {
            const out = result & 1;
            result = zeroExtend((result >>> 1) | (carry << (bits - 1)), size);
            carry = out;
          }
        }
        const top = (result >>> (bits - 1)) & 1;
        overflow = operation === "rcl" ? top ^ carry : top ^ ((result >>> (bits - 2)) & 1);
      }
      writeRm(p, size, result | 0);
      const others = flags.read() & (PF | AF | ZF | SF);
      flags.writeArithmetic(others | (carry !== 0 ? CF : 0) | (overflow !== 0 ? OF : 0));
      return p + WORDS;
    };
  }

  /** SHLD, SHRD. For 16-bit operands and counts above 16 the result is undefined; ours rotates the pair on, as a Pentium does. */
  function doubleShift(left: boolean): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const bits = size * 8;
      const immediate = pool[p + IMMEDIATE]!;
      const count = (immediate < 0 ? s8[ECX * 4]! : immediate) & 31;
      const value = modifyRm(p, size);
      const fill = readRegister(pool[p + REG]!, size);
      if (count === 0) return p + WORDS;
      let result: number;
      let carry: number;
      if (size === 4) {
        if (left) {
          result = (value << count) | (fill >>> (32 - count));
          carry = (value >>> (32 - count)) & 1;
        } else {
          result = (value >>> count) | (fill << (32 - count));
          carry = (value >>> (count - 1)) & 1;
        }
      } else if (left) {
        const pair = ((value << 16) | (fill & 0xffff)) >>> 0;
        result =
          count <= 16 ? (pair << count) >>> 16 : (((fill << 16) | (value & 0xffff)) << (count - 16)) >>> 16;
        if (count <= 16) carry = (pair >>> (32 - count)) & 1;
        else carry = ((fill & 0xffff) >>> (32 - count)) & 1;
      } else {
        const pair = ((fill << 16) | (value & 0xffff)) >>> 0;
        const again = ((value << 16) | (fill & 0xffff)) >>> 0;
        result = count <= 16 ? pair >>> count : again >>> (count - 16);
        carry = count <= 16 ? (pair >>> (count - 1)) & 1 : (again >>> (count - 17)) & 1;
      }
      const extended = signExtend(result, size);
      writeRm(p, size, extended);
      const overflow = left
        ? carry ^ (extended >>> 31)
        : ((extended >>> (bits - 1)) ^ (extended >>> (bits - 2))) & 1;
      flags.given(extended, carry, overflow);
      return p + WORDS;
    };
  }

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
  function bitTest(change: "none" | "set" | "reset" | "complement"): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const bits = size * 8;
      const fromRegister = formOf(p) === 0;
      const index = fromRegister ? readRegister(pool[p + REG]!, size) : pool[p + IMMEDIATE]!;
      const mask = 1 << (index & (bits - 1));
      const isMemory = pool[p + RM]! < 0;
      const segment = pool[p + SEGMENT]!;
      let offset = isMemory ? address(p) : 0;
      if (isMemory && fromRegister) {
        offset = (offset + (index >> (size === 4 ? 5 : 4)) * size) | 0;
        if ((pool[p + PREFIX]! & Prefix.ADDRESS_16) !== 0) offset &= 0xffff;
      }
      let value: number;
      if (!isMemory) value = readRegister(pool[p + RM]!, size);
      else if (change === "none") value = operands.readMemory(segment, offset, size);
      else value = size === 4 ? memory.modify32(segment, offset) : memory.modify16(segment, offset);
      const bit = (value & mask) !== 0 ? 1 : 0;
      if (change !== "none") {
        const result = change === "set" ? value | mask : change === "reset" ? value & ~mask : value ^ mask;
        if (isMemory) operands.writeMemory(segment, offset, size, result);
        else writeRegister(pool[p + RM]!, size, result);
      }
      flags.setCarry(bit);
      return p + WORDS;
    };
  }

  /** BSF and BSR: a zero source sets ZF and leaves the destination (undefined in the manual) unchanged. */
  function bitScan(forward: boolean): Handler {
    return (p) => {
      const size = pool[p + SIZE]!;
      const value = zeroExtend(readRm(p, size), size);
      if (value === 0) {
        flags.writeArithmetic((flags.read() & ~ZF) | ZF);
        return p + WORDS;
      }
      const position = forward ? 31 - Math.clz32(value & -value) : 31 - Math.clz32(value);
      writeRegister(pool[p + REG]!, size, position);
      flags.writeArithmetic(flags.read() & ~ZF);
      return p + WORDS;
    };
  }

  function exchange(p: number): number {
    const size = pool[p + SIZE]!;
    const value = modifyRm(p, size);
    const other = readRegister(pool[p + REG]!, size);
    writeRm(p, size, other);
    writeRegister(pool[p + REG]!, size, value);
    return p + WORDS;
  }

  function exchangeAdd(p: number): number {
    const size = pool[p + SIZE]!;
    const left = modifyRm(p, size);
    const right = readRegister(pool[p + REG]!, size);
    const result = signExtend(left + right, size);
    // The sum goes to the destination last: XADD of a register with itself keeps the sum.
    if (pool[p + RM]! >= 0) {
      writeRegister(pool[p + REG]!, size, left);
      writeRm(p, size, result);
    } else {
      writeRm(p, size, result);
      writeRegister(pool[p + REG]!, size, left);
    }
    save(FlagKind.ADD, left, right, result);
    return p + WORDS;
  }

  /** The destination is written in either case, so that it must be writable. */
  function compareExchange(p: number): number {
    const size = pool[p + SIZE]!;
    const destination = modifyRm(p, size);
    const accumulator = readRegister(0, size);
    if (accumulator === destination) writeRm(p, size, readRegister(pool[p + REG]!, size));
    else {
      writeRm(p, size, destination);
      writeRegister(0, size, destination);
    }
    save(FlagKind.SUB, accumulator, destination, signExtend(accumulator - destination, size));
    return p + WORDS;
  }

  function compareExchange8(p: number): number {
    const segment = pool[p + SEGMENT]!;
    const offset = address(p);
    memory.probeWrite(segment, offset, 8);
    const low = memory.read32(segment, offset);
    const high = memory.read32(segment, (offset + 4) | 0);
    if (low === s[EAX] && high === s[EDX]) {
      memory.write32(segment, offset, s[EBX]!);
      memory.write32(segment, (offset + 4) | 0, s[ECX]!);
      flags.writeArithmetic(flags.read() | ZF);
    } else {
      memory.write32(segment, offset, low);
      memory.write32(segment, (offset + 4) | 0, high);
      s[EAX] = low;
      s[EDX] = high;
      flags.writeArithmetic(flags.read() & ~ZF);
    }
    return p + WORDS;
  }

  function byteSwap(p: number): number {
    // With the operand-size prefix the result is undefined; a Pentium clears the word.
    if (pool[p + SIZE] === 2) {
      s16[pool[p + RM]!] = 0;
      return p + WORDS;
    }
    const register = pool[p + RM]!;
    const v = s[register]!;
    s[register] = (v << 24) | ((v & 0xff00) << 8) | ((v >>> 8) & 0xff00) | (v >>> 24);
    return p + WORDS;
  }

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
    shl: shift("shl"),
    shr: shift("shr"),
    sar: shift("sar"),
    rol: rotate("rol"),
    ror: rotate("ror"),
    rcl: rotate("rcl"),
    rcr: rotate("rcr"),
    shld: doubleShift(true),
    shrd: doubleShift(false),
    mul: multiply(false),
    imulWide: multiply(true),
    imulTruncated,
    div: divideUnsigned,
    idiv: divideSigned,
    bt: bitTest("none"),
    bts: bitTest("set"),
    btr: bitTest("reset"),
    btc: bitTest("complement"),
    bsf: bitScan(true),
    bsr: bitScan(false),
    xchg: exchange,
    xadd: exchangeAdd,
    cmpxchg: compareExchange,
    cmpxchg8b: compareExchange8,
    bswap: byteSwap,
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
    cwde(p) {
      if (pool[p + SIZE] === 4) s[EAX] = (s16[0]! << 16) >> 16;
      else s16[0] = (s8[AL]! << 24) >> 24;
      return p + WORDS;
    },
    cdq(p) {
      if (pool[p + SIZE] === 4) s[EDX] = s[EAX]! >> 31;
      else s16[EDX * 2] = (s16[0]! << 16) >> 31;
      return p + WORDS;
    },
    setcc(p) {
      writeRm(p, 1, flags.condition(pool[p + EXTRA]!) ? 1 : 0);
      return p + WORDS;
    },
    mov(p) {
      const size = pool[p + SIZE]!;
      const form = formOf(p);
      if (form === 1) writeRegister(pool[p + REG]!, size, readRm(p, size));
      else writeRm(p, size, form === 0 ? readRegister(pool[p + REG]!, size) : pool[p + IMMEDIATE]!);
      return p + WORDS;
    },
    movzx(p) {
      const from = pool[p + EXTRA]!;
      writeRegister(pool[p + REG]!, pool[p + SIZE]!, zeroExtend(readRm(p, from), from));
      return p + WORDS;
    },
    movsx(p) {
      writeRegister(pool[p + REG]!, pool[p + SIZE]!, readRm(p, pool[p + EXTRA]!));
      return p + WORDS;
    },
    lea(p) {
      writeRegister(pool[p + REG]!, pool[p + SIZE]!, address(p));
      return p + WORDS;
    },
    nop: (p) => p + WORDS,
    xlatb(p) {
      const sum = (s[EBX]! + s8[AL]!) | 0;
      const offset = (pool[p + PREFIX]! & Prefix.ADDRESS_16) !== 0 ? sum & 0xffff : sum;
      s8[AL] = memory.read8(pool[p + SEGMENT]!, offset);
      return p + WORDS;
    },
  };
}
