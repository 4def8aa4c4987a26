/**
 * The processor's tables: segments of §6.1, gates, task state; and its first-level stacks. One processor, so one of each.
 *
 * First-level handlers run with interrupts off on `firstLevelStack`, never wait and never touch memory that can fault. The task
 * state names the stacks that a trap changes to. With thread-level kernel code at ring 1, ESP0 is the end of the current thread's record
 * (traps.asm.ts) and ESP1 the top of the spare kernel stack; with it at ring 0, ESP0 is the latter. What task gates need besides is in tasks.ts.
 */

import { kernelRing } from "./design";
import {
  DESCRIPTORS,
  KERNEL_BASE,
  RING0_CODE,
  RING0_DATA,
  RING1_CODE,
  RING1_DATA,
  TASK_STATE,
  VECTOR_HAND_OFF,
  VECTOR_PRIVATE_TRAP,
  VECTOR_SERVER_RETURN,
  VECTOR_SYSTEM_CALL,
  VECTORS,
} from "./layout";

declare function trapStubTable(): usize;
declare function ring0StubTable(): usize;
declare function loadInterruptTable(pointer: usize): void;
declare function loadTaskRegister(selector: u32): void;

/** Bytes of the stack of first-level handlers, those of drivers too, and of the stack of each kind of task below it. */
const FIRST_LEVEL_STACK: usize = 8192;
export const TASK_STACK: usize = 4096;
const GATE_INTERRUPT: u32 = 0x8e00;
const GATE_TRAP: u32 = 0x8f00;
const GATE_TASK: u32 = 0x8500;
/** In a gate's attributes: programs may use it; thread-level kernel code may, at ring 1. */
const OPEN: u32 = 0x6000;
const OPEN_TO_RING1: u32 = 0x2000;

/** A 32-bit task-state segment (Intel, volume 3, 12.2). */
@unmanaged
export class TaskState {
  link: u32 = 0;
  esp0: u32 = 0;
  ss0: u32 = 0;
  esp1: u32 = 0;
  ss1: u32 = 0;
  esp2: u32 = 0;
  ss2: u32 = 0;
  cr3: u32 = 0;
  eip: u32 = 0;
  eflags: u32 = 0;
  eax: u32 = 0;
  ecx: u32 = 0;
  edx: u32 = 0;
  ebx: u32 = 0;
  esp: u32 = 0;
  ebp: u32 = 0;
  esi: u32 = 0;
  edi: u32 = 0;
  es: u32 = 0;
  cs: u32 = 0;
  ss: u32 = 0;
  ds: u32 = 0;
  fs: u32 = 0;
  gs: u32 = 0;
  ldt: u32 = 0;
  trap: u16 = 0;
  /** Offset of the I/O permission bitmap: past the end, since only IOPL lets code reach ports. */
  permissions: u16 = 0;
}
export const TASK_STATE_SIZE: usize = 104;

const descriptorTable: usize = memory.data(208, 16);
const interruptTable: usize = memory.data(512, 16);
/** Task states in the order of their selectors, from TASK_STATE on. */
const taskStates: usize = memory.data(1976, 16);
const tablePointers: usize = memory.data(16, 16);
const stackArea: usize = memory.data(16384, 16);

/** The first-level stacks: stacks of tasks, then the one whose top is `firstLevelStack`. Entry code reads both. */
export let firstLevelStacks: usize = 0;
export let firstLevelStack: usize = 0;

/** A segment descriptor; `limit` in 4 KB pages minus one. */
function writeSegment(index: usize, base: u32, limit: u32, access: u32): void {
  const address = descriptorTable + index * 8;
  store<u32>(address, (limit & 0xffff) | (base << 16));
  store<u32>(
    address,
    ((base >> 16) & 0xff) | (access << 8) | (limit & 0xf0000) | 0x00c00000 | (base & 0xff000000),
    4,
  );
}

/** Runs before paging, at ring 0, with the kernel's virtual addresses valid. */
export function buildDescriptorTable(): void {
  const all: u32 = 0xfffff;
  writeSegment(1, <u32>KERNEL_BASE, all, 0x9a);
  writeSegment(2, <u32>KERNEL_BASE, all, 0x92);
  writeSegment(3, <u32>KERNEL_BASE, all, 0xba);
  writeSegment(4, <u32>KERNEL_BASE, all, 0xb2);
  // User segments end at 2 GB.
  writeSegment(5, 0, 0x7ffff, 0xfa);
  writeSegment(6, 0, 0x7ffff, 0xf2);
  writeTaskDescriptor(TASK_STATE, taskStates);
  store<u16>(tablePointers, <u16>(DESCRIPTORS * 8 - 1));
  store<u32>(tablePointers, <u32>(descriptorTable + KERNEL_BASE), 2);
}

/** Names a task-state segment, present and available. */
export function writeTaskDescriptor(selector: u32, state: usize): void {
  const base = <u32>(state + KERNEL_BASE);
  const address = descriptorTable + selector;
  store<u32>(address, (<u32>TASK_STATE_SIZE - 1) | (base << 16));
  store<u32>(address, ((base >> 16) & 0xff) | 0x8900 | (base & 0xff000000), 4);
}

export function descriptorTablePointer(): usize {
  return tablePointers;
}

export function firstLevelStackTop(): usize {
  firstLevelStacks = stackArea;
  firstLevelStack = stackArea + 2 * TASK_STACK + FIRST_LEVEL_STACK;
  return firstLevelStack;
}

function writeGate(vector: u32, selector: u32, handler: u32, attributes: u32): void {
  const address = interruptTable + vector * 8;
  store<u32>(address, (handler & 0xffff) | (selector << 16));
  store<u32>(address, (handler & 0xffff0000) | attributes, 4);
}

/** Has a vector switch to a task. */
export function writeTaskGate(vector: u32, selector: u32): void {
  writeGate(vector, selector, 0, GATE_TASK);
}

function stubTable(): usize {
  return kernelRing() === 0 ? ring0StubTable() : trapStubTable();
}

/** Has an exception or interrupt go to its first-level handler. */
export function writeFirstLevelGate(vector: u32): void {
  writeGate(vector, RING0_CODE, load<u32>(stubTable() + vector * 4), GATE_INTERRUPT);
}

/**
 * Gates: exceptions and interrupts go to ring 0 with interrupts off. System calls and server returns are trap gates straight to
 * thread level, open to ring 3, as is the private trap to ring 0 (§6.1). Breakpoint and overflow are open to programs too. The hand-off between
 * threads is for kernel level.
 */
export function loadTables(): void {
  const stubs = stubTable();
  const threadLevel = kernelRing() === 0 ? RING0_CODE : RING1_CODE & ~3;
  for (let vector: u32 = 0; vector < VECTORS; vector++) {
    const handler = load<u32>(stubs + vector * 4);
    if (vector === VECTOR_SYSTEM_CALL || vector === VECTOR_SERVER_RETURN)
      writeGate(vector, threadLevel, handler, GATE_TRAP | OPEN);
    else if (vector === VECTOR_PRIVATE_TRAP || vector === 3 || vector === 4)
      writeGate(vector, RING0_CODE, handler, GATE_INTERRUPT | OPEN);
    else if (vector === VECTOR_HAND_OFF)
      writeGate(vector, RING0_CODE, handler, GATE_INTERRUPT | (kernelRing() === 0 ? 0 : OPEN_TO_RING1));
    else writeFirstLevelGate(vector);
  }
  store<u16>(tablePointers, <u16>(VECTORS * 8 - 1), 8);
  store<u32>(tablePointers, <u32>(interruptTable + KERNEL_BASE), 10);
  loadInterruptTable(tablePointers + 8);
  const esp0 = taskStates + offsetof<TaskState>("esp0");
  const esp1 = taskStates + offsetof<TaskState>("esp1");
  spareField = kernelRing() === 0 ? esp0 : esp1;
  frameField = kernelRing() === 0 ? esp1 : esp0;
  const state = mainTask();
  state.ss0 = RING0_DATA;
  state.ss1 = RING1_DATA;
  state.permissions = <u16>TASK_STATE_SIZE;
  loadTaskRegister(TASK_STATE);
}

/** The task that threads and the handlers of other than task gates run in. */
export function mainTask(): TaskState {
  return changetype<TaskState>(taskStates);
}

export function taskAt(selector: u32): TaskState {
  return changetype<TaskState>(taskStates + ((selector - TASK_STATE) >> 3) * TASK_STATE_SIZE);
}

/** Where the task state names the place of frames that traps to ring 0 push; ESP1, which nothing uses, if those go on the spare stack. */
let frameField: usize = 0;
/** Where it names the spare stack. */
let spareField: usize = 0;

/** A thread becomes current: traps to ring 0 push their frame at the end of its saved context. */
export function setFirstLevelFrame(end: usize): void {
  store<u32>(frameField, <u32>end);
}

/** Top of the spare kernel stack, for traps from ring 3 to thread level. */
export function setSpareStack(top: usize): void {
  store<u32>(spareField, <u32>top);
}

export function spareStackTop(): usize {
  return load<u32>(spareField);
}
