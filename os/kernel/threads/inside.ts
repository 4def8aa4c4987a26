/**
 * Whose code is a thread in? Compiled functions keep their frames linked through EBP (a call across a trap looks like one more frame,
 * i386/remote-stubs.asm.ts), so the code that a thread at kernel level will come back to is known exactly. Before a module leaves the
 * kernel, this tells whether anybody is still inside.
 *
 *   [EBP + 4] return address   [EBP] the caller's EBP
 */

import { enterCritical, leaveCritical } from "../i386/critical";
import { atKernelLevel } from "../i386/design";
import { kernelEntry } from "../memory/refill";
import { inKernelStacks } from "./stacks";
import { allThreads, currentThread, type Thread } from "./thread";

/** A chain of frames longer than this is taken to go on inside. */
const MOST_FRAMES: u32 = 4096;
/** Words at the stack pointer that may hold the return address of a function that has not linked its frame yet. */
const TOP_WORDS: usize = 3;

/** How many threads, the calling one excepted, are in code of [start, end) or will come back to it. */
export function threadsInside(start: usize, end: usize): u32 {
  let count: u32 = 0;
  const flags = enterCritical();
  for (let at = allThreads; at; at = at!.allNext) {
    const thread: Thread = at;
    if (thread !== currentThread() && isInside(thread, start, end)) count++;
  }
  leaveCritical(flags);
  return count;
}

function isInside(thread: Thread, start: usize, end: usize): bool {
  if (!atKernelLevel(thread)) return false;
  if (isBetween(thread.eip, start, end)) return true;
  // A thread without a stack has nobody to come back to.
  if (thread.esp === 0 || thread.kernelStack === 0) return false;
  for (let index: usize = 0; index < TOP_WORDS; index++) {
    const at: usize = thread.esp + (index << 2);
    if (inKernelStacks(at) && isThere(at) && isBetween(load<u32>(at), start, end)) return true;
  }
  let frame: usize = thread.ebp;
  for (let frames: u32 = 0; frames < MOST_FRAMES; frames++) {
    if ((frame & 3) !== 0 || !isThere(frame) || !isThere(frame + 4)) return false;
    if (isBetween(load<u32>(frame, 4), start, end)) return true;
    frame = load<u32>(frame);
  }
  return true;
}

function isBetween(address: u32, start: usize, end: usize): bool {
  return <usize>address >= start && <usize>address < end;
}

/** Frames lie on kernel stacks, or, for a call that came by a trap, in the kernel's heap. */
function isThere(address: usize): bool {
  return kernelEntry(address) !== 0;
}
