/**
 * The processor as plain values, for snapshots: what a guest can see or will notice later, by the names of the manual, never the layout of
 * our words. What is only a shortcut (decoded and compiled code, the soft TLB, limits of the fast path) is left out and found again;
 * none of it changes counts or cycles. Taken and restored between two calls of `run`.
 */

import { StateError, StateReader } from "../devices/state-reader.ts";
import { ControlBit, Segment, Slot } from "./layout.ts";
import type { ProcessorParts } from "./parts.ts";
import { Counter } from "./statistics.ts";
import { CACHE_WORDS, type DetailedState } from "./timing/detailed.ts";
import type { TlbBank } from "./tlb.ts";

/** Counts that the run loop keeps. */
export interface Tally {
  readonly instructions: number;
  readonly instructionOrigin: number;
  readonly cycleOrigin: number;
}

export interface ProcessorState {
  /** Cycle of the machine; cycle up to which cycles by ring are booked; time-stamp counter minus cycle. */
  readonly time: readonly [cycle: number, booked: number, timeStampOffset: number];
  readonly tally: Tally;
  readonly registers: readonly number[];
  readonly eip: number;
  readonly eflags: number;
  /** ES, CS, SS, DS, FS, GS, LDTR, TR: base, selector, limit, descriptor's high word without base (bit 0: usable). */
  readonly segments: readonly (readonly number[])[];
  /** CR0, CR2, CR3, CR4, bases and limits of GDT and IDT, DR0 to DR7. */
  readonly system: readonly number[];
  readonly cpl: number;
  readonly shadow: number;
  readonly debugPending: number;
  /** HLT, shutdown, INTR pin, a repeated string instruction under way. */
  readonly flags: readonly boolean[];
  /** Image of FSAVE. */
  readonly floatingPoint: readonly number[];
  /** Data, 4 MB data and code TLB. */
  readonly tlbs: readonly (readonly number[])[];
  /** Index and value of the counters that are not zero. */
  readonly counters: readonly (readonly [index: number, value: number])[];
  /** Caches, bus and pipes; null unless the cycle model is `detailed`. */
  readonly timing: DetailedState | null;
}

const SEGMENTS = 8;
const SYSTEM_WORDS = Slot.DR7 + 1 - Slot.CR0;
const FLAG_SLOTS = [Slot.HALTED, Slot.SHUTDOWN, Slot.INTERRUPT_LINE, Slot.REPEATING] as const;
const SEGMENT_SLOTS = [Slot.BASE, Slot.SELECTOR, Slot.LIMIT, Slot.ACCESS] as const;
const FSAVE_BYTES = 108;
/** Bits that a descriptor cache keeps besides the base: type to P, AVL, D/B, G, and our bit "usable". */
const ACCESS_BITS = 0x00f0_ff01;

function banksOf({ paging }: ProcessorParts): readonly TlbBank[] {
  const { data, large, code } = paging.banks;
  return [data, large, code];
}

export function readProcessor(parts: ProcessorParts, tally: Tally): ProcessorState {
  const { core, flags, floatingPoint } = parts;
  const { s, time, counters } = core;
  const used: [number, number][] = [];
  counters.forEach((value, index) => {
    if (value !== 0) used.push([index, value]);
  });
  return {
    time: [core.now(), time[1]!, time[2]!],
    tally,
    registers: [...s.subarray(Slot.EAX, Slot.EAX + 8)],
    eip: s[Slot.EIP]!,
    eflags: flags.read(),
    segments: Array.from({ length: SEGMENTS }, (_, segment) =>
      SEGMENT_SLOTS.map((slot) => s[slot + segment]!),
    ),
    system: [...s.subarray(Slot.CR0, Slot.CR0 + SYSTEM_WORDS)],
    cpl: s[Slot.CPL]!,
    shadow: s[Slot.SHADOW]!,
    debugPending: s[Slot.DEBUG_PENDING]!,
    flags: FLAG_SLOTS.map((slot) => s[slot] !== 0),
    floatingPoint: [...floatingPoint.save()],
    tlbs: banksOf(parts).map((bank) => [...bank.save()]),
    counters: used,
    timing: parts.timing?.save() ?? null,
  };
}

function readCounters(reader: StateReader): Float64Array {
  const counters = new Float64Array(Counter.LENGTH);
  for (const pair of reader.list("counters")) {
    const [index, value] = Array.isArray(pair) && pair.length === 2 ? (pair as [unknown, unknown]) : [];
    if (
      typeof index !== "number" ||
      typeof value !== "number" ||
      !Number.isSafeInteger(index) ||
      index < 0 ||
      index >= Counter.LENGTH ||
      !Number.isFinite(value)
    )
      throw new StateError("processor.counters", "it holds something that is no counter");
    counters[index] = value;
  }
  return counters;
}

function readTiming(reader: StateReader): DetailedState {
  const counters = reader.object("counters");
  return {
    codeLines: reader.words("codeLines", CACHE_WORDS),
    dataLines: reader.words("dataLines", CACHE_WORDS),
    bus: reader.number("bus"),
    next: reader.integer("next"),
    waiting: reader.integer("waiting"),
    stoppedAt: reader.integer("stoppedAt"),
    stoppedClocks: reader.number("stoppedClocks", 0x7fff_ffff),
    counters: {
      codeCacheMisses: counters.number("codeCacheMisses"),
      dataReadMisses: counters.number("dataReadMisses"),
      dataWriteMisses: counters.number("dataWriteMisses"),
      writeBacks: counters.number("writeBacks"),
      pairs: counters.number("pairs"),
      stalls: counters.number("stalls"),
    },
  };
}

function isCycle(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

/** The words of a TLB: page numbers (unique in a set, in the set where they belong), entries whose frame may be anywhere, ages. */
function checkBank(bank: TlbBank, image: Int32Array, name: string): void {
  const count = bank.sets * 4;
  for (let i = 0; i < count; i++) {
    const page = image[i]!;
    if (page !== -1 && (page < 0 || page > 0xf_ffff || (page & (bank.sets - 1)) !== i >> 2))
      throw new StateError(`processor.${name}`, `page ${page} is in a set where it cannot be`);
  }
  for (let i = 2 * count; i < image.length; i++) {
    if (image[i]! < 0 || image[i]! > 7)
      throw new StateError(`processor.${name}`, "an age of more than three bits");
  }
}

/**
 * Checks the whole state and returns what puts it into the processor and gives the run loop's counts back; that cannot fail. Throws
 * `StateError` and changes nothing.
 */
export function prepareProcessor(parts: ProcessorParts, state: unknown): () => Tally {
  const { core, flags, floatingPoint, memory, paging, codeCache, debugging } = parts;
  const { s, time, counters } = core;
  const reader = new StateReader(state, "processor");
  const [cycle, booked, timeStampOffset] = reader.list("time");
  if (
    !isCycle(cycle) ||
    !isCycle(booked) ||
    typeof timeStampOffset !== "number" ||
    !Number.isFinite(timeStampOffset)
  )
    throw new StateError("processor.time", "it holds something that is no time");
  if (booked > cycle) throw new StateError("processor.time", "cycles of the future are booked");
  const counts = reader.object("tally");
  const tally: Tally = {
    instructions: counts.number("instructions"),
    instructionOrigin: counts.number("instructionOrigin"),
    cycleOrigin: counts.number("cycleOrigin", cycle),
  };
  const registers = reader.words("registers", 8);
  const eip = reader.integer("eip") | 0;
  const eflags = reader.integer("eflags") | 0;
  const segmentLists = reader.list("segments");
  const segmentState = new StateReader({ ...segmentLists }, "processor.segments");
  if (segmentLists.length !== SEGMENTS) throw new StateError("processor.segments", `there are ${SEGMENTS}`);
  const segments = segmentLists.map((_, segment) =>
    segmentState.words(String(segment), SEGMENT_SLOTS.length),
  );
  for (const words of segments) {
    if (words[1]! < 0 || words[1]! > 0xffff)
      throw new StateError("processor.segments", "a selector of 16 bits");
    if ((words[3]! & ~ACCESS_BITS) !== 0)
      throw new StateError("processor.segments", "no descriptor has such bits");
  }
  const system = reader.words("system", SYSTEM_WORDS);
  if ((system[0]! & ControlBit.CR0_PE) === 0)
    throw new StateError("processor.system", "protected mode is off");
  const cpl = reader.number("cpl", 3);
  const shadow = reader.number("shadow", 2);
  const debugPending = reader.number("debugPending", 0xffff);
  const flagged = reader.flags("flags", FLAG_SLOTS.length);
  const floatingPointImage = Uint8Array.from(reader.bytes("floatingPoint", FSAVE_BYTES, "exactly"));
  const banks = banksOf(parts);
  const lists = reader.list("tlbs");
  if (lists.length !== banks.length) throw new StateError("processor.tlbs", `there are ${banks.length}`);
  const tlbState = new StateReader({ ...lists }, "processor.tlbs");
  const tlbs = banks.map((bank, i) => {
    const image = tlbState.words(String(i), bank.sets * 9);
    checkBank(bank, image, `tlbs.${i}`);
    return image;
  });
  const newCounters = readCounters(reader);
  const { timing } = parts;
  const timingState =
    timing === null ? null : readTiming(new StateReader(reader.value("timing"), "processor.timing"));

  return () => {
    s.fill(0);
    s.set(registers, Slot.EAX);
    s[Slot.EIP] = eip;
    flags.write(eflags);
    segments.forEach((words, segment) => {
      SEGMENT_SLOTS.forEach((slot, i) => {
        s[slot + segment] = words[i]!;
      });
    });
    s.set(system, Slot.CR0);
    core.setCpl(cpl);
    s[Slot.SHADOW] = shadow;
    s[Slot.DEBUG_PENDING] = debugPending;
    FLAG_SLOTS.forEach((slot, i) => {
      s[slot] = flagged[i] ? 1 : 0;
    });
    time.set([cycle, booked, timeStampOffset]);
    counters.set(newCounters);
    floatingPoint.restore(floatingPointImage);
    paging.flush();
    banks.forEach((bank, i) => {
      bank.restore(tlbs[i]!);
    });
    paging.forgetFastPaths();
    codeCache.dropAll();
    // The alignment check and the limits of the fast path follow from what was set; a change of the first refreshes the second.
    memory.updateAlignmentCheck();
    for (let segment = Segment.ES; segment <= Segment.GS; segment++) memory.refreshLimits(segment);
    debugging.refresh();
    if (timing !== null && timingState !== null) timing.restore(timingState);
    s[Slot.CODE_PAGE] = -1;
    return tally;
  };
}
