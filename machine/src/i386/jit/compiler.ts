/**
 * Finds hot code, has it compiled in batches, and runs it. Places where execution enters straight-line code (targets of
 * branches back, places that are looked up often, places to which compiled code leaves) become *counted entries*, pairs of records that
 * `../../../engine/counted-entries.ts` keeps. When an entry has no visits left, execution comes here: the region that starts there is compiled,
 * and run from now on.
 *
 * Compiled code belongs to (physical page, offset) by its record, and to MODE and the flatness of the segments it uses by `Variant.key` (variants.ts).
 * A store into the bytes between a region's first and last instruction takes its code away; all entries go when the pool is emptied or
 * `MOST_REGIONS` is reached.
 *
 * What is decoded, and when, does not depend on compilation: nothing here decodes except by looking up the next instruction as the
 * interpreter would.
 */

import {
  ENTRY_FRAME,
  FIRST_CACHED,
  FIRST_ENTRY_RECORD,
  OTHER_VISITS,
  REPEATS,
  VISITS,
} from "../../../engine/layout/code-cache.ts";
import { INSTRUCTIONS, RUNS, SLEEPS } from "../../../engine/layout/regions.ts";
import * as Timing from "../../../engine/layout/timing.ts";
import { NO_ERROR_CODE, pendingFault, prepareFault } from "../fault.ts";
import { FIRST_COLD, FIRST_PSEUDO, HotOperation } from "../hot-operations.ts";
import { DELIVERED, FAULTED } from "../interpreter.ts";
import { Address, Field, Slot, SOFT_TLB_SETS, Vector } from "../layout.ts";
import type { ProcessorParts } from "../parts.ts";
import { createLeaver, instructionBehind, waitsBehind } from "./detailed-timing.ts";
import { Exit, type Site } from "./exit.ts";
import { flowOf, isHandledTransfer, nameOf } from "./operation-names.ts";
import { type BlockNode, discoverRegion } from "./region-graph.ts";
import { createRuntime, functionTypes } from "./runtime.ts";
import { regionImports, type TranslationContext, translateRegion } from "./translator.ts";
import { createVariants, type Variant } from "./variants.ts";
import { type WasmFunction, writeModule } from "./wasm-writer.ts";
import { webAssembly } from "./web-assembly.ts";

/** Visits after which an entry is worth compiling: translation and the host's two compilers take a few milliseconds for a region. */
const HOT = 4000;
/**
 * A region of few instructions, none of which it repeats, has to be visited so often: it saves little each time, if anything. So many visits
 * of ten instructions take the interpreter two to three milliseconds; the first compilation of a process takes five to nine.
 */
const SMALL_HOT = 50_000;
/** A batch waits for so many regions, or until one of them has had so many visits more. */
const BATCH = 8;
const PATIENCE = 1000;
/** See `LONGEST_PAUSE` of layout/addresses.ts. */
const LONGEST_PAUSE = 1023;
/** See `CompilerOptions.mostRegions`. */
const MOST_REGIONS = 6000;
/** Versions of a region for other segments or privilege. */
const MOST_VARIANTS = 6;
/** Words of a jump table that are looked at. */
const LONGEST_JUMP_TABLE = 256;

/** Value of COMPILED_FAULT when FAULT_VECTOR and FAULT_CODE say which fault it is, otherwise `pendingFault` does. */
const PAGE_FAULT = 2;

/** The privilege in a key, and in every mask. */
const MODE_MASK = SOFT_TLB_SETS << 12;

const { OPERATION, CLOCKS, OFFSET, LINK, WORDS } = Field;
const { RM, BASE, INDEX, SCALE, DISPLACEMENT, SEGMENT } = Field;

interface Wanted {
  readonly entry: number;
  readonly flat: number;
  readonly mode: number;
  /** See `TranslationContext`. */
  readonly bases: Int32Array | null;
  /** Offset in CS of the entry's page. */
  readonly pageStart: number;
}

export interface HotCodeCompiler {
  /** Counts since the start. */
  readonly statistics: {
    readonly modules: number;
    readonly regions: number;
    /** Guest instructions in all regions together. */
    readonly translated: number;
    readonly bytes: number;
    readonly entries: number;
    readonly flushes: number;
    /** Times compiled code was entered. */
    readonly runs: number;
    /** Instructions that compiled code retired. */
    readonly instructions: number;
    /** Times entries fell asleep, see engine/counted-entries.ts. */
    readonly sleeps: number;
  };
}

export interface CompilerOptions {
  /** Visits after which an entry is compiled; default `HOT`. 1 compiles everything at once, for tests. */
  readonly hot?: number;
  /** Visits for which an entry is left to the interpreter at most; default `LONGEST_PAUSE`, 0 with `hot`. */
  readonly pause?: number;
  /** Compiled functions kept; when there are more, all go. Default `MOST_REGIONS`. */
  readonly mostRegions?: number;
}

export function createCompiler(parts: ProcessorParts, options: CompilerOptions = {}): HotCodeCompiler {
  const hot = options.hot ?? HOT;
  const patience = options.hot === undefined ? PATIENCE : hot;
  const mostRegions = options.mostRegions ?? MOST_REGIONS;
  const batch = options.hot === undefined ? BATCH : 1;
  const { core, codeCache, decoder, engine, handlers } = parts;
  const { s } = core;
  const memory = core.bus.memory.linear;
  const { pool } = codeCache;
  const count = engine.countEntry;
  const isDetailed = parts.timing !== null;
  const { pairedClocks } = engine;
  const leaveTimed = createLeaver(
    ...([pool, core.words(Address.TIMING, Timing.WORDS)] as const),
    core.doubles(Address.TIMING_TIMES, Timing.STALLS + 1),
  );
  const { BUDGET, RETIRED, MODE, FLAT_SEGMENTS, COMPILED_FAULT, FETCHING, PAGE_EIP } = Slot;
  const { TRANSLATION_FAILED } = Slot;
  const { readCompiled, modifyCompiled, writeCompiled } = parts.memory;
  const host = webAssembly;
  const ENTRY = HotOperation.countedEntry;
  const counts = core.doubles(Address.COUNTS, SLEEPS + 1);
  const statistics = {
    ...{ modules: 0, regions: 0, translated: 0, bytes: 0, flushes: 0 },
    get runs() {
      return counts[RUNS]!;
    },
    get instructions() {
      return counts[INSTRUCTIONS]!;
    },
    get sleeps() {
      return counts[SLEEPS]!;
    },
    get entries() {
      return engine.entriesMade();
    },
  };
  /** Copies of entries whose code is to read the bases of segments: it was met with several. */
  const readsBases = new Set<number>();
  let wanted: Wanted[] = [];
  let live = 0;
  /** By number. */
  let sites: Site[] = [];
  let isForgotten = false;

  const frameOf = (copy: number): number => pool[copy + WORDS + ENTRY_FRAME]!;

  function forget(): void {
    runtime.forgetAll();
    // Code that is running may still leave by one.
    isForgotten = true;
    variants.clear();
    wanted = [];
    live = 0;
    readsBases.clear();
    engine.forgetEntries();
  }

  /** Takes every entry back: the records are what they were. */
  function flush(): void {
    engine.restoreEntries();
    statistics.flushes++;
    forget();
  }

  /** The instruction for which an entry's record, or its copy, stands. */
  const instructionOf = (copy: number): number => (isDetailed ? instructionBehind(pool, copy) : copy);

  function contextOf({ entry, flat, mode, bases }: Wanted): TranslationContext {
    const frame = frameOf(pool[entry + LINK]!);
    return {
      pool,
      site: (site) => sites.push(site) - 1,
      frame: frame << 12,
      hasTailCalls: runtime.hasTailCalls,
      flat,
      mode,
      bases,
      recordAt(offset) {
        const p = codeCache.recordAt(frame, offset);
        const at = p !== 0 && pool[p + OPERATION] === ENTRY ? pool[p + LINK]! : p;
        return pool[at + OPERATION] === HotOperation.stale ? 0 : instructionOf(at);
      },
      pairedClocks: isDetailed ? pairedClocks : null,
    };
  }

  /**
   * Runs one instruction as the interpreter does, its clocks and retirement booked; repetitions too. Its next record. The record may have
   * become a counted entry since the code was compiled, or be the copy of one that sleeps.
   */
  function runInstruction(record: number): number {
    const first = pool[record + OPERATION]!;
    const p = first === ENTRY || first === HotOperation.continueAt ? pool[record + LINK]! : record;
    const operation = pool[p + OPERATION]!;
    const run = handlers[operation]!;
    let next = run(p);
    // A repeated instruction may write over itself.
    while (next === p && s[BUDGET]! > 0 && pool[p + OPERATION] === operation) {
      s[BUDGET] = s[BUDGET]! - pool[p + CLOCKS]!;
      s[RETIRED] = s[RETIRED]! + 1;
      next = run(p);
    }
    return next === p + WORDS ? record + WORDS : next;
  }

  /** The engine has done the instruction but for the end of a task switch, whose stores may have changed its record. */
  function afterSwitch(): number {
    parts.traps.finishSwitch(NO_ERROR_CODE);
    return decoder.locate(s[Slot.EIP]!);
  }

  /** Runs an access that the engine could not do. */
  function trying(access: () => number): number {
    try {
      const value = access();
      if (s[TRANSLATION_FAILED] !== 0) pageFaulted();
      return value;
    } catch (error) {
      return faulted(error);
    }
  }

  const { compiledSide } = parts;
  compiledSide.slowRead = (selector, offset) =>
    trying(() => readCompiled(selector >> 2, offset, 1 << (selector & 3)));
  compiledSide.slowModify = (selector, offset) =>
    trying(() => modifyCompiled(selector >> 2, offset, 1 << (selector & 3)));
  compiledSide.slowWrite = (selector, offset, value) => {
    trying(() => {
      writeCompiled(selector >> 2, offset, 1 << (selector & 3), value);
      return 0;
    });
  };

  const runtime = createRuntime(host, memory, mostRegions + BATCH + 1, engine, isDetailed);
  const variants = createVariants(core, codeCache, runtime, hot - 1);

  const imports = {
    ...engine,
    // The runtime's `locate` goes on by itself; the engine's only finds a record.
    ...runtime.exports,
    memory,
    table: runtime.table,
    interpret(p: number): number {
      try {
        return runInstruction(p);
      } catch (error) {
        faulted(error);
        return p | Exit.fault;
      }
    },
    transfer(p: number): number {
      let next: number;
      try {
        next = s[Slot.TASK_REST] === 0 ? runInstruction(p) : afterSwitch();
      } catch (error) {
        faulted(error);
        return p | Exit.fault;
      }
      return goOn(next);
    },
  };

  /** Runs instructions that are handlers, one after the other, for which regions would only come back; then goes where code goes on. */
  function goOn(record: number): number {
    let p = record;
    while (s[BUDGET]! > 0) {
      if (pool[p + OPERATION] === HotOperation.continueAt) p = pool[p + LINK]!;
      const at = pool[p + OPERATION] === ENTRY ? pool[p + LINK]! : p;
      const operation = pool[at + OPERATION]!;
      if (operation < FIRST_COLD) return wayTo(p);
      s[BUDGET] = s[BUDGET]! - pool[at + CLOCKS]!;
      s[RETIRED] = s[RETIRED]! + 1;
      try {
        p = handlers[operation]!(at);
      } catch (error) {
        faulted(error);
        return at | Exit.fault;
      }
    }
    return p;
  }

  /** Where compiled code goes for a record: to its code, or out, in which case it is counted from now on. */
  function wayTo(p: number): number {
    if (p < FIRST_CACHED || p >= FIRST_ENTRY_RECORD) return p;
    if (pool[p + OPERATION] !== ENTRY) {
      count(p, decoder.frame(), 0);
      return p;
    }
    const variant = variants.current(pool[p + LINK]!);
    return variant === null ? p : (variant.place << 4) | Exit.chain;
  }

  function pageFaulted(): void {
    s[TRANSLATION_FAILED] = 0;
    s[COMPILED_FAULT] = PAGE_FAULT;
  }

  function faulted(error: unknown): number {
    if (error !== pendingFault) throw error;
    s[COMPILED_FAULT] = 1;
    return 0;
  }

  /** See `GraphSource`: the words of "jmp [table + index * 4]" up to the first that is not in this page, as far as DS reaches them now. */
  function jumpTable(p: number, pageStart: number): number[] {
    const isTable = pool[p + RM]! < 0 && pool[p + BASE]! === Slot.ZERO && pool[p + INDEX]! !== Slot.ZERO;
    if (nameOf(pool, p) !== "jmpMemory" || !isTable || pool[p + SCALE] !== 2) return [];
    const linear = (pool[p + DISPLACEMENT]! + s[Slot.BASE + pool[p + SEGMENT]!]!) | 0;
    const offsets: number[] = [];
    while (offsets.length < LONGEST_JUMP_TABLE) {
      const at = (linear + offsets.length * 4) | 0;
      const physical = (at & 3) === 0 ? parts.paging.peek(at) : -1;
      if (physical < 0 || physical >= core.ramSize) break;
      const offset = core.ram32[physical >> 2]! - pageStart;
      if (offset < 0 || offset > 4095) break;
      offsets.push(offset);
    }
    return offsets;
  }

  /** Bytes of a page were written: one of the regions that reach over them may be running. */
  function changed(frame: number, first: number, last: number): void {
    if (variants.dropOver(frame, first, last)) core.attention();
  }

  /** The region of an entry was met with other bases than it was made for: from now on its code reads them. */
  function metOtherBases(copy: number): void {
    readsBases.add(copy);
    variants.dropFixedBases(copy);
  }

  const pages = memory.buffer.byteLength / 0x1_0000;

  /** The blocks of the region that starts at an entry; none when it is no entry any more, or was written. */
  function regionOf({ entry, pageStart }: Wanted, { recordAt }: TranslationContext): BlockNode[] {
    if (pool[entry + OPERATION] !== ENTRY) return [];
    if (engine.isWorthCompiling(frameOf(pool[entry + LINK]!)) === 0) return [];
    const offset = pool[entry + OFFSET]!;
    if (recordAt(offset) !== instructionOf(pool[entry + LINK]!)) return [];
    return discoverRegion(
      {
        ...{ pool, recordAt, jumpTable: (p) => jumpTable(p, pageStart) },
        flowOf: (p) => (isDetailed && isHandledTransfer(pool, p) ? "unsupported" : flowOf(pool, p)),
        waitsBehind: (p, partner) => (isDetailed ? waitsBehind(pool, p, partner, pairedClocks) : 0),
      },
      offset,
    );
  }

  const repeats = (blocks: readonly BlockNode[]): boolean =>
    blocks.some(({ index, next, taken, targets }) =>
      [next, taken, ...targets].some((to) => to >= 0 && to <= index),
    );

  /** Compiles all wanted regions into one module. */
  function compile(): void {
    if (isForgotten) sites = [];
    isForgotten = false;
    const items = wanted;
    wanted = [];
    const functions: WasmFunction[] = [];
    const made: (Pick<Variant, "mask" | "hasFixedBases"> & {
      readonly wanted: Wanted;
      readonly blocks: readonly BlockNode[];
    })[] = [];
    for (const item of items) {
      const context = contextOf(item);
      const blocks = regionOf(item, context);
      if (blocks.length === 0) continue;
      const { code, flatMask, hasFixedBases } = translateRegion(blocks, context);
      functions.push(code);
      for (const block of blocks) statistics.translated += block.records.length;
      made.push({ wanted: item, mask: flatMask, hasFixedBases, blocks });
    }
    if (made.length === 0) return;
    const place = live + 1;
    const bytes = writeModule({
      ...{ types: functionTypes, imports: regionImports, functions, memoryPages: pages, exports: [] },
      elements: { place, position: 0, count: functions.length },
    });
    new host.Instance(new host.Module(bytes), { m: imports });
    for (const [index, { wanted: item, mask, hasFixedBases, blocks }] of made.entries()) {
      const copy = pool[item.entry + LINK]!;
      const fullMask = mask | MODE_MASK;
      const key = (item.flat | (item.mode << 12)) & fullMask;
      const start = Math.min(...blocks.map((block) => block.offset));
      const end = Math.max(...blocks.map((block) => block.end));
      const variant = { key, mask: fullMask, place: place + index, start, end, hasFixedBases };
      variants.add(copy, variant);
      if (repeats(blocks)) pool[copy + WORDS + REPEATS] = 1;
    }
    live += made.length;
    statistics.modules++;
    statistics.regions += made.length;
    statistics.bytes += bytes.length;
  }

  /** The entry's visits are used up, or there is code for another mode alone. */
  function visit(entry: number, copy: number): void {
    const known = variants.count(copy);
    if (known > 0) {
      const visits = pool[copy + WORDS + OTHER_VISITS]! + 1;
      pool[copy + WORDS + OTHER_VISITS] = visits % hot;
      if (visits < hot || known >= MOST_VARIANTS) return;
    }
    const flat = s[FLAT_SEGMENTS]!;
    const mode = s[MODE]!;
    const bases = readsBases.has(copy) ? null : s.slice(Slot.BASE, Slot.BASE + 6);
    const item = { entry, flat, mode, bases, pageStart: s[PAGE_EIP]! };
    const isWanted = wanted.some((each) => each.entry === entry && each.flat === flat && each.mode === mode);
    if (!isWanted) wanted.push(item);
    if (isWanted || wanted.length >= batch) compile();
    if (variants.count(copy) === 0) pool[copy + WORDS + VISITS] = patience;
  }

  /** The instruction at a record has faulted, and the engine has not gone on. */
  function faultedAt(p: number): number {
    const how = s[COMPILED_FAULT]!;
    s[COMPILED_FAULT] = 0;
    if (how === DELIVERED) {
      s[Slot.FAULT_RECORD] = DELIVERED;
      return FAULTED;
    }
    if (how === PAGE_FAULT) prepareFault(s[Slot.FAULT_VECTOR]!, s[Slot.FAULT_CODE]!);
    if (s[FETCHING] !== 0) throw pendingFault;
    return parts.interpreter.deliver(p);
  }

  function raisedAt(p: number, vector: number, code: number): number {
    prepareFault(vector, code);
    return parts.interpreter.deliver(p);
  }

  /** See `machine/engine/imports.ts`. */
  function visitEntry(first: number): number {
    const copy = pool[first + LINK]!;
    if (variants.current(copy) !== null) return 0;
    if (live >= mostRegions) {
      flush();
      return first;
    }
    visit(first, copy);
    return copy;
  }

  /** Where to go on behind a result of compiled code that the engine does not understand. */
  function left(code: number): number {
    let p = code & ~15;
    let reason = code & 15;
    if (reason === Exit.site) {
      const site = sites[code >> 4]!;
      p = site.record;
      reason = site.reason;
      s[BUDGET] = s[BUDGET]! + site.clocks;
      s[RETIRED] = s[RETIRED]! - site.instructions;
      if (site.timing !== null) leaveTimed(site.timing, p, s[BUDGET]!);
    }
    if (reason === Exit.branch) count(p, decoder.frame(), 0);
    if (reason === Exit.outside) return raisedAt(p, Vector.GP, 0);
    if (reason === Exit.noQuotient) return raisedAt(p, Vector.DE, NO_ERROR_CODE);
    if (reason === Exit.fault) return faultedAt(p);
    if (reason === Exit.otherBases) metOtherBases(p);
    if (reason === Exit.unsupported)
      count(p >= FIRST_ENTRY_RECORD ? pool[p + WORDS + LINK]! : p + WORDS, decoder.frame(), 4);
    return p;
  }

  codeCache.onAllDropped = forget;
  codeCache.onCompiledChanged = changed;
  engine.countVisits(hot - 1, options.hot === undefined ? SMALL_HOT - hot : 0, FIRST_PSEUDO, isDetailed);
  core.words(Address.LONGEST_PAUSE, 1)[0] = options.pause ?? (options.hot === undefined ? LONGEST_PAUSE : 0);
  compiledSide.goOn = goOn;
  compiledSide.visitEntry = visitEntry;
  parts.entries.left = left;
  return { statistics };
}
