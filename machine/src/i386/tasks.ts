/**
 * Hardware tasks: the 32-bit TSS, the task switch, stacks of inner rings. Source: Pentium Processor Family Developer's Manual,
 * volume 3, chapter 13 (multitasking), table 13-1 (checks of a task switch) and 13-2 (busy bit, NT, link).
 *
 *   0x00 link   0x04 ESP0  0x08 SS0 … 0x18 SS2   0x1c CR3   0x20 EIP   0x24 EFLAGS   0x28 EAX … 0x44 EDI
 *   0x48 ES  0x4c CS  0x50 SS  0x54 DS  0x58 FS  0x5c GS   0x60 LDT   0x64 T (bit 0)   0x66 I/O map base
 *
 * Before the commit point (both TSSs and descriptors reachable) a fault belongs to the old task and nothing has changed. After it,
 * a fault is the new task's, at its EIP: selectors are loaded, bad segments are left unusable.
 * What passes all checks, nobody listening, is done by the engine (`machine/engine/tasks.ts`); the rest here.
 * 16-bit TSSs (types 1 and 3) and V86 tasks are not supported and refused as a wrong type.
 */

import type { ProcessorCore } from "./core.ts";
import type { Engine } from "./engine.ts";
import { raise } from "./fault.ts";
import type { Flags } from "./flags.ts";
import { NT, OF_TASK } from "./instruction.ts";
import { Access, ControlBit, Segment, Slot, Task, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Paging } from "./paging.ts";
import {
  type Descriptor,
  descriptorBase,
  descriptorDpl,
  descriptorLimit,
  isCode,
  isConformingCode,
  isWritableData,
  type Segments,
} from "./segments.ts";
import { Counter } from "./statistics.ts";
import { gateClocks } from "./table-control.ts";

export const TaskSource = {
  jump: Task.JUMP,
  call: Task.CALL,
  interrupt: Task.INTERRUPT,
  interruptReturn: Task.RETURN,
} as const;
export type TaskSource = (typeof TaskSource)[keyof typeof TaskSource];

const SMALLEST_TSS_LIMIT = 0x67;
const BUSY = 0x200;
const DEBUG_TASK_TRAP = 0x8000;
/** L0 to L3 and LE of DR7. */
const LOCAL_BREAKPOINTS = 0x155;
/** In the order in which they are loaded, from LOAD_ES on. */
const dataSegments = [Segment.ES, Segment.DS, Segment.FS, Segment.GS] as const;

/** Bits 8 to 12 of a system descriptor's high word: type and S. */
export const systemType = (high: number): number => (high >> 8) & 0x1f;
export const TSS_AVAILABLE = Task.AVAILABLE;
export const TSS_BUSY = Task.BUSY;

export interface InnerStack {
  selector: number;
  pointer: number;
  descriptor: Descriptor;
}

export interface Tasks {
  /**
   * Switches to the task of a checked, present TSS descriptor. `eip` is stored as the old task's; RF in `flagsImage`
   * goes to its saved flags.
   */
  switchTo(
    selector: number,
    descriptor: Descriptor,
    source: TaskSource,
    eip: number,
    flagsImage: number,
  ): void;
  /** Loads from part `first` on (`Task`) what the words SELECTOR say; `trap`: the T bit. For the switch, and for what the engine has begun. */
  load(first: number, trap: boolean): void;
  /** SS:ESP for `ring` from the current TSS, SS checked; raises #TS, #SS. */
  innerStack(ring: number, into: InnerStack): void;
}

export function createTasks(
  core: ProcessorCore,
  memory: Memory,
  paging: Paging,
  segments: Segments,
  flags: Flags,
  engine: Engine,
): Tasks {
  const { s, counters } = core;
  const { BASE, SELECTOR, LIMIT, CPL, EIP, CR0, CR3 } = Slot;
  const { TR, LDTR, CS, SS } = Segment;
  const scratch: Descriptor = { low: 0, high: 0 };

  function load(first: number, trap: boolean): void {
    s[Slot.FETCHING] = 1;
    if (first <= Task.LOAD_LDT) loadLdt(s[SELECTOR + LDTR]!);
    if (first <= Task.LOAD_SS) loadStack(s[SELECTOR + SS]!);
    for (const [index, segment] of dataSegments.entries())
      if (first <= Task.LOAD_ES + index) loadData(segment, s[SELECTOR + segment]!);
    if (first <= Task.LOAD_CS) {
      loadCode(s[SELECTOR + CS]!);
      if (trap) s[Slot.DEBUG_PENDING] = s[Slot.DEBUG_PENDING]! | DEBUG_TASK_TRAP;
      if (s[EIP]! >>> 0 > s[LIMIT + CS]! >>> 0) raise(Vector.GP, s[Slot.EXTERNAL]!);
    }
    s[Slot.FETCHING] = 0;
    // IF, TF, the debug registers and the trap bit may all ask for the run loop.
    core.attention();
  }

  /** Whether the engine has switched, but for what is left of its work. */
  function switchedByEngine(
    selector: number,
    descriptor: Descriptor,
    source: TaskSource,
    eip: number,
    flagsImage: number,
  ): boolean {
    if (engine.switchTask(selector, descriptor.low, descriptor.high, source, eip, flagsImage) !== 0)
      return true;
    const rest = s[Slot.TASK_REST]!;
    if (rest === 0) return false;
    s[Slot.TASK_REST] = 0;
    load(rest & Task.PART_MASK, (rest & Task.WITH_TRAP) !== 0);
    return true;
  }

  function innerStack(ring: number, into: InnerStack): void {
    const slot = ring * 8 + 4;
    if (slot + 5 > s[LIMIT + TR]! >>> 0) raise(Vector.TS, segments.code(s[SELECTOR + TR]!));
    const base = (s[BASE + TR]! + slot) | 0;
    into.pointer = memory.readSystem32(base);
    into.selector = memory.readSystem16((base + 4) | 0);
    segments.checkStack(into.selector, ring, Vector.TS, into.descriptor);
  }

  /** Makes sure that every byte of the range can be reached, so that the switch cannot fault half way. */
  function reach(start: number, bytes: number, write: boolean): void {
    paging.translate(start, write, 0);
    if ((start & 0xfff) + bytes > 4096) paging.translate((start + bytes - 1) | 0, write, 0);
  }

  function setBusy(selector: number, busy: boolean): void {
    const address = (s[Slot.GDT_BASE]! + (selector & 0xfff8) + 5) | 0;
    const type = memory.readLinear(address, 1, 0);
    memory.writeLinear(address, 1, busy ? type | 2 : type & ~2, 0);
  }

  function loadLdt(selector: number): void {
    segments.setNull(LDTR, selector);
    if ((selector & 0xfffc) === 0) return;
    if ((selector & 4) !== 0 || !segments.fetch(selector, scratch)) raise(Vector.TS, segments.code(selector));
    if (systemType(scratch.high) !== 2 || (scratch.high & Access.PRESENT) === 0) {
      raise(Vector.TS, segments.code(selector));
    }
    segments.set(LDTR, selector, scratch.low, scratch.high);
  }

  function loadStack(selector: number): void {
    if ((selector & 0xfffc) === 0) raise(Vector.TS, segments.code(selector));
    if (!segments.fetch(selector, scratch)) raise(Vector.TS, segments.code(selector));
    if (!isWritableData(scratch.high)) raise(Vector.TS, segments.code(selector));
    if ((scratch.high & Access.PRESENT) === 0) raise(Vector.SS, segments.code(selector));
    const ring = s[CPL]!;
    if (descriptorDpl(scratch.high) !== ring || (selector & 3) !== ring) {
      raise(Vector.TS, segments.code(selector));
    }
    segments.set(SS, selector, scratch.low, segments.markAccessed(selector, scratch.high));
  }

  function loadData(segment: number, selector: number): void {
    if ((selector & 0xfffc) === 0) return;
    if (!segments.fetch(selector, scratch)) raise(Vector.TS, segments.code(selector));
    const { high } = scratch;
    const readable =
      (high & Access.NOT_SYSTEM) !== 0 && (high & (Access.CODE | Access.WRITABLE)) !== Access.CODE;
    if (!readable) raise(Vector.TS, segments.code(selector));
    const dpl = descriptorDpl(high);
    if (!isConformingCode(high) && ((selector & 3) > dpl || s[CPL]! > dpl)) {
      raise(Vector.TS, segments.code(selector));
    }
    if ((high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    segments.set(segment, selector, scratch.low, segments.markAccessed(selector, high));
  }

  function loadCode(selector: number): void {
    if ((selector & 0xfffc) === 0) raise(Vector.TS, segments.code(selector));
    if (!segments.fetch(selector, scratch)) raise(Vector.TS, segments.code(selector));
    const { high } = scratch;
    if (!isCode(high)) raise(Vector.TS, segments.code(selector));
    const dpl = descriptorDpl(high);
    const rpl = selector & 3;
    if (isConformingCode(high) ? dpl > rpl : dpl !== rpl) raise(Vector.TS, segments.code(selector));
    if ((high & Access.PRESENT) === 0) raise(Vector.NP, segments.code(selector));
    segments.set(CS, selector, scratch.low, segments.markAccessed(selector, high));
  }

  function saveState(base: number, eip: number, flagsImage: number): void {
    memory.writeSystem32((base + 0x20) | 0, eip);
    memory.writeSystem32((base + 0x24) | 0, flagsImage);
    for (let i = 0; i < 8; i++) memory.writeSystem32((base + 0x28 + 4 * i) | 0, s[i]!);
    for (let i = 0; i < 6; i++) memory.writeSystem16((base + 0x48 + 4 * i) | 0, s[SELECTOR + i]!);
  }

  function switchTo(
    selector: number,
    descriptor: Descriptor,
    source: TaskSource,
    eip: number,
    flagsImage: number,
  ): void {
    const isTransfer = source === TaskSource.jump || source === TaskSource.call;
    if (isTransfer && switchedByEngine(selector, descriptor, source, eip, flagsImage)) return;
    const newBase = descriptorBase(descriptor.low, descriptor.high);
    const newLimit = descriptorLimit(descriptor.low, descriptor.high) >>> 0;
    const oldSelector = s[SELECTOR + TR]!;
    const oldBase = s[BASE + TR]!;
    const oldRing = s[CPL]!;
    if (newLimit < SMALLEST_TSS_LIMIT) raise(Vector.TS, segments.code(selector));
    if (s[LIMIT + TR]! >>> 0 < 0x5f) raise(Vector.TS, segments.code(oldSelector));
    const nests = source === TaskSource.call || source === TaskSource.interrupt;
    reach(oldBase + 0x20, 0x40, true);
    reach(newBase, SMALLEST_TSS_LIMIT + 1, nests);
    reach(s[Slot.GDT_BASE]! + (selector & 0xfff8), 8, true);
    reach(s[Slot.GDT_BASE]! + (oldSelector & 0xfff8), 8, true);

    // Commit point.
    counters[Counter.TASK_SWITCHES]!++;
    s[Slot.BUDGET] = s[Slot.BUDGET]! - gateClocks.taskSwitch;
    let savedFlags = flagsImage;
    if (source === TaskSource.jump || source === TaskSource.interruptReturn) setBusy(oldSelector, false);
    if (source === TaskSource.interruptReturn) savedFlags &= ~NT;
    saveState(oldBase, eip, savedFlags);
    if (nests) memory.writeSystem16(newBase, oldSelector);
    if (source !== TaskSource.interruptReturn) setBusy(selector, true);

    const newCr3 = memory.readSystem32((newBase + 0x1c) | 0);
    const newEip = memory.readSystem32((newBase + 0x20) | 0);
    let newFlags = memory.readSystem32((newBase + 0x24) | 0);
    for (let i = 0; i < 8; i++) s[i] = memory.readSystem32((newBase + 0x28 + 4 * i) | 0);
    const selectors: number[] = [];
    for (let i = 0; i < 6; i++) selectors.push(memory.readSystem16((newBase + 0x48 + 4 * i) | 0));
    s[SELECTOR + LDTR] = memory.readSystem16((newBase + 0x60) | 0);
    const trap = memory.readSystem16((newBase + 0x64) | 0) & 1;

    segments.set(TR, selector, descriptor.low, descriptor.high | BUSY);
    s[CR0] = s[CR0]! | ControlBit.CR0_TS;
    // Local breakpoints belong to the old task.
    if ((s[Slot.DR7]! & LOCAL_BREAKPOINTS) !== 0) {
      s[Slot.DR7] = s[Slot.DR7]! & ~LOCAL_BREAKPOINTS;
      core.onDebugRegistersChanged();
    }
    if ((s[CR0]! & ControlBit.CR0_PG) !== 0) {
      s[CR3] = newCr3;
      counters[Counter.CR3_LOADS]!++;
      paging.flush();
    }
    newFlags = (newFlags & OF_TASK) | 2;
    if (nests) newFlags |= NT;
    flags.write(newFlags);

    // From here on faults are the new task's. The fault handler finds its selectors, its EIP and its ring.
    s[EIP] = newEip;
    s[Slot.FETCHING] = 1;
    const newRing = selectors[CS]! & 3;
    core.countTransition(oldRing, newRing);
    core.setCpl(newRing);
    for (let i = 0; i < 6; i++) segments.setNull(i, selectors[i]!);
    memory.updateAlignmentCheck();
    if (core.observer !== null) core.observer.taskSwitch?.(oldSelector, selector);
    load(Task.LOAD_LDT, trap !== 0);
  }

  return { switchTo, load, innerStack };
}
