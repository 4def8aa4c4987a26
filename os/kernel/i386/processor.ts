/**
 * The processor's tables: segments of §6.1, gates, task state; and its small ring 0 stack. One processor, so one of each.
 *
 * Ring 0 holds first-level handlers only: they run with interrupts off on `firstLevelStack`, never wait and never
 * touch memory that can fault. The task state names the stacks a trap switches to: ESP0 is the end of the current thread's
 * record (traps.asm.ts), ESP1 the top of the spare kernel stack.
 */

import {
  KERNEL_BASE,
  RING0_CODE,
  RING0_DATA,
  RING1_CODE,
  RING1_DATA,
  TASK_STATE,
  VECTOR_PRIVATE_TRAP,
  VECTOR_SERVER_RETURN,
  VECTOR_SYSTEM_CALL,
  VECTORS,
} from "./layout";

declare function trapStubTable(): usize;
declare function loadInterruptTable(pointer: usize): void;
declare function loadTaskRegister(selector: u32): void;

/** Bytes of the ring 0 stack. First-level handlers of drivers run on it too. */
const FIRST_LEVEL_STACK: usize = 8192;
const GATE_INTERRUPT: u32 = 0x8e00;
const GATE_TRAP: u32 = 0x8f00;

/** The part of a 32-bit task-state segment that stack switches read (Intel, volume 3, 12.2). */
@unmanaged
class TaskState {
  link: u32 = 0;
  esp0: u32 = 0;
  ss0: u32 = 0;
  esp1: u32 = 0;
  ss1: u32 = 0;
}

const descriptorTable: usize = memory.data(64, 16);
const interruptTable: usize = memory.data(512, 16);
const taskState: usize = memory.data(104, 16);
const tablePointers: usize = memory.data(16, 16);
const stackArea: usize = memory.data(8192, 16);

/** Top of the ring 0 stack; entry code reads it. */
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
  const state = <u32>(taskState + KERNEL_BASE);
  const address = descriptorTable + 7 * 8;
  store<u32>(address, 103 | (state << 16));
  store<u32>(address, ((state >> 16) & 0xff) | 0x8900 | (state & 0xff000000), 4);
  store<u16>(tablePointers, 63);
  store<u32>(tablePointers, <u32>(descriptorTable + KERNEL_BASE), 2);
}

export function descriptorTablePointer(): usize {
  return tablePointers;
}

export function firstLevelStackTop(): usize {
  firstLevelStack = stackArea + FIRST_LEVEL_STACK;
  return firstLevelStack;
}

function writeGate(vector: u32, selector: u32, handler: u32, attributes: u32): void {
  const address = interruptTable + vector * 8;
  store<u32>(address, (handler & 0xffff) | (selector << 16));
  store<u32>(address, (handler & 0xffff0000) | attributes, 4);
}

/**
 * Gates: exceptions and interrupts go to ring 0 with interrupts off. System calls and server returns are trap gates
 * straight to ring 1, open to ring 3, as is the private trap to ring 0 (§6.1). Breakpoint and overflow are open to programs too.
 */
export function loadTables(): void {
  const stubs = trapStubTable();
  for (let vector: u32 = 0; vector < VECTORS; vector++) {
    const handler = load<u32>(stubs + vector * 4);
    if (vector === VECTOR_SYSTEM_CALL || vector === VECTOR_SERVER_RETURN) {
      writeGate(vector, RING1_CODE & ~3, handler, GATE_TRAP | 0x6000);
    } else if (vector === VECTOR_PRIVATE_TRAP || vector === 3 || vector === 4) {
      writeGate(vector, RING0_CODE, handler, GATE_INTERRUPT | 0x6000);
    } else {
      writeGate(vector, RING0_CODE, handler, GATE_INTERRUPT);
    }
  }
  store<u16>(tablePointers, <u16>(VECTORS * 8 - 1), 8);
  store<u32>(tablePointers, <u32>(interruptTable + KERNEL_BASE), 10);
  loadInterruptTable(tablePointers + 8);
  const state = changetype<TaskState>(taskState);
  state.ss0 = RING0_DATA;
  state.ss1 = RING1_DATA;
  // No I/O permission bitmap: only IOPL lets code reach ports.
  store<u16>(taskState, 104, 102);
  loadTaskRegister(TASK_STATE);
}

/** ESP for traps to ring 0: the end of a thread's saved context. */
export function setFirstLevelFrame(end: usize): void {
  changetype<TaskState>(taskState).esp0 = <u32>end;
}

/** ESP for traps from ring 3 to ring 1: top of the spare kernel stack. */
export function setSpareStack(top: usize): void {
  changetype<TaskState>(taskState).esp1 = <u32>top;
}

export function spareStackTop(): usize {
  return changetype<TaskState>(taskState).esp1;
}
