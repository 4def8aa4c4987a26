/**
 * The engine: what of the processor is written in AssemblyScript (`machine/engine`), as WebAssembly on the processor's linear memory. One
 * module serves all processors of a process, each has an instance.
 */

import { compileWith } from "#compilation";
import engineBytes from "#engine";
import type { ProcessorCore } from "./core.ts";
import { prepareFault } from "./fault.ts";
import type { InterpreterSide } from "./interpreter.ts";
import { type FunctionTable, webAssembly } from "./jit/web-assembly.ts";

let module: object | null = null;

/** For who bundles the machine: they go in the place of `engine/host/browser.ts`. */
export { engineBytes };

/** Functions of `machine/engine/index.ts`. */
export interface Engine {
  /** For regions, see `machine/engine/compiled.ts`. */
  readonly readMissed: unknown;
  readonly modifyMissed: unknown;
  readonly writeMissed: unknown;
  readonly reachCodeFrame: unknown;
  readonly deliverPageFault: unknown;
  readonly loadPageDirectory: unknown;
  readonly invalidate: unknown;
  /** Where code goes on at EIP, see `machine/engine/regions.ts`. */
  readonly follow: unknown;
  readonly interruptAndGoOn: unknown;
  readonly returnAndGoOn: unknown;
  /** Of regions; for runtime.ts to grow. */
  readonly table: FunctionTable;
  carry(kind: number, result: number, left: number, right: number, before: number): number;
  overflow(kind: number, result: number, left: number, right: number): number;
  /** Paging, see `Paging`: a page fault is left in TRANSLATION_FAILED. `write` is 0 or 1. */
  translate(linear: number, write: number, mode: number): number;
  translateCode(linear: number, mode: number): number;
  flush(): void;
  invalidatePage(linear: number): void;
  forgetFastPaths(): void;
  forgetWrites(): void;
  /** What traps.ts and segments.ts do, as far as nothing stands in the way: 0, and nothing done, when the slow way must do it. */
  interrupt(vector: number, kind: number, errorCode: number, eip: number): number;
  interruptReturn(next: number): number;
  /** What tasks.ts does; also 0 when something is left in TASK_REST, as with `interrupt` and `interruptReturn`. */
  switchTask(selector: number, low: number, high: number, source: number, eip: number, flags: number): number;
  loadSegment(segment: number, selector: number): number;
  /** See `Memory`. */
  refreshLimits(segment: number): void;
  execute(p: number): number;
  executeDetailed(p: number): number;
  timeData(physical: number, isRam: boolean, isWrite: boolean): void;
  /** For compiled code with the detailed cycle model. */
  readonly fetchCode: unknown;
  readonly readData: unknown;
  readonly writeData: unknown;
  readonly modifyData: unknown;
  readonly timeSpan: unknown;
  /** Clocks that the second of two issue words adds to the first when they pair, or -1. */
  pairedClocks(first: number, second: number): number;

  codeWritten(physical: number, bytes: number): void;
  dropAll(): void;

  setUpDecoder(nextPageCheck: number): void;
  locate(eip: number): number;
  continuesOnNextPage(p: number): number;

  countVisits(visits: number, more: number, firstPseudo: number, hasAccounts: boolean): void;
  countEntry(record: number, frame: number, skips: number): void;
  isWorthCompiling(frame: number): number;
  restoreEntries(): void;
  forgetEntries(): void;
  entriesMade(): number;
}

/** What the engine calls besides the interpreter's side: `machine/engine/imports.ts`. */
export interface EngineImports {
  isWatched(page: number): boolean;
  allDropped(): boolean;
  codeChanged(frame: number, first: number, last: number): void;
  placeBreakpoint(p: number, offset: number): number;
  placeProbe(p: number, offset: number): number;
  prepareTiming(row: number, p: number, physical: number): void;
}

/** What the engine calls for compiled code: accesses that it cannot do. `selector` is segment × 4 + log2(size). */
export interface CompiledSide {
  slowRead(selector: number, offset: number): number;
  slowModify(selector: number, offset: number): number;
  slowWrite(selector: number, offset: number, value: number): void;
  goOn(p: number): number;
  visitEntry(p: number): number;
}

const missNames = ["code4K", "data4K", "data4M"] as const;

/** `side` and `compiled` may be filled later. */
export function createEngine(
  core: ProcessorCore,
  side: InterpreterSide,
  compiled: CompiledSide,
  imports: EngineImports,
): Engine {
  const { bus } = core;
  const all = {
    ...imports,
    readBus: (physical: number) => bus.readPhysical(physical >>> 0, 4) | 0,
    readBusByte: (physical: number) => bus.readPhysical(physical >>> 0, 1),
    writeBus: (physical: number, value: number) => bus.writePhysical(physical >>> 0, 4, value >>> 0),
    tlbMissed: (kind: number, linear: number) => core.observer?.tlbMiss?.(missNames[kind]!, linear >>> 0),
    prepareFault,
    cold: (p: number) => side.cold(p),
    visitEntry: (p: number) => compiled.visitEntry(p),
    leftRegion: (code: number) => side.leftRegion(code),
    goOn: (p: number) => compiled.goOn(p),
    pageFaulted: (p: number) => side.pageFaulted(p),
    slowRead: (selector: number, offset: number) => compiled.slowRead(selector, offset),
    slowModify: (selector: number, offset: number) => compiled.slowModify(selector, offset),
    slowWrite: (selector: number, offset: number, value: number) =>
      compiled.slowWrite(selector, offset, value),
  };
  module ??= compileWith(() => new webAssembly.Module(engineBytes));
  const table = new webAssembly.Table({ element: "anyfunc", initial: 1 });
  const env = { memory: bus.memory.linear, table };
  const { exports } = new webAssembly.Instance(module, { env, imports: all });
  return { ...exports, table } as unknown as Engine;
}
