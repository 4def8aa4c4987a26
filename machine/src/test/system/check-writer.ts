/**
 * What a system check is written with: the places and selectors that it finds, and the writer that emits its code.
 *
 *   0x300000 GDT        0x301000 IDT     0x302000 main TSS  0x303000 TSS A   0x304000 TSS B   0x305000 LDT
 *   0x306000 records    0x307000 notes   0x310000 scratch (64 KB)
 *   0x320000 page directory, 0x321000 tables of 16 MB, one to one
 *   stacks (tops): 0x331000 ring 0 inner, 0x332000 ring 1 inner, 0x333000 ring 2 inner, 0x334000 rings 3, 0x335000 main,
 *   0x336000 TSS A, 0x337000 TSS B
 */

import type { Assembler } from "../../i386/assembler.ts";
import {
  ax,
  byte,
  cr0,
  cr3,
  ds,
  dword,
  eax,
  es,
  type Label,
  type Register,
  symbol,
  word,
} from "../../i386/assembly.ts";

export const Address = {
  gdt: 0x300000,
  idt: 0x301000,
  tss: 0x302000,
  tssA: 0x303000,
  tssB: 0x304000,
  ldt: 0x305000,
  records: 0x306000,
  notes: 0x307000,
  scratch: 0x310000,
  directory: 0x320000,
  tables: 0x321000,
  innerStack0: 0x331000,
  innerStack1: 0x332000,
  innerStack2: 0x333000,
  userStack: 0x334000,
  mainStack: 0x335000,
  stackA: 0x336000,
  stackB: 0x337000,
} as const;

/** Selectors of the rebuilt GDT, with RPL 0 unless the name says otherwise. */
export const Selector = {
  code: 0x08,
  data: 0x10,
  userCode: 0x1b,
  userData: 0x23,
  tss: 0x28,
  tssA: 0x30,
  tssB: 0x38,
  ldt: 0x40,
  code1: 0x49,
  data1: 0x51,
  code2: 0x5a,
  data2: 0x62,
  conforming: 0x68,
  /** Base scratch, limit FFFH, writable. */
  limited: 0x70,
  readOnly: 0x78,
  /** Base 0, limit 310FFFH, expand-down: valid from 311000H. */
  expandDown: 0x80,
  executeOnly: 0x88,
  absent: 0x90,
  /** Slots that checks fill. */
  slotA: 0x98,
  slotB: 0xa0,
  slotC: 0xa8,
  /** Base FFF00000H, limit 4 GB. */
  wrapping: 0xb0,
  lastSlot: 0xb8,
  /** First descriptor in the LDT: writable data. */
  local: 0x0c,
} as const;

export function describe(base: number, limit: number, type: number, flags = 0): [number, number] {
  const low = ((base & 0xffff) << 16) | (limit & 0xffff);
  const high =
    (base & 0xff00_0000) | ((base >>> 16) & 0xff) | (type << 8) | (limit & 0xf_0000) | (flags << 20);
  return [low, high];
}

/** Offsets in a 32-bit task-state segment. */
export const Tss = {
  ...{
    link: 0,
    esp0: 4,
    ss0: 8,
    esp1: 12,
    ss1: 16,
    esp2: 20,
    ss2: 24,
    cr3: 28,
    eip: 32,
    eflags: 36,
    eax: 40,
    esp: 56,
  },
  ...{ es: 72, cs: 76, ss: 80, ds: 84, fs: 88, gs: 92, ldt: 96, trap: 100 },
} as const;

/** Gate of ring 3 that ends a check without a record. */
export const FINISH = 0x40;

export interface SystemCheck {
  readonly name: string;
  /** What the processor does, and where the manual says so. */
  readonly rule: string;
  /** What `describeLine` makes of the check's line. */
  readonly expect: string;
  readonly code: (kernel: CheckWriter) => void;
}

/** Emits the code of checks. */
export class CheckWriter {
  readonly a: Assembler;
  private readonly markName: string;
  private readonly endName: string;

  constructor(assembler: Assembler, index: number) {
    this.a = assembler;
    this.markName = `mark${index}`;
    this.endName = `end${index}`;
  }

  /** Marks the instruction that follows: saved EIPs are shown relative to it. */
  at(): void {
    this.a.label(this.markName);
  }

  /** The check is over (ring 0). */
  finish(): void {
    this.a.emit("jmp", symbol(this.endName));
  }

  /** The check is over (any ring). */
  finishFromRing(): void {
    this.a.emit("int", FINISH);
  }

  /** Notes a register's value. Ring 0 to 3, flat DS. Changes nothing but flags. */
  note(register: Register): void {
    const { a } = this;
    a.emit("push", register);
    a.emit("call", symbol("noteWord"));
  }

  noteMemory(address: number): void {
    this.a.emit("mov", eax, dword({ displacement: address }));
    this.note(eax);
  }

  /** Fills a descriptor of the GDT. */
  descriptor(selector: number, [low, high]: readonly [number, number]): void {
    const address = Address.gdt + (selector & 0xfff8);
    this.store(address, low);
    this.store(address + 4, high);
  }

  store(address: number, value: number): void {
    this.a.emit("mov", dword({ displacement: address }), value | 0);
  }

  storeLabel(address: number, label: Label): void {
    const { a } = this;
    a.emit("push", eax);
    a.emit("lea", eax, dword({ displacement: label }));
    a.emit("mov", dword({ displacement: address }), eax);
    a.emit("pop", eax);
  }

  /** A gate at a linear address; `type` is its access byte. */
  gateAt(address: number, type: number, selector: number, target: Label, parameters = 0): void {
    const { a } = this;
    a.emit("push", eax);
    a.emit("lea", eax, dword({ displacement: target }));
    a.emit("mov", word({ displacement: address }), ax);
    a.emit("shr", eax, 16);
    a.emit("mov", word({ displacement: address + 6 }), ax);
    a.emit("mov", word({ displacement: address + 2 }), selector);
    a.emit("mov", word({ displacement: address + 4 }), (type << 8) | parameters);
    a.emit("pop", eax);
  }

  /** An interrupt, trap or task gate of the IDT. */
  gate(vector: number, type: number, selector: number, target: Label): void {
    this.gateAt(Address.idt + 8 * vector, type, selector, target);
  }

  /** Changes the access byte of a gate of the IDT. */
  gateType(vector: number, type: number): void {
    this.a.emit("mov", byte({ displacement: Address.idt + 8 * vector + 5 }), type);
  }

  taskGate(vector: number, selector: number, type = 0x85): void {
    this.store(Address.idt + 8 * vector, selector << 16);
    this.store(Address.idt + 8 * vector + 4, type << 8);
  }

  /** Goes on at the next instruction in the given ring, with flat data segments of that ring. */
  enterRing(ring: 1 | 2 | 3, flags = 2): void {
    const { a } = this;
    const [code, data] = [
      [Selector.code1, Selector.data1],
      [Selector.code2, Selector.data2],
      [Selector.userCode, Selector.userData],
    ][ring - 1]!;
    const inside = a.newLabel();
    a.emit("push", data!);
    a.emit("push", Address.userStack);
    a.emit("push", flags);
    a.emit("push", code!);
    a.emit("lea", eax, dword({ displacement: inside }));
    a.emit("push", eax);
    a.emit("mov", ax, data!);
    a.emit("mov", ds, ax);
    a.emit("mov", es, ax);
    a.emit("iretd");
    a.place(inside);
  }

  /** Paging on, everything below 16 MB one to one, present, writable, user. */
  pagingOn(extraCr0 = 0): void {
    const { a } = this;
    a.emit("mov", eax, Address.directory);
    a.emit("mov", cr3, eax);
    a.emit("mov", eax, cr0);
    a.emit("or", eax, 0x8000_0000 | extraCr0 | 0);
    a.emit("mov", cr0, eax);
  }

  /** Sets the table entry of the page at `linear`: flags in the low bits, the page itself as frame. */
  mapPage(linear: number, flags: number): void {
    this.store(Address.tables + (linear >>> 12) * 4, (linear & 0xfffff000) | flags);
    this.a.emit("invlpg", byte({ displacement: linear }));
  }

  noteEntry(linear: number): void {
    this.noteMemory(Address.tables + (linear >>> 12) * 4);
  }
}
