/**
 * One kernel that runs every system check in turn and prints one line for each. A check sets up a situation, does something that
 * faults or does not, and the kernel prints what the processor did: the traps taken, and words that the check noted.
 *
 *   name T vector error offset cs cr2 T … N word word …
 *
 * offset: the saved EIP minus the place that the check marked with `at`. cr2 only for page faults, else 0.
 *
 * Before a check all tables are rebuilt and the processor is back in ring 0 with flat segments, paging off, debug registers clear.
 * A trap ends the check (the handler goes to its end) unless the check took over the vector.
 */

import { Assembler } from "../../i386/assembler.ts";
import {
  al,
  ax,
  byte,
  cr0,
  cr2,
  cr4,
  debugRegisters,
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
  type Register,
  registers32,
  ss,
  symbol,
  word,
} from "../../i386/assembly.ts";
import { buildElfKernel } from "../elf-kernel.ts";

import { Address, CheckWriter, describe, FINISH, Selector, type SystemCheck, Tss } from "./check-writer.ts";

const GDT_LIMIT = 0xbf;
const LDT_LIMIT = 0x17;

/** G and D/B of a flat 4 GB segment. */
const FLAT = 0xc;
const flat = (type: number): [number, number] => describe(0, 0xf_ffff, type, FLAT);
const tssDescriptor = (base: number): [number, number] => describe(base, 0x67, 0x89);

const gdtTemplate: [number, number][] = [
  [0, 0],
  flat(0x9b),
  flat(0x93),
  flat(0xfb),
  flat(0xf3),
  describe(Address.tss, 0x267, 0x89),
  tssDescriptor(Address.tssA),
  tssDescriptor(Address.tssB),
  describe(Address.ldt, LDT_LIMIT, 0x82),
  flat(0xbb),
  flat(0xb3),
  flat(0xdb),
  flat(0xd3),
  flat(0x9f),
  describe(Address.scratch, 0xfff, 0x93, 4),
  flat(0x91),
  describe(0, 0x310, 0x97, FLAT),
  flat(0x99),
  describe(0, 0xf_ffff, 0x13, FLAT),
  [0, 0],
  [0, 0],
  [0, 0],
  describe(0xfff0_0000, 0xf_ffff, 0x93, FLAT),
  [0, 0],
];

const withErrorCode = new Set([8, 10, 11, 12, 13, 14, 17]);
/** The kernel's ELF file. Checks run in order. */
export function buildCheckKernel(checks: readonly SystemCheck[]): Uint8Array {
  const a = new Assembler();
  a.label("start");
  a.emit("cli");
  a.emit("cld");
  // No hardware interrupts: both controllers masked.
  a.emit("mov", al, 0xff);
  a.emit("out", 0x21, al);
  a.emit("out", 0xa1, al);
  a.emit("mov", esp, Address.mainStack);
  a.emit("call", symbol("copyGdt"));
  a.emit("lgdt", fword({ displacement: symbol("gdtRegister") }));
  const flatCode = a.newLabel();
  a.emit("jmp", far(Selector.code, flatCode));
  a.place(flatCode);
  checks.forEach((check, index) => {
    const writer = new CheckWriter(a, index);
    a.emit("mov", esp, Address.mainStack);
    a.emit("call", symbol("setup"));
    a.emit("lea", eax, dword({ displacement: symbol(`end${index}`) }));
    a.emit("mov", dword({ displacement: symbol("endAddress") }), eax);
    // Registers that checks may rely on: all different, none zero.
    registers32.forEach((register, number) => {
      if (register !== esp) a.emit("mov", register, 0x0101_0101 * (number + 1));
    });
    check.code(writer);
    a.label(`end${index}`);
    // A check that should have faulted and did not may leave any stack behind.
    a.emit("mov", ax, Selector.data);
    a.emit("mov", ss, ax);
    a.emit("mov", esp, Address.mainStack);
    a.emit("mov", eax, symbol(`name${index}`));
    a.emit("mov", edx, symbol(`mark${index}`));
    a.emit("call", symbol("report"));
  });
  a.emit("jmp", symbol("shutdown"));
  emitRoutines(a);
  const encoder = new TextEncoder();
  checks.forEach((check, index) => {
    a.label(`name${index}`);
    a.bytes(encoder.encode(`${check.name}\0`));
  });
  const code = a.finish();
  // A check that marks nothing shows whole addresses.
  const symbols = new Map(code.symbols);
  checks.forEach((_, index) => {
    if (!symbols.has(`mark${index}`)) symbols.set(`mark${index}`, symbols.get(`end${index}`)!);
  });
  return buildElfKernel({ ...code, symbols }, { entry: "start" });
}

function emitRoutines(a: Assembler): void {
  emitSetup(a);
  emitTraps(a);
  emitReport(a);
}

/** Rebuilds every table and the processor's system registers. Called in ring 0 with flat CS, SS and DS. */
function emitSetup(a: Assembler): void {
  a.label("setup");
  a.emit("cld");
  // Debug registers first: what follows writes to memory that a check may have watched.
  a.emit("xor", eax, eax);
  for (const number of [7, 6, 0, 1, 2, 3]) a.emit("mov", debugRegister(number), eax);
  a.emit("lgdt", fword({ displacement: symbol("gdtRegister") }));
  a.emit("mov", ax, Selector.data);
  for (const segment of [ds, es, ss]) a.emit("mov", segment, ax);
  a.emit("mov", eax, cr0);
  a.emit("and", eax, 0x7ffa_fff1 | 0);
  a.emit("or", eax, 0x20);
  a.emit("mov", cr0, eax);
  a.emit("xor", eax, eax);
  a.emit("mov", cr4, eax);
  a.emit("mov", fs, ax);
  a.emit("mov", gs, ax);
  a.emit("lldt", ax);
  a.emit("push", 2);
  a.emit("popfd");
  // Scratch, records, notes, TSSs, LDT: zero.
  const clear = (from: number, bytes: number) => {
    a.emit("xor", eax, eax);
    a.emit("mov", edi, from);
    a.emit("mov", ecx, bytes >> 2);
    a.emitPrefixed("rep", "stosd");
  };
  clear(Address.tss, 0x6000);
  clear(Address.scratch, 0x2000);
  const store = (address: number, value: number) =>
    a.emit("mov", dword({ displacement: address }), value | 0);
  a.emit("call", symbol("copyGdt"));
  const local = flat(0x93);
  store(Address.ldt + 8, local[0]);
  store(Address.ldt + 12, local[1]);
  // IDT: interrupt gates of ring 0 to the stubs, 64 of them, and the one that ends checks.
  a.emit("mov", edi, Address.idt);
  a.emit("mov", eax, symbol("stubs"));
  a.emit("mov", ecx, FINISH + 1);
  const nextGate = a.newLabel();
  a.place(nextGate);
  a.emit("mov", edx, eax);
  a.emit("mov", word({ base: edi }), ax);
  a.emit("mov", word({ base: edi, displacement: 2 }), Selector.code);
  a.emit("shr", edx, 16);
  a.emit("mov", word({ base: edi, displacement: 4 }), 0x8e00);
  a.emit("mov", word({ base: edi, displacement: 6 }), dx);
  a.emit("add", edi, 8);
  a.emit("add", eax, 16);
  a.emit("dec", ecx);
  a.emit("jnz", nextGate);
  a.emit("mov", byte({ displacement: Address.idt + 8 * FINISH + 5 }), 0xee);
  a.emit("lidt", fword({ displacement: symbol("idtRegister") }));
  // Tasks.
  for (const [base, stack] of [
    [Address.tss, 0],
    [Address.tssA, Address.stackA],
    [Address.tssB, Address.stackB],
  ] as const) {
    store(base + Tss.esp0, Address.innerStack0);
    store(base + Tss.ss0, Selector.data);
    store(base + Tss.esp1, Address.innerStack1);
    store(base + Tss.ss1, Selector.data1);
    store(base + Tss.esp2, Address.innerStack2);
    store(base + Tss.ss2, Selector.data2);
    store(base + Tss.cr3, Address.directory);
    if (stack === 0) continue;
    store(base + Tss.eflags, 2);
    store(base + Tss.esp, stack);
    for (const slot of [Tss.es, Tss.ss, Tss.ds]) store(base + slot, Selector.data);
    store(base + Tss.cs, Selector.code);
  }
  // I/O map of the main task: from offset 68H, all ports closed but 510H to 513H.
  store(Address.tss + 0x64, 0x0068_0000);
  a.emit("mov", eax, -1);
  a.emit("mov", edi, Address.tss + 0x68);
  // Only the part below TSS A's page: ports up to 1000H.
  a.emit("mov", ecx, 0x200 / 4);
  a.emitPrefixed("rep", "stosd");
  a.emit("mov", byte({ displacement: Address.tss + 0x68 + 0x510 / 8 }), 0xf0);
  a.emit("mov", ax, Selector.tss);
  a.emit("ltr", ax);
  a.emit("xor", eax, eax);
  // Page tables, one to one.
  a.emit("mov", edi, Address.directory);
  a.emit("mov", ecx, 1024);
  a.emitPrefixed("rep", "stosd");
  for (let i = 0; i < 4; i++) store(Address.directory + 4 * i, (Address.tables + 4096 * i) | 7);
  a.emit("mov", edi, Address.tables);
  a.emit("mov", eax, 7);
  a.emit("mov", ecx, 4096);
  const nextPage = a.newLabel();
  a.place(nextPage);
  a.emit("stosd");
  a.emit("add", eax, 0x1000);
  a.emit("dec", ecx);
  a.emit("jnz", nextPage);
  a.emit("ret");

  a.label("copyGdt");
  a.emit("mov", esi, symbol("gdtTemplate"));
  a.emit("mov", edi, Address.gdt);
  a.emit("mov", ecx, gdtTemplate.length * 2);
  a.emitPrefixed("rep", "movsd");
  a.emit("ret");

  a.align(8);
  a.label("gdtTemplate");
  for (const [low, high] of gdtTemplate) {
    a.dword(low);
    a.dword(high);
  }
  a.label("gdtRegister");
  a.word(GDT_LIMIT);
  a.dword(Address.gdt);
  a.label("idtRegister");
  a.word((FINISH + 1) * 8 - 1);
  a.dword(Address.idt);
  a.label("endAddress");
  a.dword(0);
}

const debugRegister = (number: number): Register => debugRegisters[number]!;

/** Stubs of 16 bytes, one a vector; the trap is recorded and the check ended. */
function emitTraps(a: Assembler): void {
  a.align(16);
  a.label("stubs");
  for (let vector = 0; vector <= FINISH; vector++) {
    a.align(16);
    if (!withErrorCode.has(vector)) a.emit("push", 0);
    a.emit("push", vector);
    a.emitNear("jmp", symbol("trapped"));
  }
  a.align(16);
  a.label("trapped");
  // Stack: vector, error, EIP, CS, EFLAGS. SS is good enough to be pushed to; the rest is unknown.
  a.emit("push", eax);
  a.emit("mov", ax, Selector.data);
  a.emit("mov", ds, ax);
  a.emit("mov", es, ax);
  a.emit("pop", eax);
  a.emit("mov", dword({ displacement: Address.records + 0x80 }), eax);
  a.emit("pop", eax);
  a.emit("cmp", eax, FINISH);
  const record = a.newLabel();
  const done = a.newLabel();
  a.emit("jne", record);
  a.emit("jmp", done);
  a.place(record);
  // record: vector, error, EIP, CS, CR2
  a.emit("mov", ebx, dword({ displacement: Address.records }));
  a.emit("inc", dword({ displacement: Address.records }));
  a.emit("imul", ebx, ebx, 20);
  a.emit("add", ebx, Address.records + 0x100);
  a.emit("mov", dword({ base: ebx }), eax);
  a.emit("mov", ecx, eax);
  for (const slot of [4, 8, 12]) {
    a.emit("pop", eax);
    if (slot === 12) a.emit("movzx", eax, ax);
    a.emit("mov", dword({ base: ebx, displacement: slot }), eax);
  }
  a.emit("xor", eax, eax);
  a.emit("cmp", ecx, 14);
  const noAddress = a.newLabel();
  a.emit("jne", noAddress);
  a.emit("mov", eax, cr2);
  a.place(noAddress);
  a.emit("mov", dword({ base: ebx, displacement: 16 }), eax);
  a.place(done);
  a.emit("mov", ax, Selector.data);
  a.emit("mov", ss, ax);
  a.emit("mov", esp, Address.mainStack);
  a.emit("jmp", dword({ displacement: symbol("endAddress") }));

  // A word on the stack goes to the notes; it is dropped.
  a.label("noteWord");
  a.emit("push", eax);
  a.emit("push", ebx);
  a.emit("mov", eax, dword({ base: esp, displacement: 12 }));
  a.emit("mov", ebx, dword({ displacement: Address.notes }));
  a.emit("mov", dword({ base: ebx, displacement: Address.notes + 4 }), eax);
  a.emit("add", dword({ displacement: Address.notes }), 4);
  a.emit("pop", ebx);
  a.emit("pop", eax);
  a.emit("ret", 4);
}

/** Prints the line of the check whose name is at EAX and whose mark is EDX. */
function emitReport(a: Assembler): void {
  a.label("report");
  // Printing needs flat segments and no paging: the tables of this check may be anything.
  a.emit("mov", ecx, eax);
  a.emit("mov", ax, Selector.data);
  a.emit("mov", ds, ax);
  a.emit("mov", ss, ax);
  a.emit("mov", eax, cr0);
  a.emit("and", eax, 0x7fff_ffff);
  a.emit("mov", cr0, eax);
  a.emit("mov", eax, ecx);
  a.emit("mov", ebp, edx);
  a.emit("call", symbol("printText"));
  a.emit("mov", ecx, dword({ displacement: Address.records }));
  a.emit("mov", esi, Address.records + 0x100);
  const nextRecord = a.newLabel();
  const noRecord = a.newLabel();
  a.place(nextRecord);
  a.emit("test", ecx, ecx);
  a.emit("jz", noRecord);
  a.emit("mov", al, "T".charCodeAt(0));
  a.emit("call", symbol("printLetter"));
  a.emit("sub", dword({ base: esi, displacement: 8 }), ebp);
  for (let i = 0; i < 5; i++) {
    a.emit("mov", eax, dword({ base: esi, displacement: 4 * i }));
    a.emit("call", symbol("printWord"));
  }
  a.emit("add", esi, 20);
  a.emit("dec", ecx);
  a.emit("jmp", nextRecord);
  a.place(noRecord);
  a.emit("mov", ecx, dword({ displacement: Address.notes }));
  a.emit("shr", ecx, 2);
  a.emit("mov", esi, Address.notes + 4);
  a.emit("mov", al, "N".charCodeAt(0));
  a.emit("call", symbol("printLetter"));
  const nextNote = a.newLabel();
  const noNote = a.newLabel();
  a.place(nextNote);
  a.emit("test", ecx, ecx);
  a.emit("jz", noNote);
  a.emit("mov", eax, dword({ base: esi }));
  a.emit("call", symbol("printWord"));
  a.emit("add", esi, 4);
  a.emit("dec", ecx);
  a.emit("jmp", nextNote);
  a.place(noNote);
  a.emit("mov", al, 10);
  a.emit("call", symbol("printByte"));
  a.emit("ret");

  a.label("printLetter");
  a.emit("push", eax);
  a.emit("mov", al, 32);
  a.emit("call", symbol("printByte"));
  a.emit("pop", eax);
  a.label("printByte");
  a.emit("push", edx);
  a.emit("mov", dx, 0xe9);
  a.emit("out", dx, al);
  a.emit("pop", edx);
  a.emit("ret");

  a.label("printText");
  a.emit("mov", ebx, eax);
  const next = a.newLabel();
  const end = a.newLabel();
  a.place(next);
  a.emit("mov", al, byte({ base: ebx }));
  a.emit("test", al, al);
  a.emit("jz", end);
  a.emit("call", symbol("printByte"));
  a.emit("inc", ebx);
  a.emit("jmp", next);
  a.place(end);
  a.emit("ret");

  // A blank and eight hexadecimal digits of EAX.
  a.label("printWord");
  a.emit("mov", ebx, eax);
  a.emit("mov", al, 32);
  a.emit("call", symbol("printByte"));
  a.emit("mov", edx, 8);
  const digit = a.newLabel();
  a.place(digit);
  a.emit("rol", ebx, 4);
  a.emit("mov", eax, ebx);
  a.emit("and", eax, 15);
  a.emit("mov", al, byte({ base: eax, displacement: symbol("digits") }));
  a.emit("call", symbol("printByte"));
  a.emit("dec", edx);
  a.emit("jnz", digit);
  a.emit("ret");

  a.label("shutdown");
  a.emit("mov", eax, 0);
  a.emit("mov", dx, 0xf4);
  a.emit("out", dx, eax);
  for (const character of "[exit 00]") {
    a.emit("mov", al, character.charCodeAt(0));
    a.emit("out", 0xe9, al);
  }
  a.emit("mov", dx, 0x8900);
  for (const character of "Shutdown") {
    a.emit("mov", al, character.charCodeAt(0));
    a.emit("out", dx, al);
  }
  const forever = a.newLabel();
  a.place(forever);
  a.emit("hlt");
  a.emit("jmp", forever);
  a.label("digits");
  a.bytes(new TextEncoder().encode("0123456789abcdef"));
}

/** "#0d(0070)+5 r3 [cr2]; note note": what a line says, in short. "ok" when nothing trapped. */
export function describeLine(line: string): { name: string; result: string } {
  const words = line.trim().split(" ");
  const name = words[0]!;
  const parts: string[] = [];
  let at = 1;
  while (words[at] === "T") {
    const [vector, error, offset, cs, address] = words.slice(at + 1, at + 6) as [
      string,
      string,
      string,
      string,
      string,
    ];
    const number = Number.parseInt(vector, 16);
    const distance = Number.parseInt(offset, 16) | 0;
    let text = `#${vector.slice(6)}`;
    if (withErrorCode.has(number)) text += `(${error.slice(4)})`;
    if (distance !== 0) text += distance > 0 ? `+${distance}` : `${distance}`;
    const ring = Number.parseInt(cs, 16) & 3;
    if (ring !== 0) text += ` r${ring}`;
    if (number === 14) text += ` [${address}]`;
    parts.push(text);
    at += 6;
  }
  const notes = words.slice(at + 1);
  let result = parts.length === 0 ? "ok" : parts.join(" ");
  if (notes.length > 0) result += `; ${notes.map((note) => note.replace(/^0+(?=.)/, "")).join(" ")}`;
  return { name, result };
}
