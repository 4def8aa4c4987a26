import type { IUnknown } from "./IUnknown";
import type { HRESULT, u32 } from "./types";

/** What a fault handler answers: go on with the registers of the frame, or do what is done without a handler. */
export const FAULT_RESUME: u32 = 0;
export const FAULT_DECLINE: u32 = 1;

/** A fault, as its handler gets it. The registers from `eax` on are what the thread goes on with: change them to go on elsewhere. */
@unmanaged
export class FaultFrame {
  /** The handler, for the dispatcher. */
  handler: u32 = 0;
  /** The processor's number of the exception (14: page fault), or 64: out of memory on the first touch of a page. */
  vector: u32 = 0;
  /** The processor's error code; of a page fault, bit 1 is set for a write. */
  error: u32 = 0;
  /** Of a page fault, what was accessed. */
  address: u32 = 0;
  /** The instruction that made the fault; for a bad pointer passed in a call, where the call returns to. */
  instruction: u32 = 0;
  eax: u32 = 0;
  ebx: u32 = 0;
  ecx: u32 = 0;
  edx: u32 = 0;
  esi: u32 = 0;
  edi: u32 = 0;
  ebp: u32 = 0;
  esp: u32 = 0;
  eip: u32 = 0;
  eflags: u32 = 0;
}

/**
 * Faults of the calling program (rt's `handleFaults` is the way to use it). Not handled: a stack that cannot grow, and a fault inside
 * the handler; both end the program.
 */
export interface IFaults extends IUnknown {
  /**
   * From now on a fault makes its thread call `dispatcher(frame)` with `handler` in the frame, on the thread's own stack below what it uses.
   * Both are code addresses; the dispatcher does not return. No handler with 0.
   */
  handle(dispatcher: u32, handler: u32): HRESULT;
  /** The calling thread's fault is dealt with. With FAULT_DECLINE it is reported and ends the program, and this does not return. */
  settle(verdict: u32): HRESULT;
}
export declare const IFaults: { readonly IID: u32 };
