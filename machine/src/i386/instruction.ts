/**
 * The row type of the one i386 instruction table. Encoder, disassembler, interpreter and instruction tests are all made
 * from these rows; what a row says is said nowhere else.
 *
 * Operand codes are those of Intel's opcode map (Pentium Processor Family Developer's Manual, volume 3, appendix A), with
 * these meanings. `v` and `z` are 4 bytes, or 2 with the operand-size prefix.
 *
 *   Eb Ew Ev    ModR/M register or memory          Evw   the same; register of operand size, memory of 2 bytes
 *   Gb Gw Gv    ModR/M reg field                   Rd    ModR/M rm field, a 32-bit register whatever mod says
 *   Sw Cd Dd    segment, control, debug register in the reg field
 *   M           memory of no stated size (LEA, LGDT, FSAVE, INVLPG)
 *   Mw Md Mq Mt memory of 2, 4, 8, 10 bytes        Mp    far pointer: offset of operand size, then 2 bytes of selector
 *   Ma          two bounds of operand size         Ms    6 bytes: limit and base of a descriptor table
 *   Ib Iw Iz    immediate, zero-extended           Ibs   1 byte sign-extended to operand size
 *   Jb Jz       branch distance from the next instruction
 *   Ap          far pointer in the instruction     Ob Ov memory at an address in the instruction
 *   Zb Zv       register in the low three bits of the opcode
 *   Xb Xv Yb Yv memory at DS:ESI, at ES:EDI        1     the number one
 *   ST STi      top of the x87 stack; the entry in ModR/M's rm field
 *   AL CL DX ES … a fixed register                 rAX   EAX, or AX with the operand-size prefix
 */

export const operandCodes = [
  ...(["Eb", "Ew", "Ev", "Evw", "Gb", "Gw", "Gv", "Rd", "Sw", "Cd", "Dd"] as const),
  ...(["M", "Mw", "Md", "Mq", "Mt", "Mp", "Ma", "Ms"] as const),
  ...(["Ib", "Iw", "Iz", "Ibs", "Jb", "Jz", "Ap", "Ob", "Ov"] as const),
  ...(["Zb", "Zv", "Xb", "Xv", "Yb", "Yv", "1", "ST", "STi"] as const),
  ...(["AL", "CL", "AX", "DX", "rAX", "ES", "CS", "SS", "DS", "FS", "GS"] as const),
] as const;
export type OperandCode = (typeof operandCodes)[number];

export * from "../../engine/layout/eflags.ts";

/** What the instruction does with its memory operand when it has one: LEA and INVLPG only compute its address. */
export type MemoryAccess = "none" | "read" | "write" | "readwrite" | "address";

/** cpl0: #GP above ring 0. iopl: #GP when CPL > IOPL (port instructions: unless the I/O bitmap allows). */
export type Privilege = "none" | "cpl0" | "iopl";

/** F3 and F2 before it. rep: both repeat. compare: F3 repeats while equal, F2 while not equal. none: ignored. */
export type Repeat = "none" | "rep" | "compare";

/** UV: pairs in either pipe. PU: in the U pipe only. PV: in the V pipe only. NP: never. FX: with FXCH only. */
export type Pairing = "UV" | "PU" | "PV" | "NP" | "FX";

/** What follows opcode and ModR/M, in order. address: an offset of address size. far: offset of operand size and selector. */
export type Immediate = "byte" | "word" | "operand" | "address" | "far";

export interface Clocks {
  /** Register form (and forms without ModR/M). Conditional branches: not taken. */
  readonly register: number;
  /** Form with a memory operand. Conditional branches: taken. */
  readonly memory: number;
  /** With a repeat prefix: once, and for every repetition. */
  readonly repeatBase: number;
  readonly repeatEach: number;
}

export interface Instruction {
  /** Position in `instructions`; 0 is the undefined opcode. */
  readonly number: number;
  readonly mnemonic: string;
  /** Mnemonic with the operand-size (or, when `narrowByAddress`, address-size) prefix, where it differs. */
  readonly narrowMnemonic: string | undefined;
  readonly narrowByAddress: boolean;
  /** What the interpreter dispatches on; several rows share one. */
  readonly operation: string;
  /** True for opcodes that start with 0F. */
  readonly twoByte: boolean;
  /** Last opcode byte; the first of eight when `opcodeRegister`. */
  readonly opcode: number;
  readonly opcodeRegister: boolean;
  readonly modrm: boolean;
  /** Required reg field of ModR/M (an opcode extension), or -1. */
  readonly digit: number;
  /** Required ModR/M byte (x87 register forms), or -1; the first of eight when an operand is STi. */
  readonly fixedModrm: number;
  readonly registerForm: boolean;
  readonly memoryForm: boolean;
  readonly operands: readonly OperandCode[];
  readonly immediates: readonly Immediate[];
  /** True when the data operand is one byte, whatever the operand size. */
  readonly byteSized: boolean;
  readonly flagsRead: number;
  readonly flagsWritten: number;
  /** Flags whose value Intel leaves undefined; disjoint from `flagsWritten`. */
  readonly flagsUndefined: number;
  readonly memory: MemoryAccess;
  readonly lockable: boolean;
  readonly privilege: Privilege;
  readonly serializing: boolean;
  readonly repeat: Repeat;
  /** True when it can transfer control, so that no straight-line block goes on behind it. */
  readonly transfersControl: boolean;
  /** A second encoding of another row: decoded, never chosen by the assembler. */
  readonly alias: boolean;
  readonly clocks: Clocks;
  readonly pairing: Pairing;
}

/** The 16 conditions of Jcc and SETcc, in the order of the opcode's low four bits. */
export const conditions = [
  ...(["o", "no", "b", "ae", "e", "ne", "be", "a"] as const),
  ...(["s", "ns", "p", "np", "l", "ge", "le", "g"] as const),
] as const;
export type Condition = (typeof conditions)[number];
