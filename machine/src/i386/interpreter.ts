/**
 * The host's side of the interpreter, whose loop is `machine/engine/interpreter.ts`: general handlers, and faults. The
 * loop calls what is here for all that it cannot do by itself; every operation has a general handler, those of the loop too, for accesses that
 * its fast path does not allow.
 *
 * A fault is thrown by whoever finds it, caught here before it could reach the loop, and ends the run with FAULTED.
 */

import { LONGEST_DELIVERY } from "../../engine/layout/gate-clocks.ts";
import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Decoder } from "./decoder.ts";
import type { Engine } from "./engine.ts";
import { NO_ERROR_CODE, pendingFault, prepareFault } from "./fault.ts";
import { Field, Slot } from "./layout.ts";
import type { Traps } from "./traps.ts";

/** Runs the instruction at a pool index and returns the index of the next one. */
export type Handler = (p: number) => number;

/** Value of `Interpreter.execute` when an instruction faulted; `pendingFault` says how, FAULT_RECORD where. */
export const FAULTED = -1;

/** Value of FAULT_RECORD when the fault was delivered already and EIP is its handler's. */
export const DELIVERED = -1;

export interface Interpreter {
  /** Runs from pool index `p` until BUDGET is used up; returns the index of the next instruction, or FAULTED. */
  execute(p: number): number;
  /** The instruction at `p` has faulted, `pendingFault` says how: where to go on, or FAULTED. */
  deliver: Handler;
}

/** What the engine's loop calls, see `machine/engine/imports.ts`. */
export interface InterpreterSide {
  cold: Handler;
  leftRegion(code: number): number;
  pageFaulted: Handler;
}

/** `handlers` by operation number; `side` is filled. */
export function createInterpreter(
  core: ProcessorCore,
  codeCache: CodeCache,
  decoder: Decoder,
  handlers: readonly Handler[],
  entries: { left: Handler },
  engine: Engine,
  side: InterpreterSide,
  traps: Traps,
  isDetailed: boolean,
): Interpreter {
  const { s } = core;
  const { pool } = codeCache;
  const { OPERATION } = Field;

  /** Delivers the fault of the instruction at `p` as the run loop would, and goes on at its handler, unless time is short. */
  function deliver(p: number): number {
    if (s[Slot.BUDGET]! < LONGEST_DELIVERY) {
      s[Slot.FAULT_RECORD] = p;
      return FAULTED;
    }
    s[Slot.RETIRED] = s[Slot.RETIRED]! - 1;
    traps.deliverFault(decoder.eipOf(p));
    s[Slot.PARTIAL] = 1;
    if (s[Slot.BUDGET]! > 0) return engine.locate(s[Slot.EIP]!);
    s[Slot.FAULT_RECORD] = DELIVERED;
    return FAULTED;
  }

  function faulted(error: unknown, p: number): number {
    if (error !== pendingFault) throw error;
    if (s[Slot.FETCHING] === 0) return deliver(p);
    s[Slot.FAULT_RECORD] = p;
    return FAULTED;
  }

  side.cold = (p) => {
    try {
      if (s[Slot.TASK_REST] === 0) return handlers[pool[p + OPERATION]!]!(p);
      // The engine has done the instruction but for the end of a task switch, whose stores may have changed its record.
      traps.finishSwitch(NO_ERROR_CODE);
      return engine.locate(s[Slot.EIP]!);
    } catch (error) {
      return faulted(error, p);
    }
  };
  side.pageFaulted = (p) => {
    s[Slot.TRANSLATION_FAILED] = 0;
    prepareFault(s[Slot.FAULT_VECTOR]!, s[Slot.FAULT_CODE]!);
    return deliver(p);
  };
  side.leftRegion = (code) => {
    try {
      return entries.left(code);
    } catch (error) {
      return faulted(error, 0);
    }
  };
  return { execute: isDetailed ? engine.executeDetailed : engine.execute, deliver };
}
