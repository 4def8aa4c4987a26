/** Kernels for the comparison of compiled and interpreted code: endless loops, those with a seed random. */
import { Image, Selector } from "../bench/system-images.ts";
import { Assembler } from "../i386/assembler.ts";
import {
  ax,
  byte,
  cl,
  cr0,
  cr3,
  dh,
  dl,
  ds,
  dword,
  eax,
  ebp,
  ebx,
  ecx,
  edi,
  edx,
  es,
  esi,
  esp,
  fs,
  fword,
  gs,
  type Register,
  registers8,
  registers16,
  registers32,
  ss,
  symbol,
  word,
} from "../i386/assembly.ts";
import { conditions } from "../i386/instruction.ts";

import { buildElfKernel } from "./elf-kernel.ts";
import { Random } from "./instructions/random.ts";

/** Not ESP and EBP, which hold the stack and the window. */
const usable = (register: Register): boolean => register.number !== 4 && register.number !== 5;
const doubles = registers32.filter(usable);
const words = registers16.filter(usable);

/** A program of random instructions in an endless loop, with calls, inner loops and accesses inside a window of memory. */
export function randomProgram(seed: number): Uint8Array {
  const random = new Random(seed);
  const pick = <T>(list: readonly T[]): T => random.pick(list);
  const a = new Assembler();
  const again = a.newLabel();
  const functions = [a.newLabel(), a.newLabel(), a.newLabel()];
  const WINDOW = 0x20_8000;
  const place = () => ({
    base: ebp,
    displacement: random.below(60) * 4 + pick([0, 0, 0, 1, 2, 3, 4090, 4094]),
  });
  const arithmetic = ["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "test"] as const;

  function one(): void {
    const r = pick(doubles);
    const other = pick(doubles);
    switch (random.below(26)) {
      case 22:
      case 23:
      case 24: {
        // Flags of results that are zero, small or equal, read at once.
        const [name, right] = pick([
          ["and", 1],
          ["xor", r],
          ["cmp", r],
          ["sub", r],
          ["add", -1],
          ["cmp", 0],
          ["test", 3],
        ] as const);
        a.emit(name, r, right);
        const condition = pick(conditions);
        const over = a.newLabel();
        if (random.below(2) === 0) a.emit(`j${condition}`, over);
        a.emit(`set${condition}`, dl);
        a.place(over);
        break;
      }
      case 0:
      case 1:
        a.emit(pick(arithmetic), r, other);
        break;
      case 2:
        a.emit(pick(arithmetic), r, random.below(0x1000000) * 200 - 0x40000000);
        break;
      case 3:
        a.emit(pick(["add", "or", "adc", "sbb", "and", "sub", "xor", "cmp"] as const), r, dword(place()));
        break;
      case 4:
        a.emit(pick(arithmetic), dword(place()), r);
        break;
      case 5:
        a.emit(pick(arithmetic), pick(registers8), pick(registers8));
        break;
      case 6:
        a.emit(pick(arithmetic), byte(place()), pick(registers8));
        break;
      case 7:
        a.emit(pick(arithmetic), pick(words), pick(words));
        break;
      case 8:
        a.emit(pick(["inc", "dec", "neg", "not"] as const), pick([r, pick(registers8), dword(place())]));
        break;
      case 9:
        a.emit(pick(["shl", "shr", "sar"] as const), pick([r, dword(place())]), random.below(32));
        break;
      case 10:
        a.emit(pick(["shl", "shr", "sar"] as const), r, cl);
        break;
      case 11:
        a.emit("imul", r, other);
        break;
      case 12:
        a.emit(pick(["mul", "imul"] as const), other);
        break;
      case 13:
        a.emit("mov", r, dword(place()));
        break;
      case 14:
        a.emit("mov", dword(place()), r);
        break;
      case 15:
        a.emit("mov", pick([dh, byte(place())]), pick(registers8));
        break;
      case 16:
        a.emit(pick(["movzx", "movsx"] as const), r, pick([pick(registers8), byte(place()), word(place())]));
        break;
      case 17:
        a.emit("push", r);
        a.emit("pop", other);
        break;
      case 18:
        a.emit(
          pick(["setb", "setle", "seto", "setp", "sets", "sete", "seta", "setl"] as const),
          pick(registers8),
        );
        break;
      case 19:
        a.emit("call", pick(functions));
        break;
      case 20:
        if (random.below(2) === 0) a.emit("cdq");
        else a.emit("bswap", r);
        break;
      default: {
        const over = a.newLabel();
        a.emit(pick(["jo", "jb", "je", "jbe", "js", "jp", "jl", "jle", "jne", "jge"] as const), over);
        a.emit("lea", r, dword({ base: other, index: esi, scale: 4, displacement: random.below(1000) }));
        a.emit("inc", other);
        a.place(over);
      }
    }
  }

  function safely(): void {
    // Not every form above exists for every operand; those that the assembler refuses are left out.
    try {
      one();
    } catch {
      a.emit("nop");
    }
  }

  a.label("start");
  a.emit("mov", esp, 0x20_4000);
  a.emit("mov", ebp, WINDOW);
  a.place(again);
  for (let i = 0; i < 30; i++) safely();
  const inner = a.newLabel();
  a.emit("mov", dword({ displacement: WINDOW - 64 }), 7);
  a.place(inner);
  for (let i = 0; i < 10; i++) safely();
  a.emit("dec", dword({ displacement: WINDOW - 64 }));
  a.emit("jne", inner);
  for (let i = 0; i < 10; i++) safely();
  a.emit("jmp", again);
  for (const label of functions) {
    a.place(label);
    a.emit("xor", edx, eax);
    a.emit("add", dword({ displacement: WINDOW - 60 }), edx);
    a.emit("ret");
  }
  return buildElfKernel(a.finish(), { entry: "start" });
}

/** A loop that runs into an XADD, which each `turns` turns (a power of two) is the target of an indirect jump; so may be the jump back. */
function loopOverXadd(turns: number, goesBackIndirectly: boolean): Uint8Array {
  const a = new Assembler();
  const [again, inside, away] = [a.newLabel(), a.newLabel(), a.newLabel()];
  a.label("start");
  a.emit("mov", edx, inside);
  a.emit("mov", ebx, again);
  a.place(again);
  a.emit("inc", esi);
  a.emit("test", esi, turns - 1);
  a.emit("je", away);
  a.place(inside);
  a.emit("xadd", dword({ displacement: 0x20_8000 }), eax);
  a.emit("inc", eax);
  a.emit("jmp", goesBackIndirectly ? ebx : again);
  a.place(away);
  a.emit("jmp", edx);
  return buildElfKernel(a.finish(), { entry: "start" });
}

/** The XADD becomes an entry of its own after the loop was compiled. */
export function lateEntry(): Uint8Array {
  return loopOverXadd(64, false);
}

/** No branch goes back, and no run is long. */
export function earlyEntry(): Uint8Array {
  return loopOverXadd(4, true);
}

/** A loop that calls a function of another page. */
export function distantCalls(): Uint8Array {
  const a = new Assembler();
  const again = a.newLabel();
  a.label("start");
  a.emit("mov", esp, 0x20_8000);
  a.emit("mov", edx, symbol("distant"));
  a.place(again);
  a.emit("inc", esi);
  a.emit("call", edx);
  a.emit("test", eax, eax);
  a.emit("je", again);
  a.emit("ret");
  a.align(4096);
  a.label("distant");
  a.emit("sub", eax, eax);
  a.emit("ret");
  return buildElfKernel(a.finish(), { entry: "start" });
}

/** Jumps through a table by random numbers: with equal words, one outside of the page, one that is not reached, and two that change places. */
export function jumpTable(): Uint8Array {
  const a = new Assembler();
  const TABLE = 0x20_8000;
  const names = ["one", "two", "two", "three", "four", "outside", "one", "four"];
  a.label("start");
  names.forEach((name, i) => {
    a.emit("mov", dword({ displacement: TABLE + i * 4 }), symbol(name));
  });
  a.emit("mov", eax, 1);
  const again = a.newLabel();
  const kept = a.newLabel();
  a.place(again);
  a.emit("imul", eax, eax, 1664525);
  a.emit("add", eax, 1013904223);
  a.emit("mov", ecx, eax);
  a.emit("shr", ecx, 29);
  a.emit("test", eax, 0x7f_0000);
  a.emit("jne", kept);
  const [first, second] = [0, 1].map((i) => dword({ displacement: TABLE + i * 4 }));
  a.emit("mov", edx, first);
  a.emit("mov", ebx, second);
  a.emit("mov", second, edx);
  a.emit("mov", first, ebx);
  a.place(kept);
  a.emit("jmp", dword({ index: ecx, scale: 4, displacement: TABLE }));
  a.label("one");
  a.emit("add", esi, 3);
  a.label("two");
  a.emit("xor", esi, eax);
  a.emit("jmp", again);
  a.label("three");
  a.emit("dec", esi);
  a.emit("jne", again);
  a.label("four");
  a.emit("inc", edi);
  a.emit("jmp", again);
  a.align(4096);
  a.label("outside");
  a.emit("not", edi);
  a.emit("jmp", symbol("two"));
  return buildElfKernel(a.finish(), { entry: "start" });
}

/** One loop over data, by turns at two bases of DS; CS and SS are flat. */
export function movingBase(): Uint8Array {
  const a = new Assembler();
  const [TABLE, POINTER, BASES] = [0x20_8000, 0x20_8100, [0x21_0000, 0x22_0004]];
  a.label("start");
  a.emit("mov", esp, 0x20_4000);
  const put = (at: number, value: number): void => a.emit("mov", dword({ displacement: at }), value);
  for (const [i, base] of [0, 0, ...BASES].entries()) {
    // Limit FFFFFH in pages, present: code, then data that may be written.
    put(TABLE + i * 8 + 8, 0xffff | (base << 16));
    put(TABLE + i * 8 + 12, 0x00cf_0000 | (base >>> 16) | ((i === 0 ? 0x9b : 0x93) << 8));
  }
  put(POINTER, (TABLE << 16) | 47);
  put(POINTER + 4, TABLE >>> 16);
  a.emit("lgdt", fword({ displacement: POINTER }));
  a.emit("mov", eax, 16);
  a.emit("mov", ss, ax);
  const again = a.newLabel();
  a.place(again);
  for (const selector of [24, 32]) {
    a.emit("mov", eax, selector);
    a.emit("mov", ds, ax);
    a.emit("call", symbol("sum"));
  }
  a.emit("jmp", again);
  a.label("sum");
  a.emit("mov", ecx, 50);
  const next = a.newLabel();
  a.place(next);
  a.emit("add", dword({ base: ecx, displacement: 0x40 }), esi);
  a.emit("mov", edx, dword({ base: ecx, index: ecx, scale: 4 }));
  a.emit("add", esi, edx);
  a.emit("push", edx);
  a.emit("inc", dword({ displacement: 0x80 }));
  a.emit("pop", edi);
  a.emit("dec", ecx);
  a.emit("jne", next);
  a.emit("ret");
  return buildElfKernel(a.finish(), { entry: "start" });
}

/** Paging on; accesses of every size to pages that share a set of the data TLB, aligned and not, some across their ends. */
export function crowdedTlb(seed: number): Uint8Array {
  const random = new Random(seed);
  const a = new Assembler();
  const [TABLE, DIRECTORY] = [0x28_0000, 0x28_1000];
  const place = () => ({
    base: ebp,
    displacement:
      random.below(6) * 0x1_0000 +
      random.below(2) * 0x1000 +
      random.pick([0, 8, 0x10, 0x21, 0x42, 0x63, 4093]),
  });
  a.label("start");
  a.emit("mov", esp, 0x20_4000);
  a.emit("mov", eax, 7);
  const fill = a.newLabel();
  a.place(fill);
  a.emit("mov", edx, eax);
  a.emit("shr", edx, 10);
  a.emit("mov", dword({ base: edx, displacement: TABLE }), eax);
  a.emit("add", eax, 4096);
  a.emit("cmp", eax, 0x40_0000);
  a.emit("jb", fill);
  a.emit("mov", dword({ displacement: DIRECTORY }), TABLE | 7);
  a.emit("mov", eax, DIRECTORY);
  a.emit("mov", cr3, eax);
  a.emit("mov", eax, cr0);
  a.emit("or", eax, 0x8000_0000 | 0);
  a.emit("mov", cr0, eax);
  a.emit("mov", ebp, 0x30_0000);
  const again = a.newLabel();
  a.place(again);
  for (let i = 0; i < 60; i++) {
    const r = random.pick(doubles);
    switch (random.below(8)) {
      case 0:
        a.emit("mov", r, dword(place()));
        break;
      case 1:
        a.emit("mov", dword(place()), r);
        break;
      case 2:
        a.emit("add", dword(place()), r);
        break;
      case 3:
        a.emit("movzx", r, word(place()));
        break;
      case 4:
        a.emit("inc", byte(place()));
        break;
      case 5:
        a.emit("push", dword(place()));
        a.emit("pop", r);
        break;
      case 6:
        // An address-size prefix that no memory operand heeds.
        a.byte(0x67);
        a.emit("mov", r, edx);
        break;
      default:
        a.emit("xor", r, dword(place()));
    }
  }
  a.emit("jmp", again);
  return buildElfKernel(a.finish(), { entry: "start" });
}

/**
 * Ring 3 loads data segments of every kind by turns with accesses through them and calls of rings 1 and 0, which load segments too. A fault goes on
 * where ESI says.
 */
export function segmentLoads(seed: number): Uint8Array {
  const random = new Random(seed);
  const pick = <T>(list: readonly T[]): T => random.pick(list);
  const image = new Image();
  const { a } = image;
  image.gate(13, "fault", Selector.code0, 0);
  image.gate(0x30, "ring1", Selector.code1, 3);
  image.gate(0x31, "ring0", Selector.code0, 3);
  image.enterRing(3);
  const segments = [ds, ds, es, fs, gs];
  const { data0, data1, data3, code1, code3 } = Selector;
  const selectors = [0, 3, data0, data1, data3, data3, data3 & ~3, code1, code3, Selector.tss, 0x100];
  const place = () => ({
    segment: pick([undefined, undefined, es, fs, gs]),
    displacement: 0x20_8000 + pick([0, 4, 8, 1, 4093]),
  });
  const load = (): void => {
    a.emit("mov", eax, pick(selectors));
    if (pick([0, 1, 2]) !== 0) a.emit("mov", pick(segments), ax);
    else {
      a.emit("push", eax);
      a.emit("pop", pick(segments));
    }
  };
  image.repeat(50, () => {
    for (let i = 0; i < 60; i++) {
      a.emit("mov", esi, symbol(`after${i}`));
      const action = pick(["load", "load", "load", "read", "write", "modify", "ring1", "ring0"]);
      if (action === "read") a.emit("add", ecx, dword(place()));
      else if (action === "write") a.emit("mov", dword(place()), ecx);
      else if (action === "modify") a.emit("inc", dword(place()));
      else if (action === "ring1") a.emit("int", 0x30);
      else if (action === "ring0") a.emit("int", 0x31);
      else load();
      a.label(`after${i}`);
    }
  });
  a.label("fault");
  a.emit("add", esp, 4);
  a.emit("mov", dword({ base: esp }), esi);
  a.emit("iretd");
  a.label("ring1");
  a.emit("push", ds);
  a.emit("push", es);
  a.emit("mov", eax, data1);
  a.emit("mov", ds, ax);
  a.emit("mov", es, ax);
  a.emit("inc", dword({ displacement: 0x20_8000 }));
  a.emit("pop", es);
  a.emit("pop", ds);
  a.label("ring0");
  a.emit("iretd");
  return image.finish("segment loads", 50).bytes;
}
