/**
 * Conditions of branches, selections and truth values: each comparison becomes what sets the flags, and the i386
 * condition that then holds. A comparison is emitted again for every user, which costs less than a register for its
 * value; loads go into it only where the load has no other user.
 */
import type { Condition } from "@rialto/machine/i386/instruction.ts";
import { swappedComparison } from "../ir/fold.ts";
import { type Instruction, isComparison, type Operation } from "../ir/instructions.ts";
import { immediate } from "./code.ts";
import type { Selector } from "./select.ts";
import { isFloat } from "./select-float.ts";

/** i386 condition of an integer comparison. */
const conditions: Partial<Record<Operation, Condition>> = {
  eq: "e",
  ne: "ne",
  ltS: "l",
  ltU: "b",
  gtS: "g",
  gtU: "a",
  leS: "le",
  leU: "be",
  geS: "ge",
  geU: "ae",
};

const inverse: Record<Condition, Condition> = {
  o: "no",
  no: "o",
  b: "ae",
  ae: "b",
  e: "ne",
  ne: "e",
  be: "a",
  a: "be",
  s: "ns",
  ns: "s",
  p: "np",
  np: "p",
  l: "ge",
  ge: "l",
  le: "g",
  g: "le",
};

const unsignedOf: Partial<Record<Operation, Operation>> = { ltS: "ltU", gtS: "gtU", leS: "leU", geS: "geU" };

export class ConditionSelector {
  private readonly s: Selector;

  constructor(selector: Selector) {
    this.s = selector;
  }

  /** Emits what sets the flags and says under which condition `i` is not zero. */
  condition(i: Instruction): Condition {
    if (this.s.hasRegister(i) && !isComparison(i.operation)) {
      const r = this.s.use(i);
      this.s.emit("test", [r, r]);
      return "ne";
    }
    if (!isComparison(i.operation)) return this.compareWithZero(i, "ne");
    const [x, y] = i.operands;
    if (i.operation === "lessWideS" || i.operation === "lessWideU") {
      const [xl, xh, yl, yh] = i.operands;
      const t = this.s.temporary();
      this.s.emit("mov", [t, this.s.useAny(xh)]);
      this.s.emit("cmp", [this.s.useRegister(xl), this.s.useAny(yl)]);
      this.s.emit("sbb", [t, this.s.useAny(yh)]);
      return i.operation === "lessWideS" ? "l" : "b";
    }
    if (isFloat(x.type)) return this.s.floats.compare(i);
    if (y.operation === "constant" && y.constant === 0) {
      if ((i.operation === "eq" || i.operation === "ne") && isComparison(x.operation)) {
        const c = this.condition(x);
        return i.operation === "eq" ? inverse[c] : c;
      }
      return this.compareWithZero(x, i.operation);
    }
    return this.compareIntegers(i.operation, x, y);
  }

  private compareWithZero(x: Instruction, operation: Operation): Condition {
    const sign: Partial<Record<Operation, Condition>> = { ltS: "s", geS: "ns" };
    const condition = sign[operation] ?? conditions[operation]!;
    if (x.operation === "and" && this.s.isFoldable(x)) {
      const [a, b] = x.operands;
      if (b.operation === "constant" && this.s.isFoldableLoad(a)) {
        const mask = b.constant as number;
        const small = a.width === 1 || mask >>> 8 === 0;
        if (condition === "e" || condition === "ne") {
          if (small && mask >>> 8 === 0)
            this.s.emit("test", [this.s.memoryOf(a, 1), immediate((mask << 24) >> 24)]);
          else if (a.width === 4) this.s.emit("test", [this.s.memoryOf(a, 4), immediate(mask)]);
          else this.s.emit("test", [this.s.useRegister(a), immediate(mask)]);
          return condition;
        }
      }
      this.s.emit("test", [this.s.useRegister(a), this.s.use(b)]);
      return condition;
    }
    if (this.s.isFoldableLoad(x) && (x.width === 4 || operation === "eq" || operation === "ne")) {
      this.s.emit("cmp", [this.s.memoryOf(x, x.width), immediate(0)]);
      return condition;
    }
    const memory = this.s.foldedMemory(x);
    if (memory) this.s.emit("cmp", [memory, immediate(0)]);
    else {
      const r = this.s.useRegister(x);
      this.s.emit("test", [r, r]);
    }
    return condition;
  }

  private compareIntegers(operation: Operation, x: Instruction, y: Instruction): Condition {
    if (y.operation === "constant" && this.s.isFoldableLoad(x) && x.width < 4 && !x.signed) {
      const value = y.constant as number;
      const bits = x.width * 8;
      if (value >>> 0 < 2 ** bits) {
        // Both sides are zero-extended: a signed comparison of the words is an unsigned one of the narrow values.
        this.s.emit("cmp", [this.s.memoryOf(x, x.width), immediate((value << (32 - bits)) >> (32 - bits))]);
        return conditions[unsignedOf[operation] ?? operation]!;
      }
    }
    const xMemory = this.s.foldedMemory(x);
    if (xMemory) {
      this.s.emit("cmp", [xMemory, this.s.use(y)]);
      return conditions[operation]!;
    }
    if (x.operation === "constant" || x.operation === "address") {
      const swapped = swappedComparison[operation]!;
      if (y.operation !== "constant" && y.operation !== "address") {
        this.s.emit("cmp", [this.s.useAny(y), this.s.use(x)]);
        return conditions[swapped]!;
      }
    }
    this.s.emit("cmp", [this.s.useRegister(x), this.s.useAny(y)]);
    return conditions[operation]!;
  }
}
