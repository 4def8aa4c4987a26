/**
 * The engine: what of the processor is written in AssemblyScript (`machine/engine`), as WebAssembly on the processor's linear memory. One
 * module serves all processors of a process, each has an instance.
 */

import engineBytes from "#engine";
import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { InterpreterSide } from "./interpreter.ts";
import { webAssembly } from "./jit/web-assembly.ts";

const module = new webAssembly.Module(engineBytes);

/** For who bundles the machine: they go in the place of `engine/host/browser.ts`. */
export { engineBytes };

/** Functions of `machine/engine/index.ts`. */
export interface Engine {
  carry(kind: number, result: number, left: number, right: number, before: number): number;
  overflow(kind: number, result: number, left: number, right: number): number;
  execute(p: number): number;
  executeDetailed(p: number): number;
  timeData(physical: number, isRam: boolean, isWrite: boolean): void;
}

/** `side` may be filled later. */
export function createEngine(core: ProcessorCore, codeCache: CodeCache, side: InterpreterSide): Engine {
  const imports = {
    codeWritten: codeCache.written,
    cold: (p: number) => side.cold(p),
    locate: (eip: number) => side.locate(eip),
    link: (p: number) => side.link(p),
    enter: (p: number) => side.enter(p),
  };
  const instance = new webAssembly.Instance(module, { env: { memory: core.bus.memory.linear }, imports });
  return instance.exports as unknown as Engine;
}
