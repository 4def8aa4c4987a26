/**
 * What every part of the processor shares: the state words, the board's memory, the deadline, the counters. The parts are
 * factories that take a core (and the parts they stand on) and return functions: their state is then constant to the host's
 * compiler, which makes the interpreter about twice as fast as methods of an object would.
 */

import type { Bus } from "../contract.ts";
import { Slot, SOFT_TLB_SETS } from "./layout.ts";
import { Counter } from "./statistics.ts";

/**
 * Told about control transfers between rings; for traces and monitors. Must not change the machine. All calls come from slow paths, so
 * that nobody pays when nobody listens.
 */
export interface ProcessorObserver {
  /**
   * After delivery of an exception, software or hardware interrupt: the handler's first instruction is next. `eip` is the return address
   * in the frame; `errorCode` is NO_ERROR_CODE when none was pushed.
   */
  trap?(
    vector: number,
    kind: "exception" | "software" | "hardware",
    errorCode: number,
    fromRing: number,
    eip: number,
  ): void;
  /** After an IRET: the instruction at CS:EIP is next. */
  returned?(from: number, to: number): void;
  /** HLT waits from one cycle to another. */
  idle?(from: number, until: number): void;
  /** After every change of CPL, and after same-ring transfers through gates and IRET. */
  ringTransition?(from: number, to: number): void;
  taskSwitch?(fromSelector: number, toSelector: number): void;
  /** A TLB of the model missed at a linear address. */
  tlbMiss?(kind: "code4K" | "data4K" | "data4M", linear: number): void;
}

export interface ProcessorCore {
  readonly bus: Bus;
  /** State words, see `Slot`; the same as bytes and as words. */
  readonly s: Int32Array;
  /** Zeroed words beside `s`, for tables that compiled code looks into. */
  words(count: number): Int32Array;
  readonly s8: Uint8Array;
  readonly s16: Uint16Array;
  readonly ram8: Uint8Array;
  readonly ram32: Int32Array;
  readonly ramView: DataView;
  readonly ramSize: number;
  /**
   * Offsets below these counts are inside the segment and allowed: index = segment × 4 + log2(size). 0 where only the slow
   * path can decide.
   */
  readonly readLimits: Uint32Array;
  readonly writeLimits: Uint32Array;
  readonly counters: Float64Array;
  /** [0] the cycle at which BUDGET reaches zero; [1] the cycle up to which cycles by ring are booked; [2] TSC minus cycle, changed by WRMSR. */
  readonly time: Float64Array;
  /** Makes the interpreter return to the run loop after the instruction under way. Time does not change. */
  attention(): void;
  /** Null when nobody listens. */
  observer: ProcessorObserver | null;
  /** Called when a task switch has changed DR7. */
  onDebugRegistersChanged: () => void;
  /** Called by INVD and WBINVD. */
  onCachesInvalidated: () => void;
  now(): number;
  setCpl(ring: number): void;
  /** Counts a transfer and books the cycles of the ring that is left. Call before `setCpl`. */
  countTransition(from: number, to: number): void;
}

/** Room behind RAM in which a processor keeps the words that compiled code shares with the interpreter. */
export const STATE_BYTES = 0x3_0000;

/** Physical addresses of RAM are signed 32-bit numbers here. */
const LARGEST_RAM = 0x8000_0000;

/** Throws RangeError when the board has more RAM than the processor can address here, or no whole pages. */
export function createCore(bus: Bus): ProcessorCore {
  const ramSize = bus.ramBytes ?? bus.memory.byteLength;
  if (ramSize > LARGEST_RAM || ramSize % 4096 !== 0) {
    throw new RangeError(`${ramSize} bytes of RAM: it must be whole pages of 4096, at most 2 GB`);
  }
  const isShared = bus.memory.byteLength - ramSize >= STATE_BYTES;
  const state = isShared ? bus.memory : new ArrayBuffer(STATE_BYTES);
  const stateEnd = isShared ? ramSize + STATE_BYTES : STATE_BYTES;
  let free = isShared ? ramSize : 0;
  function words(count: number): Int32Array {
    if (free + count * 4 > stateEnd) throw new RangeError("no room for more words of processor state");
    const taken = new Int32Array(state, free, count);
    free += count * 4;
    return taken;
  }
  const s = words(Slot.LENGTH);
  const time = new Float64Array(3);
  const counters = new Float64Array(Counter.LENGTH);

  const core: ProcessorCore = {
    bus,
    s,
    words,
    s8: new Uint8Array(state, s.byteOffset, s.byteLength),
    s16: new Uint16Array(state, s.byteOffset, s.byteLength / 2),
    ram8: new Uint8Array(bus.memory, 0, ramSize),
    ram32: new Int32Array(bus.memory, 0, ramSize / 4),
    ramView: new DataView(bus.memory, 0, ramSize),
    ramSize,
    readLimits: new Uint32Array(state, words(32).byteOffset, 32),
    writeLimits: new Uint32Array(state, words(32).byteOffset, 32),
    counters,
    time,
    observer: null,
    onDebugRegistersChanged: () => {},
    onCachesInvalidated: () => {},
    now: () => time[0]! - s[Slot.BUDGET]!,
    attention() {
      time[0] = time[0]! - s[Slot.BUDGET]!;
      s[Slot.BUDGET] = 0;
    },
    setCpl(ring) {
      const mode = ring === 3 ? SOFT_TLB_SETS : 0;
      s[Slot.CPL] = ring;
      if (s[Slot.MODE] === mode) return;
      s[Slot.MODE] = mode;
      // The code page in use was allowed for the other mode.
      s[Slot.CODE_PAGE] = -1;
    },
    countTransition(from, to) {
      const now = time[0]! - s[Slot.BUDGET]!;
      counters[Counter.CYCLES_BY_RING + from]! += now - time[1]!;
      time[1] = now;
      counters[Counter.RING_TRANSITIONS + from * 4 + to]!++;
      core.observer?.ringTransition?.(from, to);
    },
  };
  return core;
}
