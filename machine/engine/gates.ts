/**
 * Delivery of exceptions and interrupts through interrupt and trap gates, and IRETD, as `../src/i386/traps.ts` describes them, when all checks
 * are passed, all tables and the stack lie in RAM, and nobody listens. Whatever else comes is left to the slow way: then nothing has changed
 * but the TLB, which sees each table in the order of the slow way; touching the same pages in the same order again changes nothing.
 *
 * What the checks of tables find is remembered (checked-gates.ts): `interrupt` and `interruptReturn` take it from there when it holds, and
 * check otherwise. What is loaded then is passed on as records of descriptors.ts, `stack` being 0 where the stack stays.
 */

import * as Checks from "./checked-gates";
import { Checked, rememberDelivery, rememberReturn } from "./checked-gates";
import * as Descriptor from "./descriptors";
import { Lazy, readFlags } from "./flags";
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
import { Inlined } from "./segments";
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

/** Whether somebody listens, alignment is checked, or one of these flags is set, which are not arithmetic. */
function isSlow(flags: i32): bool {
  return (listeners() | get(Slot.ALIGNMENT_CHECK) | (get(Slot.EFLAGS) & flags)) !== 0;
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

/** Steps of deliveries and returns, put in their callers' place: calls are what gates cost most. */
class Step {
  /** Of a new frame. */
  @inline
  static bytes(errorCode: i32, stack: i32): i32 {
    return (errorCode === NO_ERROR_CODE ? 12 : 16) + (stack !== 0 ? 8 : 0);
  }

  @inline
  static hasRoom(stack: i32, pointer: i32, bytes: i32): bool {
    const limit = stack !== 0 ? load<i32>(stack, Descriptor.LIMIT) : get(Slot.LIMIT + Segment.SS);
    const access = stack !== 0 ? load<i32>(stack, Descriptor.ACCESS) : get(Slot.ACCESS + Segment.SS);
    return hasRoom(limit, access, pointer, bytes);
  }

  /** Linear address. */
  @inline
  static onStack(stack: i32, pointer: i32): i32 {
    return (stack !== 0 ? load<i32>(stack, Descriptor.BASE) : get(Slot.BASE + Segment.SS)) + pointer;
  }

  /** As `placeFrame`, if the soft TLB decides: what it lets write holds no decoded code. */
  @inline
  static placeQuickly(end: i32, bytes: i32, mode: i32): i32 {
    const top = end - bytes;
    const last = Segments.quickWrite(end - 4, mode);
    const isWhole = (top & 0xfff) + bytes <= 4096;
    return last !== Segments.NOWHERE && isWhole ? last + 4 - bytes : Segments.NOWHERE;
  }

  /** Place of the stack of inner ring `to` in the TSS: ESP, then SS. */
  @inline
  static placeOfStack(to: i32): i32 {
    const slot = (to << 3) + 4;
    if (u32(slot + 5) > u32(get(Slot.LIMIT + Segment.TR))) return Segments.NOWHERE;
    return Segments.placeOf(get(Slot.BASE + Segment.TR) + slot, 8, 0, 0);
  }

  /** Where so many words of the stack lie, if the soft TLB decides. */
  @inline
  static wordsQuickly(offset: i32, words: i32): i32 {
    if (!isReadable(offset, words)) return Segments.NOWHERE;
    const linear = get(Slot.BASE + Segment.SS) + offset;
    if ((linear & 0xfff) + (words << 2) > 4096) return Segments.NOWHERE;
    return Segments.quickWord(linear, get(Slot.MODE));
  }

  /** All is checked; `physical` is where the frame goes. */
  @inline
  static deliver(
    vector: i32,
    kind: i32,
    errorCode: i32,
    eip: i32,
    gateLow: i32,
    gateHigh: i32,
    ring: i32,
    code: i32,
    stackSelector: i32,
    stack: i32,
    pointer: i32,
    physical: i32,
  ): void {
    const flags = Lazy.readFlags();
    let at = physical;
    if (errorCode !== NO_ERROR_CODE) {
      store<i32>(at, errorCode, Address.RAM);
      at += 4;
    }
    store<i32>(at, eip, Address.RAM);
    store<i32>(at, get(Slot.SELECTOR + Segment.CS), Address.RAM + 4);
    store<i32>(at, imageOf(flags, vector, kind), Address.RAM + 8);
    countTransition(get(Slot.CPL), ring);
    let clocks = kind === SOFTWARE ? 0 : Clocks.breakpointSamePrivilege;
    let loads = 1;
    if (stack !== 0) {
      store<i32>(at, get(Slot.ESP), Address.RAM + 12);
      store<i32>(at, get(Slot.SELECTOR + Segment.SS), Address.RAM + 16);
      setRing(ring);
      Inlined.take(stack, Segment.SS, stackSelector);
      loads = 2;
      clocks =
        kind === SOFTWARE ? Clocks.interruptInner - Clocks.interruptSamePrivilege : Clocks.breakpointInner;
    }
    spend(clocks);
    Inlined.take(code, Segment.CS, ((gateLow >>> 16) & 0xfffc) | ring);
    addTo(Counter.SEGMENT_LOADS, loads);
    const isTrapGate = (gateHigh & 0x100) !== 0;
    set(Slot.ESP, pointer - Step.bytes(errorCode, stack));
    set(Slot.EIP, targetOf(gateLow, gateHigh));
    set(Slot.EFLAGS, flags & ~(isTrapGate ? TF | NT | VM | RF : TF | NT | VM | RF | IF));
    set(Slot.FLAG_KIND, STORED);
    set(Slot.SHADOW, 0);
    set(Slot.REPEATING, 0);
    set(Slot.DELIVERIES, get(Slot.DELIVERIES) + 1);
    set(Slot.DEBUG_PENDING, 0);
    count((kind << 8) + vector);
  }

  /** All but the target is checked. `stack` is not 0 when the return is to an outer ring. */
  @inline
  static return(frame: i32, selector: i32, code: i32, newTop: i32, stackSelector: i32, stack: i32): bool {
    const target = load<i32>(frame, Address.RAM);
    const image = load<i32>(frame, Address.RAM + 8);
    if ((image & AC) !== 0 || u32(target) > load<u32>(code, Descriptor.LIMIT)) return false;
    const from = get(Slot.CPL);
    const to = selector & 3;
    const mask = returnMask(from);
    countTransition(from, to);
    let loads = 1;
    if (stack !== 0) {
      setRing(to);
      Inlined.take(stack, Segment.SS, stackSelector);
      Inlined.dropPrivileged(to);
      spend(Clocks.interruptReturnOuter - Clocks.interruptReturnSame);
      loads = 2;
    }
    Inlined.take(code, Segment.CS, selector);
    addTo(Counter.SEGMENT_LOADS, loads);
    set(Slot.ESP, newTop);
    set(Slot.EIP, target);
    // The mask has all flags that may be lazy.
    const flags = (get(Slot.EFLAGS) & ~mask) | (image & mask) | 2;
    set(Slot.EFLAGS, flags);
    set(Slot.FLAG_KIND, STORED);
    if ((flags & (TF | RF)) !== 0 || ((flags & IF) !== 0 && get(Slot.INTERRUPT_LINE) !== 0)) attention();
    return true;
  }
}

/** Where `bytes` below a linear address can be pushed: words of one page of RAM without decoded code. NOWHERE when they cannot. */
export function placeFrame(end: i32, bytes: i32, mode: i32): i32 {
  const top = end - bytes;
  if ((top & 3) !== 0 || (top & 0xfff) + bytes > 4096) return Segments.NOWHERE;
  const last = Segments.placeOf(end - 4, 4, 1, mode);
  if (last === Segments.NOWHERE || load<u8>(last >>> 12, Address.CODE_FRAMES) !== 0) return Segments.NOWHERE;
  return last + 4 - bytes;
}

/** Whether so many words lie within the stack's limit. */
function isReadable(offset: i32, words: i32): bool {
  const last = offset + ((words - 1) << 2);
  const isWithin = u32(last) < load<u32>(Address.READ_LIMITS + Segment.SS * 16 + 8);
  return isWithin && u32(last) >= u32(offset);
}

/** Where so many words of the stack lie; NOWHERE when only the slow way can read them. */
function placeOfWords(offset: i32, words: i32): i32 {
  const place = Step.wordsQuickly(offset, words);
  if (place !== Segments.NOWHERE) return place;
  if (!isReadable(offset, words)) return Segments.NOWHERE;
  return Segments.placeOf(get(Slot.BASE + Segment.SS) + offset, words << 2, 0, get(Slot.MODE));
}

function targetOf(gateLow: i32, gateHigh: i32): i32 {
  return (gateHigh & -0x1_0000) | (gateLow & 0xffff);
}

/** Flags as they are pushed. */
function imageOf(flags: i32, vector: i32, kind: i32): i32 {
  return kind === EXCEPTION && vector !== Vector.DB ? flags | RF : flags;
}

/** Both ways, to be put in their callers' place. */
export class Gates {
  /** Delivers `vector`; `eip` is the return address. False when the slow way must do it, or what TASK_REST says. EIP is set to the handler's. */
  @inline
  static interrupt(vector: i32, kind: i32, errorCode: i32, eip: i32): bool {
    if (isSlow(TF | VM)) return false;
    const from = get(Slot.CPL);
    const key = i32.MIN_VALUE | vector | (kind << 8) | (from << 10);
    const record = Checked.delivery(vector, from);
    if (!Checked.holdsDelivery(record, key))
      return checkAndDeliver(vector, kind, errorCode, eip, record, key);
    const stack = load<i32>(record, Checks.STACK);
    const pointer = stack !== 0 ? Checked.innerPointer(record) : get(Slot.ESP);
    const bytes = Step.bytes(errorCode, stack);
    const end = Step.onStack(stack, pointer);
    const physical = Step.placeQuickly(end, bytes, stack !== 0 ? 0 : get(Slot.MODE));
    if (physical === Segments.NOWHERE || !Step.hasRoom(stack, pointer, bytes))
      return checkAndDeliver(vector, kind, errorCode, eip, record, key);
    const gate = load<i64>(record, Checks.GATE_WORDS);
    Step.deliver(
      vector,
      kind,
      errorCode,
      eip,
      i32(gate),
      i32(gate >>> 32),
      load<i32>(record, Checks.RING),
      load<i32>(record, Checks.CODE),
      load<i32>(record, Checks.STACK_SELECTOR),
      stack,
      pointer,
      physical,
    );
    return true;
  }

  /** IRETD. False when the slow way must do it. EIP is set. `next` is the offset behind the instruction. */
  @inline
  static interruptReturn(next: i32): bool {
    if (isSlow(AC | NT)) return (get(Slot.EFLAGS) & NT) !== 0 && returnNested(next);
    const from = get(Slot.CPL);
    const top = get(Slot.ESP);
    const frame = Step.wordsQuickly(top, 5);
    if (frame === Segments.NOWHERE) return checkAndReturn(0, 0);
    const selector: i32 = load<u16>(frame, Address.RAM + 4);
    const record = Checked.return(selector, from);
    const key = i32.MIN_VALUE | selector | (from << 16);
    if (!Checked.holdsReturn(record, key)) return checkAndReturn(record, key);
    const stack = load<i32>(record, Checks.STACK);
    const stackSelector = load<i32>(record, Checks.STACK_SELECTOR);
    let newTop = top + 12;
    if (stack !== 0) {
      if (load<u16>(frame, Address.RAM + 16) !== stackSelector) return checkAndReturn(record, key);
      newTop = load<i32>(frame, Address.RAM + 12);
    }
    return Step.return(frame, selector, load<i32>(record, Checks.CODE), newTop, stackSelector, stack);
  }
}

export function interrupt(vector: i32, kind: i32, errorCode: i32, eip: i32): bool {
  return Gates.interrupt(vector, kind, errorCode, eip);
}

export function interruptReturn(next: i32): bool {
  return Gates.interruptReturn(next);
}

/** The same, the record not holding. */
function checkAndDeliver(vector: i32, kind: i32, errorCode: i32, eip: i32, record: i32, key: i32): bool {
  if ((vector << 3) + 7 > get(Slot.IDT_LIMIT)) return false;
  const entry = get(Slot.IDT_BASE) + (vector << 3);
  const gate = Inlined.placeOfPair(entry);
  if (gate === Segments.NOWHERE) return false;
  const gateLow = load<i32>(gate, Address.RAM);
  const gateHigh = load<i32>(gate, Address.RAM + 4);
  const from = get(Slot.CPL);
  const type = (gateHigh >>> 8) & 0x1f;
  if ((gateHigh & Access.PRESENT) === 0) return false;
  if (kind === SOFTWARE && Descriptor.dplOf(gateHigh) < from) return false;
  const selector = gateLow >>> 16;
  if (type === TASK_GATE)
    return interruptTask(selector, vector, kind, errorCode, eip, imageOf(readFlags(), vector, kind));
  if (type !== INTERRUPT_GATE && type !== TRAP_GATE) return false;
  const code = Inlined.find(selector);
  if (code === 0 || u32(targetOf(gateLow, gateHigh)) > load<u32>(code, Descriptor.LIMIT)) return false;
  const codeKind = load<i32>(code, Descriptor.CODE);
  const dpl = (codeKind & 7) - 1;
  if (dpl < 0 || dpl > from) return false;

  const isInner = codeKind < Descriptor.CONFORMING && dpl < from;
  const ring = isInner ? dpl : from;
  let pointer = get(Slot.ESP);
  let stackSelector = 0;
  let stack = 0;
  if (isInner) {
    const place = Step.placeOfStack(ring);
    if (place === Segments.NOWHERE) return false;
    pointer = load<i32>(place, Address.RAM);
    stackSelector = load<u16>(place, Address.RAM + 4);
    stack = Inlined.findStack(stackSelector, ring);
    if (stack === 0) return false;
  }
  const bytes = Step.bytes(errorCode, stack);
  if (!Step.hasRoom(stack, pointer, bytes)) return false;
  rememberDelivery(record, key, entry, code, ring, stackSelector, stack);
  const physical = placeFrame(Step.onStack(stack, pointer), bytes, isInner ? 0 : get(Slot.MODE));
  if (physical === Segments.NOWHERE) return false;
  Step.deliver(
    vector,
    kind,
    errorCode,
    eip,
    gateLow,
    gateHigh,
    ring,
    code,
    stackSelector,
    stack,
    pointer,
    physical,
  );
  return true;
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

/** The same, the record, if there is one, not holding. */
function checkAndReturn(record: i32, key: i32): bool {
  const from = get(Slot.CPL);
  const top = get(Slot.ESP);
  const frame = placeOfWords(top, 3);
  if (frame === Segments.NOWHERE) return false;
  const selector: i32 = load<u16>(frame, Address.RAM + 4);
  if ((load<i32>(frame, Address.RAM + 8) & AC) !== 0) return false;
  const to = selector & 3;
  const code = to < from ? 0 : Inlined.find(selector);
  if (code === 0 || !Descriptor.allowsReturn(code, to)) return false;
  let newTop = top + 12;
  let stackSelector = 0;
  let stack = 0;
  if (to !== from) {
    const outer = placeOfWords(top + 12, 2);
    if (outer === Segments.NOWHERE) return false;
    newTop = load<i32>(outer, Address.RAM);
    stackSelector = load<u16>(outer, Address.RAM + 4);
    stack = Inlined.findStack(stackSelector, to);
    if (stack === 0) return false;
  }
  if (record !== 0) rememberReturn(record, key, selector, code, stackSelector, stack);
  return Step.return(frame, selector, code, newTop, stackSelector, stack);
}

/** IRETD with NT. */
function returnNested(next: i32): bool {
  if (isSlow(AC)) return false;
  return returnToTask(next, readFlags());
}
