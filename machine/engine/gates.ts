/**
 * Delivery of exceptions and interrupts through interrupt and trap gates, and IRETD, as `../src/i386/traps.ts` describes them, when all checks
 * are passed, all tables and the stack lie in RAM, and nobody listens. Whatever else comes is left to the slow way: then nothing has changed
 * but the TLB, which sees each table in the order of the slow way; touching the same pages in the same order again changes nothing.
 */

import { readFlags } from "./flags";
import * as Access from "./layout/access-bits";
import * as Address from "./layout/addresses";
import * as Counter from "./layout/counters";
import { AC, AF, CF, DF, ID, IF, IOPL, NT, OF, PF, RF, SF, TF, VM, ZF } from "./layout/eflags";
import { STORED } from "./layout/flag-kinds";
import * as Clocks from "./layout/gate-clocks";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import { SOFT_TLB_SETS } from "./layout/tlb-sizes";
import * as Vector from "./layout/vectors";
import * as Segments from "./segments";
import { addTo, attention, count, get, listeners, set, spend } from "./state";
import { interruptTask, returnToTask } from "./tasks";

/** Kinds of delivery, as `TrapKind` numbers them. */
const EXCEPTION = 0;
const SOFTWARE = 1;

const TASK_GATE = 5;
const INTERRUPT_GATE = 0xe;
const TRAP_GATE = 0xf;
export const NO_ERROR_CODE = -1;
const ALWAYS_RETURNED = CF | PF | AF | ZF | SF | TF | DF | OF | NT | AC | ID;

function isSlow(): bool {
  return listeners() !== 0 || get(Slot.ALIGNMENT_CHECK) !== 0;
}

export function countTransition(from: i32, to: i32): void {
  const now = load<f64>(Address.TIME) - f64(get(Slot.BUDGET));
  addTo(Counter.CYCLES_BY_RING + from, now - load<f64>(Address.TIME + 8));
  store<f64>(Address.TIME + 8, now);
  count(Counter.RING_TRANSITIONS + (from << 2) + to);
}

export function setRing(ring: i32): void {
  const mode = ring === 3 ? SOFT_TLB_SETS : 0;
  set(Slot.CPL, ring);
  if (get(Slot.MODE) === mode) return;
  set(Slot.MODE, mode);
  // The code page in use was allowed for the other mode.
  set(Slot.CODE_PAGE, -1);
}

export function hasRoom(limit: u32, access: i32, pointer: u32, bytes: u32): bool {
  if ((access & Access.EXPAND_DOWN) !== 0) {
    const highest: u32 = (access & Access.BIG) !== 0 ? 0xffff_ffff : 0xffff;
    return pointer >= bytes && pointer - bytes > limit && pointer - 1 <= highest;
  }
  return limit === 0xffff_ffff || (pointer >= bytes && pointer - 1 <= limit);
}

/** Where `bytes` below a linear address can be pushed: words of one page of RAM without decoded code. NOWHERE when they cannot. */
export function placeFrame(end: i32, bytes: i32, mode: i32): i32 {
  const top = end - bytes;
  if ((top & 3) !== 0 || (top & 0xfff) + bytes > 4096) return Segments.NOWHERE;
  const last = Segments.placeOf(end - 4, 4, 1, mode);
  if (last === Segments.NOWHERE || load<u8>(last >>> 12, Address.CODE_FRAMES) !== 0) return Segments.NOWHERE;
  return last + 4 - bytes;
}

/** Pushes return address, CS, flags, and an error code below them when there is one; returns where the next older word goes. */
function pushFrame(physical: i32, image: i32, errorCode: i32, eip: i32): i32 {
  let at = physical;
  if (errorCode !== NO_ERROR_CODE) {
    store<i32>(at, errorCode, Address.RAM);
    at += 4;
  }
  store<i32>(at, eip, Address.RAM);
  store<i32>(at, get(Slot.SELECTOR + Segment.CS), Address.RAM + 4);
  store<i32>(at, image, Address.RAM + 8);
  return at + 12;
}

/** Delivers `vector`; `eip` is the return address. False when the slow way must do it, or what TASK_REST says. EIP is set to the handler's. */
export function interrupt(vector: i32, kind: i32, errorCode: i32, eip: i32): bool {
  const flags = readFlags();
  if (isSlow() || (flags & (TF | VM)) !== 0 || (vector << 3) + 7 > get(Slot.IDT_LIMIT)) return false;
  const gate = Segments.placeOf(get(Slot.IDT_BASE) + (vector << 3), 8, 0, 0);
  if (gate === Segments.NOWHERE) return false;
  const gateLow = load<i32>(gate, Address.RAM);
  const gateHigh = load<i32>(gate, Address.RAM + 4);
  if ((gateHigh & Access.PRESENT) === 0) return false;
  const type = (gateHigh >>> 8) & 0x1f;
  if (type !== INTERRUPT_GATE && type !== TRAP_GATE && type !== TASK_GATE) return false;
  const from = get(Slot.CPL);
  if (kind === SOFTWARE && Segments.dplOf(gateHigh) < from) return false;

  const selector = gateLow >>> 16;
  const isFault = kind === EXCEPTION && vector !== Vector.DB;
  const image = isFault ? flags | RF : flags;
  if (type === TASK_GATE) return interruptTask(selector, vector, kind, errorCode, eip, image);
  const target = (gateHigh & -0x1_0000) | (gateLow & 0xffff);
  if ((selector & 0xfffc) === 0 || !Segments.fetch(selector)) return false;
  const codeLow = Segments.low;
  const codeHigh = Segments.high;
  const dpl = Segments.dplOf(codeHigh);
  if (!Segments.isCode(codeHigh) || dpl > from || !Segments.isReady(codeHigh)) return false;
  if (u32(target) > u32(Segments.limitOf(codeLow, codeHigh))) return false;
  let to = from;
  if (!Segments.isConformingCode(codeHigh) && dpl < from) {
    to = dpl;
    if (!enterInner(to, image, errorCode, eip)) return false;
    spend(kind === SOFTWARE ? Clocks.interruptInner - Clocks.interruptSamePrivilege : Clocks.breakpointInner);
  } else {
    if (!enterSame(image, errorCode, eip)) return false;
    if (kind !== SOFTWARE) spend(Clocks.breakpointSamePrivilege);
  }
  Segments.setSegment(Segment.CS, (selector & 0xfffc) | to, codeLow, codeHigh);
  set(Slot.EIP, target);
  set(Slot.EFLAGS, flags & ~(TF | NT | VM | RF | (type === INTERRUPT_GATE ? IF : 0)));
  set(Slot.FLAG_KIND, STORED);
  set(Slot.SHADOW, 0);
  set(Slot.REPEATING, 0);
  set(Slot.DELIVERIES, get(Slot.DELIVERIES) + 1);
  set(Slot.DEBUG_PENDING, 0);
  count((kind << 8) + vector);
  return true;
}

function frameBytes(errorCode: i32): i32 {
  return errorCode === NO_ERROR_CODE ? 12 : 16;
}

/** The stack of inner ring `to`, from the TSS, with its frame. */
function enterInner(to: i32, image: i32, errorCode: i32, eip: i32): bool {
  const slot = (to << 3) + 4;
  if (u32(slot + 5) > u32(get(Slot.LIMIT + Segment.TR))) return false;
  const place = Segments.placeOf(get(Slot.BASE + Segment.TR) + slot, 8, 0, 0);
  if (place === Segments.NOWHERE) return false;
  const pointer = load<i32>(place, Address.RAM);
  const selector: i32 = load<u16>(place, Address.RAM + 4);
  if (!Segments.fetchStack(selector, to)) return false;
  const low = Segments.low;
  const high = Segments.high;
  const bytes = frameBytes(errorCode) + 8;
  if (!hasRoom(Segments.limitOf(low, high), high, pointer, bytes)) return false;
  const physical = placeFrame(Segments.baseOf(low, high) + pointer, bytes, 0);
  if (physical === Segments.NOWHERE) return false;
  const outer = pushFrame(physical, image, errorCode, eip);
  store<i32>(outer, get(Slot.ESP), Address.RAM);
  store<i32>(outer, get(Slot.SELECTOR + Segment.SS), Address.RAM + 4);
  countTransition(get(Slot.CPL), to);
  setRing(to);
  Segments.setSegment(Segment.SS, selector, low, high);
  set(Slot.ESP, pointer - bytes);
  return true;
}

function enterSame(image: i32, errorCode: i32, eip: i32): bool {
  const bytes = frameBytes(errorCode);
  const pointer = get(Slot.ESP);
  const ring = get(Slot.CPL);
  if (!hasRoom(get(Slot.LIMIT + Segment.SS), get(Slot.ACCESS + Segment.SS), pointer, bytes)) return false;
  const physical = placeFrame(get(Slot.BASE + Segment.SS) + pointer, bytes, get(Slot.MODE));
  if (physical === Segments.NOWHERE) return false;
  pushFrame(physical, image, errorCode, eip);
  countTransition(ring, ring);
  set(Slot.ESP, pointer - bytes);
  return true;
}

/** Where so many words of the stack lie; NOWHERE when only the slow way can read them. */
function placeOfWords(offset: i32, words: i32): i32 {
  const limit = load<u32>(Address.READ_LIMITS + Segment.SS * 16 + 8);
  const last = offset + ((words - 1) << 2);
  if (u32(last) >= limit || u32(last) < u32(offset)) return Segments.NOWHERE;
  return Segments.placeOf(get(Slot.BASE + Segment.SS) + offset, words << 2, 0, get(Slot.MODE));
}

/** Flags that an IRET from a ring may change. */
function returnMask(from: i32): i32 {
  const ioPrivilege = (get(Slot.EFLAGS) & IOPL) >>> 12;
  // RF only matters to instruction breakpoints; without any it would just be cleared by the next instruction.
  return (
    ALWAYS_RETURNED |
    (get(Slot.CODE_BREAKPOINTS) !== 0 ? RF : 0) |
    (from <= ioPrivilege ? IF : 0) |
    (from === 0 ? IOPL : 0)
  );
}

/** IRETD. False when the slow way must do it. EIP is set. `next` is the offset behind the instruction. */
export function interruptReturn(next: i32): bool {
  if (isSlow() || (get(Slot.EFLAGS) & AC) !== 0) return false;
  if ((get(Slot.EFLAGS) & NT) !== 0) return returnToTask(next, readFlags());
  const from = get(Slot.CPL);
  const top = get(Slot.ESP);
  const frame = placeOfWords(top, 3);
  if (frame === Segments.NOWHERE) return false;
  const target = load<i32>(frame, Address.RAM);
  const selector: i32 = load<u16>(frame, Address.RAM + 4);
  const image = load<i32>(frame, Address.RAM + 8);
  if ((image & AC) !== 0) return false;
  if ((selector & 0xfffc) === 0 || !Segments.fetch(selector)) return false;
  const low = Segments.low;
  const high = Segments.high;
  const to = selector & 3;
  const dpl = Segments.dplOf(high);
  if (!Segments.isCode(high) || to < from || !Segments.isReady(high)) return false;
  if (Segments.isConformingCode(high) ? dpl > to : dpl !== to) return false;
  const isOuter = to !== from;
  let newTop = top + 12;
  let stackSelector = 0;
  if (isOuter) {
    const outer = placeOfWords(top + 12, 2);
    if (outer === Segments.NOWHERE) return false;
    newTop = load<i32>(outer, Address.RAM);
    stackSelector = load<u16>(outer, Address.RAM + 4);
    if (!Segments.fetchStack(stackSelector, to)) return false;
  }
  if (u32(target) > u32(Segments.limitOf(low, high))) return false;

  const mask = returnMask(from);
  countTransition(from, to);
  if (isOuter) setRing(to);
  Segments.setSegment(Segment.CS, selector, low, high);
  if (isOuter) {
    Segments.setSegment(Segment.SS, stackSelector, Segments.low, Segments.high);
    Segments.dropPrivileged();
    spend(Clocks.interruptReturnOuter - Clocks.interruptReturnSame);
  }
  set(Slot.ESP, newTop);
  set(Slot.EIP, target);
  const flags = (readFlags() & ~mask) | (image & mask) | 2;
  set(Slot.EFLAGS, flags);
  set(Slot.FLAG_KIND, STORED);
  if ((flags & (TF | RF)) !== 0 || ((flags & IF) !== 0 && get(Slot.INTERRUPT_LINE) !== 0)) attention();
  return true;
}
