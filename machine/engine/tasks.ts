/**
 * Task switches, as `../src/i386/tasks.ts` describes them, when all checks are passed and all that is written or read lies in RAM. What stands
 * in the way before the commit point is left to the slow way, with nothing changed but the TLB. Behind it, what of the new task's state
 * cannot be loaded here is left to the slow way too, which goes on with the first part that is not done: TASK_REST.
 */

import { codeWritten } from "./code-cache";
import * as Descriptor from "./descriptors";
import { countTransition, hasRoom, NO_ERROR_CODE, placeFrame, setRing } from "./gates";
import * as Access from "./layout/access-bits";
import * as Address from "./layout/addresses";
import * as ControlBit from "./layout/control-bits";
import * as Counter from "./layout/counters";
import { AC, IF, NT, OF_TASK, RF, TF } from "./layout/eflags";
import { STORED } from "./layout/flag-kinds";
import * as Clocks from "./layout/gate-clocks";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import * as Task from "./layout/tasks";
import { flush } from "./paging";
import * as Segments from "./segments";
import { addTo, attention, count, get, set, spend } from "./state";

/** Of the byte of a TSS descriptor that has its type. */
const BUSY = 2;
const SMALLEST_LIMIT: u32 = 0x67;
const SMALLEST_OLD_LIMIT: u32 = 0x5f;
const LOCAL_BREAKPOINTS = 0x155;
const DEBUG_TASK_TRAP = 0x8000;
const TSS = Address.RAM;

/** Record of the descriptor of `selector` when that is in the GDT, present and a system descriptor of this type; else 0. */
function findSystem(selector: i32, type: i32): i32 {
  const record = (selector & 4) !== 0 ? 0 : Segments.find(selector);
  if (record === 0) return 0;
  const isPresent =
    (load<i32>(record, Descriptor.HIGH) & (0x1f00 | Access.PRESENT)) === ((type << 8) | Access.PRESENT);
  return isPresent ? record : 0;
}

/** For the TLB's sake: what is about to be accessed, and was reached before the commit point, is its latest page. */
function touch(linear: i32): void {
  Segments.placeOf(linear, 1, 0, 0);
}

function noteWritten(physical: i32, bytes: i32): void {
  if (load<u8>(physical >>> 12, Address.CODE_FRAMES) !== 0) codeWritten(physical, bytes);
}

function descriptorAddress(selector: i32): i32 {
  return get(Slot.GDT_BASE) + (selector & 0xfff8);
}

/** `place`: physical address of the descriptor. */
function setBusy(selector: i32, place: i32, busy: i32): void {
  touch(descriptorAddress(selector));
  const type: i32 = load<u8>(place, Address.RAM + 5);
  store<u8>(place, (type & ~BUSY) | busy, Address.RAM + 5);
  noteWritten(place + 5, 1);
}

/** `place`: physical address of EIP in the old TSS. */
function saveState(place: i32, eip: i32, flags: i32): void {
  store<i32>(place, eip, TSS);
  store<i32>(place, flags, TSS + Task.EFLAGS - Task.EIP);
  for (let at = 0; at < 32; at += 8)
    store<i64>(place + at, load<i64>(at, Address.STATE), TSS + Task.EAX - Task.EIP);
  for (let i = 0; i < 6; i++) store<u16>(place + (i << 2), get(Slot.SELECTOR + i), TSS + Task.ES - Task.EIP);
  noteWritten(place, Task.SAVED_BYTES - 2);
}

function setSystem(segment: i32, selector: i32, record: i32): void {
  set(Slot.SELECTOR + segment, selector);
  set(Slot.BASE + segment, load<i32>(record, Descriptor.BASE));
  set(Slot.LIMIT + segment, load<i32>(record, Descriptor.LIMIT));
  set(Slot.ACCESS + segment, load<i32>(record, Descriptor.ACCESS));
  count(Counter.SEGMENT_LOADS);
}

function loadLdt(): bool {
  const selector = get(Slot.SELECTOR + Segment.LDTR);
  const isNull = (selector & 0xfffc) === 0;
  if (!isNull) {
    const record = findSystem(selector, Task.LDT_DESCRIPTOR);
    if (record === 0) return false;
    setSystem(Segment.LDTR, selector, record);
  } else set(Slot.ACCESS + Segment.LDTR, get(Slot.ACCESS + Segment.LDTR) & ~Access.USABLE);
  count(Counter.SEGMENT_LOADS);
  return true;
}

/** As `selector` is null: what SELECTOR was set to before. It is counted. */
function drop(segment: i32): void {
  Segments.setNull(segment, get(Slot.SELECTOR + segment));
  addTo(Counter.SEGMENT_LOADS, -1);
}

/** Whether a data segment's cache holds already what the one before was just loaded with, by the same selector: then nothing is left to check. */
function isAs(segment: i32, before: i32): bool {
  const changed =
    (get(Slot.SELECTOR + segment) ^ get(Slot.SELECTOR + before)) |
    (get(Slot.BASE + segment) ^ get(Slot.BASE + before)) |
    (get(Slot.LIMIT + segment) ^ get(Slot.LIMIT + before)) |
    (get(Slot.ACCESS + segment) ^ get(Slot.ACCESS + before));
  return changed === 0 && (get(Slot.ACCESS + segment) & Access.USABLE) !== 0;
}

function loadData(part: i32): bool {
  const segment = segmentOf(part);
  const selector = get(Slot.SELECTOR + segment);
  if (part !== Task.LOAD_SS && isAs(segment, segmentOf(part - 1))) {
    count(Counter.SEGMENT_LOADS);
    return true;
  }
  if ((selector & 0xfffc) !== 0) return Segments.loadSegment(segment, selector);
  if (segment === Segment.SS) return false;
  drop(segment);
  return true;
}

function loadCode(): bool {
  const selector = get(Slot.SELECTOR + Segment.CS);
  const code = Segments.find(selector);
  if (code === 0 || !Descriptor.allowsReturn(code, selector & 3)) return false;
  if (u32(get(Slot.EIP)) > load<u32>(code, Descriptor.LIMIT)) return false;
  Segments.Inlined.setFrom(code, Segment.CS, selector);
  return true;
}

function segmentOf(part: i32): i32 {
  if (part === Task.LOAD_SS) return Segment.SS;
  return part === Task.LOAD_ES ? Segment.ES : part - Task.LOAD_DS + Segment.DS;
}

function loadPart(part: i32): bool {
  if (part === Task.LOAD_LDT) return loadLdt();
  return part === Task.LOAD_CS ? loadCode() : loadData(part);
}

/**
 * Loads what the words SELECTOR say. The first part that only the slow way can load, or 0; the segments from there on are unusable then, as
 * all are before they are loaded.
 */
function loadParts(): i32 {
  for (let part = Task.LOAD_LDT; part <= Task.LOAD_CS; part++) {
    if (loadPart(part)) continue;
    for (let left = max(part, Task.LOAD_SS); left < Task.LOAD_CS; left++) drop(segmentOf(left));
    drop(Segment.CS);
    return part;
  }
  return 0;
}

/** As the slow way does when all segments are unusable. */
function checkAlignment(): void {
  const isWanted =
    (get(Slot.EFLAGS) & AC) !== 0 && get(Slot.CPL) === 3 && (get(Slot.CR0) & ControlBit.CR0_AM) !== 0;
  if (!isWanted) return;
  set(Slot.ALIGNMENT_CHECK, 1);
  for (let segment = 0; segment < 6; segment++) Segments.refreshLimits(segment);
}

/** From the TSS at physical address `place` on; flags besides its own. The result of `loadParts`, with the T bit. */
function loadState(place: i32, flags: i32): i32 {
  const from = get(Slot.CPL);
  for (let at = 0; at < 32; at += 8) store<i64>(at, load<i64>(place + at, TSS + Task.EAX), Address.STATE);
  for (let i = 0; i < 6; i++) set(Slot.SELECTOR + i, load<u16>(place + (i << 2), TSS + Task.ES));
  addTo(Counter.SEGMENT_LOADS, 6);
  set(Slot.SELECTOR + Segment.LDTR, load<u16>(place, TSS + Task.LDT));
  const trap = load<u16>(place, TSS + Task.TRAP) & 1;
  set(Slot.CR0, get(Slot.CR0) | ControlBit.CR0_TS);
  if ((get(Slot.CR0) & ControlBit.CR0_PG) !== 0) {
    set(Slot.CR3, load<i32>(place, TSS + Task.CR3));
    count(Counter.CR3_LOADS);
    flush();
  }
  const newFlags = (load<i32>(place, TSS + Task.EFLAGS) & OF_TASK) | 2 | flags;
  set(Slot.EFLAGS, newFlags);
  set(Slot.FLAG_KIND, STORED);
  set(Slot.EIP, load<i32>(place, TSS + Task.EIP));
  const ring = get(Slot.SELECTOR + Segment.CS) & 3;
  countTransition(from, ring);
  setRing(ring);
  checkAlignment();
  const rest = loadParts();
  if (rest !== 0) return rest | (trap !== 0 ? Task.WITH_TRAP : 0);
  if (trap !== 0) set(Slot.DEBUG_PENDING, get(Slot.DEBUG_PENDING) | DEBUG_TASK_TRAP);
  const isWaiting = (newFlags & IF) !== 0 && get(Slot.INTERRUPT_LINE) !== 0;
  if (trap !== 0 || (newFlags & (TF | RF)) !== 0 || isWaiting) attention();
  return 0;
}

/**
 * `Tasks.switchTo`. True when all is done; otherwise TASK_REST is what is left, with NO_DELIVERY, or 0 when nothing has been done. `clocks` are
 * spent when something has.
 */
function switchTo(selector: i32, record: i32, source: i32, eip: i32, flags: i32, clocks: i32): bool {
  const oldSelector = get(Slot.SELECTOR + Segment.TR);
  const oldBase = get(Slot.BASE + Segment.TR);
  const newBase = load<i32>(record, Descriptor.BASE);
  if (load<u32>(record, Descriptor.LIMIT) < SMALLEST_LIMIT) return false;
  if (u32(get(Slot.LIMIT + Segment.TR)) < SMALLEST_OLD_LIMIT) return false;
  if ((get(Slot.DR7) & LOCAL_BREAKPOINTS) !== 0) return false;
  const nests = source === Task.CALL || source === Task.INTERRUPT;
  const saved = Segments.placeOf(oldBase + Task.EIP, Task.SAVED_BYTES, 1, 0);
  if (saved === Segments.NOWHERE) return false;
  const place = Segments.placeOf(newBase, Task.READ_BYTES, i32(nests), 0);
  if (place === Segments.NOWHERE) return false;
  const descriptor = Segments.placeOf(descriptorAddress(selector), 8, 1, 0);
  if (descriptor === Segments.NOWHERE) return false;
  const oldDescriptor = Segments.placeOf(descriptorAddress(oldSelector), 8, 1, 0);
  if (oldDescriptor === Segments.NOWHERE) return false;

  // Commit point.
  count(Counter.TASK_SWITCHES);
  spend(Clocks.taskSwitch + clocks);
  if (!nests) setBusy(oldSelector, oldDescriptor, 0);
  touch(oldBase + Task.EIP);
  saveState(saved, eip, source === Task.RETURN ? flags & ~NT : flags);
  if (nests) {
    touch(newBase);
    store<u16>(place, oldSelector, TSS);
    noteWritten(place, 2);
  }
  if (source !== Task.RETURN) setBusy(selector, descriptor, BUSY);
  touch(newBase);
  setSystem(Segment.TR, selector, record);
  set(Slot.ACCESS + Segment.TR, get(Slot.ACCESS + Segment.TR) | (BUSY << 8));
  const rest = loadState(place, nests ? NT : 0);
  if (rest !== 0) set(Slot.TASK_REST, rest | (Task.NO_DELIVERY << Task.KIND_SHIFT));
  return rest === 0;
}

/** For far jumps and calls, whose clocks are spent: `Tasks.switchTo`. False when the slow way has to do it, or what TASK_REST says. */
export function switchTask(selector: i32, low: i32, high: i32, source: i32, eip: i32, flags: i32): bool {
  return switchTo(selector, Descriptor.Inlined.recordOf(low, high), source, eip, flags, 0);
}

/** Pushes an error code on the new task's stack. */
function pushCode(errorCode: i32): bool {
  const pointer = get(Slot.ESP);
  if (!hasRoom(get(Slot.LIMIT + Segment.SS), get(Slot.ACCESS + Segment.SS), pointer, 4)) return false;
  const place = placeFrame(get(Slot.BASE + Segment.SS) + pointer, 4, get(Slot.MODE));
  if (place === Segments.NOWHERE) return false;
  store<i32>(place, errorCode, Address.RAM);
  set(Slot.ESP, pointer - 4);
  return true;
}

/**
 * Delivery through a task gate that leads to `selector`; `image`: flags as they are saved. False when the slow way has to do it, or what TASK_REST
 * says.
 */
export function interruptTask(
  selector: i32,
  vector: i32,
  kind: i32,
  errorCode: i32,
  eip: i32,
  image: i32,
): bool {
  const record = findSystem(selector, Task.AVAILABLE);
  if (record === 0) return false;
  // What a delivery forgets; so does the slow way.
  set(Slot.DEBUG_PENDING, 0);
  set(Slot.SHADOW, 0);
  set(Slot.REPEATING, 0);
  const isDone = switchTo(selector, record, Task.INTERRUPT, eip, image, Clocks.taskGateInterrupt);
  let rest = get(Slot.TASK_REST) & ~(Task.KIND_MASK << Task.KIND_SHIFT);
  if (isDone && errorCode !== NO_ERROR_CODE && !pushCode(errorCode)) rest = Task.PUSH_CODE;
  if (!isDone && rest === 0) return false;
  set(Slot.DELIVERIES, get(Slot.DELIVERIES) + 1);
  if (rest === 0) count((kind << 8) + vector);
  else set(Slot.TASK_REST, rest | (kind << Task.KIND_SHIFT) | (vector << Task.VECTOR_SHIFT));
  return rest === 0;
}

/** IRETD with NT: back to the task that the TSS links to; `next` is the offset behind the instruction. As `interruptTask`. */
export function returnToTask(next: i32, flags: i32): bool {
  const link = Segments.placeOf(get(Slot.BASE + Segment.TR), 2, 0, 0);
  if (link === Segments.NOWHERE) return false;
  const selector: i32 = load<u16>(link, TSS);
  const record = findSystem(selector, Task.BUSY);
  return record !== 0 && switchTo(selector, record, Task.RETURN, next, flags, 0);
}
