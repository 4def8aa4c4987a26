import * as Listener from "../../engine/layout/listeners.ts";
import type { Bus } from "../contract.ts";
import { createArithmeticHandlers } from "./arithmetic.ts";
import { createBitHandlers } from "./bits.ts";
import { type CodeCache, createCodeCache } from "./code-cache.ts";
import { createControlHandlers } from "./control.ts";
import { createCore, type ProcessorCore } from "./core.ts";
import type { CycleModel } from "./cycles.ts";
import { createDebugging, type Debugging } from "./debugging.ts";
import { createDecoder, type Decoder } from "./decoder.ts";
import { type CompiledSide, createEngine, type Engine } from "./engine.ts";
import { createFlags, type Flags } from "./flags.ts";
import { createFloatHandlers } from "./float.ts";
import { coldNumbers, generalOperations } from "./hot-operations.ts";
import { createInterpreter, type Handler, type Interpreter, type InterpreterSide } from "./interpreter.ts";
import { createMemory, type Memory } from "./memory.ts";
import { createMoveHandlers } from "./moves.ts";
import { createOperands } from "./operands.ts";
import { createPaging, type Paging } from "./paging.ts";
import { createPorts } from "./ports.ts";

import { createProbes, type Probes } from "./probe.ts";

import { createSegments, type Segments } from "./segments.ts";
import { createStringHandlers } from "./strings.ts";
import { createSystemHandlers } from "./system.ts";
import { instructions } from "./table.ts";
import { createTasks } from "./tasks.ts";
import { createDetailedTiming, type DetailedTiming } from "./timing/detailed.ts";
import { createTransfers } from "./transfers.ts";
import { createTraps, type Traps } from "./traps.ts";
import type { FloatingPointUnit } from "./x87/contract.ts";
import { createFloatingPointUnit } from "./x87/unit.ts";

export interface ProcessorParts {
  readonly core: ProcessorCore;
  readonly codeCache: CodeCache;
  readonly engine: Engine;
  readonly compiledSide: CompiledSide;
  readonly paging: Paging;
  readonly memory: Memory;
  readonly segments: Segments;
  readonly flags: Flags;
  readonly traps: Traps;
  readonly decoder: Decoder;
  readonly debugging: Debugging;
  readonly floatingPoint: FloatingPointUnit;
  readonly interpreter: Interpreter;
  /** By operation number, from FIRST_COLD on. */
  readonly handlers: readonly Handler[];
  /** What goes on where compiled code has ended, by its result. */
  readonly entries: { left: Handler };
  readonly probes: Probes;
  /** Null unless the cycle model is `detailed`. */
  readonly timing: DetailedTiming | null;
}

/** `hostBreakpoint` runs in front of an instruction that may have one. */
export function createParts(bus: Bus, cycleModel: CycleModel, hostBreakpoint: Handler): ProcessorParts {
  const core = createCore(bus);
  const unfilled = (): never => {
    throw new Error("the engine ran before its parts were put together");
  };
  const side: InterpreterSide = { cold: unfilled, leftRegion: unfilled, pageFaulted: unfilled };
  const compiledSide: CompiledSide = {
    ...{
      slowRead: unfilled,
      slowModify: unfilled,
      slowWrite: unfilled,
      goOn: unfilled,
      visitEntry: unfilled,
    },
  };
  const engine: Engine = createEngine(core, side, compiledSide, {
    isWatched: (page) => paging.watchedPages.has(page),
    allDropped() {
      codeCache.onAllDropped();
      return decoder.hasFronts();
    },
    codeChanged: (frame, first, last) => codeCache.onCompiledChanged(frame, first, last),
    placeBreakpoint: (p, offset) => decoder.placeBreakpoint(p, offset),
    placeProbe: (p, offset) => decoder.placeProbe(p, offset),
    prepareTiming: (row, p, physical) => decoder.prepareTiming(row, p, physical),
  });
  const codeCache = createCodeCache(core, engine);
  const paging = createPaging(core, engine, cycleModel);
  const plainMemory = createMemory(core, codeCache, paging, engine);
  const timing = cycleModel.detailed ? createDetailedTiming(core, codeCache, paging, engine) : null;
  const memory = timing === null ? plainMemory : timing.observeData(plainMemory);
  const segments = createSegments(core, memory, engine);
  const flags = createFlags(core);
  const tasks = createTasks(core, memory, paging, segments, flags, engine);
  const traps = createTraps(core, memory, segments, tasks, flags, engine);
  const transfers = createTransfers(core, memory, segments, tasks, flags);
  const decoder: Decoder = createDecoder(core, engine, codeCache, timing);
  const operands = createOperands(core, codeCache, memory);
  const ports = createPorts(core, memory);
  const debugging = createDebugging(core, memory, paging);
  const floatingPoint = createFloatingPointUnit();
  const float = createFloatHandlers(core, codeCache, memory, operands, floatingPoint);
  const probes = createProbes(core, codeCache);
  const entries = { left: (code: number): number => code };
  const named: Record<string, Handler> = {
    ...createArithmeticHandlers(core, codeCache, flags, operands),
    ...createBitHandlers(core, codeCache, memory, flags, operands),
    ...createMoveHandlers(core, codeCache, memory, flags, operands),
    ...createControlHandlers(
      ...([core, codeCache, memory, flags, operands, decoder, segments, transfers, traps] as const),
    ),
    ...createStringHandlers(
      ...([core, codeCache, memory, paging, flags, operands, ports, timing === null] as const),
    ),
    ...createSystemHandlers(
      ...([core, codeCache, memory, paging, flags, operands, decoder, segments, ports, debugging] as const),
    ),
    fwait: float.wait,
    hostBreakpoint,
    nextPageCheck: decoder.continuesOnNextPage,
    probe: probes.run,
  };
  for (const row of instructions) {
    if (!row.twoByte && row.opcode >= 0xd8 && row.opcode <= 0xdf) named[row.operation] = float.escape;
  }
  const handlers: Handler[] = [];
  for (const [name, number] of coldNumbers) {
    const handler = named[name];
    if (handler === undefined) throw new Error(`operation "${name}" of the instruction table has no handler`);
    handlers[number] = handler;
  }
  for (const [number, name] of generalOperations) handlers[number] = handlers[coldNumbers.get(name)!]!;
  const interpreter = createInterpreter(
    ...([core, codeCache, decoder, handlers, entries, engine, side, traps, timing !== null] as const),
  );
  core.onDebugRegistersChanged = debugging.refresh;
  if (timing !== null) {
    core.listen(Listener.ACCESSES, true);
    core.onCachesInvalidated = timing.invalidateCaches;
  }
  return {
    core,
    codeCache,
    engine,
    compiledSide,
    paging,
    memory,
    segments,
    flags,
    traps,
    decoder,
    debugging,
    floatingPoint,
    interpreter,
    handlers,
    entries,
    probes,
    timing,
  };
}
