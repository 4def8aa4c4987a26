/**
 * Rewrites a routine for a 32-bit machine: every i64 value becomes two i32 values. Block by block a new list of
 * instructions is made; `low` and `high` map old values to their words. Phis are made first, so that loops find them.
 * Division and counting that no machine does in a few instructions become calls of the back end's own routines, whose
 * names start with "$" and whose operands and results are passed as C would.
 */
import { Builder } from "./build.ts";
import {
  applyReplacements,
  type Block,
  type Instruction,
  isCall,
  type Operation,
  type Routine,
  resolve,
} from "./instructions.ts";

const divisions: Partial<Record<Operation, string>> = {
  divS: "$divideSigned64",
  divU: "$divideUnsigned64",
  remS: "$remainderSigned64",
  remU: "$remainderUnsigned64",
};

export function legalise(routine: Routine): void {
  new Legaliser(routine).run();
}

class Legaliser {
  private readonly routine: Routine;
  private readonly b: Builder;
  private readonly low = new Map<Instruction, Instruction>();
  private readonly high = new Map<Instruction, Instruction>();
  private readonly oldPhis: Instruction[] = [];

  constructor(routine: Routine) {
    this.routine = routine;
    this.b = new Builder(routine, routine.blocks[0]);
  }

  run(): void {
    const { routine, b } = this;
    for (const block of routine.blocks) this.splitPhis(block);
    for (const block of routine.blocks) {
      const old = block.instructions;
      block.instructions = [];
      b.block = block;
      for (const i of old) {
        b.position = i.position;
        this.instruction(i);
      }
      const t = block.terminator;
      if (t.kind === "return" && routine.result === "i64") {
        t.values = [this.lowOf(t.values[0]), this.highOf(t.values[0])];
      }
    }
    for (const phi of this.oldPhis) {
      this.low.get(phi)!.operands = phi.operands.map((v) => this.lowOf(v));
      this.high.get(phi)!.operands = phi.operands.map((v) => this.highOf(v));
    }
    applyReplacements(routine);
  }

  private splitPhis(block: Block): void {
    const phis = block.phis.slice();
    block.phis.length = 0;
    for (const phi of phis) {
      if (phi.type !== "i64") {
        block.phis.push(phi);
        continue;
      }
      this.oldPhis.push(phi);
      this.low.set(phi, this.b.phi("i32", block));
      this.high.set(phi, this.b.phi("i32", block));
    }
  }

  private lowOf(i: Instruction): Instruction {
    const value = this.low.get(i);
    if (!value) throw new Error(`no low word of %${i.id} (${i.operation})`);
    return value;
  }

  private highOf(i: Instruction): Instruction {
    const value = this.high.get(i);
    if (!value) throw new Error(`no high word of %${i.id} (${i.operation})`);
    return value;
  }

  private pair(i: Instruction, low: Instruction, high: Instruction): void {
    this.low.set(i, low);
    this.high.set(i, high);
  }

  /** A wide operation and its high word. */
  private wide(
    i: Instruction,
    operation: Operation,
    operands: Instruction[],
    attributes: { symbol?: string | undefined } = {},
  ): void {
    const low = this.b.make(operation, "i32", operands, { ...attributes, wide: true });
    this.pair(i, low, this.b.make("high", "i32", [low]));
  }

  /** Operands with i64 values as two words, the low one first: how a call passes them. */
  private words(operands: readonly Instruction[]): Instruction[] {
    return operands.flatMap((v) => (v.type === "i64" ? [this.lowOf(v), this.highOf(v)] : [v]));
  }

  private replace(i: Instruction, by: Instruction): void {
    i.replacement = by;
  }

  private instruction(i: Instruction): void {
    const { b } = this;
    for (let n = 0; n < i.operands.length; n++) i.operands[n] = resolve(i.operands[n]);
    if (i.operation === "parameter") {
      this.parameter(i);
      return;
    }
    const takesLong = i.operands.some((v) => v.type === "i64");
    if (i.type !== "i64" && !takesLong) {
      this.b.block.instructions.push(i);
      return;
    }
    if (isCall(i.operation) || i.operation === "intrinsic") {
      const operands = this.words(i.operands);
      const attributes = { symbol: i.symbol };
      if (i.type === "i64") this.wide(i, i.operation, operands, attributes);
      else this.replace(i, b.make(i.operation, i.type, operands, attributes));
      return;
    }
    if (i.type === "i64") this.long(i);
    else this.fromLong(i);
  }

  private parameter(i: Instruction): void {
    const { b } = this;
    let word = 0;
    for (const type of this.routine.parameters.slice(0, i.offset))
      word += type === "i64" || type === "f64" ? 2 : 1;
    if (i.type === "i64") {
      this.pair(
        i,
        b.make("parameter", "i32", [], { offset: word }),
        b.make("parameter", "i32", [], { offset: word + 1 }),
      );
    } else {
      i.offset = word;
      b.block.instructions.push(i);
    }
  }

  /** Instructions that take i64 and yield something else. */
  private fromLong(i: Instruction): void {
    const { b } = this;
    const [x, y] = i.operands;
    switch (i.operation) {
      case "wrap":
        this.replace(i, this.lowOf(x));
        return;
      case "store": {
        const value = i.operands[i.operands.length - 1];
        const address = i.operands.slice(0, -1);
        const { symbol, offset } = i;
        if (i.width === 8) {
          const width = 4;
          b.make("store", "void", [...address, this.lowOf(value)], { symbol, offset, width });
          b.make("store", "void", [...address, this.highOf(value)], {
            symbol,
            offset: (offset + 4) | 0,
            width,
          });
        } else b.make("store", "void", [...address, this.lowOf(value)], { symbol, offset, width: i.width });
        return;
      }
      case "home":
        b.make("home", "void", [this.lowOf(x)], { offset: i.offset });
        b.make("home", "void", [this.highOf(x)], { offset: i.offset, wide: true });
        return;
      case "convertS":
        this.replace(i, b.make("convertWideS", i.type, [this.lowOf(x), this.highOf(x)]));
        return;
      case "convertU":
        this.replace(i, b.make("convertWideU", i.type, [this.lowOf(x), this.highOf(x)]));
        return;
      case "reinterpret":
        this.replace(i, b.make("fromBits", "f64", [this.lowOf(x), this.highOf(x)]));
        return;
      default:
        this.replace(i, this.compare(i.operation, x, y));
        return;
    }
  }

  private compare(operation: Operation, x: Instruction, y: Instruction): Instruction {
    const { b } = this;
    const [xl, xh, yl, yh] = [this.lowOf(x), this.highOf(x), this.lowOf(y), this.highOf(y)];
    const less = (signed: boolean, swap: boolean) => {
      // Only the sign word decides a comparison with zero.
      if (signed && !swap && y.operation === "constant" && y.constant === 0n) {
        return b.make("ltS", "i32", [xh, b.i32(0)]);
      }
      const operands = swap ? [yl, yh, xl, xh] : [xl, xh, yl, yh];
      return b.make(signed ? "lessWideS" : "lessWideU", "i32", operands);
    };
    const not = (value: Instruction) => b.make("eq", "i32", [value, b.i32(0)]);
    switch (operation) {
      case "eq":
      case "ne": {
        const difference = b.make("or", "i32", [
          b.make("xor", "i32", [xl, yl]),
          b.make("xor", "i32", [xh, yh]),
        ]);
        return b.make(operation, "i32", [difference, b.i32(0)]);
      }
      case "ltS":
        return less(true, false);
      case "ltU":
        return less(false, false);
      case "gtS":
        return less(true, true);
      case "gtU":
        return less(false, true);
      case "geS":
        return not(less(true, false));
      case "geU":
        return not(less(false, false));
      case "leS":
        return not(less(true, true));
      case "leU":
        return not(less(false, true));
      default:
        throw new Error(`no legal form of ${operation}`);
    }
  }

  private long(i: Instruction): void {
    const { b } = this;
    const [x, y] = i.operands;
    switch (i.operation) {
      case "constant": {
        const value = i.constant as bigint;
        this.pair(i, b.i32(Number(BigInt.asIntN(32, value))), b.i32(Number(BigInt.asIntN(32, value >> 32n))));
        return;
      }
      case "load":
        this.load(i);
        return;
      case "extendS":
        this.pair(i, x, b.make("shrS", "i32", [x, b.i32(31)]));
        return;
      case "extendU":
        this.pair(i, x, b.i32(0));
        return;
      case "extend8S":
      case "extend16S": {
        const low = b.make(i.operation, "i32", [this.lowOf(x)]);
        this.pair(i, low, b.make("shrS", "i32", [low, b.i32(31)]));
        return;
      }
      case "extend32S":
        this.pair(i, this.lowOf(x), b.make("shrS", "i32", [this.lowOf(x), b.i32(31)]));
        return;
      case "truncateS":
        this.wide(i, "truncateWideS", [x]);
        return;
      case "truncateU":
        this.wide(i, "truncateWideU", [x]);
        return;
      case "saturateS":
        this.wide(i, "saturateWideS", [x]);
        return;
      case "saturateU":
        this.wide(i, "saturateWideU", [x]);
        return;
      case "reinterpret":
        this.wide(i, "bitsOf", [x]);
        return;
      case "select": {
        const [condition, then, otherwise] = i.operands;
        this.pair(
          i,
          b.make("select", "i32", [condition, this.lowOf(then), this.lowOf(otherwise)]),
          b.make("select", "i32", [condition, this.highOf(then), this.highOf(otherwise)]),
        );
        return;
      }
      case "clz":
      case "ctz": {
        const [first, second] =
          i.operation === "clz" ? [this.highOf(x), this.lowOf(x)] : [this.lowOf(x), this.highOf(x)];
        const beyond = b.make("add", "i32", [b.make(i.operation, "i32", [second]), b.i32(32)]);
        const count = b.make("select", "i32", [first, b.make(i.operation, "i32", [first]), beyond]);
        this.pair(i, count, b.i32(0));
        return;
      }
      case "popcnt": {
        const count = b.make("add", "i32", [
          b.make("popcnt", "i32", [this.lowOf(x)]),
          b.make("popcnt", "i32", [this.highOf(x)]),
        ]);
        this.pair(i, count, b.i32(0));
        return;
      }
      case "and":
      case "or":
      case "xor":
        this.pair(
          i,
          b.make(i.operation, "i32", [this.lowOf(x), this.lowOf(y)]),
          b.make(i.operation, "i32", [this.highOf(x), this.highOf(y)]),
        );
        return;
      case "add":
      case "sub":
        this.sum(i);
        return;
      case "mul":
        this.product(i);
        return;
      case "divS":
      case "divU":
      case "remS":
      case "remU":
        this.wide(i, "call", this.words([x, y]), { symbol: divisions[i.operation] });
        return;
      case "shl":
      case "shrS":
      case "shrU":
      case "rotl":
      case "rotr":
        this.shift(i);
        return;
      default:
        throw new Error(`no legal form of ${i.operation}`);
    }
  }

  private load(i: Instruction): void {
    const { b } = this;
    const { symbol, offset } = i;
    const address = i.operands;
    if (i.width === 8) {
      const low = b.make("load", "i32", address.slice(), { symbol, offset });
      const high = b.make("load", "i32", address.slice(), { symbol, offset: (offset + 4) | 0 });
      this.pair(i, low, high);
      return;
    }
    const low = b.make("load", "i32", address.slice(), { symbol, offset, width: i.width, signed: i.signed });
    this.pair(i, low, i.signed ? b.make("shrS", "i32", [low, b.i32(31)]) : b.i32(0));
  }

  private sum(i: Instruction): void {
    const { b } = this;
    const [x, y] = i.operands;
    const [xl, xh, yl, yh] = [this.lowOf(x), this.highOf(x), this.lowOf(y), this.highOf(y)];
    // No carry comes out of a low word that is zero.
    if (isZero(yl)) {
      this.pair(i, xl, b.make(i.operation, "i32", [xh, yh]));
      return;
    }
    this.wide(i, i.operation === "add" ? "addWide" : "subWide", [xl, xh, yl, yh]);
  }

  private product(i: Instruction): void {
    const { b } = this;
    const [x, y] = i.operands;
    const [xl, xh, yl, yh] = [this.lowOf(x), this.highOf(x), this.lowOf(y), this.highOf(y)];
    if (isSignWord(xh, xl) && isSignWord(yh, yl)) {
      this.wide(i, "mulWideS", [xl, yl]);
      return;
    }
    const low = b.make("mulWideU", "i32", [xl, yl], { wide: true });
    let high = b.make("high", "i32", [low]);
    high = b.make("add", "i32", [high, b.make("mul", "i32", [xl, yh])]);
    high = b.make("add", "i32", [high, b.make("mul", "i32", [xh, yl])]);
    this.pair(i, low, high);
  }

  private shift(i: Instruction): void {
    const { b } = this;
    const [x, y] = i.operands;
    const [xl, xh] = [this.lowOf(x), this.highOf(x)];
    if (y.operation === "constant") {
      this.constantShift(i, Number(BigInt.asUintN(6, y.constant as bigint)));
      return;
    }
    let count = this.lowOf(y);
    let operation = `${i.operation}Wide` as Operation;
    if (i.operation === "rotr") {
      count = b.make("sub", "i32", [b.i32(0), count]);
      operation = "rotlWide";
    }
    this.wide(i, operation, [xl, xh, count]);
  }

  private constantShift(i: Instruction, count: number): void {
    const { b } = this;
    const [x] = i.operands;
    let [xl, xh] = [this.lowOf(x), this.highOf(x)];
    const n = count & 31;
    const shifted = (operation: Operation, value: Instruction) => b.make(operation, "i32", [value, b.i32(n)]);
    /** Bits of two adjacent words, moved up by n. */
    const joined = (upper: Instruction, lower: Instruction, by: number) =>
      by === 0 ? upper : b.make("funnel", "i32", [upper, lower], { offset: by });
    switch (i.operation) {
      case "shl":
        if (count >= 32) {
          this.pair(i, b.i32(0), shifted("shl", xl));
          return;
        }
        this.pair(i, shifted("shl", xl), joined(xh, xl, n));
        return;
      case "shrU":
        if (count >= 32) {
          this.pair(i, shifted("shrU", xh), b.i32(0));
          return;
        }
        this.pair(i, n === 0 ? xl : joined(xh, xl, 32 - n), shifted("shrU", xh));
        return;
      case "shrS":
        if (count >= 32) {
          this.pair(i, shifted("shrS", xh), b.make("shrS", "i32", [xh, b.i32(31)]));
          return;
        }
        this.pair(i, n === 0 ? xl : joined(xh, xl, 32 - n), shifted("shrS", xh));
        return;
      default: {
        const left = i.operation === "rotl" ? count : (64 - count) & 63;
        if (left >= 32) [xl, xh] = [xh, xl];
        this.pair(i, joined(xl, xh, left & 31), joined(xh, xl, left & 31));
        return;
      }
    }
  }
}

function isZero(i: Instruction): boolean {
  return i.operation === "constant" && i.constant === 0;
}

/** Whether `high` is the sign of `low` in every bit. */
function isSignWord(high: Instruction, low: Instruction): boolean {
  if (high.operation === "constant" && low.operation === "constant") {
    return high.constant === (low.constant as number) >> 31;
  }
  return (
    high.operation === "shrS" &&
    high.operands[0] === low &&
    high.operands[1].operation === "constant" &&
    high.operands[1].constant === 31
  );
}
