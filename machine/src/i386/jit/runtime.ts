/**
 * What all compiled modules share besides the engine: the table of regions, and the functions that lead from one region to the next without
 * leaving WebAssembly.
 *
 * A region ends in `chain` (a place of the same page) or `locate` (any EIP). Both look into a hash table, in linear memory, of the regions
 * that can be run from a physical address under a key (FLAT_SEGMENTS and MODE), and go there by a tail call; a miss returns to the
 * interpreter's loop (engine/regions.ts) with `Exit.branch`, or asks `follow` there where to go. `locate` reads the soft code TLB, whose hits change nothing in the modelled one; what
 * it cannot decide is a miss. Hosts without tail calls return `Exit.chain` with the place in the table instead, and are called again.
 *
 *   entry of the hash table, four words: physical address or -1 · key · place in the table · free
 */

import { INDEX_MASK, REGION_ENTRIES, REGION_WORDS } from "../../../engine/layout/regions.ts";
import type { LinearMemory } from "../../contract.ts";
import type { Engine } from "../engine.ts";
import { Address, Segment, Slot, SOFT_CODE_SETS } from "../layout.ts";
import { Exit } from "./exit.ts";
import { memoryFunctions } from "./memory-functions.ts";
import { BodyWriter, Op, type WasmFunction, writeModule } from "./wasm-writer.ts";
import { type FunctionTable, supportsTailCalls, type WebAssemblyHost } from "./web-assembly.ts";

/** Types of all modules. */
export const Type = {
  ...{ region: 0, chain: 1, carry: 2, overflow: 3, slowWrite: 4, one: 5 },
  ...{ read: 6, modify: 7, write: 8, procedure: 9, fetch: 10 },
} as const;
export const functionTypes = [
  { parameters: 0, results: 1 },
  { parameters: 2, results: 1 },
  { parameters: 5, results: 1 },
  { parameters: 4, results: 1 },
  { parameters: 3, results: 0 },
  { parameters: 1, results: 1 },
  { parameters: 3, results: 2 },
  { parameters: 3, results: 3 },
  { parameters: 4, results: 1 },
  { parameters: 1, results: 0 },
  { parameters: 3, results: 1 },
] as const;

/** Functions that the runtime calls: of the engine, and of the interpreter's side. */
export interface RuntimeImports
  extends Pick<
    Engine,
    | "readMissed"
    | "modifyMissed"
    | "writeMissed"
    | "reachCodeFrame"
    | "deliverPageFault"
    | "follow"
    | "timeSpan"
    | "table"
  > {}

export interface Runtime {
  readonly table: FunctionTable;
  readonly hasTailCalls: boolean;
  /** Functions that region modules import. */
  readonly exports: Readonly<Record<string, unknown>>;
  /** Lets compiled code go to a region from now on. */
  remember(physical: number, key: number, place: number): void;
  forgetPage(frame: number): void;
  forgetAll(): void;
}

const Import = {
  readMissed: 0,
  modifyMissed: 1,
  writeMissed: 2,
  reachCodeFrame: 3,
  deliverPageFault: 4,
  follow: 5,
  timeSpan: 6,
} as const;
const sideImports = [
  { name: "readMissed", type: Type.chain },
  { name: "modifyMissed", type: Type.chain },
  { name: "writeMissed", type: Type.slowWrite },
  { name: "reachCodeFrame", type: Type.one },
  { name: "deliverPageFault", type: Type.one },
  { name: "follow", type: Type.region },
  { name: "timeSpan", type: Type.slowWrite },
] as const;
/** Of the runtime's own functions, in the order of `writeRuntime`. */
const LOCATE = sideImports.length + 1;

/** Byte offset of the entry in the hash table. */
const hash = (physical: number, key: number): number =>
  ((physical ^ (physical >>> 9) ^ (key >>> 6) ^ key) << 4) & INDEX_MASK;

function writeRuntime(pages: number, hasTailCalls: boolean, isDetailed: boolean): Uint8Array {
  const slot = (number: number): number => Address.STATE + number * 4;

  function pushKey(w: BodyWriter): void {
    w.word(slot(Slot.FLAT_SEGMENTS)).word(slot(Slot.MODE)).constant(12).op(Op.shl, Op.or);
  }

  /** From locals `physical` and `key`: opens an `if` in which local `at` is the entry that was found. */
  function find(w: BodyWriter, physical: number, key: number, at: number): void {
    w.get(physical).get(physical).constant(9).op(Op.shrU, Op.xor).get(key).constant(6).op(Op.shrU, Op.xor);
    w.get(key).op(Op.xor).constant(4).op(Op.shl).constant(INDEX_MASK).op(Op.and).tee(at);
    w.memory(Op.load, Address.REGIONS).get(physical).op(Op.eq);
    w.get(at)
      .memory(Op.load, Address.REGIONS + 4)
      .get(key)
      .op(Op.eq, Op.and);
    w.open(Op.if);
  }

  function go(w: BodyWriter, at: number): void {
    w.get(at).memory(Op.load, Address.REGIONS + 8);
    if (hasTailCalls) w.op(Op.returnCallIndirect, Type.region, 0);
    else w.constant(4).op(Op.shl).constant(Exit.chain).op(Op.or, Op.return);
  }

  function chain(): WasmFunction {
    const [physical, p, key, at] = [0, 1, 2, 3];
    const w = new BodyWriter();
    pushKey(w);
    w.set(key);
    find(w, physical, key, at);
    go(w, at);
    w.close();
    w.get(p).constant(Exit.branch).op(Op.or);
    return { type: Type.chain, locals32: 2, locals64: 0, body: w.bytes };
  }

  /** The host looks EIP up; its answer is a result, or where to go. */
  function follow(w: BodyWriter, code: number): void {
    w.call(Import.follow);
    if (hasTailCalls) {
      w.tee(code).constant(15).op(Op.and).constant(Exit.chain).op(Op.eq).open(Op.if);
      w.get(code).constant(4).op(Op.shrU).op(Op.returnCallIndirect, Type.region, 0);
      w.close().get(code);
    }
    w.op(Op.return);
  }

  function locate(): WasmFunction {
    const [eip, linear, page, start, physical, key, at] = [0, 1, 2, 3, 4, 5, 6];
    const w = new BodyWriter();
    w.open(Op.block);
    const miss = w.depth;
    w.constant(0).get(eip).memory(Op.store, slot(Slot.EIP));
    w.get(eip)
      .word(slot(Slot.BASE + Segment.CS))
      .op(Op.add)
      .tee(linear);
    w.constant(12).op(Op.shrU).tee(page).word(slot(Slot.CODE_PAGE)).op(Op.eq).open(Op.if);
    w.word(slot(Slot.CODE_FRAME)).set(physical).word(slot(Slot.PAGE_EIP)).set(start);
    w.otherwise();
    // The soft code TLB must hold the page, and the page must lie wholly inside CS.
    w.get(page)
      .constant(SOFT_CODE_SETS - 1)
      .op(Op.and)
      .constant(2)
      .op(Op.shl)
      .tee(at);
    w.word(slot(Slot.MODE)).constant(0).op(Op.ne);
    w.constant(SOFT_CODE_SETS * 4).op(Op.mul, Op.add);
    w.tee(key).memory(Op.load, Address.CODE_TAGS).get(page).op(Op.ne).open(Op.if);
    w.get(linear).call(Import.reachCodeFrame).tee(physical).constant(0).op(Op.ltS).branch(Op.brIf, miss);
    w.otherwise();
    w.get(at).memory(Op.load, Address.CODE_ENTRY_FRAMES).set(physical);
    w.close();
    w.get(eip).get(linear).constant(0xfff).op(Op.and, Op.sub).set(start);
    w.word(slot(Slot.LIMIT + Segment.CS))
      .tee(at)
      .constant(-1)
      .op(Op.ne);
    w.get(at).constant(4095).op(Op.ltU);
    w.get(start).get(at).constant(4095).op(Op.sub, Op.gtU, Op.or, Op.and).branch(Op.brIf, miss);
    w.close();
    w.get(physical).get(linear).constant(0xfff).op(Op.and, Op.or).set(physical);
    pushKey(w);
    w.set(key);
    find(w, physical, key, at);
    w.constant(0).get(page).memory(Op.store, slot(Slot.CODE_PAGE));
    w.constant(0).get(start).memory(Op.store, slot(Slot.PAGE_EIP));
    w.constant(0).get(physical).constant(-4096).op(Op.and).memory(Op.store, slot(Slot.CODE_FRAME));
    w.constant(0).constant(-1).memory(Op.store, slot(Slot.CODE_MAP));
    go(w, at);
    w.close();
    w.close();
    follow(w, at);
    return { type: Type.one, locals32: 6, locals64: 0, body: w.bytes };
  }

  /** A fault of the instruction at an EIP: delivers it and goes to its handler, or leaves with the given result. */
  function fault(): WasmFunction {
    const [eip, code] = [0, 1];
    const w = new BodyWriter();
    w.get(eip).call(Import.deliverPageFault).open(Op.if);
    w.word(slot(Slot.EIP)).tailCall(LOCATE, hasTailCalls);
    w.close().get(code);
    return { type: Type.chain, locals32: 0, locals64: 0, body: w.bytes };
  }

  return writeModule({
    types: functionTypes,
    imports: sideImports,
    functions: [
      ...([chain(), locate(), fault()] as const),
      ...memoryFunctions(Type, {
        ...{ read: Import.readMissed, modify: Import.modifyMissed, write: Import.writeMissed },
        timeSpan: isDetailed ? Import.timeSpan : null,
      }),
    ],
    memoryPages: pages,
    exports: ["chain", "locate", "fault", "read", "modify", "write"].map((name, i) => [name, i] as const),
    elements: null,
  });
}

export function createRuntime(
  host: WebAssemblyHost,
  memory: LinearMemory,
  places: number,
  functions: RuntimeImports,
  isDetailed: boolean,
): Runtime {
  const hasTailCalls = supportsTailCalls(host);
  const { table } = functions;
  table.grow(places - table.length);
  const bytes = writeRuntime(memory.buffer.byteLength / 0x1_0000, hasTailCalls, isDetailed);
  const { exports } = new host.Instance(new host.Module(bytes), { m: { memory, ...functions } });
  /** Entries of the hash table by page. */
  const entriesOf = new Map<number, number[]>();
  const lookup = new Int32Array(memory.buffer, Address.REGIONS, REGION_ENTRIES * REGION_WORDS);
  lookup.fill(-1);

  return {
    table,
    hasTailCalls,
    exports,
    remember(physical, key, place) {
      const at = hash(physical, key) >> 2;
      if (lookup[at] === physical && lookup[at + 1] === key && lookup[at + 2] === place) return;
      lookup[at] = physical;
      lookup[at + 1] = key;
      lookup[at + 2] = place;
      const frame = physical >>> 12;
      const known = entriesOf.get(frame);
      if (known === undefined) entriesOf.set(frame, [at]);
      else if (!known.includes(at)) known.push(at);
    },
    forgetPage(frame) {
      const known = entriesOf.get(frame);
      if (known === undefined) return;
      for (const at of known) if (lookup[at]! >>> 12 === frame) lookup[at] = -1;
      entriesOf.delete(frame);
    },
    forgetAll() {
      lookup.fill(-1);
      entriesOf.clear();
    },
  };
}
