/**
 * Which code belongs to a region: from one entry, along fall-through, branches inside the page, and into called functions of the page,
 * whose instructions are taken once for each chain of callers, so that their RET has one likely target. Reads decoded records; decodes
 * nothing itself, so that what is decoded when does not depend on whether code is compiled.
 */

import { Field } from "../layout.ts";

/** Longest region, in instructions; more makes functions that hosts compile slowly, and more copies of the same code. */
const MOST_INSTRUCTIONS = 150;
const DEEPEST_CALL = 1;

const { BYTES, IMMEDIATE, LINK } = Field;

/** How an instruction ends, or does not end, a block. */
export type Flow = "next" | "jcc" | "jmp" | "call" | "ret" | "leaves" | "unsupported";

export interface GraphSource {
  readonly pool: Int32Array;
  /** Record of the instruction at a page offset, with counting records replaced by the instruction they stand for; 0 when not decoded. */
  recordAt(offset: number): number;
  flowOf(p: number): Flow;
  /**
   * The record that waits, behind the instruction at `p`, for a partner that must stand there, 0 when none does; `partner` waits in front of it.
   * See detailed-timing.ts.
   */
  waitsBehind(p: number, partner: number): number;
  /** Page offsets in the table through which an indirect jump goes, -1 for other pages; empty when there is none. They are a guess. */
  jumpTable(p: number): readonly number[];
}

export interface BlockNode {
  readonly index: number;
  /** Records in order. The last one may transfer control. */
  readonly records: number[];
  readonly offset: number;
  /** What waits for a partner in front of the first instruction, see `waitsBehind`. */
  readonly partner: number;
  /** Offset behind the last instruction. */
  readonly end: number;
  readonly flow: Flow;
  /** Index of the block to go to when not taken or at the end; -1 leaves the region. */
  next: number;
  /** Index of the block behind a taken branch, call or return; -1 leaves the region. */
  taken: number;
  /** Where a RET is expected to go. */
  readonly returnOffset: number;
  /** Indices of the blocks to which a jump through a table may go, by index in the table; -1 leaves the region. */
  readonly targets: number[];
}

interface Place {
  readonly key: number;
  readonly context: number;
  readonly offset: number;
  readonly partner: number;
  readonly p: number;
  readonly flow: Flow;
  readonly end: number;
  next: number;
  taken: number;
  targets: readonly number[];
}

interface Context {
  readonly id: number;
  readonly parent: Context | null;
  readonly returnOffset: number;
  readonly depth: number;
}

/** Blocks of the region that starts at `entry`; the first one is the entry. Empty when its first instruction cannot be compiled. */
export function discoverRegion(source: GraphSource, entry: number): BlockNode[] {
  const { pool } = source;
  const contexts: Context[] = [{ id: 0, parent: null, returnOffset: -1, depth: 0 }];
  const children = new Map<number, Context>();
  const places = new Map<number, Place>();
  const leaders = new Set<number>();
  const pending: [Context, number][] = [];
  const keyOf = (context: Context, offset: number, partner: number) =>
    (partner * MOST_INSTRUCTIONS + context.id) * 4096 + offset;

  function reach(context: Context, offset: number, leads: boolean, partner = 0): number {
    if (offset < 0 || offset >= 4096) return -1;
    const p = source.recordAt(offset);
    if (p === 0) return -1;
    const key = keyOf(context, offset, partner);
    if (!places.has(key)) {
      if (places.size >= MOST_INSTRUCTIONS) return -1;
      const flow = source.flowOf(p);
      places.set(key, {
        ...{ key, context: context.id, offset, partner, p, flow, end: offset + pool[p + BYTES]! },
        ...{ next: -1, taken: -1, targets: [] },
      });
      pending.push([context, key]);
    }
    if (leads) leaders.add(key);
    return key;
  }

  function enter(context: Context, returnOffset: number): Context | null {
    if (context.depth >= DEEPEST_CALL) return null;
    const key = keyOf(context, returnOffset, 0);
    let child = children.get(key);
    if (child === undefined) {
      child = { id: contexts.length, parent: context, returnOffset, depth: context.depth + 1 };
      contexts.push(child);
      children.set(key, child);
    }
    return child;
  }

  reach(contexts[0]!, entry, true);
  // Depth first, so that the code nearest to the entry's straight line is in when the limit is met.
  for (let top = pending.pop(); top !== undefined; top = pending.pop()) {
    const [context, key] = top;
    const place = places.get(key)!;
    const waits = source.waitsBehind(place.p, place.partner);
    const behind = (leads: boolean): number => reach(context, place.end, leads, waits);
    const target = pool[place.p + IMMEDIATE]!;
    switch (place.flow) {
      case "next":
        place.next = behind(false);
        break;
      case "jcc":
        // A branch that the interpreter never took stays outside.
        if (pool[place.p + LINK] !== 0) place.taken = reach(context, target, true);
        place.next = behind(true);
        break;
      case "jmp":
        place.taken = reach(context, target, true);
        break;
      case "call": {
        const inside = enter(context, place.end);
        if (inside !== null) place.taken = reach(inside, target, true);
        break;
      }
      case "ret":
        if (context.parent !== null) place.taken = reach(context.parent, context.returnOffset, true);
        break;
      case "leaves":
        place.targets = source.jumpTable(place.p).map((each) => reach(context, each, true));
        break;
      default:
        break;
    }
  }

  const blocks: BlockNode[] = [];
  const blockOf = new Map<number, number>();
  const entryKey = keyOf(contexts[0]!, entry, 0);
  if (places.get(entryKey)?.flow === "unsupported" || !places.has(entryKey)) return [];
  const order = [entryKey, ...[...leaders].filter((key) => key !== entryKey)];
  for (const [index, key] of order.entries()) blockOf.set(key, index);
  for (const [index, key] of order.entries()) {
    const first = places.get(key)!;
    const records: number[] = [];
    let place = first;
    for (;;) {
      records.push(place.p);
      if (place.flow !== "next" || place.next < 0 || leaders.has(place.next)) break;
      place = places.get(place.next)!;
    }
    blocks.push({
      ...{ index, records, offset: first.offset, partner: first.partner, end: place.end, flow: place.flow },
      next: blockOf.get(place.next) ?? -1,
      taken: blockOf.get(place.taken) ?? -1,
      returnOffset: contexts[first.context]!.returnOffset,
      targets: place.targets.map((key) => blockOf.get(key) ?? -1),
    });
  }
  return blocks;
}
