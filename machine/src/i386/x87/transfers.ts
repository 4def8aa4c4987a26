/**
 * Loads and stores in full generality: any control word, any contents, empty and full stacks. Every function has three parts in this
 * order: compute, access memory (which may throw), change state.
 *
 * Rules (Pentium Processor Family Developer's Manual, volume 3, chapter 7): a stack fault precedes all else; unmasked, it
 * leaves stack and memory alone. An unmasked exception other than precision keeps a result out of memory and the stack unpopped.
 */

import type { FloatingPointMemory } from "./contract.ts";
import { fromPackedDecimal, toDouble, toInteger, toPackedDecimal, toSingle, Wide } from "./conversions.ts";
import { Exception, Extended, integerBit, Kind, kindOf, setIndefinite } from "./extended.ts";
import type { FloatingPointState } from "./state.ts";
import { loadConstant } from "./transcendental.ts";

const left = new Extended();
const result = new Extended();
const wide = new Wide();
const decimal = new Uint8Array(10);

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

/** FLD m80: the bits as they are. */
export function pushExtended(s: FloatingPointState, memory: FloatingPointMemory): void {
  result.low = memory.read32(0) | 0;
  result.high = memory.read32(4) | 0;
  const top = memory.read16(8);
  result.sign = top >>> 15;
  result.exponent = top & 0x7fff;
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
  if (empty) setIndefinite(left);
  else registers.read(registers.top, left);
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
