/**
 * Integer values and stores: two-address code with the operand that dies first, sums as LEA, operations on memory,
 * multiplication and division with their fixed registers. Over 300 lines because it is one match over all operations.
 */
import type { Instruction, Operation } from "../ir/instructions.ts";
import { callerSaved, EAX, ECX, EDX, immediate, type RegisterOperand, register, slotMemory } from "./code.ts";
import type { Selector } from "./select.ts";
import { isFloat } from "./select-float.ts";

const binary: Partial<Record<Operation, string>> = {
  add: "add",
  sub: "sub",
  and: "and",
  or: "or",
  xor: "xor",
};

const shifts: Partial<Record<Operation, string>> = {
  shl: "shl",
  shrS: "sar",
  shrU: "shr",
  rotl: "rol",
  rotr: "ror",
};

const commutative = new Set<Operation>(["add", "and", "or", "xor", "mul"]);

export class IntegerSelector {
  private readonly s: Selector;

  constructor(selector: Selector) {
    this.s = selector;
  }

  value(i: Instruction): void {
    const [x, y] = i.operands;
    const shift = shifts[i.operation];
    if (shift) {
      this.shift(i, shift, x, y);
      return;
    }
    if (binary[i.operation]) {
      this.binary(i);
      return;
    }
    switch (i.operation) {
      case "parameter": {
        const d = this.s.destination(i);
        const slot = this.s.argumentSlot(i.offset, 4);
        if (!this.s.argumentsInPlace.has(slot)) this.s.out.argumentHomes.set(d.id, slot);
        this.s.emit("mov", [d, slotMemory(slot, 4)]);
        return;
      }
      case "load": {
        const op = i.width === 4 ? "mov" : i.signed ? "movsx" : "movzx";
        this.s.emit(op, [this.s.destination(i), this.s.memoryOf(i, i.width)]);
        return;
      }
      case "mul":
        this.multiply(i, x, y);
        return;
      case "clz":
      case "ctz":
        this.s.emit(i.operation === "clz" ? "countLeading" : "countTrailing", [
          this.s.destination(i),
          this.s.useRegisterOrMemory(x),
        ]);
        return;
      case "popcnt":
        this.s.emit("mov", [register(EAX), this.s.useAny(x)]);
        this.s.callRoutine("$populationCount", 1 << EAX, callerSaved);
        this.s.emit("mov", [this.s.destination(i), register(EAX)]);
        return;
      case "extend8S":
      case "extend16S": {
        const size = i.operation === "extend8S" ? 1 : 2;
        const d = this.s.destination(i);
        if (this.s.isFoldableLoad(x) && x.width >= size) this.s.emit("movsx", [d, this.s.memoryOf(x, size)]);
        else this.s.emit("movsx", [d, register(this.s.useRegister(x).id, size)]);
        return;
      }
      case "select": {
        const [condition, then, otherwise] = i.operands;
        const d = this.s.destination(i);
        const c = this.s.condition(condition);
        this.s.emit("mov", [d, this.s.use(otherwise)]);
        this.s.emit("moveIf", [d, this.s.use(then)], { condition: c });
        return;
      }
      case "addWide":
      case "subWide": {
        const [xl, xh, yl, yh] = i.operands;
        const [low, high] = [this.s.destination(i), this.s.highDestination(i)];
        const [first, second] = i.operation === "addWide" ? ["add", "adc"] : ["sub", "sbb"];
        this.s.emit("mov", [low, this.s.useAny(xl)]);
        this.s.emit("mov", [high, this.s.useAny(xh)]);
        this.s.emit(first, [low, this.s.useAny(yl)]);
        this.s.emit(second, [high, this.s.useAny(yh)]);
        return;
      }
      case "mulWideU":
      case "mulWideS": {
        if (!this.s.wantsHigh(i)) {
          this.multiply(i, x, y);
          return;
        }
        const writes = (1 << EAX) | (1 << EDX);
        this.s.emit("mov", [register(EAX), this.s.useAny(x)]);
        this.s.emit(i.operation === "mulWideU" ? "mul" : "imulWide", [this.s.useRegisterOrMemory(y)], {
          reads: 1 << EAX,
          writes,
        });
        this.s.takeResults(i);
        return;
      }
      case "shlWide":
      case "shrSWide":
      case "shrUWide":
      case "rotlWide": {
        const [low, high] = [this.s.destination(i), this.s.highDestination(i)];
        this.s.emit("mov", [low, this.s.useAny(x)]);
        this.s.emit("mov", [high, this.s.useAny(y)]);
        this.s.emit("mov", [register(ECX), this.s.useAny(i.operands[2])]);
        this.s.emit(i.operation, [low, high], {
          reads: 1 << ECX,
          writes: i.operation === "rotlWide" ? 1 << EAX : 0,
        });
        return;
      }
      case "funnel": {
        const d = this.s.destination(i);
        this.s.emit("mov", [d, this.s.useAny(x)]);
        this.s.emit("shld", [d, this.s.useRegister(y), immediate(i.offset)]);
        return;
      }
      case "reinterpret":
      case "bitsOf":
      case "saturateS":
      case "saturateU":
      case "saturateWideS":
      case "saturateWideU":
        this.s.floats.toInteger(i);
        return;
      default:
        this.s.fail(`no i386 code for ${i.operation}`);
    }
  }

  private binary(i: Instruction): void {
    let [x, y] = i.operands;
    const d = this.s.destination(i);
    if (i.operation === "add" && this.addByAddress(i, d)) return;
    if (i.operation === "sub" && x.operation === "constant" && x.constant === 0) {
      this.s.emit("mov", [d, this.s.useAny(y)]);
      this.s.emit("neg", [d]);
      return;
    }
    if (i.operation === "xor" && y.operation === "constant" && y.constant === -1) {
      this.s.emit("mov", [d, this.s.useAny(x)]);
      this.s.emit("not", [d]);
      return;
    }
    if (commutative.has(i.operation) && this.prefersSwap(x, y)) [x, y] = [y, x];
    this.s.emit("mov", [d, this.s.useAny(x)]);
    this.s.emit(binary[i.operation]!, [d, this.s.useAny(y)]);
  }

  /** In two-address code the first operand should be the one that nobody needs afterwards, the second may be memory. */
  private prefersSwap(x: Instruction, y: Instruction): boolean {
    if (y.operation === "constant" || y.operation === "address") return false;
    if (x.operation === "constant" || x.operation === "address") return true;
    if (this.s.isFoldableLoad(x) && !this.s.isFoldableLoad(y)) return true;
    return this.s.uses(y) === 1 && this.s.uses(x) > 1 && !this.s.isFoldableLoad(y);
  }

  /** Sums with a scaled part or three parts are one LEA. */
  private addByAddress(i: Instruction, d: RegisterOperand): boolean {
    const [x, y] = i.operands;
    if (y.operation === "constant") {
      if (x.operation !== "add" || !this.s.isFoldable(x)) return false;
      const inner = x.operands;
      if (inner[1].operation === "constant" || inner[1].operation === "address") return false;
      this.s.emit("lea", [d, this.s.address(x, undefined, y.constant as number, 0)]);
      return true;
    }
    if (y.operation === "address") {
      this.s.emit("lea", [d, this.s.address(x, y.symbol, y.offset, 0)]);
      return true;
    }
    for (const [index, other] of [
      [y, x],
      [x, y],
    ]) {
      if (!this.s.isFoldable(index)) continue;
      const scaled = this.s.scaled(index);
      if (!scaled || other.operation === "constant") continue;
      const base = this.s.useRegister(other).id;
      const { value, scale } = scaled;
      this.s.emit("lea", [
        d,
        {
          kind: "memory",
          base,
          index: this.s.useRegister(value).id,
          scale,
          displacement: 0,
          symbol: undefined,
          slot: undefined,
          size: 0,
        },
      ]);
      return true;
    }
    return false;
  }

  private shift(i: Instruction, op: string, x: Instruction, y: Instruction): void {
    const d = this.s.destination(i);
    this.s.emit("mov", [d, this.s.useAny(x)]);
    if (y.operation === "constant") {
      this.s.emit(op, [d, immediate((y.constant as number) & 31)]);
      return;
    }
    this.s.emit("mov", [register(ECX), this.s.useAny(y)]);
    this.s.emit(op, [d, register(ECX, 1)]);
  }

  private multiply(i: Instruction, x: Instruction, y: Instruction): void {
    const d = this.s.destination(i);
    if (y.operation === "constant") {
      this.s.emit("imulConstant", [d, this.s.useRegisterOrMemory(x), this.s.use(y)]);
      return;
    }
    if (this.prefersSwap(x, y)) [x, y] = [y, x];
    this.s.emit("mov", [d, this.s.useAny(x)]);
    this.s.emit("imul", [d, this.s.useRegisterOrMemory(y)]);
  }

  divide(i: Instruction): void {
    const [x, y] = i.operands;
    const pair = (1 << EAX) | (1 << EDX);
    const signed = i.operation === "divS" || i.operation === "remS";
    const remainder = i.operation === "remS" || i.operation === "remU";
    this.s.emit("mov", [register(EAX), this.s.useAny(x)]);
    const divisor = this.s.useRegisterOrMemory(y);
    if (i.operation === "remS" && y.operation !== "constant") {
      this.s.emit("cdq", [], { reads: 1 << EAX, writes: 1 << EDX });
      this.s.emit("remainderSigned", [divisor], { reads: pair, writes: pair });
    } else if (signed) {
      this.s.emit("cdq", [], { reads: 1 << EAX, writes: 1 << EDX });
      this.s.emit("idiv", [divisor], { reads: pair, writes: pair });
    } else {
      this.s.emit("zero", [register(EDX)]);
      this.s.emit("div", [divisor], { reads: pair, writes: pair });
    }
    if (this.s.isWanted(i)) this.s.emit("mov", [this.s.destination(i), register(remainder ? EDX : EAX)]);
  }

  store(i: Instruction): void {
    const value = i.operands[i.operands.length - 1];
    if (isFloat(value.type)) {
      this.s.floats.store(i, value);
      return;
    }
    if (this.updateInPlace(i, value)) return;
    const memory = this.s.memoryOf(i, i.width);
    if (value.operation === "constant") {
      const bits = i.width * 8;
      const v = value.constant as number;
      this.s.emit("mov", [memory, immediate(bits >= 32 ? v : (v << (32 - bits)) >> (32 - bits))]);
      return;
    }
    if (value.operation === "address" && i.width === 4) {
      this.s.emit("mov", [memory, this.s.use(value)]);
      return;
    }
    this.s.emit("mov", [memory, register(this.s.useRegister(value).id, i.width as 1 | 2 | 4)]);
  }

  /** `store(p, load(p) op y)` is one instruction on memory. */
  private updateInPlace(i: Instruction, value: Instruction): boolean {
    const op = binary[value.operation];
    if (!op || !this.s.isFoldable(value)) return false;
    const [x, y] = value.operands;
    const same = (load: Instruction) =>
      this.s.isFoldableLoad(load) &&
      load.width === i.width &&
      load.symbol === i.symbol &&
      load.offset === i.offset &&
      load.operands.length === i.operands.length - 1 &&
      load.operands.every((operand, n) => operand === i.operands[n]);
    let other: Instruction;
    if (same(x)) other = y;
    else if (same(y) && commutative.has(value.operation)) other = x;
    else return false;
    if (other.operation === "load" && other === (same(x) ? x : y)) return false;
    const memory = this.s.memoryOf(i, i.width);
    if (other.operation === "constant") {
      const bits = i.width * 8;
      const v = other.constant as number;
      this.s.emit(op, [memory, immediate(bits >= 32 ? v : (v << (32 - bits)) >> (32 - bits))]);
    } else if (other.operation === "address" && i.width === 4) this.s.emit(op, [memory, this.s.use(other)]);
    else this.s.emit(op, [memory, register(this.s.useRegister(other).id, i.width as 1 | 2 | 4)]);
    return true;
  }
}
