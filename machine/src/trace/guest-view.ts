/**
 * What a trace or profile asks about the system that runs on the machine. Whoever knows that system implements it (Rialto's is in the
 * debugger's room); without one, a trace holds what the processor alone can tell.
 *
 * Everything is asked between two instructions. Answers come from guest memory, which may be in the middle of a change: they may be
 * wrong then, but never throw and never change the machine.
 */
import type { CallPath, TracedThread } from "./events.ts";

export interface GuestCall {
  readonly path: CallPath;
  readonly interface: string;
  readonly method: string;
}

/** What a trap means to the guest. */
export type GuestTrap =
  | { readonly kind: "call"; readonly call: GuestCall }
  /** The method that a server thread ran is over. */
  | { readonly kind: "server return" }
  /** A better name. */
  | { readonly kind: "named"; readonly name: string };

export interface GuestView {
  /** The thread whose code the processor executes, as a number that only this view understands; 0 for none. Asked often: cheap. */
  current(): number;
  thread(key: number): TracedThread;
  /** It will never run again. */
  isOver(key: number): boolean;
  /** Asked when a software or hardware interrupt was delivered. */
  trap(vector: number, fromRing: number): GuestTrap | undefined;
  /** Asked when ring 1 has returned to ring 3: the method that a server thread begins there, if it does. */
  serverCall(): GuestCall | undefined;
}
