/**
 * Global value numbering: walking the dominator tree, an instruction that computes what a dominating one computed is
 * replaced by it, after folding with its new operands. Loads are merged with earlier loads and stores of the same
 * address along paths without joins, as long as nothing between may have written there. Storage of wasm globals has no
 * address, so that only its own stores write it.
 */
import { Builder } from "./build.ts";
import { dominators, removeTrivialPhis } from "./flow.ts";
import { fold } from "./fold.ts";
import {
  applyReplacements,
  type Block,
  type Instruction,
  type Routine,
  resolve,
  writesMemory,
} from "./instructions.ts";

/** A value known to be in memory, with the access that put or saw it there. */
interface KnownMemory {
  readonly access: Instruction;
  readonly value: Instruction;
}

export function numberValues(routine: Routine): void {
  new Numbering(routine).run();
  removeTrivialPhis(routine);
  applyReplacements(routine);
}

class Numbering {
  private readonly routine: Routine;
  private readonly b: Builder;
  private readonly values = new Map<string, Instruction>();
  private undo: Array<{ key: string; before: Instruction | undefined }> = [];

  constructor(routine: Routine) {
    this.routine = routine;
    this.b = new Builder(routine, routine.blocks[0]);
    this.b.find = (i) => this.findOrAdd(i);
  }

  run(): void {
    const idom = dominators(this.routine);
    const children = new Map<Block, Block[]>();
    for (const block of this.routine.blocks) {
      const parent = idom.get(block)!;
      if (parent !== block) {
        const list = children.get(parent);
        if (list) list.push(block);
        else children.set(parent, [block]);
      }
    }
    interface Visit {
      readonly block: Block;
      readonly memory: Map<string, KnownMemory>;
      readonly undo: Array<{ key: string; before: Instruction | undefined }> | undefined;
    }
    const work: Visit[] = [{ block: this.routine.blocks[0], memory: new Map(), undo: undefined }];
    while (work.length > 0) {
      const { block, memory, undo } = work.pop()!;
      if (undo) {
        for (const { key, before } of undo.reverse()) {
          if (before) this.values.set(key, before);
          else this.values.delete(key);
        }
        continue;
      }
      this.undo = [];
      const known = this.visit(block, memory);
      work.push({ block, memory, undo: this.undo });
      for (const child of children.get(block) ?? []) {
        const straight = child.predecessors.length === 1 && child.predecessors[0] === block;
        work.push({ block: child, memory: straight ? new Map(known) : new Map(), undo: undefined });
      }
    }
  }

  private visit(block: Block, memory: Map<string, KnownMemory>): Map<string, KnownMemory> {
    const { b } = this;
    this.mergePhis(block);
    const old = block.instructions;
    block.instructions = [];
    b.block = block;
    for (const i of old) {
      for (let n = 0; n < i.operands.length; n++) i.operands[n] = resolve(i.operands[n]);
      b.position = i.position;
      const simpler = fold(i, b);
      if (simpler) {
        i.replacement = simpler;
        continue;
      }
      if (i.operation === "load") {
        const key = memoryKey(i, i.type, i.signed);
        const known = memory.get(key);
        if (known) {
          i.replacement = known.value;
          continue;
        }
        memory.set(key, { access: i, value: i });
      } else if (writesMemory(i)) {
        forget(memory, i);
        if (i.operation === "store") {
          const value = i.operands[i.operands.length - 1];
          // A narrow store does not tell the value that a load extends.
          if (i.width === (value.type === "i64" || value.type === "f64" ? 8 : 4)) {
            memory.set(memoryKey(i, value.type, false), { access: i, value });
          }
        }
      } else {
        const known = this.findOrAdd(i);
        if (known) {
          i.replacement = known;
          continue;
        }
      }
      block.instructions.push(i);
    }
    return memory;
  }

  private mergePhis(block: Block): void {
    const seen = new Map<string, Instruction>();
    for (const phi of block.phis) {
      const key = `${phi.type} ${phi.operands.map((v) => resolve(v).id).join(" ")}`;
      const same = seen.get(key);
      if (same) phi.replacement = same;
      else seen.set(key, phi);
    }
  }

  /** The dominating instruction with the same value; else remembers this one. */
  private findOrAdd(i: Instruction): Instruction | undefined {
    if (i.operation === "load" || i.operation === "phi" || i.operation === "home" || writesMemory(i))
      return undefined;
    const key = valueKey(i);
    const known = this.values.get(key);
    if (known) return known;
    this.undo.push({ key, before: undefined });
    this.values.set(key, i);
    return undefined;
  }
}

function valueKey(i: Instruction): string {
  let key = `${i.operation} ${i.type}`;
  for (const operand of i.operands) key += ` ${operand.id}`;
  if (i.operation === "constant") key += Object.is(i.constant, -0) ? " -0" : ` ${i.constant}`;
  if (i.symbol !== undefined) key += ` "${i.symbol}"`;
  if (i.offset !== 0) key += ` +${i.offset}`;
  return key;
}

function baseOf(i: Instruction): Instruction | undefined {
  return i.operands.length > (i.operation === "store" ? 1 : 0) ? i.operands[0] : undefined;
}

function memoryKey(i: Instruction, type: string, signed: boolean): string {
  return `${baseOf(i)?.id ?? ""} ${i.symbol ?? ""} ${i.offset} ${i.width} ${type} ${i.width < 4 || type === "i64" ? signed : ""}`;
}

function isGlobal(i: Instruction): boolean {
  return i.symbol?.startsWith("global:") === true;
}

/** Drops what the write may have changed. */
function forget(memory: Map<string, KnownMemory>, write: Instruction): void {
  if (write.operation !== "store") {
    memory.clear();
    return;
  }
  for (const [key, { access }] of memory) if (mayOverlap(access, write)) memory.delete(key);
}

function mayOverlap(a: Instruction, b: Instruction): boolean {
  if (isGlobal(a) || isGlobal(b)) return a.symbol === b.symbol;
  if (baseOf(a) !== baseOf(b) || a.symbol !== b.symbol) return true;
  return a.offset < b.offset + b.width && b.offset < a.offset + a.width;
}
