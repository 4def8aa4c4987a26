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
 * sampled `ENOUGH` times becomes an entry, and code that is spread over more places than could be compiled costs nothing but the sampling:
 * where samples take each other away they become rarer.
 *
 * An entry whose region would be small, which saves little if anything, waits for more visits before somebody is asked.
 *
 * An entry whose region does not pay, because it runs a few instructions and leads to code that is not compiled, *sleeps* in the end: the
 * record is what it was, but for a mark, and leads nowhere; the copy, which compiled code may still know, leads to it. All that sleep wake
 * after as many samples as a new entry has visits, and are tried again, because what they lead to may be compiled by then. Regions that
 * repeat something never sleep: how long they run depends on data.
 */

import { knownPage, rewrites } from "./code-cache";
import * as Address from "./layout/addresses";
import {
  CACHED_END,
  ENTRY_FRAME,
  FIRST_CACHED,
  FIRST_ENTRY_RECORD,
  NEXT_SLEEPER,
  ORIGINAL,
  POOL_WORDS,
  POSTPONED,
  RECORD_WORDS,
  VISITS,
} from "./layout/code-cache";
import * as Field from "./layout/fields";
import * as HotOperation from "./layout/hot-operations";
import { SLEEPING } from "./layout/prefixes";
import * as Slot from "./layout/slots";
import { get } from "./state";

const RECORD = RECORD_WORDS << 2;
/** A page whose code is rewritten so often is not worth compiling. */
const MOST_REWRITES = 40;

const OPERATION = Address.POOL + (Field.OPERATION << 2);
const CLOCKS = Address.POOL + (Field.CLOCKS << 2);
const LINK = Address.POOL + (Field.LINK << 2);
const PREFIX = Address.POOL + (Field.PREFIX << 2);
const NEXT_SLEEPER_WORD = Address.POOL + (NEXT_SLEEPER << 2);

/** Words: index of a record, which is a multiple of 16, plus its samples. */
const SAMPLE_BITS = 13;
const SAMPLED = -16;
const ENOUGH = 16;
/** Between two samples at least, and on average, when they take none away. */
const SHORTEST_STEP = 8;
const MEAN_STEP = 16;
/** So many samples that were taken away make steps longer by the shortest one; no more count. */
const SPREAD_STEP = 4;
const MOST_SPREAD = 60;
/** Knuth's multiplicative hashing; constants of the generator of steps: Numerical Recipes, "quick and dirty". */
const HASH = -1640531527;
const FACTOR = 1664525;
const SUMMAND = 1013904223;

/** Visits of a new entry before somebody is asked. */
let visits: i32 = 0;
/** What it has more when its region is small: less than `SMALL` instructions, none of which is repeated. */
let moreVisits: i32 = 0;
const SMALL = 12;
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
/** Grows with each sample that is taken away, shrinks twice as fast with others. */
let spread: i32 = 0;
/** Copy of the entry that fell asleep last, or 0, and samples up to when all wake. */
let sleepers: i32 = 0;
let untilWaking: i32 = 1;

/**
 * `first`: visits of a new entry. There is no sampling where it would take longer than these. `more`: visits more of an entry with a small
 * region.
 */
export function countVisits(first: i32, more: i32, pseudo: i32, accounts: i32): void {
  visits = first;
  moreVisits = more;
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
  if (--untilWaking === 0) wake();
  const frame = get(Slot.CODE_FRAME) >>> 12;
  if (visits < ENOUGH * MEAN_STEP) {
    step = 1;
    countEntry(p, frame, 0);
    return;
  }
  random = random * FACTOR + SUMMAND;
  step = (SHORTEST_STEP + (random >>> 28)) * (1 + spread / SPREAD_STEP);
  if (load<i32>(p << 2, OPERATION) === HotOperation.countedEntry || isSleeping(p)) return;
  const at = ((p * HASH) >>> (32 - SAMPLE_BITS)) << 2;
  const word = load<i32>(at, Address.SAMPLES);
  const samples = word & ~SAMPLED;
  if ((word & SAMPLED) !== p) {
    store<i32>(at, samples === 0 ? p | 1 : word - 1, Address.SAMPLES);
    if (samples !== 0) spread = min(spread + 1, MOST_SPREAD);
    return;
  }
  spread = max(spread - 2, 0);
  if (samples + 1 < ENOUGH) store<i32>(at, word + 1, Address.SAMPLES);
  else {
    store<i32>(at, 0, Address.SAMPLES);
    countEntry(p, frame, 0);
  }
}

/** Whether a record is that of an entry that sleeps. Records that account have other words, and never do. */
function isSleeping(p: i32): bool {
  return !hasAccounts && (load<i32>(p << 2, PREFIX) & SLEEPING) !== 0;
}

/** A record is what it was before it became an entry. */
function restore(original: i32, copy: i32): void {
  const from = copy << 2;
  const to = original << 2;
  store<i32>(to, load<i32>(from, OPERATION), OPERATION);
  store<i32>(to, load<i32>(from, CLOCKS), CLOCKS);
  store<i32>(to, load<i32>(from, LINK), LINK);
}

function originalOf(copy: i32): i32 {
  return load<i32>((copy << 2) + RECORD, Address.POOL + (ORIGINAL << 2));
}

/** Sends an entry to sleep. False where none do, and when its instruction was just written. */
export function sleep(copy: i32): bool {
  if (hasAccounts || !mayBeEntry(load<i32>(copy << 2, OPERATION))) return false;
  const original = originalOf(copy);
  restore(original, copy);
  store<i32>(original << 2, load<i32>(original << 2, PREFIX) | SLEEPING, PREFIX);
  const q = copy << 2;
  store<i32>(q, HotOperation.continueAt, OPERATION);
  store<i32>(q, 0, CLOCKS);
  store<i32>(q, original, LINK);
  store<i32>(q + RECORD, sleepers, NEXT_SLEEPER_WORD);
  sleepers = copy;
  return true;
}

/** All entries that sleep are entries again, with no visits left, but for those whose instruction was written meanwhile. */
function wake(): void {
  untilWaking = visits + 1;
  let copy = sleepers;
  sleepers = 0;
  while (copy !== 0) {
    const original = originalOf(copy);
    const mark = load<i32>(original << 2, PREFIX);
    if ((mark & SLEEPING) !== 0) {
      store<i32>(original << 2, mark & ~SLEEPING, PREFIX);
      if (mayBeEntry(load<i32>(original << 2, OPERATION))) makeEntry(original, copy);
    }
    copy = load<i32>((copy << 2) + RECORD, NEXT_SLEEPER_WORD);
  }
}

/** A record becomes an entry, and another a copy of it. */
function makeEntry(original: i32, copy: i32): void {
  const q = original << 2;
  memory.copy(Address.POOL + (copy << 2), Address.POOL + q, RECORD);
  store<i32>(q, HotOperation.countedEntry, OPERATION);
  store<i32>(q, 0, CLOCKS);
  store<i32>(q, copy, LINK);
}

/** The record behind a link. */
function resolve(p: i32): i32 {
  return load<i32>(p << 2, OPERATION) === HotOperation.continueAt ? load<i32>(p << 2, LINK) : p;
}

/** Number of records that were reached, after the one that follows `from` was, too; 0 when something is repeated, or they are too many. */
function reach(from: i32, next: i32, count: i32): i32 {
  const p = resolve(next);
  if (p === 0 || load<i32>(p << 2, OPERATION) < HotOperation.movRegisterRegister) return count;
  for (let i = 0; i < count; i++) if (load<i32>(i << 2, Address.REACHED) === p) return p <= from ? 0 : count;
  if (count === (hasAccounts ? 2 * SMALL : SMALL)) return 0;
  store<i32>(count << 2, p, Address.REACHED);
  return count + 1;
}

/** Whether the region of an entry would be small. Not where it calls or jumps through a table, which is not followed. */
function isSmall(original: i32): bool {
  store<i32>(0, original, Address.REACHED);
  let count = 1;
  for (let i = 0; i < count; i++) {
    const p = load<i32>(i << 2, Address.REACHED);
    let q = p << 2;
    if (load<i32>(q, OPERATION) === HotOperation.countedEntry) q = load<i32>(q, LINK) << 2;
    const operation = load<i32>(q, OPERATION);
    if (operation === HotOperation.callInPage || operation === HotOperation.jmpMemory) return false;
    const isBranch = operation >= HotOperation.jccInPage && operation < HotOperation.jccFar;
    if (isBranch || operation === HotOperation.jmpInPage) {
      count = reach(p, load<i32>(q, LINK), count);
      if (count === 0) return false;
    }
    count = reach(p, p + RECORD_WORDS, count);
    if (count === 0) return false;
  }
  return true;
}

/** An entry has no visits left, and no region: whether it is to wait for more, because that would be small. */
export function postpone(copy: i32): bool {
  const q = (copy << 2) + RECORD;
  if (moreVisits === 0 || load<i32>(q, Address.POOL + (POSTPONED << 2)) !== 0) return false;
  store<i32>(q, 1, Address.POOL + (POSTPONED << 2));
  if (!isSmall(originalOf(copy))) return false;
  store<i32>(q, moreVisits, Address.POOL + (VISITS << 2));
  return true;
}

/** Takes all entries back: the records are what they were. */
export function restoreEntries(): void {
  for (let copy = FIRST_ENTRY_RECORD; copy < entryTop; copy += 2 * RECORD_WORDS) {
    const original = originalOf(copy);
    if (load<i32>(copy << 2, OPERATION) !== HotOperation.continueAt) restore(original, copy);
    else store<i32>(original << 2, load<i32>(original << 2, PREFIX) & ~SLEEPING, PREFIX);
  }
  forgetEntries();
}

/** Since the start. */
export function entriesMade(): i32 {
  return made;
}

export function forgetEntries(): void {
  entryTop = FIRST_ENTRY_RECORD;
  sleepers = 0;
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
    if (isSleeping(p)) return;
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
  memory.fill(Address.POOL + behind, 0, RECORD);
  const end =
    load<i32>(q, Address.POOL + (Field.OFFSET << 2)) + load<i32>(q, Address.POOL + (Field.BYTES << 2));
  store<i32>(behind, HotOperation.continueAt, OPERATION);
  store<i32>(behind, end, Address.POOL + (Field.OFFSET << 2));
  store<i32>(behind, p + RECORD_WORDS, LINK);
  store<i32>(behind, p, Address.POOL + (ORIGINAL << 2));
  store<i32>(behind, frame, Address.POOL + (ENTRY_FRAME << 2));
  store<i32>(behind, visits, Address.POOL + (VISITS << 2));
  makeEntry(p, copy);
}
