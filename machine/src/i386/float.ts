/**
 * ESC and WAIT: the processor's half of floating point. Source: Pentium Processor Family Developer's Manual, volume 3, chapter 6.
 * #NM with CR0.EM or TS set (WAIT: with TS and MP); a pending unmasked error is raised as #MF by the next waiting instruction,
 * whatever CR0.NE says: the external route through IRQ 13 is not built.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { raise } from "./fault.ts";
import type { Handler } from "./interpreter.ts";
import { ControlBit, Field, Prefix, Segment, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Operands } from "./operands.ts";
import type { FloatingPointHost, FloatingPointMemory, FloatingPointUnit } from "./x87/contract.ts";

export interface FloatHandlers {
  readonly escape: Handler;
  readonly wait: Handler;
}

export function createFloatHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  operands: Operands,
  unit: FloatingPointUnit,
): FloatHandlers {
  const { s, s16 } = core;
  const { pool } = codeCache;
  const { SEGMENT, PREFIX, RM, CLOCKS, OFFSET, SIZE, WORDS } = Field;
  const { CR0, SELECTOR, PAGE_EIP, BUDGET } = Slot;
  const { CR0_EM, CR0_TS, CR0_MP } = ControlBit;
  let segment = 0;
  let base = 0;
  let current = 0;

  const operandMemory: FloatingPointMemory = {
    read16: (offset) => memory.read16(segment, (base + offset) | 0),
    read32: (offset) => memory.read32(segment, (base + offset) | 0),
    write16: (offset, value) => memory.write16(segment, (base + offset) | 0, value),
    write32: (offset, value) => memory.write32(segment, (base + offset) | 0, value),
    probeWrite: (size) => memory.probeWrite(segment, base, size),
  };

  const host: FloatingPointHost = {
    setAx(value) {
      s16[0] = value;
    },
    get instructionPointer() {
      return (s[PAGE_EIP]! + pool[current + OFFSET]!) | 0;
    },
    get codeSelector() {
      return s[SELECTOR + Segment.CS]!;
    },
    get operandSize16() {
      return pool[current + SIZE] === 2;
    },
  };

  return {
    escape(p) {
      if ((s[CR0]! & (CR0_EM | CR0_TS)) !== 0) raise(Vector.NM);
      const prefix = pool[p + PREFIX]!;
      const opcode = (prefix >> Prefix.OPCODE_SHIFT) & 7;
      const modrm = (prefix >> Prefix.MODRM_SHIFT) & 0xff;
      if (unit.errorPending && unit.isWaiting(opcode, modrm)) raise(Vector.MF);
      current = p;
      let selector = 0;
      if (pool[p + RM]! < 0 && modrm < 0xc0) {
        segment = pool[p + SEGMENT]!;
        base = operands.address(p);
        selector = s[SELECTOR + segment]!;
      } else base = 0;
      const clocks = unit.execute(opcode, modrm, operandMemory, host, base, selector);
      if (clocks < 0) raise(Vector.UD);
      s[BUDGET] = s[BUDGET]! + pool[p + CLOCKS]! - clocks;
      return p + WORDS;
    },
    wait(p) {
      if ((s[CR0]! & (CR0_MP | CR0_TS)) === (CR0_MP | CR0_TS)) raise(Vector.NM);
      if (unit.errorPending) raise(Vector.MF);
      return p + WORDS;
    },
  };
}
