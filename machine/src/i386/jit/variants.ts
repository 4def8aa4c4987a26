/**
 * Which compiled code there is: of each counted entry, by the record of its copy, the regions that begin there. Each is good for some bits of
 * FLAT_SEGMENTS and a MODE (`key`, `mask`), and, if it was made for bases of segments, checks those itself.
 */

import { COMPILED, ENTRY_FRAME, VISITS } from "../../../engine/layout/code-cache.ts";
import type { CodeCache } from "../code-cache.ts";
import type { ProcessorCore } from "../core.ts";
import { Field, Slot } from "../layout.ts";
import type { Runtime } from "./runtime.ts";

const { OFFSET, WORDS } = Field;

export interface Variant {
  readonly key: number;
  readonly mask: number;
  /** Place in the table of regions. */
  readonly place: number;
  /** Offsets in the page of its first byte and behind its last one. */
  readonly start: number;
  readonly end: number;
  readonly hasFixedBases: boolean;
}

export interface Variants {
  count(copy: number): number;
  add(copy: number, variant: Variant): void;
  /** The code for an entry as things are now, which compiled code finds from now on by itself. */
  current(copy: number): Variant | null;
  /** Drops the regions that reach over bytes of a page; whether there were any. */
  dropOver(frame: number, first: number, last: number): boolean;
  /** Drops the regions of an entry that were made for bases of segments. */
  dropFixedBases(copy: number): void;
  clear(): void;
}

/** `visits`: of an entry that has lost its code, before it is compiled again. */
export function createVariants(
  { s }: ProcessorCore,
  { pool, codeFrames }: CodeCache,
  runtime: Runtime,
  visits: number,
): Variants {
  /** The latest first. */
  const known = new Map<number, readonly Variant[]>();
  /** Entries with compiled code, by page. */
  const compiledIn = new Map<number, Set<number>>();

  const frameOf = (copy: number): number => pool[copy + WORDS + ENTRY_FRAME]!;

  /** Drops an entry's other regions; whether there were any. */
  function keep(copy: number, isKept: (variant: Variant) => boolean): boolean {
    const all = known.get(copy) ?? [];
    const kept = all.filter(isKept);
    if (kept.length === all.length) return false;
    if (kept.length > 0) known.set(copy, kept);
    else {
      known.delete(copy);
      compiledIn.get(frameOf(copy))!.delete(copy);
      pool[copy + WORDS + VISITS] = visits;
    }
    return true;
  }

  return {
    count: (copy) => known.get(copy)?.length ?? 0,
    add(copy, variant) {
      const frame = frameOf(copy);
      known.set(copy, [variant, ...(known.get(copy) ?? [])]);
      codeFrames[frame] = codeFrames[frame]! | COMPILED;
      const entries = compiledIn.get(frame) ?? new Set();
      compiledIn.set(frame, entries.add(copy));
    },
    current(copy) {
      const key = s[Slot.FLAT_SEGMENTS]! | (s[Slot.MODE]! << 12);
      const variant = known.get(copy)?.find((each) => ((each.key ^ key) & each.mask) === 0);
      if (variant === undefined) return null;
      runtime.remember((frameOf(copy) << 12) | pool[copy + OFFSET]!, key, variant.place);
      return variant;
    },
    dropOver(frame, first, last) {
      let isHit = false;
      for (const copy of compiledIn.get(frame) ?? [])
        if (keep(copy, ({ start, end }) => end <= first || start > last)) isHit = true;
      if (isHit) runtime.forgetPage(frame);
      return isHit;
    },
    dropFixedBases(copy) {
      if (keep(copy, ({ hasFixedBases }) => !hasFixedBases)) runtime.forgetPage(frameOf(copy));
    },
    clear() {
      known.clear();
      compiledIn.clear();
    },
  };
}
