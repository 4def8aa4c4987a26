/**
 * Moves and exchanges outside the interpreter's switch. Source: Pentium Processor Family Developer's Manual, volume 3, chapter 25.
 * Exchanges need write rights to their destination in every case, also when they leave it as it was.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { FlagKind, type Flags } from "./flags.ts";
import { ZF } from "./instruction.ts";
import type { Handler } from "./interpreter.ts";
import { Field, Prefix, Slot } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { type Operands, signExtend, zeroExtend } from "./operands.ts";

export function createMoveHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  flags: Flags,
  operands: Operands,
): Record<string, Handler> {
  const { s, s8, s16 } = core;
  const { pool } = codeCache;
  const { FLAG_KIND, FLAG_RESULT, FLAG_LEFT, FLAG_RIGHT, EAX, ECX, EDX, EBX } = Slot;
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
  return {
    xchg: exchange,
    xadd: exchangeAdd,
    cmpxchg: compareExchange,
    cmpxchg8b: compareExchange8,
    bswap: byteSwap,
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
