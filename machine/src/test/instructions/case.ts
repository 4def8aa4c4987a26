/** One instruction test: what is set up, what is run, and which results the manual leaves undefined. */
import type { Instruction } from "../../i386/instruction.ts";
import {
  CASE_SIZE,
  CODE,
  MEMORY_SIZE,
  RESULT_SIZE,
  SLOT_ENTRY,
  SLOT_SIZE,
  WINDOW_A,
  WINDOW_A_SIZE,
  WINDOW_B,
} from "./layout.ts";
import { type ResultContext, readContext } from "./results.ts";

/** Vectors of exceptions that have an error code. */
const withErrorCode: ReadonlySet<number> = new Set([8, 10, 11, 12, 13, 14, 17]);
const BREAKPOINT = 3;
const PAGE_FAULT = 14;
const RF = 0x1_0000;

export interface InstructionCase {
  readonly row: Instruction;
  readonly text: string;
  /** What the slot holds, INT3 around the instruction. */
  readonly slot: Uint8Array;
  /** EAX to EDI by register number. */
  readonly registers: Int32Array;
  readonly eflags: number;
  /** Window A, then window B. */
  readonly memory: Uint8Array;
  /** Of a bare harness with descriptors: those at the selectors from `CASE_SELECTORS` on. */
  readonly descriptors?: Uint8Array | undefined;
  /** Flags whose result the manual leaves undefined. */
  readonly undefinedFlags: number;
  /** The same when it ends in a fault: by then only instructions before the last have run. */
  readonly undefinedFlagsAtFault: number;
  /** Bits of registers whose result the manual leaves undefined, by register number. */
  readonly undefinedRegisterBits: Int32Array;
  /** Bytes of memory that are not compared: processors differ and the manual allows it. */
  readonly undefinedMemory: ReadonlyArray<readonly [start: number, length: number]>;
  /** Bits of memory that are compared, where not all are: an FSAVE image. */
  readonly memoryMask: Uint8Array | undefined;
}

export const slotAddress = (index: number): number => CODE + index * SLOT_SIZE;

/** Case records and code slots as the harness reads them. */
export function packCases(cases: readonly InstructionCase[]): { records: Uint8Array; slots: Uint8Array } {
  const records = new Uint8Array(cases.length * CASE_SIZE);
  const slots = new Uint8Array(cases.length * SLOT_SIZE);
  const view = new DataView(records.buffer);
  cases.forEach((test, i) => {
    slots.set(test.slot, i * SLOT_SIZE);
    const start = i * CASE_SIZE;
    [7, 6, 5, 4, 3, 2, 1, 0].forEach((register, word) => {
      view.setInt32(start + word * 4, test.registers[register]!, true);
    });
    view.setUint32(start + 32, slotAddress(i) + SLOT_ENTRY, true);
    view.setUint32(start + 36, test.eflags, true);
    if (test.descriptors) records.set(test.descriptors, start + 40);
    records.set(test.memory, start + 64);
  });
  return { records, slots };
}

const registerNames = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
const hex = (value: number): string => (value >>> 0).toString(16);

/** Everything in which two results of a case differ, the undefined apart; empty when they agree. */
export function differences(
  test: InstructionCase,
  index: number,
  ours: Uint8Array,
  theirs: Uint8Array,
): string[] {
  const a = readContext(ours, index * RESULT_SIZE);
  const b = readContext(theirs, index * RESULT_SIZE);
  const found: string[] = [];
  const compare = (name: string, left: number, right: number) => {
    if (left !== right) found.push(`${name} ${hex(left)} ≠ ${hex(right)}`);
  };
  compare("vector", a.vector, b.vector);
  if (a.vector === b.vector && withErrorCode.has(a.vector)) {
    // Present, write, user: whether a fetch is told apart depends on the no-execute feature.
    const mask = a.vector === PAGE_FAULT ? 7 : 0xffff;
    compare("error code", a.errorCode & mask, b.errorCode & mask);
    if (a.vector === PAGE_FAULT && !readsTwice(test.row)) compare("cr2", a.cr2, b.cr2);
  }
  compare("eip", a.eip - slotAddress(index), b.eip - slotAddress(index));
  registerNames.forEach((name, register) => {
    const defined = finished(a) ? ~test.undefinedRegisterBits[register]! : -1;
    compare(name, a.registers[register]! & defined, b.registers[register]! & defined);
  });
  for (const name of ["cs", "ds", "es", "fs", "gs", "ss"] as const) compare(name, a[name], b[name]);
  const mask = ~(RF | (finished(a) ? test.undefinedFlags : test.undefinedFlagsAtFault));
  compare("eflags", a.eflags & mask, b.eflags & mask);
  const start = index * RESULT_SIZE + 88;
  for (let i = 0; i < MEMORY_SIZE; i++) {
    const bits = test.memoryMask ? test.memoryMask[i]! : 0xff;
    if (((ours[start + i]! ^ theirs[start + i]!) & bits) === 0) continue;
    if (test.undefinedMemory.some(([from, length]) => i >= from && i < from + length)) continue;
    const address = i < WINDOW_A_SIZE ? WINDOW_A + i : WINDOW_B + i - WINDOW_A_SIZE;
    found.push(`[${hex(address)}] ${hex(ours[start + i]!)} ≠ ${hex(theirs[start + i]!)}`);
  }
  return found;
}

/** Which of two reads faults first is not defined: both strings of CMPS, offset and selector of a far pointer. */
function readsTwice(row: Instruction): boolean {
  return row.operation === "cmps" || row.operands.includes("Mp");
}

/** True when the instruction ran to its end: what stopped it is the INT3 behind it. */
function finished(context: ResultContext): boolean {
  return context.vector === BREAKPOINT;
}
