/** The lazy arithmetic flags, as `../src/i386/flags.ts` describes them. */

import * as Kind from "./layout/flag-kinds";
import * as Slot from "./layout/slots";
import { get } from "./state";

export function carry(kind: i32, result: i32, left: i32, right: i32, before: i32): i32 {
  switch (kind) {
    case Kind.ADD:
      return i32(u32(result) < u32(left));
    case Kind.SUB:
      return i32(u32(left) < u32(right));
    case Kind.INC:
    case Kind.DEC:
      return before;
    case Kind.GIVEN:
      return left;
    case Kind.ADC:
      return i32(u32(result) <= u32(left));
    case Kind.SBB:
      return i32(u32(left) <= u32(right));
    case Kind.STORED:
      return get(Slot.EFLAGS) & 1;
    default:
      return 0;
  }
}

export function overflow(kind: i32, result: i32, left: i32, right: i32): i32 {
  switch (kind) {
    case Kind.ADD:
    case Kind.ADC:
    case Kind.INC:
      return ((left ^ result) & (right ^ result)) >>> 31;
    case Kind.SUB:
    case Kind.SBB:
    case Kind.DEC:
      return ((left ^ right) & (left ^ result)) >>> 31;
    case Kind.GIVEN:
      return right;
    case Kind.STORED:
      return (get(Slot.EFLAGS) >>> 11) & 1;
    default:
      return 0;
  }
}
