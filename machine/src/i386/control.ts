/**
 * Stack, branch, call, interrupt and flag instructions outside the interpreter's switch. Source: Pentium Processor Family
 * Developer's Manual, volume 3, chapter 25. Near branches with the operand-size prefix cut EIP to 16 bits, as the manual says.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Decoder } from "./decoder.ts";
import { NO_ERROR_CODE, raise } from "./fault.ts";
import type { Flags } from "./flags.ts";
import { AC, AF, CF, DF, ID, IF, IOPL, NT, OF, PF, RF, SF, TF, VM, ZF } from "./instruction.ts";
import type { Handler } from "./interpreter.ts";
import { Field, Prefix, Segment, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { type Operands, signExtend } from "./operands.ts";
import type { Segments } from "./segments.ts";
import type { Transfers } from "./transfers.ts";
import { TrapKind, type Traps } from "./traps.ts";

/** Values of `Slot.SHADOW`. */
const Hold = { interrupts: 1, interruptsAndTraps: 2 } as const;

export function createControlHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  flags: Flags,
  operands: Operands,
  decoder: Decoder,
  segments: Segments,
  transfers: Transfers,
  traps: Traps,
): Record<string, Handler> {
  const { s, s16 } = core;
  const { pool } = codeCache;
  const { EAX, ECX, ESP, EBP, EIP, EFLAGS, CPL } = Slot;
  const { REG, RM, SEGMENT, IMMEDIATE, SIZE, PREFIX, EXTRA, BYTES, OFFSET, WORDS } = Field;
  const { SS } = Segment;
  const { readRm, address, push, pop } = operands;
  const { locate, jump } = decoder;

  const next = (p: number): number => (s[Slot.PAGE_EIP]! + pool[p + OFFSET]! + pool[p + BYTES]!) | 0;
  const target = (p: number): number => (s[Slot.PAGE_EIP]! + pool[p + IMMEDIATE]!) | 0;
  const narrow = (p: number, eip: number): number => (pool[p + SIZE] === 2 ? eip & 0xffff : eip);
  const usesCx = (p: number): boolean => (pool[p + PREFIX]! & Prefix.ADDRESS_16) !== 0;

  function branch(p: number, taken: boolean): number {
    return taken ? jump(narrow(p, target(p))) : p + WORDS;
  }

  /** LOOP and its kin: the counter changes only when the branch does not fault. */
  function loop(p: number, condition: boolean): number {
    const count = usesCx(p) ? (s16[ECX * 2]! - 1) & 0xffff : (s[ECX]! - 1) | 0;
    const taken = count !== 0 && condition;
    const destination = narrow(p, target(p));
    if (taken) {
      decoder.checkTarget(destination);
      s[Slot.BUDGET] = s[Slot.BUDGET]! - 1;
    }
    if (usesCx(p)) s16[ECX * 2] = count;
    else s[ECX] = count;
    return taken ? locate(destination) : p + WORDS;
  }

  function call(p: number, to: number): number {
    const destination = narrow(p, to);
    decoder.checkTarget(destination);
    push(next(p), pool[p + SIZE]!);
    return locate(destination);
  }

  function popSegment(p: number): number {
    const size = pool[p + SIZE]!;
    const top = s[ESP]!;
    const selector = memory.read16(SS, top);
    segments.load(pool[p + REG]!, selector);
    s[ESP] = top + size;
    if (pool[p + REG] === SS) hold(Hold.interruptsAndTraps);
    return p + WORDS;
  }

  /** MOV SS, POP SS, STI: one more instruction runs before an interrupt or a debug trap. */
  function hold(what: number): void {
    s[Slot.SHADOW] = what;
    core.attention();
  }

  function softwareInterrupt(p: number, vector: number): number {
    traps.interrupt(vector, TrapKind.software, NO_ERROR_CODE, next(p));
    return locate(s[EIP]!);
  }

  /** Reads the far pointer of a memory operand: offset in `pointer[0]`, selector in `pointer[1]`. */
  const pointer = new Int32Array(2);
  function readPointer(p: number): void {
    const size = pool[p + SIZE]!;
    const segment = pool[p + SEGMENT]!;
    const offset = address(p);
    pointer[0] = size === 4 ? memory.read32(segment, offset) : memory.read16(segment, offset);
    pointer[1] = memory.read16(segment, (offset + size) | 0);
  }

  function enter(p: number): number {
    const size = pool[p + SIZE]!;
    const level = pool[p + EXTRA]! & 31;
    const top = s[ESP]!;
    const frame = (top - size) | 0;
    // Every word that will be pushed, and the lowest byte of the new frame, must be writable before anything changes.
    const pushed = level === 0 ? size : size * (level + 1);
    memory.probeWrite(SS, (top - pushed) | 0, pushed);
    const end = (top - pushed - pool[p + IMMEDIATE]!) | 0;
    memory.probeWrite(SS, end, size);
    const write = (offset: number, value: number): void => operands.writeMemory(SS, offset, size, value);
    const links: number[] = [];
    for (let i = 1; i < level; i++) links.push(operands.readMemory(SS, (s[EBP]! - i * size) | 0, size));
    write(frame, s[EBP]!);
    links.forEach((link, i) => {
      write((frame - (i + 1) * size) | 0, link);
    });
    if (level > 0) write((frame - level * size) | 0, frame);
    operands.writeRegister(size === 4 ? EBP : EBP * 2, size, frame);
    s[ESP] = end;
    // 11 clocks at level 0, 15 at level 1, 15 + 2 × level above (volume 3, chapter 25).
    if (level > 0) s[Slot.BUDGET] = s[Slot.BUDGET]! - (level === 1 ? 4 : 4 + 2 * level);
    return p + WORDS;
  }

  return {
    push(p) {
      const size = pool[p + SIZE]!;
      const opcode = (pool[p + PREFIX]! >> Prefix.OPCODE_SHIFT) & 0xff;
      push(opcode === 0x68 || opcode === 0x6a ? pool[p + IMMEDIATE]! : readRm(p, size), size);
      return p + WORDS;
    },
    pop(p) {
      const size = pool[p + SIZE]!;
      const top = s[ESP]!;
      const value = operands.readMemory(SS, top, size);
      // An address that uses ESP is formed after the increment; a fault of the store takes it back.
      s[ESP] = top + size;
      if (pool[p + RM]! >= 0) operands.writeRegister(pool[p + RM]!, size, value);
      else {
        const offset = address(p);
        s[ESP] = top;
        operands.writeMemory(pool[p + SEGMENT]!, offset, size, value);
        s[ESP] = top + size;
      }
      return p + WORDS;
    },
    pushSegment(p) {
      const size = pool[p + SIZE]!;
      push(s[Slot.SELECTOR + pool[p + REG]!]!, size);
      return p + WORDS;
    },
    popSegment,
    pusha(p) {
      const size = pool[p + SIZE]!;
      const top = s[ESP]!;
      memory.probeWrite(SS, (top - 8 * size) | 0, 8 * size);
      for (let i = 0; i < 8; i++) operands.writeMemory(SS, (top - (i + 1) * size) | 0, size, s[i]!);
      s[ESP] = top - 8 * size;
      return p + WORDS;
    },
    popa(p) {
      const size = pool[p + SIZE]!;
      const top = s[ESP]!;
      const values: number[] = [];
      for (let i = 0; i < 8; i++) values.push(operands.readMemory(SS, (top + i * size) | 0, size));
      for (let i = 0; i < 8; i++) {
        if (i === 3) continue;
        operands.writeRegister(size === 4 ? 7 - i : (7 - i) * 2, size, values[i]!);
      }
      s[ESP] = top + 8 * size;
      return p + WORDS;
    },
    pushf(p) {
      push(flags.read() & ~(RF | VM), pool[p + SIZE]!);
      return p + WORDS;
    },
    popf(p) {
      const size = pool[p + SIZE]!;
      const value = pop(size);
      const ring = s[CPL]!;
      const ioPrivilege = (s[EFLAGS]! & IOPL) >> 12;
      let mask = CF | PF | AF | ZF | SF | TF | DF | OF | NT;
      if (size === 4) mask |= AC | ID;
      if (ring <= ioPrivilege) mask |= IF;
      if (ring === 0) mask |= IOPL;
      // RF is cleared, VM stays.
      traps.writeFlags(value & ~RF, size === 4 ? mask | RF : mask);
      return p + WORDS;
    },
    enter,
    leave(p) {
      const size = pool[p + SIZE]!;
      const frame = s[EBP]!;
      const value = operands.readMemory(SS, frame, size);
      s[ESP] = frame + size;
      operands.writeRegister(size === 4 ? EBP : EBP * 2, size, value);
      return p + WORDS;
    },
    jcc: (p) => branch(p, flags.condition(pool[p + EXTRA]!)),
    jmpNear: (p) => branch(p, true),
    jmpIndirect: (p) => jump(narrow(p, readRm(p, pool[p + SIZE]!))),
    callNear: (p) => call(p, target(p)),
    callIndirect: (p) => call(p, readRm(p, pool[p + SIZE]!)),
    retNear(p) {
      const size = pool[p + SIZE]!;
      const top = s[ESP]!;
      const to = narrow(p, operands.readMemory(SS, top, size));
      decoder.checkTarget(to);
      s[ESP] = top + size + pool[p + IMMEDIATE]!;
      return locate(to);
    },
    jmpFar(p) {
      transfers.jumpFar(pool[p + EXTRA]!, pool[p + IMMEDIATE]!, next(p));
      return locate(s[EIP]!);
    },
    jmpFarIndirect(p) {
      readPointer(p);
      transfers.jumpFar(pointer[1]!, pointer[0]!, next(p));
      return locate(s[EIP]!);
    },
    callFar(p) {
      transfers.callFar(pool[p + EXTRA]!, pool[p + IMMEDIATE]!, next(p), pool[p + SIZE]!);
      return locate(s[EIP]!);
    },
    callFarIndirect(p) {
      readPointer(p);
      transfers.callFar(pointer[1]!, pointer[0]!, next(p), pool[p + SIZE]!);
      return locate(s[EIP]!);
    },
    retFar(p) {
      transfers.returnFar(pool[p + IMMEDIATE]!, pool[p + SIZE]!);
      return locate(s[EIP]!);
    },
    loop: (p) => loop(p, true),
    loope: (p) => loop(p, flags.zero() !== 0),
    loopne: (p) => loop(p, flags.zero() === 0),
    jcxz: (p) => branch(p, usesCx(p) ? s16[ECX * 2] === 0 : s[ECX] === 0),
    int: (p) => softwareInterrupt(p, pool[p + IMMEDIATE]!),
    int3: (p) => softwareInterrupt(p, Vector.BP),
    into: (p) => (flags.overflow() !== 0 ? softwareInterrupt(p, Vector.OF) : p + WORDS),
    int1(p) {
      // ICEBP: a trap like a hardware one, without a check of the gate's DPL.
      traps.interrupt(Vector.DB, TrapKind.exception, NO_ERROR_CODE, next(p));
      return locate(s[EIP]!);
    },
    iret(p) {
      traps.interruptReturn(next(p), pool[p + SIZE]!);
      return locate(s[EIP]!);
    },
    bound(p) {
      const size = pool[p + SIZE]!;
      const index = operands.readRegister(pool[p + REG]!, size);
      const segment = pool[p + SEGMENT]!;
      const offset = address(p);
      const lower = operands.readMemory(segment, offset, size);
      const upper = operands.readMemory(segment, (offset + size) | 0, size);
      if (index < lower || index > upper) raise(Vector.BR);
      return p + WORDS;
    },
    cmc(p) {
      flags.setCarry(flags.carry() ^ 1);
      return p + WORDS;
    },
    clc(p) {
      flags.setCarry(0);
      return p + WORDS;
    },
    stc(p) {
      flags.setCarry(1);
      return p + WORDS;
    },
    cld(p) {
      s[EFLAGS] = s[EFLAGS]! & ~DF;
      return p + WORDS;
    },
    std(p) {
      s[EFLAGS] = s[EFLAGS]! | DF;
      return p + WORDS;
    },
    sahf(p) {
      const low = CF | PF | AF | ZF | SF;
      flags.writeArithmetic((flags.read() & ~low) | ((s[EAX]! >> 8) & low));
      return p + WORDS;
    },
    lahf(p) {
      core.s8[1] = flags.read() & 0xff;
      return p + WORDS;
    },
    cli(p) {
      if (s[CPL]! > (s[EFLAGS]! & IOPL) >> 12) raise(Vector.GP, 0);
      s[EFLAGS] = s[EFLAGS]! & ~IF;
      return p + WORDS;
    },
    sti(p) {
      if (s[CPL]! > (s[EFLAGS]! & IOPL) >> 12) raise(Vector.GP, 0);
      if ((s[EFLAGS]! & IF) === 0) {
        s[EFLAGS] = s[EFLAGS]! | IF;
        hold(Hold.interrupts);
      }
      return p + WORDS;
    },
    loadFarPointer(p) {
      const size = pool[p + SIZE]!;
      readPointer(p);
      const opcode = (pool[p + PREFIX]! >> Prefix.OPCODE_SHIFT) & 0xff;
      const segment =
        opcode === 0xc4
          ? Segment.ES
          : opcode === 0xc5
            ? Segment.DS
            : opcode === 0xb2
              ? SS
              : opcode === 0xb4
                ? Segment.FS
                : Segment.GS;
      const offset = pointer[0]!;
      segments.load(segment, pointer[1]!);
      operands.writeRegister(pool[p + REG]!, size, signExtend(offset, size));
      return p + WORDS;
    },
  };
}
