/**
 * How rows of the instruction table are written, and the reader that turns them into `Instruction`s. A row is
 *
 *   [opcode, mnemonic, operands, flags, clocks, traits, names?]
 *
 *   opcode    "00"  "0F A4"  "80 /0" (reg field of ModR/M)  "40+" (register in the opcode)  "D9 E8", "D8 C0+" (ModR/M byte, x87)
 *   operands  operand codes of `instruction.ts`, comma-separated
 *   flags     "r:C w:OSZAPC u:A": read, written, undefined. Letters: C P A Z S T I D O L(IOPL) N(NT) R(RF) V(VM) K(AC) X(ID)
 *   clocks    "1/3 UV": register form, memory form, pairing (NP when absent); "4 rep 13+1": with a repeat prefix
 *   traits    words: read write readwrite address (memory operand) · lock · cpl0 iopl · serial · rep compare · jump · alias ·
 *             address16 (the narrow mnemonic goes with the address-size prefix)
 *   names     operation, where it is not the mnemonic; narrow: mnemonic with the size prefix
 */
import {
  AC,
  AF,
  CF,
  DF,
  ID,
  IF,
  type Immediate,
  type Instruction,
  IOPL,
  type MemoryAccess,
  NT,
  OF,
  type OperandCode,
  operandCodes,
  type Pairing,
  PF,
  RF,
  SF,
  TF,
  VM,
  ZF,
} from "./instruction.ts";

export interface RowNames {
  readonly operation?: string;
  readonly narrow?: string;
}

export type RowNotation = readonly [
  opcode: string,
  mnemonic: string,
  operands: string,
  flags: string,
  clocks: string,
  traits: string,
  names?: RowNames,
];

/** Every mnemonic that a table of rows defines. */
export type MnemonicOf<Row> = Row extends readonly [string, infer M extends string, ...infer Rest]
  ? M | (Rest extends readonly [...unknown[], { readonly narrow: infer N extends string }] ? N : never)
  : never;

/** Every operation that a table of rows defines. */
export type OperationOf<Row> = Row extends readonly [string, infer M extends string, ...infer Rest]
  ? Rest extends readonly [...unknown[], { readonly operation: infer O extends string }]
    ? O
    : M
  : never;

const flagLetters: Readonly<Record<string, number>> = {
  ...{ C: CF, P: PF, A: AF, Z: ZF, S: SF, T: TF, I: IF, D: DF, O: OF },
  ...{ L: IOPL, N: NT, R: RF, V: VM, K: AC, X: ID },
};

const immediateOf: Readonly<Partial<Record<OperandCode, Immediate>>> = {
  ...{ Ib: "byte", Ibs: "byte", Jb: "byte", Iw: "word", Iz: "operand", Jz: "operand" },
  ...{ Ob: "address", Ov: "address", Ap: "far" },
};

const memoryAccesses: Readonly<Record<string, MemoryAccess>> = {
  read: "read",
  write: "write",
  readwrite: "readwrite",
  address: "address",
};

const knownTraits = new Set(
  "read write readwrite address lock cpl0 iopl serial rep compare jump alias address16".split(" "),
);

const known: ReadonlySet<string> = new Set(operandCodes);

function isOperandCode(text: string): text is OperandCode {
  return known.has(text);
}

function readFlags(text: string, kind: string, row: RowNotation): number {
  const letters = text.split(" ").find((part) => part.startsWith(`${kind}:`));
  let mask = 0;
  for (const letter of letters?.slice(2) ?? "") {
    const bit = flagLetters[letter];
    if (bit === undefined) throw new Error(`instruction table: flag "${letter}" in row ${row.join(" | ")}`);
    mask |= bit;
  }
  return mask;
}

const clocksPattern = /^(\d+)(?:\/(\d+))?(?: rep (\d+)\+(\d+))?(?: (UV|PU|PV|NP|FX))?$/;
const opcodePattern = /^(0F )?([0-9A-F]{2})(\+)?(?: ([0-9A-F]{2})(\+)?)?(?: \/([0-7]))?$/;

/** Reads one row. A malformed row is a programming error and throws at module load. */
export function readRow(row: RowNotation, number: number): Instruction {
  const [opcodeText, mnemonic, operandText, flagText, clockText, traitText, names] = row;
  const opcode = opcodePattern.exec(opcodeText);
  const clocks = clocksPattern.exec(clockText);
  const operands = operandText === "" ? [] : operandText.split(",");
  const traits = traitText === "" ? [] : traitText.split(" ");
  const wrongTrait = traits.find((trait) => !knownTraits.has(trait));
  if (!opcode || !clocks || !operands.every(isOperandCode) || wrongTrait !== undefined) {
    throw new Error(`instruction table: cannot read row ${row.slice(0, 6).join(" | ")}`);
  }
  const fixedModrm = opcode[4] === undefined ? -1 : Number.parseInt(opcode[4], 16);
  const digit = opcode[6] === undefined ? -1 : Number(opcode[6]);
  const inModrm = (code: string) => /^[EGMSCDR]/.test(code) && !/^(ES|CS|SS|DS|GS|DX|CL|ST|STi)$/.test(code);
  const memoryOnly = operands.some((code) => code.startsWith("M"));
  const modrm = fixedModrm >= 0 || digit >= 0 || operands.some(inModrm);
  const register = Number(clocks[1]);
  return {
    number,
    mnemonic,
    narrowMnemonic: names?.narrow,
    narrowByAddress: traits.includes("address16"),
    operation: names?.operation ?? mnemonic,
    twoByte: opcode[1] !== undefined,
    opcode: Number.parseInt(opcode[2]!, 16),
    opcodeRegister: opcode[3] !== undefined,
    modrm,
    digit,
    fixedModrm,
    registerForm: modrm && !memoryOnly,
    memoryForm: modrm && fixedModrm < 0 && !operands.includes("Rd"),
    operands,
    immediates: operands.flatMap((code) => immediateOf[code] ?? []),
    byteSized: /^([EGOXYZ]b|AL)$/.test(operands[0] ?? "") || /^(Xb|AL)$/.test(operands[1] ?? ""),
    flagsRead: readFlags(flagText, "r", row),
    flagsWritten: readFlags(flagText, "w", row),
    flagsUndefined: readFlags(flagText, "u", row),
    memory: traits.map((trait) => memoryAccesses[trait]).find((access) => access !== undefined) ?? "none",
    lockable: traits.includes("lock"),
    privilege: traits.includes("cpl0") ? "cpl0" : traits.includes("iopl") ? "iopl" : "none",
    serializing: traits.includes("serial"),
    repeat: traits.includes("rep") ? "rep" : traits.includes("compare") ? "compare" : "none",
    transfersControl: traits.includes("jump"),
    alias: traits.includes("alias"),
    clocks: {
      register,
      memory: clocks[2] === undefined ? register : Number(clocks[2]),
      repeatBase: Number(clocks[3] ?? 0),
      repeatEach: Number(clocks[4] ?? 0),
    },
    pairing: (clocks[5] as Pairing | undefined) ?? "NP",
  };
}
