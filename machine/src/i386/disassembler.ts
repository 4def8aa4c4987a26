/**
 * Machine code to text in Intel's syntax, from the instruction table. Numbers are hexadecimal with 0x, below ten plain;
 * memory operands state their size; immediates are unsigned numbers of the operand's size.
 */

import type { OperandCode } from "./instruction.ts";
import { type ReadAddress, type ReadInstruction, readInstruction } from "./instruction-reader.ts";
import { undefinedInstruction } from "./table.ts";

export interface DisassembledInstruction {
  readonly address: number;
  readonly length: number;
  readonly text: string;
  /** Undefined for bytes that are no instruction: one byte at a time then. */
  readonly instruction: ReadInstruction | undefined;
}

export interface DisassemblyOptions {
  /** Name for an address that a branch goes to or a direct memory operand has; shown in place of the number. */
  readonly nameOf?: (address: number) => string | undefined;
}

const names8 = ["al", "cl", "dl", "bl", "ah", "ch", "dh", "bh"];
const names16 = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
const segmentNames = ["es", "cs", "ss", "ds", "fs", "gs"];
const names32 = names16.map((name) => `e${name}`);

const sizeNames: Readonly<Record<number, string>> = {
  ...{ 1: "byte ptr ", 2: "word ptr ", 4: "dword ptr ", 6: "fword ptr ", 8: "qword ptr ", 10: "tbyte ptr " },
};

const hexadecimal = (value: number): string => (value < 10 ? String(value) : `0x${value.toString(16)}`);

/** Bytes of the datum at a memory operand; 0 where the size is not the instruction's to say. */
export function datumSize(code: OperandCode, operandSize16: boolean): number {
  switch (code) {
    case "Eb":
    case "Ob":
    case "Xb":
    case "Yb":
      return 1;
    case "Ew":
    case "Evw":
    case "Mw":
      return 2;
    case "Ev":
    case "Ov":
    case "Xv":
    case "Yv":
      return operandSize16 ? 2 : 4;
    case "Md":
      return 4;
    case "Mp":
      return operandSize16 ? 4 : 6;
    case "Ma":
      return operandSize16 ? 4 : 8;
    case "Ms":
      return 6;
    case "Mq":
      return 8;
    case "Mt":
      return 10;
    default:
      return 0;
  }
}

function addressText(
  address: ReadAddress,
  instruction: ReadInstruction,
  size: number,
  options: DisassemblyOptions,
): string {
  const short = instruction.addressSize16;
  const names = short ? names16 : names32;
  const registers: string[] = [];
  if (address.base >= 0) registers.push(names[address.base]!);
  if (address.index >= 0) {
    const scaled = address.scale > 1 || (address.base < 0 && !short);
    registers.push(scaled ? `${names[address.index]}*${address.scale}` : names[address.index]!);
  }
  let text = registers.join("+");
  const { displacement } = address;
  if (registers.length === 0) {
    const absolute = short ? displacement & 0xffff : displacement >>> 0;
    text = options.nameOf?.(absolute) ?? hexadecimal(absolute);
  } else if (displacement !== 0) {
    text += displacement < 0 ? `-${hexadecimal(-displacement)}` : `+${hexadecimal(displacement)}`;
  }
  const segment = instruction.segment >= 0 ? `${segmentNames[instruction.segment]}:` : "";
  return `${sizeNames[size] ?? ""}${segment}[${text}]`;
}

function targetText(instruction: ReadInstruction, address: number, options: DisassemblyOptions): string {
  const target = (address + instruction.length + instruction.immediates[0]!) >>> 0;
  const masked = instruction.operandSize16 ? target & 0xffff : target;
  return options.nameOf?.(masked) ?? hexadecimal(masked);
}

function operandText(
  code: OperandCode,
  instruction: ReadInstruction,
  immediate: number | undefined,
  address: number,
  options: DisassemblyOptions,
): string {
  const { modrm, operandSize16, segment } = instruction;
  const general = operandSize16 ? names16 : names32;
  const reg = (modrm >> 3) & 7;
  const rm = modrm & 7;
  const prefix = segment >= 0 ? `${segmentNames[segment]}:` : "";
  switch (code) {
    case "Gb":
      return names8[reg]!;
    case "Gw":
      return names16[reg]!;
    case "Gv":
      return general[reg]!;
    case "Sw":
      return segmentNames[reg]!;
    case "Cd":
      return `cr${reg}`;
    case "Dd":
      return `dr${reg}`;
    case "Rd":
      return names32[rm]!;
    case "Zb":
      return names8[instruction.opcodeRegister]!;
    case "Zv":
      return general[instruction.opcodeRegister]!;
    case "rAX":
      return general[0]!;
    case "ST":
      return "st";
    case "STi":
      return `st(${rm})`;
    case "Ib":
    case "Iw":
    case "Iz":
      return hexadecimal(immediate!);
    case "Ibs": {
      const extended = (immediate! << 24) >> 24;
      return hexadecimal(operandSize16 ? extended & 0xffff : extended >>> 0);
    }
    case "Jb":
    case "Jz":
      return targetText(instruction, address, options);
    case "Ap":
      return `${hexadecimal(instruction.immediates[1]!)}:${hexadecimal(instruction.immediates[0]!)}`;
    case "Xb":
    case "Xv":
      return `${sizeNames[datumSize(code, operandSize16)]}${prefix}[${instruction.addressSize16 ? "si" : "esi"}]`;
    case "Yb":
    case "Yv":
      return `${sizeNames[datumSize(code, operandSize16)]}[${instruction.addressSize16 ? "di" : "edi"}]`;
    case "Eb":
    case "Ew":
    case "Ev":
    case "Evw":
      if (modrm >= 0xc0) return (code === "Eb" ? names8 : code === "Ew" ? names16 : general)[rm]!;
      break;
    default:
      if (!/^[MO]/.test(code)) return code.toLowerCase();
  }
  return addressText(instruction.address!, instruction, datumSize(code, operandSize16), options);
}

/** Prefixes that mean something, mnemonic, operands. */
function text(instruction: ReadInstruction, address: number, options: DisassemblyOptions): string {
  const { row, operandSize16, addressSize16, lock, repeat } = instruction;
  const narrow = row.narrowMnemonic !== undefined && (row.narrowByAddress ? addressSize16 : operandSize16);
  let mnemonic = narrow ? row.narrowMnemonic! : row.mnemonic;
  if (row.operation.endsWith("Far") || row.operation.endsWith("FarIndirect"))
    mnemonic += row.mnemonic === "retf" ? "" : " far";
  const prefixes: string[] = [];
  if (lock) prefixes.push("lock");
  if (repeat === 0xf3 && row.repeat !== "none") prefixes.push(row.repeat === "rep" ? "rep" : "repe");
  if (repeat === 0xf2 && row.repeat !== "none") prefixes.push("repne");
  let next = 0;
  const operands = row.operands.map((code) => {
    const immediate = /^I/.test(code) ? instruction.immediates[next++] : undefined;
    return operandText(code, instruction, immediate, address, options);
  });
  if (row.operation === "xlatb")
    operands.push(
      `byte ptr ${instruction.segment >= 0 ? `${segmentNames[instruction.segment]}:` : ""}[${addressSize16 ? "bx" : "ebx"}]`,
    );
  return [...prefixes, mnemonic, operands.join(", ")].join(" ").trimEnd();
}

/** True for bytes that the opcode map knows and the processor refuses: segment registers 6 and 7, CS loaded by MOV. */
function isRefused({ row, modrm }: ReadInstruction): boolean {
  const reg = (modrm >> 3) & 7;
  return row.operands.includes("Sw") && (reg > 5 || (row.operands[0] === "Sw" && reg === 1));
}

/** The instruction at `offset` of `bytes`, whose address when it runs is `address`. */
export function disassemble(
  bytes: Uint8Array,
  offset = 0,
  address = offset,
  options: DisassemblyOptions = {},
): DisassembledInstruction {
  const instruction = readInstruction(bytes, offset);
  if (!instruction || instruction.row === undefinedInstruction || isRefused(instruction)) {
    return {
      address,
      length: 1,
      text: `(bad) 0x${(bytes[offset] ?? 0).toString(16)}`,
      instruction: undefined,
    };
  }
  return { address, length: instruction.length, text: text(instruction, address, options), instruction };
}

/** All instructions of a range, one behind the other. */
export function* disassembleAll(
  bytes: Uint8Array,
  address = 0,
  options: DisassemblyOptions = {},
): Generator<DisassembledInstruction> {
  for (let offset = 0; offset < bytes.length; ) {
    const line = disassemble(bytes, offset, (address + offset) >>> 0, options);
    yield line;
    offset += line.length;
  }
}
