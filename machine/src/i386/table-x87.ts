/**
 * Floating-point instructions (ESC, opcodes D8 to DF) and FWAIT. Notation: `table-notation.ts`.
 * Clocks: Intel, Pentium Processor Family Developer's Manual, volume 3 (241430), chapter 25 and appendix F: latency until the
 * result can be used. Where the manual gives a range (transcendental functions, remainder, BCD), the row holds its middle.
 * FDIV's 39 is extended precision; the control word's precision makes it 19 (single) or 33 (double).
 */
import type { RowNotation } from "./table-notation.ts";

/** The eight operations of D8, DA, DC and DE in the order of ModR/M's reg field. */
const arithmetic = [
  ["add", "3 FX"],
  ["mul", "3 FX"],
  ["com", "1 FX"],
  ["comp", "1 FX"],
  ["sub", "3 FX"],
  ["subr", "3 FX"],
  ["div", "39 FX"],
  ["divr", "39 FX"],
] as const;

const integerClocks = ["6", "7", "8", "8", "6", "6", "42", "42"] as const;

type Operator = (typeof arithmetic)[number][0];
type MemoryRow = readonly [string, `f${Operator}` | `fi${Operator}`, string, string, string, string];

const memoryRows = arithmetic.flatMap(([name, clocks], digit): MemoryRow[] => [
  [`D8 /${digit}`, `f${name}`, "Md", "", clocks, "read"],
  [`DC /${digit}`, `f${name}`, "Mq", "", clocks, "read"],
  [`DA /${digit}`, `fi${name}`, "Md", "", integerClocks[digit]!, "read"],
  [`DE /${digit}`, `fi${name}`, "Mw", "", integerClocks[digit]!, "read"],
]);

const explicitRows = [
  ["9B", "fwait", "", "", "1", ""],
  // Register arithmetic. In DC and DE the reversed operations stand where D8 has the straight ones.
  ["D8 C0+", "fadd", "ST,STi", "", "3 FX", ""],
  ["D8 C8+", "fmul", "ST,STi", "", "3 FX", ""],
  ["D8 D0+", "fcom", "STi", "", "1 FX", ""],
  ["D8 D8+", "fcomp", "STi", "", "1 FX", ""],
  ["D8 E0+", "fsub", "ST,STi", "", "3 FX", ""],
  ["D8 E8+", "fsubr", "ST,STi", "", "3 FX", ""],
  ["D8 F0+", "fdiv", "ST,STi", "", "39 FX", ""],
  ["D8 F8+", "fdivr", "ST,STi", "", "39 FX", ""],
  ["DC C0+", "fadd", "STi,ST", "", "3 FX", ""],
  ["DC C8+", "fmul", "STi,ST", "", "3 FX", ""],
  ["DC D0+", "fcom", "STi", "", "1 FX", "alias"],
  ["DC D8+", "fcomp", "STi", "", "1 FX", "alias"],
  ["DC E0+", "fsubr", "STi,ST", "", "3 FX", ""],
  ["DC E8+", "fsub", "STi,ST", "", "3 FX", ""],
  ["DC F0+", "fdivr", "STi,ST", "", "39 FX", ""],
  ["DC F8+", "fdiv", "STi,ST", "", "39 FX", ""],
  ["DE C0+", "faddp", "STi,ST", "", "3 FX", ""],
  ["DE C8+", "fmulp", "STi,ST", "", "3 FX", ""],
  ["DE D0+", "fcomp", "STi", "", "1 FX", "alias"],
  ["DE D9", "fcompp", "", "", "1 FX", ""],
  ["DE E0+", "fsubrp", "STi,ST", "", "3 FX", ""],
  ["DE E8+", "fsubp", "STi,ST", "", "3 FX", ""],
  ["DE F0+", "fdivrp", "STi,ST", "", "39 FX", ""],
  ["DE F8+", "fdivp", "STi,ST", "", "39 FX", ""],
  ["DA E9", "fucompp", "", "", "1 FX", ""],
  ["DD E0+", "fucom", "STi", "", "1 FX", ""],
  ["DD E8+", "fucomp", "STi", "", "1 FX", ""],
  // Loads, stores, exchanges.
  ["D9 /0", "fld", "Md", "", "1 FX", "read"],
  ["DD /0", "fld", "Mq", "", "1 FX", "read"],
  ["DB /5", "fld", "Mt", "", "3", "read"],
  ["D9 C0+", "fld", "STi", "", "1 FX", ""],
  ["D9 /2", "fst", "Md", "", "2", "write"],
  ["DD /2", "fst", "Mq", "", "2", "write"],
  ["DD D0+", "fst", "STi", "", "1", ""],
  ["D9 /3", "fstp", "Md", "", "2", "write"],
  ["DD /3", "fstp", "Mq", "", "2", "write"],
  ["DB /7", "fstp", "Mt", "", "3", "write"],
  ["DD D8+", "fstp", "STi", "", "1", ""],
  ["D9 D8+", "fstp", "STi", "", "1", "alias"],
  ["DF D0+", "fstp", "STi", "", "1", "alias"],
  ["DF D8+", "fstp", "STi", "", "1", "alias"],
  ["DF /0", "fild", "Mw", "", "3", "read"],
  ["DB /0", "fild", "Md", "", "3", "read"],
  ["DF /5", "fild", "Mq", "", "3", "read"],
  ["DF /2", "fist", "Mw", "", "6", "write"],
  ["DB /2", "fist", "Md", "", "6", "write"],
  ["DF /3", "fistp", "Mw", "", "6", "write"],
  ["DB /3", "fistp", "Md", "", "6", "write"],
  ["DF /7", "fistp", "Mq", "", "6", "write"],
  ["DF /4", "fbld", "Mt", "", "53", "read"],
  ["DF /6", "fbstp", "Mt", "", "151", "write"],
  ["D9 C8+", "fxch", "STi", "", "1 PV", ""],
  ["DD C8+", "fxch", "STi", "", "1", "alias"],
  ["DF C8+", "fxch", "STi", "", "1", "alias"],
  ["D9 E8", "fld1", "", "", "2", ""],
  ["D9 E9", "fldl2t", "", "", "5", ""],
  ["D9 EA", "fldl2e", "", "", "5", ""],
  ["D9 EB", "fldpi", "", "", "5", ""],
  ["D9 EC", "fldlg2", "", "", "5", ""],
  ["D9 ED", "fldln2", "", "", "5", ""],
  ["D9 EE", "fldz", "", "", "2", ""],
  // One-operand arithmetic and transcendental functions.
  ["D9 E0", "fchs", "", "", "1 FX", ""],
  ["D9 E1", "fabs", "", "", "1 FX", ""],
  ["D9 E4", "ftst", "", "", "1 FX", ""],
  ["D9 E5", "fxam", "", "", "21", ""],
  ["D9 F0", "f2xm1", "", "", "35", ""],
  ["D9 F1", "fyl2x", "", "", "66", ""],
  ["D9 F2", "fptan", "", "", "95", ""],
  ["D9 F3", "fpatan", "", "", "95", ""],
  ["D9 F4", "fxtract", "", "", "13", ""],
  ["D9 F5", "fprem1", "", "", "45", ""],
  ["D9 F6", "fdecstp", "", "", "1", ""],
  ["D9 F7", "fincstp", "", "", "1", ""],
  ["D9 F8", "fprem", "", "", "40", ""],
  ["D9 F9", "fyl2xp1", "", "", "62", ""],
  ["D9 FA", "fsqrt", "", "", "70", ""],
  ["D9 FB", "fsincos", "", "", "77", ""],
  ["D9 FC", "frndint", "", "", "15", ""],
  ["D9 FD", "fscale", "", "", "26", ""],
  ["D9 FE", "fsin", "", "", "71", ""],
  ["D9 FF", "fcos", "", "", "71", ""],
  // Control. FNENI, FNDISI and FNSETPM are no-operations on a Pentium.
  ["D9 D0", "fnop", "", "", "1", ""],
  ["D9 /5", "fldcw", "Mw", "", "7", "read"],
  ["D9 /7", "fnstcw", "Mw", "", "2", "write"],
  ["D9 /4", "fldenv", "M", "", "33", "read"],
  ["D9 /6", "fnstenv", "M", "", "49", "write"],
  ["DD /4", "frstor", "M", "", "75", "read"],
  ["DD /6", "fnsave", "M", "", "127", "write"],
  ["DD /7", "fnstsw", "Mw", "", "2", "write"],
  ["DF E0", "fnstsw", "AX", "", "2", ""],
  ["DB E2", "fnclex", "", "", "9", ""],
  ["DB E3", "fninit", "", "", "12", ""],
  ["DB E0", "fneni", "", "", "1", ""],
  ["DB E1", "fndisi", "", "", "1", ""],
  ["DB E4", "fnsetpm", "", "", "1", ""],
  ["DD C0+", "ffree", "STi", "", "1", ""],
  ["DF C0+", "ffreep", "STi", "", "1", ""],
] as const satisfies readonly RowNotation[];

export const floatingPointRows = [...memoryRows, ...explicitRows];
