/**
 * The interpreter's inner loop: one flat switch over dense operation numbers, because on Node that runs two to three times as fast
 * as calls through a table (measured: 360 against 144 million operations a second). That is the reason for this file's
 * length. Case labels must be literal numbers for the host to build a jump table; `hot-operations.ts` gives them their names, and
 * a test holds the two together. Everything rare is a function in `handlers`.
 *
 * Invariants of every case:
 * - all that can fault comes before any change of state, so that a faulting instruction can be restarted;
 * - `p` is assigned last: when something throws, it still names the instruction that faulted;
 * - clocks are booked before the instruction runs, so that ports see the time they should.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Decoder } from "./decoder.ts";
import { pendingFault } from "./fault.ts";
import { FlagKind, type Flags } from "./flags.ts";
import { Field, Segment, Slot } from "./layout.ts";
import type { Memory } from "./memory.ts";

/** Runs the instruction at a pool index and returns the index of the next one. */
export type Handler = (p: number) => number;

/** Value of `Interpreter.execute` when an instruction faulted; `pendingFault` says how, FAULT_RECORD where. */
export const FAULTED = -1;

/** Value of COMPILED_FAULT, then FAULT_RECORD, when the fault was delivered already and EIP is its handler's. */
export const DELIVERED = -1;

export interface Interpreter {
  /** Runs from pool index `p` until BUDGET is used up; returns the index of the next instruction, or FAULTED. */
  execute(p: number): number;
}

export function createInterpreter(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  flags: Flags,
  decoder: Decoder,
  handlers: readonly Handler[],
  entries: { run: Handler },
): Interpreter {
  const { s, s8, s16 } = core;
  const { pool } = codeCache;
  const { read8, read16, read32, write8, write16, write32, modify32 } = memory;
  const { carry, condition } = flags;
  const { locate, jump, link } = decoder;
  const { EAX, EDX, ESP, EBP, BUDGET, RETIRED, PAGE_EIP } = Slot;
  const { FLAG_KIND, FLAG_RESULT, FLAG_LEFT, FLAG_RIGHT, FLAG_CARRY } = Slot;
  const { STORED, ADD, SUB, LOGIC, INC, DEC, GIVEN } = FlagKind;
  const { OPERATION, CLOCKS, OFFSET, BYTES, REG, RM, SEGMENT, IMMEDIATE, LINK, EXTRA, WORDS } = Field;
  const { BASE, INDEX, SCALE, DISPLACEMENT } = Field;
  const { SS } = Segment;

  function address(p: number): number {
    return (s[pool[p + BASE]!]! + (s[pool[p + INDEX]!]! << pool[p + SCALE]!) + pool[p + DISPLACEMENT]!) | 0;
  }

  function imul(left: number, right: number): number {
    const result = Math.imul(left, right);
    // The double product is within 2^10 of the true one, the difference to a value that does not fit at least 2^31.
    const overflow = left * right === result ? 0 : 1;
    s[FLAG_RESULT] = result;
    s[FLAG_LEFT] = overflow;
    s[FLAG_RIGHT] = overflow;
    s[FLAG_KIND] = GIVEN;
    return result;
  }

  function shiftLeft(register: number, count: number): void {
    if (count === 0) return;
    const value = s[register]!;
    const result = value << count;
    const out = (value >>> (32 - count)) & 1;
    s[FLAG_RESULT] = result;
    s[FLAG_LEFT] = out;
    s[FLAG_RIGHT] = out ^ (result >>> 31);
    s[FLAG_KIND] = GIVEN;
    s[register] = result;
  }

  function shiftRight(register: number, count: number): void {
    if (count === 0) return;
    const value = s[register]!;
    const result = (value >>> count) | 0;
    s[FLAG_RESULT] = result;
    s[FLAG_LEFT] = (value >>> (count - 1)) & 1;
    s[FLAG_RIGHT] = value >>> 31;
    s[FLAG_KIND] = GIVEN;
    s[register] = result;
  }

  function shiftArithmetic(register: number, count: number): void {
    if (count === 0) return;
    const value = s[register]!;
    const result = value >> count;
    s[FLAG_RESULT] = result;
    s[FLAG_LEFT] = (value >> (count - 1)) & 1;
    s[FLAG_RIGHT] = 0;
    s[FLAG_KIND] = GIVEN;
    s[register] = result;
  }

  function execute(start: number): number {
    let p = start;
    try {
      do {
        s[BUDGET] = s[BUDGET]! - pool[p + CLOCKS]!;
        s[RETIRED] = s[RETIRED]! + 1;
        switch (pool[p + OPERATION]) {
          case 1: // end of what was decoded: look the next instruction up
            s[RETIRED] = s[RETIRED]! - 1;
            p = locate((s[PAGE_EIP]! + pool[p + OFFSET]!) | 0);
            break;
          case 2: // decoded before: go on there
            s[RETIRED] = s[RETIRED]! - 1;
            p = pool[p + LINK]!;
            break;
          case 3: // mov register, register
            s[pool[p + RM]!] = s[pool[p + REG]!]!;
            p += WORDS;
            break;
          case 4: // mov register, immediate
            s[pool[p + RM]!] = pool[p + IMMEDIATE]!;
            p += WORDS;
            break;
          case 5: // mov register, memory
            s[pool[p + REG]!] = read32(pool[p + SEGMENT]!, address(p));
            p += WORDS;
            break;
          case 6: // mov memory, register
            write32(pool[p + SEGMENT]!, address(p), s[pool[p + REG]!]!);
            p += WORDS;
            break;
          case 7: // mov memory, immediate
            write32(pool[p + SEGMENT]!, address(p), pool[p + IMMEDIATE]!);
            p += WORDS;
            break;
          case 8: // mov register, [base + displacement]
            s[pool[p + REG]!] = read32(
              pool[p + SEGMENT]!,
              (s[pool[p + BASE]!]! + pool[p + DISPLACEMENT]!) | 0,
            );
            p += WORDS;
            break;
          case 9: // mov [base + displacement], register
            write32(
              pool[p + SEGMENT]!,
              (s[pool[p + BASE]!]! + pool[p + DISPLACEMENT]!) | 0,
              s[pool[p + REG]!]!,
            );
            p += WORDS;
            break;
          case 10: // mov register8, register8
            s8[pool[p + RM]!] = s8[pool[p + REG]!]!;
            p += WORDS;
            break;
          case 11: // mov register8, memory
            s8[pool[p + REG]!] = read8(pool[p + SEGMENT]!, address(p));
            p += WORDS;
            break;
          case 12: // mov memory, register8
            write8(pool[p + SEGMENT]!, address(p), s8[pool[p + REG]!]!);
            p += WORDS;
            break;
          case 13: // mov register8, immediate
            s8[pool[p + RM]!] = pool[p + IMMEDIATE]!;
            p += WORDS;
            break;
          case 14: // mov memory8, immediate
            write8(pool[p + SEGMENT]!, address(p), pool[p + IMMEDIATE]!);
            p += WORDS;
            break;
          case 15: // mov register16, memory
            s16[pool[p + REG]!] = read16(pool[p + SEGMENT]!, address(p));
            p += WORDS;
            break;
          case 16: // mov memory, register16
            write16(pool[p + SEGMENT]!, address(p), s16[pool[p + REG]!]!);
            p += WORDS;
            break;
          case 17: // movzx register, register8 or register16
            s[pool[p + REG]!] = pool[p + EXTRA] === 1 ? s8[pool[p + RM]!]! : s16[pool[p + RM]!]!;
            p += WORDS;
            break;
          case 18: // movzx register, memory8
            s[pool[p + REG]!] = read8(pool[p + SEGMENT]!, address(p));
            p += WORDS;
            break;
          case 19: // movzx register, memory16
            s[pool[p + REG]!] = read16(pool[p + SEGMENT]!, address(p));
            p += WORDS;
            break;
          case 20: // movsx register, register8 or register16
            s[pool[p + REG]!] =
              pool[p + EXTRA] === 1 ? (s8[pool[p + RM]!]! << 24) >> 24 : (s16[pool[p + RM]!]! << 16) >> 16;
            p += WORDS;
            break;
          case 21: // movsx register, memory8
            s[pool[p + REG]!] = (read8(pool[p + SEGMENT]!, address(p)) << 24) >> 24;
            p += WORDS;
            break;
          case 22: // movsx register, memory16
            s[pool[p + REG]!] = (read16(pool[p + SEGMENT]!, address(p)) << 16) >> 16;
            p += WORDS;
            break;
          case 23: // lea register, memory
            s[pool[p + REG]!] = address(p);
            p += WORDS;
            break;
          case 24: {
            // add register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = s[pool[p + REG]!]!;
            const result = (left + right) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD;
            p += WORDS;
            break;
          }
          case 25: {
            // add register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = pool[p + IMMEDIATE]!;
            const result = (left + right) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD;
            p += WORDS;
            break;
          }
          case 26: {
            // add register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const right = read32(pool[p + SEGMENT]!, address(p));
            const result = (left + right) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD;
            p += WORDS;
            break;
          }
          case 27: {
            // add memory, register
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = s[pool[p + REG]!]!;
            const result = (left + right) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD;
            p += WORDS;
            break;
          }
          case 28: {
            // add memory, immediate
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = pool[p + IMMEDIATE]!;
            const result = (left + right) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD;
            p += WORDS;
            break;
          }
          case 29: {
            // or register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const result = left | s[pool[p + REG]!]!;
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 30: {
            // or register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const result = left | pool[p + IMMEDIATE]!;
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 31: {
            // or register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const result = left | read32(pool[p + SEGMENT]!, address(p));
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 32: {
            // or memory, register
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const result = left | s[pool[p + REG]!]!;
            write32(segment, offset, result);
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 33: {
            // or memory, immediate
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const result = left | pool[p + IMMEDIATE]!;
            write32(segment, offset, result);
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 34: {
            // adc register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = s[pool[p + REG]!]!;
            const carryIn = carry();
            const result = (left + right + carryIn) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD + carryIn;
            p += WORDS;
            break;
          }
          case 35: {
            // adc register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = pool[p + IMMEDIATE]!;
            const carryIn = carry();
            const result = (left + right + carryIn) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD + carryIn;
            p += WORDS;
            break;
          }
          case 36: {
            // adc register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const right = read32(pool[p + SEGMENT]!, address(p));
            const carryIn = carry();
            const result = (left + right + carryIn) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD + carryIn;
            p += WORDS;
            break;
          }
          case 37: {
            // adc memory, register
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = s[pool[p + REG]!]!;
            const carryIn = carry();
            const result = (left + right + carryIn) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD + carryIn;
            p += WORDS;
            break;
          }
          case 38: {
            // adc memory, immediate
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = pool[p + IMMEDIATE]!;
            const carryIn = carry();
            const result = (left + right + carryIn) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = ADD + carryIn;
            p += WORDS;
            break;
          }
          case 39: {
            // sbb register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = s[pool[p + REG]!]!;
            const carryIn = carry();
            const result = (left - right - carryIn) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB + carryIn;
            p += WORDS;
            break;
          }
          case 40: {
            // sbb register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = pool[p + IMMEDIATE]!;
            const carryIn = carry();
            const result = (left - right - carryIn) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB + carryIn;
            p += WORDS;
            break;
          }
          case 41: {
            // sbb register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const right = read32(pool[p + SEGMENT]!, address(p));
            const carryIn = carry();
            const result = (left - right - carryIn) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB + carryIn;
            p += WORDS;
            break;
          }
          case 42: {
            // sbb memory, register
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = s[pool[p + REG]!]!;
            const carryIn = carry();
            const result = (left - right - carryIn) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB + carryIn;
            p += WORDS;
            break;
          }
          case 43: {
            // sbb memory, immediate
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = pool[p + IMMEDIATE]!;
            const carryIn = carry();
            const result = (left - right - carryIn) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB + carryIn;
            p += WORDS;
            break;
          }
          case 44: {
            // and register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const result = left & s[pool[p + REG]!]!;
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 45: {
            // and register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const result = left & pool[p + IMMEDIATE]!;
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 46: {
            // and register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const result = left & read32(pool[p + SEGMENT]!, address(p));
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 47: {
            // and memory, register
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const result = left & s[pool[p + REG]!]!;
            write32(segment, offset, result);
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 48: {
            // and memory, immediate
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const result = left & pool[p + IMMEDIATE]!;
            write32(segment, offset, result);
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 49: {
            // sub register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = s[pool[p + REG]!]!;
            const result = (left - right) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 50: {
            // sub register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = pool[p + IMMEDIATE]!;
            const result = (left - right) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 51: {
            // sub register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const right = read32(pool[p + SEGMENT]!, address(p));
            const result = (left - right) | 0;
            s[destination] = result;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 52: {
            // sub memory, register
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = s[pool[p + REG]!]!;
            const result = (left - right) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 53: {
            // sub memory, immediate
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const right = pool[p + IMMEDIATE]!;
            const result = (left - right) | 0;
            write32(segment, offset, result);
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 54: {
            // xor register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const result = left ^ s[pool[p + REG]!]!;
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 55: {
            // xor register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const result = left ^ pool[p + IMMEDIATE]!;
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 56: {
            // xor register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const result = left ^ read32(pool[p + SEGMENT]!, address(p));
            s[destination] = result;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 57: {
            // xor memory, register
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const result = left ^ s[pool[p + REG]!]!;
            write32(segment, offset, result);
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 58: {
            // xor memory, immediate
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const result = left ^ pool[p + IMMEDIATE]!;
            write32(segment, offset, result);
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          }
          case 59: {
            // cmp register, register
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = s[pool[p + REG]!]!;
            const result = (left - right) | 0;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 60: {
            // cmp register, immediate
            const destination = pool[p + RM]!;
            const left = s[destination]!;
            const right = pool[p + IMMEDIATE]!;
            const result = (left - right) | 0;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 61: {
            // cmp register, memory
            const destination = pool[p + REG]!;
            const left = s[destination]!;
            const right = read32(pool[p + SEGMENT]!, address(p));
            const result = (left - right) | 0;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 62: {
            // cmp memory, register
            const left = read32(pool[p + SEGMENT]!, address(p));
            const right = s[pool[p + REG]!]!;
            const result = (left - right) | 0;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 63: {
            // cmp memory, immediate
            const left = read32(pool[p + SEGMENT]!, address(p));
            const right = pool[p + IMMEDIATE]!;
            const result = (left - right) | 0;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 96: {
            // jump if overflow, inside the page
            const taken = condition(0);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 97: {
            // jump if not overflow, inside the page
            const taken = condition(1);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 98: {
            // jump if below, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! >>> 0 < s[FLAG_RIGHT]! >>> 0 : condition(2);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 99: {
            // jump if above or equal, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! >>> 0 >= s[FLAG_RIGHT]! >>> 0 : condition(3);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 100: {
            // jump if equal, inside the page
            const taken = s[FLAG_KIND] !== STORED ? s[FLAG_RESULT] === 0 : condition(4);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 101: {
            // jump if not equal, inside the page
            const taken = s[FLAG_KIND] !== STORED ? s[FLAG_RESULT] !== 0 : condition(5);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 102: {
            // jump if below or equal, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! >>> 0 <= s[FLAG_RIGHT]! >>> 0 : condition(6);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 103: {
            // jump if above, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! >>> 0 > s[FLAG_RIGHT]! >>> 0 : condition(7);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 104: {
            // jump if sign, inside the page
            const taken = s[FLAG_KIND] !== STORED ? s[FLAG_RESULT]! < 0 : condition(8);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 105: {
            // jump if no sign, inside the page
            const taken = s[FLAG_KIND] !== STORED ? s[FLAG_RESULT]! >= 0 : condition(9);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 106: {
            // jump if parity, inside the page
            const taken = condition(10);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 107: {
            // jump if no parity, inside the page
            const taken = condition(11);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 108: {
            // jump if less, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! < s[FLAG_RIGHT]! : condition(12);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 109: {
            // jump if greater or equal, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! >= s[FLAG_RIGHT]! : condition(13);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 110: {
            // jump if less or equal, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! <= s[FLAG_RIGHT]! : condition(14);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 111: {
            // jump if greater, inside the page
            const taken = s[FLAG_KIND] === SUB ? s[FLAG_LEFT]! > s[FLAG_RIGHT]! : condition(15);
            if (taken) {
              const target = pool[p + LINK]!;
              p = target !== 0 ? target : link(p);
            } else p += WORDS;
            break;
          }
          case 64: // test register, register
            s[FLAG_RESULT] = s[pool[p + RM]!]! & s[pool[p + REG]!]!;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          case 65: // test register, immediate
            s[FLAG_RESULT] = s[pool[p + RM]!]! & pool[p + IMMEDIATE]!;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          case 66: // test memory, immediate
            s[FLAG_RESULT] = read32(pool[p + SEGMENT]!, address(p)) & pool[p + IMMEDIATE]!;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          case 67: // test register8, register8
            s[FLAG_RESULT] = ((s8[pool[p + RM]!]! & s8[pool[p + REG]!]!) << 24) >> 24;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          case 68: {
            // inc register
            const register = pool[p + RM]!;
            const left = s[register]!;
            const carryBefore = carry();
            const result = (left + 1) | 0;
            s[FLAG_CARRY] = carryBefore;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = 1;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = INC;
            s[register] = result;
            p += WORDS;
            break;
          }
          case 69: {
            // dec register
            const register = pool[p + RM]!;
            const left = s[register]!;
            const carryBefore = carry();
            const result = (left - 1) | 0;
            s[FLAG_CARRY] = carryBefore;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = 1;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = DEC;
            s[register] = result;
            p += WORDS;
            break;
          }
          case 70: {
            // inc memory
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const carryBefore = carry();
            const result = (left + 1) | 0;
            write32(segment, offset, result);
            s[FLAG_CARRY] = carryBefore;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = 1;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = INC;
            p += WORDS;
            break;
          }
          case 71: {
            // dec memory
            const segment = pool[p + SEGMENT]!;
            const offset = address(p);
            const left = modify32(segment, offset);
            const carryBefore = carry();
            const result = (left - 1) | 0;
            write32(segment, offset, result);
            s[FLAG_CARRY] = carryBefore;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = 1;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = DEC;
            p += WORDS;
            break;
          }
          case 72: {
            // neg register
            const register = pool[p + RM]!;
            const right = s[register]!;
            const result = -right | 0;
            s[FLAG_LEFT] = 0;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = result;
            s[FLAG_KIND] = SUB;
            s[register] = result;
            p += WORDS;
            break;
          }
          case 73: {
            // not register
            const register = pool[p + RM]!;
            s[register] = ~s[register]!;
            p += WORDS;
            break;
          }
          case 74: // shl register, immediate
            shiftLeft(pool[p + RM]!, pool[p + IMMEDIATE]! & 31);
            p += WORDS;
            break;
          case 75: // shr register, immediate
            shiftRight(pool[p + RM]!, pool[p + IMMEDIATE]! & 31);
            p += WORDS;
            break;
          case 76: // sar register, immediate
            shiftArithmetic(pool[p + RM]!, pool[p + IMMEDIATE]! & 31);
            p += WORDS;
            break;
          case 77: // shl register, cl
            shiftLeft(pool[p + RM]!, s8[4]! & 31);
            p += WORDS;
            break;
          case 78: // shr register, cl
            shiftRight(pool[p + RM]!, s8[4]! & 31);
            p += WORDS;
            break;
          case 79: // sar register, cl
            shiftArithmetic(pool[p + RM]!, s8[4]! & 31);
            p += WORDS;
            break;
          case 80: {
            // imul register, register
            const destination = pool[p + REG]!;
            s[destination] = imul(s[destination]!, s[pool[p + RM]!]!);
            p += WORDS;
            break;
          }
          case 81: {
            // imul register, memory
            const destination = pool[p + REG]!;
            s[destination] = imul(s[destination]!, read32(pool[p + SEGMENT]!, address(p)));
            p += WORDS;
            break;
          }
          case 82: // imul register, register, immediate
            s[pool[p + REG]!] = imul(s[pool[p + RM]!]!, pool[p + IMMEDIATE]!);
            p += WORDS;
            break;
          case 83: // imul register, memory, immediate
            s[pool[p + REG]!] = imul(read32(pool[p + SEGMENT]!, address(p)), pool[p + IMMEDIATE]!);
            p += WORDS;
            break;
          case 84: {
            // push register
            const top = (s[ESP]! - 4) | 0;
            write32(SS, top, s[pool[p + RM]!]!);
            s[ESP] = top;
            p += WORDS;
            break;
          }
          case 85: {
            // push immediate
            const top = (s[ESP]! - 4) | 0;
            write32(SS, top, pool[p + IMMEDIATE]!);
            s[ESP] = top;
            p += WORDS;
            break;
          }
          case 86: {
            // push memory
            const value = read32(pool[p + SEGMENT]!, address(p));
            const top = (s[ESP]! - 4) | 0;
            write32(SS, top, value);
            s[ESP] = top;
            p += WORDS;
            break;
          }
          case 87: {
            // pop register
            const value = read32(SS, s[ESP]!);
            s[ESP] = s[ESP]! + 4;
            s[pool[p + RM]!] = value;
            p += WORDS;
            break;
          }
          case 88: {
            // call inside the page
            const top = (s[ESP]! - 4) | 0;
            write32(SS, top, (s[PAGE_EIP]! + pool[p + OFFSET]! + pool[p + BYTES]!) | 0);
            s[ESP] = top;
            const target = pool[p + LINK]!;
            p = target !== 0 ? target : link(p);
            break;
          }
          case 89: {
            // call register
            const target = s[pool[p + RM]!]!;
            const top = (s[ESP]! - 4) | 0;
            decoder.checkTarget(target);
            write32(SS, top, (s[PAGE_EIP]! + pool[p + OFFSET]! + pool[p + BYTES]!) | 0);
            s[ESP] = top;
            p = locate(target);
            break;
          }
          case 90: {
            // call memory
            const target = read32(pool[p + SEGMENT]!, address(p));
            const top = (s[ESP]! - 4) | 0;
            decoder.checkTarget(target);
            write32(SS, top, (s[PAGE_EIP]! + pool[p + OFFSET]! + pool[p + BYTES]!) | 0);
            s[ESP] = top;
            p = locate(target);
            break;
          }
          case 91: {
            // ret
            const top = s[ESP]!;
            const target = read32(SS, top);
            decoder.checkTarget(target);
            s[ESP] = top + 4;
            p = locate(target);
            break;
          }
          case 92: {
            // ret immediate
            const top = s[ESP]!;
            const target = read32(SS, top);
            decoder.checkTarget(target);
            s[ESP] = top + 4 + pool[p + IMMEDIATE]!;
            p = locate(target);
            break;
          }
          case 93: {
            // jmp inside the page
            const target = pool[p + LINK]!;
            p = target !== 0 ? target : link(p);
            break;
          }
          case 94: // jmp register
            p = jump(s[pool[p + RM]!]!);
            break;
          case 95: // jmp memory
            p = jump(read32(pool[p + SEGMENT]!, address(p)));
            break;
          case 112: // jcc to another page
            if (condition(pool[p + EXTRA]!)) p = jump((s[PAGE_EIP]! + pool[p + IMMEDIATE]!) | 0);
            else p += WORDS;
            break;
          case 113: {
            // leave
            const frame = s[EBP]!;
            s[EBP] = read32(SS, frame);
            s[ESP] = frame + 4;
            p += WORDS;
            break;
          }
          case 114: // nop
            p += WORDS;
            break;
          case 115: // cdq
            s[EDX] = s[EAX]! >> 31;
            p += WORDS;
            break;
          case 116: // setcc register8
            s8[pool[p + RM]!] = condition(pool[p + EXTRA]!) ? 1 : 0;
            p += WORDS;
            break;
          case 117: {
            // cmp register8, immediate
            const left = (s8[pool[p + RM]!]! << 24) >> 24;
            const right = (pool[p + IMMEDIATE]! << 24) >> 24;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = ((left - right) << 24) >> 24;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 118: {
            // cmp memory8, immediate
            const left = (read8(pool[p + SEGMENT]!, address(p)) << 24) >> 24;
            const right = (pool[p + IMMEDIATE]! << 24) >> 24;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = ((left - right) << 24) >> 24;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 119: {
            // cmp register8, register8
            const left = (s8[pool[p + RM]!]! << 24) >> 24;
            const right = (s8[pool[p + REG]!]! << 24) >> 24;
            s[FLAG_LEFT] = left;
            s[FLAG_RIGHT] = right;
            s[FLAG_RESULT] = ((left - right) << 24) >> 24;
            s[FLAG_KIND] = SUB;
            p += WORDS;
            break;
          }
          case 120: // test register8, immediate
            s[FLAG_RESULT] = ((s8[pool[p + RM]!]! & pool[p + IMMEDIATE]!) << 24) >> 24;
            s[FLAG_KIND] = LOGIC;
            p += WORDS;
            break;
          case 121: {
            // call to another page
            const top = (s[ESP]! - 4) | 0;
            const target = (s[PAGE_EIP]! + pool[p + IMMEDIATE]!) | 0;
            decoder.checkTarget(target);
            write32(SS, top, (s[PAGE_EIP]! + pool[p + OFFSET]! + pool[p + BYTES]!) | 0);
            s[ESP] = top;
            p = locate(target);
            break;
          }
          case 122: // jmp to another page
            p = jump((s[PAGE_EIP]! + pool[p + IMMEDIATE]!) | 0);
            break;
          case 123: {
            // counted entry: the instruction stands in a record of its own, and behind that how often it may still be visited
            s[RETIRED] = s[RETIRED]! - 1;
            const copy = pool[p + LINK]!;
            const left = pool[copy + WORDS + EXTRA]!;
            if (left > 0) {
              pool[copy + WORDS + EXTRA] = left - 1;
              p = copy;
            } else p = entries.run(p);
            break;
          }
          default:
            p = handlers[pool[p + OPERATION]!]!(p);
        }
      } while (s[BUDGET]! > 0);
      return p;
    } catch (error) {
      if (error !== pendingFault) throw error;
      const compiled = s[Slot.COMPILED_FAULT]!;
      s[Slot.FAULT_RECORD] = compiled !== 0 ? compiled : p;
      s[Slot.COMPILED_FAULT] = 0;
      return FAULTED;
    }
  }

  return { execute };
}
