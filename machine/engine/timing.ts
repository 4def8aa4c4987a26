/**
 * What the detailed cycle model adds in front of an instruction and behind its accesses: caches, memory bus, U and V pipe (see
 * src/i386/timing). Functions take the budget and return what is left of it.
 */

import { CODE_LINES, DATA_LINES, POOL, STATE, TIME, TIMING, TIMING_TIMES } from "./layout/addresses";
import * as ControlBit from "./layout/control-bits";
import * as Field from "./layout/fields";
import * as Slot from "./layout/slots";
import * as Timing from "./layout/timing";
import { get, set } from "./state";

/** The parameter `Model` of generic functions is i64 for the detailed model, i32 for all others: the interpreter's loop is compiled for each. */
export function isDetailed<Model>(): bool {
  return sizeof<Model>() === 8;
}

const CR0 = STATE + (Slot.CR0 << 2);
const CODE_FRAME = STATE + (Slot.CODE_FRAME << 2);
const BUS_FREE = TIMING_TIMES + (Timing.BUS_FREE << 3);
const NEXT = TIMING + (Timing.NEXT << 2);
const WAITING = TIMING + (Timing.WAITING << 2);
const STOPPED_AT = TIMING + (Timing.STOPPED_AT << 2);
const STOPPED_CLOCKS = TIMING + (Timing.STOPPED_CLOCKS << 2);
const CLOCKS = POOL + (Field.CLOCKS << 2);
const OFFSET = POOL + (Field.OFFSET << 2);
const BYTES = POOL + (Field.BYTES << 2);
const LINK = POOL + (Field.LINK << 2);
const ISSUE = POOL + (Timing.ISSUE << 2);
const ALONE = POOL + (Timing.ALONE << 2);
const SET_MASK = Timing.CACHE_SETS - 1;

function bump(counter: i32, by: i32): void {
  const at = TIMING_TIMES + (counter << 3);
  store<f64>(at, load<f64>(at) + (by as f64));
}

function isCached(): bool {
  return (load<i32>(CR0) & ControlBit.CR0_CD) === 0;
}

function stalled(budget: i32, clocks: i32): i32 {
  bump(Timing.STALLS, clocks);
  return budget - clocks;
}

/** The processor waits for the first word of what occupies the bus for so long. */
function readBus(budget: i32, occupied: i32): i32 {
  const now = load<f64>(TIME) - (budget as f64);
  const free = load<f64>(BUS_FREE);
  if (free <= now) {
    store<f64>(BUS_FREE, now + (occupied as f64));
    return stalled(budget, Timing.FIRST_QUADWORD);
  }
  store<f64>(BUS_FREE, free + (occupied as f64));
  return stalled(budget, ((free - now) as i32) + Timing.FIRST_QUADWORD);
}

/** A write that goes to memory waits in a buffer, and the processor only when all are full. */
function writeBus(budget: i32): i32 {
  const now = load<f64>(TIME) - (budget as f64);
  const free = max<f64>(now, load<f64>(BUS_FREE)) + (Timing.SINGLE_WRITE as f64);
  store<f64>(BUS_FREE, free);
  const wait = ((free - now) as i32) - Timing.WRITE_BUFFERS * Timing.SINGLE_WRITE;
  return stalled(budget, max<i32>(0, wait));
}

/** Makes a line of the data cache dirty and the one used last of its set; false when it is not there. */
function useForWrite(line: i32): bool {
  const set = DATA_LINES + ((line & SET_MASK) << 3);
  const first = load<i32>(set);
  if (first >> 1 === line) {
    store<i32>(set, first | Timing.DIRTY);
    return true;
  }
  const second = load<i32>(set, 4);
  if (second >> 1 !== line) return false;
  store<i32>(set, first, 4);
  store<i32>(set, second | Timing.DIRTY);
  return true;
}

/** A read through a cache: a miss fills the line. */
function readThrough(budget: i32, lines: i32, line: i32, misses: i32): i32 {
  const set = lines + ((line & SET_MASK) << 3);
  const first = load<i32>(set);
  if (first >> 1 === line) return budget;
  const victim = load<i32>(set, 4);
  store<i32>(set, first, 4);
  if (victim >> 1 === line) {
    store<i32>(set, victim);
    return budget;
  }
  store<i32>(set, line << 1);
  const writesBack = (victim & Timing.DIRTY) !== 0;
  if (writesBack) bump(Timing.WRITE_BACKS, 1);
  bump(misses, 1);
  return readBus(budget, Timing.LINE_FILL + (writesBack ? Timing.WRITE_BACK : 0));
}

function fetch(budget: i32, line: i32): i32 {
  if (isCached()) return readThrough(budget, CODE_LINES, line, Timing.CODE_CACHE_MISSES);
  return readBus(budget, Timing.FIRST_QUADWORD);
}

/**
 * The lines of an instruction. The second page of an instruction across a page end is taken for the next frame: only the line's number depends
 * on it.
 */
export function fetchCode(budget: i32, physical: i32, bytes: i32): i32 {
  const line = physical >>> Timing.LINE_SHIFT;
  const last = (physical + bytes - 1) >>> Timing.LINE_SHIFT;
  const left = fetch(budget, line);
  return last === line ? left : fetch(left, last);
}

/** Behind a read of data in one line of RAM. */
function read(budget: i32, physical: i32): i32 {
  if (isCached())
    return readThrough(budget, DATA_LINES, physical >>> Timing.LINE_SHIFT, Timing.DATA_READ_MISSES);
  return readBus(budget, Timing.FIRST_QUADWORD);
}

/** Behind a write of data in one line of RAM. A miss fills no line. */
function write(budget: i32, physical: i32): i32 {
  if (isCached() && useForWrite(physical >>> Timing.LINE_SHIFT)) return budget;
  bump(Timing.DATA_WRITE_MISSES, 1);
  return writeBus(budget);
}

/** For accesses of the general handlers, by the same words: of RAM or of what is never cached. */
export function timeData(physical: i32, isRam: bool, isWrite: bool): void {
  const budget = get(Slot.BUDGET);
  let left: i32;
  if (isRam) left = isWrite ? write(budget, physical) : read(budget, physical);
  else if (isWrite) {
    bump(Timing.DATA_WRITE_MISSES, 1);
    left = writeBus(budget);
  } else left = readBus(budget, Timing.FIRST_QUADWORD);
  set(Slot.BUDGET, left);
}

export function timeRead<Model>(budget: i32, physical: i32): i32 {
  if (isDetailed<Model>()) return read(budget, physical);
  return budget;
}

export function timeWrite<Model>(budget: i32, physical: i32): i32 {
  if (isDetailed<Model>()) return write(budget, physical);
  return budget;
}

/** Clocks that the second instruction adds to the first when both are issued together, or -1 when they are not; see timing/pairing.ts. */
export function pairedClocks(first: i32, second: i32): i32 {
  if ((first & Timing.U) === 0 || (second & Timing.V) === 0 || (second & Timing.PREFIXED) !== 0) return -1;
  if (((first | second) & Timing.DISPLACEMENT_AND_IMMEDIATE) !== 0) return -1;
  const written = (first >> Timing.WRITES_SHIFT) & Timing.REGISTER_SET;
  const used = (second | (second >> Timing.WRITES_SHIFT)) & Timing.REGISTER_SET;
  if ((written & used) !== 0) return -1;
  const stackPointer = 1 << Slot.ESP;
  if ((second & Timing.STACK) !== 0 && (written & stackPointer) !== 0) return -1;
  if ((first & Timing.STACK) !== 0 && (used & stackPointer) !== 0) return -1;
  const firstClocks = first >> Timing.CLOCKS_SHIFT;
  const secondClocks = second >> Timing.CLOCKS_SHIFT;
  // A read-modify-write (3 clocks) in the U pipe lets the V pipe overlap with its last clock only.
  return firstClocks >= 3 ? secondClocks - 1 : max<i32>(0, secondClocks - firstClocks);
}

/** Sets the clocks of the instruction behind the record at `q` by the pipe in which it goes. */
function issue(q: i32, physical: i32, end: i32): i32 {
  const word = load<i32>(q, ISSUE);
  const added: i32 = load<i32>(NEXT) === physical ? pairedClocks(load<i32>(WAITING), word) : -1;
  if (added >= 0) {
    store<i32>(NEXT, -1);
    bump(Timing.PAIRS, 1);
    return added;
  }
  store<i32>(WAITING, word);
  store<i32>(NEXT, (word & Timing.U) !== 0 ? end : -1);
  return load<i32>(q, ALONE);
}

/**
 * The record at byte offset `q` stands in front of an instruction: its lines go through the code cache, and its clocks are set by the pipe in
 * which it goes. When waiting uses up the budget the run loop stops in front of the instruction, and comes here again: then nothing is done
 * twice, or a run would depend on how it is cut into slices.
 */
export function account(before: i32, q: i32): i32 {
  const physical = load<i32>(CODE_FRAME) | load<i32>(q, OFFSET);
  const instruction = load<i32>(q, LINK) << 2;
  const stopped = load<i32>(STOPPED_AT);
  store<i32>(STOPPED_AT, -1);
  if (physical === stopped) {
    store<i32>(instruction, load<i32>(STOPPED_CLOCKS), CLOCKS);
    return before;
  }
  const bytes = load<i32>(q, BYTES);
  const budget = fetchCode(before, physical, bytes);
  const clocks = issue(q, physical, physical + bytes);
  store<i32>(instruction, clocks, CLOCKS);
  if (budget <= 0) {
    store<i32>(STOPPED_AT, physical);
    store<i32>(STOPPED_CLOCKS, clocks);
  }
  return budget;
}

/**
 * Whether compiled code may begin with the instruction behind the record at `q` (see src/i386/jit/detailed-timing.ts): memory goes through the
 * caches, the instruction is not accounted yet, and does not pair with the one before it. Takes then what pairing has in memory.
 */
export function beginsCompiled(q: i32): bool {
  const physical = load<i32>(CODE_FRAME) | load<i32>(q, OFFSET);
  if (!isCached() || load<i32>(STOPPED_AT) === physical) return false;
  if (load<i32>(NEXT) === physical && pairedClocks(load<i32>(WAITING), load<i32>(q, ISSUE)) >= 0)
    return false;
  store<i32>(STOPPED_AT, -1);
  store<i32>(NEXT, -1);
  return true;
}

// For compiled code, whose caches are on: data in one line of RAM.

export function readData(budget: i32, physical: i32): i32 {
  return read(budget, physical);
}

export function writeData(budget: i32, physical: i32): i32 {
  return write(budget, physical);
}

/** A read of what is then written. */
export function modifyData(budget: i32, physical: i32): i32 {
  return write(read(budget, physical), physical);
}

/** An access inside a page of RAM, by the word BUDGET. */
export function timeSpan(physical: i32, size: i32, isWrite: i32): void {
  const last = physical + size - 1;
  timeData(physical, true, isWrite !== 0);
  if (last >>> Timing.LINE_SHIFT !== physical >>> Timing.LINE_SHIFT) timeData(last, true, isWrite !== 0);
}
