/**
 * Sections inside which the stack must not fault (§5.3.1), because the thread would be suspended in them until the helper thread has
 * mapped a page: those that the helper needs itself, and those with interrupts off. Their entry touches the stack a safety margin below the
 * stack pointer, so that the fault comes before. A section within a section does not probe again: that fault would come inside the outer one.
 *
 * `enterProbed` counts in the thread's record and is for sections guarded by a mutex. `enterCritical` turns interrupts off, for a few
 * instructions on data that first-level handlers share; at ring 1 it relies on IOPL 1. probe-check.ts checks all of this with `debug=on`.
 */

import { checkDepth, checksOn, noteProbe } from "../threads/probe-check";
import { currentThread } from "../threads/thread";
import { INTERRUPTS_ON } from "./layout";

/** Stack that code inside a section may use. */
export const PROBE_MARGIN: usize = 2048;

function probe(): void {
  volatileLoad8(stackPointer() - PROBE_MARGIN);
}

/** Before taking a mutex that the helper needs; sections nest. */
export function enterProbed(): void {
  const thread = currentThread();
  if (thread.probes === 0) {
    probe();
    if (checksOn) noteProbe(thread);
  }
  thread.probes++;
  if (checksOn) checkDepth(thread);
}

/** After giving it back. */
export function leaveProbed(): void {
  currentThread().probes--;
}

/** Returns what `leaveCritical` needs; sections nest. */
export function enterCritical(): u32 {
  const flags = readFlags();
  if (flags & INTERRUPTS_ON) {
    if (currentThread().probes === 0) probe();
    else if (checksOn) checkDepth(currentThread());
    disableInterrupts();
  }
  return flags;
}

/**
 * The same for code that is in no section and has interrupts on, as a call has on its way between two programs; `enableInterrupts` ends the
 * section.
 */
export function enterOutermost(): void {
  probe();
  disableInterrupts();
}

export function leaveCritical(flags: u32): void {
  writeFlags(flags);
}
