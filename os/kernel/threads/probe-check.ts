/**
 * Checks of the probe (§5.3.1, i386/critical.ts), with the boot option `debug=on`. A violation is a broken invariant: panic. What is checked:
 *
 *   a mutex that the helper thread has ever taken is taken by nobody outside of a probed section, the helper included
 *   a probed section uses no more stack than the probe touched; first-level traps sample that too
 *   a thread in a probed section does not park, end or go to its program
 *
 * and always, since it costs nothing where nothing is wrong: no kernel stack faults inside a probed section or with interrupts off.
 */

import { print, printHexadecimal } from "../console";
import { panic, panicAt } from "../epitaph";
import { PROBE_MARGIN } from "../i386/critical";
import { atKernelLevel, inTrapStub } from "../i386/design";
import { INTERRUPTS_ON } from "../i386/layout";
import { option, optionIs } from "../i386/options";
import { helperThread } from "./helper";
import { currentThread, type Thread } from "./thread";

export let checksOn: bool = false;

const MOST_MUTEXES: u32 = 64;
/** Addresses of the mutexes that the helper has taken. */
const needed: usize = memory.data(256, 16);
let neededCount: u32 = 0;

/** At boot. */
export function chooseChecks(commandLine: usize): void {
  const value = option(commandLine, text("debug"));
  checksOn = value !== 0 && optionIs(value, text("on"));
  if (value === 0 || checksOn || optionIs(value, text("off"))) return;
  print(text("debug="));
  print(value);
  panic(text("\nboot with debug=on or debug=off"));
}

/** A thread enters its outermost probed section. */
export function noteProbe(thread: Thread): void {
  thread.probeFloor = stackPointer() - PROBE_MARGIN;
}

/** The caller is inside a probed section of the thread's. */
export function checkDepth(thread: Thread): void {
  if (stackPointer() < thread.probeFloor)
    panic(text("a probed section uses more stack than its probe touched"));
}

function isNeeded(mutex: usize): bool {
  for (let index: u32 = 0; index < neededCount; index++)
    if (load<usize>(needed + index * 4) === mutex) return true;
  return false;
}

/** A mutex is about to be taken. */
export function checkMutex(mutex: usize): void {
  const thread = currentThread();
  if (thread.probes !== 0) checkDepth(thread);
  const byHelper = changetype<usize>(thread) === helperThread;
  if (byHelper && !isNeeded(mutex)) {
    if (neededCount === MOST_MUTEXES)
      panic(text("the helper thread takes more mutexes than the check can hold"));
    store<usize>(needed + neededCount * 4, mutex);
    neededCount++;
  }
  if (thread.probes !== 0 || !isNeeded(mutex)) return;
  print(text("\nmutex at "));
  printHexadecimal(<u32>mutex);
  panic(text("a mutex that the helper thread needs is taken without the probe"));
}

/** At first level: a thread stops to be in its own code at kernel level. */
export function checkUnprobed(thread: Thread): void {
  if (thread.probes === 0) return;
  panicAt(text("a thread leaves the kernel inside a probed section"), thread);
}

/** At first level: a thread waits for another program's answer, or has given one. */
export function checkHandOff(thread: Thread): void {
  if (thread.probes !== 0) panicAt(text("a call between programs is made inside a probed section"), thread);
}

/** At first level: where a trap found the thread. */
export function checkTrappedDepth(thread: Thread): void {
  if (atKernelLevel(thread) && thread.probes !== 0 && thread.esp < <u32>thread.probeFloor) {
    panicAt(text("a probed section uses more stack than its probe touched"), thread);
  }
}

/** At first level: the thread's kernel stack has faulted. The stubs of traps run with interrupts off, too. */
export function checkStackFault(thread: Thread): void {
  if (thread.probes === 0 && ((thread.eflags & INTERRUPTS_ON) !== 0 || inTrapStub(thread.eip))) return;
  panicAt(text("a kernel stack faults inside a probed section"), thread);
}
