/**
 * Lazy arithmetic flags. An instruction saves what it did (`FLAG_KIND`), its operands and its result; CF, PF, AF, ZF, SF and OF are
 * computed when something reads them. Operands and result are sign-extended from the operand's size to 32 bits: sign
 * and zero are then read off the result for every size, and unsigned comparison keeps its order, so that one
 * formula serves bytes, words and double words.
 *
 *   kind      CF                       OF
 *   STORED    bits in the EFLAGS word (all six flags)
 *   ADD       result < left            signs of both operands differ from the result's
 *   ADC       result <= left           as ADD (used only when the carry in was 1)
 *   SUB       left < right             as subtraction
 *   SBB       left <= right            as SUB (used only when the carry in was 1)
 *   LOGIC     0                        0
 *   INC, DEC  FLAG_CARRY               as ADD, SUB
 *   GIVEN     FLAG_LEFT                FLAG_RIGHT (shifts, multiplications)
 *
 * Flags that the manual leaves undefined: AF is 0 after LOGIC and GIVEN.
 */

import * as FlagKind from "../../engine/layout/flag-kinds.ts";
import type { ProcessorCore } from "./core.ts";
import { AF, CF, OF, PF, SF, ZF } from "./instruction.ts";
import { Slot } from "./layout.ts";

export { FlagKind };

export const ARITHMETIC_FLAGS = CF | PF | AF | ZF | SF | OF;

export interface Flags {
  /** 0 or 1. */
  carry(): number;
  overflow(): number;
  parity(): number;
  zero(): number;
  sign(): number;
  /** Condition code 0 to 15, as in Jcc's opcode. */
  condition(code: number): boolean;
  /** All of EFLAGS. */
  read(): number;
  /** Replaces EFLAGS; the caller has applied privilege rules. */
  write(value: number): void;
  /** Replaces the six arithmetic flags. */
  writeArithmetic(value: number): void;
  setCarry(value: number): void;
  /** Saves the result of an operation of kind GIVEN. */
  given(result: number, carry: number, overflow: number): void;
}

export function createFlags(core: ProcessorCore): Flags {
  const { s } = core;
  const { FLAG_KIND, FLAG_RESULT, FLAG_LEFT, FLAG_RIGHT, FLAG_CARRY, EFLAGS } = Slot;
  const { STORED, GIVEN } = FlagKind;
  const evenParity = new Uint8Array(256);
  for (let value = 0; value < 256; value++) {
    let bits = value;
    bits ^= bits >> 4;
    bits ^= bits >> 2;
    bits ^= bits >> 1;
    evenParity[value] = ~bits & 1;
  }

  function carry(): number {
    switch (s[FLAG_KIND]) {
      case 0: // STORED
        return s[EFLAGS]! & 1;
      case 1: // ADD
        return s[FLAG_RESULT]! >>> 0 < s[FLAG_LEFT]! >>> 0 ? 1 : 0;
      case 2: // ADC
        return s[FLAG_RESULT]! >>> 0 <= s[FLAG_LEFT]! >>> 0 ? 1 : 0;
      case 3: // SUB
        return s[FLAG_LEFT]! >>> 0 < s[FLAG_RIGHT]! >>> 0 ? 1 : 0;
      case 4: // SBB
        return s[FLAG_LEFT]! >>> 0 <= s[FLAG_RIGHT]! >>> 0 ? 1 : 0;
      case 6: // INC
      case 7: // DEC
        return s[FLAG_CARRY]!;
      case 8: // GIVEN
        return s[FLAG_LEFT]!;
      default: // LOGIC
        return 0;
    }
  }

  function overflow(): number {
    const left = s[FLAG_LEFT]!;
    const right = s[FLAG_RIGHT]!;
    const result = s[FLAG_RESULT]!;
    switch (s[FLAG_KIND]) {
      case 0: // STORED
        return (s[EFLAGS]! >> 11) & 1;
      case 1: // ADD
      case 2: // ADC
      case 6: // INC
        return ((left ^ result) & (right ^ result)) >>> 31;
      case 3: // SUB
      case 4: // SBB
      case 7: // DEC
        return ((left ^ right) & (left ^ result)) >>> 31;
      case 8: // GIVEN
        return right;
      default: // LOGIC
        return 0;
    }
  }

  function adjust(): number {
    switch (s[FLAG_KIND]) {
      case 0: // STORED
        return (s[EFLAGS]! >> 4) & 1;
      case 5: // LOGIC
      case 8: // GIVEN
        return 0;
      default:
        return ((s[FLAG_LEFT]! ^ s[FLAG_RIGHT]! ^ s[FLAG_RESULT]!) >> 4) & 1;
    }
  }

  const zero = () => (s[FLAG_KIND] === STORED ? (s[EFLAGS]! >> 6) & 1 : s[FLAG_RESULT] === 0 ? 1 : 0);
  const sign = () => (s[FLAG_KIND] === STORED ? (s[EFLAGS]! >> 7) & 1 : s[FLAG_RESULT]! >>> 31);
  const parity = () =>
    s[FLAG_KIND] === STORED ? (s[EFLAGS]! >> 2) & 1 : evenParity[s[FLAG_RESULT]! & 0xff]!;

  function condition(code: number): boolean {
    switch (code) {
      case 0:
        return overflow() !== 0;
      case 1:
        return overflow() === 0;
      case 2:
        return carry() !== 0;
      case 3:
        return carry() === 0;
      case 4:
        return zero() !== 0;
      case 5:
        return zero() === 0;
      case 6:
        return (carry() | zero()) !== 0;
      case 7:
        return (carry() | zero()) === 0;
      case 8:
        return sign() !== 0;
      case 9:
        return sign() === 0;
      case 10:
        return parity() !== 0;
      case 11:
        return parity() === 0;
      case 12:
        return sign() !== overflow();
      case 13:
        return sign() === overflow();
      case 14:
        return zero() !== 0 || sign() !== overflow();
      default:
        return zero() === 0 && sign() === overflow();
    }
  }

  function arithmetic(): number {
    return carry() | (parity() << 2) | (adjust() << 4) | (zero() << 6) | (sign() << 7) | (overflow() << 11);
  }

  function read(): number {
    if (s[FLAG_KIND] === STORED) return s[EFLAGS]!;
    return (s[EFLAGS]! & ~ARITHMETIC_FLAGS) | arithmetic();
  }

  function writeArithmetic(value: number): void {
    s[EFLAGS] = (s[EFLAGS]! & ~ARITHMETIC_FLAGS) | (value & ARITHMETIC_FLAGS);
    s[FLAG_KIND] = STORED;
  }

  return {
    carry,
    overflow,
    parity,
    zero,
    sign,
    condition,
    read,
    write(value) {
      s[EFLAGS] = value;
      s[FLAG_KIND] = STORED;
    },
    writeArithmetic,
    setCarry(value) {
      writeArithmetic((arithmetic() & ~CF) | value);
    },
    given(result, carryFlag, overflowFlag) {
      s[FLAG_RESULT] = result;
      s[FLAG_LEFT] = carryFlag;
      s[FLAG_RIGHT] = overflowFlag;
      s[FLAG_KIND] = GIVEN;
    },
  };
}
