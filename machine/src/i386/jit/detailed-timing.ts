/**
 * The detailed cycle model (../timing/detailed.ts) in compiled code: the same cycles, tags, counters and pairs as the interpreter's, at every
 * place where a region can be left. What is static is decided when a region is translated:
 *
 * **Pairs.** Whether an instruction is the second of a pair depends on the instruction in front of it alone, when that waits for a partner: a
 * region's graph has a block once for each such partner of its first instruction (`BlockNode.partner`, nearly always none), so that the clocks of
 * each instruction are known. A region is entered only where nothing in front of it pairs with its first instruction
 * (`beginsCompiled` of engine/timing.ts), and left for other regions only where nothing waits.
 *
 * **Code lines.** In front of each instruction that touches another line than the one before it (or than some block before it) stands a
 * comparison of the lines' tags with the way used last, whose use changes nothing; what differs is the engine's, `fetchCode`.
 *
 * **Data lines.** The same behind each access on the fast path, by `readData`, `writeData`, `modifyData`; a write makes the tag that it finds
 * dirty. Accesses that are not on the fast path go through the caches where they are done.
 *
 * **Carried across borders of blocks**: nothing. BUDGET and RETIRED are booked for whole blocks as without this model, pairs are counted in a
 * local and added to PAIRS when the region is left.
 *
 * **In memory while compiled code runs**: tags, bus and counters as they are, STOPPED_AT −1, NEXT −1. Who leaves a region where an
 * instruction waits sets NEXT and WAITING: nearly all do so by their `Site`.
 *
 * **Where time runs out** between the fetch of an instruction and the instruction, the site tells its clocks (`own`), and STOPPED_AT is set.
 * Where time runs out elsewhere, or the rest of a block would not fit, the next instruction is not accounted yet: the interpreter goes on at
 * the record in front of it.
 *
 * Compiled code relies on caches that are on (CR0.CD). What changes that, and all else that transfers control by a handler, is left to the
 * interpreter.
 */

import * as Timing from "../../../engine/layout/timing.ts";
import { HotOperation } from "../hot-operations.ts";
import { Address, Field } from "../layout.ts";
import type { BlockNode } from "./region-graph.ts";

const { OPERATION, OFFSET, BYTES, LINK, CLOCKS, WORDS } = Field;
const { ISSUE, ALONE, LINE_SHIFT, CACHE_SETS, U } = Timing;

/** Of two issue words, see engine/timing.ts. */
export type PairedClocks = (first: number, second: number) => number;

/** What a site tells of the model: what `leaveAt` needs. */
export interface SiteTiming {
  /** Issue word of the instruction that waits, and where its partner must stand; 0 and -1 when none does. */
  readonly waiting: number;
  readonly next: number;
  /** Pairs of the block that were counted and were not made. */
  readonly pairs: number;
  /** Clocks of the site's instruction when it is accounted and has not run, else -1; its physical address. */
  readonly own: number;
  readonly physical: number;
}

/** What is static of the instructions of a block, by index. */
export interface BlockTimes {
  readonly clocks: readonly number[];
  /** The record that waits for a partner behind the instruction, or 0. */
  readonly waits: readonly number[];
  readonly isPaired: readonly boolean[];
  /** Addresses and values of the tags that must be so in front of it. */
  readonly tags: readonly (readonly (readonly [address: number, tag: number])[])[];
}

/** The issue word of an instruction's record. */
const issueOf = (pool: Int32Array, p: number): number => pool[p - WORDS + ISSUE]!;

/** The record in front of an instruction's, where the interpreter begins with it. */
export function frontOf(pool: Int32Array, p: number): number {
  const front = p - WORDS;
  return pool[front + OPERATION] === HotOperation.countedEntry ? pool[front + LINK]! : front;
}

/** The instruction behind a record, or its copy, that stands in front of one; 0 when it is another record. */
export function instructionBehind(pool: Int32Array, front: number): number {
  return pool[front + OPERATION] === HotOperation.account ? pool[front + LINK]! : 0;
}

/** See `GraphSource.waitsBehind`. */
export function waitsBehind(pool: Int32Array, p: number, partner: number, paired: PairedClocks): number {
  const issue = issueOf(pool, p);
  if (partner !== 0 && paired(issueOf(pool, partner), issue) >= 0) return 0;
  return (issue & U) === 0 ? 0 : p;
}

const lastLineOf = (pool: Int32Array, p: number, frame: number): number =>
  (frame + pool[p + OFFSET]! + pool[p + BYTES]! - 1) >>> LINE_SHIFT;

/** By block: the line that was used last before it, whichever way leads there; -1 where that is not known. */
export function linesBefore(pool: Int32Array, blocks: readonly BlockNode[], frame: number): number[] {
  const lines = new Map<number, number>([[0, -1]]);
  for (const { records, next, taken, targets } of blocks) {
    const line = lastLineOf(pool, records.at(-1)!, frame);
    for (const to of [next, taken, ...targets]) lines.set(to, (lines.get(to) ?? line) === line ? line : -1);
  }
  return blocks.map(({ index }) => lines.get(index) ?? -1);
}

/**
 * Of a block whose last records may be left out, in the page at a physical address; `before` is the line used last before it, or -1.
 */
export function timesOf(
  pool: Int32Array,
  block: BlockNode,
  records: readonly number[],
  frame: number,
  before: number,
  paired: PairedClocks,
): BlockTimes {
  const clocks: number[] = [];
  const waits: number[] = [];
  const isPaired: boolean[] = [];
  const tags: (readonly [number, number])[][] = [];
  let partner = block.partner;
  let lineBefore = before;
  for (const p of records) {
    const added = partner === 0 ? -1 : paired(issueOf(pool, partner), issueOf(pool, p));
    partner = waitsBehind(pool, p, partner, paired);
    clocks.push(added >= 0 ? added : pool[p - WORDS + ALONE]!);
    waits.push(partner);
    isPaired.push(added >= 0);
    const start = frame + pool[p + OFFSET]!;
    const first = start >>> LINE_SHIFT;
    const last = lastLineOf(pool, p, frame);
    const lines = last === first ? [first] : [first, last];
    tags.push(last === lineBefore ? [] : lines.map((line) => [tagAddress(line), line << 1]));
    lineBefore = last;
  }
  return { clocks, waits, isPaired, tags };
}

const tagAddress = (line: number): number => Address.CODE_LINES + (line & (CACHE_SETS - 1)) * 8;

/** Without this model: the table's clocks alone. */
export function plainTimes(pool: Int32Array, records: readonly number[]): BlockTimes {
  return { clocks: records.map((p) => pool[p + CLOCKS]!), waits: [], isPaired: [], tags: [] };
}

/** What waits behind the first `accounted` instructions of a block: its issue word, and where its partner must stand. */
export function waitingBehind(
  pool: Int32Array,
  block: BlockNode,
  { waits }: BlockTimes,
  accounted: number,
  frame: number,
): Pick<SiteTiming, "waiting" | "next"> {
  const p = accounted === 0 ? block.partner : waits[accounted - 1]!;
  if (p === 0) return { waiting: 0, next: -1 };
  return { waiting: issueOf(pool, p), next: frame + pool[p + OFFSET]! + pool[p + BYTES]! };
}

/** Puts the model where the interpreter would have it; the site's clocks are in BUDGET again. */
export function createLeaver(
  pool: Int32Array,
  words: Int32Array,
  times: Float64Array,
): (site: SiteTiming, record: number, budget: number) => void {
  return (site, record, budget) => {
    times[Timing.PAIRS] = times[Timing.PAIRS]! - site.pairs;
    words[Timing.NEXT] = site.next;
    words[Timing.WAITING] = site.waiting;
    if (site.own < 0) return;
    pool[record + CLOCKS] = site.own;
    if (budget > 0) return;
    words[Timing.STOPPED_AT] = site.physical;
    words[Timing.STOPPED_CLOCKS] = site.own;
  };
}
