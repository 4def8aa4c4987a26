/**
 * Rules by which a debugger finds the registers of a caller, or of the code that a trap interrupted: rows of call frame information
 * (DWARF Debugging Information Format, version 4, section 6.4).
 */
import { ByteWriter } from "@rialto/toolchain/link/byte-writer.ts";

/** DWARF's numbers of the i386's registers. */
export const Register = {
  EAX: 0,
  ECX: 1,
  EDX: 2,
  EBX: 3,
  ESP: 4,
  EBP: 5,
  ESI: 6,
  EDI: 7,
  EIP: 8,
  EFLAGS: 9,
} as const;

const CFA_UNDEFINED = 0x07;
const CFA_DEF_CFA = 0x0c;
const CFA_DEF_CFA_EXPRESSION = 0x0f;
const CFA_EXPRESSION = 0x10;
const CFA_OFFSET = 0x80;
const OP_DEREF = 0x06;
const OP_CONST1 = 0x08;
const OP_CONST2 = 0x0a;
const OP_DUP = 0x12;
const OP_AND = 0x1a;
const OP_MINUS = 0x1c;
const OP_MULTIPLY = 0x1e;
const OP_PLUS = 0x22;
const OP_PLUS_CONSTANT = 0x23;
const OP_SHIFT_RIGHT = 0x25;
const OP_BRANCH = 0x28;
const OP_SKIP = 0x2f;
const OP_BASE = 0x70;

/** Where the rules hold. */
export interface FrameRow {
  readonly start: number;
  readonly size: number;
  /** The frame was made by a trap: its return address is no call's. */
  readonly interrupted: boolean;
  readonly instructions: readonly number[];
}

/** Operations that leave an address. */
export type Operations = readonly number[];

export const deref: Operations = [OP_DEREF];
/** `bytes` below 128. */
export const plus = (bytes: number): Operations => (bytes === 0 ? [] : [OP_PLUS_CONSTANT, bytes]);
/** A register's value and -64 to 63. */
export const atRegister = (register: number, offset = 0): Operations => [OP_BASE + register, offset & 0x7f];
/** Of the address of a task state: that of the task it links to, in a table of states of `size` bytes, `first` being the first one's selector. */
export function linkedTask(table: Operations, first: number, size: number): Operations {
  const index = [OP_CONST2, 0xff, 0xff, OP_AND, OP_CONST1, first, OP_MINUS, OP_CONST1, 3, OP_SHIFT_RIGHT];
  return [...deref, ...index, OP_CONST1, size, OP_MULTIPLY, ...table, OP_PLUS];
}

/**
 * Of the address of a trap's frame (eip cs eflags, and esp ss if it changed the ring): the stack pointer at the trap. Bits of CS tell
 * whether it changed the ring.
 */
export function stackOfTrap(ringBits: number): Operations {
  const within = plus(12);
  const inFrame = [...plus(12), ...deref];
  const branch = [OP_BRANCH, within.length + 3, 0, ...within, OP_SKIP, inFrame.length, 0, ...inFrame];
  return [OP_DUP, ...plus(4), ...deref, OP_CONST1, ringBits, OP_AND, ...branch];
}

function expression(instruction: readonly number[], operations: Operations): number[] {
  return [...instruction, operations.length, ...operations];
}

/** The stack pointer of the caller, or of the interrupted code. */
export const callerStack = (operations: Operations) => expression([CFA_DEF_CFA_EXPRESSION], operations);
/** Where a register of its is saved. */
export const saved = (register: number, operations: Operations) =>
  expression([CFA_EXPRESSION, register], operations);
/** There is no caller. */
export const OUTERMOST: readonly number[] = [CFA_UNDEFINED, Register.EIP];

/** The contents of a section `.debug_frame`. Without instructions of its own, a row is that of a function's entry. */
export function frameInformation(rows: readonly FrameRow[]): Uint8Array {
  const writer = new ByteWriter();
  const entry = (body: ByteWriter) => {
    body.align(4);
    writer.u32(body.length);
    writer.bytes(body.finish());
  };
  const common = (augmentation: string): number => {
    const start = writer.length;
    const body = new ByteWriter();
    body.u32(0xffff_ffff);
    body.u8(1);
    body.string(augmentation);
    body.unsigned(1);
    body.signed(-4);
    body.u8(Register.EIP);
    body.unsigned(0);
    body.bytes([CFA_DEF_CFA, Register.ESP, 4, CFA_OFFSET | Register.EIP, 1]);
    entry(body);
    return start;
  };
  const plain = common("z");
  const signal = common("zS");
  for (const { start, size, interrupted, instructions } of rows) {
    const body = new ByteWriter();
    body.u32(interrupted ? signal : plain);
    body.u32(start);
    body.u32(size);
    body.unsigned(0);
    body.bytes([...instructions]);
    entry(body);
  }
  return writer.finish();
}
