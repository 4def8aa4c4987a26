/**
 * Debug registers DR0 to DR7, and the host's own watchpoints. Source: Pentium Processor Family Developer's Manual, volume 3,
 * chapter 17.
 *
 * Instruction breakpoints are faults, checked by the run loop in front of every instruction while some are enabled. Data
 * breakpoints are traps: pages that they touch are kept out of the soft TLB, so that every access to them takes the slow path,
 * which reports here; all other pages keep their speed. Host watchpoints use the same path and never show to the guest.
 *
 *   DR7  31..16 four times LEN(2) R/W(2)   13 GD   9 GE  8 LE   7..0 G3 L3 … G0 L0
 *   DR6  15 BT  14 BS  13 BD   3..0 B3 … B0
 */

import type { ProcessorCore } from "./core.ts";
import { raise } from "./fault.ts";
import { ControlBit, Slot, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import type { Paging } from "./paging.ts";

export const DebugStatus = { BD: 0x2000, BS: 0x4000, BT: 0x8000 } as const;
const DR6_FIXED = 0xffff_0ff0 | 0;
const DR7_FIXED = 0x400;
const GENERAL_DETECT = 0x2000;

/** A range of linear addresses at which the host wants to stop. */
export interface Watchpoint {
  readonly linear: number;
  readonly bytes: number;
  readonly onRead: boolean;
  readonly onWrite: boolean;
}

export interface Debugging {
  /** MOV to and from DRn, privilege already checked. */
  read(register: number): number;
  write(register: number, value: number): void;
  /** Bits of DR6 for instruction breakpoints at a linear address. */
  codeBreakpoints(linear: number): number;
  /** Sets DR6 for a debug exception that is about to be delivered. */
  report(status: number): void;
  readonly watchpoints: Set<Watchpoint>;
  /** After a change of `watchpoints` or of DR7 behind `write`. */
  refresh(): void;
  /** Called when a host watchpoint is met. */
  onWatchpoint: (watchpoint: Watchpoint, linear: number, write: boolean) => void;
}

export function createDebugging(core: ProcessorCore, memory: Memory, paging: Paging): Debugging {
  const { s } = core;
  const { DR0, DR6, DR7 } = Slot;
  const watchpoints = new Set<Watchpoint>();

  const isEnabled = (index: number): boolean => ((s[DR7]! >> (2 * index)) & 3) !== 0;
  const typeOf = (index: number): number => (s[DR7]! >>> (16 + 4 * index)) & 3;
  const lengthOf = (index: number): number => ((s[DR7]! >>> (18 + 4 * index)) & 3) + 1;

  function checkAlias(register: number): number {
    if (register !== 4 && register !== 5) return register;
    if ((s[Slot.CR4]! & ControlBit.CR4_DE) !== 0) raise(Vector.UD);
    return register + 2;
  }

  function checkGeneralDetect(): void {
    if ((s[DR7]! & GENERAL_DETECT) === 0) return;
    s[DR6] = s[DR6]! | DebugStatus.BD;
    s[DR7] = s[DR7]! & ~GENERAL_DETECT;
    raise(Vector.DB);
  }

  function watchPages(linear: number, bytes: number): void {
    for (let page = linear >>> 12; page <= (linear + bytes - 1) >>> 12; page++) paging.watchedPages.add(page);
  }

  function refresh(): void {
    paging.watchedPages.clear();
    s[Slot.CODE_BREAKPOINTS] = 0;
    for (let index = 0; index < 4; index++) {
      if (!isEnabled(index)) continue;
      if (typeOf(index) === 0) s[Slot.CODE_BREAKPOINTS] = 1;
      else watchPages(s[DR0 + index]! >>> 0, lengthOf(index));
    }
    for (const watchpoint of watchpoints) watchPages(watchpoint.linear >>> 0, watchpoint.bytes);
    paging.forgetFastPaths();
    core.attention();
  }

  memory.watcher = (linear, size, write) => {
    const start = linear >>> 0;
    for (let index = 0; index < 4; index++) {
      if (!isEnabled(index)) continue;
      const type = typeOf(index);
      if (type === 0 || type === 2 || (type === 1 && !write)) continue;
      const length = lengthOf(index);
      const first = (s[DR0 + index]! & -length) >>> 0;
      if (start < first + length && first < start + size) {
        s[Slot.DEBUG_PENDING] = s[Slot.DEBUG_PENDING]! | (1 << index);
        core.attention();
      }
    }
    for (const watchpoint of watchpoints) {
      if (write ? !watchpoint.onWrite : !watchpoint.onRead) continue;
      const first = watchpoint.linear >>> 0;
      if (start < first + watchpoint.bytes && first < start + size) {
        debugging.onWatchpoint(watchpoint, start, write);
      }
    }
  };

  const debugging: Debugging = {
    read(register) {
      const actual = checkAlias(register);
      checkGeneralDetect();
      return s[DR0 + actual]!;
    },
    write(register, value) {
      const actual = checkAlias(register);
      checkGeneralDetect();
      if (actual === 6) s[DR6] = (value & ~0x1000) | DR6_FIXED;
      else if (actual === 7) s[DR7] = (value & ~0xd000) | DR7_FIXED;
      else s[DR0 + actual] = value;
      refresh();
    },
    codeBreakpoints(linear) {
      let status = 0;
      for (let index = 0; index < 4; index++) {
        if (isEnabled(index) && typeOf(index) === 0 && s[DR0 + index]! >>> 0 === linear >>> 0)
          status |= 1 << index;
      }
      return status;
    },
    report(status) {
      s[DR6] = s[DR6]! | status;
    },
    watchpoints,
    refresh,
    onWatchpoint: () => {},
  };
  return debugging;
}
