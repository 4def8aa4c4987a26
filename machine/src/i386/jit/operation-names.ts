/** Numbers of decoded operations back to the names of the instruction table, and what a compiler must know before it translates one. */

import { FlagKind } from "../flags.ts";
import { coldNumbers, FIRST_COLD, HotOperation } from "../hot-operations.ts";
import { Field, Prefix, Segment } from "../layout.ts";
import type { Flow } from "./region-graph.ts";

const { OPERATION, REG, RM, BASE, INDEX, IMMEDIATE, SIZE, PREFIX, EXTRA } = Field;

/** FLAG_KIND is known only when the code runs. */
export const UNKNOWN_KIND = -1;

const arithmeticNames = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"] as const;

function hotNames(): string[] {
  const names: string[] = [];
  for (const [key, number] of Object.entries(HotOperation)) {
    names[number] = key.replace(
      /^(mov[sz]x|mov|test|inc|dec|neg|not|imul|push|pop|cmp|setcc)[A-Z0-9].*$/,
      "$1",
    );
  }
  for (const key of ["movToSegment", "popSegment"] as const) names[HotOperation[key]] = key;
  for (let i = 0; i < 40; i++) names[HotOperation.arithmetic + i] = arithmeticNames[Math.floor(i / 5)]!;
  for (let i = 0; i < 3; i++) {
    names[HotOperation.shiftImmediate + i] = names[HotOperation.shiftCl + i] = ["shl", "shr", "sar"][i]!;
  }
  for (let i = 0; i < 16; i++) names[HotOperation.jccInPage + i] = "jccInPage";
  return names;
}

/** By operation number. Operations of the switch that only differ in operands share a name with the table's operation. */
export const operationNames: readonly string[] = (() => {
  const names = hotNames();
  for (const [name, number] of coldNumbers) names[number] = name === "imulTruncated" ? "imul" : name;
  return names;
})();

const [EAX, ECX, EDX, ESP, EBP] = [1, 2, 4, 16, 32];
/** Registers that instructions use without naming them. */
const implicit: ReadonlyMap<string, number> = new Map([
  ...["shl", "shr", "sar"].map((name) => [name, ECX] as const),
  ...["mul", "imulWide", "div", "cdq"].map((name) => [name, EAX | EDX] as const),
  ...[
    "push",
    "pushSegment",
    "pop",
    "popSegment",
    "callInPage",
    "callFarPage",
    "callRegister",
    "callMemory",
    "ret",
    "retImmediate",
  ].map((name) => [name, ESP] as const),
  ["cwde", EAX],
  ["leave", ESP | EBP],
]);

/** Compiled for every operand size. */
const anySize = new Set<string>([...arithmeticNames, "mov", "test", "inc", "dec", "neg", "not"]);
/** Compiled for 4 bytes. */
const doubleOnly = new Set<string>([
  ...([
    "shl",
    "shr",
    "sar",
    "imul",
    "mul",
    "imulWide",
    "div",
    "lea",
    "push",
    "pushSegment",
    "pop",
    "leave",
    "cdq",
    "cwde",
  ] as const),
  ...(["movzx", "movsx", "xchg", "bswap"] as const),
]);
const flows: Readonly<Record<string, Flow>> = {
  ...{ callInPage: "call", callFarPage: "leaves", callRegister: "leaves", callMemory: "leaves" },
  ...{ jmpInPage: "jmp", jmpFarPage: "leaves", jmpRegister: "leaves", jmpMemory: "leaves" },
  ...{ jccInPage: "jcc", jccFar: "jcc", ret: "ret", retImmediate: "ret" },
};

/** Not compiled, and may go elsewhere than behind themselves, or change what compiled code relies on. */
const interpretedTransfers = new Set<string>([
  ...(["jcc", "jmpNear", "jmpIndirect", "jmpFar", "jmpFarIndirect", "callNear", "callIndirect"] as const),
  ...(["callFar", "callFarIndirect", "retNear", "retFar", "loop", "loope", "loopne", "jcxz"] as const),
  ...(["int", "int1", "int3", "into", "iret", "undefined", "ud2", "hlt", "sti", "popf"] as const),
  ...(["popSegment", "movToSegment", "loadFarPointer", "movToControl", "movToDebug", "lmsw"] as const),
  ...(["clts", "invlpg", "invd", "wbinvd", "wrmsr", "lgdt", "lidt", "lldt", "ltr"] as const),
]);
/** Records that are no instructions. */
const pseudoRecords = new Set<string>([
  "hostBreakpoint",
  "nextPageCheck",
  "probe",
  "countedEntry",
  "stale",
  "account",
]);

/** Whether the interpreter runs the instruction in the middle of compiled code. */
export function isInterpreted(pool: Int32Array, p: number): boolean {
  const name = nameOf(pool, p);
  return flows[name] === undefined && !isTranslated(pool, p, name);
}

function isTranslated(pool: Int32Array, p: number, name: string): boolean {
  // What the interpreter's switch has does not look at a prefix for 16-bit addresses, and has no function to run instead.
  const short = (pool[p + PREFIX]! & Prefix.ADDRESS_16) !== 0 && pool[p + OPERATION]! >= FIRST_COLD;
  if (short && hasMemoryOperand(pool, p)) return false;
  if (isDataSegmentLoad(pool, p)) return true;
  if (name === "nop" || name === "setcc" || anySize.has(name)) return true;
  if (!doubleOnly.has(name) || pool[p + SIZE] !== 4) return false;
  return !((name === "pop" || name === "xchg") && hasMemoryOperand(pool, p));
}

export function nameOf(pool: Int32Array, p: number): string {
  return operationNames[pool[p + OPERATION]!] ?? "";
}

/** MOV or POP to DS, ES, FS, GS, which is compiled. */
export function isDataSegmentLoad(pool: Int32Array, p: number): boolean {
  const name = nameOf(pool, p);
  const isPop = name === "popSegment" && pool[p + SIZE] === 4;
  if (!isPop && name !== "movToSegment") return false;
  if (!isPop && hasMemoryOperand(pool, p) && (pool[p + PREFIX]! & Prefix.ADDRESS_16) !== 0) return false;
  const segment = pool[p + REG]!;
  return segment <= Segment.GS && segment !== Segment.CS && segment !== Segment.SS;
}

export function isPushImmediate(pool: Int32Array, p: number): boolean {
  const opcode = (pool[p + PREFIX]! >> Prefix.OPCODE_SHIFT) & 0xff;
  return opcode === 0x68 || opcode === 0x6a;
}

/** Whether the record has a memory operand by ModR/M or address. */
export function hasMemoryOperand(pool: Int32Array, p: number): boolean {
  return pool[p + RM]! < 0;
}

export function flowOf(pool: Int32Array, p: number): Flow {
  const name = nameOf(pool, p);
  const flow = flows[name];
  if (flow !== undefined) return flow;
  if (pool[p + OPERATION]! < HotOperation.movRegisterRegister || pseudoRecords.has(name))
    return "unsupported";
  return interpretedTransfers.has(name) && !isDataSegmentLoad(pool, p) ? "leaves" : "next";
}

/** Whether a handler transfers control, or changes what compiled code relies on. */
export function isHandledTransfer(pool: Int32Array, p: number): boolean {
  return interpretedTransfers.has(nameOf(pool, p));
}

/** Bits of the registers that a compiled instruction may use; more than it does is no harm. */
export function registersOf(pool: Int32Array, p: number): number {
  const size = pool[p + SIZE]!;
  const shift = size === 4 ? 0 : size === 2 ? 1 : 2;
  const name = nameOf(pool, p);
  // The second operand of MOVZX, MOVSX, SETcc and MOV to a segment register has a size of its own.
  const ownSize = name === "movzx" || name === "movsx" ? pool[p + EXTRA] : name === "movToSegment" ? 2 : 1;
  const hasOwnSize = ["movzx", "movsx", "setcc", "movToSegment"].includes(name);
  const rmShift = hasOwnSize ? (ownSize === 1 ? 2 : 1) : name === "movToControl" ? 0 : shift;
  let bits = 0;
  const add = (register: number): void => {
    if (register >= 0 && register < 8) bits |= 1 << register;
  };
  add(pool[p + REG]! >> (name === "movzx" || name === "movsx" ? 0 : shift));
  add(pool[p + RM]! >> rmShift);
  add(pool[p + BASE]!);
  add(pool[p + INDEX]!);
  return bits | (implicit.get(name) ?? 0);
}

/** Whether the instruction reads or writes memory, and so may leave the region in its middle. */
export function touchesMemory(pool: Int32Array, p: number): boolean {
  if (isInterpreted(pool, p)) return true;
  switch (nameOf(pool, p)) {
    case "movToSegment":
    case "popSegment":
      // The descriptor's table.
      return true;
    case "lea":
    case "nop":
    case "cdq":
    case "cwde":
    case "bswap":
    case "jccInPage":
    case "jccFar":
    case "jmpInPage":
    case "jmpFarPage":
      return false;
    case "div":
      // It may leave the region before a division error.
      return true;
    case "push":
    case "pushSegment":
    case "pop":
    case "leave":
      return true;
    default:
      return hasMemoryOperand(pool, p);
  }
}

/** FLAG_KIND behind the instruction when it is `kind` before it; "keeps" says that it writes none. */
export function kindBehind(pool: Int32Array, p: number, kind: number): number {
  if (isInterpreted(pool, p)) return UNKNOWN_KIND;
  switch (nameOf(pool, p)) {
    case "add":
      return FlagKind.ADD;
    case "sub":
    case "cmp":
    case "neg":
      return FlagKind.SUB;
    case "or":
    case "and":
    case "xor":
    case "test":
      return FlagKind.LOGIC;
    case "adc":
    case "sbb":
      return UNKNOWN_KIND;
    case "inc":
      return FlagKind.INC;
    case "dec":
      return FlagKind.DEC;
    case "imul":
    case "mul":
    case "imulWide":
      return FlagKind.GIVEN;
    case "shl":
    case "shr":
    case "sar": {
      const count = pool[p + IMMEDIATE]!;
      if (count < 0) return kind === FlagKind.GIVEN ? kind : UNKNOWN_KIND;
      return (count & 31) === 0 ? kind : FlagKind.GIVEN;
    }
    default:
      return kind;
  }
}

/** Whether it replaces all flags, whatever they were. */
export function replacesFlags(pool: Int32Array, p: number): boolean {
  if (isInterpreted(pool, p)) return false;
  const name = nameOf(pool, p);
  if (name === "adc" || name === "sbb" || name === "inc" || name === "dec") return false;
  const given = kindBehind(pool, p, UNKNOWN_KIND);
  return given !== UNKNOWN_KIND;
}

/** Whether it looks at a flag. */
export function readsFlags(pool: Int32Array, p: number): boolean {
  if (isInterpreted(pool, p)) return true;
  switch (nameOf(pool, p)) {
    case "adc":
    case "sbb":
    case "inc":
    case "dec":
    case "setcc":
    case "jccInPage":
    case "jccFar":
      return true;
    case "shl":
    case "shr":
    case "sar":
      return pool[p + IMMEDIATE]! < 0;
    default:
      return false;
  }
}
