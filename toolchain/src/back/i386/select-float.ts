/**
 * Floating-point selection. Every float value has a home in memory (a frame slot, an argument, the constant pool, or
 * the address it is loaded from when nobody else needs it); an operation loads its operands on the x87 stack, computes and
 * stores, so that the stack is empty between IR operations.
 *
 * Why results equal wasm's: the control word holds 53-bit precision, round to nearest.
 * - f32: +, −, ×, ÷ and √ computed with 53 bits and then stored as 24 are correctly rounded, subnormals included
 *   (53 ≥ 2·24 + 2: Figueroa, "When is double rounding innocuous?", 1995).
 * - f64: the store rounds the x87's wider exponent range to f64's. Overflow is decided the same way either time; sums and
 *   differences below the normal range are exact; a product or quotient there would be rounded twice, so `fixTiny`
 *   looks at stored results not above the least normal number and computes these again with scaled operands, as strict
 *   Java on x87 does: 2^−15360 moves f64's subnormals onto the x87's own, whose rounding is then the only one.
 * - Integers to floats go through FILD, which is exact; one rounding follows.
 * NaNs may lose their payload and become quiet.
 */
import type { Condition } from "@rialto/machine/i386/instruction.ts";
import type { Instruction, Operation, Type } from "../ir/instructions.ts";
import {
  callerSaved,
  EAX,
  EDX,
  immediate,
  type MemoryReference,
  type Slot,
  slotMemory,
  within,
} from "./code.ts";
import { constantsSymbol } from "./constants.ts";
import { sequence } from "./parallel-copy.ts";
import type { Selector } from "./select.ts";

export function isFloat(type: Type): boolean {
  return type === "f32" || type === "f64";
}

const arithmetic: Partial<Record<Operation, string>> = { add: "fadd", sub: "fsub", mul: "fmul", div: "fdiv" };

/** Routines on st(0), or st(0) and st(1). */
const routines: Partial<Record<Operation, string>> = {
  min: "$minimum",
  max: "$maximum",
  ceil: "$ceil",
  floor: "$floor",
  trunc: "$truncate",
  nearest: "$nearest",
};

const integerRoutines: Partial<Record<Operation, string>> = {
  truncateS: "$toSigned32",
  truncateU: "$toUnsigned32",
  truncateWideS: "$toSigned64",
  truncateWideU: "$toUnsigned64",
  saturateS: "$saturateSigned32",
  saturateU: "$saturateUnsigned32",
  saturateWideS: "$saturateSigned64",
  saturateWideU: "$saturateUnsigned64",
};

function sizeOf(type: Type): 4 | 8 {
  return type === "f32" ? 4 : 8;
}

/**
 * Bounds of a value's magnitude, if it is neither zero nor infinite, as powers of two; and whether it is one, so that a
 * product with it is exact.
 */
function magnitude(i: Instruction): {
  readonly least: number;
  readonly most: number;
  readonly power: boolean;
} {
  switch (i.operation) {
    case "constant": {
      const size = Math.abs(i.constant as number);
      if (size === 0 || !Number.isFinite(size)) return { least: 0, most: 0, power: true };
      const exponent = Math.floor(Math.log2(size));
      return { least: exponent - 1, most: exponent + 1, power: size === 2 ** exponent };
    }
    case "convertS":
    case "convertU":
      return { least: 0, most: 32, power: false };
    case "convertWideS":
    case "convertWideU":
      return { least: 0, most: 64, power: false };
    case "promote":
      return { least: -149, most: 128, power: false };
    case "neg":
    case "abs":
      return magnitude(i.operands[0]);
    default:
      return { least: -1074, most: 1024, power: false };
  }
}

/** Whether an f64 product or quotient may be rounded twice: below the normal range, and not exact before. */
function mayBeTiny(i: Instruction): boolean {
  const [x, y] = i.operands.map(magnitude);
  if (y.power || (i.operation === "mul" && x.power)) return false;
  return (i.operation === "mul" ? x.least + y.least : x.least - y.most) < -1020;
}

export class FloatSelector {
  private readonly s: Selector;
  private readonly slots = new Map<Instruction, Slot>();

  constructor(selector: Selector) {
    this.s = selector;
  }

  /** The home of a value that is not a constant, an argument or a folded load. */
  private slotOf(i: Instruction): Slot {
    let slot = this.slots.get(i);
    if (!slot) {
      slot =
        i.operation === "parameter"
          ? this.s.argumentSlot(i.offset, sizeOf(i.type))
          : this.s.newSlot(sizeOf(i.type));
      this.slots.set(i, slot);
    }
    return slot;
  }

  private home(i: Instruction): MemoryReference {
    return slotMemory(this.slotOf(i), sizeOf(i.type));
  }

  /** Where a value can be read from. */
  operand(i: Instruction): MemoryReference {
    if (i.operation === "constant") return this.constant(i);
    if (!this.slots.has(i) && this.s.isFoldableLoad(i)) return this.s.memoryOf(i, sizeOf(i.type));
    return this.home(i);
  }

  private constant(i: Instruction): MemoryReference {
    const pool = this.s.image.constants;
    const value = i.constant as number;
    const displacement = i.type === "f32" ? pool.float32(value) : pool.float64(value);
    return {
      kind: "memory",
      base: -1,
      index: -1,
      scale: 1,
      displacement,
      symbol: constantsSymbol,
      slot: undefined,
      size: sizeOf(i.type),
    };
  }

  /** Loads a value on the x87 stack. */
  push(i: Instruction): void {
    const { s } = this;
    if (i.operation === "constant" && Object.is(i.constant, 0)) {
      s.emit("fldz");
      return;
    }
    if (i.operation === "constant" && i.constant === 1) {
      s.emit("fld1");
      return;
    }
    // Exact operations need no rounding in between.
    if (!this.slots.has(i) && s.isFoldable(i)) {
      if (i.operation === "neg" || i.operation === "abs") {
        this.push(i.operands[0]);
        s.emit(i.operation === "neg" ? "fchs" : "fabs");
        return;
      }
      if (i.operation === "promote") {
        this.push(i.operands[0]);
        return;
      }
      if (i.operation === "convertS" && i.type === "f64") {
        this.pushInteger(i.operands[0]);
        return;
      }
    }
    s.emit("fld", [this.operand(i)]);
  }

  private pushInteger(i: Instruction): void {
    const { s } = this;
    if (i.operation === "load" && i.width === 4 && s.isFoldableLoad(i)) {
      s.emit("fild", [s.memoryOf(i, 4)]);
      return;
    }
    const slot = s.newSlot(4);
    s.emit("mov", [slotMemory(slot, 4), s.use(i)]);
    s.emit("fild", [slotMemory(slot, 4)]);
  }

  private pop(to: MemoryReference): void {
    this.s.emit("fstp", [to]);
  }

  /** Emits the code of an instruction with a float result; false when it belongs to `select.ts` (calls, effects). */
  instruction(i: Instruction): boolean {
    switch (i.operation) {
      case "call":
      case "callIndirect":
      case "callImport":
      case "intrinsic":
        return false;
      case "constant":
      case "parameter":
        return true;
      default:
    }
    if (!this.slots.has(i)) return true;
    this.value(i);
    return true;
  }

  private value(i: Instruction): void {
    const { s } = this;
    const [x, y] = i.operands;
    const to = this.home(i);
    const op = arithmetic[i.operation];
    if (op) {
      if (i.type === "f64" && (i.operation === "mul" || i.operation === "div")) {
        const [a, b] = [this.operand(x), this.operand(y)];
        s.emit("fld", [a]);
        s.emit(op, [b]);
        this.pop(to);
        if (mayBeTiny(i))
          s.emit(i.operation === "mul" ? "fixTinyProduct" : "fixTinyQuotient", [s.temporary(), to, a, b]);
        return;
      }
      this.push(x);
      s.emit(op, [this.operand(y)]);
      this.pop(to);
      return;
    }
    const routine = routines[i.operation];
    if (routine) {
      for (const operand of i.operands) this.push(operand);
      s.callRoutine(routine, 0, 1 << EAX);
      this.pop(to);
      return;
    }
    switch (i.operation) {
      case "load":
        s.emit("fld", [s.memoryOf(i, sizeOf(i.type))]);
        this.pop(to);
        return;
      case "neg":
      case "abs":
        this.push(x);
        s.emit(i.operation === "neg" ? "fchs" : "fabs");
        this.pop(to);
        return;
      case "sqrt":
        this.push(x);
        s.emit("fsqrt");
        this.pop(to);
        return;
      case "promote":
      case "demote":
        this.push(x);
        this.pop(to);
        return;
      case "copysign": {
        const [a, b] = [this.operand(x), this.operand(y)];
        const top = sizeOf(i.type) - 4;
        const t = s.temporary();
        const sign = s.temporary();
        s.emit("mov", [t, within(a, 4, top)]);
        s.emit("mov", [sign, within(b, 4, top)]);
        s.emit("and", [t, immediate(0x7fffffff)]);
        s.emit("and", [sign, immediate(0x80000000)]);
        s.emit("or", [t, sign]);
        if (top > 0) {
          const low = s.temporary();
          s.emit("mov", [low, within(a, 4)]);
          s.emit("mov", [within(to, 4), low]);
        }
        s.emit("mov", [within(to, 4, top), t]);
        return;
      }
      case "select": {
        const [condition, then, otherwise] = i.operands;
        const c = s.condition(condition);
        s.emit("fld", [this.lasting(otherwise)]);
        s.emit("replaceIf", [this.lasting(then)], { condition: c });
        this.pop(to);
        return;
      }
      case "convertS":
        this.pushInteger(x);
        this.pop(to);
        return;
      case "convertU": {
        const slot = s.newSlot(8);
        s.emit("mov", [slotMemory(slot, 4), s.use(x)]);
        s.emit("mov", [slotMemory(slot, 4, 4), immediate(0)]);
        s.emit("fild", [slotMemory(slot, 8)]);
        this.pop(to);
        return;
      }
      case "convertWideS": {
        const slot = this.words(x, y);
        s.emit("fild", [slotMemory(slot, 8)]);
        this.pop(to);
        return;
      }
      case "convertWideU":
        s.emit("push", [s.useAny(y)]);
        s.emit("push", [s.useAny(x)]);
        s.callRoutine(
          i.type === "f32" ? "$fromUnsigned64ToSingle" : "$fromUnsigned64ToDouble",
          0,
          callerSaved,
        );
        s.emit("dropArguments", [immediate(8)]);
        this.pop(to);
        return;
      case "reinterpret":
        s.emit("mov", [within(to, 4), s.use(x)]);
        return;
      case "fromBits":
        s.emit("mov", [within(to, 4), s.use(x)]);
        s.emit("mov", [within(to, 4, 4), s.use(y)]);
        return;
      default:
        s.fail(`no i386 code for ${i.type} ${i.operation}`);
    }
  }

  /** A place that stays valid between a comparison and a conditional load. */
  private lasting(i: Instruction): MemoryReference {
    return i.operation === "constant" ? this.constant(i) : this.home(i);
  }

  private words(low: Instruction, high: Instruction): Slot {
    const slot = this.s.newSlot(8);
    this.s.emit("mov", [slotMemory(slot, 4), this.s.use(low)]);
    this.s.emit("mov", [slotMemory(slot, 4, 4), this.s.use(high)]);
    return slot;
  }

  /**
   * Flags of a comparison. The x87 sets carry for "st(0) below operand" and all of zero, parity and carry for unordered,
   * so "above" and "above or equal" are false for NaNs; less-than exchanges its operands to use them.
   */
  compare(i: Instruction): Condition {
    const { s } = this;
    const [x, y] = i.operands;
    const swap = i.operation === "lt" || i.operation === "le";
    this.push(swap ? y : x);
    s.emit("fcomp", [this.operand(swap ? x : y)]);
    if (i.operation === "eq" || i.operation === "ne") {
      s.emit("equalFlags", [], { writes: 1 << EAX });
      return i.operation === "eq" ? "e" : "ne";
    }
    s.emit("orderFlags", [], { writes: 1 << EAX });
    return i.operation === "lt" || i.operation === "gt" ? "a" : "ae";
  }

  /** Float to integer: conversions and bits; the results are in registers. */
  toInteger(i: Instruction): void {
    const { s } = this;
    const [x] = i.operands;
    if (i.operation === "reinterpret") {
      s.emit("mov", [s.destination(i), this.operand(x)]);
      return;
    }
    if (i.operation === "bitsOf") {
      const m = this.operand(x);
      s.emit("mov", [s.destination(i), within(m, 4)]);
      s.emit("mov", [s.highDestination(i), within(m, 4, 4)]);
      return;
    }
    this.push(x);
    s.callRoutine(integerRoutines[i.operation]!, 0, (1 << EAX) | (1 << EDX));
    s.takeResults(i);
  }

  store(i: Instruction, value: Instruction): void {
    this.storeAt(this.s.memoryOf(i, sizeOf(value.type)), value);
  }

  storeAt(to: MemoryReference, value: Instruction): void {
    const { s } = this;
    if (value.operation === "constant") {
      for (const [n, word] of this.bits(value).entries())
        s.emit("mov", [within(to, 4, 4 * n), immediate(word)]);
      return;
    }
    this.push(value);
    this.pop(to);
  }

  private bits(i: Instruction): number[] {
    const value = i.constant as number;
    return i.type === "f32"
      ? [...new Int32Array(new Float32Array([value]).buffer)]
      : [...new Int32Array(new Float64Array([value]).buffer)];
  }

  pushArgument(i: Instruction): number {
    const { s } = this;
    const size = sizeOf(i.type);
    if (i.operation === "constant") {
      for (const word of this.bits(i).reverse()) s.emit("push", [immediate(word)]);
      return size;
    }
    const m = this.operand(i);
    if (size === 8) s.emit("push", [within(m, 4, 4)]);
    s.emit("push", [within(m, 4)]);
    return size;
  }

  /** The result of a call, which is on the x87 stack. */
  takeResult(i: Instruction): void {
    if (this.slots.has(i)) this.pop(this.home(i));
    else this.s.emit("fstp0");
  }

  phiCopies(phis: readonly Instruction[], edge: number): void {
    const { s } = this;
    const bySlot = new Map<number, { slot: Slot; size: 4 | 8 }>();
    const place = (i: Instruction) => {
      const slot = this.slotOf(i);
      bySlot.set(slot.id, { slot, size: sizeOf(i.type) });
      return slot.id;
    };
    type Source = { readonly constant: Instruction } | { readonly place: number };
    const copies = phis.map((phi) => {
      const value = phi.operands[edge];
      const from: Source = value.operation === "constant" ? { constant: value } : { place: place(value) };
      return { to: place(phi), from };
    });
    sequence<Source>(
      copies,
      (from) => ("place" in from ? from.place : undefined),
      () => {
        const slot = s.newSlot(8);
        bySlot.set(slot.id, { slot, size: 8 });
        return slot.id;
      },
      (id) => ({ place: id }),
      (to, from) => {
        const target = bySlot.get(to)!;
        if ("constant" in from) {
          this.push(from.constant);
          return this.pop(slotMemory(target.slot, target.size));
        }
        const source = bySlot.get(from.place)!;
        s.emit("fld", [slotMemory(source.slot, source.size)]);
        this.pop(slotMemory(target.slot, target.size));
      },
    );
  }
}
