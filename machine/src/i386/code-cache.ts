/**
 * The decoded instructions, as JavaScript sees them; how they are kept is told in `../../engine/code-cache.ts`. A record's index is that of its
 * first word in `pool`.
 */

import { PAGE_MAP, POOL_WORDS } from "../../engine/layout/code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import type { Engine } from "./engine.ts";
import { Address } from "./layout.ts";

export interface CodeCache {
  readonly pool: Int32Array;
  /** By physical page: 0 when it has no decoded code, else bits of `../../engine/layout/code-cache.ts`. */
  readonly codeFrames: Uint8Array;
  /** Record at an offset of a physical page, 0 when nothing is cached. */
  recordAt(frameNumber: number, offset: number): number;
  /** RAM was written in one page: drops what was decoded from these bytes. */
  written(address: number, bytes: number): void;
  dropAll(): void;
  /** Called when all records were dropped. */
  onAllDropped: () => void;
  /** Called when decoded bytes `first` to `last` of a page with COMPILED in `codeFrames` were written. */
  onCompiledChanged: (frameNumber: number, first: number, last: number) => void;
}

export function createCodeCache(core: ProcessorCore, engine: Engine): CodeCache {
  const frameCount = core.ramSize >>> 12;
  const words = core.words(0, Address.RAM >>> 2);
  const pages = core.words(Address.CODE_PAGES, frameCount + 1);
  return {
    pool: core.words(Address.POOL, POOL_WORDS),
    codeFrames: core.bytes(Address.CODE_FRAMES, frameCount + 1),
    recordAt(frameNumber, offset) {
      const page = pages[frameNumber]!;
      return page === 0 ? 0 : words[(words[(page + PAGE_MAP) >> 2]! >> 2) + offset]!;
    },
    written: engine.codeWritten,
    dropAll: engine.dropAll,
    onAllDropped: () => {},
    onCompiledChanged: () => {},
  };
}
