/**
 * Finds hot code, has it compiled in batches, and runs it. Places where execution enters straight-line code (branch targets, first
 * instructions of a decoded run, places to which compiled code leaves) become *counted entries*: their record in the code cache is replaced
 * by one that comes here, and the instruction itself moves to a pair of records of ours,
 *
 *   [copy of the instruction] [go on at the record behind the original]
 *
 * so that an entry that is not compiled costs one call. After `HOT` visits the region that starts there is compiled.
 *
 * Compiled code belongs to (physical page, offset) by its record, and to MODE and the flatness of the segments it uses by `Variant.key`.
 * A written code page loses its records, and with them its entries; all entries go when the pool is emptied or `MOST_REGIONS` is reached.
 *
 * Invariant: what is decoded, and when, does not depend on compilation, because decoding makes pages slow to write. Nothing here decodes
 * except by looking up the next instruction as the interpreter would.
 */

import { FIRST_CACHED, FIRST_ENTRY_RECORD } from "../code-cache.ts";
import { coldNumbers } from "../decoder.ts";
import { pendingFault } from "../fault.ts";
import { HotOperation } from "../hot-operations.ts";
import { Field, Slot } from "../layout.ts";
import type { ProcessorParts } from "../parts.ts";
import { flowOf } from "./operation-names.ts";
import { discoverRegion } from "./region-graph.ts";
import {
  Exit,
  flagFunctions,
  ModuleFunction,
  type TranslationContext,
  translateRegion,
} from "./translator.ts";
import { type WasmFunction, writeModule } from "./wasm-writer.ts";
import { type CompiledFunction, type LinearMemory, webAssembly } from "./web-assembly.ts";

/** Visits after which an entry is worth compiling: a module costs about 60 µs, some 5000 interpreted instructions. */
const HOT = 1000;
/** A batch waits for so many regions, or until one of them has had so many visits. */
const BATCH = 8;
const IMPATIENT = 3000;
/** Compiled functions kept; when there are more, all go. */
const MOST_REGIONS = 6000;
/** Versions of a region for other segments or privilege. */
const MOST_VARIANTS = 6;
/** A page that is written so often while it holds code is not worth compiling. */
const MOST_VERSIONS = 40;

/** Fields of the second record of an entry, which the interpreter does not read. */
const ORIGINAL = Field.REG;
const FRAME = Field.BASE;
const VISITS = Field.EXTRA;

const { OPERATION, CLOCKS, OFFSET, BYTES, LINK, WORDS } = Field;

interface Variant {
  readonly key: number;
  readonly mask: number;
  readonly run: CompiledFunction;
}

interface Wanted {
  readonly entry: number;
  readonly flat: number;
  readonly mode: number;
}

export interface HotCodeCompiler {
  /** Counts since the start. */
  readonly statistics: {
    readonly modules: number;
    readonly regions: number;
    readonly bytes: number;
    readonly entries: number;
    readonly flushes: number;
    /** Times compiled code was entered. */
    readonly runs: number;
    /** Instructions that compiled code retired. */
    readonly instructions: number;
    /** Runs by reason of their end, index as in `Exit`. */
    readonly exits: readonly number[];
  };
}

export interface CompilerOptions {
  /** Visits after which an entry is compiled; default `HOT`. 1 compiles everything at once, for tests. */
  readonly hot?: number;
}

export function createCompiler(
  parts: ProcessorParts,
  memory: LinearMemory,
  options: CompilerOptions = {},
): HotCodeCompiler {
  const hot = options.hot ?? HOT;
  const batch = options.hot === undefined ? BATCH : 1;
  const { core, codeCache, decoder, paging } = parts;
  const { s } = core;
  const { pool, versions } = codeCache;
  const { RETIRED, EIP, MODE, FLAT_SEGMENTS, COMPILED_FAULT } = Slot;
  const ENTRY = coldNumbers.get("countedEntry")!;
  const statistics = {
    ...{ modules: 0, regions: 0, bytes: 0, entries: 0, flushes: 0, runs: 0, instructions: 0 },
    exits: [0, 0, 0, 0, 0],
  };
  /** By entry number: null until compiled. */
  let variants: (Variant[] | null)[] = [];
  let top = FIRST_ENTRY_RECORD;
  let wanted: Wanted[] = [];
  let live = 0;

  function forget(): void {
    variants = [];
    wanted = [];
    top = FIRST_ENTRY_RECORD;
    live = 0;
  }

  /** Takes every entry back: the records are what they were. */
  function flush(): void {
    for (let copy = FIRST_ENTRY_RECORD; copy < top; copy += 2 * WORDS) {
      const p = pool[copy + WORDS + ORIGINAL]!;
      pool[p + OPERATION] = pool[copy + OPERATION]!;
      pool[p + CLOCKS] = pool[copy + CLOCKS]!;
      pool[p + LINK] = pool[copy + LINK]!;
    }
    statistics.flushes++;
    forget();
  }

  const numberOf = (copy: number): number => (copy - FIRST_ENTRY_RECORD) / (2 * WORDS);

  /** Makes the instruction at a record a counted entry, or the first behind it that can be compiled. */
  function count(record: number, frame: number, skips: number): void {
    let p = record;
    for (let skipped = 0; ; skipped++) {
      if (pool[p + OPERATION] === HotOperation.continueAt) p = pool[p + LINK]!;
      if (p < FIRST_CACHED || p >= FIRST_ENTRY_RECORD) return;
      const operation = pool[p + OPERATION]!;
      if (operation < HotOperation.movRegisterRegister || operation === ENTRY) return;
      if (flowOf(pool, p) !== "unsupported") break;
      if (skipped >= skips) return;
      p += WORDS;
    }
    if (top >= pool.length || versions[frame]! > MOST_VERSIONS) return;
    const copy = top;
    top += 2 * WORDS;
    pool.copyWithin(copy, p, p + WORDS);
    const behind = copy + WORDS;
    pool.fill(0, behind, behind + WORDS);
    pool[behind + OPERATION] = HotOperation.continueAt;
    pool[behind + OFFSET] = pool[p + OFFSET]! + pool[p + BYTES]!;
    pool[behind + LINK] = p + WORDS;
    pool[behind + ORIGINAL] = p;
    pool[behind + FRAME] = frame;
    pool[p + OPERATION] = ENTRY;
    pool[p + CLOCKS] = 0;
    pool[p + LINK] = copy;
    variants.push(null);
    statistics.entries++;
  }

  function contextOf({ entry, flat, mode }: Wanted): TranslationContext {
    const map = codeCache.mapOf(pool[pool[entry + LINK]! + WORDS + FRAME]!);
    return {
      pool,
      stateAddress: s.byteOffset,
      readTags: paging.readTags.byteOffset,
      writeTags: paging.writeTags.byteOffset,
      frames: paging.frames.byteOffset,
      readLimits: core.readLimits.byteOffset,
      writeLimits: core.writeLimits.byteOffset,
      flat,
      mode,
      recordAt(offset) {
        const p = map[offset]!;
        return p !== 0 && pool[p + OPERATION] === ENTRY ? pool[p + LINK]! : p;
      },
    };
  }

  const imports = {
    memory,
    read(selector: number, offset: number): number {
      try {
        const segment = selector >> 2;
        switch (selector & 3) {
          case 0:
            return parts.memory.read8(segment, offset);
          case 1:
            return parts.memory.read16(segment, offset);
          default:
            return parts.memory.read32(segment, offset);
        }
      } catch (error) {
        return faulted(error);
      }
    },
    modify(selector: number, offset: number): number {
      try {
        const segment = selector >> 2;
        switch (selector & 3) {
          case 0:
            return parts.memory.modify8(segment, offset);
          case 1:
            return parts.memory.modify16(segment, offset);
          default:
            return parts.memory.modify32(segment, offset);
        }
      } catch (error) {
        return faulted(error);
      }
    },
    write(selector: number, offset: number, value: number): void {
      try {
        const segment = selector >> 2;
        switch (selector & 3) {
          case 0:
            parts.memory.write8(segment, offset, value);
            break;
          case 1:
            parts.memory.write16(segment, offset, value);
            break;
          default:
            parts.memory.write32(segment, offset, value);
        }
      } catch (error) {
        faulted(error);
      }
    },
  };

  function faulted(error: unknown): number {
    if (error !== pendingFault) throw error;
    s[COMPILED_FAULT] = 1;
    return 0;
  }

  const types = [
    { parameters: 0, results: 1 },
    { parameters: 2, results: 1 },
    { parameters: 5, results: 1 },
    { parameters: 4, results: 1 },
    { parameters: 3, results: 0 },
  ];
  const importTypes = [
    { name: "read", type: 1 },
    { name: "modify", type: 1 },
    { name: "write", type: 4 },
  ];
  const pages = memory.buffer.byteLength / 0x1_0000;

  /** Compiles all wanted regions into one module. */
  function compile(): void {
    const items = wanted;
    wanted = [];
    const functions: WasmFunction[] = flagFunctions(s.byteOffset + Slot.EFLAGS * 4);
    const made: { readonly wanted: Wanted; readonly mask: number }[] = [];
    for (const item of items) {
      if (pool[item.entry + OPERATION] !== ENTRY) continue;
      const context = contextOf(item);
      const offset = pool[item.entry + OFFSET]!;
      // The page may have been written since: then its map knows nothing of this record.
      if (context.recordAt(offset) !== pool[item.entry + LINK]) continue;
      const blocks = discoverRegion(
        { pool, recordAt: context.recordAt, flowOf: (p) => flowOf(pool, p) },
        offset,
      );
      if (blocks.length === 0) continue;
      const { code, flatMask } = translateRegion(blocks, context);
      functions.push(code);
      made.push({ wanted: item, mask: flatMask });
    }
    if (made.length === 0) return;
    const bytes = writeModule(types, importTypes, functions, pages);
    const { exports } = new webAssembly!.Instance(new webAssembly!.Module(bytes), { m: imports });
    for (const [index, { wanted: item, mask }] of made.entries()) {
      const number = numberOf(pool[item.entry + LINK]!);
      const run = exports[
        String(index + ModuleFunction.firstRegion - importTypes.length)
      ] as CompiledFunction;
      const fullMask = mask | (1 << 8);
      const key = (item.flat | (item.mode !== 0 ? 1 << 8 : 0)) & fullMask;
      const known = variants[number] ?? null;
      if (known === null) variants[number] = [{ key, mask: fullMask, run }];
      else known.unshift({ key, mask: fullMask, run });
    }
    live += made.length;
    statistics.modules++;
    statistics.regions += made.length;
    statistics.bytes += bytes.length;
  }

  function variantFor(number: number): Variant | null {
    const list = variants[number]!;
    if (list === null) return null;
    const key = s[FLAT_SEGMENTS]! | (s[MODE] !== 0 ? 1 << 8 : 0);
    for (let i = 0; i < list.length; i++) {
      const variant = list[i]!;
      if (((variant.key ^ key) & variant.mask) === 0) return variant;
    }
    return null;
  }

  function visit(entry: number, copy: number): void {
    const visits = pool[copy + WORDS + VISITS]! + 1;
    pool[copy + WORDS + VISITS] = visits;
    if (visits === hot) {
      const known = variants[numberOf(copy)]!;
      if (known === null || known.length < MOST_VARIANTS) {
        wanted.push({ entry, flat: s[FLAT_SEGMENTS]!, mode: s[MODE]! });
      }
    }
    if (wanted.length >= batch || (visits === IMPATIENT && wanted.length > 0)) compile();
    if (visits >= IMPATIENT) pool[copy + WORDS + VISITS] = 0;
  }

  function run(first: number): number {
    s[RETIRED] = s[RETIRED]! - 1;
    const before = s[RETIRED]!;
    const copy = pool[first + LINK]!;
    const variant = variantFor(numberOf(copy));
    if (variant === null) {
      if (live >= MOST_REGIONS) {
        flush();
        return first;
      }
      visit(first, copy);
      return copy;
    }
    const code = variant.run();
    const p = code & ~15;
    const reason = code & 15;
    statistics.runs++;
    statistics.instructions += s[RETIRED]! - before;
    statistics.exits[reason]!++;
    if (reason === Exit.plain) return p;
    const frame = pool[copy + WORDS + FRAME]!;
    if (reason === Exit.unsupported) {
      count(p >= FIRST_ENTRY_RECORD ? pool[p + WORDS + LINK]! : p + WORDS, frame, 4);
      return p;
    }
    if (reason === Exit.branch) {
      if (p >= FIRST_ENTRY_RECORD) return pool[p + WORDS + ORIGINAL]!;
      count(p, frame, 0);
      return p;
    }
    if (reason === Exit.fault) {
      s[COMPILED_FAULT] = p;
      throw pendingFault;
    }
    const target = decoder.locate(s[EIP]!);
    if (target >= FIRST_CACHED && pool[target + OPERATION] !== ENTRY) count(target, decoder.frame(), 0);
    return target;
  }

  codeCache.onAllDropped = forget;
  decoder.onEntry = (p, frame) => count(p, frame, 0);
  parts.entries.run = run;
  return { statistics };
}
