/** Pseudo-instructions of `code.ts` that become several instructions with jumps of their own. */
import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import { dword, eax, esp, type Operand, registers8, registers32 } from "@rialto/machine/i386/assembly.ts";

/** Stacks grow by faults: no access may skip a page. */
export const pageSize = 4096;

/** Leading or trailing zeros of y to x; BSR and BSF say nothing about zero. */
export function expandCount(a: Assembler, op: string, x: Operand, y: Operand): void {
  const found = a.newLabel();
  a.emit(op === "countLeading" ? "bsr" : "bsf", x, y);
  a.emit("jne", found);
  a.emit("mov", x, op === "countLeading" ? 63 : 32);
  a.place(found);
  if (op === "countLeading") a.emit("xor", x, 31);
}

/** Shifts of two words by CL, modulo 64. */
export function expandShiftWide(a: Assembler, op: string, low: Operand, high: Operand): void {
  const cl = registers8[1];
  const done = a.newLabel();
  switch (op) {
    case "shlWide":
      a.emit("shld", high, low, cl);
      a.emit("shl", low, cl);
      a.emit("test", cl, 32);
      a.emit("je", done);
      a.emit("mov", high, low);
      a.emit("xor", low, low);
      break;
    case "rotlWide":
      a.emit("mov", eax, high);
      a.emit("shld", high, low, cl);
      a.emit("shld", low, eax, cl);
      a.emit("test", cl, 32);
      a.emit("je", done);
      a.emit("xchg", low, high);
      break;
    default:
      a.emit("shrd", low, high, cl);
      a.emit(op === "shrSWide" ? "sar" : "shr", high, cl);
      a.emit("test", cl, 32);
      a.emit("je", done);
      a.emit("mov", low, high);
      if (op === "shrSWide") a.emit("sar", high, 31);
      else a.emit("xor", high, high);
  }
  a.place(done);
}

/** The size comes in `d`, the address leaves in it. Whole pages go one by one, each touched. */
export function expandStackAllocate(a: Assembler, d: Operand, t: Operand): void {
  const [again, rest] = [a.newLabel(), a.newLabel()];
  a.emit("mov", t, d);
  a.place(again);
  a.emit("cmp", t, pageSize);
  a.emit("jbe", rest);
  a.emit("sub", esp, pageSize);
  a.emit("test", dword({ base: esp }), eax);
  a.emit("sub", t, pageSize);
  a.emit("jmp", again);
  a.place(rest);
  a.emit("sub", esp, t);
  a.emit("and", esp, -16);
  a.emit("test", dword({ base: esp }), eax);
  a.emit("mov", d, esp);
}

/** EDX:EAX by x; the remainder to EDX. */
export function expandRemainderSigned(a: Assembler, x: Operand): void {
  // The quotient of the least integer and -1 overflows; the remainder by -1 is always 0.
  const [divide, done] = [a.newLabel(), a.newLabel()];
  a.emit("cmp", x, -1);
  a.emit("jne", divide);
  a.emit("xor", registers32[2], registers32[2]);
  a.emit("jmp", done);
  a.place(divide);
  a.emit("idiv", x);
  a.place(done);
}
