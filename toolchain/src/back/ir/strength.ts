/**
 * Division and multiplication by constants as cheaper operations, after legalisation. Division becomes a product's high
 * word (Granlund and Montgomery, "Division by invariant integers using multiplication", 1994); products become shifts and
 * sums as long as these are fewer than a multiplication takes clocks (10 on a Pentium).
 */
import { Builder } from "./build.ts";
import { applyReplacements, type Instruction, type Routine, resolve } from "./instructions.ts";

/** Shifts and sums that a product may become; each takes a clock and a register more. */
const productLimit = 4;

export function reduceStrength(routine: Routine): void {
  const b = new Builder(routine, routine.blocks[0]);
  for (const block of routine.blocks) {
    const old = block.instructions;
    block.instructions = [];
    b.block = block;
    for (const i of old) {
      for (let n = 0; n < i.operands.length; n++) i.operands[n] = resolve(i.operands[n]);
      b.position = i.position;
      const cheaper = reduce(i, b);
      if (cheaper) i.replacement = cheaper;
      else block.instructions.push(i);
    }
  }
  applyReplacements(routine);
}

function reduce(i: Instruction, b: Builder): Instruction | undefined {
  const [x, y] = i.operands;
  if (y?.operation !== "constant" || i.type !== "i32") return undefined;
  const c = y.constant as number;
  switch (i.operation) {
    case "mul":
      return product(x, c, b);
    case "divU":
      return divideUnsigned(x, c >>> 0, b);
    case "remU": {
      const quotient = divideUnsigned(x, c >>> 0, b);
      return quotient && b.make("sub", "i32", [x, multiply(quotient, c, b)]);
    }
    case "divS":
      return divideSigned(x, c, b);
    case "remS":
      return remainderSigned(x, c, b);
    default:
      return undefined;
  }
}

function multiply(x: Instruction, c: number, b: Builder): Instruction {
  return product(x, c, b) ?? b.make("mul", "i32", [x, b.i32(c)]);
}

/** How to make a multiple: by which step, from which smaller multiple. */
interface Step {
  readonly cost: number;
  readonly kind: "shift" | "scaled" | "plus" | "minus";
  readonly by: number;
  readonly rest: number;
}

const plans = new Map<number, Step | undefined>();

/** The cheapest chain for a positive multiplier below 2^31. */
function plan(c: number, limit: number): Step | undefined {
  if (limit <= 0) return undefined;
  if (limit === productLimit && plans.has(c)) return plans.get(c);
  let best: Step | undefined;
  const consider = (kind: Step["kind"], by: number, rest: number, own: number) => {
    if (rest < 1 || (best && own >= best.cost)) return;
    const inner = rest === 1 ? 0 : plan(rest, (best?.cost ?? limit + 1) - own - 1)?.cost;
    if (inner === undefined) return;
    const cost = own + inner;
    if (cost <= limit && (!best || cost < best.cost)) best = { cost, kind, by, rest };
  };
  const zeros = 31 - Math.clz32(c & -c);
  if (zeros > 0) consider("shift", zeros, c / 2 ** zeros, 1);
  else {
    for (const by of [3, 2, 1]) if (c % (2 ** by + 1) === 0) consider("scaled", by, c / (2 ** by + 1), 1);
    consider("plus", 0, c - 1, 1);
    consider("minus", 0, c + 1, 1);
  }
  if (limit === productLimit) plans.set(c, best);
  return best;
}

function product(x: Instruction, c: number, b: Builder): Instruction | undefined {
  const size = Math.abs(c);
  if (size < 2 || size >= 2 ** 31) return undefined;
  const value = follow(x, size, productLimit, b);
  return value && (c < 0 ? b.make("sub", "i32", [b.i32(0), value]) : value);
}

function follow(x: Instruction, c: number, limit: number, b: Builder): Instruction | undefined {
  if (c === 1) return x;
  const step = plan(c, limit);
  if (!step) return undefined;
  const rest = follow(x, step.rest, step.cost - 1, b);
  if (!rest) return undefined;
  switch (step.kind) {
    case "shift":
      return b.make("shl", "i32", [rest, b.i32(step.by)]);
    case "scaled":
      return b.make("add", "i32", [rest, b.make("shl", "i32", [rest, b.i32(step.by)])]);
    case "plus":
      return b.make("add", "i32", [rest, x]);
    case "minus":
      return b.make("sub", "i32", [rest, x]);
  }
}

function highProduct(
  operation: "mulWideU" | "mulWideS",
  x: Instruction,
  factor: bigint,
  b: Builder,
): Instruction {
  const low = b.make(operation, "i32", [x, b.i32(Number(BigInt.asIntN(32, factor)))], { wide: true });
  return b.make("high", "i32", [low]);
}

const shift = (operation: "shl" | "shrU" | "shrS", x: Instruction, n: number, b: Builder) =>
  b.make(operation, "i32", [x, b.i32(n)]);

function divideUnsigned(x: Instruction, d: number, b: Builder): Instruction | undefined {
  if (d < 2) return undefined;
  if (d >= 2 ** 31) return b.make("geU", "i32", [x, b.i32(d)]);
  const divisor = BigInt(d);
  const bits = 32 - Math.clz32(d - 1);
  // The least multiplier of 32 + bits bits that is right for every dividend; it may need 33 bits.
  const factor = (1n << BigInt(32 + bits)) / divisor + 1n;
  if ((d & (d - 1)) === 0) return shift("shrU", x, bits, b);
  for (let n = bits; n >= 0; n--) {
    const power = 1n << BigInt(32 + n);
    const m = (power + divisor - 1n) / divisor;
    // Error of the multiplier times the largest dividend stays below the step to the next quotient.
    if (m < 1n << 32n && (m * divisor - power) << 32n <= power) {
      return shift("shrU", highProduct("mulWideU", x, m, b), n, b);
    }
  }
  const zeros = 31 - Math.clz32(d & -d);
  if (zeros > 0) return divideUnsigned(shift("shrU", x, zeros, b), d >>> zeros, b);
  const high = highProduct("mulWideU", x, factor - (1n << 32n), b);
  const half = shift("shrU", b.make("sub", "i32", [x, high]), 1, b);
  return shift("shrU", b.make("add", "i32", [half, high]), bits - 1, b);
}

/** 2^k - 1 for negative x, else 0: what makes an arithmetic shift round towards zero. */
function bias(x: Instruction, k: number, b: Builder): Instruction {
  return shift("shrU", shift("shrS", x, 31, b), 32 - k, b);
}

function divideSigned(x: Instruction, c: number, b: Builder): Instruction | undefined {
  if (c === 0 || c === 1 || c === -1 || c === -0x80000000) return undefined;
  const size = Math.abs(c);
  let quotient: Instruction;
  if ((size & (size - 1)) === 0) {
    const k = 31 - Math.clz32(size);
    quotient = shift("shrS", b.make("add", "i32", [x, bias(x, k, b)]), k, b);
  } else {
    const divisor = BigInt(size);
    const bits = 32 - Math.clz32(size - 1);
    const factor = (1n << BigInt(31 + bits)) / divisor + 1n;
    // The factor needs 32 bits; as a signed one it is 2^32 too small, which one addition makes good.
    let high = highProduct("mulWideS", x, factor, b);
    if (factor >= 1n << 31n) high = b.make("add", "i32", [high, x]);
    quotient = b.make("sub", "i32", [shift("shrS", high, bits - 1, b), shift("shrS", x, 31, b)]);
  }
  return c < 0 ? b.make("sub", "i32", [b.i32(0), quotient]) : quotient;
}

function remainderSigned(x: Instruction, c: number, b: Builder): Instruction | undefined {
  if (c === 0 || c === 1 || c === -1 || c === -0x80000000) return undefined;
  const size = Math.abs(c);
  if ((size & (size - 1)) === 0) {
    const k = 31 - Math.clz32(size);
    const low = bias(x, k, b);
    const masked = b.make("and", "i32", [b.make("add", "i32", [x, low]), b.i32(size - 1)]);
    return b.make("sub", "i32", [masked, low]);
  }
  const quotient = divideSigned(x, size, b);
  return quotient && b.make("sub", "i32", [x, multiply(quotient, size, b)]);
}
