/**
 * What the checks of a delivery or a return have found, and what they depended on: so that they need not be made again as long as nothing of
 * that has changed. A record has the registers of the tables, the words of gate, TSS and descriptors, and the state of the TLB in which
 * reading these words again, in the same order, changes nothing. All of it is compared at each use, the pages when the TLB has changed in any
 * way (TLB_VERSION): nobody has to tell when something is written.
 *
 * The TLB: each use of a page sets or clears bits of its set's age that depend only on the page's way (tlb.ts). So the reads of a check leave
 * in each set bits that they would leave again, whatever else the set has seen since; when those are as they were left, and the pages are in
 * the ways where they were, reading again changes nothing. A frame is then read or written by the soft TLB alone: that has a page only while it is
 * its set's youngest, so that page is the one which the check would read last in the set, or is in another set.
 *
 * Only pages of 4 KB that are in the TLB, and descriptors of the GDT, are remembered.
 */

import * as Address from "./layout/addresses";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import { SOFT_TLB_SETS, WAYS } from "./layout/tlb-sizes";
import { NOWHERE } from "./segments";
import { get } from "./state";
import * as Tlb from "./tlb";

/** Bytes of a record, as a power of two; of returns behind those of deliveries. */
const SHIFT = 8;
const DELIVERIES = 32;
const RETURNS = 16;

// Byte offsets in a record.
/** What was checked, or 0 when nothing may be taken from the record again. */
const KEY = 0;
/** Uses that failed up to which the record is not made again. */
const PATIENCE = 4;
const GDT = 8;
const IDT = 16;
const TASK_BASE = 24;
const TASK_LIMIT = 28;
/** `MOST` of: address of the tag in the data TLB, tag, entry. */
const PAGES = 32;
/** `MOST` of: address of the age, bits that the check sets or clears, their values. */
const SETS = 72;
const ITEM = 12;
const MOST = 3;
// Physical addresses: the gate; in the TSS, the stack pointer and the selector behind it; descriptors of code and stack.
const GATE = 112;
const TASK_STACK = 116;
const CODE_PLACE = 120;
const STACK_PLACE = 124;
/** The gate's words. */
export const GATE_WORDS = 128;
/** Ring that is entered. */
export const RING = 136;
/** Records of descriptors.ts; STACK is 0 when the stack stays. */
export const CODE = 140;
export const STACK = 144;
export const STACK_SELECTOR = 148;
/** TLB_VERSION when the pages were last looked at. */
const VERSION = 152;

const ENTRIES = Address.DATA_TLB_ENTRIES - Address.DATA_TLB_TAGS;
const GDT_REGISTER = Address.STATE + (Slot.GDT_BASE << 2);
const IDT_REGISTER = Address.STATE + (Slot.IDT_BASE << 2);
/** Failures between two attempts. */
const LONGEST_PATIENCE = 7;

/** Pages and sets of the record that is being made. */
let pages: i32 = 0;
let sets: i32 = 0;

/** Put in their callers' place: calls are what gates cost most. */
export class Checked {
  /** Record of a delivery through a vector from a ring. */
  @inline
  static delivery(vector: i32, from: i32): i32 {
    return Address.CHECKED_GATES + (((vector ^ (from << 3)) & (DELIVERIES - 1)) << SHIFT);
  }

  /** Record of a return to a code selector from a ring. */
  @inline
  static return(selector: i32, from: i32): i32 {
    return (
      Address.CHECKED_GATES + ((DELIVERIES + (((selector >>> 3) ^ (from << 2)) & (RETURNS - 1))) << SHIFT)
    );
  }

  @inline
  private static age(record: i32, item: i32): i32 {
    const age = load<i32>(load<i32>(record + item));
    return (age ^ load<i32>(record + item, 8)) & load<i32>(record + item, 4);
  }

  /** Not 0 when the TLB, or the descriptor of the code, is not as it was. */
  @inline
  private static changes(record: i32): i64 {
    const isSame = load<i32>(Address.TLB_VERSION) === load<i32>(record, VERSION) || hasPages(record);
    const tlb =
      i32(!isSame) |
      Checked.age(record, SETS) |
      Checked.age(record, SETS + ITEM) |
      Checked.age(record, SETS + 2 * ITEM);
    const code = load<i64>(load<i32>(record, CODE_PLACE), Address.RAM) ^ load<i64>(load<i32>(record, CODE));
    return i64(u32(tlb)) | code | (load<i64>(GDT_REGISTER) ^ load<i64>(record, GDT));
  }

  @inline
  private static stackChanges(record: i32): i64 {
    return load<i64>(load<i32>(record, STACK_PLACE), Address.RAM) ^ load<i64>(load<i32>(record, STACK));
  }

  /** Whether a delivery was checked, and would be found the same. */
  @inline
  static holdsDelivery(record: i32, key: i32): bool {
    if (load<i32>(record, KEY) !== key) return false;
    const gate = load<i64>(load<i32>(record, GATE), Address.RAM) ^ load<i64>(record, GATE_WORDS);
    let changes = Checked.changes(record) | gate | (load<i64>(IDT_REGISTER) ^ load<i64>(record, IDT));
    if (load<i32>(record, STACK) !== 0) {
      const selector: i32 = load<u16>(load<i32>(record, TASK_STACK), Address.RAM + 4);
      const task =
        (selector ^ load<i32>(record, STACK_SELECTOR)) |
        (get(Slot.BASE + Segment.TR) ^ load<i32>(record, TASK_BASE)) |
        (get(Slot.LIMIT + Segment.TR) ^ load<i32>(record, TASK_LIMIT));
      changes |= Checked.stackChanges(record) | i64(u32(task));
    }
    return changes === 0;
  }

  /** The same of a return. */
  @inline
  static holdsReturn(record: i32, key: i32): bool {
    if (load<i32>(record, KEY) !== key) return false;
    let changes = Checked.changes(record);
    if (load<i32>(record, STACK) !== 0) changes |= Checked.stackChanges(record);
    return changes === 0;
  }

  /** Stack pointer of the inner ring. */
  @inline
  static innerPointer(record: i32): i32 {
    return load<i32>(load<i32>(record, TASK_STACK), Address.RAM);
  }
}

/** Whether the pages are in the ways where they were: looked at when anything in the TLB has changed. */
function hasPages(record: i32): bool {
  for (let item = record + PAGES; item < record + PAGES + MOST * ITEM; item += ITEM) {
    const at = load<i32>(item);
    if (load<i32>(at) !== load<i32>(item, 4) || load<i32>(at, ENTRIES) !== load<i32>(item, 8)) return false;
  }
  store<i32>(record, load<i32>(Address.TLB_VERSION), VERSION);
  return true;
}

/** Whether a check is to be remembered: not each time where records fail all the time. */
function isWanted(record: i32): bool {
  const patience = load<i32>(record, PATIENCE);
  store<i32>(record, patience > 0 ? patience - 1 : LONGEST_PATIENCE, PATIENCE);
  return patience === 0 || load<i32>(record, KEY) === 0;
}

function begin(record: i32): void {
  store<i32>(record, 0, KEY);
  store<i32>(record, load<i32>(Address.TLB_VERSION), VERSION);
  store<i64>(record, load<i64>(GDT_REGISTER), GDT);
  pages = 0;
  sets = 0;
}

function placeOfItem(items: i32, count: i32, at: i32): i32 {
  let item = items;
  for (let i = 0; i < count && load<i32>(item) !== at; i++) item += ITEM;
  return item;
}

/** The next read of a check: its physical address; NOWHERE when that cannot be remembered. */
function note(record: i32, linear: i32): i32 {
  const page = linear >>> 12;
  const index = Tlb.indexOf(Address.DATA_TLB_TAGS, SOFT_TLB_SETS, page);
  if (index < 0) return NOWHERE;
  const at = Address.DATA_TLB_TAGS + (index << 2);
  const entry = load<i32>(at, ENTRIES);
  const item = placeOfItem(record + PAGES, pages, at);
  if (item === record + PAGES + pages * ITEM) {
    if (pages++ === MOST) return NOWHERE;
    store<i32>(item, at);
    store<i32>(item, page, 4);
    store<i32>(item, entry, 8);
  }
  const set = page & (SOFT_TLB_SETS - 1);
  const age = placeOfItem(record + SETS, sets, Address.DATA_TLB_AGES + (set << 2));
  if (age === record + SETS + sets * ITEM) {
    if (sets++ === MOST) return NOWHERE;
    store<i32>(age, Address.DATA_TLB_AGES + (set << 2));
    store<i64>(age, 0, 4);
  }
  const way = index & (WAYS - 1);
  store<i32>(age, load<i32>(age, 4) | Tlb.changedBy(way), 4);
  store<i32>(age, Tlb.aged(load<i32>(age, 8), way), 8);
  return (entry & -4096) | (linear & 0xfff);
}

function fill(record: i32, items: i32, count: i32): void {
  for (let i = count; i < MOST; i++) memory.copy(record + items + i * ITEM, record + items, ITEM);
}

/** Remembers the descriptor of the code, and of the stack when `stack` is not 0; then the record holds. */
function complete(record: i32, key: i32, codePlace: i32, code: i32, stackSelector: i32, stack: i32): void {
  store<i32>(record, codePlace, CODE_PLACE);
  store<i32>(record, code, CODE);
  store<i32>(record, stackSelector, STACK_SELECTOR);
  store<i32>(record, stack, STACK);
  if (stack !== 0) {
    const place = note(record, placeInTable(stackSelector));
    if (place === NOWHERE) return;
    store<i32>(record, place, STACK_PLACE);
  }
  fill(record, PAGES, pages);
  fill(record, SETS, sets);
  store<i32>(record, key, KEY);
}

function isGlobal(selector: i32): bool {
  return (selector & 4) === 0;
}

function placeInTable(selector: i32): i32 {
  return get(Slot.GDT_BASE) + (selector & 0xfff8);
}

/** Remembers a delivery all of whose tables have just been read; `gate`: linear address; `stack`: 0 when the stack stays. */
export function rememberDelivery(
  record: i32,
  key: i32,
  gate: i32,
  code: i32,
  ring: i32,
  stackSelector: i32,
  stack: i32,
): void {
  if (!isWanted(record)) return;
  begin(record);
  const gatePlace = note(record, gate);
  if (gatePlace === NOWHERE) return;
  const words = load<i64>(gatePlace, Address.RAM);
  const selector: i32 = load<u16>(gatePlace, Address.RAM + 2);
  if (!isGlobal(selector) || !isGlobal(stackSelector)) return;
  store<i32>(record, gatePlace, GATE);
  store<i64>(record, words, GATE_WORDS);
  store<i64>(record, load<i64>(IDT_REGISTER), IDT);
  store<i32>(record, ring, RING);
  const codePlace = note(record, placeInTable(selector));
  if (codePlace === NOWHERE) return;
  if (stack !== 0) {
    const place = note(record, get(Slot.BASE + Segment.TR) + (ring << 3) + 4);
    if (place === NOWHERE) return;
    store<i32>(record, place, TASK_STACK);
    store<i32>(record, get(Slot.BASE + Segment.TR), TASK_BASE);
    store<i32>(record, get(Slot.LIMIT + Segment.TR), TASK_LIMIT);
  }
  complete(record, key, codePlace, code, stackSelector, stack);
}

/** The same of a return to a code selector. */
export function rememberReturn(
  record: i32,
  key: i32,
  selector: i32,
  code: i32,
  stackSelector: i32,
  stack: i32,
): void {
  if (!isWanted(record)) return;
  begin(record);
  if (!isGlobal(selector) || !isGlobal(stackSelector)) return;
  const codePlace = note(record, placeInTable(selector));
  if (codePlace === NOWHERE) return;
  complete(record, key, codePlace, code, stackSelector, stack);
}
