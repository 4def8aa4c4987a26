/**
 * The trap design (§5.3.1, §7.4), chosen at boot by `traps=`: at which ring thread-level kernel code and programs in the kernel run, and how a
 * fault on a kernel stack finds a stack to be handled on.
 *
 *   ring1     ring 1; every trap to ring 0 changes the stack                       stacks may grow
 *   taskgate  ring 0; page faults and device interrupts come through task gates   stacks may grow
 *   ring0     ring 0; traps push on the kernel stack in use                       stacks are committed whole
 *
 * "Kernel level" is thread-level kernel code in any design, as against a program in a process (ring 3). "First level" is code with
 * interrupts off on the first-level stacks.
 */

import { print } from "../console";
import { panic } from "../epitaph";
import type { Thread } from "../threads/thread";
import { KERNEL_FLAGS, RING0_CODE, RING0_DATA, RING1_CODE, RING1_DATA } from "./layout";
import { option, optionIs } from "./options";
import { firstLevelStack, firstLevelStacks } from "./processor";

declare function ring0StubTable(): usize;

export const TRAPS_RING1: u32 = 0;
export const TRAPS_TASK_GATE: u32 = 1;
export const TRAPS_RING0: u32 = 2;

let design: u32 = 0;
/** Does an IRET to kernel level need a page of the thread's stack that may be missing? */
export let needsReturnFrame: bool = false;

export function trapDesign(): u32 {
  return design;
}

/** The ring of thread-level kernel code. */
export function kernelRing(): u32 {
  return design === TRAPS_RING1 ? 1 : 0;
}

/** Before the tables are made. */
export function chooseTrapDesign(commandLine: usize): void {
  const value = option(commandLine, text("traps"));
  if (value === 0 || optionIs(value, text("ring1"))) design = TRAPS_RING1;
  else if (optionIs(value, text("taskgate"))) design = TRAPS_TASK_GATE;
  else if (optionIs(value, text("ring0"))) design = TRAPS_RING0;
  else {
    print(text("no trap design "));
    print(value);
    panic(text("\nboot with traps=ring1, traps=taskgate or traps=ring0"));
  }
  needsReturnFrame = design === TRAPS_TASK_GATE;
}

/** Was a context saved at kernel level? */
export function atKernelLevel(context: Thread): bool {
  return (context.cs & 2) === 0;
}

/** Is the caller first-level code (or boot)? */
export function atFirstLevel(): bool {
  return stackPointer() - firstLevelStacks < firstLevelStack - firstLevelStacks;
}

/** Is this the entry code of a trap, which pushes on the kernel stack in use? With thread-level code at ring 0 only. */
export function inTrapStub(address: usize): bool {
  const table = ring0StubTable();
  return design !== TRAPS_RING1 && address >= load<u32>(table) && address < table;
}

/** Can the caller execute privileged instructions? */
export function isPrivileged(): bool {
  return (codeSegment() & 3) === 0;
}

/** Has a context go on at kernel level at `entry`, with the stack pointer that it has. */
export function continueAtKernelLevel(context: Thread, entry: usize): void {
  const ring0 = design !== TRAPS_RING1;
  const data = ring0 ? RING0_DATA : RING1_DATA;
  context.cs = ring0 ? RING0_CODE : RING1_CODE;
  context.ss = data;
  context.ds = data;
  context.es = data;
  context.eflags = KERNEL_FLAGS;
  context.eip = <u32>entry;
}
