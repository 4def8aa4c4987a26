/**
 * Algebra on single instructions: constants are computed, identities removed, addresses gathered into
 * `symbol + offset`, and operations rewritten to the form that the later passes look for (constants on the right,
 * comparison of a comparison with zero inverted, power-of-two products as shifts). `fold` returns the value that the
 * instruction equals, possibly made by the builder, or undefined when it must stand as it is. Of floats only exact
 * conversions are folded. Over 500 lines because the rules call each other on what they make.
 */
import type { Builder } from "./build.ts";
import { type Instruction, isComparison, type Operation } from "./instructions.ts";

const commutative = new Set<Operation>(["add", "mul", "and", "or", "xor", "eq", "ne"]);

/** The comparison that holds exactly when the given one does not; integers, and floats for eq and ne. */
export const inverseComparison: Partial<Record<Operation, Operation>> = {
  eq: "ne",
  ne: "eq",
  ltS: "geS",
  ltU: "geU",
  gtS: "leS",
  gtU: "leU",
  leS: "gtS",
  leU: "gtU",
  geS: "ltS",
  geU: "ltU",
};

/** The comparison with its operands exchanged. */
export const swappedComparison: Partial<Record<Operation, Operation>> = {
  eq: "eq",
  ne: "ne",
  ltS: "gtS",
  ltU: "gtU",
  gtS: "ltS",
  gtU: "ltU",
  leS: "geS",
  leU: "geU",
  geS: "leS",
  geU: "leU",
};

function isConstant(i: Instruction | undefined): boolean {
  return i?.operation === "constant";
}

function int(i: Instruction): number {
  return i.constant as number;
}

function log2(value: number): number {
  return 31 - Math.clz32(value);
}

function isPowerOfTwo(value: number): boolean {
  const v = value >>> 0;
  return v !== 0 && (v & (v - 1)) === 0;
}

export function fold(i: Instruction, b: Builder): Instruction | undefined {
  const [x, y] = i.operands;
  if (commutative.has(i.operation) && isConstant(x) && !isConstant(y)) {
    i.operands = [y, x];
    return fold(i, b);
  }
  if (
    swappedComparison[i.operation] &&
    x.type !== "f32" &&
    x.type !== "f64" &&
    isConstant(x) &&
    !isConstant(y)
  ) {
    i.operation = swappedComparison[i.operation]!;
    i.operands = [y, x];
    return fold(i, b);
  }
  switch (i.operation) {
    case "load":
    case "store":
      if (i.operation === "store" && i.width < 4) i.operands[i.operands.length - 1] = lowBits(i);
      return foldAddress(i);
    case "select":
      return foldSelect(i, b);
    case "wrap":
      if (isConstant(x)) return b.i32(Number(BigInt.asIntN(32, x.constant as bigint)));
      if (x.operation === "extendS" || x.operation === "extendU") return x.operands[0];
      return undefined;
    case "extendS":
      return isConstant(x) ? b.i64(BigInt(int(x))) : undefined;
    case "extendU":
      return isConstant(x) ? b.i64(BigInt(int(x) >>> 0)) : undefined;
    case "promote":
      return isConstant(x) ? b.constant("f64", x.constant) : undefined;
    case "funnel":
      if (isConstant(x) && isConstant(y)) {
        return b.i32((int(x) << i.offset) | (int(y) >>> (32 - i.offset)));
      }
      if (isConstant(x) && int(x) === 0) return b.make("shrU", "i32", [y, b.i32(32 - i.offset)]);
      if (isConstant(y) && int(y) === 0) return b.make("shl", "i32", [x, b.i32(i.offset)]);
      return undefined;
    default:
  }
  if (i.operands.length === 0) return undefined;
  if (x.type === "i32" && (i.type === "i32" || i.type === "void")) return foldInteger(i, b);
  if (x.type === "i64") return foldLong(i, b);
  return undefined;
}

/** The stored value without what only changes bits that a narrow store drops. */
function lowBits(i: Instruction): Instruction {
  let value = i.operands[i.operands.length - 1];
  const bits = i.width * 8;
  for (;;) {
    if (value.type !== "i32") return value;
    const [x, y] = value.operands;
    const masks = value.operation === "and" && isConstant(y) && (int(y) | (-1 << bits)) === -1;
    const extends_ = value.operation === "extend16S" || (value.operation === "extend8S" && bits === 8);
    if (!(masks || extends_)) return value;
    value = x;
  }
}

/** Moves constants and symbols of the address operand into the instruction. */
function foldAddress(i: Instruction): Instruction | undefined {
  const addressIndex = 0;
  for (;;) {
    const hasAddress = i.operands.length > (i.operation === "store" ? 1 : 0);
    if (!hasAddress) return undefined;
    const address = i.operands[addressIndex];
    if (address.operation === "constant") {
      // An absolute address keeps its constant operand: without one there must be a symbol.
      if (i.symbol === undefined) return undefined;
      i.offset = (i.offset + int(address)) | 0;
      i.operands.splice(addressIndex, 1);
    } else if (address.operation === "address" && i.symbol === undefined) {
      i.symbol = address.symbol;
      i.offset = (i.offset + address.offset) | 0;
      i.operands.splice(addressIndex, 1);
    } else if (address.operation === "add" && address.operands[1].operation === "constant") {
      i.offset = (i.offset + int(address.operands[1])) | 0;
      i.operands[addressIndex] = address.operands[0];
    } else if (
      address.operation === "add" &&
      address.operands[1].operation === "address" &&
      i.symbol === undefined
    ) {
      i.symbol = address.operands[1].symbol;
      i.offset = (i.offset + address.operands[1].offset) | 0;
      i.operands[addressIndex] = address.operands[0];
    } else return undefined;
  }
}

function foldSelect(i: Instruction, b: Builder): Instruction | undefined {
  const [condition, then, otherwise] = i.operands;
  if (isConstant(condition)) return int(condition) !== 0 ? then : otherwise;
  if (then === otherwise) return then;
  if (condition.operation === "eq" && condition.operands[0].type === "i32" && isZero(condition.operands[1])) {
    return b.make("select", i.type, [condition.operands[0], otherwise, then]);
  }
  if (condition.operation === "ne" && condition.operands[0].type === "i32" && isZero(condition.operands[1])) {
    return b.make("select", i.type, [condition.operands[0], then, otherwise]);
  }
  if (i.type === "i32" && isConstant(then) && isConstant(otherwise) && isComparison(condition.operation)) {
    if (int(then) === 1 && int(otherwise) === 0) return condition;
    if (int(then) === 0 && int(otherwise) === 1) return b.make("eq", "i32", [condition, b.i32(0)]);
  }
  return undefined;
}

function isZero(i: Instruction): boolean {
  return i.operation === "constant" && Number(i.constant) === 0 && (i.type === "i32" || i.type === "i64");
}

export function computeInteger(operation: Operation, a: number, c: number): number | undefined {
  switch (operation) {
    case "add":
      return (a + c) | 0;
    case "sub":
      return (a - c) | 0;
    case "mul":
      return Math.imul(a, c);
    case "divS":
      return c === 0 || (a === -0x80000000 && c === -1) ? undefined : (a / c) | 0;
    case "divU":
      return c === 0 ? undefined : Math.floor((a >>> 0) / (c >>> 0)) | 0;
    case "remS":
      return c === 0 ? undefined : (a % c) | 0;
    case "remU":
      return c === 0 ? undefined : ((a >>> 0) % (c >>> 0)) | 0;
    case "and":
      return a & c;
    case "or":
      return a | c;
    case "xor":
      return a ^ c;
    case "shl":
      return a << c;
    case "shrS":
      return a >> c;
    case "shrU":
      return (a >>> c) | 0;
    case "rotl":
      return (a << (c & 31)) | ((c & 31) === 0 ? 0 : a >>> (32 - (c & 31)));
    case "rotr":
      return (a << ((32 - c) & 31)) | ((c & 31) === 0 ? 0 : a >>> (c & 31));
    case "eq":
      return a === c ? 1 : 0;
    case "ne":
      return a !== c ? 1 : 0;
    case "ltS":
      return a < c ? 1 : 0;
    case "gtS":
      return a > c ? 1 : 0;
    case "leS":
      return a <= c ? 1 : 0;
    case "geS":
      return a >= c ? 1 : 0;
    case "ltU":
      return a >>> 0 < c >>> 0 ? 1 : 0;
    case "gtU":
      return a >>> 0 > c >>> 0 ? 1 : 0;
    case "leU":
      return a >>> 0 <= c >>> 0 ? 1 : 0;
    case "geU":
      return a >>> 0 >= c >>> 0 ? 1 : 0;
    default:
      return undefined;
  }
}

/** Whether all bits above the lowest `bits` are known to be zero. */
function fitsUnsigned(i: Instruction, bits: number): boolean {
  switch (i.operation) {
    case "load":
      return !i.signed && i.width * 8 <= bits;
    case "and":
      return isConstant(i.operands[1]) && int(i.operands[1]) >>> bits === 0;
    case "constant":
      return bits >= 32 || int(i) >>> bits === 0;
    case "shrU":
      return isConstant(i.operands[1]) && 32 - (int(i.operands[1]) & 31) <= bits;
    default:
      return isComparison(i.operation);
  }
}

function fitsSigned(i: Instruction, bits: number): boolean {
  if (i.operation === "load") return i.signed ? i.width * 8 <= bits : i.width * 8 < bits;
  if (i.operation === "extend8S") return bits >= 8;
  if (i.operation === "extend16S") return bits >= 16;
  return fitsUnsigned(i, bits - 1);
}

function foldInteger(i: Instruction, b: Builder): Instruction | undefined {
  const [x, y] = i.operands;
  const op = i.operation;
  if (op === "extend8S" || op === "extend16S") {
    const bits = op === "extend8S" ? 8 : 16;
    if (isConstant(x)) return b.i32((int(x) << (32 - bits)) >> (32 - bits));
    if (fitsSigned(x, bits)) return x;
    if (x.operation === "and" && isConstant(x.operands[1])) {
      const low = 2 ** bits - 1;
      if ((int(x.operands[1]) & low) === low) return b.make(op, "i32", [x.operands[0]]);
    }
    return undefined;
  }
  if (op === "clz" && isConstant(x)) return b.i32(Math.clz32(int(x)));
  if (op === "ctz" && isConstant(x)) {
    const v = int(x);
    return b.i32(v === 0 ? 32 : 31 - Math.clz32(v & -v));
  }
  if (op === "popcnt" && isConstant(x)) {
    let count = 0;
    for (let v = int(x); v !== 0; v &= v - 1) count++;
    return b.i32(count);
  }
  if (i.operands.length !== 2 || y.type !== "i32") return undefined;
  if (isConstant(x) && isConstant(y)) {
    const value = computeInteger(op, int(x), int(y));
    return value === undefined ? undefined : b.i32(value);
  }
  if (x === y) {
    if (op === "sub" || op === "xor") return b.i32(0);
    if (op === "and" || op === "or") return x;
    if (op === "eq" || op === "leS" || op === "leU" || op === "geS" || op === "geU") return b.i32(1);
    if (op === "ne" || op === "ltS" || op === "ltU" || op === "gtS" || op === "gtU") return b.i32(0);
  }
  if (op === "sub") {
    // The front writes x - (-address) for x + address: `0 - address` stands for the negated address.
    if (y.operation === "sub" && isZero(y.operands[0])) return b.make("add", "i32", [x, y.operands[1]]);
    if (x.operation === "address" && y.operation === "address" && x.symbol === y.symbol) {
      return b.i32(x.offset - y.offset);
    }
  }
  if (op === "add") {
    if (y.operation === "sub" && isZero(y.operands[0])) return b.make("sub", "i32", [x, y.operands[1]]);
    if (x.operation === "sub" && isZero(x.operands[0])) return b.make("sub", "i32", [y, x.operands[1]]);
    if (x.operation === "address" && y.operation !== "address" && !isConstant(y)) {
      i.operands = [y, x];
      return fold(i, b);
    }
    if (y.operation === "address" && x.operation === "add" && isConstant(x.operands[1])) {
      const sum = b.make("address", "i32", [], {
        symbol: y.symbol,
        offset: (y.offset + int(x.operands[1])) | 0,
      });
      return b.make("add", "i32", [x.operands[0], sum]);
    }
    // Constants climb to the outermost addition, where the address of a load can take them.
    if (!isConstant(y) && y.operation === "add" && isConstant(y.operands[1]) && x.operation !== "address") {
      return b.make("add", "i32", [b.make("add", "i32", [x, y.operands[0]]), y.operands[1]]);
    }
    if (!isConstant(y) && x.operation === "add" && isConstant(x.operands[1]) && y.operation !== "address") {
      return b.make("add", "i32", [b.make("add", "i32", [x.operands[0], y]), x.operands[1]]);
    }
  }
  if (!isConstant(y)) return undefined;
  const c = int(y);
  switch (op) {
    case "add":
      if (c === 0) return x;
      if (x.operation === "add" && isConstant(x.operands[1])) {
        return b.make("add", "i32", [x.operands[0], b.i32(c + int(x.operands[1]))]);
      }
      if (x.operation === "address") {
        return b.make("address", "i32", [], { symbol: x.symbol, offset: (x.offset + c) | 0 });
      }
      if (x.operation === "add" && x.operands[1].operation === "address") {
        const { symbol, offset } = x.operands[1];
        const sum = b.make("address", "i32", [], { symbol, offset: (offset + c) | 0 });
        return b.make("add", "i32", [x.operands[0], sum]);
      }
      return undefined;
    case "sub":
      return b.make("add", "i32", [x, b.i32(-c)]);
    case "mul":
      if (c === 0) return y;
      if (c === 1) return x;
      if (isPowerOfTwo(c)) return b.make("shl", "i32", [x, b.i32(log2(c))]);
      if (x.operation === "mul" && isConstant(x.operands[1])) {
        return b.make("mul", "i32", [x.operands[0], b.i32(Math.imul(c, int(x.operands[1])))]);
      }
      return undefined;
    case "divU":
      if (isPowerOfTwo(c)) return b.make("shrU", "i32", [x, b.i32(log2(c))]);
      return undefined;
    case "remU":
      if (isPowerOfTwo(c)) return b.make("and", "i32", [x, b.i32(c - 1)]);
      return undefined;
    case "divS":
      return c === 1 ? x : undefined;
    case "remS":
      return c === 1 || c === -1 ? b.i32(0) : undefined;
    case "and":
      if (c === 0) return y;
      if (c === -1) return x;
      if (x.operation === "and" && isConstant(x.operands[1])) {
        return b.make("and", "i32", [x.operands[0], b.i32(c & int(x.operands[1]))]);
      }
      if (c === 1 && fitsUnsigned(x, 1)) return x;
      if (c === 0xff && fitsUnsigned(x, 8)) return x;
      if (c === 0xffff && fitsUnsigned(x, 16)) return x;
      return undefined;
    case "or":
      if (c === 0) return x;
      return c === -1 ? y : undefined;
    case "xor":
      if (c === 0) return x;
      if (x.operation === "xor" && isConstant(x.operands[1])) {
        return b.make("xor", "i32", [x.operands[0], b.i32(c ^ int(x.operands[1]))]);
      }
      return undefined;
    case "shl":
    case "shrS":
    case "shrU":
    case "rotl":
    case "rotr":
      return foldShift(i, b, c & 31);
    case "eq":
    case "ne":
      return foldEquality(i, b, c);
    case "ltU":
      if (c === 0) return b.i32(0);
      return c === 1 ? b.make("eq", "i32", [x, b.i32(0)]) : undefined;
    case "geU":
      if (c === 0) return b.i32(1);
      return c === 1 ? b.make("ne", "i32", [x, b.i32(0)]) : undefined;
    case "gtU":
      if (c === 0) return b.make("ne", "i32", [x, y]);
      return c === -1 ? b.i32(0) : undefined;
    case "leU":
      if (c === 0) return b.make("eq", "i32", [x, y]);
      return c === -1 ? b.i32(1) : undefined;
    case "gtS":
      return c === -1 ? b.make("geS", "i32", [x, b.i32(0)]) : undefined;
    case "leS":
      return c === -1 ? b.make("ltS", "i32", [x, b.i32(0)]) : undefined;
    case "ltS":
      return c === 1 ? b.make("leS", "i32", [x, b.i32(0)]) : undefined;
    case "geS":
      return c === 1 ? b.make("gtS", "i32", [x, b.i32(0)]) : undefined;
    default:
      return undefined;
  }
}

function foldShift(i: Instruction, b: Builder, count: number): Instruction | undefined {
  const x = i.operands[0];
  if (count === 0) return x;
  if (count !== int(i.operands[1])) return b.make(i.operation, "i32", [x, b.i32(count)]);
  if (
    x.operation === i.operation &&
    isConstant(x.operands[1]) &&
    i.operation !== "rotl" &&
    i.operation !== "rotr"
  ) {
    const total = count + (int(x.operands[1]) & 31);
    if (total < 32) return b.make(i.operation, "i32", [x.operands[0], b.i32(total)]);
    if (i.operation === "shrS") return b.make("shrS", "i32", [x.operands[0], b.i32(31)]);
    return b.i32(0);
  }
  if (x.operation === "shl" && isConstant(x.operands[1]) && int(x.operands[1]) === count) {
    if (i.operation === "shrU") return b.make("and", "i32", [x.operands[0], b.i32(-1 >>> count)]);
    if (i.operation === "shrS" && count === 24) return b.make("extend8S", "i32", [x.operands[0]]);
    if (i.operation === "shrS" && count === 16) return b.make("extend16S", "i32", [x.operands[0]]);
  }
  if (
    i.operation === "shl" &&
    x.operation === "shrU" &&
    isConstant(x.operands[1]) &&
    int(x.operands[1]) === count
  ) {
    return b.make("and", "i32", [x.operands[0], b.i32(-1 << count)]);
  }
  return undefined;
}

function foldEquality(i: Instruction, b: Builder, c: number): Instruction | undefined {
  const x = i.operands[0];
  if (x.operation === "address" && c === 0) return b.i32(i.operation === "eq" ? 0 : 1);
  if (isComparison(x.operation)) {
    if (c !== 0 && c !== 1) return b.i32(i.operation === "eq" ? 0 : 1);
    const same = (i.operation === "ne") === (c === 0);
    if (same) return x;
    const inverse = inverseComparison[x.operation];
    if (inverse) return b.make(inverse, "i32", x.operands.slice());
    return c === 1 ? b.make("eq", "i32", [x, b.i32(0)]) : undefined;
  }
  if (x.operation === "add" && isConstant(x.operands[1])) {
    return b.make(i.operation, "i32", [x.operands[0], b.i32(c - int(x.operands[1]))]);
  }
  if (c === 0 && x.operation === "sub") return b.make(i.operation, "i32", [x.operands[0], x.operands[1]]);
  if (x.operation === "xor" && c === 0) return b.make(i.operation, "i32", [x.operands[0], x.operands[1]]);
  return undefined;
}

function foldLong(i: Instruction, b: Builder): Instruction | undefined {
  const [x, y] = i.operands;
  const op = i.operation;
  if (i.operands.length !== 2 || y?.type !== "i64") return undefined;
  if (isConstant(x) && isConstant(y)) return computeLong(i, b, x.constant as bigint, y.constant as bigint);
  if (!isConstant(y)) return undefined;
  const c = y.constant as bigint;
  switch (op) {
    case "add":
    case "sub":
    case "or":
    case "xor":
      return c === 0n ? x : undefined;
    case "shl":
    case "shrS":
    case "shrU":
    case "rotl":
    case "rotr":
      return (c & 63n) === 0n ? x : undefined;
    case "and":
      if (c === 0n) return y;
      return c === -1n ? x : undefined;
    case "mul":
      if (c === 0n) return y;
      if (c === 1n) return x;
      if (c > 0n && (c & (c - 1n)) === 0n) {
        return b.make("shl", "i64", [x, b.i64(BigInt(c.toString(2).length - 1))]);
      }
      return undefined;
    case "divU":
      if (c > 0n && (c & (c - 1n)) === 0n) {
        return b.make("shrU", "i64", [x, b.i64(BigInt(c.toString(2).length - 1))]);
      }
      return undefined;
    case "remU":
      return c > 0n && (c & (c - 1n)) === 0n ? b.make("and", "i64", [x, b.i64(c - 1n)]) : undefined;
    case "divS":
      return c === 1n ? x : undefined;
    case "eq":
    case "ne":
      if (x.operation === "extendU" || x.operation === "extendS") {
        const signed = x.operation === "extendS";
        const fits = (signed ? BigInt.asIntN(32, c) : BigInt.asUintN(32, c)) === c;
        if (!fits) return b.i32(op === "eq" ? 0 : 1);
        return b.make(op, "i32", [x.operands[0], b.i32(Number(BigInt.asIntN(32, c)))]);
      }
      return undefined;
    default:
      return undefined;
  }
}

function computeLong(i: Instruction, b: Builder, s: bigint, t: bigint): Instruction | undefined {
  const us = BigInt.asUintN(64, s);
  const ut = BigInt.asUintN(64, t);
  const n = ut & 63n;
  const truth = (value: boolean) => b.i32(value ? 1 : 0);
  switch (i.operation) {
    case "add":
      return b.i64(s + t);
    case "sub":
      return b.i64(s - t);
    case "mul":
      return b.i64(s * t);
    case "and":
      return b.i64(s & t);
    case "or":
      return b.i64(s | t);
    case "xor":
      return b.i64(s ^ t);
    case "shl":
      return b.i64(s << n);
    case "shrS":
      return b.i64(s >> n);
    case "shrU":
      return b.i64(us >> n);
    case "rotl":
      return b.i64((us << n) | (us >> (64n - n)));
    case "rotr":
      return b.i64((us >> n) | (us << (64n - n)));
    case "divU":
      return t === 0n ? undefined : b.i64(us / ut);
    case "remU":
      return t === 0n ? undefined : b.i64(us % ut);
    case "divS":
      return t === 0n || (t === -1n && s === -(1n << 63n)) ? undefined : b.i64(s / t);
    case "remS":
      return t === 0n ? undefined : b.i64(s % t);
    case "eq":
      return truth(s === t);
    case "ne":
      return truth(s !== t);
    case "ltS":
      return truth(s < t);
    case "ltU":
      return truth(us < ut);
    case "gtS":
      return truth(s > t);
    case "gtU":
      return truth(us > ut);
    case "leS":
      return truth(s <= t);
    case "leU":
      return truth(us <= ut);
    case "geS":
      return truth(s >= t);
    case "geU":
      return truth(us >= ut);
    default:
      return undefined;
  }
}
