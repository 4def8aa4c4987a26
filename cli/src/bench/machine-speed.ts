/**
 * Speed of the machine: every row on every engine that can run here, each run in a process of its own, engines by turns, several times.
 * A figure is the median of the runs; compare figures of one call only.
 */
import { ENGINES, type EngineName, runEngine, whyMissing } from "./engines.ts";
import { type MachineRow, machineRows } from "./machine-rows.ts";
import { geometricMean, median } from "./reports.ts";

export interface Figure {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export interface SpeedRow {
  readonly name: string;
  readonly unit: MachineRow["unit"];
  /** Missing where the engine did not finish. */
  readonly figures: Partial<Record<EngineName, Figure>>;
}

export interface SpeedReport {
  readonly rows: readonly SpeedRow[];
  /** Milliseconds of wall time from the start of a process to the guest's first mark, medians over all rows. */
  readonly start: Partial<Record<EngineName, number>>;
  readonly missing: Partial<Record<EngineName, string>>;
}

export interface SpeedRequest {
  /** Part of the names of the rows that are wanted; all when absent. */
  readonly only: string | undefined;
  /** All when absent. */
  readonly engines?: readonly EngineName[] | undefined;
  readonly runs: number;
}

/** Seconds that one run may take; rows that need more on an engine stay empty there. */
const LIMIT = 40;
/** Milliseconds of processor time after which a warm row has run long enough, and intervals that it must have: one to warm up, one that counts. */
const ENOUGH = { milliseconds: 1000, intervals: 2 } as const;

/** "ns" is better when small, MIPS when large; a ratio says how much faster. */
export function speedRatio(unit: MachineRow["unit"], ours: number, theirs: number): number {
  return unit === "ns" ? theirs / ours : ours / theirs;
}

function figureOf(row: MachineRow, intervals: readonly number[]): number {
  const counted = intervals.slice(-Math.min(row.counted, Math.max(1, intervals.length - 1)));
  const isPhases = row.counted === row.intervals;
  const milliseconds = isPhases ? intervals.reduce((sum, each) => sum + each, 0) : median(counted);
  return row.unit === "ns" ? (milliseconds * 1e6) / row.operations : row.instructions / milliseconds / 1000;
}

function summary(values: readonly number[]): Figure {
  return { median: median(values), least: Math.min(...values), most: Math.max(...values) };
}

/** Geometric mean of a group's rows, figure by figure. */
function groupMean(rows: readonly SpeedRow[], engines: readonly EngineName[]): SpeedRow {
  const figures: Partial<Record<EngineName, Figure>> = {};
  for (const engine of engines) {
    const known = rows.map((row) => row.figures[engine]).filter((each) => each !== undefined);
    if (known.length < rows.length) continue;
    const mean = (key: keyof Figure) => geometricMean(known.map((figure) => figure[key]));
    figures[engine] = { median: mean("median"), least: mean("least"), most: mean("most") };
  }
  return { name: "integer loops, geometric mean", unit: "MIPS", figures };
}

/** `progress` is told what is measured next, `finished` what has been. */
export async function measureSpeed(
  ambient: string,
  request: SpeedRequest,
  progress: (text: string) => void,
  finished: (row: SpeedRow) => void,
): Promise<SpeedReport> {
  const missing: Partial<Record<EngineName, string>> = {};
  for (const engine of ENGINES) {
    const reason = whyMissing(engine);
    if (reason !== undefined) missing[engine] = reason;
  }
  const engines = (request.engines ?? ENGINES).filter((engine) => missing[engine] === undefined);
  const { only } = request;
  const wanted = await machineRows(ambient, (name) => only === undefined || name.includes(only));
  const starts = new Map<EngineName, number[]>(engines.map((engine) => [engine, []]));
  const rows: SpeedRow[] = [];
  for (const row of wanted) {
    const values = new Map<EngineName, number[]>(engines.map((engine) => [engine, []]));
    for (let round = 0; round < request.runs; round++) {
      for (const engine of engines) {
        progress(`${row.name}: ${engine}, run ${round + 1} of ${request.runs}`);
        // An engine that did not finish once is not waited for again.
        if (round > 0 && values.get(engine)!.length === 0) continue;
        const isWhole = row.counted === row.intervals;
        const enough = isWhole ? undefined : ENOUGH;
        const { intervals } = row;
        const run = await runEngine(engine, row.image, {
          intervals,
          limit: LIMIT,
          ...(enough && { enough }),
        });
        if (run.intervals.length < (isWhole ? intervals : ENOUGH.intervals)) continue;
        values.get(engine)!.push(figureOf(row, run.intervals));
        starts.get(engine)!.push(run.start);
      }
    }
    const figures: Partial<Record<EngineName, Figure>> = {};
    for (const [engine, list] of values) if (list.length > 0) figures[engine] = summary(list);
    const result = { name: row.name, unit: row.unit, figures };
    rows.push(result);
    finished(result);
  }
  const integer = wanted.filter(({ group }) => group === "integer").map(({ name }) => name);
  const members = rows.filter(({ name }) => integer.includes(name));
  if (members.length > 1) rows.splice(rows.indexOf(members.at(-1)!) + 1, 0, groupMean(members, engines));
  const start: Partial<Record<EngineName, number>> = {};
  for (const [engine, list] of starts) if (list.length > 0) start[engine] = median(list);
  return { rows, start, missing };
}
