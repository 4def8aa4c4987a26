/**
 * Port accesses and who may make them: CPL at most IOPL, or a clear bit for every byte in the I/O permission map of the current TSS.
 * Source: Pentium Processor Family Developer's Manual, volume 3, chapter 15 (protection and I/O).
 */

import type { ProcessorCore } from "./core.ts";
import { Access, Segment, Slot } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { systemType } from "./tasks.ts";

export interface Ports {
  /** What the I/O permission map of the TSS says. */
  allowed(port: number, size: number): boolean;
  read(port: number, size: number): number;
  write(port: number, size: number, value: number): void;
}

const MAP_BASE = 0x66;

export function createPorts(core: ProcessorCore, memory: Memory): Ports {
  const { s, bus } = core;
  const TR = Segment.TR;
  return {
    allowed(port, size) {
      const limit = s[Slot.LIMIT + TR]! >>> 0;
      const access = s[Slot.ACCESS + TR]!;
      const type = systemType(access);
      if ((access & Access.USABLE) === 0 || (type !== 9 && type !== 11) || limit < MAP_BASE + 1) return false;
      const map = memory.readSystem16((s[Slot.BASE + TR]! + MAP_BASE) | 0);
      const first = map + (port >> 3);
      // The processor always reads two bytes of the map.
      if (first + 1 > limit) return false;
      const bits = memory.readSystem16((s[Slot.BASE + TR]! + first) | 0);
      return (bits & (((1 << size) - 1) << (port & 7))) === 0;
    },
    read: (port, size) => bus.readPort(port, size as 1 | 2 | 4) | 0,
    write(port, size, value) {
      const unsigned = size === 4 ? value >>> 0 : size === 2 ? value & 0xffff : value & 0xff;
      bus.writePort(port, size as 1 | 2 | 4, unsigned);
    },
  };
}
