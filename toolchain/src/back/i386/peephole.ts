/**
 * Small improvements of allocated code, inside blocks: a copy and a sum are one LEA, a test of a value whose flags are
 * already there is nothing, a copy back is nothing.
 */
import type { Condition } from "@rialto/machine/i386/instruction.ts";
import {
  type MachineBlock,
  type MachineFunction,
  type MachineInstruction,
  type MachineOperand,
  type MemoryReference,
  type RegisterOperand,
  readsFlags,
  rolesOf,
  writesFlags,
} from "./code.ts";

export function improve(f: MachineFunction): void {
  for (const block of f.blocks) {
    improveBlock(block);
    decideBranches(block);
  }
}

function improveBlock(block: MachineBlock): void {
  const list = block.instructions;
  const live = liveFlags(list);
  const out: MachineInstruction[] = [];
  for (let n = 0; n < list.length; n++) {
    const i = list[n];
    const last = out[out.length - 1];
    if (last && isCopyBack(last, i)) continue;
    if (last && isRedundantTest(last, i, list, n)) continue;
    const address = last && !live[n] ? asAddress(last, i) : undefined;
    if (address) out[out.length - 1] = address;
    else out.push(i);
  }
  block.instructions = out;
}

/** Branches on registers whose constant value is known, as at the first test of a counted loop, are jumps or nothing. */
function decideBranches(block: MachineBlock): void {
  const known = new Map<number, number>();
  const out: MachineInstruction[] = [];
  const list = block.instructions;
  for (let n = 0; n < list.length; n++) {
    const i = list[n];
    const [x, y] = i.operands;
    const next = list[n + 1];
    const constant = isRegister(x) ? known.get(x.id) : undefined;
    if (constant !== undefined && next?.op === "jcc" && list[n + 2]?.op === "jmp") {
      const other = i.op === "cmp" && y.kind === "immediate" ? y.value : undefined;
      const zero = i.op === "test" && isRegister(y) && y.id === (x as RegisterOperand).id ? 0 : undefined;
      const holds = decide(next.condition!, constant, other ?? zero);
      if (holds !== undefined) {
        out.push(holds ? { ...list[n + 2], operands: next.operands } : list[n + 2]);
        break;
      }
    }
    out.push(i);
    const letters = rolesOf(i.op);
    i.operands.forEach((operand, k) => {
      if (operand.kind === "register" && (letters[k] ?? "u") !== "u") known.delete(operand.id);
    });
    for (let r = 0; r < 8; r++) if (i.writes & (1 << r)) known.delete(r);
    if (i.op === "mov" && isRegister(x) && y.kind === "immediate") known.set(x.id, y.value);
  }
  block.instructions = out;
}

function decide(condition: Condition, a: number, b: number | undefined): boolean | undefined {
  if (b === undefined) return undefined;
  switch (condition) {
    case "e":
      return a === b;
    case "ne":
      return a !== b;
    case "l":
      return a < b;
    case "le":
      return a <= b;
    case "g":
      return a > b;
    case "ge":
      return a >= b;
    case "b":
      return a >>> 0 < b >>> 0;
    case "be":
      return a >>> 0 <= b >>> 0;
    case "a":
      return a >>> 0 > b >>> 0;
    case "ae":
      return a >>> 0 >= b >>> 0;
    default:
      return undefined;
  }
}

/** For each instruction, whether somebody needs the flags as they are after it. */
export function liveFlags(list: readonly MachineInstruction[]): boolean[] {
  const live = new Array<boolean>(list.length);
  let flags = false;
  for (let n = list.length - 1; n >= 0; n--) {
    live[n] = flags;
    if (writesFlags(list[n].op)) flags = false;
    if (readsFlags(list[n].op)) flags = true;
  }
  return live;
}

function isRegister(o: MachineOperand | undefined): o is RegisterOperand {
  return o?.kind === "register" && o.size === 4;
}

function isCopyBack(first: MachineInstruction, second: MachineInstruction): boolean {
  if (first.op !== "mov" || second.op !== "mov") return false;
  const [a, b] = first.operands;
  const [c, d] = second.operands;
  return isRegister(a) && isRegister(b) && isRegister(c) && isRegister(d) && a.id === d.id && b.id === c.id;
}

function lea(i: MachineInstruction, to: RegisterOperand, m: Partial<MemoryReference>): MachineInstruction {
  const memory: MemoryReference = {
    kind: "memory",
    base: -1,
    index: -1,
    scale: 1,
    displacement: 0,
    symbol: undefined,
    slot: undefined,
    size: 0,
    ...m,
  };
  return { ...i, op: "lea", operands: [to, memory] };
}

/** `mov d, s; op d, x` as one LEA. */
function asAddress(first: MachineInstruction, second: MachineInstruction): MachineInstruction | undefined {
  if (first.op !== "mov") return undefined;
  const [d, s] = first.operands;
  const [e, x] = second.operands;
  if (!isRegister(d) || !isRegister(s) || !isRegister(e) || e.id !== d.id || d.id === s.id) return undefined;
  switch (second.op) {
    case "add":
      if (x.kind === "immediate") return lea(second, d, { base: s.id, displacement: x.value });
      if (x.kind === "address")
        return lea(second, d, { base: s.id, symbol: x.symbol, displacement: x.addend });
      if (isRegister(x)) return lea(second, d, { base: s.id, index: x.id === d.id ? s.id : x.id });
      return undefined;
    case "sub":
      return x.kind === "immediate" ? lea(second, d, { base: s.id, displacement: -x.value | 0 }) : undefined;
    case "shl":
      if (x.kind !== "immediate" || x.value > 3) return undefined;
      if (x.value === 1) return lea(second, d, { base: s.id, index: s.id });
      return lea(second, d, { index: s.id, scale: (1 << x.value) as 4 | 8 });
    default:
      return undefined;
  }
}

const logic = new Set(["and", "or", "xor"]);
const arithmetic = new Set(["add", "sub", "inc", "dec", "neg"]);
const zeroAndSign = new Set<Condition>(["e", "ne", "s", "ns"]);

/** TEST r, r after an operation on r that left the same flags, for all who look at them. */
function isRedundantTest(
  last: MachineInstruction,
  i: MachineInstruction,
  list: readonly MachineInstruction[],
  at: number,
): boolean {
  if (i.op !== "test") return false;
  const [a, b] = i.operands;
  const [target] = last.operands;
  if (!isRegister(a) || !isRegister(b) || a.id !== b.id || !isRegister(target) || target.id !== a.id)
    return false;
  if (logic.has(last.op)) return true;
  if (!arithmetic.has(last.op)) return false;
  for (let n = at + 1; n < list.length; n++) {
    const next = list[n];
    if (readsFlags(next.op) && (!next.condition || !zeroAndSign.has(next.condition))) return false;
    if (writesFlags(next.op)) return true;
  }
  return true;
}
