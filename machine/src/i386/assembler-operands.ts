/** What the assembler asks of operands: their kind, and whether their values fit a form whose kinds they match. */
import { type Form, operandKind } from "./assembler-forms.ts";
import type { MemoryOperand, Operand, Register } from "./assembly.ts";

const memoryKinds: Readonly<Record<number, number>> = {
  ...{ 0: operandKind.m0, 1: operandKind.m1, 2: operandKind.m2, 4: operandKind.m4 },
  ...{ 6: operandKind.m6, 8: operandKind.m8, 10: operandKind.m10 },
};

export function kindOf(operand: Operand | undefined): number {
  if (operand === undefined) return operandKind.none;
  if (typeof operand === "number") return operandKind.immediate;
  switch (operand.kind) {
    case "register":
      return operandKind[operand.class];
    case "memory":
      return memoryKinds[operand.size]!;
    case "symbol":
      return operandKind.symbol;
    case "label":
      return operandKind.label;
    case "far":
      return operandKind.far;
  }
}

/** Range of numbers that an immediate of so many bytes may state: signed or unsigned reading. */
export function immediateFits(value: number, size: number): boolean {
  const range = 2 ** (8 * size);
  return Number.isInteger(value) && value >= -range / 2 && value < range;
}

/** True when one sign-extended byte stands for the value at the operand size. */
function signedByteFits(value: number, operandSize16: boolean): boolean {
  if (!immediateFits(value, operandSize16 ? 2 : 4)) return false;
  const extended = operandSize16 ? (value << 16) >> 16 : value | 0;
  return extended >= -128 && extended <= 127;
}

/** Why a form that takes these kinds does not take these values; undefined when it does. */
export function refusal(form: Form, operands: readonly Operand[]): string | undefined {
  for (let i = 0; i < form.operands.length; i++) {
    const wanted = form.operands[i]!;
    const given = operands[form.swapped ? 1 - i : i]!;
    if (wanted.role === "immediate") {
      if (typeof given === "number" && !immediateFits(given, wanted.size)) {
        return `${given} does not fit in ${wanted.size * 8} bits`;
      }
    } else if (wanted.role === "signed8") {
      if (!signedByteFits(given as number, form.operandSize16))
        return `${given} does not fit in a signed byte`;
    } else if (wanted.role === "fixed") {
      const value = typeof given === "number" ? given : (given as Register).number;
      if (value !== wanted.fixed) return `it must be ${wanted.code}`;
    } else if (wanted.role === "moffs") {
      const memory = given as MemoryOperand;
      if (memory.base || memory.index) return "it takes an address without registers";
    } else if (wanted.role === "reg" && wanted.code === "Sw") {
      if ((given as Register).number === 1 && form.row.operands[0] === "Sw")
        return "CS cannot be loaded by MOV";
    }
  }
  return undefined;
}

/** The segment register that an address uses without an override: SS (2) for a base of ESP, EBP or BP, else DS (3). */
export function defaultSegment(memory: MemoryOperand): number {
  const names = [memory.base?.name, memory.base?.class === "r16" ? memory.index?.name : undefined];
  return names.some((name) => name === "esp" || name === "ebp" || name === "bp") ? 2 : 3;
}
