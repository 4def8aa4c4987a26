/**
 * The host's side of the interpreter, whose loop is `machine/engine/interpreter.ts`: general handlers, and faults. The
 * loop calls what is here for all that it cannot do by itself; every operation has a general handler, those of the loop too, for accesses that
 * its fast path does not allow.
 *
 * A fault is thrown by whoever finds it, caught here before it could reach the loop, and ends the run with FAULTED.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Engine } from "./engine.ts";
import { pendingFault } from "./fault.ts";
import { Field, Slot } from "./layout.ts";

/** Runs the instruction at a pool index and returns the index of the next one. */
export type Handler = (p: number) => number;

/** Value of `Interpreter.execute` when an instruction faulted; `pendingFault` says how, FAULT_RECORD where. */
export const FAULTED = -1;

/** Value of COMPILED_FAULT, then FAULT_RECORD, when the fault was delivered already and EIP is its handler's. */
export const DELIVERED = -1;

export interface Interpreter {
  /** Runs from pool index `p` until BUDGET is used up; returns the index of the next instruction, or FAULTED. */
  execute(p: number): number;
}

/** What the engine's loop calls, see `machine/engine/imports.ts`. */
export interface InterpreterSide {
  cold: Handler;
  enter: Handler;
}

/** `handlers` by operation number; `side` is filled. */
export function createInterpreter(
  core: ProcessorCore,
  codeCache: CodeCache,
  handlers: readonly Handler[],
  entries: { run: Handler },
  engine: Engine,
  side: InterpreterSide,
  isDetailed: boolean,
): Interpreter {
  const { s } = core;
  const { pool } = codeCache;
  const { OPERATION } = Field;

  function faulted(error: unknown, p: number): number {
    if (error !== pendingFault) throw error;
    const compiled = s[Slot.COMPILED_FAULT]!;
    s[Slot.FAULT_RECORD] = compiled !== 0 ? compiled : p;
    s[Slot.COMPILED_FAULT] = 0;
    return FAULTED;
  }

  side.cold = (p) => {
    try {
      return handlers[pool[p + OPERATION]!]!(p);
    } catch (error) {
      return faulted(error, p);
    }
  };
  side.enter = (p) => {
    try {
      return entries.run(p);
    } catch (error) {
      return faulted(error, p);
    }
  };
  return { execute: isDetailed ? engine.executeDetailed : engine.execute };
}
