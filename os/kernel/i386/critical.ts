/**
 * Sections of thread-level code that nothing may interrupt: a few instructions on data that first-level handlers share.
 *
 * A stack fault inside such a section would suspend the thread in it, so its entry touches the stack a safety margin below
 * the stack pointer first (the probe of §5.3.1). At ring 1 the sections rely on IOPL 1.
 */

/** Stack that code inside a protected section may use. */
export const PROBE_MARGIN: usize = 2048;

/** Returns what `leaveCritical` needs; sections nest. */
export function enterCritical(): u32 {
  volatileLoad8(stackPointer() - PROBE_MARGIN);
  const flags = readFlags();
  disableInterrupts();
  return flags;
}

export function leaveCritical(flags: u32): void {
  writeFlags(flags);
}
