/**
 * What regions call for an access that their own look into the soft TLB does not allow: misaligned ones, and pages that are in the data TLB
 * without being their set's latest. Those are found and made the latest as paging.ts does it; all else is left to the interpreter's memory.
 *
 *   read    (offset, info, budget)         → (value, budget)
 *   modify  (offset, info, budget)         → (value, physical address or -1, budget)
 *   write   (offset, value, info, budget)  → budget
 *
 * With the detailed cycle model the lines of the access go through the data cache, but for those of `modify` when it has a physical address: then
 * the region sees to them.
 *
 * The budget is that of the region, which has booked its whole block; it comes back as FAULTED_BUDGET when the access faulted.
 */

import { DATA_ENTRIES } from "../../../engine/layout/tlb-sizes.ts";
import { Address, Slot, SOFT_TLB_SETS } from "../layout.ts";
import { BodyWriter, I32, Op, type WasmFunction } from "./wasm-writer.ts";

export const FAULTED_BUDGET = 0x8000_0000 | 0;

const SELECTOR_MASK = 0x1f;
const USER = 0x20;
const CLOCKS_SHIFT = 6;

/** Segment, size and mode of an access, and the clocks of the block's instructions behind it. */
export function accessInfo(segment: number, size: number, mode: number, clocksBehind: number): number {
  return (segment << 2) | (size >> 1) | (mode !== 0 ? USER : 0) | (clocksBehind << CLOCKS_SHIFT);
}

/** Indices of the interpreter's memory functions (selector, offset[, value]) among the imports. */
export interface SlowAccesses {
  readonly read: number;
  readonly modify: number;
  readonly write: number;
  /** Of the engine; null unless the cycle model is `detailed`. */
  readonly timeSpan: number | null;
}

/** Bits of an age by way, four each: `cleared` and `raised` of tlb.ts. */
const CLEARED = 0x5533;
const RAISED = 0x0413;
const PAGE_MASK = -4096;
const HALF = SOFT_TLB_SETS * 4;
/** Entry tags of one kind; a user access is the next kind. */
const KIND_BYTES = DATA_ENTRIES * 4;
const KIND_SHIFT = Math.log2(KIND_BYTES / USER);

export function memoryFunctions(
  types: { readonly read: number; readonly modify: number; readonly write: number },
  slow: SlowAccesses,
): WasmFunction[] {
  const slot = (number: number): number => Address.STATE + number * 4;

  /** Puts the physical address into local `first + 3`; branches to `slowDepth` when only the interpreter knows it. */
  function place(w: BodyWriter, isWrite: boolean, info: number, first: number, slowDepth: number): void {
    const offset = 0;
    const [linear, set, index, physical] = [first, first + 1, first + 2, first + 3];
    const toSlow = (): void => {
      w.branch(Op.brIf, slowDepth);
    };
    w.get(offset).get(info).constant(SELECTOR_MASK).op(Op.and).constant(2).op(Op.shl);
    w.memory(Op.load, isWrite ? Address.WRITE_LIMITS : Address.READ_LIMITS).op(Op.geU);
    toSlow();
    w.get(info)
      .constant(SELECTOR_MASK & ~3)
      .op(Op.and)
      .memory(Op.load, slot(Slot.BASE));
    w.get(offset).op(Op.add).tee(linear).constant(0xfff).op(Op.and);
    w.constant(1).get(info).constant(3).op(Op.and, Op.shl, Op.add).constant(4096).op(Op.gtU);
    toSlow();
    // From here on `set` is the offset of the set's word in a table of one word a set.
    w.get(linear)
      .constant(10)
      .op(Op.shrU)
      .constant(HALF - 4)
      .op(Op.and)
      .tee(set);
    w.get(info).constant(USER).op(Op.and).constant(1).op(Op.shl, Op.add).tee(index);
    w.memory(Op.load, isWrite ? Address.WRITE_TAGS : Address.READ_TAGS);
    w.get(linear).constant(PAGE_MASK).op(Op.and, Op.eq).open(Op.if);
    w.get(index).memory(Op.load, Address.ADDENDS).get(linear).op(Op.add).set(physical);
    w.otherwise();
    search(w, isWrite, info, { linear, set, index, physical }, toSlow);
    w.close();
  }

  function search(
    w: BodyWriter,
    isWrite: boolean,
    info: number,
    locals: Readonly<Record<"linear" | "set" | "index" | "physical", number>>,
    toSlow: () => void,
  ): void {
    const { linear, set, index, physical } = locals;
    w.constant(-1).set(index);
    for (let way = 0; way < 4; way++) {
      w.get(set)
        .constant(2)
        .op(Op.shl)
        .memory(Op.load, Address.DATA_TLB_TAGS + way * 4);
      w.get(linear).constant(12).op(Op.shrU, Op.eq).open(Op.if);
      w.constant(way).set(index).close();
    }
    w.get(index).constant(0).op(Op.ltS);
    toSlow();
    // Using it makes it the youngest, whether its tags allow the access or not.
    const ofWay = (bits: number): void => {
      w.constant(bits).get(index).constant(2).op(Op.shl, Op.shrU).constant(0xf).op(Op.and);
    };
    w.get(set).get(set).memory(Op.load, Address.DATA_TLB_AGES);
    ofWay(CLEARED);
    w.constant(-1).op(Op.xor, Op.and);
    ofWay(RAISED);
    w.op(Op.or).memory(Op.store, Address.DATA_TLB_AGES);
    // Offset of the entry's word: sets have four entries.
    w.get(set).get(index).op(Op.add).constant(2).op(Op.shl).tee(index);
    const kind = isWrite ? 2 : 0;
    w.get(info).constant(USER).op(Op.and).constant(KIND_SHIFT).op(Op.shl, Op.add);
    w.memory(Op.load, Address.ENTRY_TAGS + kind * KIND_BYTES);
    w.get(linear).constant(PAGE_MASK).op(Op.and, Op.ne);
    toSlow();
    w.get(set).constant(0).memory(Op.store, Address.LARGE_OWNERS);
    [Address.READ_TAGS, Address.READ_TAGS + HALF, Address.WRITE_TAGS, Address.WRITE_TAGS + HALF].forEach(
      (tag, i) => {
        w.get(set)
          .get(index)
          .memory(Op.load, Address.ENTRY_TAGS + i * KIND_BYTES)
          .memory(Op.store, tag);
      },
    );
    w.get(index)
      .memory(Op.load, Address.DATA_TLB_ENTRIES)
      .get(linear)
      .op(Op.xor)
      .constant(PAGE_MASK)
      .op(Op.and);
    w.get(linear).op(Op.xor).set(physical);
    for (const half of [0, HALF]) {
      w.get(set)
        .get(physical)
        .get(linear)
        .op(Op.sub)
        .memory(Op.store, Address.ADDENDS + half);
    }
  }

  /** With the detailed model: the access has been found in RAM, and the budget is a local again. */
  function time(w: BodyWriter, info: number, budget: number, physical: number, isWrite: boolean): void {
    if (slow.timeSpan === null) return;
    giveBudget(w, info, budget);
    w.get(physical).constant(1).get(info).constant(3).op(Op.and, Op.shl);
    w.constant(isWrite ? 1 : 0).call(slow.timeSpan);
    w.word(slot(Slot.BUDGET)).get(info).constant(CLOCKS_SHIFT).op(Op.shrU, Op.sub).set(budget);
  }

  /** With the detailed model: lines of what is misaligned are not the region's. */
  function refuseMisaligned(w: BodyWriter, info: number, physical: number, slowDepth: number): void {
    if (slow.timeSpan === null) return;
    w.get(physical).constant(-1).constant(-1).get(info).constant(3).op(Op.and, Op.shl, Op.xor, Op.and);
    w.branch(Op.brIf, slowDepth);
  }

  /** Before a call of the interpreter: it must know the time. */
  function giveBudget(w: BodyWriter, info: number, budget: number): void {
    w.constant(0).get(budget).get(info).constant(CLOCKS_SHIFT).op(Op.shrU, Op.add);
    w.memory(Op.store, slot(Slot.BUDGET));
  }

  /** Leaves the budget behind such a call on the stack. */
  function takeBudget(w: BodyWriter, info: number): void {
    w.word(slot(Slot.COMPILED_FAULT)).open(Op.if, I32);
    w.constant(FAULTED_BUDGET).otherwise();
    w.word(slot(Slot.BUDGET)).get(info).constant(CLOCKS_SHIFT).op(Op.shrU, Op.sub).close();
  }

  /** Chooses by the size in `info`; `each` gets the log of a size. */
  function bySize(w: BodyWriter, info: number, each: (log: number) => void): void {
    w.get(info).constant(3).op(Op.and).constant(2).op(Op.eq).open(Op.if);
    each(2);
    w.close();
    w.get(info).constant(1).op(Op.and).open(Op.if);
    each(1);
    w.close();
    each(0);
  }

  const loads = [Op.load8u, Op.load16u, Op.load];
  const stores = [Op.store8, Op.store16, Op.store];

  function readOrModify(isModify: boolean): WasmFunction {
    const [offset, info, budget, first] = [0, 1, 2, 3];
    const physical = first + 3;
    const w = new BodyWriter();
    w.open(Op.block);
    place(w, isModify, info, first, w.depth);
    if (isModify) refuseMisaligned(w, info, physical, w.depth);
    else time(w, info, budget, physical, false);
    bySize(w, info, (log) => {
      w.get(physical).memory(loads[log]!, Address.RAM);
      if (isModify) w.get(physical);
      w.get(budget).op(Op.return);
    });
    w.close();
    giveBudget(w, info, budget);
    w.get(info)
      .constant(SELECTOR_MASK)
      .op(Op.and)
      .get(offset)
      .call(isModify ? slow.modify : slow.read);
    if (isModify) w.constant(-1);
    takeBudget(w, info);
    return { type: isModify ? types.modify : types.read, locals32: 4, locals64: 0, body: w.bytes };
  }

  function write(): WasmFunction {
    const [offset, value, info, budget, first] = [0, 1, 2, 3, 4];
    const physical = first + 3;
    const w = new BodyWriter();
    w.open(Op.block);
    place(w, true, info, first, w.depth);
    time(w, info, budget, physical, true);
    bySize(w, info, (log) => {
      w.get(physical).get(value).memory(stores[log]!, Address.RAM);
      w.get(budget).op(Op.return);
    });
    w.close();
    giveBudget(w, info, budget);
    w.get(info).constant(SELECTOR_MASK).op(Op.and).get(offset).get(value).call(slow.write);
    takeBudget(w, info);
    return { type: types.write, locals32: 4, locals64: 0, body: w.bytes };
  }

  return [readOrModify(false), readOrModify(true), write()];
}
