/**
 * String instructions. Source: Pentium Processor Family Developer's Manual, volume 3, chapter 25 (MOVS … OUTS, REP).
 *
 * Every repetition is complete before the next starts, so that a fault or an interrupt between two leaves ECX, ESI and EDI at what
 * remains, and the instruction is started again at its own address. Repetitions run in a loop here until the count or the cycles
 * up to the next event are used up. MOVS and STOS of forward-going whole pages of RAM are done in bulk; the result, the clocks and
 * the faults are those of single repetitions.
 */

import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { raise } from "./fault.ts";
import { FlagKind, type Flags } from "./flags.ts";
import { DF, IOPL } from "./instruction.ts";
import type { Handler } from "./interpreter.ts";
import { Field, Prefix, Segment, Slot, SOFT_TLB_SETS, Vector } from "./layout.ts";
import type { Memory } from "./memory.ts";
import { type Operands, signExtend } from "./operands.ts";
import type { Paging } from "./paging.ts";
import type { Ports } from "./ports.ts";
import { instructions } from "./table.ts";

export function createStringHandlers(
  core: ProcessorCore,
  codeCache: CodeCache,
  memory: Memory,
  paging: Paging,
  flags: Flags,
  operands: Operands,
  ports: Ports,
  /** False when every access has to be seen by itself. */
  inBulk: boolean,
): Record<string, Handler> {
  const { s, s16, ram8, readLimits, writeLimits } = core;
  const { pool } = codeCache;
  const { readTags, writeTags, addends } = paging;
  const { ECX, ESI, EDI, EDX, EFLAGS, BUDGET, RETIRED, MODE, BASE, CPL, REPEATING } = Slot;
  const { SEGMENT, SIZE, PREFIX, CLOCKS, WORDS } = Field;
  const { ES } = Segment;
  const { readMemory, writeMemory } = operands;

  /** Clocks of a repeated form: the table's base for the first, then so many each. */
  const repeatClocks = new Map<string, { base: number; each: number }>();
  for (const row of instructions) {
    if (row.repeat !== "none") {
      repeatClocks.set(row.operation, { base: row.clocks.repeatBase, each: row.clocks.repeatEach });
    }
  }

  const isNarrow = (p: number): boolean => (pool[p + PREFIX]! & Prefix.ADDRESS_16) !== 0;
  const indexOf = (p: number, register: number): number => (isNarrow(p) ? s16[register * 2]! : s[register]!);

  function advance(p: number, register: number, size: number): void {
    const step = (s[EFLAGS]! & DF) !== 0 ? -size : size;
    if (isNarrow(p)) s16[register * 2] = s16[register * 2]! + step;
    else s[register] = s[register]! + step;
  }

  const countOf = (p: number): number => (isNarrow(p) ? s16[ECX * 2]! : s[ECX]!);
  function setCount(p: number, value: number): void {
    if (isNarrow(p)) s16[ECX * 2] = value;
    else s[ECX] = value;
  }

  /** One repetition of the operation; may fault, and then has changed nothing. */
  type Step = (p: number, size: number) => void;
  /** Does as many forward repetitions as is possible at once, at most `limit`; 0 when none. */
  type Bulk = (p: number, size: number, limit: number) => number;

  function string(name: string, step: Step, comparing: boolean, bulk: Bulk | null): Handler {
    const clocks = repeatClocks.get(name)!;
    return (p) => {
      const prefix = pool[p + PREFIX]!;
      const size = pool[p + SIZE]!;
      if ((prefix & (Prefix.REP | Prefix.REPNE)) === 0) {
        step(p, size);
        return p + WORDS;
      }
      const wantZero = (prefix & Prefix.REPNE) === 0 ? 1 : 0;
      // The record's clocks are those without a prefix; a repeated form takes its own, the base once: not again when the
      // run loop only looked at the time in between.
      s[BUDGET] = s[BUDGET]! + pool[p + CLOCKS]! - (s[REPEATING] === 0 ? clocks.base : 0);
      s[REPEATING] = 0;
      for (;;) {
        const count = countOf(p);
        if (count === 0) return p + WORDS;
        let done = 0;
        if (bulk !== null && inBulk && (s[EFLAGS]! & DF) === 0 && !isNarrow(p) && s[BUDGET]! > clocks.each) {
          done = bulk(p, size, Math.min(count >>> 0, Math.floor(s[BUDGET]! / clocks.each)));
        }
        if (done === 0) {
          step(p, size);
          done = 1;
        }
        s[BUDGET] = s[BUDGET]! - clocks.each * done;
        const left = (count - done) | 0;
        setCount(p, left);
        if (comparing && flags.zero() !== wantZero) return p + WORDS;
        if (left === 0 || (isNarrow(p) && (left & 0xffff) === 0)) return p + WORDS;
        if (s[BUDGET]! <= 0) {
          // Not finished: it will be started again and then counts as retired.
          s[RETIRED] = s[RETIRED]! - 1;
          s[REPEATING] = 1;
          s[Slot.PARTIAL] = 1;
          return p;
        }
      }
    };
  }

  function compare(left: number, right: number, size: number): void {
    s[Slot.FLAG_LEFT] = left;
    s[Slot.FLAG_RIGHT] = right;
    s[Slot.FLAG_RESULT] = signExtend(left - right, size);
    s[Slot.FLAG_KIND] = FlagKind.SUB;
  }

  /** Bytes from `offset` to the end of its page when they can be accessed at once, else 0. Leaves the RAM address in `ramAt`. */
  let ramAt = 0;
  function span(segment: number, offset: number, write: boolean): number {
    const linear = (s[BASE + segment]! + offset) | 0;
    const soft = ((linear >>> 12) & (SOFT_TLB_SETS - 1)) | s[MODE]!;
    if ((write ? writeTags : readTags)[soft] !== (linear & 0xfffff000)) return 0;
    const inPage = 4096 - (linear & 0xfff);
    const limit = (write ? writeLimits : readLimits)[segment << 2]!;
    if (offset >>> 0 >= limit || limit - (offset >>> 0) < inPage) return 0;
    ramAt = (linear + addends[soft]!) | 0;
    return inPage;
  }

  function bulkMove(p: number, size: number, limit: number): number {
    const from = span(pool[p + SEGMENT]!, s[ESI]!, false);
    if (from === 0) return 0;
    const source = ramAt;
    const to = span(ES, s[EDI]!, true);
    if (to === 0) return 0;
    const count = Math.min(limit, Math.floor(Math.min(from, to) / size));
    const bytes = count * size;
    // Overlapping forward moves repeat a pattern: only single repetitions do that. Two pages of one set displace each other in the
    // soft TLB without a trace in the modelled one, so that both are in it here.
    if (count < 4 || (source < ramAt && source + bytes > ramAt)) return 0;
    if (s[Slot.ALIGNMENT_CHECK] !== 0) return 0;
    ram8.copyWithin(ramAt, source, source + bytes);
    s[ESI] = s[ESI]! + bytes;
    s[EDI] = s[EDI]! + bytes;
    return count;
  }

  function bulkStore(_p: number, size: number, limit: number): number {
    const to = span(ES, s[EDI]!, true);
    const count = Math.min(limit, Math.floor(to / size));
    if (count < 4 || s[Slot.ALIGNMENT_CHECK] !== 0) return 0;
    const value = s[Slot.EAX]!;
    const bytes = count * size;
    const low = value & 0xff;
    if (size === 1) ram8.fill(low, ramAt, ramAt + bytes);
    else {
      for (let i = 0; i < size; i++) ram8[ramAt + i] = value >>> (8 * i);
      for (let filled = size; filled < bytes; filled *= 2) {
        ram8.copyWithin(ramAt + filled, ramAt, ramAt + Math.min(filled, bytes - filled));
      }
    }
    s[EDI] = s[EDI]! + bytes;
    return count;
  }

  function checkPort(size: number): number {
    const port = s[EDX]! & 0xffff;
    if (s[CPL]! > (s[EFLAGS]! & IOPL) >> 12 && !ports.allowed(port, size)) raise(Vector.GP, 0);
    return port;
  }

  return {
    movs: string(
      "movs",
      (p, size) => {
        const value = readMemory(pool[p + SEGMENT]!, indexOf(p, ESI), size);
        writeMemory(ES, indexOf(p, EDI), size, value);
        advance(p, ESI, size);
        advance(p, EDI, size);
      },
      false,
      bulkMove,
    ),
    cmps: string(
      "cmps",
      (p, size) => {
        const left = readMemory(pool[p + SEGMENT]!, indexOf(p, ESI), size);
        const right = readMemory(ES, indexOf(p, EDI), size);
        compare(left, right, size);
        advance(p, ESI, size);
        advance(p, EDI, size);
      },
      true,
      null,
    ),
    stos: string(
      "stos",
      (p, size) => {
        writeMemory(ES, indexOf(p, EDI), size, operands.readRegister(0, size));
        advance(p, EDI, size);
      },
      false,
      bulkStore,
    ),
    lods: string(
      "lods",
      (p, size) => {
        operands.writeRegister(0, size, readMemory(pool[p + SEGMENT]!, indexOf(p, ESI), size));
        advance(p, ESI, size);
      },
      false,
      null,
    ),
    scas: string(
      "scas",
      (p, size) => {
        compare(operands.readRegister(0, size), readMemory(ES, indexOf(p, EDI), size), size);
        advance(p, EDI, size);
      },
      true,
      null,
    ),
    ins: string(
      "ins",
      (p, size) => {
        const port = checkPort(size);
        const offset = indexOf(p, EDI);
        // The port is read only when the store cannot fault any more: reading a port may change the device.
        memory.probeWrite(ES, offset, size);
        writeMemory(ES, offset, size, ports.read(port, size));
        advance(p, EDI, size);
      },
      false,
      null,
    ),
    outs: string(
      "outs",
      (p, size) => {
        const port = checkPort(size);
        const value = readMemory(pool[p + SEGMENT]!, indexOf(p, ESI), size);
        ports.write(port, size, value);
        advance(p, ESI, size);
      },
      false,
      null,
    ),
  };
}
