/**
 * Reads one instruction from bytes for tools: disassembler, debugger, tests. It keeps every field apart, which costs
 * allocations; the interpreter decodes for itself from the same opcode map.
 */
import {
  findInstruction,
  hasModrm,
  prefixKind,
  prefixKinds,
  type TableInstruction,
  undefinedInstruction,
} from "./table.ts";

/** Address part of an instruction: the ModR/M memory operand, or the address of an Ob/Ov operand (no registers). */
export interface ReadAddress {
  /** Register numbers, or -1. With 16-bit addresses they name BX, BP, SI, DI by the same numbers. */
  readonly base: number;
  readonly index: number;
  readonly scale: 1 | 2 | 4 | 8;
  /** Signed; 0 where there is none. */
  readonly displacement: number;
  /** Bytes of displacement in the encoding. */
  readonly displacementSize: 0 | 1 | 2 | 4;
}

export interface ReadInstruction {
  readonly row: TableInstruction;
  /** Bytes from first prefix to last immediate. An undefined opcode ends behind its opcode bytes and ModR/M. */
  readonly length: number;
  readonly operandSize16: boolean;
  readonly addressSize16: boolean;
  readonly lock: boolean;
  /** Byte of the last repeat prefix, or 0. */
  readonly repeat: 0 | 0xf2 | 0xf3;
  /** Number of the overriding segment register, or -1. */
  readonly segment: number;
  /** Register number in the opcode byte. */
  readonly opcodeRegister: number;
  /** ModR/M byte, or -1. */
  readonly modrm: number;
  readonly address: ReadAddress | undefined;
  /** Immediates in order, as unsigned numbers of their size; branch distances are signed; a far pointer is offset, selector. */
  readonly immediates: readonly number[];
}

/** Base and index of the eight 16-bit forms, as register numbers. */
const addresses16 = [
  [3, 6],
  [3, 7],
  [5, 6],
  [5, 7],
  [6, -1],
  [7, -1],
  [5, -1],
  [3, -1],
] as const;

/** Longest instruction that a processor accepts; beyond it is #GP. */
export const longestInstruction = 15;

/** Undefined when the bytes end, or 15 bytes are reached, before the instruction does. */
export function readInstruction(bytes: Uint8Array, start = 0): ReadInstruction | undefined {
  const view = new DataView(
    bytes.buffer,
    bytes.byteOffset,
    Math.min(bytes.byteLength, start + longestInstruction),
  );
  let position = start;
  const unsigned = (size: number): number => {
    const at = position;
    position += size;
    return size === 1 ? view.getUint8(at) : size === 2 ? view.getUint16(at, true) : view.getUint32(at, true);
  };
  const signed = (size: number): number => {
    const shift = 32 - 8 * size;
    return (unsigned(size) << shift) >> shift;
  };

  const readAddress = (modrm: number, addressSize16: boolean): ReadAddress => {
    const mod = modrm >> 6;
    const rm = modrm & 7;
    if (addressSize16) {
      if (mod === 0 && rm === 6) return absolute(signed(2), 2);
      const [base, index] = addresses16[rm]!;
      const displacementSize = mod === 0 ? 0 : mod === 1 ? 1 : 2;
      const displacement = displacementSize === 0 ? 0 : signed(displacementSize);
      return { base, index, scale: 1, displacement, displacementSize };
    }
    if (mod === 0 && rm === 5) return absolute(signed(4), 4);
    let base = rm;
    let index = -1;
    let scale: 1 | 2 | 4 | 8 = 1;
    if (rm === 4) {
      const sib = unsigned(1);
      base = sib & 7;
      index = (sib >> 3) & 7;
      scale = (1 << (sib >> 6)) as 1 | 2 | 4 | 8;
      if (index === 4) index = -1;
      if (base === 5 && mod === 0)
        return { base: -1, index, scale, displacement: signed(4), displacementSize: 4 };
    }
    const displacementSize = mod === 0 ? 0 : mod === 1 ? 1 : 4;
    const displacement = displacementSize === 0 ? 0 : signed(displacementSize);
    return { base, index, scale, displacement, displacementSize };
  };

  try {
    let operandSize16 = false;
    let addressSize16 = false;
    let lock = false;
    let repeat: 0 | 0xf2 | 0xf3 = 0;
    let segment = -1;
    let opcode = unsigned(1);
    for (let kind = prefixKinds[opcode]!; kind !== prefixKind.none; kind = prefixKinds[opcode]!) {
      if (kind === prefixKind.operandSize) operandSize16 = true;
      else if (kind === prefixKind.addressSize) addressSize16 = true;
      else if (kind === prefixKind.lock) lock = true;
      else if (kind >= prefixKind.segment) segment = kind - prefixKind.segment;
      else repeat = opcode as 0xf2 | 0xf3;
      opcode = unsigned(1);
    }
    const twoByte = opcode === 0x0f;
    if (twoByte) opcode = unsigned(1);
    const modrm = hasModrm[(twoByte ? 0x100 : 0) | opcode] === 1 ? unsigned(1) : -1;
    const row = findInstruction(twoByte, opcode, Math.max(modrm, 0));
    let address: ReadAddress | undefined;
    if (modrm >= 0 && modrm < 0xc0 && row !== undefinedInstruction && row.memoryForm) {
      address = readAddress(modrm, addressSize16);
    }
    const immediates: number[] = [];
    for (const immediate of row.immediates) {
      const relative = row.operands[0] === "Jb" || row.operands[0] === "Jz";
      const size = immediate === "byte" ? 1 : immediate === "word" || operandSize16 ? 2 : 4;
      if (immediate === "address") address = absolute(signed(addressSize16 ? 2 : 4), addressSize16 ? 2 : 4);
      else if (immediate === "far") immediates.push(unsigned(size), unsigned(2));
      else immediates.push(relative ? signed(size) : unsigned(size));
    }
    return {
      row,
      length: position - start,
      ...{ operandSize16, addressSize16, lock, repeat, segment },
      opcodeRegister: opcode & 7,
      modrm,
      address,
      immediates,
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function absolute(displacement: number, displacementSize: 2 | 4): ReadAddress {
  return { base: -1, index: -1, scale: 1, displacement, displacementSize };
}
