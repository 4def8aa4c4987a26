/**
 * Instructions by what they do to the stack, in full generality: any control word, any operands, empty registers. The fast path of
 * `unit.ts` handles the common cases and leaves everything else to these functions. Every function has three parts in this order:
 * compute, access memory (which may throw), change state.
 *
 * Rules (Pentium Processor Family Developer's Manual, volume 3, chapter 7): a stack fault precedes all else; an unmasked invalid,
 * denormal or zero-divide exception leaves the stack alone; unmasked overflow, underflow and precision of a register
 * result do not keep it from being stored; of a memory result, overflow and underflow do, and the stack is not popped.
 */

import { arithmetic, compare, Order, squareRoot } from "./arithmetic.ts";
import type { FloatingPointMemory } from "./contract.ts";
import {
  fromPackedDecimal,
  roundToIntegral,
  toDouble,
  toInteger,
  toPackedDecimal,
  toSingle,
  Wide,
} from "./conversions.ts";
import { Exception, Extended, integerBit, Kind, kindOf, Status, setOne } from "./extended.ts";
import { extract, type RemainderResult, remainder, scale } from "./remainder.ts";
import type { FloatingPointState } from "./state.ts";
import {
  arctangent,
  exponential,
  loadConstant,
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
const wide = new Wide();
const decimal = new Uint8Array(10);
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

/** Pushes a number as it is. */
export function push(s: FloatingPointState, x: Extended): void {
  const { registers } = s;
  if (!registers.isEmpty((registers.top - 1) & 7)) {
    if (s.stackFault(true)) registers.writeIndefinite(registers.push());
    return;
  }
  s.clearC1();
  registers.write(registers.push(), x);
}

/** Pushes a number that came from single or double precision: signalling NaNs and denormals raise. */
export function pushConverted(s: FloatingPointState, x: Extended, denormal: boolean): void {
  const { registers, computation: c } = s;
  if (!registers.isEmpty((registers.top - 1) & 7)) {
    if (s.stackFault(true)) registers.writeIndefinite(registers.push());
    return;
  }
  c.begin(s.control);
  if (kindOf(x) === Kind.signallingNaN) {
    c.exceptions |= Exception.invalid;
    x.high |= 0x40000000;
  }
  if (!s.commit()) return;
  // A denormal is loaded even if its exception is unmasked: only the next instruction traps.
  if (denormal) s.raise(Exception.denormal);
  registers.write(registers.push(), x);
}

export function pushRegister(s: FloatingPointState, i: number): void {
  const { registers } = s;
  const r = (registers.top + i) & 7;
  const free = registers.isEmpty((registers.top - 1) & 7);
  if (registers.isEmpty(r) || !free) {
    if (s.stackFault(!free)) registers.writeIndefinite(registers.push());
    return;
  }
  s.clearC1();
  registers.move(registers.push(), r);
}

export function pushConstant(s: FloatingPointState, index: number): void {
  s.computation.begin(s.control);
  loadConstant(s.computation, result, index);
  push(s, result);
}

export function pushDecimal(s: FloatingPointState, memory: FloatingPointMemory): void {
  for (let word = 0; word < 5; word++) {
    const digits = memory.read16(2 * word);
    decimal[2 * word] = digits;
    decimal[2 * word + 1] = digits >>> 8;
  }
  fromPackedDecimal(result, decimal);
  push(s, result);
}

export function storeRegister(s: FloatingPointState, i: number, pop: boolean): void {
  const { registers } = s;
  const t = registers.top;
  const r = (t + i) & 7;
  if (registers.isEmpty(t)) {
    if (!s.stackFault(false)) return;
    registers.writeIndefinite(r);
  } else {
    s.clearC1();
    registers.move(r, t);
  }
  if (pop) registers.pop();
}

/** D9 D8, which no manual has: FSTP that lets an empty ST(0) pass. */
export function storeRegisterQuietly(s: FloatingPointState, i: number): void {
  const { registers } = s;
  if (registers.isEmpty(registers.top)) {
    s.clearC1();
    registers.pop();
  } else storeRegister(s, i, true);
}

/** After a store's computation: whether memory may be written. An unmasked exception other than precision forbids it. */
function mayStore(s: FloatingPointState): boolean {
  return (s.computation.exceptions & ~s.control & (Exception.all ^ Exception.precision)) === 0;
}

function finishStore(s: FloatingPointState, stored: boolean, pop: boolean): void {
  const c = s.computation;
  if (stored) {
    s.raise(c.exceptions);
    s.setC1(c.roundedUp);
    if (pop) s.registers.pop();
    return;
  }
  const early = c.exceptions & Exception.beforeComputing;
  s.raise((early & ~s.control) !== 0 ? early : c.exceptions & ~Exception.precision);
  s.clearC1();
}

/** The masked response to an empty ST(0) is to store an indefinite of the destination's format. */
function underflowStores(s: FloatingPointState): boolean {
  return (s.control & Exception.invalid) !== 0;
}

function finishUnderflow(s: FloatingPointState, pop: boolean): void {
  if (s.stackFault(false) && pop) s.registers.pop();
}

export function storeSingle(s: FloatingPointState, memory: FloatingPointMemory, pop: boolean): void {
  const { registers, computation: c } = s;
  if (registers.isEmpty(registers.top)) {
    if (underflowStores(s)) memory.write32(0, 0xffc00000);
    finishUnderflow(s, pop);
    return;
  }
  registers.read(registers.top, left);
  c.begin(s.control);
  const word = toSingle(c, left);
  const stored = mayStore(s);
  if (stored) memory.write32(0, word >>> 0);
  finishStore(s, stored, pop);
}

function writeWide(memory: FloatingPointMemory, high: number, low: number): void {
  memory.probeWrite(8);
  memory.write32(0, low >>> 0);
  memory.write32(4, high >>> 0);
}

export function storeDouble(s: FloatingPointState, memory: FloatingPointMemory, pop: boolean): void {
  const { registers, computation: c } = s;
  if (registers.isEmpty(registers.top)) {
    if (underflowStores(s)) writeWide(memory, 0xfff80000, 0);
    finishUnderflow(s, pop);
    return;
  }
  registers.read(registers.top, left);
  c.begin(s.control);
  toDouble(c, left, wide);
  const stored = mayStore(s);
  if (stored) writeWide(memory, wide.high, wide.low);
  finishStore(s, stored, pop);
}

/** FSTP m80: the bits as they are. */
export function storeExtended(s: FloatingPointState, memory: FloatingPointMemory): void {
  const { registers } = s;
  const empty = registers.isEmpty(registers.top);
  if (empty) {
    left.sign = 1;
    left.exponent = 0x7fff;
    left.high = 0xc0000000 | 0;
    left.low = 0;
  } else registers.read(registers.top, left);
  if (!empty || underflowStores(s)) {
    memory.probeWrite(10);
    memory.write32(0, left.low >>> 0);
    memory.write32(4, left.high >>> 0);
    memory.write16(8, (left.sign << 15) | left.exponent);
  }
  if (empty) {
    finishUnderflow(s, true);
    return;
  }
  s.clearC1();
  registers.pop();
}

export function storeInteger(
  s: FloatingPointState,
  memory: FloatingPointMemory,
  bits: 16 | 32 | 64,
  pop: boolean,
): void {
  const { registers, computation: c } = s;
  const empty = registers.isEmpty(registers.top);
  let stored: boolean;
  if (empty) {
    wide.high = integerBit;
    wide.low = bits === 64 ? 0 : bits === 32 ? integerBit : 0x8000;
    stored = underflowStores(s);
  } else {
    registers.read(registers.top, left);
    c.begin(s.control);
    toInteger(c, left, bits, wide);
    stored = mayStore(s);
  }
  if (stored) {
    if (bits === 16) memory.write16(0, wide.low & 0xffff);
    else if (bits === 32) memory.write32(0, wide.low >>> 0);
    else writeWide(memory, wide.high, wide.low);
  }
  if (empty) finishUnderflow(s, pop);
  else finishStore(s, stored, pop);
}

export function storeDecimal(s: FloatingPointState, memory: FloatingPointMemory): void {
  const { registers, computation: c } = s;
  const empty = registers.isEmpty(registers.top);
  let stored: boolean;
  if (empty) {
    decimal.fill(0);
    decimal[7] = 0xc0;
    decimal[8] = 0xff;
    decimal[9] = 0xff;
    stored = underflowStores(s);
  } else {
    registers.read(registers.top, left);
    c.begin(s.control);
    toPackedDecimal(c, left, decimal);
    stored = mayStore(s);
  }
  if (stored) {
    memory.probeWrite(10);
    for (let word = 0; word < 5; word++)
      memory.write16(2 * word, decimal[2 * word] | (decimal[2 * word + 1] << 8));
  }
  if (empty) finishUnderflow(s, true);
  else finishStore(s, stored, true);
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
