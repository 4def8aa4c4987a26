/**
 * The environment: control, status and tag words and the pointers to the last instruction and operand, in the two
 * protected-mode layouts that FSTENV and FSAVE write. Source: Pentium Processor Family Developer's Manual, volume 3,
 * figures 6-5 and 6-6.
 *
 *   32-bit (28 bytes)                              16-bit (14 bytes)
 *   +0   1s        | control word                  +0  control word
 *   +4   1s        | status word                   +2  status word
 *   +8   1s        | tag word                      +4  tag word
 *   +12  instruction pointer                       +6  instruction pointer
 *   +16  0 opcode  | code selector                 +8  code selector
 *   +20  operand offset                            +10 operand offset
 *   +24  1s        | operand selector              +12 operand selector
 */

import type { FloatingPointMemory } from "./contract.ts";

export const environmentSize = { bits32: 28, bits16: 14 } as const;

export class Environment {
  control = 0;
  /** With TOP in bits 11 to 13. */
  status = 0;
  tags = 0;
  instructionPointer = 0;
  codeSelector = 0;
  /** Low three bits of the first opcode byte, then ModR/M: 11 bits. The 16-bit layout has no room for it. */
  opcode = 0;
  operandOffset = 0;
  operandSelector = 0;
}

export function writeEnvironment(memory: FloatingPointMemory, e: Environment, operandSize16: boolean): void {
  if (operandSize16) {
    memory.write16(0, e.control);
    memory.write16(2, e.status);
    memory.write16(4, e.tags);
    memory.write16(6, e.instructionPointer & 0xffff);
    memory.write16(8, e.codeSelector);
    memory.write16(10, e.operandOffset & 0xffff);
    memory.write16(12, e.operandSelector);
    return;
  }
  memory.write32(0, (0xffff0000 | e.control) >>> 0);
  memory.write32(4, (0xffff0000 | e.status) >>> 0);
  memory.write32(8, (0xffff0000 | e.tags) >>> 0);
  memory.write32(12, e.instructionPointer >>> 0);
  memory.write32(16, ((e.opcode << 16) | e.codeSelector) >>> 0);
  memory.write32(20, e.operandOffset >>> 0);
  memory.write32(24, (0xffff0000 | e.operandSelector) >>> 0);
}

export function readEnvironment(memory: FloatingPointMemory, e: Environment, operandSize16: boolean): void {
  if (operandSize16) {
    e.control = memory.read16(0);
    e.status = memory.read16(2);
    e.tags = memory.read16(4);
    e.instructionPointer = memory.read16(6);
    e.codeSelector = memory.read16(8);
    e.operandOffset = memory.read16(10);
    e.operandSelector = memory.read16(12);
    e.opcode = 0;
    return;
  }
  e.control = memory.read32(0) & 0xffff;
  e.status = memory.read32(4) & 0xffff;
  e.tags = memory.read32(8) & 0xffff;
  e.instructionPointer = memory.read32(12) | 0;
  const selector = memory.read32(16);
  e.codeSelector = selector & 0xffff;
  e.opcode = (selector >>> 16) & 0x7ff;
  e.operandOffset = memory.read32(20) | 0;
  e.operandSelector = memory.read32(24) & 0xffff;
}

/** A byte array as the memory at an effective address. */
export class ImageMemory implements FloatingPointMemory {
  readonly bytes: Uint8Array;
  private readonly view: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  read16(offset: number): number {
    return this.view.getUint16(offset, true);
  }

  read32(offset: number): number {
    return this.view.getUint32(offset, true);
  }

  write16(offset: number, value: number): void {
    this.view.setUint16(offset, value, true);
  }

  write32(offset: number, value: number): void {
    this.view.setUint32(offset, value, true);
  }

  probeWrite(size: number): void {
    if (size > this.bytes.length) throw new RangeError(`image of ${this.bytes.length} bytes: ${size} needed`);
  }
}
