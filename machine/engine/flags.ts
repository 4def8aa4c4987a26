/** The lazy arithmetic flags, as `../src/i386/flags.ts` describes them. */

import { AF, CF, OF, PF, SF, ZF } from "./layout/eflags";
import * as Kind from "./layout/flag-kinds";
import * as Slot from "./layout/slots";
import { get } from "./state";

/** Put in their callers' place. */
export class Lazy {
  @inline
  static carry(kind: i32, result: i32, left: i32, right: i32, before: i32): i32 {
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

  @inline
  static overflow(kind: i32, result: i32, left: i32, right: i32): i32 {
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

  @inline
  static adjust(): i32 {
    switch (get(Slot.FLAG_KIND)) {
      case Kind.STORED:
        return (get(Slot.EFLAGS) >>> 4) & 1;
      case Kind.LOGIC:
      case Kind.GIVEN:
        return 0;
      default:
        return ((get(Slot.FLAG_LEFT) ^ get(Slot.FLAG_RIGHT) ^ get(Slot.FLAG_RESULT)) >>> 4) & 1;
    }
  }

  /** All of EFLAGS. */
  @inline
  static readFlags(): i32 {
    const flags = get(Slot.EFLAGS);
    const kind = get(Slot.FLAG_KIND);
    if (kind === Kind.STORED) return flags;
    const result = get(Slot.FLAG_RESULT);
    const left = get(Slot.FLAG_LEFT);
    const right = get(Slot.FLAG_RIGHT);
    const parity = ~popcnt(result & 0xff) & 1;
    const zero = i32(result === 0);
    return (
      (flags & ~(CF | PF | AF | ZF | SF | OF)) |
      Lazy.carry(kind, result, left, right, get(Slot.FLAG_CARRY)) |
      (parity << 2) |
      (Lazy.adjust() << 4) |
      (zero << 6) |
      ((result >>> 31) << 7) |
      (Lazy.overflow(kind, result, left, right) << 11)
    );
  }
}

export function carry(kind: i32, result: i32, left: i32, right: i32, before: i32): i32 {
  return Lazy.carry(kind, result, left, right, before);
}

export function overflow(kind: i32, result: i32, left: i32, right: i32): i32 {
  return Lazy.overflow(kind, result, left, right);
}

export function readFlags(): i32 {
  return Lazy.readFlags();
}
