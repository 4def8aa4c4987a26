/**
 * Task gates (§6.1's alternative to ring 1): a fault whose frame may find no stack, and with `traps=taskgate` every page fault and device
 * interrupt, switch to a task of its own, which has a good stack and leaves the interrupted registers in the state of the task that it interrupted.
 *
 * Interrupted was either the main task at thread level: then its registers go into the thread's record, the handler is that of all
 * designs, and the registers of whichever thread is current then come back from its record; or first-level code: then nothing but the
 * refill of a translation or a device's handler is due, and the registers stay where they are.
 *
 * The processor loads CR3 from the state of the task that it enters but never saves it, so `setTaskDirectory` keeps the main task's right. It
 * also sets CR0.TS; an extra #NM is the price.
 */

import { panicAt } from "../epitaph";
import { refill, resolve } from "../memory/refill";
import { overflowed } from "../threads/helper";
import { currentDirectory, dispatchIsDue } from "../threads/scheduler";
import { inKernelStacks } from "../threads/stacks";
import { currentThread, type Thread } from "../threads/thread";
import { TRAPS_RING1, TRAPS_TASK_GATE, trapDesign } from "./design";
import { deviceInterrupt, lostInterrupts } from "./interrupts";
import {
  DOUBLE_FAULT_TASK,
  INTERRUPT_LINES,
  INTERRUPT_TASKS,
  PAGE_FAULT_TASK,
  RING0_CODE,
  RING0_DATA,
  VECTOR_DOUBLE_FAULT,
  VECTOR_INTERRUPT,
  VECTOR_OVERFLOW,
  VECTOR_PAGE_FAULT,
} from "./layout";
import { kernelDirectoryAddress } from "./paging";
import {
  firstLevelStack,
  firstLevelStacks,
  mainTask,
  TASK_STACK,
  TASK_STATE_SIZE,
  type TaskState,
  taskAt,
  writeFirstLevelGate,
  writeTaskDescriptor,
  writeTaskGate,
} from "./processor";
import { describeNestedFault, firstLevelTrap, leaveFirstLevel, pageFault } from "./traps";

declare function interruptTask(): usize;
declare function faultTask(): usize;

/** A task that waits at `entry` for its gate. EBX tells it its vector, ESI and EDI tell debuggers where all task states and its own are. */
function makeTask(selector: u32, vector: u32, entry: usize, stack: usize): void {
  const task = taskAt(selector);
  task.cr3 = kernelDirectoryAddress();
  task.eip = <u32>entry;
  task.eflags = 2;
  task.ebx = vector;
  task.esi = <u32>changetype<usize>(mainTask());
  task.edi = <u32>changetype<usize>(task);
  task.esp = <u32>stack;
  task.cs = RING0_CODE;
  task.ss = RING0_DATA;
  task.ds = RING0_DATA;
  task.es = RING0_DATA;
  task.permissions = <u16>TASK_STATE_SIZE;
  writeTaskDescriptor(selector, changetype<usize>(task));
  writeTaskGate(vector, selector);
}

/** After the ordinary gates. Faults and interrupts have a stack each, since one of each kind may be under way. */
export function makeTasks(): void {
  if (trapDesign() === TRAPS_RING1) return;
  const faultStack = firstLevelStacks + TASK_STACK;
  makeTask(DOUBLE_FAULT_TASK, VECTOR_DOUBLE_FAULT, faultTask(), faultStack);
  if (trapDesign() !== TRAPS_TASK_GATE) return;
  makeTask(PAGE_FAULT_TASK, VECTOR_PAGE_FAULT, faultTask(), faultStack);
  for (let line: u32 = 0; line < INTERRUPT_LINES; line++)
    makeTask(INTERRUPT_TASKS + line * 8, VECTOR_INTERRUPT + line, interruptTask(), faultStack + TASK_STACK);
}

/** The directory that the main task comes back to. */
export function setTaskDirectory(directory: u32): void {
  mainTask().cr3 = directory;
}

/** Was first-level code interrupted? At ring 3 the stack pointer may be anything. */
function isNested(task: TaskState): bool {
  return (task.cs & 3) === 0 && task.esp - firstLevelStacks < firstLevelStack - firstLevelStacks;
}

/** Device interrupt through a task gate. */
export function taskInterrupt(vector: u32): void {
  const line = vector - VECTOR_INTERRUPT;
  const interrupted = taskAt(taskAt(INTERRUPT_TASKS + line * 8).link & 0xffff);
  if (isNested(interrupted)) {
    deviceInterrupt(line);
    return;
  }
  const thread = currentThread();
  saveTask(interrupted, thread, vector, 0);
  firstLevelTrap(thread);
  loadTask(interrupted, currentThread());
}

/** Page fault or double fault through a task gate. */
export function taskFault(vector: u32, error: u32): void {
  if (vector === VECTOR_DOUBLE_FAULT) {
    doubleFault();
    return;
  }
  const linear = readControl2();
  const interrupted = taskAt(taskAt(PAGE_FAULT_TASK).link & 0xffff);
  // A fault of the refill itself must not come through the gate of a task that is busy.
  writeFirstLevelGate(VECTOR_PAGE_FAULT);
  const nested = isNested(interrupted);
  const resolved = nested
    ? refill(error, linear)
    : resolve(error, linear, (interrupted.cs & 3) === 0, interrupted.eflags);
  if (!resolved || (!nested && dispatchIsDue())) {
    const thread = currentThread();
    saveTask(interrupted, thread, vector, error);
    if (!resolved) {
      if (nested) describeNestedFault(thread, linear);
      pageFault(thread, linear);
    }
    leaveFirstLevel();
    loadTask(interrupted, currentThread());
  }
  writeTaskGate(VECTOR_PAGE_FAULT, PAGE_FAULT_TASK);
}

/** A trap's frame found no stack: a kernel stack that cannot grow has overflowed. The trap itself is lost; a device's is made up for. */
function doubleFault(): void {
  const interrupted = taskAt(taskAt(DOUBLE_FAULT_TASK).link & 0xffff);
  const thread = currentThread();
  const address: usize = interrupted.esp;
  const nested = isNested(interrupted);
  saveTask(interrupted, thread, VECTOR_DOUBLE_FAULT, 0);
  if (nested || (thread.cs & 3) !== 0 || !inKernelStacks(address - 1)) {
    panicAt(text("double fault"), thread);
  }
  overflowed(thread, address, VECTOR_OVERFLOW);
  lostInterrupts();
  leaveFirstLevel();
  loadTask(interrupted, currentThread());
}

/** The registers of an interrupted task become the context of `thread`. */
function saveTask(task: TaskState, thread: Thread, vector: u32, error: u32): void {
  thread.edi = task.edi;
  thread.esi = task.esi;
  thread.ebp = task.ebp;
  thread.ebx = task.ebx;
  thread.edx = task.edx;
  thread.ecx = task.ecx;
  thread.eax = task.eax;
  thread.es = task.es;
  thread.ds = task.ds;
  thread.vector = vector;
  thread.error = error;
  thread.eip = task.eip;
  thread.cs = task.cs;
  thread.eflags = task.eflags;
  thread.esp = task.esp;
  thread.ss = task.ss;
}

/** The task goes on with the context of `thread`. */
function loadTask(task: TaskState, thread: Thread): void {
  task.edi = thread.edi;
  task.esi = thread.esi;
  task.ebp = thread.ebp;
  task.ebx = thread.ebx;
  task.edx = thread.edx;
  task.ecx = thread.ecx;
  task.eax = thread.eax;
  task.es = thread.es;
  task.ds = thread.ds;
  task.eip = thread.eip;
  task.cs = thread.cs;
  task.eflags = thread.eflags;
  task.esp = thread.esp;
  task.ss = thread.ss;
  task.cr3 = currentDirectory();
}
