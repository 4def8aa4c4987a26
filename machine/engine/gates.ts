/**
 * Delivery of exceptions and interrupts through interrupt and trap gates, and IRETD, as `../src/i386/traps.ts` describes them, when all checks
 * are passed, all tables and the stack lie in RAM, and nobody listens. Whatever else comes is left to the slow way: then nothing has changed
 * but the TLB, which sees each table in the order of the slow way; touching the same pages in the same order again changes nothing.
 */

import * as Descriptor from "./descriptors";
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
export const SOFTWARE = 1;

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
  let last = Segments.quickWrite(end - 4, mode);
  if (last === Segments.NOWHERE) last = Segments.placeOf(end - 4, 4, 1, mode);
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
  const entry = get(Slot.IDT_BASE) + (vector << 3);
  let gate = Segments.quickPair(entry);
  if (gate === Segments.NOWHERE) gate = Segments.placeOf(entry, 8, 0, 0);
  if (gate === Segments.NOWHERE) return false;
  const gateLow = load<i32>(gate, Address.RAM);
  const gateHigh = load<i32>(gate, Address.RAM + 4);
  if ((gateHigh & Access.PRESENT) === 0) return false;
  const type = (gateHigh >>> 8) & 0x1f;
  if (type !== INTERRUPT_GATE && type !== TRAP_GATE && type !== TASK_GATE) return false;
  const from = get(Slot.CPL);
  if (kind === SOFTWARE && Descriptor.dplOf(gateHigh) < from) return false;

  const selector = gateLow >>> 16;
  const isFault = kind === EXCEPTION && vector !== Vector.DB;
  const image = isFault ? flags | RF : flags;
  if (type === TASK_GATE) return interruptTask(selector, vector, kind, errorCode, eip, image);
  const target = (gateHigh & -0x1_0000) | (gateLow & 0xffff);
  const code = Segments.find(selector);
  if (code === 0 || u32(target) > load<u32>(code, Descriptor.LIMIT)) return false;
  const codeKind = load<i32>(code, Descriptor.CODE);
  const dpl = (codeKind & 7) - 1;
  if (dpl < 0 || dpl > from) return false;
  let to = from;
  if (codeKind < Descriptor.CONFORMING && dpl < from) {
    to = dpl;
    if (!enterInner(to, image, errorCode, eip)) return false;
    spend(kind === SOFTWARE ? Clocks.interruptInner - Clocks.interruptSamePrivilege : Clocks.breakpointInner);
  } else {
    if (!enterSame(image, errorCode, eip)) return false;
    if (kind !== SOFTWARE) spend(Clocks.breakpointSamePrivilege);
  }
  Segments.setFrom(code, Segment.CS, (selector & 0xfffc) | to);
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
  const linear = get(Slot.BASE + Segment.TR) + slot;
  let place = (linear & 0xfff) <= 4088 ? Segments.quickWord(linear, 0) : Segments.NOWHERE;
  if (place === Segments.NOWHERE) place = Segments.placeOf(linear, 8, 0, 0);
  if (place === Segments.NOWHERE) return false;
  const pointer = load<i32>(place, Address.RAM);
  const selector: i32 = load<u16>(place, Address.RAM + 4);
  const stack = Segments.findStack(selector, to);
  if (stack === 0) return false;
  const bytes = frameBytes(errorCode) + 8;
  if (!hasRoom(load<u32>(stack, Descriptor.LIMIT), load<i32>(stack, Descriptor.ACCESS), pointer, bytes))
    return false;
  const physical = placeFrame(load<i32>(stack, Descriptor.BASE) + pointer, bytes, 0);
  if (physical === Segments.NOWHERE) return false;
  const outer = pushFrame(physical, image, errorCode, eip);
  store<i32>(outer, get(Slot.ESP), Address.RAM);
  store<i32>(outer, get(Slot.SELECTOR + Segment.SS), Address.RAM + 4);
  countTransition(get(Slot.CPL), to);
  setRing(to);
  Segments.setFrom(stack, Segment.SS, selector);
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
  const linear = get(Slot.BASE + Segment.SS) + offset;
  const bytes = words << 2;
  const mode = get(Slot.MODE);
  const place = (linear & 0xfff) + bytes <= 4096 ? Segments.quickWord(linear, mode) : Segments.NOWHERE;
  return place === Segments.NOWHERE ? Segments.placeOf(linear, bytes, 0, mode) : place;
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
  const to = selector & 3;
  const code = to < from ? 0 : Segments.find(selector);
  if (code === 0 || !Descriptor.allowsReturn(code, to)) return false;
  const isOuter = to !== from;
  let newTop = top + 12;
  let stackSelector = 0;
  let stack = 0;
  if (isOuter) {
    const outer = placeOfWords(top + 12, 2);
    if (outer === Segments.NOWHERE) return false;
    newTop = load<i32>(outer, Address.RAM);
    stackSelector = load<u16>(outer, Address.RAM + 4);
    stack = Segments.findStack(stackSelector, to);
    if (stack === 0) return false;
  }
  if (u32(target) > load<u32>(code, Descriptor.LIMIT)) return false;

  const mask = returnMask(from);
  countTransition(from, to);
  if (isOuter) setRing(to);
  Segments.setFrom(code, Segment.CS, selector);
  if (isOuter) {
    Segments.setFrom(stack, Segment.SS, stackSelector);
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
