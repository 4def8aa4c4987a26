/**
 * What operations need so that cases reach their interesting paths: divisors that sometimes fit, counts around the operand
 * size, strings inside and across pages, stacks that hold a frame, selectors that load and that fault. Also which of their
 * results the manual leaves undefined beyond what the table says.
 */
import { AC, AF, CF, DF, OF, PF, SF, ZF } from "../../i386/instruction.ts";
import type { CaseBuilder } from "./builder.ts";
import * as layout from "./layout.ts";

const [EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI] = [0, 1, 2, 3, 4, 5, 6, 7] as const;
const ARITHMETIC = CF | PF | AF | ZF | SF | OF;

/** Selectors with the same meaning in Linux's GDT and the harness's: null, the two user segments, kernel segments, none, LDT. */
const dataSelectors = [
  0,
  3,
  layout.USER_DATA,
  layout.USER_DATA & ~3,
  layout.USER_CODE,
  0x10,
  0x1b,
  0xfff8,
  0x2f,
  0x0f,
];
const anySelectors = [...dataSelectors, 0x20, 0x08, 0x13, 0xffff];

type Preparation = (b: CaseBuilder, slot: number) => void;

function shiftCount(b: CaseBuilder): number {
  const { random } = b;
  const count = random.pick([0, 1, 1, 2, 7, 8, 9, 15, 16, 17, 18, 31, 32, 33, 63, random.below(256)]);
  if (b.has("CL")) {
    b.registers[ECX] = (b.registers[ECX]! & ~0xff) | count;
    b.reserved.add(ECX);
  } else if (b.has("Ib")) b.immediates = [count];
  const effective = b.has("1") ? 1 : count & 31;
  return effective;
}

const shift: Preparation = (b) => {
  // CL may be part of the operand: the count is what it is then.
  const count = shiftCount(b);
  if (count === 0) {
    b.undefinedFlags = 0;
    return;
  }
  if (count !== 1) b.undefineOverflow();
  if (/^(shl|shr)$/.test(b.row.mnemonic) && count >= b.datumSize * 8) b.undefinedFlags |= CF;
};

const doubleShift: Preparation = (b) => {
  const count = shiftCount(b);
  const limit = b.size * 8;
  if (count === 0) b.undefinedFlags = 0;
  else if (count !== 1) b.undefineOverflow();
  if (count > limit) {
    // Result and flags are undefined: use a count that is not.
    b.registers[ECX] = (b.registers[ECX]! & ~0xff) | limit;
    if (b.has("Ib")) b.immediates = [limit];
  }
};

/** Half of the divisions get a dividend whose quotient fits. */
const divide: Preparation = (b) => {
  const { random } = b;
  const size = b.datumSize;
  b.reserved.add(EAX).add(EDX);
  const divisor = random.pick([0, 1, 2, 3, 10, 0x7f, 0x80, 0xff, random.operand(), random.operand()]);
  const signed = b.row.mnemonic === "idiv";
  if (random.chance(2, 3)) {
    const high = signed ? random.pick([0, -1, 0, 1]) : random.below(3);
    if (size === 1) b.registers[EAX] = (b.registers[EAX]! & ~0xff00) | ((high & 0xff) << 8);
    else b.setRegister(EDX, size, high);
  }
  if (!b.form.memory) {
    // A divisor in AX or DX would be the dividend.
    if (size > 1) b.rm = random.pick([ECX, EBX, ESI, EDI]);
    else b.rm = random.pick([1, 2, 3, 5, 6, 7]);
  }
  b.setDatum(divisor);
};

const repeated = (b: CaseBuilder) => b.form.prefixes.some((prefix) => prefix === 0xf2 || prefix === 0xf3);

const string: Preparation = (b) => {
  const { random } = b;
  const place = () => {
    if (random.chance(1, 10)) return layout.DATA_END - random.below(12);
    if (random.chance(1, 12)) return layout.READ_ONLY + random.below(32);
    if (random.chance(1, 12)) return layout.DATA + random.below(4) - 2;
    return layout.WINDOW_A + 200 + random.below(120);
  };
  b.registers[ESI] = place();
  b.registers[EDI] = random.chance(1, 5) ? b.registers[ESI]! + random.below(16) - 8 : place();
  if (repeated(b)) {
    // With a count of zero, whether the privilege of a port is checked differs between processors.
    const ports = /^(ins|outs)$/.test(b.row.operation);
    b.registers[ECX] = random.pick([ports ? 4 : 0, 1, 2, 3, 5, 8, 13, 20]);
    if (b.form.addressSize16)
      b.registers[ECX] = (random.bits() & ~0xffff) | (random.below(4) + (ports ? 1 : 0));
  }
  if (/^(scas|cmps)$/.test(b.row.operation)) {
    // Runs of equal bytes, so that repetition goes on for a while.
    const value = random.pick([0, 0x41, 0xff]);
    for (let i = 180; i < 340; i++) if (!random.chance(1, 30)) b.memory[i] = value;
    if (random.chance(3, 4)) b.registers[EAX] = value | (value << 8) | (value << 16) | (value << 24) | 0;
  }
};

const bitOffset: Preparation = (b) => {
  if (!b.has("Gv")) return;
  const reg = b.chooseReg();
  b.target = layout.WINDOW_A + 256 + b.random.below(16);
  b.reserved.add(reg);
  if (b.form.memory) b.setRegister(reg, b.size, b.random.below(1600) - 800);
};

const stackWords = (b: CaseBuilder, values: readonly number[]): void => {
  values.forEach((value, i) => {
    b.store(b.registers[ESP]! + i * b.size, b.size, value);
  });
};

const returnNear: Preparation = (b, slot) => {
  stackWords(b, [b.branchTarget(slot, 4)]);
  b.immediates = [b.random.pick([0, 4, 8, 12, 1])];
};

const codeSelectors = [
  ...new Array<number>(6).fill(layout.USER_CODE),
  0,
  layout.USER_DATA,
  0x20,
  0x08,
  0x0b,
  0xfff8,
];

const returnFar: Preparation = (b, slot) => {
  stackWords(b, [b.branchTarget(slot, 4), b.random.pick(codeSelectors)]);
  b.immediates = [b.random.pick([0, 4, 8])];
};

/** User-changeable flags, without TF (single-stepping the harness) and NT (a task return). */
const poppableFlags = (b: CaseBuilder): number =>
  (b.random.bits() & (ARITHMETIC | DF | 0x21_3202 | (b.random.chance(1, 4) ? AC : 0))) | 2;

const interruptReturn: Preparation = (b, slot) => {
  stackWords(b, [b.branchTarget(slot, 4), b.random.pick(codeSelectors), poppableFlags(b)]);
};

const farPointer = (b: CaseBuilder, offset: number, selector: number): void => {
  b.store(b.target, b.size, offset);
  b.store(b.target + b.size, 2, selector);
};

const indirect: Preparation = (b, slot) => {
  // ESP always holds a good target: what lies on the stack is not code.
  if (b.random.chance(7, 8) || b.chooseRm() === ESP) b.setDatum(b.branchTarget(slot, 8));
};

const segmentLoad: Preparation = (b) => {
  b.setDatum(b.random.pick(dataSelectors));
  // 1 would be CS, 6 and 7 do not exist: #UD for all three.
  b.reg = b.random.pick([0, 0, 2, 3, 3, 4, 5, 1, 6, 7]);
};

const selectorTest: Preparation = (b) => {
  b.setDatum(b.random.pick(anySelectors));
};

/** BSF and BSR of zero leave the destination undefined. */
const bitScan: Preparation = (b) => {
  if (b.random.chance(1, 5)) {
    b.setDatum(0);
    b.undefinedRegisterBits[b.chooseReg()] = -1;
  } else {
    b.setDatum(b.random.pick([1, 0x80, 0x8000, 0x10000, 0x80000000, b.random.bits() | 1]));
  }
};

export const preparations: Readonly<Record<string, Preparation>> = {
  ...Object.fromEntries(["rol", "ror", "rcl", "rcr", "shl", "shr", "sar"].map((name) => [name, shift])),
  ...Object.fromEntries(
    ["movs", "cmps", "stos", "lods", "scas", "ins", "outs"].map((name) => [name, string]),
  ),
  ...Object.fromEntries(["bt", "bts", "btr", "btc"].map((name) => [name, bitOffset])),
  shld: doubleShift,
  shrd: doubleShift,
  div: divide,
  idiv: divide,
  bsf: bitScan,
  bsr: bitScan,
  aam: (b) => {
    b.immediates = [b.random.pick([10, 10, 0, 1, 16, b.random.below(256)])];
    if (b.immediates[0] === 0) b.undefinedFlags = ARITHMETIC;
  },
  xlatb: (b) => {
    b.registers[EBX] = layout.WINDOW_A + 100 + b.random.below(150);
  },
  cmpxchg: (b) => {
    b.reserved.add(EAX);
    if (b.random.chance(1, 2)) b.setDatum(b.registers[EAX]!);
  },
  cmpxchg8b: (b) => {
    b.reserved.add(EAX).add(EDX).add(ECX).add(EBX);
    if (!b.random.chance(1, 2)) return;
    b.store(b.target, 4, b.registers[EAX]!);
    b.store(b.target + 4, 4, b.registers[EDX]!);
  },
  bswap: (b) => {
    b.chooseRm();
    if (b.form.operandSize16) b.undefinedRegisterBits[b.rm] = -1;
  },
  enter: (b) => {
    b.immediates = [b.random.below(64), b.random.pick([0, 1, 2, 3, 7, 31, 32, 33])];
    b.registers[EBP] = layout.WINDOW_A + 300 + b.random.below(20) * 4;
  },
  leave: (b) => {
    if (b.random.chance(7, 8)) b.registers[EBP] = layout.WINDOW_A + 200 + b.random.below(200);
  },
  retNear: returnNear,
  retFar: returnFar,
  iret: interruptReturn,
  popf: (b) => stackWords(b, [poppableFlags(b)]),
  // 16 bits of the selector are stored; whether the other half of the word changes differs between processors.
  pushSegment: (b) => {
    if (b.size === 4) b.undefinedMemory.push([layout.memoryIndex(b.registers[ESP]! - 2), 2]);
  },
  popSegment: (b) => stackWords(b, [b.random.pick(dataSelectors)]),
  movToSegment: segmentLoad,
  movFromSegment: (b) => {
    b.reg = b.random.below(8);
    // Upper half of a 32-bit destination: zero on later processors, undefined on a Pentium.
    if (!b.form.memory && b.size === 4) b.undefinedRegisterBits[b.chooseRm()] = 0xffff0000;
  },
  loadFarPointer: (b) => farPointer(b, b.random.operand(), b.random.pick(dataSelectors)),
  lar: (b, slot) => {
    selectorTest(b, slot);
    // Bits of the limit's upper part in the result are undefined.
    if (b.size === 4) b.undefinedRegisterBits[b.chooseReg()] = 0xf0000;
  },
  lsl: selectorTest,
  verr: selectorTest,
  verw: selectorTest,
  arpl: (b) => {
    if (b.random.chance(1, 2)) b.setDatum(b.random.below(8));
  },
  jmpIndirect: indirect,
  callIndirect: indirect,
  jmpFarIndirect: (b, slot) => farPointer(b, b.branchTarget(slot, 8), b.random.pick(codeSelectors)),
  callFarIndirect: (b, slot) => farPointer(b, b.branchTarget(slot, 8), b.random.pick(codeSelectors)),
  jmpFar: (b, slot) => {
    b.immediates = [b.branchTarget(slot, 9), b.random.pick(codeSelectors)];
  },
  callFar: (b, slot) => {
    b.immediates = [b.branchTarget(slot, 9), b.random.pick(codeSelectors)];
  },
  bound: (b) => {
    const value = b.random.operand();
    b.setRegister(b.chooseReg(), b.size, value);
    b.reserved.add(b.reg);
    b.store(b.target, b.size, value - b.random.below(3) + 1);
    b.store(b.target + b.size, b.size, value + b.random.below(3) - 1);
  },
  ...Object.fromEntries(
    ["loop", "loope", "loopne", "jcxz"].map((name) => [
      name,
      (b: CaseBuilder) => {
        b.registers[ECX] = b.random.pick([0, 1, 2, 0x10000, 0x10001, b.random.bits()]);
      },
    ]),
  ),
  // INT 3 and INT 4 have gates for ring 3; 80h is Linux's system call.
  int: (b) => {
    b.immediates = [b.random.pick([3, 4, 0, 1, 2, 5, 8, 13, 14, 0x20, 0x30, 0x7f, 0x81, 0xff])];
  },
  movToControl: (b) => {
    b.reg = b.random.pick([0, 2, 3, 4]);
  },
  movFromControl: (b) => {
    b.reg = b.random.pick([0, 2, 3, 4]);
  },
  movToDebug: (b) => {
    b.reg = b.random.pick([0, 1, 2, 3, 6, 7]);
  },
  movFromDebug: (b) => {
    b.reg = b.random.pick([0, 1, 2, 3, 6, 7]);
  },
};
