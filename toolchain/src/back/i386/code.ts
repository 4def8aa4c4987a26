/**
 * i386 code before and after register allocation. Registers are numbers: 0 to 7 are the machine's, by their encoding,
 * from 8 on virtual. Memory operands name registers, a frame slot, or a symbol. Besides the machine's mnemonics there
 * are pseudo-instructions, which `emit.ts` expands after allocation; they hide flags, local branches and cold code.
 *
 * Operand roles, one letter an operand in `roles`: d defined, u used, m used and defined, e defined before all
 * uses are done, t only a temporary (as e). Registers inside memory operands are always used. Fixed registers that
 * an instruction reads or destroys stand in its masks.
 */
import type { Condition } from "@rialto/machine/i386/instruction.ts";

export const EAX = 0;
export const ECX = 1;
export const EDX = 2;
export const EBX = 3;
export const ESP = 4;
export const EBP = 5;
export const ESI = 6;
export const EDI = 7;
export const firstVirtual = 8;

/** Registers that a call destroys. */
export const callerSaved = (1 << EAX) | (1 << ECX) | (1 << EDX);
export const calleeSaved: readonly number[] = [EBX, ESI, EDI];

/** A place in the frame: of this function, or one of its incoming argument words. */
export interface Slot {
  readonly id: number;
  readonly size: 4 | 8;
  /** Index of the first argument word when the caller made the slot. */
  readonly argument: number | undefined;
  /** A debugger reads it: it is shared with nothing. */
  readonly pinned: boolean;
  /** Set to another slot when both share one place. */
  merged: Slot | undefined;
  /** Distance from EBP, set when the frame is laid out. */
  offset: number;
}

export interface RegisterOperand {
  readonly kind: "register";
  id: number;
  readonly size: 1 | 2 | 4;
}

export interface MemoryReference {
  readonly kind: "memory";
  base: number;
  index: number;
  readonly scale: 1 | 2 | 4 | 8;
  readonly displacement: number;
  readonly symbol: string | undefined;
  readonly slot: Slot | undefined;
  readonly size: 0 | 1 | 2 | 4 | 8 | 10;
}

export interface Immediate {
  readonly kind: "immediate";
  readonly value: number;
}

export interface AddressOperand {
  readonly kind: "address";
  readonly symbol: string;
  readonly addend: number;
}

export interface BlockOperand {
  readonly kind: "block";
  readonly block: MachineBlock;
}

/** A register of the x87 stack. */
export interface StackRegister {
  readonly kind: "st";
  readonly number: number;
}

/** A fixed register that the allocator does not know (AH, AL, AX, DX, segment and control registers), by name. */
export interface NamedRegister {
  readonly kind: "named";
  readonly name: string;
}

export type MachineOperand =
  | RegisterOperand
  | MemoryReference
  | Immediate
  | AddressOperand
  | BlockOperand
  | StackRegister
  | NamedRegister;

export interface MachineInstruction {
  readonly op: string;
  operands: MachineOperand[];
  readonly condition: Condition | undefined;
  /** Fixed registers read and written, besides the operands. */
  readonly reads: number;
  readonly writes: number;
  /** Byte offset in the wasm module, or -1. */
  readonly position: number;
}

export interface MachineBlock {
  readonly id: number;
  instructions: MachineInstruction[];
  successors: MachineBlock[];
  readonly loopDepth: number;
}

export interface MachineFunction {
  readonly name: string;
  blocks: MachineBlock[];
  /** Registers in use: fixed ones and virtual ones. */
  registerCount: number;
  slots: Slot[];
  /** Has calls, or moves the stack pointer, or asks for the frame pointer. */
  needsFrame: boolean;
  /** Virtual registers that hold an argument word, and its slot: they are spilled there without a store. */
  readonly argumentHomes: Map<number, Slot>;
  /** Debug builds: slots of local variables, by number. */
  readonly variables: Map<number, Slot>;
}

/** Roles of operands by operation; operations not named here only use their operands. */
export const roles: Readonly<Record<string, string>> = {
  mov: "du",
  movzx: "du",
  movsx: "du",
  lea: "du",
  zero: "d",
  add: "mu",
  adc: "mu",
  sub: "mu",
  sbb: "mu",
  and: "mu",
  or: "mu",
  xor: "mu",
  neg: "m",
  not: "m",
  inc: "m",
  dec: "m",
  shl: "mu",
  shr: "mu",
  sar: "mu",
  rol: "mu",
  ror: "mu",
  shld: "muu",
  shrd: "muu",
  imul: "mu",
  imulConstant: "duu",
  xchg: "um",
  lockXadd: "um",
  lockCmpxchg: "uu",
  pop: "d",
  set: "m",
  moveIf: "mu",
  movFrom: "d",
  countLeading: "eu",
  countTrailing: "eu",
  shlWide: "mm",
  shrSWide: "mm",
  shrUWide: "mm",
  rotlWide: "mm",
  fixTinyProduct: "tuuu",
  fixTinyQuotient: "tuuu",
  stackAllocate: "mt",
};

export function rolesOf(op: string): string {
  return roles[op] ?? "";
}

/** Flags: which instructions leave them alone, and which need them. */
const flagKeepers = new Set(
  "mov movzx movsx lea push pop moveIf set jcc fld fstp fild fistp fxch fchs fabs fld1 fldz movFrom not fstp0".split(
    " ",
  ),
);

export function writesFlags(op: string): boolean {
  return !flagKeepers.has(op);
}

export function readsFlags(op: string): boolean {
  return (
    op === "jcc" || op === "set" || op === "moveIf" || op === "adc" || op === "sbb" || op === "replaceIf"
  );
}

export function register(id: number, size: 1 | 2 | 4 = 4): RegisterOperand {
  return { kind: "register", id, size };
}

export function immediate(value: number): Immediate {
  return { kind: "immediate", value: value | 0 };
}

export function slotMemory(slot: Slot, size: MemoryReference["size"], displacement = 0): MemoryReference {
  return { kind: "memory", base: -1, index: -1, scale: 1, displacement, symbol: undefined, slot, size };
}

/** The same place, another size or a further distance. */
export function within(m: MemoryReference, size: MemoryReference["size"], distance = 0): MemoryReference {
  return { ...m, size, displacement: (m.displacement + distance) | 0 };
}

export function finalSlot(slot: Slot): Slot {
  let s = slot;
  while (s.merged) s = s.merged;
  return s;
}

/** Register-to-register move that the allocator may remove. */
export function isMove(i: MachineInstruction): boolean {
  if (i.op !== "mov") return false;
  const [d, s] = i.operands;
  return d.kind === "register" && s.kind === "register" && d.size === 4 && s.size === 4;
}
