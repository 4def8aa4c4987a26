/**
 * Gates and returns whose checks were passed before. The slow ways (traps.ts) tell what they did; when the same comes again, and every word
 * that was checked still holds what it held, the checks are left out and the descriptor caches are filled from what is remembered.
 *
 * Nothing is marked or watched for that: IDT, GDT and TSS words are compared in memory each time, at the physical addresses where they lay.
 * A comparison that fails has no effects, and the slow way decides. Then the TLB sees what it would: each table is touched in the order of
 * the slow way, and must still lie where it is remembered; going the slow way after that touches the same pages again, which changes nothing.
 *
 * Remembered are 32-bit interrupt and trap gates to the same ring (0 to 2) or an inner one, and IRETD to the same ring or an outer one, with
 * whole stack segments, from the GDT, all accessed bits set. Observers, alignment checks, watched pages and single steps take the slow way.
 */

import type { ProcessorCore } from "./core.ts";
import { NO_ERROR_CODE } from "./fault.ts";
import type { Flags } from "./flags.ts";
import { AC, IF, NT, RF, TF, VM } from "./instruction.ts";
import { Access, Segment, Slot, SOFT_TLB_SETS } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Paging } from "./paging.ts";
import { Counter } from "./statistics.ts";
import { gateClocks } from "./table-control.ts";

/** Words of what is remembered of a gate or return. */
const Row = {
  /** Base of the GDT. */
  GDT: 0,
  /** Ring left, kind of delivery (returns: 0), selectors: what the row is for. */
  FROM: 1,
  KIND: 2,
  TO: 3,
  CODE_SELECTOR: 4,
  STACK_SELECTOR: 5,
  /** Linear address of each table word pair, its physical address, and what it holds. */
  GATE: 6,
  CODE: 10,
  STACK: 14,
  /** Linear and physical address of the TSS's stack pointer. */
  TASK: 18,
  TARGET: 20,
  /** 1 for an interrupt gate. */
  CLOSES: 21,
  /** Descriptor caches: base, limit, access, six limits, bits of FLAT_SEGMENTS. */
  CODE_CACHE: 22,
  STACK_CACHE: 32,
  /** Limits of GDT and IDT, limit of the TSS; their bases follow from the addresses above. */
  LIMITS: 42,
  FILLED: 45,
  WORDS: 46,
} as const;

const CACHE_WORDS = 10;
const RETURNS = 64;

/** What a slow way did. */
export interface PassedGate {
  readonly vector: number;
  readonly kind: number;
  readonly from: number;
  readonly codeSelector: number;
  readonly stackSelector: number;
  readonly target: number;
  readonly closes: boolean;
}

export interface RememberedGates {
  /** Delivers an interrupt or exception if its gate is remembered; false, without effect, when it is not. EIP is set. */
  interrupt(vector: number, kind: number, errorCode: number, eip: number): boolean;
  /** Called when CS, SS and CPL are the handler's. */
  passed(gate: PassedGate): void;
  /** IRETD but for the flags and for data segments that an outer ring may not use; the same. */
  interruptReturn(): boolean;
  /** The flags that the last remembered return has popped. */
  image(): number;
  returned(from: number, codeSelector: number, stackSelector: number): void;
}

export function createRememberedGates(
  core: ProcessorCore,
  memory: Memory,
  paging: Paging,
  flags: Flags,
): RememberedGates {
  const { s, ram32, ramSize, counters, time, readLimits, writeLimits } = core;
  const { readTags, writeTags, addends, watchedPages } = paging;
  const { BASE, SELECTOR, LIMIT, ACCESS, CPL, EIP, ESP, EFLAGS, MODE, BUDGET, CODE_PAGE } = Slot;
  const { FLAT_SEGMENTS, ALIGNMENT_CHECK, GDT_BASE, GDT_LIMIT, IDT_BASE, IDT_LIMIT } = Slot;
  const { CS, SS, TR } = Segment;
  const { GDT, FROM, KIND, TO, CODE_SELECTOR, STACK_SELECTOR, GATE, CODE, STACK, TASK, TARGET, CLOSES } = Row;
  const { CODE_CACHE, STACK_CACHE, LIMITS, FILLED, WORDS } = Row;
  const SETS = SOFT_TLB_SETS - 1;
  const gates = new Int32Array(256 * WORDS).fill(-1);
  const returns = new Int32Array(RETURNS * WORDS).fill(-1);
  const vectorCounters = [Counter.EXCEPTIONS, Counter.SOFTWARE_INTERRUPTS, Counter.HARDWARE_INTERRUPTS];
  let flagsImage = 0;

  /** Whether the page of a table still lies where it is remembered; the TLB sees the access. */
  function touch(linear: number, physical: number): boolean {
    const page = linear & 0xfffff000;
    const set = (linear >>> 12) & SETS;
    if (readTags[set] !== page) paging.translate(linear, false, 0);
    return readTags[set] === page && ((linear + addends[set]!) | 0) === physical;
  }

  /** Physical address of the first of the words at a linear address, all in one page of RAM; -1 when they are not. */
  function place(linear: number, bytes: number): number {
    if ((linear & 3) !== 0 || (linear & 0xfff) + bytes > 4096) return -1;
    const physical = paging.peek(linear);
    return physical >= 0 && physical < ramSize ? physical : -1;
  }

  function keepPair(row: Int32Array, at: number, linear: number): boolean {
    const physical = place(linear, 8);
    row[at] = linear;
    row[at + 1] = physical;
    if (physical < 0) return false;
    row[at + 2] = ram32[physical >> 2]!;
    row[at + 3] = ram32[(physical >> 2) + 1]!;
    return true;
  }

  function isKept(row: Int32Array, at: number): boolean {
    const index = row[at + 1]! >> 2;
    return ram32[index] === row[at + 2] && ram32[index + 1] === row[at + 3];
  }

  function keepCache(row: Int32Array, at: number, segment: number): void {
    row[at] = s[BASE + segment]!;
    row[at + 1] = s[LIMIT + segment]!;
    row[at + 2] = s[ACCESS + segment]!;
    for (let i = 0; i < 3; i++) {
      row[at + 3 + i] = readLimits[segment * 4 + i]!;
      row[at + 6 + i] = writeLimits[segment * 4 + i]!;
    }
    row[at + CACHE_WORDS - 1] = s[FLAT_SEGMENTS]! & (0x101 << segment);
  }

  function loadCache(row: Int32Array, at: number, segment: number): void {
    counters[Counter.SEGMENT_LOADS]!++;
    s[BASE + segment] = row[at]!;
    s[LIMIT + segment] = row[at + 1]!;
    s[ACCESS + segment] = row[at + 2]!;
    const limits = segment * 4;
    readLimits[limits] = row[at + 3]!;
    readLimits[limits + 1] = row[at + 4]!;
    readLimits[limits + 2] = row[at + 5]!;
    writeLimits[limits] = row[at + 6]!;
    writeLimits[limits + 1] = row[at + 7]!;
    writeLimits[limits + 2] = row[at + 8]!;
    s[FLAT_SEGMENTS] = (s[FLAT_SEGMENTS]! & ~(0x101 << segment)) | row[at + 9]!;
  }

  function loadCode(row: Int32Array, at: number): void {
    const isSame =
      s[BASE + CS] === row[at] && s[LIMIT + CS] === row[at + 1] && s[ACCESS + CS] === row[at + 2];
    if (!isSame) s[CODE_PAGE] = -1;
    loadCache(row, at, CS);
  }

  /** Stack segment of any base and limit FFFFFFFFH, and words in it. */
  const isWhole = (limit: number, access: number): boolean =>
    limit === -1 && (access & Access.EXPAND_DOWN) === 0;
  const isAccessed = (high: number): boolean => (high & Access.ACCESSED) !== 0;
  const isSlow = (): boolean => s[ALIGNMENT_CHECK] !== 0 || core.observer !== null || watchedPages.size !== 0;

  function countTransition(from: number, to: number): void {
    const now = time[0]! - s[BUDGET]!;
    counters[Counter.CYCLES_BY_RING + from]! += now - time[1]!;
    time[1] = now;
    counters[Counter.RING_TRANSITIONS + from * 4 + to]!++;
  }

  function enterRing(ring: number): void {
    const mode = ring === 3 ? SOFT_TLB_SETS : 0;
    s[CPL] = ring;
    if (s[MODE] === mode) return;
    s[MODE] = mode;
    s[CODE_PAGE] = -1;
  }

  function interrupt(vector: number, kind: number, errorCode: number, eip: number): boolean {
    const at = vector * WORDS;
    const from = s[CPL]!;
    if (gates[at + FILLED] !== 1 || gates[at + FROM] !== from || gates[at + KIND] !== kind) return false;
    if (gates[at + GDT] !== s[GDT_BASE] || gates[at + LIMITS] !== s[GDT_LIMIT]) return false;
    if (gates[at + GATE] !== ((s[IDT_BASE]! + vector * 8) | 0) || gates[at + LIMITS + 1] !== s[IDT_LIMIT])
      return false;
    return interruptBy(at, vector, kind, errorCode, eip);
  }

  function interruptBy(at: number, vector: number, kind: number, errorCode: number, eip: number): boolean {
    const from = gates[at + FROM]!;
    const to = gates[at + TO]!;
    if (!isKept(gates, at + GATE) || !isKept(gates, at + CODE) || isSlow()) return false;
    const old = flags.read();
    if ((old & (TF | VM)) !== 0) return false;
    const isInner = to !== from;
    let pointer = s[ESP]!;
    let base = s[BASE + SS]!;
    if (isInner) {
      if (gates[at + TASK] !== ((s[BASE + TR]! + to * 8 + 4) | 0)) return false;
      if (gates[at + LIMITS + 2] !== s[LIMIT + TR]) return false;
      const task = gates[at + TASK + 1]! >> 2;
      if ((ram32[task + 1]! & 0xffff) !== gates[at + STACK_SELECTOR] || !isKept(gates, at + STACK))
        return false;
      pointer = ram32[task]!;
      base = gates[at + STACK_CACHE]!;
    } else if (!isWhole(s[LIMIT + SS]!, s[ACCESS + SS]!)) return false;
    const bytes = (isInner ? 20 : 12) + (errorCode === NO_ERROR_CODE ? 0 : 4);
    const end = (base + pointer) | 0;
    const top = (end - bytes) | 0;
    if ((top & 3) !== 0 || (top & 0xfff) + bytes > 4096) return false;

    s[Slot.SHADOW] = 0;
    s[Slot.REPEATING] = 0;
    s[Slot.DELIVERIES] = s[Slot.DELIVERIES]! + 1;
    s[Slot.DEBUG_PENDING] = 0;
    // From here on the TLB changes: as the slow way does it, which may follow.
    if (!touch(gates[at + GATE]!, gates[at + GATE + 1]!) || !touch(gates[at + CODE]!, gates[at + CODE + 1]!))
      return false;
    if (
      isInner &&
      !(touch(gates[at + TASK]!, gates[at + TASK + 1]!) && touch(gates[at + STACK]!, gates[at + STACK + 1]!))
    )
      return false;
    const page = top & 0xfffff000;
    const set = (top >>> 12) & SETS;
    if (writeTags[set] !== page) {
      paging.translate((end - 4) | 0, true, 0);
      if (writeTags[set] !== page) return false;
    }
    let word = (top + addends[set]!) >> 2;
    if (errorCode !== NO_ERROR_CODE) ram32[word++] = errorCode;
    ram32[word] = eip;
    ram32[word + 1] = s[SELECTOR + CS]!;
    // Kind 0 is an exception: faults push RF, a debug trap does not.
    ram32[word + 2] = kind === 0 && vector !== 1 ? old | RF : old;
    if (isInner) {
      ram32[word + 3] = s[ESP]!;
      ram32[word + 4] = s[SELECTOR + SS]!;
    }
    countTransition(from, to);
    if (isInner) {
      enterRing(to);
      s[SELECTOR + SS] = gates[at + STACK_SELECTOR]!;
      loadCache(gates, at + STACK_CACHE, SS);
      const clocks =
        kind === 1
          ? gateClocks.interruptInner - gateClocks.interruptSamePrivilege
          : gateClocks.breakpointInner;
      s[BUDGET] = s[BUDGET]! - clocks;
    } else if (kind !== 1) s[BUDGET] = s[BUDGET]! - gateClocks.breakpointSamePrivilege;
    s[ESP] = pointer - bytes;
    s[SELECTOR + CS] = gates[at + CODE_SELECTOR]!;
    loadCode(gates, at + CODE_CACHE);
    s[EIP] = gates[at + TARGET]!;
    flags.write(old & ~(NT | RF | (gates[at + CLOSES] !== 0 ? IF : 0)));
    counters[vectorCounters[kind]! + vector]!++;
    return true;
  }

  function passed(gate: PassedGate): void {
    const { vector, kind, from, codeSelector, stackSelector, target, closes } = gate;
    const at = vector * WORDS;
    const row = gates.subarray(at, at + WORDS);
    row[FILLED] = 0;
    const to = s[CPL]!;
    if (from === to && from === 3) return;
    if (((codeSelector | stackSelector) & 4) !== 0) return;
    if (!isWhole(s[LIMIT + SS]!, s[ACCESS + SS]!)) return;
    const descriptor = (selector: number): number => (s[GDT_BASE]! + (selector & 0xfff8)) | 0;
    if (!keepPair(row, GATE, (s[IDT_BASE]! + vector * 8) | 0)) return;
    if (!keepPair(row, CODE, descriptor(codeSelector)) || !isAccessed(row[CODE + 3]!)) return;
    if (from !== to) {
      if (!keepPair(row, STACK, descriptor(stackSelector)) || !isAccessed(row[STACK + 3]!)) return;
      row[TASK] = (s[BASE + TR]! + to * 8 + 4) | 0;
      row[TASK + 1] = place(row[TASK]!, 8);
      if (row[TASK + 1]! < 0) return;
    }
    row[FROM] = from;
    row[KIND] = kind;
    row[TO] = to;
    row[CODE_SELECTOR] = s[SELECTOR + CS]!;
    row[STACK_SELECTOR] = stackSelector;
    row[TARGET] = target;
    row[CLOSES] = closes ? 1 : 0;
    keepCache(row, CODE_CACHE, CS);
    keepCache(row, STACK_CACHE, SS);
    row[GDT] = s[GDT_BASE]!;
    row[LIMITS] = s[GDT_LIMIT]!;
    row[LIMITS + 1] = s[IDT_LIMIT]!;
    row[LIMITS + 2] = s[LIMIT + TR]!;
    row[FILLED] = 1;
  }

  const returnRow = (from: number, codeSelector: number): number =>
    (((codeSelector >> 1) ^ from) & (RETURNS - 1)) * WORDS;

  function interruptReturn(): boolean {
    const from = s[CPL]!;
    if ((s[EFLAGS]! & NT) !== 0 || isSlow()) return false;
    const top = s[ESP]!;
    const target = memory.read32(SS, top);
    const codeSelector = memory.read32(SS, (top + 4) | 0) & 0xffff;
    const image = memory.read32(SS, (top + 8) | 0);
    const at = returnRow(from, codeSelector);
    if (returns[at + FILLED] !== 1 || returns[at + CODE_SELECTOR] !== codeSelector) return false;
    if (returns[at + GDT] !== s[GDT_BASE] || returns[at + LIMITS] !== s[GDT_LIMIT]) return false;
    if (returns[at + FROM] !== from || (image & (TF | NT | AC)) !== 0) return false;
    if ((image & RF) !== 0 && s[Slot.CODE_BREAKPOINTS] !== 0) return false;
    return returnBy(at, top, target, image);
  }

  function returnBy(at: number, top: number, target: number, image: number): boolean {
    const from = returns[at + FROM]!;
    const to = returns[at + TO]!;
    if (!isKept(returns, at + CODE) || target >>> 0 > returns[at + CODE_CACHE + 1]! >>> 0) return false;
    if (((s[EFLAGS]! | image) & AC) !== 0 || !touch(returns[at + CODE]!, returns[at + CODE + 1]!))
      return false;
    let newTop = top + 12;
    if (to !== from) {
      if (!isKept(returns, at + STACK)) return false;
      newTop = memory.read32(SS, (top + 12) | 0);
      if ((memory.read32(SS, (top + 16) | 0) & 0xffff) !== returns[at + STACK_SELECTOR]) return false;
      if (!touch(returns[at + STACK]!, returns[at + STACK + 1]!)) return false;
    }
    countTransition(from, to);
    if (to !== from) {
      enterRing(to);
      s[SELECTOR + SS] = returns[at + STACK_SELECTOR]!;
      loadCache(returns, at + STACK_CACHE, SS);
      s[BUDGET] = s[BUDGET]! - (gateClocks.interruptReturnOuter - gateClocks.interruptReturnSame);
    }
    s[SELECTOR + CS] = returns[at + CODE_SELECTOR]!;
    loadCode(returns, at + CODE_CACHE);
    s[ESP] = newTop;
    s[EIP] = target;
    flagsImage = image;
    return true;
  }

  function returned(from: number, codeSelector: number, stackSelector: number): void {
    const at = returnRow(from, codeSelector);
    const row = returns.subarray(at, at + WORDS);
    row[FILLED] = 0;
    const to = s[CPL]!;
    if (((codeSelector | stackSelector) & 4) !== 0) return;
    const descriptor = (selector: number): number => (s[GDT_BASE]! + (selector & 0xfff8)) | 0;
    if (!keepPair(row, CODE, descriptor(codeSelector)) || !isAccessed(row[CODE + 3]!)) return;
    if (from !== to && (!keepPair(row, STACK, descriptor(stackSelector)) || !isAccessed(row[STACK + 3]!)))
      return;
    row[FROM] = from;
    row[TO] = to;
    row[CODE_SELECTOR] = codeSelector;
    row[STACK_SELECTOR] = stackSelector;
    keepCache(row, CODE_CACHE, CS);
    keepCache(row, STACK_CACHE, SS);
    row[GDT] = s[GDT_BASE]!;
    row[LIMITS] = s[GDT_LIMIT]!;
    row[LIMITS + 1] = s[IDT_LIMIT]!;
    row[LIMITS + 2] = s[LIMIT + TR]!;
    row[FILLED] = 1;
  }

  return { interrupt, passed, interruptReturn, image: () => flagsImage, returned };
}
