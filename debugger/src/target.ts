/**
 * What the protocol session needs of whatever is debugged. Threads are numbers above 0; addresses are virtual, as the code of the
 * thread sees them. A target is held (nothing runs) or running; it starts held.
 */

export interface ThreadDescription {
  readonly id: number;
  /** One word: the program. */
  readonly name: string;
  /** What it is doing. */
  readonly detail: string;
}

export type BreakpointKind = "software" | "hardware" | "write" | "read" | "access";

/** Why a target that ran is held, or will never run again. */
export type TargetStop =
  | { readonly reason: "step" | "interrupt" }
  | { readonly reason: "breakpoint"; readonly kind: "software" | "hardware" }
  | {
      readonly reason: "watchpoint";
      readonly kind: "write" | "read" | "access";
      /** As it was given when it was inserted. */
      readonly address: number;
    }
  /** Going back has come to where the history begins. */
  | { readonly reason: "beginning" }
  /** The guest ended: its status, 0 to 255. */
  | { readonly reason: "exit"; readonly status: number }
  /** The guest crashed (triple fault). */
  | { readonly reason: "crash" };

export interface TargetListener {
  /** Not called for a stop that `step` returns. */
  stopped(stop: TargetStop): void;
}

export interface DebugTarget {
  listener: TargetListener | undefined;
  /** Target description in GDB's XML, and the number of bytes of all its registers. */
  readonly description: string;
  readonly registerSizes: readonly number[];

  threads(): readonly ThreadDescription[];
  /** The thread whose code the processor executes. */
  currentThread(): number;
  /** All registers in the order of the description; undefined when there is no such thread. */
  readRegisters(thread: number): Uint8Array | undefined;
  /** False when there is no such thread or a value is refused. */
  writeRegister(thread: number, register: number, value: Uint8Array): boolean;
  /** As many bytes as are mapped from `address` on, up to `length`. */
  readMemory(thread: number, address: number, length: number): Uint8Array;
  /** All or nothing. */
  writeMemory(thread: number, address: number, bytes: Uint8Array): boolean;

  insert(kind: BreakpointKind, address: number, bytes: number): void;
  remove(kind: BreakpointKind, address: number, bytes: number): void;

  /** One instruction of the current thread. Undefined when that takes a run, whose stop the listener is told. */
  step(): TargetStop | undefined;
  /** Runs until something stops it; with `until`, also where that thread is about to go on. */
  resume(until?: number): void;
  /** Whether the target can go back. */
  readonly reversible: boolean;
  /** Undoes one step. */
  stepBack(): TargetStop;
  /** Goes back to the last breakpoint or watchpoint that was met before, or to the beginning of the history. */
  resumeBack(): void;
  /** Holds a running target now. */
  interrupt(): void;
  /** Forgets all breakpoints and lets the guest run. */
  release(): void;
  /** Ends the guest. */
  kill(): void;
  /** Carries out a command typed after `monitor`; the text is its answer. */
  monitor(command: string): string;
}
