/**
 * Builds one case: chooses registers, an address form that leads to a chosen place, immediates, and encodes the row itself (the
 * assembler would only choose its shortest form). What single operations need beyond that is in `preparations.ts`.
 */
import { datumSize, disassemble } from "../../i386/disassembler.ts";
import { type Instruction, OF, type OperandCode } from "../../i386/instruction.ts";
import type { InstructionCase } from "./case.ts";
import * as layout from "./layout.ts";
import type { Random } from "./random.ts";

export interface Form {
  readonly operandSize16: boolean;
  readonly addressSize16: boolean;
  readonly memory: boolean;
  /** Prefix bytes besides the size prefixes. */
  readonly prefixes: readonly number[];
}

const ESP = 4;
/** Arithmetic flags, DF, and the always-set bit 1 and IF. */
const RANDOM_FLAGS = 0x8d5;
const FIXED_FLAGS = 0x202;

export class CaseBuilder {
  readonly row: Instruction;
  readonly form: Form;
  readonly random: Random;
  readonly registers = new Int32Array(8);
  readonly memory = new Uint8Array(layout.MEMORY_SIZE);
  eflags: number;
  /** Registers that address forms must not use as base or index: the operation has its own plans for them. */
  readonly reserved = new Set<number>();
  /** Where the memory operand lies, and its size. */
  target: number;
  /** Values that replace random immediates, in order. */
  immediates: number[] = [];
  undefinedFlags: number;
  readonly undefinedRegisterBits = new Int32Array(8);
  undefinedMemory: (readonly [number, number])[] = [];
  memoryMask: Uint8Array | undefined;
  /** Code before and behind the instruction under test. */
  before: number[] = [];
  after: number[] = [];
  /** ModR/M fields; -1 until chosen. */
  reg = -1;
  rm = -1;

  constructor(row: Instruction, form: Form, random: Random) {
    this.row = row;
    this.form = form;
    this.random = random;
    for (let i = 0; i < 8; i++) this.registers[i] = random.operand();
    for (let i = 0; i < this.memory.length; i += 4) {
      const value = random.operand();
      for (let j = 0; j < 4; j++) this.memory[i + j] = value >>> (8 * j);
    }
    this.registers[ESP] =
      layout.WINDOW_A + 400 + (random.chance(1, 4) ? random.below(64) : random.below(16) * 4);
    this.eflags =
      FIXED_FLAGS | (random.bits() & (row.flagsRead & 0x400 ? RANDOM_FLAGS | 0x400 : RANDOM_FLAGS));
    this.undefinedFlags = row.flagsUndefined;
    this.target = this.chooseTarget();
  }

  /** Bytes of operand size. */
  get size(): 2 | 4 {
    return this.form.operandSize16 ? 2 : 4;
  }

  /** Bytes of the row's E or M operand. */
  get datumSize(): number {
    const code = this.row.operands.find((operand) => /^[EMO]/.test(operand));
    return code === undefined ? this.size : datumSize(code, this.form.operandSize16) || 4;
  }

  private chooseTarget(): number {
    const { random } = this;
    const size = this.datumSize;
    switch (random.below(16)) {
      case 0:
        return layout.DATA_END - size;
      case 1:
        return size > 1 ? layout.DATA_END - 1 - random.below(size - 1) : layout.DATA_END;
      case 2:
        return layout.READ_ONLY + random.below(64);
      case 3:
      case 4:
        // Across the border of the two pages.
        return layout.DATA + 0x1000 - 1 - random.below(Math.max(size - 1, 1));
      case 5:
      case 6:
      case 7:
        return layout.WINDOW_A + 130 + random.below(200);
      case 8:
        return layout.DATA - 1 - random.below(size);
      default:
        return layout.WINDOW_A + 128 + 4 * random.below(50);
    }
  }

  /** Sets a register by operand size: 1, 2 or 4 bytes, numbered as ModR/M numbers them. */
  setRegister(number: number, size: number, value: number): void {
    if (size === 1) {
      const shift = number >= 4 ? 8 : 0;
      const index = number & 3;
      this.registers[index] = (this.registers[index]! & ~(0xff << shift)) | ((value & 0xff) << shift);
    } else if (size === 2) this.registers[number] = (this.registers[number]! & ~0xffff) | (value & 0xffff);
    else this.registers[number] = value;
  }

  store(address: number, size: number, value: number): void {
    for (let i = 0; i < size; i++) {
      const index = layout.memoryIndex(address + i);
      if (index >= 0) this.memory[index] = i < 4 ? value >>> (8 * i) : 0;
    }
  }

  /** Puts a value where the row's E operand will be. Chooses rm if that is still open. */
  setDatum(value: number): void {
    if (this.form.memory) this.store(this.target, Math.min(this.datumSize, 4), value);
    else this.setRegister(this.chooseRm(), this.datumSize, value);
  }

  chooseRm(): number {
    if (this.rm < 0) this.rm = this.random.below(8);
    return this.rm;
  }

  chooseReg(): number {
    if (this.reg < 0) this.reg = this.random.below(8);
    return this.reg;
  }

  /** Address of the first byte behind the instruction's slot entry that a branch may go to. */
  branchTarget(slot: number, length: number): number {
    const room = layout.SLOT_SIZE - layout.SLOT_ENTRY - length - 8;
    const forward = this.random.chance(2, 3) && room > 0;
    return (
      slot +
      (forward
        ? layout.SLOT_ENTRY + length + 1 + this.random.below(room)
        : this.random.below(layout.SLOT_ENTRY))
    );
  }

  private encodeAddress(): number[] {
    const { random, target } = this;
    const reg = this.row.digit >= 0 ? this.row.digit : this.chooseReg();
    if (this.form.addressSize16) {
      this.rm = random.below(8);
      const mod = random.below(3);
      const bytes = [(mod << 6) | (reg << 3) | this.rm];
      const size = mod === 0 ? (this.rm === 6 ? 2 : 0) : mod;
      for (let i = 0; i < size; i++) bytes.push(random.below(256));
      return bytes;
    }
    const free = [0, 1, 2, 3, 5, 6, 7].filter((register) => !this.reserved.has(register));
    const choose = () => random.pick(free);
    const displacement8 = () => (random.below(256) << 24) >> 24;
    const kind = free.length === 0 ? 0 : random.below(8);
    if (kind === 0) return [(reg << 3) | 5, ...little(target, 4)];
    if (kind <= 3) {
      const base = choose();
      const mod = kind === 1 && base !== 5 ? 0 : kind === 2 ? 1 : 2;
      const displacement = mod === 0 ? 0 : mod === 1 ? displacement8() : random.operand();
      this.registers[base] = target - displacement;
      return [(mod << 6) | (reg << 3) | base, ...little(displacement, mod === 0 ? 0 : mod === 1 ? 1 : 4)];
    }
    // SIB: base and index, base only, index only.
    const mod = random.below(3);
    const scale = random.below(4);
    const stackBase =
      kind === 4 &&
      !this.reserved.has(ESP) &&
      /^[EM]/.test(this.row.operands.find((c) => /^[EM]/.test(c)) ?? "");
    const base = stackBase ? ESP : choose();
    const index = kind === 5 ? 4 : choose();
    const absolute = mod === 0 && base === 5;
    const size = absolute || mod === 2 ? 4 : mod === 1 ? 1 : 0;
    let displacement = size === 0 ? 0 : size === 1 ? displacement8() : random.operand() | 0;
    if (absolute) {
      displacement = index === 4 ? target : (target - this.registers[index]! * 2 ** scale) | 0;
    } else if (index === base) {
      // target - displacement must be a multiple of 1 + 2^scale.
      const factor = 1 + 2 ** scale;
      this.registers[base] = Math.trunc(((target - displacement) % 2 ** 32) / factor);
      this.target = (this.registers[base]! * factor + displacement) >>> 0;
    } else {
      const scaled = index === 4 ? 0 : Math.imul(this.registers[index]!, 1 << scale);
      this.registers[base] = target - displacement - scaled;
    }
    return [(mod << 6) | (reg << 3) | 4, (scale << 6) | (index << 3) | base, ...little(displacement, size)];
  }

  private encodeModrm(): number[] {
    const { row } = this;
    if (row.fixedModrm >= 0) return [row.fixedModrm + (row.operands.includes("STi") ? this.chooseRm() : 0)];
    if (this.form.memory) return this.encodeAddress();
    return [0xc0 | ((row.digit >= 0 ? row.digit : this.chooseReg()) << 3) | this.chooseRm()];
  }

  private immediateBytes(slot: number, lengthBefore: number): number[] {
    const bytes: number[] = [];
    const given = [...this.immediates];
    for (const immediate of this.row.immediates) {
      const code = this.row.operands.find((operand) => /^[JA]/.test(operand));
      const size =
        immediate === "byte"
          ? 1
          : immediate === "word"
            ? 2
            : immediate === "address"
              ? this.form.addressSize16
                ? 2
                : 4
              : this.size;
      if (code?.startsWith("J")) {
        const length = lengthBefore + size;
        const to = this.branchTarget(slot, length);
        bytes.push(...little(to - (slot + layout.SLOT_ENTRY + length), size));
      } else if (immediate === "far") {
        const offset = given.shift() ?? this.branchTarget(slot, lengthBefore + size + 2);
        bytes.push(...little(offset, size), ...little(given.shift() ?? layout.USER_CODE, 2));
      } else {
        const value = immediate === "address" ? this.target : (given.shift() ?? this.random.operand());
        bytes.push(...little(value, size));
      }
    }
    return bytes;
  }

  /** Encodes at a slot address. Call once, after all choices. */
  finish(slot: number): InstructionCase {
    const { row, form } = this;
    const bytes = [...form.prefixes];
    if (form.addressSize16) bytes.push(0x67);
    if (form.operandSize16) bytes.push(0x66);
    if (row.twoByte) bytes.push(0x0f);
    bytes.push(row.opcode + (row.opcodeRegister ? this.chooseRm() : 0));
    if (row.modrm) bytes.push(...this.encodeModrm());
    bytes.push(...this.immediateBytes(slot, bytes.length));
    const code = new Uint8Array(layout.SLOT_SIZE).fill(0xcc);
    code.set([...this.before, ...bytes, ...this.after], layout.SLOT_ENTRY);
    return {
      row,
      text: disassemble(
        Uint8Array.from([...bytes, ...new Array<number>(16).fill(0xcc)]),
        0,
        slot + layout.SLOT_ENTRY,
      ).text,
      slot: code,
      registers: this.registers,
      eflags: this.eflags,
      memory: this.memory,
      undefinedFlags: this.undefinedFlags,
      undefinedFlagsAtFault: 0,
      undefinedRegisterBits: this.undefinedRegisterBits,
      undefinedMemory: this.undefinedMemory,
      memoryMask: this.memoryMask,
    };
  }

  /** Marks OF undefined where a shift by another count than one leaves it so. */
  undefineOverflow(): void {
    this.undefinedFlags |= OF;
  }

  has(code: OperandCode): boolean {
    return this.row.operands.includes(code);
  }
}

export function little(value: number, size: number): number[] {
  return Array.from({ length: size }, (_, i) => (value >>> (8 * i)) & 0xff);
}
