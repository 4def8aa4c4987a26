/**
 * Routines that an image gets when its code needs them: operations too long to stand in line. "words" means C's calling
 * convention with 32-bit argument words and the result in EAX or EDX:EAX; "st" means operands and result on the x87 stack.
 * They use no memory but their frame and what their arguments name.
 */
import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import {
  ah,
  al,
  ax,
  byte,
  cl,
  dword,
  eax,
  ebp,
  ebx,
  ecx,
  edi,
  edx,
  esi,
  esp,
  qword,
  type Register,
  stackRegisters,
  word,
} from "@rialto/machine/i386/assembly.ts";

const [st0, st1] = stackRegisters;
const argument = (n: number) => dword({ base: ebp, displacement: 8 + 4 * n });
const local = (displacement: number) => dword({ base: ebp, displacement });

const singleTwoTo63 = 0x5f000000;
const singleMinusTwoTo63 = 0xdf000000;

function enter(a: Assembler, localBytes: number, ...saved: Register[]): void {
  a.emit("push", ebp);
  a.emit("mov", ebp, esp);
  if (localBytes > 0) a.emit("sub", esp, localBytes);
  for (const r of saved) a.emit("push", r);
}

function leave(a: Assembler, ...saved: Register[]): void {
  for (const r of saved.slice().reverse()) a.emit("pop", r);
  a.emit("leave");
  a.emit("ret");
}

/**
 * EDX:EAX by ECX:EBX, unsigned; quotient or remainder in EDX:EAX. Uses ESI and EDI, and four words at EBP - 16.
 * A divisor of more than 32 bits is shifted to 32, with the dividend: the quotient's estimate is right or one too large.
 */
function divideUnsigned(a: Assembler, want: "quotient" | "remainder"): void {
  const [wide, done, tooLarge, right] = [a.newLabel(), a.newLabel(), a.newLabel(), a.newLabel()];
  a.emit("test", ecx, ecx);
  a.emit("jne", wide);
  a.emit("mov", esi, eax);
  a.emit("mov", eax, edx);
  a.emit("xor", edx, edx);
  a.emit("div", ebx);
  a.emit("mov", edi, eax);
  a.emit("mov", eax, esi);
  a.emit("div", ebx);
  if (want === "quotient") a.emit("mov", edx, edi);
  else {
    a.emit("mov", eax, edx);
    a.emit("xor", edx, edx);
  }
  a.emit("jmp", done);
  a.place(wide);
  a.emit("mov", local(-4), eax);
  a.emit("mov", local(-8), edx);
  a.emit("mov", local(-12), ebx);
  a.emit("mov", local(-16), ecx);
  a.emit("mov", edi, ecx);
  a.emit("bsr", ecx, edi);
  a.emit("shrd", ebx, edi, cl);
  a.emit("shr", edi, cl);
  a.emit("shrd", eax, edx, cl);
  a.emit("shr", edx, cl);
  a.emit("shr", edi, 1);
  a.emit("rcr", ebx, 1);
  a.emit("shr", edx, 1);
  a.emit("rcr", eax, 1);
  a.emit("div", ebx);
  a.emit("mov", esi, eax);
  a.emit("mul", local(-16));
  a.emit("mov", ecx, eax);
  a.emit("mov", eax, local(-12));
  a.emit("mul", esi);
  a.emit("add", edx, ecx);
  a.emit("jb", tooLarge);
  a.emit("cmp", edx, local(-8));
  a.emit("ja", tooLarge);
  a.emit("jb", right);
  a.emit("cmp", eax, local(-4));
  a.emit("jbe", right);
  a.place(tooLarge);
  a.emit("dec", esi);
  if (want === "remainder") {
    a.emit("sub", eax, local(-12));
    a.emit("sbb", edx, local(-16));
  }
  a.place(right);
  if (want === "quotient") {
    a.emit("mov", eax, esi);
    a.emit("xor", edx, edx);
  } else {
    a.emit("mov", ecx, eax);
    a.emit("mov", ebx, edx);
    a.emit("mov", eax, local(-4));
    a.emit("mov", edx, local(-8));
    a.emit("sub", eax, ecx);
    a.emit("sbb", edx, ebx);
  }
  a.place(done);
}

function negate(a: Assembler, low: Register, high: Register): void {
  a.emit("neg", low);
  a.emit("adc", high, 0);
  a.emit("neg", high);
}

function division(a: Assembler, want: "quotient" | "remainder", signed: boolean): void {
  const saved = [ebx, esi, edi];
  enter(a, 20, ...saved);
  a.emit("mov", eax, argument(0));
  a.emit("mov", edx, argument(1));
  a.emit("mov", ebx, argument(2));
  a.emit("mov", ecx, argument(3));
  if (!signed) {
    divideUnsigned(a, want);
    leave(a, ...saved);
    return;
  }
  // The sign of the result: the quotient's is the operands' product's, the remainder's is the dividend's.
  a.emit("mov", esi, edx);
  if (want === "quotient") a.emit("xor", esi, ecx);
  a.emit("mov", local(-20), esi);
  for (const [low, high] of [
    [eax, edx],
    [ebx, ecx],
  ]) {
    const positive = a.newLabel();
    a.emit("test", high, high);
    a.emit("jns", positive);
    negate(a, low, high);
    a.place(positive);
  }
  divideUnsigned(a, want);
  const [positive, done] = [a.newLabel(), a.newLabel()];
  a.emit("test", local(-20), -1);
  a.emit("jns", positive);
  negate(a, eax, edx);
  a.emit("jmp", done);
  a.place(positive);
  if (want === "quotient") {
    // Only the least integer by -1 has a positive quotient with the sign bit: the processor's own fault tells.
    a.emit("test", edx, edx);
    a.emit("jns", done);
    a.emit("xor", ecx, ecx);
    a.emit("div", ecx);
  }
  a.place(done);
  leave(a, ...saved);
}

/** The smaller (larger) of st(1) and st(0); NaN if one is; of two zeros the one with (without) a sign. Uses EAX. */
function extreme(a: Assembler, which: "minimum" | "maximum"): void {
  const [unordered, equal, takeUpper, takeLower] = [a.newLabel(), a.newLabel(), a.newLabel(), a.newLabel()];
  a.emit("fcom", st1);
  a.emit("fnstsw", ax);
  a.emit("sahf");
  a.emit("jp", unordered);
  a.emit("je", equal);
  a.emit(which === "minimum" ? "jb" : "ja", takeUpper);
  a.place(takeLower);
  a.emit("fstp", st0);
  a.emit("ret");
  a.place(equal);
  a.emit("fxam");
  a.emit("fnstsw", ax);
  a.emit("test", ah, 2);
  a.emit(which === "minimum" ? "je" : "jne", takeLower);
  a.place(takeUpper);
  a.emit("fstp", st1);
  a.emit("ret");
  a.place(unordered);
  a.emit("faddp", st1, st0);
  a.emit("ret");
}

/** Sets the rounding mode for what follows; the caller's control word stays at EBP - 4. */
function setRounding(a: Assembler, mode: "down" | "up" | "zero"): void {
  const bits = { down: 4, up: 8, zero: 12 }[mode];
  a.emit("fnstcw", word({ base: ebp, displacement: -4 }));
  a.emit("mov", eax, local(-4));
  a.emit("and", ah, 0xf3);
  a.emit("or", ah, bits);
  a.emit("mov", local(-8), eax);
  a.emit("fldcw", word({ base: ebp, displacement: -8 }));
}

function restoreRounding(a: Assembler): void {
  a.emit("fldcw", word({ base: ebp, displacement: -4 }));
}

/** st(0) to an integer in st(0). Uses EAX. */
function round(a: Assembler, mode: "down" | "up" | "zero"): void {
  enter(a, 8);
  setRounding(a, mode);
  a.emit("frndint");
  restoreRounding(a);
  leave(a);
}

/** Flags of st(0) compared with a single-precision constant. Uses EAX, and the word at EBP - 20. */
function compareWith(a: Assembler, bits: number): void {
  a.emit("mov", local(-20), bits | 0);
  a.emit("fcom", local(-20));
  a.emit("fnstsw", ax);
  a.emit("sahf");
}

/** Pops st(0) to EDX:EAX, truncated; the x87's indefinite integer (sign bit alone) when it does not fit. */
function popInteger(a: Assembler): void {
  const result = qword({ base: ebp, displacement: -16 });
  setRounding(a, "zero");
  a.emit("fistp", result);
  restoreRounding(a);
  a.emit("mov", eax, local(-16));
  a.emit("mov", edx, local(-12));
}

/** st(0) to EAX or EDX:EAX; a value out of range, or NaN, traps. */
function toInteger(a: Assembler, bits: 32 | 64, signed: boolean): void {
  const [trap, done, large] = [a.newLabel(), a.newLabel(), a.newLabel()];
  enter(a, 24);
  if (bits === 32) {
    popInteger(a);
    if (signed) a.emit("cdq");
    else a.emit("xor", edx, edx);
    a.emit("cmp", edx, local(-12));
    a.emit("jne", trap);
  } else if (signed) {
    // The indefinite integer is also the right result for -2^63.
    a.emit("fld", st0);
    popInteger(a);
    a.emit("fstp", qword({ base: ebp, displacement: -24 }));
    a.emit("test", eax, eax);
    a.emit("jne", done);
    a.emit("cmp", edx, 0x80000000 | 0);
    a.emit("jne", done);
    // -2^63 as f64: 0xc3e0000000000000.
    a.emit("cmp", local(-24), 0);
    a.emit("jne", trap);
    a.emit("cmp", local(-20), 0xc3e00000 | 0);
    a.emit("jne", trap);
  } else {
    compareWith(a, singleTwoTo63);
    a.emit("jp", trap);
    a.emit("jae", large);
    popInteger(a);
    a.emit("test", edx, edx);
    a.emit("js", trap);
    a.emit("jmp", done);
    a.place(large);
    a.emit("fsub", local(-20));
    popInteger(a);
    a.emit("test", edx, edx);
    a.emit("js", trap);
    a.emit("xor", edx, 0x80000000 | 0);
  }
  a.place(done);
  leave(a);
  a.place(trap);
  a.emit("ud2");
}

/** st(0) to EAX or EDX:EAX; out of range the nearest integer, NaN gives 0. */
function saturate(a: Assembler, bits: 32 | 64, signed: boolean): void {
  const [zero, least, most, large, done] = [
    a.newLabel(),
    a.newLabel(),
    a.newLabel(),
    a.newLabel(),
    a.newLabel(),
  ];
  const upper = signed ? (bits === 32 ? 0x4f000000 : singleTwoTo63) : bits === 32 ? 0x4f800000 : 0x5f800000;
  const lower = signed ? (bits === 32 ? 0xcf000000 : singleMinusTwoTo63) : 0;
  enter(a, 24);
  compareWith(a, upper);
  a.emit("jp", zero);
  a.emit("jae", most);
  compareWith(a, lower);
  a.emit("jbe", signed ? least : zero);
  if (bits === 64 && !signed) {
    compareWith(a, singleTwoTo63);
    a.emit("jae", large);
  }
  popInteger(a);
  leave(a);
  if (bits === 64 && !signed) {
    a.place(large);
    a.emit("fsub", local(-20));
    popInteger(a);
    a.emit("xor", edx, 0x80000000 | 0);
    leave(a);
  }
  a.place(most);
  a.emit("mov", eax, signed && bits === 32 ? 0x7fffffff : -1);
  a.emit("mov", edx, signed ? 0x7fffffff : -1);
  a.emit("jmp", done);
  if (signed) {
    a.place(least);
    a.emit("mov", eax, bits === 32 ? 0x80000000 | 0 : 0);
    a.emit("mov", edx, 0x80000000 | 0);
    a.emit("jmp", done);
  }
  a.place(zero);
  a.emit("xor", eax, eax);
  a.emit("xor", edx, edx);
  a.place(done);
  a.emit("fstp", st0);
  leave(a);
}

/**
 * An unsigned 64-bit integer (words) to st(0), rounded once. Above 2^63 half of it is converted, its last bit kept as a
 * sticky bit so that the rounding sees it, and doubled.
 */
function fromUnsigned64(a: Assembler, result: "single" | "double"): void {
  const large = a.newLabel();
  const place = { base: ebp, displacement: -8 };
  const rounded = result === "single" ? dword(place) : qword(place);
  enter(a, 8);
  a.emit("mov", edx, argument(1));
  a.emit("test", edx, edx);
  a.emit("js", large);
  a.emit("fild", qword({ base: ebp, displacement: 8 }));
  leave(a);
  a.place(large);
  a.emit("mov", eax, argument(0));
  a.emit("mov", ecx, eax);
  a.emit("shrd", eax, edx, 1);
  a.emit("shr", edx, 1);
  a.emit("and", ecx, 1);
  a.emit("or", eax, ecx);
  a.emit("mov", local(-8), eax);
  a.emit("mov", local(-4), edx);
  a.emit("fild", qword(place));
  a.emit("fstp", rounded);
  a.emit("fld", rounded);
  a.emit("fadd", st0, st0);
  leave(a);
}

/** Bits set in EAX, to EAX. Uses EDX. */
function populationCount(a: Assembler): void {
  a.emit("mov", edx, eax);
  a.emit("shr", edx, 1);
  a.emit("and", edx, 0x55555555);
  a.emit("sub", eax, edx);
  a.emit("mov", edx, eax);
  a.emit("shr", edx, 2);
  a.emit("and", edx, 0x33333333);
  a.emit("and", eax, 0x33333333);
  a.emit("add", eax, edx);
  a.emit("mov", edx, eax);
  a.emit("shr", edx, 4);
  a.emit("add", eax, edx);
  a.emit("and", eax, 0x0f0f0f0f);
  a.emit("imul", eax, eax, 0x01010101);
  a.emit("shr", eax, 24);
  a.emit("ret");
}

/** words: destination, source, size; the ranges may overlap. The direction flag is never set: a fault could see it. */
function memoryCopy(a: Assembler): void {
  const saved = [esi, edi];
  const [downwards, words, bytes, nextByte, done] = [
    a.newLabel(),
    a.newLabel(),
    a.newLabel(),
    a.newLabel(),
    a.newLabel(),
  ];
  enter(a, 0, ...saved);
  a.emit("mov", edi, argument(0));
  a.emit("mov", esi, argument(1));
  a.emit("mov", ecx, argument(2));
  a.emit("mov", eax, edi);
  a.emit("sub", eax, esi);
  a.emit("cmp", eax, ecx);
  a.emit("jb", downwards);
  a.emit("mov", eax, ecx);
  a.emit("shr", ecx, 2);
  a.emitPrefixed("rep", "movsd");
  a.emit("mov", ecx, eax);
  a.emit("and", ecx, 3);
  a.emitPrefixed("rep", "movsb");
  a.emit("jmp", done);
  a.place(downwards);
  a.place(words);
  a.emit("cmp", ecx, 4);
  a.emit("jb", bytes);
  a.emit("sub", ecx, 4);
  a.emit("mov", eax, dword({ base: esi, index: ecx }));
  a.emit("mov", dword({ base: edi, index: ecx }), eax);
  a.emit("jmp", words);
  a.place(bytes);
  a.emit("test", ecx, ecx);
  a.emit("je", done);
  a.place(nextByte);
  a.emit("mov", al, byte({ base: esi, index: ecx, displacement: -1 }));
  a.emit("mov", byte({ base: edi, index: ecx, displacement: -1 }), al);
  a.emit("dec", ecx);
  a.emit("jne", nextByte);
  a.place(done);
  leave(a, ...saved);
}

/** words: address, byte, size. */
function memoryFill(a: Assembler): void {
  enter(a, 0, edi);
  a.emit("mov", edi, argument(0));
  a.emit("movzx", eax, byte({ base: ebp, displacement: 12 }));
  a.emit("imul", eax, eax, 0x01010101);
  a.emit("mov", edx, argument(2));
  a.emit("mov", ecx, edx);
  a.emit("shr", ecx, 2);
  a.emitPrefixed("rep", "stosd");
  a.emit("mov", ecx, edx);
  a.emit("and", ecx, 3);
  a.emitPrefixed("rep", "stosb");
  leave(a, edi);
}

interface RuntimeRoutine {
  readonly framed: boolean;
  emit(a: Assembler): void;
}

const framed = (emit: (a: Assembler) => void): RuntimeRoutine => ({ framed: true, emit });
const leaf = (emit: (a: Assembler) => void): RuntimeRoutine => ({ framed: false, emit });

export const runtimeRoutines: Readonly<Record<string, RuntimeRoutine>> = {
  $divideUnsigned64: framed((a) => division(a, "quotient", false)),
  $remainderUnsigned64: framed((a) => division(a, "remainder", false)),
  $divideSigned64: framed((a) => division(a, "quotient", true)),
  $remainderSigned64: framed((a) => division(a, "remainder", true)),
  $populationCount: leaf(populationCount),
  $minimum: leaf((a) => extreme(a, "minimum")),
  $maximum: leaf((a) => extreme(a, "maximum")),
  $ceil: framed((a) => round(a, "up")),
  $floor: framed((a) => round(a, "down")),
  $truncate: framed((a) => round(a, "zero")),
  $nearest: leaf((a) => {
    a.emit("frndint");
    a.emit("ret");
  }),
  $toSigned32: framed((a) => toInteger(a, 32, true)),
  $toUnsigned32: framed((a) => toInteger(a, 32, false)),
  $toSigned64: framed((a) => toInteger(a, 64, true)),
  $toUnsigned64: framed((a) => toInteger(a, 64, false)),
  $saturateSigned32: framed((a) => saturate(a, 32, true)),
  $saturateUnsigned32: framed((a) => saturate(a, 32, false)),
  $saturateSigned64: framed((a) => saturate(a, 64, true)),
  $saturateUnsigned64: framed((a) => saturate(a, 64, false)),
  $fromUnsigned64ToSingle: framed((a) => fromUnsigned64(a, "single")),
  $fromUnsigned64ToDouble: framed((a) => fromUnsigned64(a, "double")),
  $memoryCopy: framed(memoryCopy),
  $memoryFill: framed(memoryFill),
};
