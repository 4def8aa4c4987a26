/**
 * Operands of decoded instructions for the functions behind the switch: any size, register or memory. Values are returned
 * sign-extended to 32 bits (so that flags can be saved as they are, see flags.ts) unless a name says otherwise.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { Field, Prefix, Segment, Slot } from "./layout.ts";
import type { Memory } from "./memory.ts";

export interface Operands {
  /** Effective address. */
  address(p: number): number;
  /** The ModR/M operand of `size` bytes. */
  readRm(p: number, size: number): number;
  /** The same for an instruction that writes it back with `writeRm`, which then cannot fault. */
  modifyRm(p: number, size: number): number;
  writeRm(p: number, size: number, value: number): void;
  readRegister(index: number, size: number): number;
  writeRegister(index: number, size: number, value: number): void;
  readMemory(segment: number, offset: number, size: number): number;
  writeMemory(segment: number, offset: number, size: number, value: number): void;
  /** Pushes and pops of 4 or 2 bytes; ESP changes only when the access succeeded. */
  push(value: number, size: number): void;
  pop(size: number): number;
}

export const signExtend = (value: number, size: number): number =>
  size === 4 ? value | 0 : size === 2 ? (value << 16) >> 16 : (value << 24) >> 24;

export const zeroExtend = (value: number, size: number): number =>
  size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;

export function createOperands(core: ProcessorCore, codeCache: CodeCache, memory: Memory): Operands {
  const { s, s8, s16 } = core;
  const { pool } = codeCache;
  const { BASE, INDEX, SCALE, DISPLACEMENT, SEGMENT, RM, PREFIX } = Field;
  const { ESP } = Slot;

  function address(p: number): number {
    const sum =
      (s[pool[p + BASE]!]! + (s[pool[p + INDEX]!]! << pool[p + SCALE]!) + pool[p + DISPLACEMENT]!) | 0;
    return (pool[p + PREFIX]! & Prefix.ADDRESS_16) !== 0 ? sum & 0xffff : sum;
  }

  function readRegister(index: number, size: number): number {
    if (size === 4) return s[index]!;
    return size === 2 ? (s16[index]! << 16) >> 16 : (s8[index]! << 24) >> 24;
  }

  function writeRegister(index: number, size: number, value: number): void {
    if (size === 4) s[index] = value;
    else if (size === 2) s16[index] = value;
    else s8[index] = value;
  }

  function readMemory(segment: number, offset: number, size: number): number {
    if (size === 4) return memory.read32(segment, offset);
    if (size === 2) return (memory.read16(segment, offset) << 16) >> 16;
    return (memory.read8(segment, offset) << 24) >> 24;
  }

  function writeMemory(segment: number, offset: number, size: number, value: number): void {
    if (size === 4) memory.write32(segment, offset, value);
    else if (size === 2) memory.write16(segment, offset, value);
    else memory.write8(segment, offset, value);
  }

  return {
    address,
    readRegister,
    writeRegister,
    readMemory,
    writeMemory,
    readRm(p, size) {
      const rm = pool[p + RM]!;
      return rm >= 0 ? readRegister(rm, size) : readMemory(pool[p + SEGMENT]!, address(p), size);
    },
    modifyRm(p, size) {
      const rm = pool[p + RM]!;
      if (rm >= 0) return readRegister(rm, size);
      const segment = pool[p + SEGMENT]!;
      const offset = address(p);
      if (size === 4) return memory.modify32(segment, offset);
      if (size === 2) return (memory.modify16(segment, offset) << 16) >> 16;
      return (memory.modify8(segment, offset) << 24) >> 24;
    },
    writeRm(p, size, value) {
      const rm = pool[p + RM]!;
      if (rm >= 0) writeRegister(rm, size, value);
      else writeMemory(pool[p + SEGMENT]!, address(p), size, value);
    },
    push(value, size) {
      const top = (s[ESP]! - size) | 0;
      if (size === 4) memory.write32(Segment.SS, top, value);
      else memory.write16(Segment.SS, top, value);
      s[ESP] = top;
    },
    pop(size) {
      const top = s[ESP]!;
      const value = size === 4 ? memory.read32(Segment.SS, top) : memory.read16(Segment.SS, top);
      s[ESP] = top + size;
      return value;
    },
  };
}
