/**
 * Random deliveries and returns between rings, over and over, with tables that lie in sets of the TLB which the program uses too, and are now
 * and then changed. What the engine remembers of its checks must leave the machine as the slow way does, ages of the TLB included.
 */
import { describe, expect, it } from "vitest";
import { Random } from "../test/instructions/random.ts";
import { describe as descriptor } from "../test/system/check-writer.ts";
import { type Program, placeCode, quickWays, runProgram } from "../test/three-ways.ts";
import { Assembler } from "./assembler.ts";
import {
  ax,
  cr0,
  cr3,
  ds,
  dword,
  eax,
  ebx,
  ecx,
  edi,
  es,
  esi,
  esp,
  far,
  fword,
  memory,
  ss,
  symbol,
} from "./assembly.ts";

const MEMORY = 0x10_0000;
const DIRECTORY = 0x1000;
const TABLE = 0x2000;
/** Good tables, from which they are mended. */
const SAVED = 0x3000;
const CODE = 0x1_0000;
const FLAT = 0xc;
const [CODE0, DATA0, CODE1, DATA1, CODE3, DATA3, CONFORMING, TSS] = [
  ...([0x8, 0x10, 0x19, 0x21, 0x2b, 0x33, 0x38, 0x40] as const),
] as const;
const DESCRIPTORS = 9;
const FIRST_VECTOR = 0x30;
const VECTORS = 0x33;
const CYCLES = 100_000;
const CASES = 32;

/** The same for the same seed. */
function makeCase(seed: number): Program {
  const random = new Random(seed);
  const image = new Uint8Array(MEMORY);
  const view = new DataView(image.buffer);
  const put = (address: number, value: number) => view.setInt32(address, value, true);
  const putPair = (address: number, [low, high]: readonly [number, number]) => {
    put(address, low);
    put(address + 4, high);
  };
  // Pages of one set of the data TLB, or of several; the last are the program's own.
  const sets = random.pick([
    [8, 8, 8],
    [8, 8, 9],
    [8, 9, 9],
    [8, 9, 10],
  ]);
  const page = (row: number, which: number): number => (row * 16 + sets[which]!) << 12;
  const isTogether = random.chance(1, 4);
  const idt = page(2, 0);
  const gdt = isTogether ? idt + 0x800 : page(3, 1);
  const tss = isTogether ? idt + 0xc00 : page(4, 2);
  const stack = random.chance(1, 3) ? page(5, random.below(3)) : 0x5_0000;
  const stack3 = random.chance(1, 3) ? page(6, random.below(3)) : 0x6_0000;
  const touched = [7, 8, 9, 10].map((row) => page(row, random.below(3)));

  const a = new Assembler();
  a.emit("lgdt", fword({ displacement: CODE - 16 }));
  a.emit("lidt", fword({ displacement: CODE - 8 }));
  a.emit("mov", eax, DIRECTORY);
  a.emit("mov", cr3, eax);
  a.emit("mov", eax, cr0);
  a.emit("or", eax, random.chance(1, 8) ? 0x1_0000 : 0x8001_0000 | 0);
  a.emit("mov", cr0, eax);
  a.emit("mov", eax, TSS);
  a.emit("ltr", ax);
  // Faults come here: whatever was the matter, things are good again.
  a.label("again");
  a.emit("mov", eax, DATA0);
  for (const segment of [ds, es, ss]) a.emit("mov", segment, ax);
  a.emit("mov", esp, 0x7_0000);
  for (const [from, to, bytes] of [
    [SAVED, idt, VECTORS * 8],
    [SAVED + 0x400, gdt, DESCRIPTORS * 8],
    [SAVED + 0x800, tss, 0x68],
  ] as const) {
    a.emit("mov", esi, from);
    a.emit("mov", edi, to);
    a.emit("mov", ecx, bytes / 4);
    a.emit("cld");
    const next = a.newLabel();
    a.place(next);
    a.emit("movsd");
    a.emit("dec", ecx);
    a.emit("jne", next);
  }
  a.emit("inc", dword({ displacement: 0x7_8000 }));
  a.emit("mov", ecx, dword({ displacement: 0x7_8000 }));
  a.emit("jmp", far(CODE0, symbol("ring0")));
  a.label("ring0");
  const ring = random.pick([0, 1, 1, 3, 3]);
  if (ring !== 0) {
    a.emit("push", ring === 1 ? DATA1 : DATA3);
    a.emit("push", stack3 + 0xc00);
    a.emit("push", random.pick([0x3202, 0x3202, 0x3002, 0x2]));
    a.emit("push", ring === 1 ? CODE1 : CODE3);
    a.emit("push", symbol("loop"));
    a.emit("iretd");
  } else a.emit("mov", esp, stack3 + 0xc00);
  a.label("loop");
  if (ring !== 0) {
    a.emit("mov", eax, ring === 1 ? DATA1 : DATA3);
    a.emit("mov", ds, ax);
    a.emit("mov", es, ax);
  }
  const word = (address: number) => dword({ displacement: address });
  /** Something to spoil, and the bits. */
  const spoilt = (): readonly [address: number, bits: number] => {
    const gate = idt + 8 * (FIRST_VECTOR + random.below(VECTORS - FIRST_VECTOR));
    const segment = gdt + 8 * (3 + random.below(DESCRIPTORS - 4));
    return random.pick([
      [gate, random.pick([0x20, 0x40])],
      [gate, random.pick([0x10_0000, 0x20_0000, 3 << 16])],
      [gate + 4, random.pick([0x100, 0x6000, 0x2000, 0x8000, 0x500])],
      [gdt + CODE0, random.pick([1, 2])],
      [segment, random.pick([1, 0x1_0000, 0x8000])],
      [segment + 4, random.pick([0x100, 0x200, 0x400, 0x800, 0x2000, 0x6000, 0x8000, 1, 0x80_0000])],
      [TABLE + 4 * (random.pick([...touched, idt, stack, stack3]) >>> 12), random.pick([1, 2, 4])],
      [tss + 4, random.pick([4, 0x10, 0x100, 0x1000, 2])],
      [tss + 8, random.pick([1, 3, 0x8])],
      [tss + 12, random.pick([4, 0x10, 0x1000])],
    ] as const);
  };
  for (let i = 0; i < 12; i++) {
    switch (random.below(11)) {
      case 0:
      case 1:
      case 2:
      case 3:
        a.emit("int", FIRST_VECTOR + random.below(VECTORS - FIRST_VECTOR));
        break;
      case 4:
        a.emit("mov", ebx, word(random.pick([...touched, idt, gdt, tss])));
        break;
      case 5:
        a.emit("add", word(random.pick(touched) + 4), ecx);
        break;
      case 6:
      case 9:
      case 10: {
        // Seldom, and taken back by the next time.
        const [address, bits] = spoilt();
        const skip = a.newLabel();
        a.emit("inc", ecx);
        a.emit("test", ecx, random.pick([7, 15, 63]));
        a.emit("jne", skip);
        a.emit("xor", word(address), bits);
        a.place(skip);
        break;
      }
      case 7:
        a.emit("sub", ebx, ecx);
        break;
      default:
        if (random.chance(1, 8)) a.emit("ud2");
    }
  }
  a.emit("inc", ecx);
  a.emitNear("jmp", symbol("loop"));

  // Targets of gates, 16 bytes each, at the start of a page and in the middle of one of the same set of the code TLB.
  const handlers = [0x8_0000, 0x9_0000];
  const code = placeCode(a, image, CODE);
  for (const start of handlers) {
    for (let slot = 0; slot < 10; slot++) {
      const h = new Assembler();
      const page = random.pick([...touched, idt, gdt, tss]);
      if (random.chance(1, 2)) h.emit("mov", ebx, dword({ displacement: page }));
      // The others are for ring 0.
      if (slot === 4) h.emit("lidt", fword({ displacement: CODE - 24 }));
      if (slot === 5) h.emit("lidt", fword({ displacement: CODE - 8 }));
      if (slot === 8) h.emit("lgdt", fword({ displacement: CODE - 32 }));
      if (slot === 9) h.emit("lgdt", fword({ displacement: CODE - 16 }));
      if (slot === 6) h.emit("invlpg", memory({ displacement: page }));
      if (slot === 7) {
        h.emit("mov", ebx, cr3);
        h.emit("mov", cr3, ebx);
      }
      h.emit("iretd");
      placeCode(h, image, start + 32 * slot);
    }
  }
  for (let vector = 0; vector < VECTORS; vector++) {
    const isFault = vector < FIRST_VECTOR;
    const within = [CODE0, CODE0, CODE0, CODE1, CODE3, CONFORMING].filter((each) => (each & 3) <= ring);
    const selector = isFault ? CODE0 : random.pick(random.chance(1, 12) ? [CODE3] : within);
    const slot = selector === CODE0 ? random.pick([0, 1, 4, 4, 5, 6, 7, 8, 8, 9]) : random.below(4);
    const target = isFault ? code("again") : random.pick(handlers) + 32 * slot;
    const isTrap = random.chance(1, 3);
    const dpl = isFault || random.chance(1, 16) ? 0 : 3;
    putPair(SAVED + 8 * vector, [
      ((selector & -4) << 16) | (target & 0xffff),
      (target & 0xffff_0000) | (isTrap ? 0x8f00 : 0x8e00) | (dpl << 13),
    ]);
  }
  const table = [
    [0, 0] as const,
    ...[0x9b, 0x93, 0xbb, 0xb3, 0xfb, 0xf3, 0x9f].map((type) => descriptor(0, 0xf_ffff, type, FLAT)),
    descriptor(tss, 0x67, 0x89),
  ];
  table.forEach((each, index) => {
    putPair(SAVED + 0x400 + 8 * index, each);
    putPair(gdt + 8 * index, each);
  });
  for (const [offset, value] of [
    [4, stack + 0x800],
    [8, DATA0],
    [12, stack + 0xa00],
    [16, DATA1],
  ] as const)
    put(SAVED + 0x800 + offset, value);
  for (let page = 0; page < MEMORY >>> 12; page++) put(TABLE + 4 * page, (page << 12) | 7);
  put(DIRECTORY, TABLE | 7);
  view.setUint16(CODE - 16, 8 * DESCRIPTORS - 1, true);
  put(CODE - 14, gdt);
  view.setUint16(CODE - 8, 8 * VECTORS - 1, true);
  put(CODE - 6, idt);
  // Other tables, which nothing spoils.
  view.setUint16(CODE - 32, 8 * DESCRIPTORS - 1, true);
  put(CODE - 30, SAVED + 0x400);
  view.setUint16(CODE - 24, 8 * VECTORS - 1, true);
  put(CODE - 22, SAVED);
  return { image, entry: CODE, cycles: CYCLES, parts: 3, isInterrupted: random.chance(1, 3) };
}

describe("gates", () => {
  it("at random", () => {
    const counts = new Map<number, number>();
    for (let seed = 0; seed < CASES; seed++) {
      const one = makeCase(seed);
      const slow = runProgram(one, null, {
        trap: (vector) => counts.set(vector, (counts.get(vector) ?? 0) + 1),
      });
      for (const [way, compiler] of quickWays)
        expect(runProgram(one, compiler, null), `seed ${seed}, ${way}`).toEqual(slow);
    }
    for (const vector of [6, 13, 0x20]) expect(counts.get(vector), `vector ${vector}`).toBeGreaterThan(0);
    for (let vector = FIRST_VECTOR; vector < VECTORS; vector++)
      expect(counts.get(vector), `vector ${vector}`).toBeGreaterThan(CASES * 100);
  });
});
