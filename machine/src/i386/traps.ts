/**
 * Delivery of exceptions and interrupts through the IDT, and IRET. Source: Pentium Processor Family Developer's Manual, volume 3,
 * chapter 14 (interrupts and exceptions) and the pseudo-code of INT n and IRET in chapter 25; the order of checks is the
 * pseudo-code's. All checks and all pushes come before any change of registers, so that a fault in a delivery leaves the
 * interrupted context whole.
 *
 * What passes all checks, nobody listening, is done by the engine (`machine/engine/gates.ts`); the rest here.
 */

import type { ProcessorCore } from "./core.ts";
import type { Engine } from "./engine.ts";
import { NO_ERROR_CODE, pendingFault, raise } from "./fault.ts";
import type { Flags } from "./flags.ts";
import { AC, AF, CF, DF, ID, IF, IOPL, NT, OF, PF, RF, SF, TF, VM, ZF } from "./instruction.ts";
import { Access, Segment, Slot, SOFT_TLB_SETS, Task, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import {
  type Descriptor,
  descriptorBase,
  descriptorDpl,
  descriptorLimit,
  isCode,
  isConformingCode,
  type Segments,
} from "./segments.ts";
import { Counter } from "./statistics.ts";
import { gateClocks } from "./table-control.ts";
import { type InnerStack, systemType, TaskSource, type Tasks, TSS_AVAILABLE, TSS_BUSY } from "./tasks.ts";

export const TrapKind = { exception: 0, software: 1, hardware: 2 } as const;
export type TrapKind = (typeof TrapKind)[keyof typeof TrapKind];

const kindNames = ["exception", "software", "hardware"] as const;
const kindCounters = [Counter.EXCEPTIONS, Counter.SOFTWARE_INTERRUPTS, Counter.HARDWARE_INTERRUPTS] as const;

const TASK_GATE = 5;
const INTERRUPT_GATE = 0xe;
const TRAP_GATE = 0xf;

/** Exceptions that make a double fault of a second one (the manual's table 14-3), besides page faults. */
const contributory = new Set<number>([Vector.DE, Vector.TS, Vector.NP, Vector.SS, Vector.GP]);

const ALWAYS_RETURNED = CF | PF | AF | ZF | SF | TF | DF | OF | NT;

export interface Traps {
  /**
   * Delivers `vector`; the return address is `eip`. Raises what the delivery raises. On success CS:EIP is the
   * handler (or the new task) and EIP is set.
   */
  interrupt(vector: number, kind: TrapKind, errorCode: number, eip: number): void;
  /** Does what the engine has left of a task switch (TASK_REST), and of the delivery that it was part of; raises what is raised there. */
  finishSwitch(errorCode: number): void;
  /** Delivers `pendingFault` at `eip`, and what comes of it: a double fault, then shutdown. */
  deliverFault(eip: number): void;
  /** IRETD: EIP is set. `next` is the offset of the instruction behind it. */
  /** `size`: bytes of each word of the frame, 4 or (IRETW) 2. */
  interruptReturn(next: number, size: number): void;
  /** IRET and POPF share the rules about which flags may change. */
  writeFlags(value: number, mask: number): void;
}

export function createTraps(
  core: ProcessorCore,
  memory: Memory,
  segments: Segments,
  tasks: Tasks,
  flags: Flags,
  engine: Engine,
): Traps {
  const { s, counters } = core;
  const { BASE, SELECTOR, LIMIT, ACCESS, CPL, EIP, ESP, EFLAGS, EXTERNAL } = Slot;
  const { CS, SS, TR } = Segment;
  const codeDescriptor: Descriptor = { low: 0, high: 0 };
  const stack: InnerStack = { selector: 0, pointer: 0, descriptor: { low: 0, high: 0 } };
  const stackDescriptor: Descriptor = { low: 0, high: 0 };

  /** After a change of EFLAGS or CPL: interrupts may be open now, or single steps wanted. */
  function flagsChanged(): void {
    memory.updateAlignmentCheck();
    if ((s[EFLAGS]! & (TF | RF)) !== 0 || ((s[EFLAGS]! & IF) !== 0 && s[Slot.INTERRUPT_LINE] !== 0))
      core.attention();
  }

  function writeFlags(value: number, mask: number): void {
    flags.write((flags.read() & ~mask) | (value & mask) | 2);
    flagsChanged();
  }

  function roomOnStack(limit: number, access: number, pointer: number, bytes: number): boolean {
    const top = pointer >>> 0;
    if ((access & Access.EXPAND_DOWN) !== 0) {
      const highest = (access & Access.BIG) !== 0 ? 0xffff_ffff : 0xffff;
      const low = top - bytes;
      return low > limit >>> 0 && top - 1 <= highest && low >= 0;
    }
    if (limit >>> 0 === 0xffff_ffff) return true;
    return top >= bytes && top - 1 <= limit >>> 0;
  }

  function throughTaskGate(
    gateLow: number,
    vector: number,
    kind: TrapKind,
    errorCode: number,
    eip: number,
  ): void {
    const selector = gateLow >>> 16;
    const descriptor: Descriptor = { low: 0, high: 0 };
    if ((selector & 4) !== 0 || !segments.fetch(selector, descriptor))
      raise(Vector.GP, segments.code(selector));
    if (systemType(descriptor.high) !== TSS_AVAILABLE) raise(Vector.GP, segments.code(selector));
    if ((descriptor.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    const from = s[CPL]!;
    s[Slot.BUDGET] = s[Slot.BUDGET]! - gateClocks.taskGateInterrupt;
    tasks.switchTo(selector, descriptor, TaskSource.interrupt, eip, flagsImage(vector, kind));
    pushCode(errorCode);
    delivered(vector, kind, errorCode, from, eip);
  }

  /** On the new task's stack, when there is one. */
  function pushCode(errorCode: number): void {
    if (errorCode === NO_ERROR_CODE) return;
    s[Slot.FETCHING] = 1;
    const top = (s[ESP]! - 4) | 0;
    const access = s[ACCESS + SS]!;
    if (!roomOnStack(s[LIMIT + SS]!, access, s[ESP]!, 4)) raise(Vector.SS, s[EXTERNAL]!);
    memory.writeLinear((s[BASE + SS]! + top) | 0, 4, errorCode, s[Slot.MODE]!);
    s[ESP] = top;
    s[Slot.FETCHING] = 0;
  }

  function finishSwitch(errorCode: number): void {
    const rest = s[Slot.TASK_REST]!;
    const part = rest & Task.PART_MASK;
    const kind = (rest >> Task.KIND_SHIFT) & Task.KIND_MASK;
    const isDelivery = kind !== Task.NO_DELIVERY;
    s[Slot.TASK_REST] = 0;
    s[EXTERNAL] = isDelivery && kind !== TrapKind.software ? 1 : 0;
    if (part < Task.PUSH_CODE) tasks.load(part, (rest & Task.WITH_TRAP) !== 0);
    if (!isDelivery) return;
    pushCode(errorCode);
    s[EXTERNAL] = 0;
    counters[kindCounters[kind as TrapKind] + (rest >> Task.VECTOR_SHIFT)]!++;
  }

  /** EFLAGS as pushed: faults set RF there, so that the restarted instruction does not meet its breakpoint again. */
  function flagsImage(vector: number, kind: TrapKind): number {
    const value = flags.read();
    const isFault = kind === TrapKind.exception && vector !== Vector.DB;
    return isFault ? value | RF : value;
  }

  function delivered(vector: number, kind: TrapKind, errorCode: number, from: number, eip: number): void {
    counters[kindCounters[kind] + vector]!++;
    if (core.observer !== null) core.observer.trap?.(vector, kindNames[kind], errorCode, from, eip >>> 0);
  }

  /** A push of the current ring. */
  function pushAt(linear: number, value: number): void {
    if (s[CPL] === 3) memory.writeLinear(linear, 4, value, SOFT_TLB_SETS);
    else memory.writeSystem32(linear, value);
  }

  function interrupt(vector: number, kind: TrapKind, errorCode: number, eip: number): void {
    if (s[Slot.TASK_REST] === 0 && engine.interrupt(vector, kind, errorCode, eip) !== 0) return;
    if (s[Slot.TASK_REST] !== 0) {
      finishSwitch(errorCode);
      return;
    }
    const external = kind === TrapKind.software ? 0 : 1;
    s[EXTERNAL] = external;
    s[Slot.SHADOW] = 0;
    s[Slot.REPEATING] = 0;
    s[Slot.DELIVERIES] = s[Slot.DELIVERIES]! + 1;
    s[Slot.DEBUG_PENDING] = 0;
    const gateCode = vector * 8 + 2 + external;
    if (vector * 8 + 7 > s[Slot.IDT_LIMIT]!) raise(Vector.GP, gateCode);
    const gateAddress = (s[Slot.IDT_BASE]! + vector * 8) | 0;
    const gateLow = memory.readSystem32(gateAddress);
    const gateHigh = memory.readSystem32((gateAddress + 4) | 0);
    const type = systemType(gateHigh);
    if (type !== TASK_GATE && type !== INTERRUPT_GATE && type !== TRAP_GATE) raise(Vector.GP, gateCode);
    const from = s[CPL]!;
    if (kind === TrapKind.software && descriptorDpl(gateHigh) < from) raise(Vector.GP, gateCode);
    if ((gateHigh & Access.PRESENT) === 0) raise(Vector.NP, gateCode);
    if (type === TASK_GATE) {
      throughTaskGate(gateLow, vector, kind, errorCode, eip);
      s[EXTERNAL] = 0;
      return;
    }

    const selector = gateLow >>> 16;
    const target = (gateHigh & 0xffff_0000) | (gateLow & 0xffff);
    if ((selector & 0xfffc) === 0) raise(Vector.GP, external);
    if (!segments.fetch(selector, codeDescriptor)) raise(Vector.GP, segments.code(selector));
    let codeHigh = codeDescriptor.high;
    const dpl = descriptorDpl(codeHigh);
    if (!isCode(codeHigh) || dpl > from) raise(Vector.GP, segments.code(selector));
    if ((codeHigh & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    const image = flagsImage(vector, kind);
    const oldFlags = flags.read();
    const codeLimit = descriptorLimit(codeDescriptor.low, codeHigh) >>> 0;
    const pushed = errorCode === NO_ERROR_CODE ? 12 : 16;
    let to = from;

    if (!isConformingCode(codeHigh) && dpl < from) {
      to = dpl;
      tasks.innerStack(to, stack);
      const { low, high } = stack.descriptor;
      const base = descriptorBase(low, high);
      const bytes = pushed + 8;
      if (!roomOnStack(descriptorLimit(low, high), high, stack.pointer, bytes)) {
        raise(Vector.SS, segments.code(stack.selector));
      }
      if (target >>> 0 > codeLimit) raise(Vector.GP, external);
      const stackHigh = segments.markAccessed(stack.selector, high);
      codeHigh = segments.markAccessed(selector, codeHigh);
      // The pushes are the inner ring's accesses: supervisor, since it is 0 to 2.
      let top = (base + stack.pointer) | 0;
      memory.writeSystem32((top - 4) | 0, s[SELECTOR + SS]!);
      memory.writeSystem32((top - 8) | 0, s[ESP]!);
      top = (top - 8) | 0;
      memory.writeSystem32((top - 4) | 0, image);
      memory.writeSystem32((top - 8) | 0, s[SELECTOR + CS]!);
      memory.writeSystem32((top - 12) | 0, eip);
      if (errorCode !== NO_ERROR_CODE) memory.writeSystem32((top - 16) | 0, errorCode);
      core.countTransition(from, to);
      core.setCpl(to);
      segments.set(SS, stack.selector, low, stackHigh);
      s[ESP] = stack.pointer - bytes;
      s[Slot.BUDGET] =
        s[Slot.BUDGET]! -
        (kind === TrapKind.software
          ? gateClocks.interruptInner - gateClocks.interruptSamePrivilege
          : gateClocks.breakpointInner);
    } else {
      if (!roomOnStack(s[LIMIT + SS]!, s[ACCESS + SS]!, s[ESP]!, pushed)) {
        raise(Vector.SS, external);
      }
      if (target >>> 0 > codeLimit) raise(Vector.GP, external);
      codeHigh = segments.markAccessed(selector, codeHigh);
      const top = (s[BASE + SS]! + s[ESP]!) | 0;
      pushAt((top - 4) | 0, image);
      pushAt((top - 8) | 0, s[SELECTOR + CS]!);
      pushAt((top - 12) | 0, eip);
      if (errorCode !== NO_ERROR_CODE) pushAt((top - 16) | 0, errorCode);
      core.countTransition(from, to);
      s[ESP] = s[ESP]! - pushed;
      if (kind !== TrapKind.software) s[Slot.BUDGET] = s[Slot.BUDGET]! - gateClocks.breakpointSamePrivilege;
    }
    segments.set(CS, (selector & 0xfffc) | to, codeDescriptor.low, codeHigh);
    s[EIP] = target;
    flags.write(oldFlags & ~(TF | NT | VM | RF | (type === INTERRUPT_GATE ? IF : 0)));
    if (s[Slot.ALIGNMENT_CHECK] !== 0) memory.updateAlignmentCheck();
    if ((oldFlags & TF) !== 0) core.attention();
    s[EXTERNAL] = 0;
    delivered(vector, kind, errorCode, from, eip);
  }

  function deliverFault(eip: number): void {
    let vector = pendingFault.vector;
    let code = pendingFault.code;
    // A switch that the engine has begun has left the instruction behind.
    if (s[Slot.TASK_REST] === 0) s[EIP] = eip;
    for (;;) {
      try {
        interrupt(vector, TrapKind.exception, code, s[EIP]!);
        return;
      } catch (error) {
        if (error !== pendingFault) throw error;
      }
      s[EXTERNAL] = 0;
      const second = pendingFault.vector;
      if (vector === Vector.DF) {
        // A third fault: the processor shuts down.
        s[Slot.SHUTDOWN] = 1;
        core.attention();
        return;
      }
      const secondContributes = contributory.has(second);
      const doubles =
        (contributory.has(vector) && secondContributes) ||
        (vector === Vector.PF && (secondContributes || second === Vector.PF));
      vector = doubles ? Vector.DF : second;
      code = doubles ? 0 : pendingFault.code;
      s[Slot.FETCHING] = 0;
    }
  }

  function returnToTask(next: number): void {
    const descriptor: Descriptor = { low: 0, high: 0 };
    const selector = memory.readSystem16(s[BASE + TR]!);
    if ((selector & 4) !== 0 || !segments.fetch(selector, descriptor))
      raise(Vector.TS, segments.code(selector));
    if (systemType(descriptor.high) !== TSS_BUSY) raise(Vector.TS, segments.code(selector));
    if ((descriptor.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    tasks.switchTo(selector, descriptor, TaskSource.interruptReturn, next, flags.read());
  }

  /** Flags that an IRET from a ring may change. */
  function returnMask(from: number): number {
    const ioPrivilege = (s[EFLAGS]! & IOPL) >> 12;
    return (
      // RF only matters to instruction breakpoints; without any it would just be cleared by the next instruction.
      ALWAYS_RETURNED |
      (s[Slot.CODE_BREAKPOINTS] !== 0 ? RF : 0) |
      AC |
      ID |
      (from <= ioPrivilege ? IF : 0) |
      (from === 0 ? IOPL : 0)
    );
  }

  function interruptReturn(next: number, size: number): void {
    if (size === 4 && engine.interruptReturn(next) !== 0) return;
    if (s[Slot.TASK_REST] !== 0) {
      finishSwitch(NO_ERROR_CODE);
      return;
    }
    if ((s[EFLAGS]! & NT) !== 0) {
      returnToTask(next);
      return;
    }
    const from = s[CPL]!;
    const top = s[ESP]!;
    const word = (index: number): number => {
      const offset = (top + index * size) | 0;
      return size === 2 ? memory.read16(SS, offset) : memory.read32(SS, offset);
    };
    const target = word(0);
    const selector = word(1) & 0xffff;
    const image = word(2);
    if ((selector & 0xfffc) === 0) raise(Vector.GP, 0);
    if (!segments.fetch(selector, codeDescriptor)) raise(Vector.GP, segments.code(selector));
    const rpl = selector & 3;
    const { low } = codeDescriptor;
    let { high } = codeDescriptor;
    if (!isCode(high) || rpl < from) raise(Vector.GP, segments.code(selector));
    const dpl = descriptorDpl(high);
    if (isConformingCode(high) ? dpl > rpl : dpl !== rpl) raise(Vector.GP, segments.code(selector));
    if ((high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    const limit = descriptorLimit(low, high) >>> 0;
    const mask = returnMask(from);
    const writable = size === 2 ? mask & 0xffff : mask;

    if (rpl === from) {
      if (target >>> 0 > limit) raise(Vector.GP, 0);
      high = segments.markAccessed(selector, high);
      core.countTransition(from, from);
      segments.set(CS, selector, low, high);
      s[ESP] = top + 3 * size;
    } else {
      const newTop = word(3);
      const stackSelector = word(4) & 0xffff;
      segments.checkStack(stackSelector, rpl, Vector.GP, stackDescriptor);
      if (target >>> 0 > limit) raise(Vector.GP, 0);
      high = segments.markAccessed(selector, high);
      const stackHigh = segments.markAccessed(stackSelector, stackDescriptor.high);
      core.countTransition(from, rpl);
      core.setCpl(rpl);
      segments.set(CS, selector, low, high);
      segments.set(SS, stackSelector, stackDescriptor.low, stackHigh);
      s[ESP] = newTop;
      segments.dropPrivileged();
      s[Slot.BUDGET] = s[Slot.BUDGET]! - (gateClocks.interruptReturnOuter - gateClocks.interruptReturnSame);
    }
    s[EIP] = target;
    writeFlags(image, writable);
    core.observer?.returned?.(from, rpl);
  }

  return { interrupt, finishSwitch, deliverFault, interruptReturn, writeFlags };
}
