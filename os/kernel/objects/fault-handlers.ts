/**
 * A program's own handling of its faults (`IFaults`). The thread goes on in the program's dispatcher, on its own stack below what it uses, with
 * a FaultFrame there:
 *
 *   in a process      the frame is copied to the user stack, and the interrupted context changed, before the trap returns to ring 3
 *   in the kernel     the dispatcher is called from the continuation of the trap, which it leaves for good
 *
 * From there to `settle` another fault of the thread is an ordinary one. What the handler declines is reported with what was kept here, not
 * with what the frame says by then.
 *
 * A bad pointer that a process passed in a call is found out while the kernel works on it. It becomes a fault of the process by having the
 * call return to an undefined instruction (FAULT_STUB of the proxy page), at which all the program's registers are there again.
 */

import type { FaultFrame } from "../../interfaces/IFaults";
import { FAULT_DECLINE } from "../../interfaces/IFaults";
import { E_INVALIDARG, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { FAULT_STUB } from "../calls/proxies";
import { atKernelLevel } from "../i386/design";
import { USER_END } from "../i386/layout";
import { copyFromSpace, copyToSpace } from "../memory/copy";
import { inKernelStacks, slotOf, stackTop } from "../threads/stacks";
import type { Thread } from "../threads/thread";
import { endFaulty } from "./faults";
import type { Process } from "./process";
import { currentThreadObject, type ThreadObject } from "./threads";

/** Left free below the stack pointer of the code that made the fault. */
const STACK_MARGIN: usize = 128;
/** Bytes of a context saved within ring 1: the stack pointer was above it (i386/traps.ts). */
const CONTEXT_SAME_RING: usize = 60;
/** Words that a trap from ring 3 leaves at the top of the kernel stack: eip, cs, eflags, esp, ss. */
const TRAP_FRAME: usize = 20;

/** `IFaults.handle`. */
export function handleFaults(process: Process, dispatcher: u32, handler: u32): HRESULT {
  if (process.ownSpace && (dispatcher >= <u32>USER_END || handler >= <u32>USER_END)) return E_INVALIDARG;
  process.faultDispatcher = handler === 0 ? 0 : dispatcher;
  process.faultHandler = handler;
  return S_OK;
}

/** Hands a fault to the handler of the program whose it is. False if it has none that could take it; in the kernel it does not return. */
export function deliverFault(object: ThreadObject, culprit: Process, context: Thread): bool {
  if (culprit.faultDispatcher === 0 || object.inFault || changetype<usize>(context) === 0) return false;
  object.faultCulprit = culprit;
  const frame = changetype<FaultFrame>(stackAlloc(offsetof<FaultFrame>()));
  fillFrame(frame, object, culprit, context);
  if (atKernelLevel(context)) {
    object.inFault = 1;
    call_indirect<void>(culprit.faultDispatcher, changetype<usize>(frame));
    return false;
  }
  const size = <u32>offsetof<FaultFrame>();
  const at = (<usize>context.esp - STACK_MARGIN - size) & ~15;
  const call = stackAlloc(8);
  store<u32>(call, 0);
  store<u32>(call, <u32>at, 4);
  const space = culprit.space;
  if (<usize>context.esp >= USER_END) return false;
  if (copyToSpace(space, at, changetype<usize>(frame), size) < 0) return false;
  if (copyToSpace(space, at - 8, call, 8) < 0) return false;
  object.inFault = 1;
  context.esp = <u32>(at - 8);
  context.eip = culprit.faultDispatcher;
  return true;
}

function fillFrame(frame: FaultFrame, object: ThreadObject, culprit: Process, context: Thread): void {
  frame.handler = culprit.faultHandler;
  frame.vector = object.faultVector;
  frame.error = object.faultError;
  frame.address = <u32>object.faultAddress;
  frame.instruction = <u32>object.faultInstruction;
  frame.eax = context.eax;
  frame.ebx = context.ebx;
  frame.ecx = context.ecx;
  frame.edx = context.edx;
  frame.esi = context.esi;
  frame.edi = context.edi;
  frame.ebp = context.ebp;
  frame.eip = context.eip;
  frame.eflags = context.eflags;
  const sameRing = atKernelLevel(context);
  frame.esp = sameRing ? <u32>(changetype<usize>(context) + CONTEXT_SAME_RING) : context.esp;
}

/** `IFaults.settle`. E_INVALIDARG outside of a handler. */
export function settleFault(verdict: u32): HRESULT {
  const object = currentThreadObject();
  if (!object.inFault) return E_INVALIDARG;
  object.inFault = 0;
  if (verdict === FAULT_DECLINE) endFaulty(object, object.faultCulprit!);
  return S_OK;
}

/** Has the present call return to FAULT_STUB. False if the program does not want to know. */
export function postponeFault(object: ThreadObject, address: u32): bool {
  const process = object.process;
  const here = framePointer();
  if (process.faultDispatcher === 0 || object.inFault || object.server || !inKernelStacks(here)) return false;
  object.pendingAddress = address;
  store<u32>(stackTop(slotOf(here)) - TRAP_FRAME, <u32>FAULT_STUB);
  return true;
}

/** Was this invalid instruction the one that `postponeFault` put in the way? Then the thread is to go on behind it, and the address is the answer. */
export function postponedFault(object: ThreadObject, context: Thread): u32 {
  const address = object.pendingAddress;
  if (address === 0 || changetype<usize>(context) === 0 || <usize>context.eip !== FAULT_STUB) return 0;
  object.pendingAddress = 0;
  context.eip += 2;
  return address;
}

/** Where the call returns to whose proxy is at a context's instruction; 0 if the stack cannot be read. */
export function callerOf(process: Process, context: Thread): usize {
  const word = stackAlloc(4);
  return copyFromSpace(process.space, context.esp, word, 4) < 0 ? 0 : load<u32>(word);
}
