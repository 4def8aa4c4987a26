/**
 * Calls between threads, at ring 0 with interrupts off: a thread waits for an answer (CALLING), another answers. Their usual form is the
 * hand-off, a trap of its own that only kernel level may use: the caller of a parked server thread waits and the server gets the processor;
 * the server parks and its caller gets it back. No ready queue is between the two unless somebody more urgent is ready.
 *
 * A parked thread has no kernel stack, and goes on at a code address, on the spare one.
 */

import { needsReturnFrame } from "../i386/design";
import { KERNEL_FLAGS } from "../i386/layout";
import { leaveFirstLevel, unpark } from "../i386/traps";
import { checkHandOff, checksOn } from "./probe-check";
import { handOver, isOutranked, makeReady } from "./scheduler";
import { THREAD_CALLING, THREAD_PARKED, type Thread } from "./thread";
import { WAIT_CANCELLED, WAIT_WOKEN } from "./wait";

/** Hand-offs since boot. */
export let handOffs: u32 = 0;

/**
 * int 0x33. edx = 0: the thread waits for an answer of the parked thread ecx, which runs with its priority and on what is left of its turn.
 * edx = a code address: the thread parks, to go on there when it is unparked or gets the processor; ecx, if not 0, has its answer.
 */
export function handOffTrap(thread: Thread): void {
  handOffs++;
  if (checksOn) checkHandOff(thread);
  const other = changetype<Thread>(<usize>thread.ecx);
  const entry = thread.edx;
  if (entry === 0) {
    if (!beginCall(thread, other)) {
      unpark(other);
      leaveFirstLevel();
      return;
    }
    // One that was cancelled while it was parked is ready.
    if (other.state !== THREAD_PARKED) {
      leaveFirstLevel();
      return;
    }
    const priority = thread.priority;
    other.basePriority = priority;
    other.priority = priority;
  } else {
    park(thread, entry);
    if (!other || other.state !== THREAD_CALLING) {
      leaveFirstLevel();
      return;
    }
    other.eax = WAIT_WOKEN;
  }
  if (isOutranked(other)) makeReady(other);
  else {
    handOver(thread, other);
    if (!needsReturnFrame && (other.cancelled | other.suspended) === 0) return;
  }
  leaveFirstLevel();
}

/** The thread, at kernel level, gives its stack back and goes on at `entry` on another one. */
function park(thread: Thread, entry: u32): void {
  thread.eip = entry;
  thread.eflags = KERNEL_FLAGS;
  thread.esp = 0;
  thread.edx = 0;
  thread.ecx = 0;
  if ((thread.unparked | thread.cancelled) === 0) thread.state = THREAD_PARKED;
  else {
    thread.unparked = 0;
    makeReady(thread);
  }
}

/** The thread waits for an answer from now on; `server`, if known, works for it. False if it is to end instead. */
export function beginCall(thread: Thread, server: Thread | null): bool {
  if (thread.cancelled !== 0) {
    thread.eax = WAIT_CANCELLED;
    return false;
  }
  thread.state = THREAD_CALLING;
  thread.server = server;
  return true;
}

/** The wait of `caller` is over, if it still waits. */
export function endCall(caller: Thread): void {
  if (caller.state !== THREAD_CALLING) return;
  caller.eax = WAIT_WOKEN;
  makeReady(caller);
}
