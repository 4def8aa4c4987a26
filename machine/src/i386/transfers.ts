/**
 * Far JMP, CALL and RET: direct, through call and task gates, and to a TSS. Source: pseudo-code of JMP, CALL and RET in the Pentium
 * Processor Family Developer's Manual, volume 3, chapter 25, and chapter 12 (gates). Order of checks as there.
 */

import type { ProcessorCore } from "./core.ts";
import { raise } from "./fault.ts";
import type { Flags } from "./flags.ts";
import { Access, Segment, Slot, Vector } from "./layout.ts";
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
import { gateClocks } from "./table-control.ts";
import { type InnerStack, systemType, TaskSource, type Tasks, TSS_AVAILABLE } from "./tasks.ts";

const CALL_GATE = 0xc;
const TASK_GATE = 5;

export interface Transfers {
  /** All set EIP; `next` is the offset of the instruction behind. */
  jumpFar(selector: number, offset: number, next: number): void;
  callFar(selector: number, offset: number, next: number, size: number): void;
  /** `release`: bytes of parameters to drop. */
  returnFar(release: number, size: number): void;
}

export function createTransfers(
  core: ProcessorCore,
  memory: Memory,
  segments: Segments,
  tasks: Tasks,
  flags: Flags,
): Transfers {
  const { s } = core;
  const { SELECTOR, CPL, EIP, ESP } = Slot;
  const { CS, SS } = Segment;
  const target: Descriptor = { low: 0, high: 0 };
  const code: Descriptor = { low: 0, high: 0 };
  const stackDescriptor: Descriptor = { low: 0, high: 0 };
  const stack: InnerStack = { selector: 0, pointer: 0, descriptor: { low: 0, high: 0 } };

  const charge = (clocks: number): void => {
    s[Slot.BUDGET] = s[Slot.BUDGET]! - clocks;
  };

  function fetchTarget(selector: number): void {
    if ((selector & 0xfffc) === 0) raise(Vector.GP, 0);
    if (!segments.fetch(selector, target)) raise(Vector.GP, segments.code(selector));
  }

  /** Checks of a code segment that is reached without a gate. */
  function checkDirect(selector: number, high: number): void {
    const dpl = descriptorDpl(high);
    const ring = s[CPL]!;
    const allowed = isConformingCode(high) ? dpl <= ring : (selector & 3) <= ring && dpl === ring;
    if (!allowed) raise(Vector.GP, segments.code(selector));
    if ((high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
  }

  function checkOffset(offset: number, descriptor: Descriptor): void {
    if (offset >>> 0 > descriptorLimit(descriptor.low, descriptor.high) >>> 0) raise(Vector.GP, 0);
  }

  function loadCode(selector: number, descriptor: Descriptor, offset: number): void {
    const high = segments.markAccessed(selector, descriptor.high);
    segments.set(CS, (selector & 0xfffc) | s[CPL]!, descriptor.low, high);
    s[EIP] = offset;
  }

  function checkGate(selector: number, high: number): void {
    const dpl = descriptorDpl(high);
    if (dpl < s[CPL]! || dpl < (selector & 3)) raise(Vector.GP, segments.code(selector));
  }

  /** TSS descriptor in `target` (or behind a task gate): checks and switches. */
  function switchTask(selector: number, descriptor: Descriptor, source: TaskSource, next: number): void {
    if ((selector & 4) !== 0 || systemType(descriptor.high) !== TSS_AVAILABLE) {
      raise(Vector.GP, segments.code(selector));
    }
    if ((descriptor.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    charge(source === TaskSource.jump ? gateClocks.taskGateJump : gateClocks.taskGateCall);
    tasks.switchTo(selector, descriptor, source, next, flags.read());
  }

  function throughTaskGate(selector: number, source: TaskSource, next: number): void {
    checkGate(selector, target.high);
    if ((target.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    const taskSelector = target.low >>> 16;
    if ((taskSelector & 4) !== 0 || !segments.fetch(taskSelector, code)) {
      raise(Vector.GP, segments.code(taskSelector));
    }
    switchTask(taskSelector, code, source, next);
  }

  /** Reads the code segment behind the call gate in `target` into `code`; returns its selector. */
  function openCallGate(selector: number): number {
    checkGate(selector, target.high);
    if ((target.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    const codeSelector = target.low >>> 16;
    if ((codeSelector & 0xfffc) === 0) raise(Vector.GP, 0);
    if (!segments.fetch(codeSelector, code)) raise(Vector.GP, segments.code(codeSelector));
    if (!isCode(code.high)) raise(Vector.GP, segments.code(codeSelector));
    return codeSelector;
  }

  const gateOffset = (): number => (target.high & 0xffff_0000) | (target.low & 0xffff);

  function jumpFar(selector: number, offset: number, next: number): void {
    fetchTarget(selector);
    if ((target.high & Access.NOT_SYSTEM) !== 0) {
      if (!isCode(target.high)) raise(Vector.GP, segments.code(selector));
      checkDirect(selector, target.high);
      checkOffset(offset, target);
      loadCode(selector, target, offset);
      return;
    }
    switch (systemType(target.high)) {
      case CALL_GATE: {
        const codeSelector = openCallGate(selector);
        const dpl = descriptorDpl(code.high);
        const ring = s[CPL]!;
        if (isConformingCode(code.high) ? dpl > ring : dpl !== ring) {
          raise(Vector.GP, segments.code(codeSelector));
        }
        if ((code.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(codeSelector));
        const entry = gateOffset();
        checkOffset(entry, code);
        charge(gateClocks.jumpGateSamePrivilege);
        core.countTransition(ring, ring);
        loadCode(codeSelector, code, entry);
        return;
      }
      case TASK_GATE:
        throughTaskGate(selector, TaskSource.jump, next);
        return;
      default: {
        checkTssPrivilege(selector);
        switchTask(selector, target, TaskSource.jump, next);
      }
    }
  }

  function checkTssPrivilege(selector: number): void {
    if (systemType(target.high) !== TSS_AVAILABLE) raise(Vector.GP, segments.code(selector));
    checkGate(selector, target.high);
  }

  /** Pushes CS and the return offset on the current stack; raises #SS before anything changes. */
  function pushReturn(next: number, size: number): void {
    const top = s[ESP]!;
    const write = size === 4 ? memory.write32 : memory.write16;
    memory.probeWrite(SS, (top - size) | 0, size);
    memory.probeWrite(SS, (top - 2 * size) | 0, size);
    write(SS, (top - size) | 0, s[SELECTOR + CS]!);
    write(SS, (top - 2 * size) | 0, next);
  }

  function callFar(selector: number, offset: number, next: number, size: number): void {
    fetchTarget(selector);
    if ((target.high & Access.NOT_SYSTEM) !== 0) {
      if (!isCode(target.high)) raise(Vector.GP, segments.code(selector));
      checkDirect(selector, target.high);
      const top = s[ESP]!;
      memory.linearOf(SS, (top - 2 * size) | 0, size, true);
      checkOffset(offset, target);
      pushReturn(next, size);
      loadCode(selector, target, offset);
      s[ESP] = top - 2 * size;
      return;
    }
    switch (systemType(target.high)) {
      case CALL_GATE:
        throughCallGate(selector, next);
        return;
      case TASK_GATE:
        throughTaskGate(selector, TaskSource.call, next);
        return;
      default:
        checkTssPrivilege(selector);
        switchTask(selector, target, TaskSource.call, next);
    }
  }

  function throughCallGate(selector: number, next: number): void {
    const codeSelector = openCallGate(selector);
    const from = s[CPL]!;
    const dpl = descriptorDpl(code.high);
    if (dpl > from) raise(Vector.GP, segments.code(codeSelector));
    if ((code.high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(codeSelector));
    const entry = gateOffset();
    const top = s[ESP]!;
    if (isConformingCode(code.high) || dpl === from) {
      memory.linearOf(SS, (top - 8) | 0, 4, true);
      checkOffset(entry, code);
      pushReturn(next, 4);
      charge(gateClocks.callGateSamePrivilege);
      core.countTransition(from, from);
      loadCode(codeSelector, code, entry);
      s[ESP] = top - 8;
      return;
    }
    const parameters = target.high & 0x1f;
    tasks.innerStack(dpl, stack);
    const { low, high } = stack.descriptor;
    const bytes = 16 + 4 * parameters;
    const newTop = stack.pointer;
    const limit = descriptorLimit(low, high) >>> 0;
    const highest = newTop >>> 0;
    const fits =
      (high & Access.EXPAND_DOWN) !== 0
        ? highest - bytes > limit && ((high & Access.BIG) !== 0 || highest <= 0x1_0000)
        : limit === 0xffff_ffff || (highest >= bytes && highest - 1 <= limit);
    if (!fits) raise(Vector.SS, segments.code(stack.selector));
    checkOffset(entry, code);
    const stackHigh = segments.markAccessed(stack.selector, high);
    const base = (descriptorBase(low, high) + newTop) | 0;
    memory.writeSystem32((base - 4) | 0, s[SELECTOR + SS]!);
    memory.writeSystem32((base - 8) | 0, top);
    for (let i = parameters - 1; i >= 0; i--) {
      const value = memory.read32(SS, (top + 4 * i) | 0);
      memory.writeSystem32((base - 8 - 4 * (parameters - i)) | 0, value);
    }
    memory.writeSystem32((base - bytes + 4) | 0, s[SELECTOR + CS]!);
    memory.writeSystem32((base - bytes) | 0, next);
    charge(gateClocks.callGateInner + gateClocks.callGateParameter * parameters);
    core.countTransition(from, dpl);
    core.setCpl(dpl);
    memory.updateAlignmentCheck();
    segments.set(SS, stack.selector, low, stackHigh);
    s[ESP] = newTop - bytes;
    loadCode(codeSelector, code, entry);
  }

  function returnFar(release: number, size: number): void {
    const from = s[CPL]!;
    const top = s[ESP]!;
    const read = (index: number): number => {
      const offset = (top + index) | 0;
      return size === 4 ? memory.read32(SS, offset) : memory.read16(SS, offset);
    };
    const offset = read(0);
    const selector = read(size) & 0xffff;
    fetchTarget(selector);
    const { high } = target;
    const rpl = selector & 3;
    if (!isCode(high) || rpl < from) raise(Vector.GP, segments.code(selector));
    const dpl = descriptorDpl(high);
    if (isConformingCode(high) ? dpl > rpl : dpl !== rpl) raise(Vector.GP, segments.code(selector));
    if ((high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    if (rpl === from) {
      checkOffset(offset, target);
      const accessed = segments.markAccessed(selector, high);
      core.countTransition(from, from);
      segments.set(CS, selector, target.low, accessed);
      s[EIP] = offset;
      s[ESP] = top + 2 * size + release;
      return;
    }
    const newTop = read(2 * size + release);
    const stackSelector = read(3 * size + release) & 0xffff;
    segments.checkStack(stackSelector, rpl, Vector.GP, stackDescriptor);
    checkOffset(offset, target);
    const accessed = segments.markAccessed(selector, high);
    const stackAccessed = segments.markAccessed(stackSelector, stackDescriptor.high);
    charge(gateClocks.returnOuter);
    core.countTransition(from, rpl);
    core.setCpl(rpl);
    segments.set(CS, selector, target.low, accessed);
    segments.set(SS, stackSelector, stackDescriptor.low, stackAccessed);
    s[EIP] = offset;
    s[ESP] = newTop + release;
    segments.dropPrivileged();
    memory.updateAlignmentCheck();
  }

  return { jumpFar, callFar, returnFar };
}
