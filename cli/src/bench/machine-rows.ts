/**
 * What `rialto bench machine` measures: a row is an image, what is counted in it, and which of its intervals count. Integer programs are
 * compiled by our toolchain; the others are assembled (machine/src/bench/system-images.ts).
 */

import {
  makeSystemImage,
  type SystemImageName,
  systemImageNames,
  systemImageTitle,
} from "@rialto/machine/bench/system-images.ts";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { Assembler } from "@rialto/machine/i386/assembler.ts";
import { al, dx, ebx, symbol } from "@rialto/machine/i386/assembly.ts";
import { beginStub, compileSource } from "./generated-code.ts";
import { AREA, BENCH_PROGRAMS, type BenchProgram } from "./programs.ts";

export interface MachineRow {
  readonly name: string;
  /** Rows of one group are also given as a geometric mean. */
  readonly group?: "integer";
  readonly image: Uint8Array;
  /** What a time is divided by: "ns" an operation, or million instructions a second ("MIPS"), by what one interval holds. */
  readonly unit: "ns" | "MIPS";
  readonly operations: number;
  readonly instructions: number;
  /** Intervals to run, and how many of the last ones count; all, when they are the phases of one run. */
  readonly intervals: number;
  readonly counted: number;
}

/** The integer loops of the table: CRC, sort, matrix, list, Dhrystone-like, byte-code interpreter. */
const INTEGER = [
  "crc32, bit by bit",
  "quicksort of 4096 words",
  "matrix 32 x 32, integers",
  "linked list of 4000 nodes",
  "records, strings and small functions",
  "interpreter of byte code",
] as const;

const WARM = { intervals: 30, counted: 3 } as const;
/** Instructions in an interval of a warm loop, and in a short phase. */
const LOOP = 20e6;
const PHASE = 45e6;
const MEMORY = 16 * 2 ** 20;

function mark(a: Assembler): void {
  a.emit("mov", al, 0x2e);
  for (const port of [0xe9, 0x3f8]) {
    a.emit("mov", dx, port);
    a.emit("out", dx, al);
  }
}

/** A stub that marks, calls each function so often, marks behind each, and starts again. */
function phaseStub(
  initialise: string | undefined,
  calls: readonly (readonly [name: string, count: number])[],
): Assembler {
  const a = beginStub(initialise);
  mark(a);
  const again = a.newLabel();
  a.place(again);
  for (const [name, count] of calls) {
    const next = a.newLabel();
    a.emit("mov", ebx, count);
    a.place(next);
    a.emit("call", symbol(name));
    a.emit("dec", ebx);
    a.emit("jnz", next);
    mark(a);
  }
  a.emit("jmp", again);
  return a;
}

/** Instructions between the first marks of an image, counted on our machine. */
function countInstructions(image: Uint8Array, intervals: number): number {
  const counts: number[] = [];
  const pc: PentiumPc = new PentiumPc({
    memory: MEMORY,
    debugOutput: () => {
      counts.push(pc.instructions);
      if (counts.length > intervals) pc.processor.stop();
    },
  });
  pc.loadMultiboot(image);
  pc.run(Number.MAX_SAFE_INTEGER);
  return counts[intervals]! - counts[0]!;
}

function programOf(name: string): BenchProgram {
  const program = BENCH_PROGRAMS.find((each) => each.name === name);
  if (program === undefined) throw new Error(`no bench program "${name}"`);
  return program;
}

const PHASES = "the same, one after the other, in phases of 45 million instructions";

async function integerRows(ambient: string, isWanted: (name: string) => boolean): Promise<MachineRow[]> {
  if (![...INTEGER, PHASES].some(isWanted)) return [];
  const rows: MachineRow[] = [];
  const bodies = INTEGER.map((name, i) => `namespace p${i} {${programOf(name).guest}}`);
  const entries = INTEGER.map((_, i) => `export function run${i}(): u32 { return p${i}.run(); }`);
  const source = [`const area: usize = memory.data(${AREA}, 16);`, ...bodies, ...entries].join("\n");
  const { object, link } = await compileSource(source, ambient);
  const lengths = INTEGER.map((_, i) =>
    countInstructions(link(phaseStub(object.start, [[`run${i}`, 1]])), 1),
  );
  for (const [i, name] of INTEGER.entries()) {
    if (!isWanted(name)) continue;
    const count = Math.ceil(LOOP / lengths[i]!);
    const image = link(phaseStub(object.start, [[`run${i}`, count]]));
    const instructions = count * lengths[i]!;
    rows.push({ name, group: "integer", image, unit: "MIPS", operations: count, instructions, ...WARM });
  }
  if (!isWanted(PHASES)) return rows;
  const calls = INTEGER.map((_, i) => [`run${i}`, Math.ceil(PHASE / lengths[i]!)] as const);
  rows.push({
    ...{ name: PHASES, image: link(phaseStub(object.start, calls)), unit: "MIPS", operations: 1 },
    instructions: calls.reduce((sum, [, count], i) => sum + count * lengths[i]!, 0),
    ...{ intervals: INTEGER.length, counted: INTEGER.length },
  });
  return rows;
}

/** Rows that are about speed of code; the others are about the time of an operation. */
const speeds = new Set<SystemImageName>(["flat", "based", "library", "coldOnce", "coldOften"]);

function systemRow(key: SystemImageName): MachineRow {
  const { name, bytes, operations } = makeSystemImage(key);
  const isSpeed = speeds.has(key);
  // The first round of cold code, and a thousand of them; every round has the same length.
  const isCold = key === "coldOnce" || key === "coldOften";
  const instructions =
    key === "coldOften"
      ? countInstructions(makeSystemImage("coldOnce").bytes, 1) * operations
      : isSpeed
        ? countInstructions(bytes, 1)
        : 0;
  const { intervals, counted } = isCold ? { intervals: 1, counted: 1 } : WARM;
  return { name, image: bytes, unit: isSpeed ? "MIPS" : "ns", operations, instructions, intervals, counted };
}

/** The rows whose names are wanted. */
export async function machineRows(
  ambient: string,
  isWanted: (name: string) => boolean,
): Promise<MachineRow[]> {
  const system = systemImageNames.filter((key) => isWanted(systemImageTitle(key)));
  return [...(await integerRows(ambient, isWanted)), ...system.map(systemRow)];
}
