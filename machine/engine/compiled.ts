/**
 * What regions of compiled code call for what their fast path does not allow, so that it stays in WebAssembly when no JavaScript is needed.
 * The region has stored what these may read; BUDGET is the time at the instruction's end.
 */

import { codeWritten } from "./code-cache";
import { interrupt } from "./gates";
import { slowModify, slowRead, slowWrite } from "./imports";
import * as Address from "./layout/addresses";
import * as Counter from "./layout/counters";
import { LONGEST_DELIVERY } from "./layout/gate-clocks";
import * as Listener from "./layout/listeners";
import * as Slot from "./layout/slots";
import { flush, invalidatePage, translateMissed } from "./paging";
import { count, get, listeners, ramBytes, set } from "./state";
import { timeSpan } from "./timing";

/** COMPILED_FAULT when FAULT_VECTOR and FAULT_CODE say which. */
const PAGE_FAULT = 2;
/** COMPILED_FAULT when it was delivered, but the run loop is wanted. */
const DELIVERED = -1;
const EXCEPTION = 0;
const NONE = -1;

/** Whether an access that the segment allows lies in one page that nobody watches. */
function isPlain(linear: i32, size: i32): bool {
  return (linear & 0xfff) + size <= 4096 && (listeners() & ~Listener.ACCESSES) === 0;
}

/** Physical address in RAM; NONE when JavaScript must do the access, or when it faulted. The region has asked the soft TLB. */
function place(linear: i32, write: i32): i32 {
  const physical = translateMissed(linear, write, get(Slot.MODE));
  if (get(Slot.TRANSLATION_FAILED) !== 0) {
    set(Slot.TRANSLATION_FAILED, 0);
    set(Slot.COMPILED_FAULT, PAGE_FAULT);
    return NONE;
  }
  return u32(physical) < ramBytes() ? physical : NONE;
}

function tell(physical: i32, size: i32, write: i32): void {
  if ((listeners() & Listener.ACCESSES) !== 0) timeSpan(physical, size, write);
}

function valueAt(physical: i32, size: i32): i32 {
  tell(physical, size, 0);
  if (size === 4) return load<i32>(physical, Address.RAM);
  return size === 2 ? load<u16>(physical, Address.RAM) : load<u8>(physical, Address.RAM);
}

/** `selector`: segment × 4 + log2(size). A page fault is left in COMPILED_FAULT; the value then means nothing. */
export function readMissed(selector: i32, offset: i32): i32 {
  const size = 1 << (selector & 3);
  const linear = get(Slot.BASE + (selector >>> 2)) + offset;
  if (u32(offset) < load<u32>(selector << 2, Address.READ_LIMITS) && isPlain(linear, size)) {
    const physical = place(linear, 0);
    if (physical !== NONE) return valueAt(physical, size);
    if (get(Slot.COMPILED_FAULT) !== 0) return 0;
  }
  return slowRead(selector, offset);
}

export function modifyMissed(selector: i32, offset: i32): i32 {
  const size = 1 << (selector & 3);
  const linear = get(Slot.BASE + (selector >>> 2)) + offset;
  if (u32(offset) < load<u32>(selector << 2, Address.WRITE_LIMITS) && isPlain(linear, size)) {
    const physical = place(linear, 1);
    if (physical !== NONE) return valueAt(physical, size);
    if (get(Slot.COMPILED_FAULT) !== 0) return 0;
  }
  return slowModify(selector, offset);
}

export function writeMissed(selector: i32, offset: i32, value: i32): void {
  const size = 1 << (selector & 3);
  const linear = get(Slot.BASE + (selector >>> 2)) + offset;
  if (u32(offset) < load<u32>(selector << 2, Address.WRITE_LIMITS) && isPlain(linear, size)) {
    const physical = place(linear, 1);
    if (physical !== NONE) {
      if (size === 4) store<i32>(physical, value, Address.RAM);
      else if (size === 2) store<i16>(physical, i16(value), Address.RAM);
      else store<i8>(physical, i8(value), Address.RAM);
      if (load<u8>(physical >>> 12, Address.CODE_FRAMES) !== 0) codeWritten(physical, size);
      tell(physical, size, 1);
      return;
    }
    if (get(Slot.COMPILED_FAULT) !== 0) return;
  }
  slowWrite(selector, offset, value);
}

/** MOV CR3. False when it is not allowed. */
export function loadPageDirectory(value: i32): bool {
  if (get(Slot.CPL) !== 0) return false;
  set(Slot.CR3, value & -0xfe8);
  count(Counter.CR3_LOADS);
  flush();
  return true;
}

/** INVLPG. False when it is not allowed. */
export function invalidate(linear: i32): bool {
  if (get(Slot.CPL) !== 0) return false;
  invalidatePage(linear);
  return true;
}

/**
 * Delivers the page fault of the instruction at `eip`, which has been counted. True when EIP is its handler's; false when the run loop's side
 * goes on, which finds in COMPILED_FAULT how far things are.
 */
export function deliverPageFault(eip: i32): bool {
  if (get(Slot.COMPILED_FAULT) !== PAGE_FAULT || get(Slot.FETCHING) !== 0) return false;
  if (get(Slot.BUDGET) < LONGEST_DELIVERY) return false;
  if (!interrupt(get(Slot.FAULT_VECTOR), EXCEPTION, get(Slot.FAULT_CODE), eip)) return false;
  set(Slot.RETIRED, get(Slot.RETIRED) - 1);
  set(Slot.PARTIAL, 1);
  const isTimely = get(Slot.BUDGET) > 0;
  set(Slot.COMPILED_FAULT, isTimely ? 0 : DELIVERED);
  return isTimely;
}
