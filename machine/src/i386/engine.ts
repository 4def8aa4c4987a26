/**
 * The engine: what of the processor is written in AssemblyScript (`machine/engine`), as WebAssembly on the processor's linear memory. One
 * module serves all processors of a process, each has an instance.
 */

import engineBytes from "#engine";
import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { webAssembly } from "./jit/web-assembly.ts";

const module = new webAssembly.Module(engineBytes);

/** For who bundles the machine: they go in the place of `engine/host/browser.ts`. */
export { engineBytes };

/** Functions of `machine/engine/index.ts`. */
export interface Engine {
  carry(kind: number, result: number, left: number, right: number, before: number): number;
  overflow(kind: number, result: number, left: number, right: number): number;
}

export function createEngine(core: ProcessorCore, codeCache: CodeCache): Engine {
  const imports = {
    codeWritten: codeCache.written,
  };
  const instance = new webAssembly.Instance(module, { env: { memory: core.bus.memory.linear }, imports });
  return instance.exports as unknown as Engine;
}
