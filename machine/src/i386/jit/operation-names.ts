/** Numbers of decoded operations back to the names of the instruction table, and what a compiler must know before it translates one. */

import { coldNumbers } from "../decoder.ts";
import { FlagKind } from "../flags.ts";
import { HotOperation } from "../hot-operations.ts";
import { Field, Prefix } from "../layout.ts";
import type { Flow } from "./region-graph.ts";

const { OPERATION, RM, IMMEDIATE, SIZE, PREFIX } = Field;

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

export function nameOf(pool: Int32Array, p: number): string {
  return operationNames[pool[p + OPERATION]!] ?? "";
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
  if ((pool[p + PREFIX]! & (Prefix.ADDRESS_16 | Prefix.LOCK)) !== 0) return "unsupported";
  if (name === "nop") return "next";
  if (name === "setcc") return "next";
  if (anySize.has(name)) return "next";
  if (!doubleOnly.has(name) || pool[p + SIZE] !== 4) return "unsupported";
  if (name === "pop" && hasMemoryOperand(pool, p)) return "unsupported";
  if (name === "xchg" && hasMemoryOperand(pool, p)) return "unsupported";
  return "next";
}

/** Whether the instruction reads or writes memory, and so may leave the region in its middle. */
export function touchesMemory(pool: Int32Array, p: number): boolean {
  switch (nameOf(pool, p)) {
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
    case "pop":
    case "leave":
      return true;
    default:
      return hasMemoryOperand(pool, p);
  }
}

/** FLAG_KIND behind the instruction when it is `kind` before it; "keeps" says that it writes none. */
export function kindBehind(pool: Int32Array, p: number, kind: number): number {
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
  const name = nameOf(pool, p);
  if (name === "adc" || name === "sbb" || name === "inc" || name === "dec") return false;
  const given = kindBehind(pool, p, UNKNOWN_KIND);
  return given !== UNKNOWN_KIND;
}

/** Whether it looks at a flag. */
export function readsFlags(pool: Int32Array, p: number): boolean {
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
