/**
 * Bare kernels that time one mechanism of the processor each: gates, returns, segment loads, page faults, task gates, page-table
 * switches, cold code, code that is written. They run on any machine that loads multiboot images.
 *
 * Protocol: the guest writes one byte to port 0xe9 and to the first serial port (a *mark*) when it is ready, and one behind every
 * interval of `operations` operations, for ever; the host takes the time between marks.
 *
 * Paging is on: linear 0 to 4 MB and 1 GB to 1 GB + 4 MB are physical 0 to 4 MB, open to all rings. Segments of ring 3 have base 0, limit
 * 2 GB; those of ring 1 base 1 GB, limit 4 GB, as the kernel of the paper has them (§6.1); so a virtual address is the same number in every ring.
 */

import { Assembler } from "../i386/assembler.ts";
import {
  al,
  ax,
  byte,
  cr0,
  cr3,
  ds,
  dword,
  dx,
  eax,
  ebx,
  ecx,
  edi,
  edx,
  es,
  esi,
  esp,
  far,
  fs,
  fword,
  gs,
  type Label,
  memory,
  ss,
  symbol,
} from "../i386/assembly.ts";
import { buildElfKernel } from "../test/elf-kernel.ts";

export interface SystemImage {
  readonly name: string;
  /** Multiboot ELF. */
  readonly bytes: Uint8Array;
  /** Operations between two marks. */
  readonly operations: number;
}

const IDT = 0x28_0000;
const TSS = 0x28_1000;
const OTHER_TSS = 0x28_1080;
const DIRECTORY = 0x28_2000;
const TABLE = 0x28_3000;
/** Pages that a program may map, unmap and touch. */
const WINDOW = 0x30_0000;
const STACK0 = 0x29_0000;
const STACK1 = 0x2a_0000;
const STACK3 = 0x2b_0000;
const ZEROED_END = 0x3f_0000;

export const Selector = {
  ...{ code0: 0x08, data0: 0x10, code1: 0x19, data1: 0x21, code3: 0x2b, data3: 0x33 },
  ...{ tss: 0x38, otherTss: 0x40 },
} as const;

const Gate = { interrupt: 0x8e00, task: 0x8500 } as const;
const FLAGS = 0x3002;

/** A kernel in the making: tables, paging, then what `main` is followed by. */
export class Image {
  readonly a = new Assembler();

  constructor() {
    const { a } = this;
    a.label("start");
    a.emit("cli");
    a.emit("mov", esp, STACK0);
    a.emit("lgdt", fword({ displacement: symbol("gdtRegister") }));
    const flat = a.newLabel();
    a.emit("jmp", far(Selector.code0, flat));
    a.place(flat);
    a.emit("mov", ax, Selector.data0);
    for (const segment of [ds, es, ss, fs, gs]) a.emit("mov", segment, ax);
    a.emit("lidt", fword({ displacement: symbol("idtRegister") }));
    this.store(TSS + 4, STACK0);
    this.store(TSS + 8, Selector.data0);
    this.store(TSS + 12, STACK1);
    this.store(TSS + 16, Selector.data1);
    // Page table: identity; directory: at 0 and at 1 GB.
    a.emit("mov", edi, TABLE);
    a.emit("mov", eax, 7);
    const next = a.newLabel();
    a.place(next);
    a.emit("mov", dword({ base: edi }), eax);
    a.emit("add", eax, 4096);
    a.emit("add", edi, 4);
    a.emit("cmp", edi, TABLE + 4096);
    a.emit("jb", next);
    this.store(DIRECTORY, TABLE | 7);
    this.store(DIRECTORY + 1024, TABLE | 7);
    a.emit("mov", eax, DIRECTORY);
    a.emit("mov", cr3, eax);
    a.emit("mov", eax, cr0);
    a.emit("or", eax, 0x8000_0000 | 0);
    a.emit("mov", cr0, eax);
    const paged = a.newLabel();
    a.emit("jmp", paged);
    a.place(paged);
    a.emit("mov", ax, Selector.tss);
    a.emit("ltr", ax);
    a.emit("jmp", symbol("main"));

    a.align(8);
    a.label("gdt");
    const descriptors: readonly (readonly [low: number, high: number])[] = [
      [0, 0],
      [0xffff, 0x00cf9b00],
      [0xffff, 0x00cf9300],
      [0xffff, 0x40cfbb00],
      [0xffff, 0x40cfb300],
      [0xffff, 0x00c7fb00],
      [0xffff, 0x00c7f300],
      [0x67 | ((TSS & 0xffff) << 16), 0x8900 | (TSS >> 16)],
      [0x67 | ((OTHER_TSS & 0xffff) << 16), 0x8900 | (OTHER_TSS >> 16)],
    ];
    for (const [low, high] of descriptors) {
      a.dword(low);
      a.dword(high);
    }
    a.label("gdtRegister");
    a.word(descriptors.length * 8 - 1);
    a.dword(symbol("gdt"));
    a.label("idtRegister");
    a.word(256 * 8 - 1);
    a.dword(IDT);
    a.align(16);
    a.label("main");
  }

  store(address: number, value: number): void {
    this.a.emit("mov", dword({ displacement: address }), value);
  }

  /** Points a vector at a symbol. */
  gate(vector: number, handler: string, selector: number, dpl: number, type: number = Gate.interrupt): void {
    const { a } = this;
    a.emit("mov", eax, symbol(handler));
    a.emit("mov", edx, eax);
    a.emit("and", eax, 0xffff);
    a.emit("or", eax, (selector << 16) | 0);
    a.emit("mov", dword({ displacement: IDT + 8 * vector }), eax);
    a.emit("and", edx, 0xffff0000 | 0);
    a.emit("or", edx, type | (dpl << 13));
    a.emit("mov", dword({ displacement: IDT + 8 * vector + 4 }), edx);
  }

  /** Has a vector switch to the other task, which starts at a symbol, at ring 0 and in the same address space. */
  taskGate(vector: number, entry: string): void {
    for (const [offset, value] of [
      ...([
        [28, DIRECTORY],
        [36, 2],
        [56, STACK1],
      ] as const),
      ...[72, 80, 84, 88, 92].map((each) => [each, Selector.data0] as const),
      [76, Selector.code0] as const,
    ]) {
      this.store(OTHER_TSS + offset, value);
    }
    // Back to the first task's directory.
    this.store(TSS + 28, DIRECTORY);
    this.a.emit("mov", dword({ displacement: OTHER_TSS + 32 }), symbol(entry));
    this.store(IDT + 8 * vector, (Selector.otherTss << 16) | 0);
    this.store(IDT + 8 * vector + 4, Gate.task);
  }

  /** Goes on in ring 1 or 3, interrupts off, I/O allowed. */
  enterRing(ring: 1 | 3): void {
    const { a } = this;
    const inside = a.newLabel();
    const there = a.newLabel();
    a.emit("push", ring === 1 ? Selector.data1 : Selector.data3);
    a.emit("push", ring === 1 ? STACK1 : STACK3);
    a.emit("push", FLAGS);
    a.emit("push", ring === 1 ? Selector.code1 : Selector.code3);
    a.emit("call", there);
    a.place(inside);
    a.emit("mov", ax, ring === 1 ? Selector.data1 : Selector.data3);
    a.emit("mov", ds, ax);
    a.emit("mov", es, ax);
    const after = a.newLabel();
    a.emit("jmp", after);
    a.place(there);
    a.emit("iretd");
    a.place(after);
  }

  /** Changes EAX and EDX. */
  mark(): void {
    const { a } = this;
    a.emit("mov", al, 0x2e);
    for (const port of [0xe9, 0x3f8]) {
      a.emit("mov", dx, port);
      a.emit("out", dx, al);
    }
  }

  /** Marks, then repeats `body` for ever with a mark behind every `operations`; EDI counts and must be kept. */
  repeat(operations: number, body: () => void): void {
    const { a } = this;
    const again = a.newLabel();
    const operation = a.newLabel();
    a.place(again);
    this.mark();
    a.emit("mov", edi, operations);
    // A page of its own, so that a body that is written does not slow the loop that calls it.
    a.align(16);
    a.place(operation);
    body();
    a.emit("dec", edi);
    a.emitNear("jne", operation);
    a.emitNear("jmp", again);
  }

  finish(name: string, operations: number): SystemImage {
    const code = this.a.finish();
    const zeroed = ZEROED_END - 0x10_0000 - 16 - code.text.length;
    return { name, operations, bytes: buildElfKernel(code, { entry: "start", zeroed }) };
  }
}

function nullInterrupt(ring: 1 | 3, name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  image.gate(0x31, "handler", Selector.code0, 3);
  image.enterRing(ring);
  image.repeat(operations, () => a.emit("int", 0x31));
  a.label("handler");
  a.emit("iretd");
  return image.finish(name, operations);
}

/** 14 instructions from INT to behind IRET: entry, the kernel's data segments, the caller's back. */
function systemCall(name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  image.gate(0x30, "entry", Selector.code1, 3);
  image.enterRing(3);
  image.repeat(operations, () => a.emit("int", 0x30));
  a.label("entry");
  a.emit("push", ebx);
  a.emit("push", ds);
  a.emit("push", es);
  a.emit("mov", ebx, Selector.data1);
  a.emit("mov", ds, ebx);
  a.emit("mov", es, ebx);
  a.emit("add", dword({ displacement: WINDOW }), 1);
  a.emit("pop", es);
  a.emit("pop", ds);
  a.emit("cmp", eax, 100);
  a.emit("pop", ebx);
  a.emit("nop");
  a.emit("iretd");
  return image.finish(name, operations);
}

/** One page is touched that is not there; the handler takes another away and maps this one. */
function pageFault(name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  const entry = (page: number) => dword({ displacement: TABLE + ((WINDOW >> 12) + page) * 4 });
  image.gate(14, "fault", Selector.code0, 0);
  image.store(TABLE + (WINDOW >> 12) * 4, 0);
  image.store(TABLE + ((WINDOW >> 12) + 1) * 4, 0);
  image.enterRing(1);
  a.emit("xor", esi, esi);
  image.repeat(operations, () => {
    a.emit("mov", eax, dword({ base: esi, displacement: WINDOW }));
    a.emit("xor", esi, 4096);
  });
  a.label("fault");
  const [second, done] = [a.newLabel(), a.newLabel()];
  a.emit("push", eax);
  a.emit("push", ds);
  a.emit("mov", ax, Selector.data0);
  a.emit("mov", ds, ax);
  a.emit("test", esi, esi);
  a.emit("jne", second);
  a.emit("mov", entry(1), 0);
  a.emit("mov", eax, 0x4000_0000 + WINDOW + 4096);
  a.emit("invlpg", memory({ base: eax }));
  a.emit("mov", entry(0), WINDOW | 7);
  a.emit("jmp", done);
  a.place(second);
  a.emit("mov", entry(0), 0);
  a.emit("mov", eax, 0x4000_0000 + WINDOW);
  a.emit("invlpg", memory({ base: eax }));
  a.emit("mov", entry(1), (WINDOW + 4096) | 7);
  a.place(done);
  a.emit("pop", ds);
  a.emit("pop", eax);
  a.emit("add", esp, 4);
  a.emit("iretd");
  return image.finish(name, operations);
}

function taskGate(name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  image.taskGate(0x31, "task");
  image.repeat(operations, () => a.emit("int", 0x31));
  a.label("task");
  a.emit("iretd");
  a.emit("jmp", symbol("task"));
  return image.finish(name, operations);
}

function pageTableReload(name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  a.emit("mov", ebx, DIRECTORY);
  image.repeat(operations, () => {
    a.emit("mov", cr3, ebx);
    for (let page = 0; page < 32; page++) a.emit("mov", eax, dword({ displacement: WINDOW + page * 4096 }));
  });
  return image.finish(name, operations);
}

/** 1 MiB of functions of 32 bytes, called one after the other; an operation is one round. */
function coldCode(name: string, rounds: number): SystemImage {
  const image = new Image();
  const { a } = image;
  const FUNCTIONS = (1 << 20) / 32;
  a.emit("mov", ecx, 1);
  image.repeat(rounds, () => {
    const next = a.newLabel();
    a.emit("mov", esi, symbol("functions"));
    a.place(next);
    a.emit("call", esi);
    a.emit("add", esi, 32);
    a.emit("cmp", esi, symbol("functions", FUNCTIONS * 32));
    a.emit("jb", next);
  });
  a.align(4096);
  a.label("functions");
  for (let i = 0; i < FUNCTIONS; i++) {
    a.emit("mov", eax, ecx);
    a.emit("imul", eax, eax, 17 + (i & 63));
    a.emit("xor", eax, i * 77);
    a.emit("add", ecx, eax);
    a.emit("test", ecx, 1 << (i & 15));
    const over = a.newLabel();
    a.emit("je", over);
    a.emit("inc", ecx);
    a.place(over);
    a.emit("ret");
    a.align(32);
  }
  return image.finish(name, rounds);
}

function writtenCode(name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  image.repeat(operations, () => {
    a.emit("mov", dword({ displacement: symbol("written", 1) }), edi);
    a.emit("call", symbol("written"));
  });
  a.align(4096);
  a.label("written");
  a.emit("mov", eax, 0x1234_5678);
  a.emit("add", eax, ecx);
  a.emit("ret");
  return image.finish(name, operations);
}

/** CRC of 256 bytes, the integer loop of the rows below; result in EAX, changes EBX, ECX, EDX, ESI. */
function crcFunction(a: Assembler): void {
  const [nextByte, nextBit, noCarry] = [a.newLabel(), a.newLabel(), a.newLabel()] as Label[];
  a.label("crc");
  a.emit("mov", esi, WINDOW);
  a.emit("mov", ebx, -1);
  a.place(nextByte!);
  a.emit("movzx", eax, byte({ base: esi }));
  a.emit("xor", ebx, eax);
  a.emit("mov", dword({ base: esi, displacement: 4096 }), ebx);
  a.emit("mov", ecx, 2);
  a.place(nextBit!);
  a.emit("mov", edx, ebx);
  a.emit("shr", edx, 1);
  a.emit("test", ebx, 1);
  a.emit("je", noCarry!);
  a.emit("xor", edx, 0xedb88320 | 0);
  a.place(noCarry!);
  a.emit("add", dword({ base: esi, displacement: 8192 }), edx);
  a.emit("mov", ebx, edx);
  a.emit("dec", ecx);
  a.emit("jne", nextBit!);
  a.emit("add", esi, 4);
  a.emit("cmp", esi, WINDOW + 1024);
  a.emit("jb", nextByte!);
  a.emit("mov", eax, ebx);
  a.emit("ret");
}

/** The same function at the same offset: alone in ring 0 (base 0) or ring 1 (base 1 GB). */
function basedCode(ring: 0 | 1, name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  if (ring === 1) image.enterRing(1);
  image.repeat(operations, () => a.emit("call", symbol("crc")));
  a.align(4096);
  crcFunction(a);
  return image.finish(name, operations);
}

/** One page of library code, called by ring 3 at base 0, then by ring 1 at base 1 GB. */
function sharedLibrary(name: string, operations: number): SystemImage {
  const image = new Image();
  const { a } = image;
  image.gate(0x30, "entry", Selector.code1, 3);
  image.enterRing(3);
  image.repeat(operations, () => {
    a.emit("call", symbol("crc"));
    a.emit("int", 0x30);
  });
  a.label("entry");
  a.emit("push", ds);
  a.emit("mov", ebx, Selector.data1);
  a.emit("mov", ds, ebx);
  a.emit("call", symbol("crc"));
  a.emit("pop", ds);
  a.emit("iretd");
  a.align(4096);
  crcFunction(a);
  return image.finish(name, operations);
}

interface SystemBench {
  readonly name: string;
  readonly operations: number;
  make(name: string, operations: number): SystemImage;
}

function bench(name: string, operations: number, make: SystemBench["make"]): SystemBench {
  return { name, operations, make };
}

const benches = {
  flat: bench("loads and stores, segment base 0", 4000, (...as) => basedCode(0, ...as)),
  based: bench("loads and stores, segment base 1 GB", 4000, (...as) => basedCode(1, ...as)),
  library: bench("a library page in ring 3 base 0 and ring 1 base 1 GB by turns", 2000, sharedLibrary),
  interrupt3: bench("null int and iret, ring 3-0-3", 60_000, (...as) => nullInterrupt(3, ...as)),
  interrupt1: bench("null int and iret, ring 1-0-1", 60_000, (...as) => nullInterrupt(1, ...as)),
  systemCall: bench("system call, 14 instructions, ring 3-1-3", 40_000, systemCall),
  pageFault: bench("page fault, unmap, invlpg, map, ring 1-0-1", 30_000, pageFault),
  taskGate: bench("task gate round trip", 20_000, taskGate),
  pageTableReload: bench("CR3 reload, 32 pages touched", 10_000, pageTableReload),
  coldOnce: bench("cold code, 1 MiB of small functions, 1 round", 1, coldCode),
  coldOften: bench("cold code, 1 MiB of small functions, 1000 rounds", 1000, coldCode),
  writtenCode: bench("store into code, then call it", 4_000, writtenCode),
} as const satisfies Record<string, SystemBench>;

export type SystemImageName = keyof typeof benches;

export const systemImageNames = Object.keys(benches) as readonly SystemImageName[];

export function systemImageTitle(key: SystemImageName): string {
  return benches[key].name;
}

/** `operations` between marks: as many as the bench has, when absent. */
export function makeSystemImage(key: SystemImageName, operations?: number): SystemImage {
  const bench = benches[key];
  return bench.make(bench.name, operations ?? bench.operations);
}
