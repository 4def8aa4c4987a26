/**
 * ESC and WAIT: the processor's half of floating point. Source: Pentium Processor Family Developer's Manual, volume 3, chapter 6.
 * #NM with CR0.EM or TS set (WAIT: with TS and MP); a pending unmasked error is raised as #MF by the next waiting instruction,
 * whatever CR0.NE says: the external route through IRQ 13 is not built.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { datumSize } from "./disassembler.ts";
import { raise } from "./fault.ts";
import type { Handler } from "./interpreter.ts";
import { ControlBit, Field, Prefix, Segment, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Operands } from "./operands.ts";
import { findInstruction } from "./table.ts";
import type { FloatingPointHost, FloatingPointMemory, FloatingPointUnit } from "./x87/contract.ts";

const ESCAPE = 0xd8;

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
  const { CR0, SELECTOR, PAGE_EIP, BUDGET, ALIGNMENT_CHECK } = Slot;
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

  /** Bytes that the memory operand of an ESC must be aligned to (the manual's table of interrupt 17). */
  function alignmentOf(opcode: number, modrm: number): number {
    const [operand] = findInstruction(false, ESCAPE + opcode, modrm).operands;
    // An environment or image has no size of its own; 10 bytes are aligned like 8.
    const size = (operand && datumSize(operand, false)) || pool[current + SIZE]!;
    return Math.min(size, 8);
  }

  /** An operand is aligned or not as a whole: its parts are not checked. */
  function executeAligned(opcode: number, modrm: number, selector: number): number {
    if ((base & (alignmentOf(opcode, modrm) - 1)) !== 0) {
      // Whatever comes before #AC does, and an odd word always raises it.
      if (findInstruction(false, ESCAPE + opcode, modrm).memory === "write")
        memory.modify16(segment, base | 1);
      else memory.read16(segment, base | 1);
    }
    const wanted = s[ALIGNMENT_CHECK]!;
    s[ALIGNMENT_CHECK] = 0;
    try {
      return unit.execute(opcode, modrm, operandMemory, host, base, selector);
    } finally {
      s[ALIGNMENT_CHECK] = wanted;
    }
  }

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
      const checked = s[ALIGNMENT_CHECK]! !== 0 && modrm < 0xc0;
      const clocks = checked
        ? executeAligned(opcode, modrm, selector)
        : unit.execute(opcode, modrm, operandMemory, host, base, selector);
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
