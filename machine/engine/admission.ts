/**
 * What an instruction of the interpreter's switch found in its way when its fast path did not hold. Mostly its page was not the latest of its
 * set in the data TLB: then it is made so, as the instruction's access would have done, and the instruction runs again. All else is for the
 * general handlers: what lies across pages, is misaligned, no RAM, watched, refused by the segment, or decoded code.
 */

import * as Address from "./layout/addresses";
import * as Field from "./layout/fields";
import * as HotOperation from "./layout/hot-operations";
import * as Segment from "./layout/segments";
import * as Slot from "./layout/slots";
import { MISS, readable, writable } from "./memory";
import { effectiveAddress } from "./operands";
import { translate } from "./paging";
import { get } from "./state";

/** The instruction may run again: its access is on the fast path now. */
export const ADMITTED: i32 = 0;
/** It is for the general handler. */
export const GENERAL: i32 = 1;
/** It faults: TRANSLATION_FAILED is 1. */
export const PAGE_FAULT: i32 = 2;

const WRITES: i32 = 8;

const OPERATION = Address.POOL + (Field.OPERATION << 2);
const SEGMENT = Address.POOL + (Field.SEGMENT << 2);

/** Size of the one memory operand of an operation, plus WRITES when it is (also) written; 0 when it has none, or two. */
function operandOf(operation: i32): i32 {
  if (operation >= HotOperation.arithmetic && operation < HotOperation.arithmetic + 40) {
    const form = (operation - HotOperation.arithmetic) % 5;
    if (form < 2) return 0;
    return form === 2 || operation >= HotOperation.arithmetic + 35 ? 4 : 4 | WRITES;
  }
  switch (operation) {
    case HotOperation.movRegisterMemory:
    case HotOperation.movRegisterBased:
    case HotOperation.testMemoryImmediate:
    case HotOperation.imulMemory:
    case HotOperation.imulMemoryImmediate:
    case HotOperation.jmpMemory:
      return 4;
    case HotOperation.mov8RegisterMemory:
    case HotOperation.movzxMemory8:
    case HotOperation.movsxMemory8:
    case HotOperation.cmp8MemoryImmediate:
      return 1;
    case HotOperation.mov16RegisterMemory:
    case HotOperation.movzxMemory16:
    case HotOperation.movsxMemory16:
      return 2;
    case HotOperation.movMemoryRegister:
    case HotOperation.movMemoryImmediate:
    case HotOperation.movBasedRegister:
    case HotOperation.incMemory:
    case HotOperation.decMemory:
      return 4 | WRITES;
    case HotOperation.mov8MemoryRegister:
    case HotOperation.mov8MemoryImmediate:
      return 1 | WRITES;
    case HotOperation.mov16MemoryRegister:
      return 2 | WRITES;
    default:
      return 0;
  }
}

function admitAt(segment: i32, offset: i32, size: i32, write: bool): i32 {
  const linear = get(Slot.BASE + segment) + offset;
  const limits = write ? Address.WRITE_LIMITS : Address.READ_LIMITS;
  if ((linear & (size - 1)) !== 0) return GENERAL;
  if (u32(offset) >= load<u32>(limits + (segment << 4) + ((size >> 1) << 2))) return GENERAL;
  // What holds already is not what stood in the way.
  if ((write ? writable(segment, offset, size) : readable(segment, offset, size)) !== MISS) return GENERAL;
  translate(linear, i32(write), get(Slot.MODE));
  if (get(Slot.TRANSLATION_FAILED) !== 0) return PAGE_FAULT;
  return (write ? writable(segment, offset, size) : readable(segment, offset, size)) === MISS
    ? GENERAL
    : ADMITTED;
}

/** The instruction at byte offset `q` of the pool has not begun. */
export function admit(q: i32): i32 {
  const operation = load<i32>(q, OPERATION);
  switch (operation) {
    case HotOperation.pushRegister:
    case HotOperation.pushImmediate:
    case HotOperation.callInPage:
      return admitAt(Segment.SS, get(Slot.ESP) - 4, 4, true);
    case HotOperation.popRegister:
    case HotOperation.ret:
    case HotOperation.retImmediate:
      return admitAt(Segment.SS, get(Slot.ESP), 4, false);
    case HotOperation.leave:
      return admitAt(Segment.SS, get(Slot.EBP), 4, false);
    default: {
      const operand = operandOf(operation);
      if (operand === 0) return GENERAL;
      return admitAt(load<i32>(q, SEGMENT), effectiveAddress(q), operand & ~WRITES, (operand & WRITES) !== 0);
    }
  }
}
