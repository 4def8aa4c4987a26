/**
 * Shifts, rotates and bit instructions outside the interpreter's switch. Source: Pentium Processor Family Developer's Manual,
 * volume 3, chapter 25. Counts are taken modulo 32; a count of 0 changes neither result nor flags.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Flags } from "./flags.ts";
import { AF, CF, OF, PF, SF, ZF } from "./instruction.ts";
import type { Handler } from "./interpreter.ts";
import { Field, Prefix, Slot } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { type Operands, signExtend, zeroExtend } from "./operands.ts";

export function createBitHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  flags: Flags,
  operands: Operands,
): Record<string, Handler> {
  const { s8 } = core;
  const { pool } = codeCache;
  const { ECX } = Slot;
  const { REG, RM, SEGMENT, IMMEDIATE, SIZE, PREFIX, WORDS } = Field;
  const { readRm, modifyRm, writeRm, readRegister, writeRegister, address } = operands;

  const formOf = (p: number) => (pool[p + PREFIX]! >> Prefix.FORM_SHIFT) & 3;

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

  return {
    shl: shift("shl"),
    shr: shift("shr"),
    sar: shift("sar"),
    rol: rotate("rol"),
    ror: rotate("ror"),
    rcl: rotate("rcl"),
    rcr: rotate("rcr"),
    shld: doubleShift(true),
    shrd: doubleShift(false),
    bt: bitTest("none"),
    bts: bitTest("set"),
    btr: bitTest("reset"),
    btc: bitTest("complement"),
    bsf: bitScan(true),
    bsr: bitScan(false),
  };
}
