/**
 * Places whose visits are counted for the compiler of hot code (src/i386/jit/compiler.ts). The record of such an entry is replaced by one
 * that sends the interpreter to a pair of records,
 *
 *   [copy of the instruction] [go on at the record behind the original]
 *
 * and takes one from the visits that are left, a word of the second.
 *
 * Calls, returns and far jumps lead to more places than will ever be hot. A place that is only looked up is therefore sampled first: about
 * every sixteenth such visit of all counts for its place, in a table where places that meet take each other's samples away. So what is
 * sampled `ENOUGH` times becomes an entry, and code that is spread over more places than could be compiled costs nothing but the sampling.
 */

import { knownPage, rewrites } from "./code-cache";
import * as Address from "./layout/addresses";
import {
  CACHED_END,
  ENTRY_FRAME,
  FIRST_CACHED,
  FIRST_ENTRY_RECORD,
  ORIGINAL,
  POOL_WORDS,
  RECORD_WORDS,
  VISITS,
} from "./layout/code-cache";
import * as Field from "./layout/fields";
import * as HotOperation from "./layout/hot-operations";
import * as Slot from "./layout/slots";
import { get } from "./state";

const RECORD = RECORD_WORDS << 2;
/** A page whose code is rewritten so often is not worth compiling. */
const MOST_REWRITES = 40;

const OPERATION = Address.POOL + (Field.OPERATION << 2);
const CLOCKS = Address.POOL + (Field.CLOCKS << 2);
const LINK = Address.POOL + (Field.LINK << 2);

/** Words: index of a record, which is a multiple of 16, plus its samples. */
const SAMPLE_BITS = 13;
const SAMPLED = -16;
const ENOUGH = 8;
/** Between two samples at least, and on average. */
const SHORTEST_STEP = 8;
const MEAN_STEP = 16;
/** Knuth's multiplicative hashing; constants of the generator of steps: Numerical Recipes, "quick and dirty". */
const HASH = -1640531527;
const FACTOR = 1664525;
const SUMMAND = 1013904223;

/** Visits of a new entry before somebody is asked. */
let visits: i32 = 0;
/** Cold operations from here on are no instructions; 0 when nobody counts. */
let firstPseudo: i32 = 0;
/** Records that account for an instruction stand in front of each: those are the entries. */
let hasAccounts: bool = false;
/** Index of the next free record. */
let entryTop: i32 = FIRST_ENTRY_RECORD;
let made: i32 = 0;
/** Visits up to the next sample, and what the steps come from. */
let step: i32 = 1;
let random: i32 = 1;

/** `first`: visits of a new entry. There is no sampling where it would take longer than these. */
export function countVisits(first: i32, pseudo: i32, accounts: i32): void {
  visits = first;
  firstPseudo = pseudo;
  hasAccounts = accounts !== 0;
  step = 1;
}

/** The place of a record in the page in use was looked up, and is run next. */
export function visited(p: i32): void {
  if (--step === 0) sample(p);
}

function sample(p: i32): void {
  if (firstPseudo === 0) {
    step = i32.MAX_VALUE;
    return;
  }
  const frame = get(Slot.CODE_FRAME) >>> 12;
  if (visits < ENOUGH * MEAN_STEP) {
    step = 1;
    countEntry(p, frame, 0);
    return;
  }
  random = random * FACTOR + SUMMAND;
  step = SHORTEST_STEP + (random >>> 28);
  if (load<i32>(p << 2, OPERATION) === HotOperation.countedEntry) return;
  const at = ((p * HASH) >>> (32 - SAMPLE_BITS)) << 2;
  const word = load<i32>(at, Address.SAMPLES);
  const samples = word & ~SAMPLED;
  if ((word & SAMPLED) !== p) store<i32>(at, samples === 0 ? p | 1 : word - 1, Address.SAMPLES);
  else if (samples + 1 < ENOUGH) store<i32>(at, word + 1, Address.SAMPLES);
  else {
    store<i32>(at, 0, Address.SAMPLES);
    countEntry(p, frame, 0);
  }
}

/** Takes all entries back: the records are what they were. */
export function restoreEntries(): void {
  for (let copy = FIRST_ENTRY_RECORD; copy < entryTop; copy += 2 * RECORD_WORDS) {
    const original = load<i32>((copy << 2) + RECORD, Address.POOL + (ORIGINAL << 2)) << 2;
    store<i32>(original, load<i32>(copy << 2, OPERATION), OPERATION);
    store<i32>(original, load<i32>(copy << 2, CLOCKS), CLOCKS);
    store<i32>(original, load<i32>(copy << 2, LINK), LINK);
  }
  forgetEntries();
}

/** Since the start. */
export function entriesMade(): i32 {
  return made;
}

export function forgetEntries(): void {
  entryTop = FIRST_ENTRY_RECORD;
}

export function isWorthCompiling(frame: i32): bool {
  const page = knownPage(frame);
  return page !== 0 && rewrites(page) <= MOST_REWRITES;
}

/** Whether a record may be an entry. */
function mayBeEntry(operation: i32): bool {
  if (hasAccounts) return operation === HotOperation.account;
  return (
    operation >= HotOperation.movRegisterRegister &&
    operation !== HotOperation.stale &&
    operation < firstPseudo
  );
}

/** Makes the instruction at a record of a page a counted entry, or the first of the next `skips` that can be one. */
export function countEntry(record: i32, frame: i32, skips: i32): void {
  if (firstPseudo === 0) return;
  let p = record;
  for (;;) {
    if (load<i32>(p << 2, OPERATION) === HotOperation.continueAt) p = load<i32>(p << 2, LINK);
    if (p < FIRST_CACHED || p >= CACHED_END) return;
    const operation = load<i32>(p << 2, OPERATION);
    if (operation < HotOperation.movRegisterRegister || operation === HotOperation.countedEntry) return;
    if (mayBeEntry(operation)) break;
    if (skips-- <= 0) return;
    p += RECORD_WORDS;
  }
  if (entryTop >= POOL_WORDS || !isWorthCompiling(frame)) return;
  const copy = entryTop;
  entryTop += 2 * RECORD_WORDS;
  made++;
  const q = p << 2;
  const behind = (copy << 2) + RECORD;
  memory.copy(Address.POOL + (copy << 2), Address.POOL + q, RECORD);
  memory.fill(Address.POOL + behind, 0, RECORD);
  const end =
    load<i32>(q, Address.POOL + (Field.OFFSET << 2)) + load<i32>(q, Address.POOL + (Field.BYTES << 2));
  store<i32>(behind, HotOperation.continueAt, OPERATION);
  store<i32>(behind, end, Address.POOL + (Field.OFFSET << 2));
  store<i32>(behind, p + RECORD_WORDS, LINK);
  store<i32>(behind, p, Address.POOL + (ORIGINAL << 2));
  store<i32>(behind, frame, Address.POOL + (ENTRY_FRAME << 2));
  store<i32>(behind, visits, Address.POOL + (VISITS << 2));
  store<i32>(q, HotOperation.countedEntry, OPERATION);
  store<i32>(q, 0, CLOCKS);
  store<i32>(q, copy, LINK);
}
