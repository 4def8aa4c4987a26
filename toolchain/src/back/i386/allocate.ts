/**
 * Register allocation: rounds of `colour.ts`, with spill code between them, until every virtual register has a machine
 * register. A spilled value lives in a frame slot (an argument in the place where the caller put it) and is used from
 * memory where the instruction can; elsewhere it passes through a register for one instruction. Spilled constants are made again instead.
 */
import {
  firstVirtual,
  type MachineFunction,
  type MachineInstruction,
  type MachineOperand,
  type MemoryReference,
  register,
  rolesOf,
  type Slot,
  slotMemory,
} from "./code.ts";
import { colour } from "./colour.ts";

/** Rounds after which something is wrong with the allocator itself. */
const roundLimit = 60;

export function allocateRegisters(f: MachineFunction): void {
  const unspillable = new Set<number>();
  for (let round = 0; ; round++) {
    const { colours, spilled } = colour(f, unspillable);
    if (spilled.length === 0) {
      assign(f, colours);
      return;
    }
    if (round === roundLimit) throw new Error(`registers of ${f.name} cannot be allocated`);
    spill(f, spilled, unspillable);
  }
}

function assign(f: MachineFunction, colours: Int32Array): void {
  for (const block of f.blocks) {
    for (const i of block.instructions) {
      for (const operand of i.operands) {
        if (operand.kind === "register") operand.id = colours[operand.id];
        else if (operand.kind === "memory") {
          if (operand.base >= 0) operand.base = colours[operand.base];
          if (operand.index >= 0) operand.index = colours[operand.index];
        }
      }
    }
    block.instructions = block.instructions.filter(
      (i) =>
        !(
          i.op === "mov" &&
          i.operands[0].kind === "register" &&
          i.operands[1].kind === "register" &&
          i.operands[0].id === i.operands[1].id &&
          i.operands[0].size === 4
        ),
    );
  }
}

/** Where a spilled register's value is. */
type Home = { readonly slot: Slot } | { readonly constant: MachineOperand };

function spill(
  f: MachineFunction,
  classes: ReadonlyArray<readonly number[]>,
  unspillable: Set<number>,
): void {
  const constants = constantDefinitions(f);
  const homes = new Map<number, Home>();
  for (const members of classes) {
    const constant = members.length === 1 ? constants.get(members[0]) : undefined;
    let home: Home;
    if (constant) home = { constant };
    else {
      const argument = members.map((id) => f.argumentHomes.get(id)).find((slot) => slot !== undefined);
      home = { slot: argument ?? newSlot(f) };
    }
    for (const id of members) homes.set(id, home);
  }
  for (const block of f.blocks) {
    const out: MachineInstruction[] = [];
    const list = block.instructions;
    for (let n = 0; n < list.length; n++) {
      const group = computation(list, n, homes);
      if (group === 0) rewrite(f, list[n], homes, unspillable, out);
      else {
        computeInRegister(f, list.slice(n, n + group), homes, unspillable, out);
        n += group - 1;
      }
    }
    block.instructions = out;
  }
}

/** Longest computation that passes through a register on its way to a slot. */
const groupLimit = 4;

/**
 * Length of a group `mov d, …; op d, …; op d, …` with d spilled to a slot: computed in a register and stored once, it is
 * cheaper than operations on memory. 0 when nothing but the first instruction writes d.
 */
function computation(
  list: readonly MachineInstruction[],
  from: number,
  homes: ReadonlyMap<number, Home>,
): number {
  const [d] = list[from].operands;
  if (d?.kind !== "register" || d.size !== 4 || rolesOf(list[from].op)[0] !== "d") return 0;
  const home = homes.get(d.id);
  if (!home || "constant" in home) return 0;
  let n = from + 1;
  for (; n < list.length && n - from < groupLimit; n++) {
    const [target] = list[n].operands;
    if (target?.kind !== "register" || target.id !== d.id || target.size !== 4) break;
    if (rolesOf(list[n].op)[0] !== "m" || rolesOf(list[n].op)[1] === "m") break;
  }
  return n - from > 1 ? n - from : 0;
}

function computeInRegister(
  f: MachineFunction,
  group: readonly MachineInstruction[],
  homes: ReadonlyMap<number, Home>,
  unspillable: Set<number>,
  out: MachineInstruction[],
): void {
  const d = (group[0].operands[0] as { readonly id: number }).id;
  const home = homes.get(d) as { readonly slot: Slot };
  const t = f.registerCount++;
  unspillable.add(t);
  for (const [n, i] of group.entries()) {
    const operands = i.operands.map((o): MachineOperand => {
      if (o.kind === "register" && o.id === d) return register(t, o.size);
      // An address in the first instruction still needs the value that the slot has.
      if (o.kind !== "memory" || n === 0) return o;
      return { ...o, base: o.base === d ? t : o.base, index: o.index === d ? t : o.index };
    });
    rewrite(f, { ...i, operands }, homes, unspillable, out);
  }
  const last = group[group.length - 1];
  const store = { ...last, op: "mov", operands: [slotMemory(home.slot, 4), register(t)] };
  out.push({ ...store, condition: undefined, reads: 0, writes: 0 });
}

function newSlot(f: MachineFunction): Slot {
  const slot: Slot = {
    id: f.slots.length,
    size: 4,
    argument: undefined,
    pinned: false,
    merged: undefined,
    offset: 0,
  };
  f.slots.push(slot);
  return slot;
}

/** Registers whose only definition is a constant. */
function constantDefinitions(f: MachineFunction): Map<number, MachineOperand> {
  const result = new Map<number, MachineOperand>();
  const seen = new Set<number>();
  for (const block of f.blocks) {
    for (const i of block.instructions) {
      const letters = rolesOf(i.op);
      i.operands.forEach((operand, n) => {
        if (operand.kind !== "register" || operand.id < firstVirtual || !"dmet".includes(letters[n] ?? "u"))
          return;
        const source = i.operands[1];
        if (seen.has(operand.id)) result.delete(operand.id);
        else if (i.op === "mov" && (source.kind === "immediate" || source.kind === "address")) {
          result.set(operand.id, source);
        }
        seen.add(operand.id);
      });
    }
  }
  return result;
}

const twoOperand = new Set("mov add adc sub sbb and or xor cmp test moveIf".split(" "));
const firstInMemory = new Set(
  "neg not inc dec shl shr sar rol ror shld shrd push pop call mul imulWide div idiv remainderSigned set zero".split(
    " ",
  ),
);
const secondInMemory = new Set("movzx movsx imul imulConstant countLeading countTrailing".split(" "));

function mayBeMemory(i: MachineInstruction, n: number): boolean {
  if (twoOperand.has(i.op)) return n < 2 && i.operands[1 - n].kind !== "memory";
  if (n === 0) return firstInMemory.has(i.op);
  return n === 1 && secondInMemory.has(i.op);
}

function same(a: MachineOperand, b: MachineOperand): boolean {
  return a.kind === "memory" && b.kind === "memory" && a.slot !== undefined && a.slot === b.slot;
}

function rewrite(
  f: MachineFunction,
  i: MachineInstruction,
  homes: ReadonlyMap<number, Home>,
  unspillable: Set<number>,
  out: MachineInstruction[],
): void {
  if (!mentions(i, homes)) {
    out.push(i);
    return;
  }
  const letters = rolesOf(i.op);
  const first = i.operands[0];
  if (first.kind === "register" && letters[0] === "d") {
    const home = homes.get(first.id);
    if (home && "constant" in home) return;
  }
  // TEST r, r and comparison with zero set the same flags.
  if (i.op === "test" && first.kind === "register" && i.operands[1].kind === "register") {
    const home = homes.get(first.id);
    if (home && "slot" in home && i.operands[1].id === first.id) {
      const operands: MachineOperand[] = [slotMemory(home.slot, 4), { kind: "immediate", value: 0 }];
      out.push({ ...i, op: "cmp", operands });
      return;
    }
  }
  const operands = i.operands.slice();
  const changed: MachineInstruction = { ...i, operands };
  // A move between a spilled value and its own argument slot is nothing.
  for (let n = 0; n < operands.length; n++) {
    const operand = operands[n];
    if (operand.kind !== "register") continue;
    const home = homes.get(operand.id);
    if (home && "slot" in home && mayBeMemory(changed, n)) operands[n] = slotMemory(home.slot, operand.size);
    else if (home && "slot" in home && changed.op === "mov") {
      const memory = slotMemory(home.slot, operand.size);
      if (same(memory, operands[1 - n])) return;
    }
  }
  if (changed.op === "mov" && same(operands[0], operands[1])) return;
  const temporaries = new Map<number, number>();
  const before: MachineInstruction[] = [];
  const after: MachineInstruction[] = [];
  const move = (to: MachineOperand, from: MachineOperand): MachineInstruction => ({
    op: "mov",
    operands: [to, from],
    condition: undefined,
    reads: 0,
    writes: 0,
    position: i.position,
  });
  const temporary = (id: number, load: boolean, store: boolean): number => {
    const home = homes.get(id)!;
    let t = temporaries.get(id);
    const fresh = t === undefined;
    if (t === undefined) {
      t = f.registerCount++;
      unspillable.add(t);
      temporaries.set(id, t);
    }
    const place = "slot" in home ? slotMemory(home.slot, 4) : home.constant;
    if (load && fresh) before.push(move(register(t), place));
    if (store) after.push(move(place, register(t)));
    return t;
  };
  for (let n = 0; n < operands.length; n++) {
    const operand = operands[n];
    if (operand.kind === "register" && homes.has(operand.id)) {
      const role = letters[n] ?? "u";
      const t = temporary(operand.id, role === "u" || role === "m", role !== "u" && role !== "t");
      operands[n] = register(t, operand.size);
    } else if (operand.kind === "memory") {
      const m: MemoryReference = { ...operand };
      if (homes.has(m.base)) m.base = temporary(m.base, true, false);
      if (homes.has(m.index)) m.index = temporary(m.index, true, false);
      operands[n] = m;
    }
  }
  out.push(...before, changed, ...after);
}

function mentions(i: MachineInstruction, homes: ReadonlyMap<number, Home>): boolean {
  return i.operands.some((operand) =>
    operand.kind === "register"
      ? homes.has(operand.id)
      : operand.kind === "memory" && (homes.has(operand.base) || homes.has(operand.index)),
  );
}
