/**
 * What every part of the processor shares: the state words, the board's memory, the deadline, the counters. The parts are
 * factories that take a core (and the parts they stand on) and return functions: their state is then constant to the host's
 * compiler, which makes the interpreter about twice as fast as methods of an object would.
 */

import * as Listener from "../../engine/layout/listeners.ts";
import type { Bus, MachineMemory } from "../contract.ts";
import { webAssembly } from "./jit/web-assembly.ts";
import { Address, Slot, SOFT_TLB_SETS } from "./layout.ts";
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
  /** Words of linear memory, for tables that the engine and compiled code look into; zero in a new machine. */
  bytes(address: number, count: number): Uint8Array;
  words(address: number, count: number): Int32Array;
  doubles(address: number, count: number): Float64Array;
  readonly s8: Uint8Array;
  readonly s16: Uint16Array;
  readonly ram8: Uint8Array;
  readonly ram32: Int32Array;
  readonly ramView: DataView;
  readonly ramSize: number;
  /** See addresses.ts. */
  readonly readLimits: Uint32Array;
  readonly writeLimits: Uint32Array;
  readonly counters: Float64Array;
  /** See addresses.ts. */
  readonly time: Float64Array;
  /** Makes the interpreter return to the run loop after the instruction under way. Time does not change. */
  attention(): void;
  /** Null when nobody listens. */
  observer: ProcessorObserver | null;
  /** Says whether there is such a listener (listeners.ts). */
  listen(listener: number, isThere: boolean): void;
  /** Called when a task switch has changed DR7. */
  onDebugRegistersChanged: () => void;
  /** Called by INVD and WBINVD. */
  onCachesInvalidated: () => void;
  now(): number;
  setCpl(ring: number): void;
  /** Counts a transfer and books the cycles of the ring that is left. Call before `setCpl`. */
  countTransition(from: number, to: number): void;
}

const WASM_PAGE = 0x1_0000;
/** Physical addresses of RAM are signed 32-bit numbers here. */
const LARGEST_RAM = 0x8000_0000;

/**
 * Memory for a machine with so much RAM. Throws RangeError when that is more than the processor can address here, or no whole pages, and
 * when the host has no room for it.
 */
export function createMachineMemory(ramBytes: number): MachineMemory {
  if (ramBytes > LARGEST_RAM || ramBytes % 4096 !== 0) {
    throw new RangeError(`${ramBytes} bytes of RAM: it must be whole pages of 4096, at most 2 GB`);
  }
  const pages = Math.ceil((Address.RAM + ramBytes) / WASM_PAGE);
  const linear = new webAssembly.Memory({ initial: pages, maximum: pages });
  return { linear, ram: new Uint8Array(linear.buffer, Address.RAM, ramBytes) };
}

export function createCore(bus: Bus): ProcessorCore {
  const { linear, ram } = bus.memory;
  const { buffer } = linear;
  const ramSize = ram.byteLength;
  const bytes = (address: number, count: number) => new Uint8Array(buffer, address, count);
  const words = (address: number, count: number) => new Int32Array(buffer, address, count);
  const doubles = (address: number, count: number) => new Float64Array(buffer, address, count);
  const s = words(Address.STATE, Slot.LENGTH);
  const time = doubles(Address.TIME, 3);
  const counters = doubles(Address.COUNTERS, Counter.LENGTH);

  const listeners = words(Address.LISTENERS, 1);
  words(Address.RAM_BYTES, 1)[0] = ramSize;
  let observer: ProcessorObserver | null = null;

  const core: ProcessorCore = {
    bus,
    s,
    bytes,
    words,
    doubles,
    s8: new Uint8Array(buffer, Address.STATE, s.byteLength),
    s16: new Uint16Array(buffer, Address.STATE, s.byteLength / 2),
    ram8: ram,
    ram32: words(Address.RAM, ramSize / 4),
    ramView: new DataView(buffer, Address.RAM, ramSize),
    ramSize,
    readLimits: new Uint32Array(buffer, Address.READ_LIMITS, 32),
    writeLimits: new Uint32Array(buffer, Address.WRITE_LIMITS, 32),
    counters,
    time,
    get observer() {
      return observer;
    },
    set observer(value) {
      observer = value;
      core.listen(Listener.OBSERVER, value !== null);
    },
    listen(listener, isThere) {
      listeners[0] = isThere ? listeners[0]! | listener : listeners[0]! & ~listener;
    },
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
      observer?.ringTransition?.(from, to);
    },
  };
  return core;
}
