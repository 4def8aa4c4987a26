/**
 * The same program in a process and in the kernel, on our machine: two boots, each with a mark before and after the shell's `run` line.
 * Everything between the marks counts: loading the program, its run, other programs' work for it, its end. What publishing the kernel's
 * counters costs does not.
 */
import type { CycleModelName } from "@rialto/machine/i386/cycles.ts";
import { type GuestOutcome, type GuestProgram, type Place, runGuest, runLine } from "./guest-run.ts";
import type { Counts, PhaseCounts, RunStatistics } from "./statistics-file.ts";

/** Phase numbers of our marks; a program may use others for its own. */
const BEFORE = 0x7fff_0001;
const AFTER = 0x7fff_0002;

export interface Measurement {
  readonly place: Place;
  readonly outcome: GuestOutcome;
  /** Counts between the marks; undefined when the run did not get to the second one. */
  readonly counts: Counts | undefined;
  /** Most pages in use at once between the marks, less those in use before. */
  readonly pages: number | undefined;
  readonly calls: { readonly system: number; readonly remote: number } | undefined;
}

export interface ComparedRow {
  readonly name: string;
  readonly process: number;
  readonly kernel: number;
}

/** Sums numbers and records of numbers, field by field. */
function add<T>(a: T, b: T): T {
  if (typeof a === "number") return (a + (b as number)) as T;
  const sum: Record<string, unknown> = { ...(a as Record<string, unknown>) };
  for (const [name, value] of Object.entries(b as Record<string, unknown>)) {
    sum[name] = name in sum ? add(sum[name], value) : value;
  }
  return sum as T;
}

/** The phases after the first mark up to the second: more than one when the program marks phases of its own. */
function between(statistics: RunStatistics | undefined): readonly PhaseCounts[] | undefined {
  const phases = statistics?.phases ?? [];
  const first = phases.findIndex(({ phase }) => phase === BEFORE);
  const last = phases.findIndex(({ phase }) => phase === AFTER);
  return first < 0 || last < 0 ? undefined : phases.slice(first, last + 1);
}

function inUse(counters: Readonly<Record<string, number>>): number {
  return counters["pages.total"]! - counters["pages.free"]!;
}

export async function measure(
  program: GuestProgram,
  place: Place,
  words: readonly string[],
  memory: number,
  cycleModel: CycleModelName,
): Promise<Measurement> {
  const lines = [`mark ${BEFORE}`, runLine(program.name, place, words), `mark ${AFTER}`];
  const outcome = await runGuest({
    on: "rialto",
    lines,
    files: program.files,
    memory,
    cycleModel,
    show: "nothing",
  });
  const phases = between(outcome.statistics);
  if (!phases) return { place, outcome, counts: undefined, pages: undefined, calls: undefined };
  const [before, ...after] = phases as [PhaseCounts, ...PhaseCounts[]];
  const peak = Math.max(...after.map(({ counters }) => counters["pages.peakInUse"]!));
  const grown = (name: string) => after.at(-1)!.counters[name]! - before.counters[name]!;
  return {
    place,
    outcome,
    counts: after.map(({ counts }) => counts).reduce(add),
    pages: peak - inUse(before.counters),
    calls: { system: grown("count.systemCalls"), remote: grown("count.remoteCalls") },
  };
}

export function comparedRows(process: Measurement, kernel: Measurement): ComparedRow[] {
  const rows: ComparedRow[] = [];
  const row = (name: string, value: (counts: Counts, measurement: Measurement) => number) => {
    const of = (measurement: Measurement) => value(measurement.counts!, measurement);
    rows.push({ name, process: of(process), kernel: of(kernel) });
  };
  row("cycles without idle", ({ cycles }) => cycles.total - cycles.idle);
  row("  user (ring 3)", ({ cycles }) => cycles.user);
  row("  kernel (ring 1)", ({ cycles }) => cycles.kernel);
  row("  first level (ring 0)", ({ cycles }) => cycles.firstLevel);
  row("cycles idle", ({ cycles }) => cycles.idle);
  row("instructions", ({ instructions }) => instructions);
  row("system calls (int 0x30)", ({ traps }) => traps.systemCalls);
  row("private traps, hand-offs", ({ traps }) => traps.privateTraps);
  row("server returns (int 0x32)", ({ traps }) => traps.serverReturns);
  row("page faults", ({ traps }) => traps.pageFaults);
  row("other exceptions", ({ traps }) => traps.otherExceptions);
  row("interrupts", ({ traps }) => traps.interrupts);
  const kinds = new Set([process, kernel].flatMap(({ counts }) => Object.keys(counts!.ringTransitions)));
  for (const kind of [...kinds].sort().reverse()) {
    row(`ring ${kind.replace("-", " to ")}`, ({ ringTransitions }) => ringTransitions[kind] ?? 0);
  }
  row("TLB misses, code", ({ tlbMisses }) => tlbMisses.code4K);
  row("TLB misses, data", ({ tlbMisses }) => tlbMisses.data4K + tlbMisses.data4M);
  row("address space loads (CR3)", ({ cr3Loads }) => cr3Loads);
  row("calls run by server threads", (_, { calls }) => calls!.remote);
  row("pages, most at once", (_, { pages }) => pages!);
  return rows;
}

const count = (value: number) => value.toLocaleString("en-US");

function ratio({ process, kernel }: ComparedRow): string {
  if (kernel === 0) return process === 0 ? "" : "–";
  return (process / kernel).toFixed(2);
}

export function formatTable(rows: readonly ComparedRow[]): string {
  const cells = [
    ["", "process", "kernel", "process / kernel"],
    ...rows.map((row) => [row.name, count(row.process), count(row.kernel), ratio(row)]),
  ];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]! + 2)))
        .join("")
        .trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}
