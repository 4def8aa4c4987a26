/**
 * The i386 instruction table: every instruction of a Pentium in 32-bit protected mode, and the opcode map made from it.
 *
 *   const row = instructions[rowNumbers[opcodeMapIndex(twoByte, opcode, modrm)]!]!;
 *
 * The map has one entry for every opcode and ModR/M byte, so that a decoder needs one load: entries of opcodes without
 * ModR/M are the same for all 256. Entry 0 is the undefined opcode (#UD). Prefixes are not instructions: `prefixKinds`.
 * Clocks and pairing are the manual's as far as known; they have not been compared with a printed copy entry by entry.
 * Absent because a Pentium has not got them: CMOV, FCOMI, SYSENTER, RDPMC, UD1, PREFETCH, MMX; RSM, as there is no SMM.
 */
import type { Instruction } from "./instruction.ts";
import { controlRows } from "./table-control.ts";
import { integerRows } from "./table-integer.ts";
import { type MnemonicOf, type OperationOf, type RowNotation, readRow } from "./table-notation.ts";
import { systemRows } from "./table-system.ts";
import { floatingPointRows } from "./table-x87.ts";

const undefinedRow = ["0F FF", "(undefined)", "", "", "1", "jump", { operation: "undefined" }] as const;
const rows = [undefinedRow, ...integerRows, ...controlRows, ...systemRows, ...floatingPointRows];

/** Mnemonics of the table, the 16-bit ones included (`movsw`, `cbw`). The assembler knows further aliases. */
export type TableMnemonic = Exclude<MnemonicOf<(typeof rows)[number]>, "(undefined)">;
export type Operation = OperationOf<(typeof rows)[number]>;

export interface TableInstruction extends Instruction {
  readonly operation: Operation;
}

export const instructions: readonly TableInstruction[] = rows.map(
  (row: RowNotation, number) => readRow(row, number) as TableInstruction,
);

/** What an undefined opcode decodes to. */
export const undefinedInstruction: TableInstruction = instructions[0]!;

export const opcodeMapIndex = (twoByte: boolean, opcode: number, modrm: number): number =>
  (((twoByte ? 0x100 : 0) | opcode) << 8) | modrm;

/** By `opcodeMapIndex`: position in `instructions`. */
export const rowNumbers = new Uint16Array(0x200 << 8);

/** By (0F map ? 0x100 : 0) | opcode: 1 when a ModR/M byte follows. */
export const hasModrm = new Uint8Array(0x200);

/** True when `modrm` selects `row`, given that the opcode does. */
function accepts(row: Instruction, modrm: number): boolean {
  if (!row.modrm) return true;
  if (row.fixedModrm >= 0) {
    const registers = row.operands.includes("STi") ? 8 : 1;
    return modrm >= row.fixedModrm && modrm < row.fixedModrm + registers;
  }
  if (row.digit >= 0 && ((modrm >> 3) & 7) !== row.digit) return false;
  return row.operands.includes("Rd") || (modrm >= 0xc0 ? row.registerForm : row.memoryForm);
}

/** An exact opcode goes before one with a register in it: 90 is NOP, though it lies in XCHG's range. */
function fillMap(): void {
  const ordered = [...instructions.slice(1)].sort(
    (a, b) => Number(b.opcodeRegister) - Number(a.opcodeRegister),
  );
  for (const row of ordered) {
    for (let register = 0; register < (row.opcodeRegister ? 8 : 1); register++) {
      const opcode = row.opcode + register;
      if (row.modrm) hasModrm[(row.twoByte ? 0x100 : 0) | opcode] = 1;
      for (let modrm = 0; modrm < 0x100; modrm++) {
        if (!accepts(row, modrm)) continue;
        const index = opcodeMapIndex(row.twoByte, opcode, modrm);
        const present = instructions[rowNumbers[index]!]!;
        if (present.number !== 0 && present.opcodeRegister === row.opcodeRegister) {
          throw new Error(
            `instruction table: ${present.mnemonic} and ${row.mnemonic} share opcode ${opcode.toString(16)}`,
          );
        }
        rowNumbers[index] = row.number;
      }
    }
  }
}

fillMap();

/** The row for an opcode; `modrm` is ignored where `hasModrm` says that there is none. */
export function findInstruction(twoByte: boolean, opcode: number, modrm: number): TableInstruction {
  return instructions[rowNumbers[opcodeMapIndex(twoByte, opcode, modrm)]!]!;
}

/** Kinds of prefix bytes. Segment overrides are `segment` + the number of the segment register. */
export const prefixKind = {
  none: 0,
  operandSize: 1,
  addressSize: 2,
  lock: 3,
  repeatNotEqual: 4,
  repeat: 5,
  segment: 8,
} as const;

/** By byte: its `prefixKind`. */
export const prefixKinds: Uint8Array = new Uint8Array(0x100);
for (const [byte, kind] of [
  ...[
    [0x66, prefixKind.operandSize],
    [0x67, prefixKind.addressSize],
    [0xf0, prefixKind.lock],
    [0xf2, prefixKind.repeatNotEqual],
    [0xf3, prefixKind.repeat],
  ],
  ...[0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65].map((prefix, segment) => [prefix, prefixKind.segment + segment]),
] as const) {
  prefixKinds[byte!] = kind!;
}
