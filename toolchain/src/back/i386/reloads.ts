/**
 * Inside a block a slot's value that a register still holds is read from the register; stores to slots that nobody
 * reads afterwards disappear. Runs after allocation, before slots are shared.
 */
import {
  callerSaved,
  EAX,
  ESP,
  finalSlot,
  type MachineBlock,
  type MachineFunction,
  type MachineInstruction,
  type MachineOperand,
  type MemoryReference,
  register,
  rolesOf,
  type Slot,
} from "./code.ts";
import { liveSlots, slotsOf, writtenSlot } from "./slots.ts";

export function forwardSlots(f: MachineFunction): void {
  for (const block of f.blocks) forwardBlock(block);
  removeDeadStores(f);
}

function word(o: MachineOperand | undefined): Slot | undefined {
  return o?.kind === "memory" && o.slot && o.size === 4 && o.displacement === 0 && o.slot.size === 4
    ? finalSlot(o.slot)
    : undefined;
}

/** Operations that take a register wherever they take memory, at operand n. */
const readers = new Set(
  "mov add adc sub sbb and or xor cmp test imul imulConstant push mul imulWide div idiv call".split(" "),
);

function forwardBlock(block: MachineBlock): void {
  const held = new Map<Slot, number>();
  const forgetRegister = (id: number) => {
    for (const [slot, r] of held) if (r === id) held.delete(slot);
  };
  const out: MachineInstruction[] = [];
  for (const i of block.instructions) {
    const letters = rolesOf(i.op);
    let current = i;
    if (readers.has(i.op)) {
      for (let n = 0; n < i.operands.length; n++) {
        if ((letters[n] ?? "u") !== "u") continue;
        const slot = word(i.operands[n]);
        const r = slot && held.get(slot);
        if (r === undefined) continue;
        const operands = current.operands.slice();
        operands[n] = register(r);
        current = { ...current, operands };
      }
    }
    const [x, y] = current.operands;
    if (
      current.op === "mov" &&
      x.kind === "register" &&
      y.kind === "register" &&
      x.id === y.id &&
      x.size === 4
    )
      continue;
    if (current.op === "cmp" && x.kind === "register" && y.kind === "immediate" && y.value === 0) {
      current = { ...current, op: "test", operands: [x, x] };
    }
    out.push(current);
    // What the instruction writes is no longer what was held.
    current.operands.forEach((operand, n) => {
      const role = letters[n] ?? "u";
      if (role === "u") return;
      if (operand.kind === "register") forgetRegister(operand.id);
      else if (operand.kind === "memory" && operand.slot) held.delete(finalSlot(operand.slot));
    });
    if (current.op === "fstp" || current.op === "pop" || current.op === "set" || current.op === "zero") {
      const [m] = current.operands;
      if (m.kind === "memory" && m.slot) held.delete(finalSlot(m.slot));
    }
    for (let r = EAX; r < 8; r++) if (current.writes & (1 << r)) forgetRegister(r);
    if (current.op === "call") for (let r = EAX; r < 8; r++) if (callerSaved & (1 << r)) forgetRegister(r);
    if (current.op !== "mov") continue;
    const [to, from] = current.operands;
    const stored = word(to);
    // The stack pointer changes with every push, without being an operand.
    if (stored && from.kind === "register" && from.size === 4 && from.id !== ESP) held.set(stored, from.id);
    const loaded = word(from);
    if (loaded && to.kind === "register" && to.size === 4) held.set(loaded, to.id);
  }
  block.instructions = out;
}

function removeDeadStores(f: MachineFunction): void {
  const index = slotsOf(f);
  if (index.size === 0) return;
  const ends = liveSlots(f, index);
  for (const block of f.blocks) {
    const live = new Set(ends.get(block)!);
    const out: MachineInstruction[] = [];
    for (const i of block.instructions.slice().reverse()) {
      const to = writtenSlot(i);
      if (
        to &&
        !to.pinned &&
        i.op !== "fstp" &&
        (i.operands[0] as MemoryReference).size === to.size &&
        !live.has(index.get(to)!)
      )
        continue;
      if (to) live.delete(index.get(to)!);
      i.operands.forEach((operand, n) => {
        if (operand.kind === "memory" && operand.slot && !(to && n === 0))
          live.add(index.get(finalSlot(operand.slot))!);
      });
      out.push(i);
    }
    block.instructions = out.reverse();
  }
}
