/**
 * Path lengths of the kernel: runs os/tests/kernelbench in a process and in the kernel, and joins what it prints with the counts
 * between its marks. The first operation is nothing: what a pair of marks costs.
 */
import type { CycleModelName } from "@rialto/machine/i386/cycles.ts";
import { UserError } from "../errors.ts";
import { type Place, reportEnd, runGuest } from "../guest-run.ts";
import type { PhaseCounts } from "../statistics-file.ts";

export interface PathLength {
  readonly operation: string;
  readonly rounds: number;
  /** A round, what the marks themselves take being taken off. */
  readonly instructions: number;
  readonly cycles: number;
  /** Ring transitions of all kinds a round. */
  readonly transitions: number;
}

type Counts = PhaseCounts["counts"];

interface Interval {
  readonly operation: string;
  readonly rounds: number;
  readonly counts: Counts;
  /** What is taken off; undefined for the cost of the marks alone. */
  readonly less: Counts | undefined;
}

/** The intervals that "bench PHASE ROUNDS [less OTHER] NAME" lines name (os/tests/kernelbench/marks.ts). */
function intervals(text: string, phases: readonly PhaseCounts[]): Interval[] {
  const countsAfter = (mark: string | undefined) =>
    mark === undefined ? undefined : phases.find(({ phase }) => phase === Number(mark) + 1)?.counts;
  return [...text.matchAll(/^bench (\d+) (\d+) (?:less (\d+) )?(.+)$/gm)].flatMap(
    ([, mark, rounds, other, operation]) => {
      const counts = countsAfter(mark);
      if (!counts || !operation) return [];
      return [{ operation, rounds: Number(rounds), counts, less: countsAfter(other) }];
    },
  );
}

/** Of the intervals of each operation the one with the fewest instructions: the others met an interrupt. */
function leastOfEach(all: readonly Interval[]): Interval[] {
  const least = new Map<string, Interval>();
  for (const each of all) {
    const known = least.get(each.operation);
    if (!known || each.counts.instructions < known.counts.instructions) least.set(each.operation, each);
  }
  return [...least.values()];
}

const work = ({ cycles }: Counts) => cycles.total - cycles.idle;
const transitions = ({ ringTransitions }: Counts) =>
  Object.values(ringTransitions).reduce((sum, count) => sum + count, 0);

export interface KernelBench {
  readonly model: string;
  readonly paths: readonly PathLength[];
  /** What could not be measured, and why. */
  readonly without: readonly string[];
  /** What the program timed itself (os/tests/kernelbench/interrupts.ts). */
  readonly timed: readonly { readonly operation: string; readonly cycles: number }[];
}

export async function measurePaths(
  place: Place,
  memory: number,
  cycleModel: CycleModelName,
  options: ReadonlyMap<string, string>,
  subject: "paths" | "scale" = "paths",
): Promise<KernelBench> {
  const lines = [`run ${place === "kernel" ? "-k " : ""}kernelbench${subject === "scale" ? " scale" : ""}`];
  const outcome = await runGuest({ on: "rialto", lines, memory, cycleModel, options, show: "nothing" });
  const { statistics, text, status } = outcome;
  const [marks, ...others] = leastOfEach(intervals(text, statistics!.phases));
  if (status !== 0 || !marks || others.length === 0) {
    reportEnd(outcome);
    throw new UserError(`kernelbench in the ${place} ended with status ${status}:\n${text}`);
  }
  return {
    model: statistics!.model,
    without: [...text.matchAll(/^bench without (.+)$/gm)].map(([, what]) => what!),
    timed: [...text.matchAll(/^bench cycles (\d+) (.+)$/gm)].map(([, cycles, operation]) => ({
      operation: operation!,
      cycles: Number(cycles),
    })),
    paths: others.map((each): PathLength => {
      const round = (measure: (counts: Counts) => number) =>
        Math.max(0, measure(each.counts) - measure(each.less ?? marks.counts)) / each.rounds;
      return {
        operation: each.operation,
        rounds: each.rounds,
        instructions: round(({ instructions }) => instructions),
        cycles: round(work),
        transitions: round(transitions),
      };
    }),
  };
}
