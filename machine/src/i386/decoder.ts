/**
 * From EIP to records of the code cache, for JavaScript: the engine decodes (`../../engine/decoder.ts`). Here is what puts records of its own in
 * front of instructions: host breakpoints, probes, detailed timing.
 */

import { FAULTED } from "../../engine/layout/code-cache.ts";
import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { writeDecodingTables } from "./decoding-tables.ts";
import type { Engine } from "./engine.ts";
import { pendingFault, raise } from "./fault.ts";
import { coldNumbers } from "./hot-operations.ts";
import { Address, Field, Segment, Slot, Vector } from "./layout.ts";
import { instructions } from "./table.ts";
import type { DetailedTiming } from "./timing/detailed.ts";

export interface Decoder {
  /** Pool index of the instruction at offset `eip` of CS. Raises what fetching it raises. */
  locate(eip: number): number;
  /** `locate` for a branch: a target outside CS is the branch's own #GP(0). */
  jump(eip: number): number;
  /** Raises #GP(0) when `eip` lies outside CS. */
  checkTarget(eip: number): void;
  /** Offset in CS of a record's first byte. */
  eipOf(p: number): number;
  /** Handler of the record in front of an instruction across a page end. */
  continuesOnNextPage(p: number): number;
  /** Frame number of the code page in use. */
  frame(): number;
  /**
   * Gives an instruction at offset `eip` of CS the number of the probe that runs in front of it, or -1; null when nobody watches
   * instructions. Call `CodeCache.dropAll` after a change.
   */
  probeAt: ((eip: number) => number) | null;
  /** Linear addresses at which the host wants to stop; call `CodeCache.dropAll` after a change. */
  readonly breakpoints: Set<number>;
  /** Whether records may stand in front of instructions. */
  hasFronts(): boolean;
  /** See `../../engine/imports.ts`. */
  placeBreakpoint(p: number, offset: number): number;
  placeProbe(p: number, offset: number): number;
  prepareTiming(row: number, p: number, physical: number): void;
}

export function createDecoder(
  core: ProcessorCore,
  engine: Engine,
  codeCache: CodeCache,
  timing: DetailedTiming | null,
): Decoder {
  const { s } = core;
  const { pool } = codeCache;
  const { CODE_PAGE, CODE_FRAME, CODE_MAP, PAGE_EIP } = Slot;
  const CS_BASE = Slot.BASE + Segment.CS;
  const CS_LIMIT = Slot.LIMIT + Segment.CS;
  const { OPERATION, CLOCKS, OFFSET, BYTES, IMMEDIATE, WORDS } = Field;
  const words = core.words(0, Address.RAM >>> 2);
  const breakpoints = new Set<number>();
  const breakpointNumber = coldNumbers.get("hostBreakpoint")!;
  const probeNumber = coldNumbers.get("probe")!;
  writeDecodingTables(core);
  engine.setUpDecoder(coldNumbers.get("nextPageCheck")!);

  function found(p: number): number {
    if (p === FAULTED) throw pendingFault;
    return p;
  }

  function locate(eip: number): number {
    const linear = (eip + s[CS_BASE]!) | 0;
    if (linear >>> 12 === s[CODE_PAGE] && s[CODE_MAP]! > 0) {
      const p = words[(s[CODE_MAP]! >> 2) + (linear & 0xfff)]!;
      if (p !== 0) return p;
    }
    return found(engine.locate(eip));
  }

  function checkTarget(eip: number): void {
    if (eip >>> 0 > s[CS_LIMIT]! >>> 0) raise(Vector.GP, 0);
  }

  /** Puts a record in front of an instruction that takes no time and has no bytes. */
  function place(p: number, operation: number, offset: number, immediate: number): number {
    pool[p + OPERATION] = operation;
    pool[p + CLOCKS] = 0;
    pool[p + OFFSET] = offset;
    pool[p + BYTES] = 0;
    pool[p + IMMEDIATE] = immediate;
    return p + WORDS;
  }

  const decoder: Decoder = {
    locate,
    jump(eip) {
      checkTarget(eip);
      return locate(eip);
    },
    checkTarget,
    continuesOnNextPage: (p) => found(engine.continuesOnNextPage(p)),
    eipOf: (p) => (s[PAGE_EIP]! + pool[p + OFFSET]!) | 0,
    frame: () => s[CODE_FRAME]! >>> 12,
    probeAt: null,
    breakpoints,
    hasFronts: () => timing !== null || decoder.probeAt !== null || breakpoints.size !== 0,
    placeBreakpoint(p, offset) {
      // The operation itself compares the whole address.
      for (const linear of breakpoints) {
        if ((linear & 0xfff) === offset) return place(p, breakpointNumber, offset, 0);
      }
      return p;
    },
    placeProbe(p, offset) {
      const number = decoder.probeAt?.((s[PAGE_EIP]! + offset) >>> 0) ?? -1;
      const next = number < 0 ? p : place(p, probeNumber, offset, number);
      return timing === null ? next : next + WORDS;
    },
    prepareTiming(row, p, physical) {
      timing?.prepare(instructions[row]!, p, physical);
    },
  };
  return decoder;
}
