/** For the tests: the instructions that the host must agree on bit for bit, and what kind of memory operand each takes. */

export type OperandKind = "none" | "single" | "double" | "extended" | "integer" | "decimal";

export interface TestedInstruction {
  readonly name: string;
  readonly opcode: number;
  readonly modrm: number;
  readonly operand: OperandKind;
  /** Bits of the status word that the manual defines for it. */
  readonly status?: number;
}

const arithmetic = ["fadd", "fmul", "fcom", "fcomp", "fsub", "fsubr", "fdiv", "fdivr"];

function arithmeticForms(): TestedInstruction[] {
  const forms: TestedInstruction[] = [];
  arithmetic.forEach((name, field) => {
    const register = 0xc1 + 8 * field;
    const memory = 8 * field + 6;
    forms.push({ name: `${name} st, st(1)`, opcode: 0xd8, modrm: register, operand: "none" });
    if (field !== 2 && field !== 3)
      forms.push(
        { name: `${name} st(1), st`, opcode: 0xdc, modrm: register, operand: "none" },
        { name: `${name}p st(1), st`, opcode: 0xde, modrm: register, operand: "none" },
      );
    forms.push(
      { name: `${name} m32`, opcode: 0xd8, modrm: memory, operand: "single" },
      { name: `${name} m64`, opcode: 0xdc, modrm: memory, operand: "double" },
      { name: `fi${name.slice(1)} m32`, opcode: 0xda, modrm: memory, operand: "integer" },
      { name: `fi${name.slice(1)} m16`, opcode: 0xde, modrm: memory, operand: "integer" },
    );
  });
  return forms;
}

const others: readonly (readonly [string, number, number, OperandKind?, number?])[] = [
  ["fld m32", 0xd9, 0x06, "single"],
  ["fld m64", 0xdd, 0x06, "double"],
  ["fld m80", 0xdb, 0x2e, "extended"],
  ["fld st(1)", 0xd9, 0xc1],
  ["fst m32", 0xd9, 0x16],
  ["fst m64", 0xdd, 0x16],
  ["fst st(2)", 0xdd, 0xd2],
  ["fstp m32", 0xd9, 0x1e],
  ["fstp m64", 0xdd, 0x1e],
  ["fstp m80", 0xdb, 0x3e],
  ["fstp st(1)", 0xdd, 0xd9],
  ["fild m16", 0xdf, 0x06, "integer"],
  ["fild m32", 0xdb, 0x06, "integer"],
  ["fild m64", 0xdf, 0x2e, "integer"],
  ["fist m16", 0xdf, 0x16],
  ["fist m32", 0xdb, 0x16],
  ["fistp m16", 0xdf, 0x1e],
  ["fistp m32", 0xdb, 0x1e],
  ["fistp m64", 0xdf, 0x3e],
  ["fbld", 0xdf, 0x26, "decimal"],
  ["fbstp", 0xdf, 0x36],
  ["fsqrt", 0xd9, 0xfa],
  ["fprem", 0xd9, 0xf8],
  ["fprem1", 0xd9, 0xf5],
  ["frndint", 0xd9, 0xfc],
  ["fscale", 0xd9, 0xfd],
  ["fxtract", 0xd9, 0xf4],
  ["fabs", 0xd9, 0xe1],
  ["fchs", 0xd9, 0xe0],
  ["ftst", 0xd9, 0xe4],
  ["fxam", 0xd9, 0xe5],
  ["fucom st(1)", 0xdd, 0xe1],
  ["fucomp st(1)", 0xdd, 0xe9],
  ["fucompp", 0xda, 0xe9],
  ["fcompp", 0xde, 0xd9],
  ["fxch st(1)", 0xd9, 0xc9],
  ["ffree st(1)", 0xdd, 0xc1, "none", 0xb8ff],
  ["fincstp", 0xd9, 0xf7],
  ["fdecstp", 0xd9, 0xf6],
  ["fnop", 0xd9, 0xd0],
  ["fnstsw ax", 0xdf, 0xe0],
  ["fnstsw m16", 0xdd, 0x3e],
  ["fnstcw m16", 0xd9, 0x3e],
  ["fldcw m16", 0xd9, 0x2e, "integer"],
  ["fnclex", 0xdb, 0xe2],
  ["fninit", 0xdb, 0xe3],
  ["fld1", 0xd9, 0xe8],
  ["fldl2t", 0xd9, 0xe9],
  ["fldl2e", 0xd9, 0xea],
  ["fldpi", 0xd9, 0xeb],
  ["fldlg2", 0xd9, 0xec],
  ["fldln2", 0xd9, 0xed],
  ["fldz", 0xd9, 0xee],
  ["fcom alias", 0xdc, 0xd1],
  ["fcomp alias", 0xdc, 0xd9],
  ["fcomp second alias", 0xde, 0xd1],
  ["fxch alias", 0xdd, 0xc9],
  ["fxch second alias", 0xdf, 0xc9],
  ["fstp alias", 0xdf, 0xd1],
  ["fstp second alias", 0xdf, 0xd9],
  ["ffreep", 0xdf, 0xc1, "none", 0xb8ff],
];

export const testedInstructions: readonly TestedInstruction[] = [
  ...arithmeticForms(),
  ...others.map(([name, opcode, modrm, operand = "none", status = 0xffff]) => ({
    name,
    opcode,
    modrm,
    operand,
    status,
  })),
];
