/**
 * Translates the blocks of one region into the body of a WebAssembly function. The function has no parameters; it loads the registers
 * that it needs from the state words, keeps them in locals, and on leaving stores what it may have changed. Its result is a record of the
 * code cache (a multiple of 16) plus, in the low bits, the reason (`Exit`).
 *
 * Exactness, in terms of the interpreter:
 * - BUDGET is checked where it would be: a block is entered only when the budget lasts to its last instruction, and behind every access that
 *   went through the interpreter's memory (which may have cost time, or asked for the run loop) it is checked again.
 * - The fast path of a load or store is the soft TLB, whose hits change nothing in the modelled TLB. Everything else is
 *   `Memory.read…` and its kin.
 * - All that can fault comes before any change of a register or flag.
 * - With the detailed cycle model: detailed-timing.ts.
 *
 * Over 500 lines: one function an instruction family, all on the same locals.
 */

import * as Timing from "../../../engine/layout/timing.ts";
import { FlagKind } from "../flags.ts";
import { Address, Field, Prefix, Segment, Slot, SOFT_TLB_SETS, Vector } from "../layout.ts";
import {
  type BlockTimes,
  frontOf,
  linesBefore,
  type PairedClocks,
  plainTimes,
  timesOf,
  waitingBehind,
} from "./detailed-timing.ts";
import { Exit, type Site } from "./exit.ts";
import { accessInfo, FAULTED_BUDGET } from "./memory-functions.ts";
import {
  flowOf,
  hasMemoryOperand,
  isDataSegmentLoad,
  isInterpreted,
  isPushImmediate,
  kindBehind,
  nameOf,
  readsFlags,
  registersOf,
  replacesFlags,
  touchesMemory,
  UNKNOWN_KIND,
} from "./operation-names.ts";
import type { BlockNode } from "./region-graph.ts";
import { Type } from "./runtime.ts";
import { emitStructured, structureOf } from "./structure.ts";
import { BodyWriter, I32, Op, type WasmFunction } from "./wasm-writer.ts";

/** What the region may rely on. */
export interface TranslationContext {
  readonly pool: Int32Array;
  /** Physical address of the region's page. */
  readonly frame: number;
  readonly hasTailCalls: boolean;
  /** Value of FLAT_SEGMENTS for which the code is made. */
  readonly flat: number;
  /** Value of MODE for which the code is made. */
  readonly mode: number;
  /** Bases of the segments for which the code is made, by segment; null when it must read them. */
  readonly bases: Int32Array | null;
  /** Number of a place where the region can be left. */
  site(site: Site): number;
  /** Record of an instruction at a page offset, or 0. */
  recordAt(offset: number): number;
  /** Null unless the cycle model is `detailed`. */
  readonly pairedClocks: PairedClocks | null;
}

export interface Translation {
  readonly code: WasmFunction;
  /** Bits of FLAT_SEGMENTS that the code relies on. */
  readonly flatMask: number;
  /** Whether it relies on `bases`: with other ones it is left at once by `Exit.otherBases`. */
  readonly hasFixedBases: boolean;
}

/** Functions that a module of regions imports, in this order: memory accesses, single instructions, and those of runtime.ts. */
export const regionImports = [
  { name: "read", type: Type.read },
  { name: "modify", type: Type.modify },
  { name: "write", type: Type.write },
  { name: "interpret", type: Type.one },
  { name: "transfer", type: Type.one },
  { name: "carry", type: Type.carry },
  { name: "overflow", type: Type.overflow },
  { name: "chain", type: Type.chain },
  { name: "locate", type: Type.one },
  { name: "fault", type: Type.chain },
  { name: "interruptAndGoOn", type: Type.chain },
  { name: "returnAndGoOn", type: Type.one },
  { name: "loadSegment", type: Type.chain },
  { name: "loadPageDirectory", type: Type.one },
  { name: "invalidate", type: Type.one },
  { name: "fetchCode", type: Type.fetch },
  { name: "readData", type: Type.chain },
  { name: "writeData", type: Type.chain },
  { name: "modifyData", type: Type.chain },
] as const;

const ModuleFunction = {
  ...{ read: 0, modify: 1, write: 2, interpret: 3, transfer: 4, carry: 5, overflow: 6, chain: 7, locate: 8 },
  ...{
    fault: 9,
    interruptAndGoOn: 10,
    returnAndGoOn: 11,
    loadSegment: 12,
    loadPageDirectory: 13,
    invalidate: 14,
  },
  ...{ fetchCode: 15, readData: 16, writeData: 17, modifyData: 18 },
} as const;

const KIND = 8;
const RESULT = 9;
const LEFT = 10;
const RIGHT = 11;
const CARRY = 12;
const BUDGET = 13;
const RETIRED = 14;
const PAGE_EIP = 15;
const LINEAR = 16;
const PHYSICAL = 17;
const OFFSET = 18;
const A = 19;
const B = 20;
const C = 21;
const D = 22;
const SEGMENT_BASE = 23;
/** What to do with the value with which the region is left: a `Way`. */
const WAY = 29;
/** Pairs since the region was entered. */
const PAIRED = 30;
const LOCALS = 31;
const WIDE = LOCALS;
/** Locals that stand for state words, and the words. */
const stateLocals: readonly (readonly [local: number, slot: number])[] = [
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((register) => [register, register] as const),
  ...([
    [KIND, Slot.FLAG_KIND],
    [RESULT, Slot.FLAG_RESULT],
    [LEFT, Slot.FLAG_LEFT],
    [RIGHT, Slot.FLAG_RIGHT],
    [CARRY, Slot.FLAG_CARRY],
    [BUDGET, Slot.BUDGET],
    [RETIRED, Slot.RETIRED],
  ] as const),
];
/** Out of a region: with a result; by a lookup of EIP; to a record, its physical address being in A; by a fault, its EIP being in A. */
const Way = { exit: 0, locate: 1, chain: 2, fault: 3 } as const;
const ESP = Slot.ESP;
const { SS, CS } = Segment;
const F = Field;
const { STORED, ADD, SUB, LOGIC, INC, DEC, GIVEN } = FlagKind;

export function translateRegion(blocks: readonly BlockNode[], context: TranslationContext): Translation {
  const { pool, flat, mode, bases, frame, pairedClocks } = context;
  const isDetailed = pairedClocks !== null;
  const structure = structureOf(blocks);
  const w = new BodyWriter();
  const slot = (number: number): number => Address.STATE + number * 4;
  let flatMask = 0;
  /** Bits of the state locals that calls of the interpreter must find in memory: all that any instruction may use. */
  const held = heldLocals(blocks, pool);
  /** Segments whose base is needed. */
  const usedBases = new Set<number>();
  /** Those that the region loads: nothing is relied on but what memory says. */
  const loaded = new Set<number>();
  for (const block of blocks) {
    for (const p of block.records) if (isDataSegmentLoad(pool, p)) loaded.add(pool[p + F.REG]!);
  }

  // Where the translation is: block and instruction, for the adjustments of exits.
  let block: BlockNode;
  let records: readonly number[] = [];
  let times: BlockTimes;
  let at = 0;
  let lastClocks = 0;
  /** The instruction whose effective address was put into OFFSET for the access that follows, or 0. */
  let operand = 0;
  /** Whether the instruction under way has looked itself whether time is up. */
  let isChecked = false;
  let kind: number = UNKNOWN_KIND;
  /** The construct that all ways out branch to, with a value on the stack and WAY set unless it is `exit`. */
  let exitDepth = 0;

  const clocksFrom = (first: number): number => {
    let sum = 0;
    for (let i = first; i < records.length; i++) sum += times.clocks[i]!;
    return sum;
  };
  const pairsFrom = (first: number): number => times.isPaired.slice(first).filter((is) => is).length;
  /** Where the interpreter begins with an instruction. */
  const before = (p: number): number => (isDetailed ? frontOf(pool, p) : p);

  function adjust(local: number, change: number): void {
    if (change !== 0) w.get(local).constant(change).op(Op.add).set(local);
  }

  /** Instructions of the block that did not run, `done` did, are taken out of the counts. */
  function settle(done: number): void {
    adjust(BUDGET, clocksFrom(done));
    adjust(RETIRED, done - records.length);
    adjust(PAIRED, -pairsFrom(done));
  }

  /** What a site tells of the detailed model: so many instructions of the block are accounted, `done` have run. */
  function timingOf(accounted: number, done: number, pairs = pairsFrom(accounted)): Site["timing"] {
    if (!isDetailed) return null;
    const isWaiting = accounted > done;
    return {
      ...waitingBehind(pool, block, times, accounted, frame),
      pairs,
      own: isWaiting ? times.clocks[done]! : -1,
      physical: isWaiting ? frame + pool[records[done]! + F.OFFSET]! : -1,
    };
  }

  function leaveAt(site: Site): void {
    w.constant((context.site(site) << 4) | Exit.site).branch(Op.br, exitDepth);
  }

  /** Leaves compiled code behind `done` instructions of the block. */
  function leave(reason: number, p: number, done: number, accounted = done): void {
    const instructions = records.length - done;
    const timing = timingOf(accounted, done);
    leaveAt({ record: p, reason, clocks: clocksFrom(done), instructions, timing });
  }

  /** The value is on the stack. */
  function leaveBy(way: number): void {
    w.constant(way).set(WAY).branch(Op.br, exitDepth);
  }

  /** Leaves the region by a branch to a page offset. */
  function leaveTo(offset: number): void {
    const p = offset >= 0 && offset < 4096 ? context.recordAt(offset) : 0;
    if (p !== 0) {
      w.constant(frame + offset).set(A);
      w.constant(before(p));
      leaveBy(Way.chain);
    } else {
      w.get(PAGE_EIP).constant(offset).op(Op.add);
      leaveBy(Way.locate);
    }
  }

  /** Leaves the region at the end of a block, for what stands behind it: that is looked up only if time is left, as it may cost some. */
  function leaveBehind(last: number, offset: number): void {
    if (isDetailed && times.waits[records.length - 1] !== 0) {
      leave(Exit.branch, last + F.WORDS, records.length);
      return;
    }
    w.get(BUDGET).constant(0).op(Op.leS).open(Op.if);
    leave(Exit.plain, last + F.WORDS, records.length);
    w.close();
    leaveTo(offset);
  }

  /** Whether a segment is flat (or whole, see FLAT_SEGMENTS); the code is good for that answer only. */
  function relyOn(segment: number, isWhole = false): boolean {
    if (loaded.has(segment)) return false;
    const bit = isWhole ? 0x100 << segment : 1 << segment;
    flatMask |= bit;
    return (flat & bit) !== 0;
  }

  /** Stores the registers and flags that the region has in locals. */
  function storeState(): void {
    for (const [local, number] of stateLocals) {
      if ((held & (1 << local)) !== 0) w.constant(0).get(local).memory(Op.store, slot(number));
    }
  }

  function loadState(): void {
    for (const [local, number] of stateLocals) {
      if ((held & (1 << local)) !== 0) w.word(slot(number)).set(local);
    }
  }

  // Registers of any size. Values are sign-extended.

  function getRegister(index: number, size: number): void {
    if (size === 4) w.get(index);
    else if (size === 2) {
      w.get(index >> 1).op(Op.extend16);
    } else if ((index & 3) === 0) w.get(index >> 2).op(Op.extend8);
    else
      w.get(index >> 2)
        .constant(8)
        .op(Op.shrU)
        .op(Op.extend8);
  }

  function getRegisterUnsigned(index: number, size: number): void {
    if (size === 4) w.get(index);
    else if (size === 2)
      w.get(index >> 1)
        .constant(0xffff)
        .op(Op.and);
    else {
      w.get(index >> 2);
      if ((index & 3) !== 0) w.constant(8).op(Op.shrU);
      w.constant(0xff).op(Op.and);
    }
  }

  /** Takes the value from a local. */
  function setRegister(index: number, size: number, from: number): void {
    if (size === 4) {
      w.get(from).set(index);
      return;
    }
    const register = size === 2 ? index >> 1 : index >> 2;
    const isHigh = size === 1 && (index & 3) !== 0;
    const mask = size === 2 ? 0xffff : 0xff;
    const shift = isHigh ? 8 : 0;
    w.get(register)
      .constant(~(mask << shift))
      .op(Op.and);
    w.get(from).constant(mask).op(Op.and);
    if (isHigh) w.constant(8).op(Op.shl);
    w.op(Op.or).set(register);
  }

  // Memory.

  /** Leaves the effective address, plus `segmentBase`, on the stack. */
  function address(p: number, segmentBase = 0): void {
    const base = pool[p + F.BASE]!;
    const index = pool[p + F.INDEX]!;
    const displacement = (pool[p + F.DISPLACEMENT]! + segmentBase) | 0;
    let isEmpty = true;
    if (base !== Slot.ZERO) {
      w.get(base);
      isEmpty = false;
    }
    if (index !== Slot.ZERO) {
      w.get(index);
      if (pool[p + F.SCALE] !== 0) w.constant(pool[p + F.SCALE]!).op(Op.shl);
      if (!isEmpty) w.op(Op.add);
      isEmpty = false;
    }
    if (isEmpty) w.constant(displacement);
    else if (displacement !== 0) w.constant(displacement).op(Op.add);
  }

  /** Sets OFFSET, for the access that follows. */
  function setOffset(p: number): void {
    address(p);
    w.set(OFFSET);
    operand = p;
  }

  /** Leaves the linear address of OFFSET on the stack. A base that is known is one number with the displacement. */
  function linearAddress(segment: number, isFlat: boolean): void {
    const p = operand;
    operand = 0;
    if (!isFlat) usedBases.add(segment);
    if (isFlat) w.get(OFFSET);
    else if (bases === null || loaded.has(segment))
      w.get(OFFSET)
        .get(SEGMENT_BASE + segment)
        .op(Op.add);
    else if (p !== 0) address(p, bases[segment]!);
    else w.get(OFFSET).constant(bases[segment]!).op(Op.add);
  }

  /** From OFFSET: sets LINEAR, and leaves on the stack whether the fast path holds. */
  function probe(segment: number, size: number, writes: boolean): void {
    const log = size >> 1;
    const isFlat = segment !== CS && relyOn(segment);
    const isWhole = isFlat || (segment !== CS && relyOn(segment, true));
    if (segment === CS) relyOn(CS);
    linearAddress(segment, isFlat);
    w.tee(LINEAR)
      .constant(10)
      .op(Op.shrU)
      .constant((SOFT_TLB_SETS - 1) * 4)
      .op(Op.and)
      .tee(D);
    w.memory(Op.load, (writes ? Address.WRITE_TAGS : Address.READ_TAGS) + mode * 4);
    w.get(LINEAR)
      .constant(-4096 | (size - 1))
      .op(Op.and, Op.eq);
    if (!isWhole) {
      w.get(OFFSET)
        .word((writes ? Address.WRITE_LIMITS : Address.READ_LIMITS) + (segment * 4 + log) * 4)
        .op(Op.ltU, Op.and);
    }
  }

  function physical(): void {
    w.get(D).memory(Op.load, Address.ADDENDS).get(LINEAR).op(Op.add);
    if (isDetailed) w.tee(PHYSICAL);
  }

  /** Behind an access on the fast path, with the detailed model: the line at PHYSICAL, unless its use changes nothing. */
  function useLine(how: "readData" | "writeData" | "modifyData", late: () => void = () => {}): void {
    if (!isDetailed) return;
    w.get(PHYSICAL)
      .constant(Timing.LINE_SHIFT - 3)
      .op(Op.shrU)
      .constant((Timing.CACHE_SETS - 1) << 3)
      .op(Op.and)
      .tee(D)
      .memory(Op.load, Address.DATA_LINES);
    w.get(PHYSICAL)
      .constant(Timing.LINE_SHIFT - 1)
      .op(Op.shrU);
    // The line's number × 2, and a bit of the address where the tag says whether it is dirty.
    w.op(Op.xor).constant(Timing.DIRTY).op(Op.gtU).open(Op.if);
    const rest = clocksFrom(at + 1);
    w.get(BUDGET);
    if (rest !== 0) w.constant(rest).op(Op.add);
    w.get(PHYSICAL).call(ModuleFunction[how]);
    if (rest !== 0) w.constant(rest).op(Op.sub);
    w.set(BUDGET);
    late();
    if (how !== "readData") {
      w.otherwise();
      w.get(D)
        .get(PHYSICAL)
        .constant(Timing.LINE_SHIFT - 1)
        .op(Op.shrU)
        .constant(Timing.DIRTY)
        .op(Op.or)
        .memory(Op.store, Address.DATA_LINES);
    }
    w.close();
  }

  /** In front of an instruction, with the detailed model: its lines of code. */
  function useCode(): void {
    const tags = times.tags[at] ?? [];
    if (tags.length === 0) return;
    tags.forEach(([address, tag], i) => {
      w.word(address).constant(tag).op(Op.ne);
      if (i > 0) w.op(Op.or);
    });
    const p = records[at]!;
    const rest = clocksFrom(at);
    w.open(Op.if);
    w.get(BUDGET).constant(rest).op(Op.add);
    w.constant(frame + pool[p + F.OFFSET]!)
      .constant(pool[p + F.BYTES]!)
      .call(ModuleFunction.fetchCode);
    w.constant(rest).op(Op.sub).tee(BUDGET).constant(-lastClocks).op(Op.leS).open(Op.if);
    leave(Exit.plain, p, at, at + 1);
    w.close().close();
  }

  /** Calls a memory function, whose operands but the last two are on the stack; leaves when it faulted. Results but BUDGET stay. */
  function callMemory(index: number, segment: number, size: number): void {
    w.constant(accessInfo(segment, size, mode, clocksFrom(at + 1)))
      .get(BUDGET)
      .call(index)
      .set(BUDGET);
    w.get(BUDGET).constant(FAULTED_BUDGET).op(Op.eq).open(Op.if);
    // The right time is in memory: the access may have cost some before it faulted.
    w.word(slot(Slot.BUDGET)).set(BUDGET);
    if (isDetailed) {
      const instructions = records.length - at - 1;
      const timing = timingOf(at + 1, at + 1);
      leaveAt({ record: records[at]!, reason: Exit.fault, clocks: 0, instructions, timing });
      w.close();
      return;
    }
    adjust(RETIRED, at + 1 - records.length);
    w.get(PAGE_EIP)
      .constant(pool[records[at]! + F.OFFSET]!)
      .op(Op.add)
      .set(A);
    w.constant(records[at]! | Exit.fault);
    leaveBy(Way.fault);
    w.close();
  }

  /** Behind what may have cost time, the instruction being done. */
  function checkBudget(): void {
    if (at + 1 >= records.length) return;
    w.get(BUDGET).constant(-lastClocks).op(Op.leS).open(Op.if);
    leave(Exit.plain, before(records[at + 1]!), at + 1);
    w.close();
  }

  const loadOf = (size: number, isSigned: boolean): number =>
    size === 4
      ? Op.load
      : size === 2
        ? isSigned
          ? Op.load16s
          : Op.load16u
        : isSigned
          ? Op.load8s
          : Op.load8u;
  const storeOf = (size: number): number => (size === 4 ? Op.store : size === 2 ? Op.store16 : Op.store8);

  function extend(size: number): void {
    if (size === 2) w.op(Op.extend16);
    else if (size === 1) w.op(Op.extend8);
  }

  /** Reads at OFFSET; the value is left on the stack. */
  function read(segment: number, size: number, isSigned = true): void {
    probe(segment, size, false);
    w.open(Op.if, I32);
    physical();
    w.memory(loadOf(size, isSigned), Address.RAM);
    useLine("readData");
    w.otherwise();
    w.get(OFFSET);
    callMemory(ModuleFunction.read, segment, size);
    if (isSigned) extend(size);
    w.close();
  }

  /** Reads at OFFSET as the whole of an instruction: `commit` takes the value from the stack. */
  function load(segment: number, size: number, isSigned: boolean, commit: () => void): void {
    probe(segment, size, false);
    w.open(Op.if);
    physical();
    w.memory(loadOf(size, isSigned), Address.RAM);
    commit();
    useLine("readData", checkBudget);
    w.otherwise();
    w.get(OFFSET);
    callMemory(ModuleFunction.read, segment, size);
    if (isSigned) extend(size);
    commit();
    checkBudget();
    w.close();
    isChecked = true;
  }

  /** Writes the value of a local at OFFSET, which is the end of an instruction but for `commit`. */
  function store(segment: number, size: number, from: number, commit: () => void = () => {}): void {
    probe(segment, size, true);
    w.open(Op.if);
    physical();
    w.get(from).memory(storeOf(size), Address.RAM);
    commit();
    useLine("writeData", checkBudget);
    w.otherwise();
    w.get(OFFSET).get(from);
    callMemory(ModuleFunction.write, segment, size);
    commit();
    checkBudget();
    w.close();
    isChecked = true;
  }

  /**
   * Reads at OFFSET what may be written back: value on the stack, PHYSICAL set for `writeBack`. When it `surely` will be, its line is used then,
   * for both.
   */
  function modify(segment: number, size: number, surely: boolean): void {
    probe(segment, size, true);
    w.open(Op.if, I32);
    physical();
    w.tee(PHYSICAL).memory(loadOf(size, true), Address.RAM);
    w.otherwise();
    w.get(OFFSET);
    callMemory(ModuleFunction.modify, segment, size);
    w.set(PHYSICAL);
    extend(size);
    w.close();
    if (!isDetailed || surely) return;
    w.get(PHYSICAL).constant(0).op(Op.geS).open(Op.if);
    useLine("readData");
    w.close();
  }

  function writeBack(segment: number, size: number, from: number, surely: boolean): void {
    w.get(PHYSICAL).constant(0).op(Op.geS).open(Op.if);
    w.get(PHYSICAL).get(from).memory(storeOf(size), Address.RAM);
    useLine(surely ? "modifyData" : "writeData");
    w.otherwise();
    w.get(OFFSET).get(from);
    callMemory(ModuleFunction.write, segment, size);
    w.close();
  }

  // Operands.

  const formOf = (p: number): number => (pool[p + F.PREFIX]! >> Prefix.FORM_SHIFT) & 3;

  function readRm(p: number, size: number): void {
    if (!hasMemoryOperand(pool, p)) getRegister(pool[p + F.RM]!, size);
    else {
      setOffset(p);
      read(pool[p + F.SEGMENT]!, size);
    }
  }

  function modifyRm(p: number, size: number, surely = true): void {
    if (!hasMemoryOperand(pool, p)) getRegister(pool[p + F.RM]!, size);
    else {
      setOffset(p);
      modify(pool[p + F.SEGMENT]!, size, surely);
    }
  }

  /** Behind `modifyRm`. */
  function writeRm(p: number, size: number, from: number, surely = true): void {
    if (!hasMemoryOperand(pool, p)) setRegister(pool[p + F.RM]!, size, from);
    else writeBack(pool[p + F.SEGMENT]!, size, from, surely);
  }

  const isShort = (p: number): boolean => (pool[p + F.PREFIX]! & Prefix.ADDRESS_16) !== 0;
  const immediateOf = (p: number, size: number): number => {
    const value = pool[p + F.IMMEDIATE]!;
    return size === 4 ? value : size === 2 ? (value << 16) >> 16 : (value << 24) >> 24;
  };

  // Flags.

  /** Whether the flags that the instruction under way sets can be seen by anything. */
  function flagsMatter(): boolean {
    // The region may be left right behind an access.
    if (touchesMemory(pool, records[at]!)) return true;
    for (let i = at + 1; i < records.length; i++) {
      const p = records[i]!;
      // The region may be left in front of it.
      if ((times.tags[i]?.length ?? 0) > 0) return true;
      if (readsFlags(pool, p) || touchesMemory(pool, p)) return true;
      if (replacesFlags(pool, p)) return false;
    }
    return true;
  }

  function setKind(value: number): void {
    w.constant(value).set(KIND);
  }

  function carry(): void {
    switch (kind) {
      case ADD:
        w.get(RESULT).get(LEFT).op(Op.ltU);
        break;
      case SUB:
        w.get(LEFT).get(RIGHT).op(Op.ltU);
        break;
      case LOGIC:
        w.constant(0);
        break;
      case INC:
      case DEC:
        w.get(CARRY);
        break;
      case GIVEN:
        w.get(LEFT);
        break;
      default:
        w.get(KIND).get(RESULT).get(LEFT).get(RIGHT).get(CARRY).call(ModuleFunction.carry);
    }
  }

  function overflow(): void {
    switch (kind) {
      case ADD:
      case INC:
        w.get(LEFT).get(RESULT).op(Op.xor).get(RIGHT).get(RESULT).op(Op.xor, Op.and).constant(31).op(Op.shrU);
        break;
      case SUB:
      case DEC:
        w.get(LEFT).get(RIGHT).op(Op.xor).get(LEFT).get(RESULT).op(Op.xor, Op.and).constant(31).op(Op.shrU);
        break;
      case LOGIC:
        w.constant(0);
        break;
      case GIVEN:
        w.get(RIGHT);
        break;
      default:
        w.get(KIND).get(RESULT).get(LEFT).get(RIGHT).call(ModuleFunction.overflow);
    }
  }

  /** A flag that is a bit of EFLAGS when STORED and is read off the result otherwise. */
  function fromResult(bit: number, ofResult: () => void): void {
    if (kind !== UNKNOWN_KIND) {
      ofResult();
      return;
    }
    w.get(KIND).constant(STORED).op(Op.eq).open(Op.if, I32);
    w.word(slot(Slot.EFLAGS)).constant(bit).op(Op.shrU).constant(1).op(Op.and);
    w.otherwise();
    ofResult();
    w.close();
  }

  const zero = () => fromResult(6, () => w.get(RESULT).op(Op.eqz));
  const sign = () => fromResult(7, () => w.get(RESULT).constant(31).op(Op.shrU));
  const parity = () =>
    fromResult(2, () => w.get(RESULT).constant(0xff).op(Op.and, Op.popcnt).constant(1).op(Op.and, Op.eqz));

  /** Leaves 0 or 1: whether condition `code` holds. */
  function condition(code: number): void {
    const isNegated = (code & 1) !== 0;
    switch (code >> 1) {
      case 0:
        overflow();
        break;
      case 1:
        carry();
        break;
      case 2:
        zero();
        break;
      case 3:
        if (kind === SUB) w.get(LEFT).get(RIGHT).op(Op.leU);
        else if (kind === LOGIC) zero();
        else {
          carry();
          zero();
          w.op(Op.or);
        }
        break;
      case 4:
        sign();
        break;
      case 5:
        parity();
        break;
      case 6:
        if (kind === SUB) w.get(LEFT).get(RIGHT).op(Op.ltS);
        else if (kind === LOGIC) sign();
        else {
          sign();
          overflow();
          w.op(Op.xor);
        }
        break;
      default:
        if (kind === SUB) w.get(LEFT).get(RIGHT).op(Op.leS);
        else if (kind === LOGIC) w.get(RESULT).constant(0).op(Op.leS);
        else {
          zero();
          sign();
          overflow();
          w.op(Op.xor, Op.or);
        }
    }
    if (isNegated) w.op(Op.eqz);
  }

  /** Flags of an operation whose operands are in A and B and whose result is in C. */
  function saveFlags(value: number, matter: boolean): void {
    if (!matter) return;
    if (value !== LOGIC) w.get(A).set(LEFT).get(B).set(RIGHT);
    w.get(C).set(RESULT);
    setKind(value);
  }

  // Instructions.

  const codes: Readonly<Record<string, number>> = {
    ...{ add: Op.add, adc: Op.add, sub: Op.sub, sbb: Op.sub, cmp: Op.sub },
    ...{ or: Op.or, and: Op.and, xor: Op.xor, test: Op.and },
  };

  function arithmetic(p: number, name: string, size: number): void {
    const form = formOf(p);
    const onlyFlags = name === "cmp" || name === "test";
    const toRegister = form === 1 && name !== "test";
    if (toRegister) {
      readRm(p, size);
      w.set(B);
      getRegister(pool[p + F.REG]!, size);
      w.set(A);
    } else {
      if (onlyFlags) readRm(p, size);
      else modifyRm(p, size);
      w.set(A);
      if (form === 2) w.constant(immediateOf(p, size));
      else getRegister(pool[p + F.REG]!, size);
      w.set(B);
    }
    const withCarry = name === "adc" || name === "sbb";
    if (withCarry) {
      carry();
      w.set(LINEAR);
    }
    w.get(A).get(B).op(codes[name]!);
    if (withCarry) w.get(LINEAR).op(codes[name]!);
    if (size !== 4 && name !== "test") extend(size);
    w.set(C);
    if (toRegister && !onlyFlags) setRegister(pool[p + F.REG]!, size, C);
    else if (!onlyFlags) writeRm(p, size, C);
    const matter = flagsMatter();
    if (withCarry) {
      w.get(A).set(LEFT).get(B).set(RIGHT).get(C).set(RESULT);
      w.get(LINEAR)
        .constant(name === "adc" ? ADD : SUB)
        .op(Op.add)
        .set(KIND);
    } else saveFlags(name === "add" ? ADD : name === "sub" || name === "cmp" ? SUB : LOGIC, matter);
  }

  function step(p: number, name: string, size: number): void {
    modifyRm(p, size);
    w.set(A);
    w.get(A)
      .constant(1)
      .op(name === "inc" ? Op.add : Op.sub);
    extend(size);
    w.set(C);
    writeRm(p, size, C);
    if (!flagsMatter()) return;
    if (kind !== INC && kind !== DEC) {
      carry();
      w.set(CARRY);
    }
    w.constant(1).set(B);
    saveFlags(name === "inc" ? INC : DEC, true);
  }

  function shift(p: number, name: string): void {
    const immediate = pool[p + F.IMMEDIATE]!;
    const matter = flagsMatter();
    modifyRm(p, 4, false);
    w.set(A);
    if (immediate >= 0) {
      const count = immediate & 31;
      if (count === 0) return;
      w.constant(count).set(B);
    } else {
      w.get(Slot.ECX).constant(31).op(Op.and).tee(B);
      w.open(Op.if);
    }
    w.get(A)
      .get(B)
      .op(name === "shl" ? Op.shl : name === "shr" ? Op.shrU : Op.shrS)
      .set(C);
    writeRm(p, 4, C, false);
    if (matter || immediate < 0) {
      w.get(C).set(RESULT);
      if (name === "shl") {
        w.get(A).constant(32).get(B).op(Op.sub, Op.shrU).constant(1).op(Op.and).tee(LEFT);
        w.get(C).constant(31).op(Op.shrU, Op.xor).set(RIGHT);
      } else {
        w.get(A)
          .get(B)
          .constant(1)
          .op(Op.sub, name === "shr" ? Op.shrU : Op.shrS)
          .constant(1)
          .op(Op.and)
          .set(LEFT);
        if (name === "shr") w.get(A).constant(31).op(Op.shrU).set(RIGHT);
        else w.constant(0).set(RIGHT);
      }
      setKind(GIVEN);
    }
    if (immediate < 0) w.close();
  }

  function given(pushOverflow: () => void): void {
    if (!flagsMatter()) return;
    w.get(C).set(RESULT);
    pushOverflow();
    w.tee(LEFT).set(RIGHT);
    setKind(GIVEN);
  }

  function multiply(p: number, name: string): void {
    const extendOp = name === "mul" ? Op.extendU : Op.extendS;
    if (name === "imul") {
      readRm(p, 4);
      w.op(extendOp);
      const opcode = (pool[p + F.PREFIX]! >> Prefix.OPCODE_SHIFT) & 0xff;
      if (opcode === 0x69 || opcode === 0x6b) w.constant(pool[p + F.IMMEDIATE]!).op(extendOp);
      else w.get(pool[p + F.REG]!).op(extendOp);
    } else {
      readRm(p, 4);
      w.op(extendOp).get(Slot.EAX).op(extendOp);
    }
    w.op(Op.mul64).tee(WIDE).op(Op.wrap).set(C);
    if (name === "imul") w.get(C).set(pool[p + F.REG]!);
    else {
      w.get(C).set(Slot.EAX);
      w.get(WIDE).op(Op.const64, 32, Op.shrU64, Op.wrap).set(Slot.EDX);
    }
    given(() => w.get(WIDE).get(C).op(extendOp, Op.ne64));
  }

  function divide(p: number): void {
    readRm(p, 4);
    w.set(A);
    // None when the high word is below the divisor.
    w.get(Slot.EDX).get(A).op(Op.geU).open(Op.if);
    leave(Exit.noQuotient, p, at + 1);
    w.close();
    w.get(Slot.EDX).op(Op.extendU, Op.const64, 32, Op.shl64).get(Slot.EAX).op(Op.extendU, Op.or64).set(WIDE);
    w.get(WIDE).get(A).op(Op.extendU, Op.divU64, Op.wrap).set(Slot.EAX);
    w.get(WIDE).get(A).op(Op.extendU, Op.remU64, Op.wrap).set(Slot.EDX);
  }

  function push(from: number): void {
    w.get(ESP).constant(4).op(Op.sub).set(OFFSET);
    store(SS, 4, from, () => {
      w.get(OFFSET).set(ESP);
    });
  }

  /** Leaves when the target in a local lies outside CS. */
  function checkTarget(p: number, local: number): void {
    if (relyOn(CS)) return;
    w.get(local)
      .word(slot(Slot.LIMIT + CS))
      .op(Op.gtU)
      .open(Op.if);
    leave(Exit.outside, p, at + 1);
    w.close();
  }

  function leaveToLocal(local: number): void {
    w.get(local);
    leaveBy(Way.locate);
  }

  /** Has the interpreter run this one instruction, which goes on behind itself. */
  function interpret(p: number): void {
    const rest = clocksFrom(at + 1);
    const { waiting, next } = waitingBehind(pool, block, times, at + 1, frame);
    adjust(BUDGET, rest);
    adjust(RETIRED, at + 1 - records.length);
    storeState();
    w.constant(p).call(ModuleFunction.interpret).set(A);
    loadState();
    adjust(BUDGET, -rest);
    adjust(RETIRED, records.length - at - 1);
    // Anything but the instruction behind: a fault, or a repetition that is not finished. The counts in memory are right.
    w.get(A)
      .constant(p + F.WORDS)
      .op(Op.ne)
      .open(Op.if);
    settle(at + 1);
    if (isDetailed) {
      w.constant(0)
        .constant(next)
        .memory(Op.store, Address.TIMING + Timing.NEXT * 4);
      w.constant(0)
        .constant(waiting)
        .memory(Op.store, Address.TIMING + Timing.WAITING * 4);
    }
    w.get(A).branch(Op.br, exitDepth);
    w.close();
  }

  /** A call of the engine has said where to go on behind the instruction, or 0 when it has not done it. */
  function followEngine(p: number): void {
    w.tee(A).op(Op.eqz).open(Op.if);
    w.constant(p).call(ModuleFunction.transfer).set(A);
    w.close();
    goTo(A);
  }

  /** MOV or POP to DS, ES, FS, GS, by the engine if it can. */
  function loadDataSegment(p: number): void {
    const number = pool[p + F.REG]!;
    const isPop = nameOf(pool, p) === "popSegment";
    if (isPop) {
      w.get(ESP).set(OFFSET);
      read(SS, 2, false);
    } else if (hasMemoryOperand(pool, p)) {
      setOffset(p);
      read(pool[p + F.SEGMENT]!, 2, false);
    } else getRegisterUnsigned(pool[p + F.RM]!, 2);
    w.set(A);
    const rest = clocksFrom(at + 1);
    w.constant(0).get(BUDGET).constant(rest).op(Op.add).memory(Op.store, slot(Slot.BUDGET));
    w.constant(number).get(A).call(ModuleFunction.loadSegment);
    w.word(slot(Slot.BUDGET)).constant(rest).op(Op.sub).set(BUDGET);
    w.open(Op.if);
    if (isPop) w.get(ESP).constant(4).op(Op.add).set(ESP);
    w.otherwise();
    interpret(p);
    w.close();
    w.word(slot(Slot.BASE + number)).set(SEGMENT_BASE + number);
  }

  /** The last instruction of a block, in the engine if it can: what it cannot is left to the interpreter. */
  function transferByEngine(p: number, end: number): void {
    const behind = (): void => {
      w.get(PAGE_EIP).constant(end).op(Op.add);
    };
    const name = nameOf(pool, p);
    const size = pool[p + F.SIZE]!;
    const number = pool[p + F.REG]!;
    if (name === "int" || name === "int3") {
      storeState();
      w.constant(name === "int" ? pool[p + F.IMMEDIATE]! : Vector.BP);
      behind();
      w.call(ModuleFunction.interruptAndGoOn);
      followEngine(p);
      return;
    }
    if (name === "iret" && size === 4) {
      storeState();
      behind();
      w.call(ModuleFunction.returnAndGoOn);
      followEngine(p);
      return;
    }
    if (name === "movToControl" && number === 3) {
      w.get(pool[p + F.RM]!)
        .call(ModuleFunction.loadPageDirectory)
        .open(Op.if);
      behind();
      leaveBy(Way.locate);
      w.close();
    } else if (name === "invlpg" && !isShort(p)) {
      const segment = pool[p + F.SEGMENT]!;
      address(p);
      w.word(slot(Slot.BASE + segment)).op(Op.add);
      w.call(ModuleFunction.invalidate).open(Op.if);
      behind();
      leaveBy(Way.locate);
      w.close();
    }
    transferByInterpreter(p);
  }

  /** Has the interpreter run the last instruction, which may go anywhere, and follows it. */
  function transferByInterpreter(p: number): void {
    storeState();
    w.constant(p).call(ModuleFunction.transfer).set(A);
    goTo(A);
  }

  /** A local has the result of a region: where to go, or how to return. */
  function goTo(local: number): void {
    w.get(local);
    w.constant(15).op(Op.and).constant(Exit.chain).op(Op.eq);
    if (context.hasTailCalls) {
      w.open(Op.if);
      w.get(local).constant(4).op(Op.shrU).op(Op.returnCallIndirect, Type.region, 0);
      w.close();
    } else w.op(Op.drop);
    w.get(local).op(Op.return);
  }

  function instruction(p: number): void {
    if (isDataSegmentLoad(pool, p)) {
      loadDataSegment(p);
      return;
    }
    if (isInterpreted(pool, p)) {
      interpret(p);
      return;
    }
    const name = nameOf(pool, p);
    const size = pool[p + F.SIZE]!;
    switch (name) {
      case "add":
      case "or":
      case "adc":
      case "sbb":
      case "and":
      case "sub":
      case "xor":
      case "cmp":
      case "test":
        arithmetic(p, name, size);
        break;
      case "mov": {
        const form = formOf(p);
        if (form === 1 && size === 4 && hasMemoryOperand(pool, p)) {
          setOffset(p);
          load(pool[p + F.SEGMENT]!, 4, true, () => w.set(pool[p + F.REG]!));
          break;
        }
        if (form === 1) {
          readRm(p, size);
          w.set(A);
          setRegister(pool[p + F.REG]!, size, A);
          break;
        }
        if (form === 2) w.constant(immediateOf(p, size));
        else getRegister(pool[p + F.REG]!, size);
        w.set(A);
        if (hasMemoryOperand(pool, p)) {
          setOffset(p);
          store(pool[p + F.SEGMENT]!, size, A);
        } else setRegister(pool[p + F.RM]!, size, A);
        break;
      }
      case "movzx":
      case "movsx": {
        const from = pool[p + F.EXTRA] === 1 ? 1 : 2;
        if (hasMemoryOperand(pool, p)) {
          setOffset(p);
          load(pool[p + F.SEGMENT]!, from, name === "movsx", () => w.set(pool[p + F.REG]!));
          break;
        } else if (name === "movsx") getRegister(pool[p + F.RM]!, from);
        else getRegisterUnsigned(pool[p + F.RM]!, from);
        w.set(pool[p + F.REG]!);
        break;
      }
      case "lea":
        address(p);
        w.set(pool[p + F.REG]!);
        break;
      case "inc":
      case "dec":
        step(p, name, size);
        break;
      case "neg":
        modifyRm(p, size);
        w.set(B).constant(0).set(A);
        w.constant(0).get(B).op(Op.sub);
        extend(size);
        w.set(C);
        writeRm(p, size, C);
        saveFlags(SUB, flagsMatter());
        break;
      case "not":
        modifyRm(p, size);
        w.constant(-1).op(Op.xor).set(C);
        writeRm(p, size, C);
        break;
      case "shl":
      case "shr":
      case "sar":
        shift(p, name);
        break;
      case "imul":
      case "mul":
      case "imulWide":
        multiply(p, name);
        break;
      case "div":
        divide(p);
        break;
      case "push":
        if (isPushImmediate(pool, p)) w.constant(pool[p + F.IMMEDIATE]!);
        else readRm(p, 4);
        w.set(A);
        push(A);
        // The time that its own read took is not looked at yet.
        if (!isPushImmediate(pool, p) && hasMemoryOperand(pool, p)) isChecked = false;
        break;
      case "pushSegment":
        w.word(slot(Slot.SELECTOR + pool[p + F.REG]!)).set(A);
        push(A);
        break;
      case "pop":
        w.get(ESP).set(OFFSET);
        load(SS, 4, true, () => {
          if (pool[p + F.RM] === ESP) w.set(ESP);
          else
            w.set(pool[p + F.RM]!)
              .get(OFFSET)
              .constant(4)
              .op(Op.add)
              .set(ESP);
        });
        break;
      case "leave":
        w.get(Slot.EBP).set(OFFSET);
        load(SS, 4, true, () => w.set(Slot.EBP).get(OFFSET).constant(4).op(Op.add).set(ESP));
        break;
      case "cdq":
        w.get(Slot.EAX).constant(31).op(Op.shrS).set(Slot.EDX);
        break;
      case "cwde":
        w.get(Slot.EAX).op(Op.extend16).set(Slot.EAX);
        break;
      case "xchg":
        w.get(pool[p + F.RM]!)
          .get(pool[p + F.REG]!)
          .set(pool[p + F.RM]!)
          .set(pool[p + F.REG]!);
        break;
      case "bswap":
        w.get(pool[p + F.RM]!)
          .constant(8)
          .op(Op.rotl)
          .constant(0x00ff00ff)
          .op(Op.and);
        w.get(pool[p + F.RM]!)
          .constant(8)
          .op(Op.rotr)
          .constant(0xff00ff00 | 0)
          .op(Op.and, Op.or);
        w.set(pool[p + F.RM]!);
        break;
      case "setcc":
        condition(pool[p + F.EXTRA]!);
        w.set(A);
        if (hasMemoryOperand(pool, p)) {
          setOffset(p);
          store(pool[p + F.SEGMENT]!, 1, A);
        } else setRegister(pool[p + F.RM]!, 1, A);
        break;
      case "nop":
        break;
      default:
        throw new Error(`"${name}" was said to be compiled and is not`);
    }
  }

  /** To the targets that the table had when it was read, if A is still what it says there; else goes on behind. */
  function jumpThroughTable(block: BlockNode, p: number, go: (target: number) => void): void {
    const { targets } = block;
    const known = [...new Set(targets)].filter((index) => index >= 0);
    w.open(Op.block);
    const otherwise = w.depth;
    const depths = new Map(known.map((index) => [index, w.open(Op.block).depth]));
    w.get(pool[p + F.INDEX]!).branchTable(
      targets.map((index) => depths.get(index) ?? otherwise),
      otherwise,
    );
    for (const index of known.toReversed()) {
      w.close();
      w.get(A).get(PAGE_EIP).constant(blocks[index]!.offset).op(Op.add, Op.ne).branch(Op.brIf, otherwise);
      go(index);
      w.op(Op.unreachable);
    }
    w.close();
  }

  /** The last instruction of a block, when it transfers control. */
  function transfer(block: BlockNode, p: number, go: (target: number) => void): void {
    const target = pool[p + F.IMMEDIATE]!;
    const to = (index: number, offset: number): void => {
      if (index >= 0) go(index);
      else leaveTo(offset);
    };
    const returnAddress = pool[p + F.OFFSET]! + pool[p + F.BYTES]!;
    switch (nameOf(pool, p)) {
      case "jccInPage":
      case "jccFar": {
        const isFar = target < 0 || target >= 4096;
        condition(pool[p + F.EXTRA]!);
        w.open(Op.if);
        if (isFar) {
          w.get(PAGE_EIP).constant(target).op(Op.add).set(A);
          checkTarget(p, A);
          leaveToLocal(A);
        } else to(block.taken, target);
        w.otherwise();
        if (block.next >= 0) go(block.next);
        else leaveBehind(p, block.end);
        w.close().op(Op.unreachable);
        break;
      }
      case "jmpInPage":
        to(block.taken, target);
        break;
      case "jmpFarPage":
        w.get(PAGE_EIP).constant(target).op(Op.add).set(A);
        checkTarget(p, A);
        leaveToLocal(A);
        break;
      case "jmpRegister":
      case "jmpMemory":
        readRm(p, 4);
        w.set(A);
        checkTarget(p, A);
        if (block.targets.some((index) => index >= 0)) jumpThroughTable(block, p, go);
        leaveToLocal(A);
        break;
      case "callInPage":
        w.get(PAGE_EIP).constant(returnAddress).op(Op.add).set(A);
        push(A);
        to(block.taken, target);
        break;
      case "callFarPage":
      case "callRegister":
      case "callMemory":
        if (nameOf(pool, p) === "callFarPage") w.get(PAGE_EIP).constant(target).op(Op.add);
        else readRm(p, 4);
        w.set(C);
        checkTarget(p, C);
        w.get(PAGE_EIP).constant(returnAddress).op(Op.add).set(A);
        push(A);
        leaveToLocal(C);
        break;
      case "ret":
      case "retImmediate": {
        w.get(ESP).set(OFFSET);
        read(SS, 4);
        w.set(A);
        checkTarget(p, A);
        const drop = nameOf(pool, p) === "retImmediate" ? target : 0;
        w.get(OFFSET)
          .constant(4 + drop)
          .op(Op.add)
          .set(ESP);
        if (block.taken >= 0) {
          w.get(A).get(PAGE_EIP).constant(block.returnOffset).op(Op.add, Op.eq).open(Op.if);
          go(block.taken);
          w.close();
        }
        leaveToLocal(A);
        break;
      }
      default:
        transferByEngine(p, block.end);
    }
  }

  function emitBlock(index: number, go: (target: number) => void): void {
    block = blocks[index]!;
    const here = block;
    const all = block.records;
    const isCut = block.flow === "unsupported";
    records = isCut ? all.slice(0, -1) : all;
    times = isDetailed
      ? timesOf(pool, block, records, frame, linesBeforeBlocks[index]!, pairedClocks)
      : plainTimes(pool, records);
    kind = kindsBefore[index]!;
    const count = records.length;
    if (count > 0) {
      const total = clocksFrom(0);
      lastClocks = times.clocks[count - 1]!;
      w.get(BUDGET)
        .constant(total - lastClocks)
        .op(Op.leS)
        .open(Op.if);
      const timing = timingOf(0, 0, 0);
      leaveAt({ record: before(records[0]!), reason: Exit.plain, clocks: 0, instructions: 0, timing });
      w.close();
      w.get(BUDGET).constant(total).op(Op.sub).set(BUDGET);
      w.get(RETIRED).constant(count).op(Op.add).set(RETIRED);
      adjust(PAIRED, pairsFrom(0));
    }
    for (at = 0; at < count; at++) {
      const p = records[at]!;
      useCode();
      if (flowOf(pool, p) !== "next") {
        transfer(here, p, (target) => {
          const mine = [block, records, times, at, lastClocks, kind] as const;
          go(target);
          [block, records, times, at, lastClocks, kind] = mine;
        });
        return;
      }
      isChecked = false;
      instruction(p);
      kind = kindBehind(pool, p, kind);
      if (touchesMemory(pool, p) && !isChecked) checkBudget();
    }
    if (isCut) {
      leave(Exit.unsupported, before(all[all.length - 1]!), count);
    } else if (here.next >= 0) go(here.next);
    else leaveBehind(all[all.length - 1]!, here.end);
  }

  /** FLAG_KIND at the start of each block, as far as it is known. */
  function findKinds(): Int32Array {
    const NONE = -2;
    const kinds = new Int32Array(blocks.length).fill(NONE);
    kinds[0] = UNKNOWN_KIND;
    const pending = [0];
    for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
      let behind = kinds[index]!;
      for (const p of blocks[index]!.records) behind = kindBehind(pool, p, behind);
      for (const next of [blocks[index]!.taken, blocks[index]!.next, ...blocks[index]!.targets]) {
        if (next < 0) continue;
        const joined = kinds[next] === NONE || kinds[next] === behind ? behind : UNKNOWN_KIND;
        if (joined !== kinds[next]) {
          kinds[next] = joined;
          pending.push(next);
        }
      }
    }
    return kinds;
  }
  const kindsBefore = findKinds();
  const linesBeforeBlocks = isDetailed ? linesBefore(pool, blocks, frame) : [];

  /** Segments whose bases the code knows. */
  const fixedBases = bases === null ? [] : [...usedBases].filter((segment) => !loaded.has(segment));

  /** In front of all: leaves the region when a base is not what it was made for. */
  function checkBases(out: BodyWriter, known: Int32Array): void {
    const record = before(blocks[0]!.records[0]!);
    for (const segment of fixedBases) {
      out
        .word(slot(Slot.BASE + segment))
        .constant(known[segment]!)
        .op(Op.ne)
        .open(Op.if);
      const site = context.site({
        record,
        reason: Exit.otherBases,
        clocks: 0,
        instructions: 0,
        timing: null,
      });
      out
        .constant((site << 4) | Exit.site)
        .op(Op.return)
        .close();
    }
  }

  w.open(Op.block, I32);
  exitDepth = w.depth;
  const bodyStart = w.bytes.length;
  emitStructured(structure, {
    openBlock() {
      w.open(Op.block);
      return w.depth;
    },
    openLoop() {
      w.open(Op.loop);
      return w.depth;
    },
    close() {
      w.close();
    },
    emit: (index, go) => {
      emitBlock(index, go);
    },
    branch(depth) {
      w.branch(Op.br, depth);
    },
  });
  const body = w.bytes.slice(bodyStart);
  const { touched, written } = w;
  if ((touched & 0xff & ~held) !== 0) throw new Error("compiled code uses a register that it does not name");

  const out = new BodyWriter();
  for (const segment of usedBases)
    if (!fixedBases.includes(segment)) out.word(slot(Slot.BASE + segment)).set(SEGMENT_BASE + segment);
  if (bases !== null) checkBases(out, bases);
  for (const [local, number] of stateLocals) {
    if ((touched & (1 << local)) !== 0) out.word(slot(number)).set(local);
  }
  if ((touched & (1 << PAGE_EIP)) !== 0) out.word(slot(Slot.PAGE_EIP)).set(PAGE_EIP);
  out.op(Op.block, I32);
  out.append(body);
  out.op(Op.unreachable, Op.end).set(B);
  for (const [local, number] of stateLocals) {
    if ((written & (1 << local)) !== 0) out.constant(0).get(local).memory(Op.store, slot(number));
  }
  if ((written & (1 << PAIRED)) !== 0) {
    const pairs = Address.TIMING_TIMES + Timing.PAIRS * 8;
    out.constant(0).constant(0).memory(Op.loadDouble, pairs);
    out.get(PAIRED).op(Op.toDouble, Op.addDouble).memory(Op.storeDouble, pairs);
  }
  out.get(WAY).constant(Way.chain).op(Op.eq).open(Op.if);
  out.get(A).get(B).tailCall(ModuleFunction.chain, context.hasTailCalls);
  out.close();
  out.get(WAY).constant(Way.locate).op(Op.eq).open(Op.if);
  out.get(B).tailCall(ModuleFunction.locate, context.hasTailCalls);
  out.close();
  out.get(WAY).open(Op.if);
  out.get(A).get(B).tailCall(ModuleFunction.fault, context.hasTailCalls);
  out.close();
  out.get(B);
  return {
    code: { type: Type.region, locals32: LOCALS, locals64: 1, body: out.bytes },
    flatMask,
    hasFixedBases: fixedBases.length > 0,
  };
}

/** Bits of the state locals that the instructions of a region name, or may. */
function heldLocals(blocks: readonly BlockNode[], pool: Int32Array): number {
  let held = 0;
  for (const block of blocks) {
    for (const p of block.records) held |= registersOf(pool, p);
  }
  return (
    held |
    (1 << KIND) |
    (1 << RESULT) |
    (1 << LEFT) |
    (1 << RIGHT) |
    (1 << CARRY) |
    (1 << BUDGET) |
    (1 << RETIRED)
  );
}
