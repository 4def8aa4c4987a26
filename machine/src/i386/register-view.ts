import { IF } from "./instruction.ts";
import { Access, ControlBit, Segment, Slot } from "./layout.ts";
import type { ProcessorParts } from "./parts.ts";
import type { Descriptor } from "./segments.ts";

/** A segment register with its descriptor cache. */
export interface SegmentState {
  readonly selector: number;
  readonly base: number;
  /** Effective limit: last valid offset (expand-up). */
  readonly limit: number;
  /** High word of the descriptor without base bits (type, S, DPL, P, AVL, B, G). */
  readonly access: number;
  readonly usable: boolean;
}

export class RegisterView {
  /** EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI. */
  readonly registers: Int32Array;
  protected readonly parts: ProcessorParts;
  protected readonly s: Int32Array;

  constructor(parts: ProcessorParts) {
    this.parts = parts;
    this.s = parts.core.s;
    this.registers = parts.core.s.subarray(0, 8);
  }

  get eip(): number {
    return this.s[Slot.EIP]! >>> 0;
  }

  set eip(value: number) {
    this.s[Slot.EIP] = value;
  }

  get eflags(): number {
    return this.parts.flags.read() >>> 0;
  }

  set eflags(value: number) {
    this.parts.flags.write(value | 2);
    this.parts.memory.updateAlignmentCheck();
  }

  get interruptsEnabled(): boolean {
    return (this.s[Slot.EFLAGS]! & IF) !== 0;
  }

  /** It waits in HLT. */
  get halted(): boolean {
    return this.s[Slot.HALTED] !== 0;
  }

  get cpl(): number {
    return this.s[Slot.CPL]!;
  }

  get cr0(): number {
    return this.s[Slot.CR0]! >>> 0;
  }

  set cr0(value: number) {
    this.s[Slot.CR0] = value | ControlBit.CR0_PE | ControlBit.CR0_ET;
    this.parts.paging.flush();
    this.parts.memory.updateAlignmentCheck();
  }

  get cr2(): number {
    return this.s[Slot.CR2]! >>> 0;
  }

  set cr2(value: number) {
    this.s[Slot.CR2] = value;
  }

  get cr3(): number {
    return this.s[Slot.CR3]! >>> 0;
  }

  set cr3(value: number) {
    this.s[Slot.CR3] = value;
    this.parts.paging.flush();
  }

  get cr4(): number {
    return this.s[Slot.CR4]! >>> 0;
  }

  set cr4(value: number) {
    this.s[Slot.CR4] = value;
    this.parts.paging.flush();
  }

  debugRegister(number: number): number {
    return this.s[Slot.DR0 + number]! >>> 0;
  }

  setDebugRegister(number: number, value: number): void {
    this.s[Slot.DR0 + number] = value;
    this.parts.debugging.refresh();
  }

  get gdtr(): { base: number; limit: number } {
    return { base: this.s[Slot.GDT_BASE]! >>> 0, limit: this.s[Slot.GDT_LIMIT]! };
  }

  set gdtr(value: { base: number; limit: number }) {
    this.s[Slot.GDT_BASE] = value.base;
    this.s[Slot.GDT_LIMIT] = value.limit;
  }

  get idtr(): { base: number; limit: number } {
    return { base: this.s[Slot.IDT_BASE]! >>> 0, limit: this.s[Slot.IDT_LIMIT]! };
  }

  set idtr(value: { base: number; limit: number }) {
    this.s[Slot.IDT_BASE] = value.base;
    this.s[Slot.IDT_LIMIT] = value.limit;
  }

  /** Segment register `number` (see `Segment`; 6 is LDTR, 7 is TR) with its cache. */
  segment(number: number): SegmentState {
    const { s } = this;
    const access = s[Slot.ACCESS + number]!;
    return {
      selector: s[Slot.SELECTOR + number]!,
      base: s[Slot.BASE + number]! >>> 0,
      limit: s[Slot.LIMIT + number]! >>> 0,
      access: access & ~Access.USABLE,
      usable: (access & Access.USABLE) !== 0,
    };
  }

  /** Loads a selector and its cache from the descriptor tables, without checks of privilege; CS sets CPL to its RPL. */
  loadSegment(number: number, selector: number): void {
    const descriptor: Descriptor = { low: 0, high: 0 };
    if ((selector & 0xfffc) === 0) this.parts.segments.setNull(number, selector);
    else if (!this.parts.segments.fetch(selector, descriptor)) {
      throw new RangeError(`selector ${selector.toString(16)} lies outside its descriptor table`);
    } else this.parts.segments.set(number, selector, descriptor.low, descriptor.high);
    if (number === Segment.CS) this.parts.core.setCpl(selector & 3);
    this.parts.memory.updateAlignmentCheck();
  }

  /** Everything that the future of a run depends on, lazy flags resolved: equal for equal machines. */
  stateWords(): Int32Array {
    const { s } = this;
    const { data, large, code } = this.parts.paging.banks;
    const unit = this.parts.floatingPoint.save();
    const unitWords = new Int32Array(Math.ceil(unit.length / 4));
    new Uint8Array(unitWords.buffer).set(unit);
    return Int32Array.of(
      ...this.registers,
      this.eip,
      this.eflags,
      ...s.subarray(Slot.BASE, Slot.DR0 + 8),
      ...[Slot.CPL, Slot.SHADOW, Slot.DEBUG_PENDING, Slot.HALTED, Slot.SHUTDOWN].map((slot) => s[slot]!),
      ...[Slot.INTERRUPT_LINE, Slot.REPEATING].map((slot) => s[slot]!),
      ...unitWords,
      ...data.save(),
      ...large.save(),
      ...code.save(),
    );
  }
}
