/**
 * Handling a program's own faults, the same in a process and in the kernel. A handler is a function (frame: usize): u32; its argument is a
 * FaultFrame and its answer FAULT_RESUME or FAULT_DECLINE. It runs on the faulting thread's stack and may do anything but make a fault.
 *
 *   attempt(context, functionAddress(f), argument)     calls f(argument) and returns its result; or, when a handler has called
 *   unwindTo(frame, context, value)                    while f was under way, and answered FAULT_RESUME, `value`
 */

import { type FaultFrame, IFaults } from "../../interfaces/IFaults";
import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { systemObject } from "./program";

declare function attemptCall(context: usize, run: usize, argument: usize): u32;
declare function resumeFrame(frame: usize): void;
declare function faultDispatcher(): usize;

export const CONTEXT_SIZE: u32 = 24;

function faultsObject(out: usize): HRESULT {
  return systemObject().queryInterface(IFaults.IID, out);
}

/** Makes `handler` the program's fault handler, 0 for none. */
export function handleFaults(handler: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const found = faultsObject(word);
  if (found !== S_OK) return found;
  const faults = changetype<IFaults>(load<usize>(word));
  const result = faults.handle(<u32>faultDispatcher(), <u32>handler);
  faults.release();
  return result;
}

/** Where the kernel lets a thread go on that has made a fault. */
export function faultArrived(frame: usize): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const verdict = call_indirect<u32>(load<u32>(frame), frame);
  if (faultsObject(word) === S_OK) {
    const faults = changetype<IFaults>(load<usize>(word));
    faults.settle(verdict);
    faults.release();
  }
  resumeFrame(frame);
}

/** Calls `run`, the address of a function (argument: usize): u32, from a place that `unwindTo` can come back to. `context` has CONTEXT_SIZE bytes. */
export function attempt(context: usize, run: usize, argument: usize): u32 {
  return attemptCall(context, run, argument);
}

/** In a handler: has the thread go on where `attempt` returns, with `value` as its result. The attempt must be under way. */
export function unwindTo(frame: FaultFrame, context: usize, value: u32): void {
  frame.ebx = load<u32>(context);
  frame.esi = load<u32>(context, 4);
  frame.edi = load<u32>(context, 8);
  frame.ebp = load<u32>(context, 12);
  frame.esp = load<u32>(context, 16);
  frame.eip = load<u32>(context, 20);
  frame.eax = value;
}
