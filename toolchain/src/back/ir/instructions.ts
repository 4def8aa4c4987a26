/**
 * The machine-independent intermediate representation. Its contract:
 *
 * - A `Routine` is a control-flow graph of `Block`s in reverse postorder, entry first; the entry has no predecessors.
 * - Every instruction that yields a value IS that value (SSA). Its definition dominates its uses; a phi's operand i is
 *   used at the end of predecessor i. Phis stand in `Block.phis`, everything else in order in `Block.instructions`.
 * - There is at most one edge between two blocks: a terminator never names a target twice.
 * - i32 constants are stored signed (`| 0`), i64 constants as signed BigInts, floats as numbers of their precision.
 * - An address is operand 0 plus `symbol` plus `offset` (modulo 2^32); a load or store whose only base is `symbol` has
 *   no address operand. Memory operations of one block keep their order; nothing else is ordered.
 * - Integer division and trapping truncation have a visible effect (the trap) unless their operands exclude it.
 * - After `legalise` no value has type i64: a wide operation IS its low word, and `high(x)` is the high word of x,
 *   in x's own block. `parameter` then counts 32-bit words instead of parameters.
 */

export type ValueType = "i32" | "i64" | "f32" | "f64";
export type Type = ValueType | "void";

export type Operation =
  // leaves
  | "constant" // constant
  | "address" // symbol + offset
  | "parameter" // offset = index
  | "phi"
  // integers
  | "add" // floats too
  | "sub" // floats too
  | "mul" // floats too
  | "divS"
  | "divU"
  | "remS"
  | "remU"
  | "and"
  | "or"
  | "xor"
  | "shl"
  | "shrS"
  | "shrU"
  | "rotl"
  | "rotr"
  | "clz"
  | "ctz"
  | "popcnt"
  | "extend8S"
  | "extend16S"
  | "extend32S"
  // comparisons, i32 result
  | "eq" // floats too
  | "ne" // floats too
  | "ltS"
  | "ltU"
  | "gtS"
  | "gtU"
  | "leS"
  | "leU"
  | "geS"
  | "geU"
  // floats
  | "lt"
  | "gt"
  | "le"
  | "ge"
  | "div"
  | "min"
  | "max"
  | "copysign"
  | "abs"
  | "neg"
  | "sqrt"
  | "ceil"
  | "floor"
  | "trunc"
  | "nearest"
  // conversions
  | "wrap" // i64 to i32
  | "extendS" // i32 to i64
  | "extendU"
  | "truncateS" // float to integer, traps
  | "truncateU"
  | "saturateS" // float to integer, saturating
  | "saturateU"
  | "convertS" // integer to float
  | "convertU"
  | "promote"
  | "demote"
  | "reinterpret"
  // selection: operand 0 is the condition, then the value if non-zero, then the other
  | "select"
  // memory: width in bytes; address first, then the value
  | "load" // signed
  | "store"
  | "memoryCopy" // destination, source, size
  | "memoryFill" // destination, byte, size
  // calls
  | "call" // symbol
  | "callIndirect" // operand 0 is the code address
  | "callImport" // symbol is the slot
  | "intrinsic" // symbol is its name
  | "home" // debug builds: the local variable numbered `offset` now has this value
  // after legalisation: two words in, two words out
  | "high"
  | "addWide" // low a, high a, low b, high b
  | "subWide"
  | "mulWideU" // a, b: full product
  | "mulWideS"
  | "shlWide" // low, high, count
  | "shrSWide"
  | "shrUWide"
  | "rotlWide"
  | "funnel" // (operand 0 << offset) | (operand 1 >>> 32 - offset), 0 < offset < 32
  | "lessWideS" // low a, high a, low b, high b: i32 result
  | "lessWideU"
  | "truncateWideS" // float
  | "truncateWideU"
  | "saturateWideS"
  | "saturateWideU"
  | "convertWideS" // low, high
  | "convertWideU"
  | "bitsOf" // f64 to two words
  | "fromBits"; // low, high to f64

export class Instruction {
  readonly id: number;
  operation: Operation;
  type: Type;
  operands: Instruction[];
  block: Block;
  constant: number | bigint = 0;
  symbol: string | undefined = undefined;
  /** Displacement, addend, parameter index, or funnel count. */
  offset = 0;
  width: 1 | 2 | 4 | 8 = 4;
  signed = false;
  /** Calls after legalisation: the result has a high word. `home`: this is a high word. */
  wide = false;
  /** Byte offset in the wasm module, or -1. */
  position = -1;
  /** Set when a pass replaced this value; `resolve` follows it. */
  replacement: Instruction | undefined = undefined;

  constructor(id: number, operation: Operation, type: Type, operands: Instruction[], block: Block) {
    this.id = id;
    this.operation = operation;
    this.type = type;
    this.operands = operands;
    this.block = block;
  }
}

export type Terminator =
  | { readonly kind: "jump"; target: Block }
  | { readonly kind: "branch"; condition: Instruction; taken: Block; otherwise: Block }
  /** `targets[i]` for index i, `fallback` for all others; a target may repeat inside `targets`, see `successors`. */
  | { readonly kind: "switch"; index: Instruction; targets: Block[]; fallback: Block }
  | { readonly kind: "return"; values: Instruction[] }
  | { readonly kind: "unreachable" };

export class Block {
  readonly id: number;
  readonly phis: Instruction[] = [];
  instructions: Instruction[] = [];
  terminator: Terminator = { kind: "unreachable" };
  terminatorPosition = -1;
  readonly predecessors: Block[] = [];
  /** Nesting depth of loops, from `flow.ts`. */
  loopDepth = 0;

  constructor(id: number) {
    this.id = id;
  }
}

export interface Routine {
  readonly name: string;
  readonly parameters: readonly ValueType[];
  readonly result: Type;
  /** Parameters that the function assigns to: their argument is not their value throughout. */
  readonly assignedParameters: Set<number>;
  blocks: Block[];
  nextValue: number;
  nextBlock: number;
}

/** The distinct blocks that a block can continue at. */
export function successors(block: Block): Block[] {
  const t = block.terminator;
  switch (t.kind) {
    case "jump":
      return [t.target];
    case "branch":
      return [t.taken, t.otherwise];
    case "switch":
      return [...new Set([...t.targets, t.fallback])];
    default:
      return [];
  }
}

export function resolve(value: Instruction): Instruction {
  let v = value;
  while (v.replacement) v = v.replacement;
  return v;
}

/** Operands of a terminator. */
export function terminatorOperands(t: Terminator): Instruction[] {
  switch (t.kind) {
    case "branch":
      return [t.condition];
    case "switch":
      return [t.index];
    case "return":
      return t.values;
    default:
      return [];
  }
}

/** Rewrites every use of a replaced value, and drops the replaced instructions. */
export function applyReplacements(routine: Routine): void {
  for (const block of routine.blocks) {
    const keep = (i: Instruction) => i.replacement === undefined;
    const phis = block.phis.filter(keep);
    block.phis.splice(0, block.phis.length, ...phis);
    block.instructions = block.instructions.filter(keep);
    for (const i of [...block.phis, ...block.instructions]) {
      for (let n = 0; n < i.operands.length; n++) i.operands[n] = resolve(i.operands[n]);
    }
    const t = block.terminator;
    if (t.kind === "branch") t.condition = resolve(t.condition);
    else if (t.kind === "switch") t.index = resolve(t.index);
    else if (t.kind === "return") t.values = t.values.map(resolve);
  }
}

const comparisons = new Set<Operation>(
  "eq ne ltS ltU gtS gtU leS leU geS geU lt gt le ge lessWideS lessWideU".split(" ") as Operation[],
);

export function isComparison(operation: Operation): boolean {
  return comparisons.has(operation);
}

export function isCall(operation: Operation): boolean {
  return operation === "call" || operation === "callIndirect" || operation === "callImport";
}

/** Whether the instruction may change memory or machine state that a load or another effect could see. */
export function writesMemory(i: Instruction): boolean {
  switch (i.operation) {
    case "store":
    case "memoryCopy":
    case "memoryFill":
    case "callIndirect":
    case "callImport":
    case "intrinsic":
      return true;
    case "call":
      return !isPureRoutine(i.symbol);
    default:
      return false;
  }
}

/** Routines of the back end itself: functions of their operands but for the trap on a zero divisor. */
export function isPureRoutine(symbol: string | undefined): boolean {
  return symbol?.startsWith("$") === true;
}

/** Whether the instruction may trap for some operands. */
export function mayTrap(i: Instruction): boolean {
  switch (i.operation) {
    case "divS":
    case "divU":
    case "remS":
    case "remU": {
      const divisor = i.operands[1];
      if (divisor.operation !== "constant") return true;
      const value = Number(divisor.constant);
      return value === 0 || (value === -1 && i.operation === "divS");
    }
    case "truncateS":
    case "truncateU":
    case "truncateWideS":
    case "truncateWideU":
      return true;
    case "call":
      return isPureRoutine(i.symbol);
    default:
      return false;
  }
}

/** Whether the instruction must stay even when nobody uses its value. */
export function hasEffect(i: Instruction): boolean {
  return writesMemory(i) || mayTrap(i) || i.operation === "home";
}
