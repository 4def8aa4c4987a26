/**
 * A multiboot kernel that runs the same cases at ring 3 on any PC: our machine, QEMU. It does what `linux-harness.ts`
 * has the Linux kernel do: every exception stores the interrupted state in the layout of Linux's sigcontext, then the next case
 * is loaded and entered by IRET. At the end isa-debug-exit (F4h) stops the machine.
 *
 * Interrupt gates, so that the harness runs with interrupts off; both 8259s masked, so that cases may run with IF set.
 */
import { Assembler } from "../../i386/assembler.ts";
import {
  ah,
  al,
  ax,
  cr0,
  cr2,
  cr3,
  ds,
  dword,
  dx,
  eax,
  ebp,
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
  memory,
  ss,
  symbol,
} from "../../i386/assembly.ts";
import type { InstructionCase } from "./case.ts";
import * as layout from "./layout.ts";
import { link } from "./link-harness.ts";
import { caseSegments, copy, copyWindowsFrom, copyWindowsTo } from "./linux-harness.ts";
import { staticElf } from "./static-elf.ts";

const KERNEL_CODE = 0x08;
const KERNEL_DATA = 0x10;
const TASK = 0x18;
const VECTORS = 32;
/** PG, AM, WP, NE, MP on top of PE and ET: as Linux sets CR0. */
const CR0_BITS = 0x8005_0022;
const RESULT_PORT = 0xe9;
const EXIT_PORT = 0xf4;
const SHUTDOWN_PORT = 0x8900;
const PAGE = 4096;
/** Behind the code: page directory and tables, then the ring 0 stack. */
const TABLES = layout.HARNESS + 0x1_0000;
const STACK_TOP = layout.HARNESS + 0x4_0000;

const PRESENT = 1;
const WRITABLE = 2;
const USER = 4;

function descriptor(base: number, limit: number, access: number, flags: number): readonly [number, number] {
  return [
    ((limit & 0xffff) | ((base & 0xffff) << 16)) >>> 0,
    (((base >>> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | (flags << 20) | (base & 0xff000000)) >>> 0,
  ];
}

/**
 * How results leave: through port E9h, as bytes or as hexadecimal text, or not at all, for a machine whose memory the host reads. Text ends with
 * what ends a run on Bochs (../bochs.ts).
 */
export type Report = "port" | "text" | "memory";

export interface BareHarnessOptions {
  /** Default: memory. */
  readonly report?: Report;
  /** Whether each case brings descriptors of its own into the GDT; for call gates there is `gateway`, an INT3 at ring 0. Default false. */
  readonly descriptors?: boolean;
  /** How often each case runs, one time after the other, so that its code gets warm; the last results stay. Default 1. */
  readonly passes?: number;
}

/** Results as hexadecimal text. */
function writeText(a: Assembler, bytes: number): void {
  a.emit("mov", esi, layout.RESULTS);
  a.emit("mov", ecx, bytes);
  a.emit("mov", edx, RESULT_PORT);
  const again = a.mark();
  a.emit("lodsb");
  a.emit("mov", ah, al);
  for (const half of ["high", "low"] as const) {
    if (half === "high") a.emit("shr", al, 4);
    else {
      a.emit("mov", al, ah);
      a.emit("and", al, 15);
    }
    // The ASCII digit of a number below 16.
    a.emit("cmp", al, 10);
    a.emit("sbb", al, 0x69);
    a.emit("das");
    a.emit("out", dx, al);
  }
  a.emit("dec", ecx);
  a.emit("jne", again);
}

function harnessCode(
  caseCount: number,
  { report = "memory", passes = 1, descriptors: ownDescriptors = false }: BareHarnessOptions,
  linkedSymbols: ReadonlyMap<string, number> | undefined,
): Assembler {
  const a = new Assembler();
  const at = (name: string) => dword({ displacement: symbol(name) });
  const field = (offset: number) => dword({ base: esi, displacement: offset });
  a.label("multibootHeader");
  a.dword(0x1badb002);
  a.dword(0);
  a.dword(-0x1badb002);
  a.label("gateway");
  a.emit("int3");

  a.label("start");
  a.emit("mov", esp, STACK_TOP);
  a.emit("lgdt", fword({ displacement: symbol("gdtPointer") }));
  a.emit("jmp", far(KERNEL_CODE, symbol("flat")));
  a.label("flat");
  a.emit("mov", eax, KERNEL_DATA);
  for (const segment of [ds, es, ss]) a.emit("mov", segment, ax);
  a.emit("mov", eax, TASK);
  a.emit("ltr", ax);
  a.emit("xor", eax, eax);
  a.emit("lldt", ax);
  a.emit("lidt", fword({ displacement: symbol("idtPointer") }));
  a.emit("mov", al, 0xff);
  a.emit("out", 0x21, al);
  a.emit("out", 0xa1, al);
  a.emit("mov", eax, TABLES);
  a.emit("mov", cr3, eax);
  a.emit("mov", eax, cr0);
  a.emit("or", eax, CR0_BITS);
  a.emit("mov", cr0, eax);
  a.emit("fninit");
  a.emit("jmp", symbol("nextCase"));

  for (let vector = 0; vector < VECTORS; vector++) {
    a.label(`vector${vector}`);
    if (![8, 10, 11, 12, 13, 14, 17].includes(vector)) a.emit("push", 0);
    a.emit("push", vector);
    a.emit("jmp", symbol("trap"));
  }

  // The stack now holds vector, error code and the processor's frame; with these pushes it is a sigcontext.
  a.label("trap");
  a.emit("pushad");
  for (const segment of [ds, es, fs, gs]) a.emit("push", segment);
  a.emit("mov", eax, KERNEL_DATA);
  a.emit("mov", ds, ax);
  a.emit("mov", es, ax);
  a.emit("cld");
  a.emit("mov", edi, at("resultPointer"));
  a.emit("mov", esi, esp);
  copy(a, 19);
  a.emit("add", edi, 8);
  a.emit("mov", eax, cr2);
  a.emit("stosd");
  copyWindowsFrom(a);
  a.emit("add", edi, 8);
  const again = a.newLabel();
  a.emit("sub", at("passesLeft"), 1);
  a.emit("mov", esi, at("casePointer"));
  a.emit("lea", esi, memory({ base: esi, displacement: -layout.CASE_SIZE }));
  a.emit("jne", again);
  a.emit("mov", at("passesLeft"), passes);
  a.emit("mov", at("resultPointer"), edi);

  a.label("nextCase");
  a.emit("mov", esi, at("casePointer"));
  a.emit("cmp", esi, layout.CASES + caseCount * layout.CASE_SIZE);
  a.emit("jae", symbol("finish"));
  a.place(again);
  a.emit("mov", ebp, esi);
  a.emit("add", esi, 64);
  copyWindowsTo(a);
  a.emit("mov", at("casePointer"), esi);
  if (ownDescriptors) {
    a.emit("lea", esi, memory({ base: ebp, displacement: 40 }));
    a.emit("mov", edi, symbol("caseDescriptors"));
    copy(a, 2 * layout.CASE_DESCRIPTORS);
  }
  a.emit("mov", esi, ebp);
  a.emit("mov", esp, STACK_TOP);
  a.emit("push", layout.USER_DATA);
  a.emit("push", field(12));
  a.emit("push", field(36));
  a.emit("push", layout.USER_CODE);
  a.emit("push", field(32));
  a.emit("xor", eax, eax);
  a.emit("mov", fs, ax);
  a.emit("mov", gs, ax);
  a.emit("mov", eax, layout.USER_DATA);
  a.emit("mov", es, ax);
  a.emit("mov", ds, ax);
  a.emit("mov", edi, field(0));
  a.emit("mov", ebp, field(8));
  a.emit("mov", ebx, field(16));
  a.emit("mov", edx, field(20));
  a.emit("mov", ecx, field(24));
  a.emit("mov", eax, field(28));
  a.emit("mov", esi, field(4));
  a.emit("iretd");

  a.label("finish");
  if (report === "port") {
    a.emit("mov", esi, layout.RESULTS);
    a.emit("mov", ecx, caseCount * layout.RESULT_SIZE);
    a.emit("mov", edx, RESULT_PORT);
    a.emitPrefixed("rep", "outsb");
  }
  if (report === "text") writeText(a, caseCount * layout.RESULT_SIZE);
  a.emit("mov", edx, EXIT_PORT);
  a.emit("xor", eax, eax);
  a.emit("out", dx, al);
  if (report === "text") {
    for (const [port, text] of [
      [RESULT_PORT, "[exit 00]"],
      [SHUTDOWN_PORT, "Shutdown"],
    ] as const) {
      a.emit("mov", edx, port);
      for (const byte of Buffer.from(text)) {
        a.emit("mov", al, byte);
        a.emit("out", dx, al);
      }
    }
  }
  a.label("stop");
  a.emit("hlt");
  a.emit("jmp", symbol("stop"));

  a.align(8, 0);
  a.label("casePointer");
  a.dword(layout.CASES);
  a.label("passesLeft");
  a.dword(passes);
  a.label("resultPointer");
  a.dword(layout.RESULTS);
  a.label("task");
  a.dword(0);
  a.dword(STACK_TOP);
  a.dword(KERNEL_DATA);
  a.bytes(new Uint8Array(104 - 12 - 2));
  // The I/O bitmap begins beyond the segment's limit: no port is allowed.
  a.word(104);
  a.align(8, 0);
  a.label("gdt");
  const descriptors = [
    [0, 0] as const,
    descriptor(0, 0xfffff, 0x9b, 0xc),
    descriptor(0, 0xfffff, 0x93, 0xc),
    descriptor(linkedSymbols?.get("task") ?? 0, 103, 0x89, 0),
    descriptor(0, 0xfffff, 0xfb, 0xc),
    descriptor(0, 0xfffff, 0xf3, 0xc),
  ];
  for (const words of descriptors) for (const word of words) a.dword(word);
  a.label("caseDescriptors");
  if (ownDescriptors) a.bytes(new Uint8Array(8 * layout.CASE_DESCRIPTORS));
  a.label("idt");
  for (let vector = 0; vector < VECTORS; vector++) {
    const address = linkedSymbols?.get(`vector${vector}`) ?? 0;
    // INT3 and INTO may be used at ring 3, as in Linux.
    const privilege = vector === 3 || vector === 4 ? 3 : 0;
    a.dword((KERNEL_CODE << 16) | (address & 0xffff));
    a.dword(((address & 0xffff0000) | 0x8e00 | (privilege << 13)) >>> 0);
  }
  // Gates that exist and may not be used: INT n gives #GP with the vector in the error code.
  for (let vector = VECTORS; vector < 256; vector++) {
    a.dword(KERNEL_CODE << 16);
    a.dword(0x8e00);
  }
  a.label("gdtPointer");
  a.word((descriptors.length + (ownDescriptors ? layout.CASE_DESCRIPTORS : 0)) * 8 - 1);
  a.dword(symbol("gdt"));
  a.label("idtPointer");
  a.word(256 * 8 - 1);
  a.dword(symbol("idt"));
  return a;
}

/** Page directory and tables for the pages in use and no others: stray pointers fault as they do in a process. */
function pageTables(caseCount: number): Uint8Array {
  const ranges: ReadonlyArray<readonly [start: number, end: number, bits: number]> = [
    [layout.HARNESS, layout.HARNESS + 0x4_0000, PRESENT | WRITABLE],
    [layout.CODE, layout.CODE + caseCount * layout.SLOT_SIZE, PRESENT | WRITABLE | USER],
    [layout.DATA, layout.DATA_END, PRESENT | WRITABLE | USER],
    [layout.READ_ONLY, layout.READ_ONLY + PAGE, PRESENT | USER],
    [layout.CASES, layout.CASES + caseCount * layout.CASE_SIZE, PRESENT | WRITABLE],
    [layout.RESULTS, layout.RESULTS + caseCount * layout.RESULT_SIZE, PRESENT | WRITABLE],
  ];
  const words = new Uint32Array(((STACK_TOP - PAGE * 4 - TABLES) / 4) | 0);
  let tables = 0;
  for (const [start, end, bits] of ranges) {
    for (let page = start >>> 12; page << 12 < end; page++) {
      const directory = page >>> 10;
      if (words[directory] === 0) words[directory] = (TABLES + ++tables * PAGE) | PRESENT | WRITABLE | USER;
      const table = ((words[directory]! & ~0xfff) - TABLES) / 4;
      words[table + (page & 0x3ff)] = (page << 12) | bits;
    }
  }
  return new Uint8Array(words.buffer);
}

export interface BareHarness {
  readonly elf: Uint8Array;
  /** `nextCase`: where the machine is between two cases; `casePointer` and `resultPointer`: words with the addresses of the next records. */
  readonly symbols: ReadonlyMap<string, number>;
}

export function bareHarness(
  cases: readonly InstructionCase[],
  options: BareHarnessOptions = {},
): BareHarness {
  // Descriptors hold addresses in pieces, so the code is made twice: addresses, then contents.
  const measured = link(harnessCode(cases.length, options, undefined).finish(), layout.HARNESS);
  const { bytes, symbols } = link(
    harnessCode(cases.length, options, measured.symbols).finish(),
    layout.HARNESS,
  );
  const image = new Uint8Array(STACK_TOP - layout.HARNESS);
  image.set(bytes);
  image.set(pageTables(cases.length), TABLES - layout.HARNESS);
  const harness = {
    address: layout.HARNESS,
    bytes: image,
    size: image.length,
    writable: true,
    executable: true,
  };
  return { elf: staticElf(symbols.get("start")!, [harness, ...caseSegments(cases)]), symbols };
}
