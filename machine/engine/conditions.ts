/** Condition codes of the lazy flags in the state words. */

import { carry, overflow } from "./flags";
import * as Kind from "./layout/flag-kinds";
import * as Slot from "./layout/slots";
import { get } from "./state";

/** CF as it is now, 0 or 1. */
export function carryNow(): i32 {
  return carry(
    get(Slot.FLAG_KIND),
    get(Slot.FLAG_RESULT),
    get(Slot.FLAG_LEFT),
    get(Slot.FLAG_RIGHT),
    get(Slot.FLAG_CARRY),
  );
}

function overflowNow(): i32 {
  return overflow(get(Slot.FLAG_KIND), get(Slot.FLAG_RESULT), get(Slot.FLAG_LEFT), get(Slot.FLAG_RIGHT));
}

function isStored(): bool {
  return get(Slot.FLAG_KIND) === Kind.STORED;
}

export function zero(): bool {
  return isStored() ? (get(Slot.EFLAGS) & 0x40) !== 0 : get(Slot.FLAG_RESULT) === 0;
}

export function sign(): bool {
  return isStored() ? (get(Slot.EFLAGS) & 0x80) !== 0 : get(Slot.FLAG_RESULT) < 0;
}

function parity(): bool {
  return isStored() ? (get(Slot.EFLAGS) & 4) !== 0 : (popcnt(get(Slot.FLAG_RESULT) & 0xff) & 1) === 0;
}

/** Condition code 0 to 15, as in Jcc's opcode. */
export function condition(code: i32): bool {
  const isMet = holds(code >> 1);
  return (code & 1) === 0 ? isMet : !isMet;
}

function holds(pair: i32): bool {
  switch (pair) {
    case 0:
      return overflowNow() !== 0;
    case 1:
      return carryNow() !== 0;
    case 2:
      return zero();
    case 3:
      return belowOrEqual();
    case 4:
      return sign();
    case 5:
      return parity();
    case 6:
      return less();
    default:
      return lessOrEqual();
  }
}

export function below(): bool {
  return get(Slot.FLAG_KIND) === Kind.SUB
    ? u32(get(Slot.FLAG_LEFT)) < u32(get(Slot.FLAG_RIGHT))
    : carryNow() !== 0;
}

export function belowOrEqual(): bool {
  return get(Slot.FLAG_KIND) === Kind.SUB
    ? u32(get(Slot.FLAG_LEFT)) <= u32(get(Slot.FLAG_RIGHT))
    : carryNow() !== 0 || zero();
}

export function less(): bool {
  return get(Slot.FLAG_KIND) === Kind.SUB
    ? get(Slot.FLAG_LEFT) < get(Slot.FLAG_RIGHT)
    : sign() !== (overflowNow() !== 0);
}

export function lessOrEqual(): bool {
  return get(Slot.FLAG_KIND) === Kind.SUB
    ? get(Slot.FLAG_LEFT) <= get(Slot.FLAG_RIGHT)
    : zero() || sign() !== (overflowNow() !== 0);
}
