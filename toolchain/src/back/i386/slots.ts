/**
 * Places of frame slots: slots whose values are never needed at the same time share one, and a copy from slot to slot
 * (a phi of floats) disappears when both can be the same. Arguments take part where the caller put them.
 *
 * What counts as writing a whole slot: a store of its size, or of its low half (the high half always follows).
 */
import {
  finalSlot,
  type MachineBlock,
  type MachineFunction,
  type MachineInstruction,
  type MemoryReference,
  type Slot,
} from "./code.ts";

const stores = new Set(["mov", "fstp"]);

function slotOperand(i: MachineInstruction, n: number): MemoryReference | undefined {
  const operand = i.operands[n];
  return operand?.kind === "memory" && operand.slot ? operand : undefined;
}

/** The slot that the instruction overwrites without looking at it. */
export function writtenSlot(i: MachineInstruction): Slot | undefined {
  if (i.op === "zero" || stores.has(i.op)) {
    const m = slotOperand(i, 0);
    if (m && m.displacement === 0 && m.size >= 4) return finalSlot(m.slot!);
  }
  return undefined;
}

interface Copy {
  readonly block: MachineBlock;
  readonly from: Slot;
  readonly to: Slot;
}

/** The slots that instructions name, numbered. */
export function slotsOf(f: MachineFunction): Map<Slot, number> {
  const index = new Map<Slot, number>();
  for (const block of f.blocks) {
    for (const i of block.instructions) {
      for (let n = 0; n < i.operands.length; n++) {
        const slot = slotOperand(i, n)?.slot;
        if (slot && !index.has(finalSlot(slot))) index.set(finalSlot(slot), index.size);
      }
    }
  }
  return index;
}

export function shareSlots(f: MachineFunction): void {
  const index = slotsOf(f);
  if (index.size === 0) return;
  const slots = [...index.keys()];
  const neighbours = slots.map(() => new Set<number>());
  const copies: Copy[] = [];
  const ends = liveSlots(f, index);
  for (const block of f.blocks) {
    const live = new Set(ends.get(block)!);
    const list = block.instructions;
    for (let n = list.length - 1; n >= 0; n--) {
      const i = list[n];
      const to = writtenSlot(i);
      if (to) {
        const id = index.get(to)!;
        const from = n > 0 ? copied(list[n - 1], i) : undefined;
        const source = from ? index.get(from)! : -1;
        if (from && from !== to) copies.push({ block, from, to });
        for (const other of live) {
          if (other === id || other === source) continue;
          neighbours[id].add(other);
          neighbours[other].add(id);
        }
        live.delete(id);
      }
      forEachRead(i, (slot) => live.add(index.get(slot)!));
    }
  }
  // Arguments hold their values from the start, even those that are read late.
  const atEntry = [...liveAtStart(f.blocks[0], ends, index)];
  for (const a of atEntry) for (const b of atEntry) if (a !== b) neighbours[a].add(b);
  slots.forEach((slot, n) => {
    if (slot.argument === undefined) return;
    for (const other of atEntry) {
      if (other === n) continue;
      neighbours[n].add(other);
      neighbours[other].add(n);
    }
  });

  const merge = (kept: Slot, gone: Slot) => {
    const [k, g] = [index.get(kept)!, index.get(gone)!];
    gone.merged = kept;
    for (const other of neighbours[g]) {
      neighbours[k].add(other);
      neighbours[other].add(k);
      neighbours[other].delete(g);
    }
    neighbours[g].clear();
  };
  copies.sort((a, b) => b.block.loopDepth - a.block.loopDepth);
  for (const copy of copies) {
    const [a, b] = [finalSlot(copy.from), finalSlot(copy.to)];
    if (a === b || a.size !== b.size || neighbours[index.get(a)!].has(index.get(b)!)) continue;
    if (a.argument !== undefined && b.argument !== undefined) continue;
    if (a.pinned || b.pinned) continue;
    if (b.argument !== undefined) merge(b, a);
    else merge(a, b);
  }
  const places: Slot[] = [];
  for (const slot of slots) {
    if (slot.merged || slot.argument !== undefined) continue;
    const place = places.find(
      (p) =>
        !p.pinned && !slot.pinned && p.size === slot.size && !neighbours[index.get(p)!].has(index.get(slot)!),
    );
    if (place) merge(place, slot);
    else places.push(slot);
  }
  removeSelfCopies(f);
}

/** The slot whose value `store` copies, when `load` is what brings it. */
function copied(load: MachineInstruction, store: MachineInstruction): Slot | undefined {
  if (load.op !== "fld" || store.op !== "fstp") return undefined;
  const [from, to] = [slotOperand(load, 0), slotOperand(store, 0)];
  if (!from || !to || from.size !== to.size || from.displacement !== 0) return undefined;
  return finalSlot(from.slot!);
}

function forEachRead(i: MachineInstruction, action: (slot: Slot) => void): void {
  const whole = writtenSlot(i) !== undefined;
  for (let n = whole ? 1 : 0; n < i.operands.length; n++) {
    const m = slotOperand(i, n);
    if (m) action(finalSlot(m.slot!));
  }
}

function transfer(block: MachineBlock, live: Set<number>, index: ReadonlyMap<Slot, number>): Set<number> {
  for (let n = block.instructions.length - 1; n >= 0; n--) {
    const i = block.instructions[n];
    const to = writtenSlot(i);
    if (to) live.delete(index.get(to)!);
    forEachRead(i, (slot) => live.add(index.get(slot)!));
  }
  return live;
}

export function liveSlots(
  f: MachineFunction,
  index: ReadonlyMap<Slot, number>,
): Map<MachineBlock, Set<number>> {
  const ends = new Map(f.blocks.map((block) => [block, new Set<number>()]));
  const starts = new Map(f.blocks.map((block) => [block, new Set<number>()]));
  for (let changed = true; changed; ) {
    changed = false;
    for (const block of f.blocks.slice().reverse()) {
      const end = ends.get(block)!;
      for (const next of block.successors) for (const slot of starts.get(next)!) end.add(slot);
      const start = transfer(block, new Set(end), index);
      if (start.size !== starts.get(block)!.size) {
        starts.set(block, start);
        changed = true;
      }
    }
  }
  return ends;
}

function liveAtStart(
  entry: MachineBlock,
  ends: ReadonlyMap<MachineBlock, Set<number>>,
  index: ReadonlyMap<Slot, number>,
): Set<number> {
  return transfer(entry, new Set(ends.get(entry)!), index);
}

function removeSelfCopies(f: MachineFunction): void {
  for (const block of f.blocks) {
    const out: MachineInstruction[] = [];
    for (const i of block.instructions) {
      const last = out[out.length - 1];
      const from = last && copied(last, i);
      if (from && from === finalSlot(slotOperand(i, 0)!.slot!) && slotOperand(i, 0)!.displacement === 0)
        out.pop();
      else out.push(i);
    }
    block.instructions = out;
  }
}
