/**
 * What the assembler can encode, computed once from the instruction table: for every mnemonic a map from the kinds of the
 * operands to the forms that take them, shortest first. A form is a table row at one operand size.
 */
import type { Condition, Immediate, Instruction, OperandCode } from "./instruction.ts";

import { instructions, type TableMnemonic } from "./table.ts";

/** Second spellings of conditions, by the table's own. */
const conditionAliases = {
  ...({ c: "b", nae: "b", nc: "ae", nb: "ae", z: "e", nz: "ne", na: "be", nbe: "a" } as const),
  ...({ pe: "p", po: "np", nge: "l", nl: "ge", ng: "le", nle: "g" } as const),
} as const satisfies Readonly<Record<string, Condition>>;
type ConditionAlias = keyof typeof conditionAliases;

/** Spellings that mean the 32-bit form here, as in every 32-bit assembler, and other second names. */
const plainAliases = {
  ...({ iret: "iretd", pusha: "pushad", popa: "popad", pushf: "pushfd", popf: "popfd" } as const),
  ...({ sal: "shl", xlat: "xlatb", wait: "fwait", loopz: "loope", loopnz: "loopne", retn: "ret" } as const),
} as const satisfies Readonly<Record<string, TableMnemonic>>;

/** Floating-point control instructions that wait first: FWAIT and the form without a wait. */
const waitingForms = {
  ...({ finit: "fninit", fclex: "fnclex", fstsw: "fnstsw", fstcw: "fnstcw", fsave: "fnsave" } as const),
  ...({ fstenv: "fnstenv" } as const),
} as const satisfies Readonly<Record<string, TableMnemonic>>;

export type Mnemonic =
  | TableMnemonic
  | keyof typeof plainAliases
  | keyof typeof waitingForms
  | `j${ConditionAlias}`
  | `set${ConditionAlias}`;

/** Kinds of operands as small numbers, so that three of them make a map key. */
export const operandKind = {
  ...({ none: 0, immediate: 1, symbol: 2, label: 3, far: 4 } as const),
  ...({ r8: 5, r16: 6, r32: 7, segment: 8, control: 9, debug: 10, st: 11 } as const),
  ...({ m0: 12, m1: 13, m2: 14, m4: 15, m6: 16, m8: 17, m10: 18 } as const),
} as const;
export type OperandKind = (typeof operandKind)[keyof typeof operandKind];

export const operandKey = (first: number, second: number, third: number): number =>
  first | (second << 5) | (third << 10);

/** Where an operand goes in the encoding. fixed: nowhere, it must be the register (or the number 1) of the form. */
export type Role = "rm" | "reg" | "opcode" | "st" | "immediate" | "signed8" | "moffs" | "far" | "fixed";

export interface FormOperand {
  readonly code: OperandCode;
  readonly role: Role;
  /** Encoded bytes of an immediate. */
  readonly size: 0 | 1 | 2 | 4;
  /** Required register number (or the number 1) of a fixed operand. */
  readonly fixed: number;
}

export interface Form {
  readonly row: Instruction;
  readonly mnemonic: string;
  /** FWAIT goes before it. */
  readonly waits: boolean;
  readonly operandSize16: boolean;
  readonly addressSize16: boolean;
  readonly operands: readonly FormOperand[];
  /** Operands are given in the opposite order (XCHG and TEST do not mind). */
  readonly swapped: boolean;
  /** Length without prefixes of the operands, SIB and displacement. */
  readonly length: number;
}

/** Encodings of a branch to a label or symbol: opcode bytes of the form with 8 and with 32 bits of distance. */
export interface BranchForm {
  readonly short: readonly number[] | undefined;
  readonly near: readonly number[] | undefined;
}

interface Accepted {
  readonly kinds: readonly OperandKind[];
  readonly role: Role;
  readonly size?: 1 | 2 | 4;
  readonly fixed?: number;
}

const k = operandKind;

/** What an operand code accepts when the operand size is 4 (`wide`) or 2. */
function accepted(code: OperandCode, wide: boolean, row: Instruction): Accepted {
  const general = wide ? k.r32 : k.r16;
  const datum = wide ? k.m4 : k.m2;
  switch (code) {
    case "Eb":
      return { kinds: [k.r8, k.m1], role: "rm" };
    case "Ew":
      // Where nothing else tells the size, the 32-bit name of the register is as good.
      return {
        kinds: /^(mov[sz]x|arpl)$/.test(row.mnemonic) ? [k.r16, k.m2] : [k.r16, k.m2, k.r32],
        role: "rm",
      };
    case "Ev":
      return { kinds: [general, datum], role: "rm" };
    case "Evw":
      return { kinds: wide ? [k.r32, k.m2] : [k.r16], role: "rm" };
    case "Rd":
      return { kinds: [k.r32], role: "rm" };
    case "M":
      return { kinds: [k.m0, k.m1, k.m2, k.m4, k.m6, k.m8, k.m10], role: "rm" };
    case "Mw":
      return { kinds: [k.m2], role: "rm" };
    case "Md":
      return { kinds: [k.m4], role: "rm" };
    case "Mq":
      return { kinds: [k.m8], role: "rm" };
    case "Mt":
      return { kinds: [k.m10], role: "rm" };
    case "Mp":
      return { kinds: [wide ? k.m6 : k.m4], role: "rm" };
    case "Ma":
      return { kinds: [wide ? k.m8 : k.m4], role: "rm" };
    case "Ms":
      return { kinds: [k.m6, k.m0], role: "rm" };
    case "Gb":
      return { kinds: [k.r8], role: "reg" };
    case "Gw":
      return { kinds: [k.r16], role: "reg" };
    case "Gv":
      return { kinds: [general], role: "reg" };
    case "Sw":
      return { kinds: [k.segment], role: "reg" };
    case "Cd":
      return { kinds: [k.control], role: "reg" };
    case "Dd":
      return { kinds: [k.debug], role: "reg" };
    case "Ib":
      return { kinds: [k.immediate], role: "immediate", size: 1 };
    case "Iw":
      return { kinds: [k.immediate], role: "immediate", size: 2 };
    case "Iz":
      return wide
        ? { kinds: [k.immediate, k.symbol, k.label], role: "immediate", size: 4 }
        : { kinds: [k.immediate], role: "immediate", size: 2 };
    case "Ibs":
      return { kinds: [k.immediate], role: "signed8", size: 1 };
    case "Ap":
      return { kinds: [k.far], role: "far" };
    case "Ob":
      return { kinds: [k.m1], role: "moffs" };
    case "Ov":
      return { kinds: [datum], role: "moffs" };
    case "Zb":
      return { kinds: [k.r8], role: "opcode" };
    case "Zv":
      return { kinds: [general], role: "opcode" };
    case "1":
      return { kinds: [k.immediate], role: "fixed", fixed: 1 };
    case "ST":
      return { kinds: [k.st], role: "fixed", fixed: 0 };
    case "STi":
      return { kinds: [k.st], role: "st" };
    case "AL":
      return { kinds: [k.r8], role: "fixed", fixed: 0 };
    case "CL":
      return { kinds: [k.r8], role: "fixed", fixed: 1 };
    case "AX":
      return { kinds: [k.r16], role: "fixed", fixed: 0 };
    case "DX":
      return { kinds: [k.r16], role: "fixed", fixed: 2 };
    case "rAX":
      return { kinds: [general], role: "fixed", fixed: 0 };
    case "ES":
    case "CS":
    case "SS":
    case "DS":
    case "FS":
    case "GS":
      return { kinds: [k.segment], role: "fixed", fixed: ["ES", "CS", "SS", "DS", "FS", "GS"].indexOf(code) };
    default:
      // J: handled as branches; X and Y: implied by the mnemonic.
      return { kinds: [], role: "fixed" };
  }
}

/** Codes by which a caller states the operand size. */
const sizedCodes: ReadonlySet<OperandCode> = new Set(["Ev", "Evw", "Gv", "Zv", "rAX", "Ov", "Mp", "Ma"]);
const isImplied = (row: Instruction): boolean => row.operands.some((code) => /^[XY]/.test(code));
const isBranch = (row: Instruction): boolean => row.operands.some((code) => code === "Jb" || code === "Jz");

/** An address in the instruction counts as nothing, because a ModR/M form would need a displacement as long. */
const immediateLength: Readonly<Record<Immediate, number>> = {
  byte: 1,
  word: 2,
  operand: 4,
  address: 0,
  far: 6,
};

const formsByMnemonic = new Map<string, Map<number, Form[]>>();
const branchesByMnemonic = new Map<string, BranchForm>();

function addForm(form: Form, kinds: ReadonlyArray<readonly OperandKind[]>): void {
  let byKey = formsByMnemonic.get(form.mnemonic);
  if (!byKey) {
    byKey = new Map();
    formsByMnemonic.set(form.mnemonic, byKey);
  }
  for (const first of kinds[0] ?? [k.none]) {
    for (const second of kinds[1] ?? [k.none]) {
      for (const third of kinds[2] ?? [k.none]) {
        const key = operandKey(first, second, third);
        const forms = byKey.get(key);
        if (forms) forms.push(form);
        else byKey.set(key, [form]);
      }
    }
  }
}

function addRow(row: Instruction): void {
  const implied = isImplied(row);
  const codes = implied ? [] : row.operands;
  const sized = codes.some((code) => sizedCodes.has(code));
  for (const wide of [true, false]) {
    const narrow = !wide && row.narrowMnemonic !== undefined;
    if (!wide && !narrow && !sized) continue;
    const operandSize16 = !wide && !row.narrowByAddress;
    const details = codes.map((code) => accepted(code, wide, row));
    const operands = details.map((detail, i): FormOperand => {
      return { code: codes[i]!, role: detail.role, size: detail.size ?? 0, fixed: detail.fixed ?? 0 };
    });
    const kinds = details.map((detail) => detail.kinds);
    let length = (row.twoByte ? 2 : 1) + (row.modrm ? 1 : 0) + (operandSize16 ? 1 : 0);
    for (const immediate of row.immediates)
      length += immediate === "operand" && !wide ? 2 : immediateLength[immediate];
    const form: Form = {
      row,
      mnemonic: narrow ? row.narrowMnemonic! : row.mnemonic,
      waits: false,
      operandSize16,
      addressSize16: narrow && row.narrowByAddress,
      operands,
      swapped: false,
      length,
    };
    addForm(form, kinds);
    if (/^(xchg|test)$/.test(row.mnemonic) && operands.every((operand) => operand.role !== "immediate")) {
      addForm({ ...form, swapped: true }, [kinds[1]!, kinds[0]!]);
    }
    // FADD ST(i) for FADD ST, ST(i); FADDP ST(i) for FADDP ST(i), ST; no operand at all means ST(1).
    const stack = codes.indexOf("STi");
    if (stack >= 0) {
      const pops = /^(f(add|mul|subr?|divr?)p)$/.test(row.mnemonic);
      if (codes.length === 2 && (pops || codes[0] === "ST"))
        addForm({ ...form, operands: [operands[stack]!] }, [[k.st]]);
      if (pops || (codes.length === 1 && /^(fu?comp?|fxch)$/.test(row.mnemonic))) {
        addForm({ ...form, row: { ...row, fixedModrm: row.fixedModrm + 1 }, operands: [] }, []);
      }
    }
  }
}

function addBranch(row: Instruction): void {
  const names = row.narrowMnemonic === undefined ? [row.mnemonic] : [row.mnemonic, row.narrowMnemonic];
  for (const name of names) {
    const opcode = [...(row.twoByte ? [0x0f] : []), row.opcode];
    if (name !== row.mnemonic) opcode.unshift(0x67);
    const present = branchesByMnemonic.get(name);
    branchesByMnemonic.set(name, {
      short: row.operands[0] === "Jb" ? opcode : present?.short,
      near: row.operands[0] === "Jz" ? opcode : present?.near,
    });
  }
}

for (const row of instructions.slice(1)) {
  if (row.alias) continue;
  if (isBranch(row)) addBranch(row);
  else addRow(row);
}
for (const byKey of formsByMnemonic.values()) {
  for (const forms of byKey.values()) forms.sort((a, b) => a.length - b.length);
}

function addAlias(alias: string, name: string): void {
  const forms = formsByMnemonic.get(name);
  if (forms) formsByMnemonic.set(alias, forms);
  const branch = branchesByMnemonic.get(name);
  if (branch) branchesByMnemonic.set(alias, branch);
}

for (const [alias, name] of Object.entries(plainAliases)) addAlias(alias, name);
for (const [alias, condition] of Object.entries(conditionAliases)) {
  addAlias(`j${alias}`, `j${condition}`);
  addAlias(`set${alias}`, `set${condition}`);
}
for (const [alias, name] of Object.entries(waitingForms)) {
  const waiting = [...formsByMnemonic.get(name)!].map(
    ([key, forms]) => [key, forms.map((form) => ({ ...form, waits: true, mnemonic: alias }))] as const,
  );
  formsByMnemonic.set(alias, new Map(waiting));
}

/** Forms of a mnemonic by `operandKey`, shortest first; undefined for branches and unknown names. */
export const findForms = (mnemonic: string): ReadonlyMap<number, readonly Form[]> | undefined =>
  formsByMnemonic.get(mnemonic);

export const findBranch = (mnemonic: string): BranchForm | undefined => branchesByMnemonic.get(mnemonic);

/** Every name that `emit` takes. */
export const mnemonics: readonly Mnemonic[] = [
  ...new Set([...formsByMnemonic.keys(), ...branchesByMnemonic.keys()]),
].sort() as Mnemonic[];
