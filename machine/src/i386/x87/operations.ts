/**
 * Computing instructions in full generality: any control word, any operands, empty registers. `double-path.ts` handles the common
 * cases and leaves everything else to these functions; loads and stores are in `transfers.ts`.
 *
 * Rules (Pentium Processor Family Developer's Manual, volume 3, chapter 7): a stack fault precedes all else; an unmasked invalid,
 * denormal or zero-divide exception leaves the stack alone; unmasked overflow, underflow and precision of a register
 * result do not keep it from being stored.
 */

import { arithmetic, compare, Order, squareRoot } from "./arithmetic.ts";
import { roundToIntegral } from "./conversions.ts";
import { Exception, Extended, Kind, kindOf, Status, setOne } from "./extended.ts";
import { extract, type RemainderResult, remainder, scale } from "./remainder.ts";
import type { FloatingPointState } from "./state.ts";
import {
  arctangent,
  exponential,
  logarithm,
  logarithmPlusOne,
  Trigonometry,
  trigonometry,
} from "./transcendental.ts";

const left = new Extended();
const right = new Extended();
const result = new Extended();
const second = new Extended();
const zero = new Extended();
const quotient: RemainderResult = { quotient: 0, partial: false };

/** ST(0) `operation` ST(i) into physical register `destination`, then perhaps a pop. */
export function arithmeticRegisters(
  s: FloatingPointState,
  operation: number,
  i: number,
  destination: number,
  pop: boolean,
): void {
  const { registers, computation: c } = s;
  const t = registers.top;
  const r = (t + i) & 7;
  if (registers.isEmpty(t) || registers.isEmpty(r)) {
    if (!s.stackFault(false)) return;
    registers.writeIndefinite(destination);
  } else {
    registers.read(t, left);
    registers.read(r, right);
    c.begin(s.control);
    arithmetic(c, result, operation, left, right);
    if (!s.commit()) return;
    registers.write(destination, result);
  }
  if (pop) registers.pop();
}

/** ST(0) `operation` a number that came from memory; `denormal` when it was one there. */
export function arithmeticMemory(
  s: FloatingPointState,
  operation: number,
  operand: Extended,
  denormal: boolean,
): void {
  const { registers, computation: c } = s;
  const t = registers.top;
  if (registers.isEmpty(t)) {
    if (s.stackFault(false)) registers.writeIndefinite(t);
    return;
  }
  registers.read(t, left);
  c.begin(s.control);
  if (denormal) c.denormalSource = Exception.denormal;
  arithmetic(c, result, operation, left, operand);
  if (s.commit()) registers.write(t, result);
}

/** C3, C2, C0 of an order. */
export const conditionsOf: readonly number[] = [0, Status.c0, Status.c3, Status.c3 | Status.c2 | Status.c0];

/** Which NaNs make a comparison invalid. */
export const Comparison = { ordered: 0, unordered: 1 } as const;

function finishComparison(s: FloatingPointState, order: Order): boolean {
  const c = s.computation;
  s.setConditions(0);
  s.setConditions(conditionsOf[order]);
  s.raise(c.exceptions);
  return (c.exceptions & ~s.control & Exception.beforeComputing) === 0;
}

export function compareRegisters(
  s: FloatingPointState,
  i: number,
  comparison: number,
  pops: 0 | 1 | 2,
): void {
  const { registers, computation: c } = s;
  const t = registers.top;
  const r = (t + i) & 7;
  if (registers.isEmpty(t) || registers.isEmpty(r)) {
    const masked = s.stackFault(false);
    s.setConditions(conditionsOf[Order.unordered]);
    if (!masked) return;
  } else {
    registers.read(t, left);
    registers.read(r, right);
    c.begin(s.control);
    const order = compare(c, left, right, comparison === Comparison.unordered);
    if (!finishComparison(s, order)) return;
  }
  if (pops > 0) registers.pop();
  if (pops > 1) registers.pop();
}

/** Also FTST, whose operand is zero. */
export function compareOperand(
  s: FloatingPointState,
  operand: Extended,
  denormal: boolean,
  pop: boolean,
): void {
  const { registers, computation: c } = s;
  const t = registers.top;
  if (registers.isEmpty(t)) {
    const masked = s.stackFault(false);
    s.setConditions(conditionsOf[Order.unordered]);
    if (!masked) return;
  } else {
    registers.read(t, left);
    c.begin(s.control);
    if (denormal) c.denormalSource = Exception.denormal;
    if (!finishComparison(s, compare(c, left, operand, false))) return;
  }
  if (pop) registers.pop();
}

export function testAgainstZero(s: FloatingPointState): void {
  compareOperand(s, zero, false, false);
}

export function examine(s: FloatingPointState): void {
  const { registers } = s;
  const t = registers.top;
  registers.read(t, left);
  let bits = left.sign !== 0 ? Status.c1 : 0;
  if (registers.isEmpty(t)) bits |= Status.c3 | Status.c0;
  else
    switch (kindOf(left)) {
      case Kind.normal:
        bits |= Status.c2;
        break;
      case Kind.zero:
        bits |= Status.c3;
        break;
      case Kind.denormal:
        bits |= Status.c3 | Status.c2;
        break;
      case Kind.infinity:
        bits |= Status.c2 | Status.c0;
        break;
      case Kind.quietNaN:
      case Kind.signallingNaN:
        bits |= Status.c0;
        break;
    }
  s.setConditions(bits);
}

export function exchange(s: FloatingPointState, i: number): void {
  const { registers } = s;
  const t = registers.top;
  const r = (t + i) & 7;
  if (registers.isEmpty(t) || registers.isEmpty(r)) {
    if (!s.stackFault(false)) return;
    if (registers.isEmpty(t)) registers.writeIndefinite(t);
    if (registers.isEmpty(r)) registers.writeIndefinite(r);
  } else s.clearC1();
  registers.exchange(t, r);
}

/** FABS and FCHS: sign only, no exception but an empty register. */
export function changeSign(s: FloatingPointState, keepBit: 0 | 1): void {
  const { registers } = s;
  const t = registers.top;
  if (registers.isEmpty(t)) {
    if (s.stackFault(false)) registers.writeIndefinite(t);
    return;
  }
  registers.read(t, left);
  left.sign = (left.sign ^ 1) & keepBit;
  s.clearC1();
  registers.write(t, left);
}

/** Instructions from ST(0) to ST(0). */
export const Unary = { squareRoot: 0, roundToInteger: 1, exponential: 2 } as const;

export function unary(s: FloatingPointState, operation: number): void {
  const { registers, computation: c } = s;
  const t = registers.top;
  if (registers.isEmpty(t)) {
    if (s.stackFault(false)) registers.writeIndefinite(t);
    return;
  }
  registers.read(t, left);
  c.begin(s.control);
  if (operation === Unary.squareRoot) squareRoot(c, result, left);
  else if (operation === Unary.roundToInteger) roundToIntegral(c, result, left);
  else exponential(c, result, left);
  if (s.commit()) registers.write(t, result);
}

/** Instructions from ST(0) and ST(1) to ST(1), with a pop. */
export const Binary = { logarithm: 0, logarithmPlusOne: 1, arctangent: 2 } as const;

export function binary(s: FloatingPointState, operation: number): void {
  const { registers, computation: c } = s;
  const t = registers.top;
  const r = (t + 1) & 7;
  if (registers.isEmpty(t) || registers.isEmpty(r)) {
    if (!s.stackFault(false)) return;
    registers.writeIndefinite(r);
  } else {
    registers.read(t, left);
    registers.read(r, right);
    c.begin(s.control);
    if (operation === Binary.logarithm) logarithm(c, result, left, right);
    else if (operation === Binary.logarithmPlusOne) logarithmPlusOne(c, result, left, right);
    else arctangent(c, result, left, right);
    if (!s.commit()) return;
    registers.write(r, result);
  }
  registers.pop();
}

/** FPREM (truncating) and FPREM1. */
export function partialRemainder(s: FloatingPointState, toNearest: boolean): void {
  const { registers, computation: c } = s;
  // Even an exception ends the reduction.
  s.status &= ~Status.c2;
  const t = registers.top;
  const r = (t + 1) & 7;
  if (registers.isEmpty(t) || registers.isEmpty(r)) {
    if (s.stackFault(false)) registers.writeIndefinite(t);
    return;
  }
  registers.read(t, left);
  registers.read(r, right);
  c.begin(s.control);
  remainder(c, result, left, right, toNearest, quotient);
  if (!s.commit()) return;
  registers.write(t, result);
  if (quotient.quotient < 0) return;
  if (quotient.partial) {
    s.setConditions(Status.c2);
    return;
  }
  const q = quotient.quotient;
  s.setConditions(
    ((q & 4) !== 0 ? Status.c0 : 0) | ((q & 2) !== 0 ? Status.c3 : 0) | ((q & 1) !== 0 ? Status.c1 : 0),
  );
}

export function scaleByPower(s: FloatingPointState): void {
  const { registers, computation: c } = s;
  const t = registers.top;
  const r = (t + 1) & 7;
  if (registers.isEmpty(t) || registers.isEmpty(r)) {
    if (s.stackFault(false)) registers.writeIndefinite(t);
    return;
  }
  registers.read(t, left);
  registers.read(r, right);
  c.begin(s.control);
  scale(c, result, left, right);
  if (s.commit()) registers.write(t, result);
}

/** Checks for an instruction that replaces ST(0) and pushes one more; true when it may go on. */
function mayReplaceAndPush(s: FloatingPointState): boolean {
  const { registers } = s;
  const t = registers.top;
  const full = !registers.isEmpty((t - 1) & 7);
  if (!full && !registers.isEmpty(t)) return true;
  if (s.stackFault(full && !registers.isEmpty(t))) {
    registers.writeIndefinite(t);
    registers.writeIndefinite(registers.push());
  }
  return false;
}

/** FXTRACT: the exponent replaces ST(0), the significand is pushed. */
export function extractParts(s: FloatingPointState): void {
  if (!mayReplaceAndPush(s)) return;
  const { registers, computation: c } = s;
  registers.read(registers.top, left);
  c.begin(s.control);
  extract(c, result, second, left);
  if (!s.commit()) return;
  registers.write(registers.top, result);
  registers.write(registers.push(), second);
}

/** FSIN and FCOS. */
export function sineOrCosine(s: FloatingPointState, cosine: boolean): void {
  const { registers, computation: c } = s;
  s.status &= ~Status.c2;
  const t = registers.top;
  if (registers.isEmpty(t)) {
    if (s.stackFault(false)) registers.writeIndefinite(t);
    return;
  }
  registers.read(t, left);
  c.begin(s.control);
  const done = trigonometry(c, left, cosine ? null : result, cosine ? result : null, null);
  finishTrigonometry(s, done, false);
}

function finishTrigonometry(s: FloatingPointState, done: Trigonometry, pushes: boolean): void {
  const { registers } = s;
  if (done === Trigonometry.outOfRange) {
    s.clearC1();
    s.status |= Status.c2;
    return;
  }
  if (!s.commit()) return;
  registers.write(registers.top, result);
  if (pushes) registers.write(registers.push(), second);
}

/** FSINCOS: sine replaces ST(0), cosine is pushed. */
export function sineAndCosine(s: FloatingPointState): void {
  s.status &= ~Status.c2;
  if (!mayReplaceAndPush(s)) return;
  const { registers, computation: c } = s;
  registers.read(registers.top, left);
  c.begin(s.control);
  finishTrigonometry(s, trigonometry(c, left, result, second, null), true);
}

/** FPTAN: the tangent replaces ST(0), 1 is pushed (a NaN is pushed again). */
export function partialTangent(s: FloatingPointState): void {
  s.status &= ~Status.c2;
  if (!mayReplaceAndPush(s)) return;
  const { registers, computation: c } = s;
  registers.read(registers.top, left);
  c.begin(s.control);
  const done = trigonometry(c, left, null, null, result);
  if (kindOf(result) >= Kind.quietNaN) Object.assign(second, result);
  else setOne(second, 0);
  finishTrigonometry(s, done, true);
}
