/**
 * Path lengths of the kernel: runs os/tests/kernelbench in a process and in the kernel, and joins what it prints with the counts
 * between its marks.
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

interface Interval {
  readonly operation: string;
  readonly rounds: number;
  readonly counts: PhaseCounts["counts"];
}

/** The intervals that "bench PHASE ROUNDS NAME" lines name. */
function intervals(text: string, phases: readonly PhaseCounts[]): Interval[] {
  return [...text.matchAll(/^bench (\d+) (\d+) (.+)$/gm)].flatMap((match) => {
    const ending = phases.find(({ phase }) => phase === Number(match[1]) + 1);
    return ending ? [{ operation: match[3]!, rounds: Number(match[2]), counts: ending.counts }] : [];
  });
}

const work = ({ counts }: Interval) => counts.cycles.total - counts.cycles.idle;

export interface KernelBench {
  readonly model: string;
  readonly paths: readonly PathLength[];
}

export async function measurePaths(
  place: Place,
  memory: number,
  cycleModel: CycleModelName,
): Promise<KernelBench> {
  const lines = [`run ${place === "kernel" ? "-k " : ""}kernelbench`];
  const outcome = await runGuest({ on: "rialto", lines, memory, cycleModel, show: "nothing" });
  const { statistics, text, status } = outcome;
  const [marks, ...others] = intervals(text, statistics!.phases);
  if (status !== 0 || !marks || others.length === 0) {
    reportEnd(outcome);
    throw new UserError(`kernelbench in the ${place} ended with status ${status}:\n${text}`);
  }
  const transitionsOf = ({ counts }: Interval) =>
    Object.values(counts.ringTransitions).reduce((sum, count) => sum + count, 0);
  return {
    model: statistics!.model,
    paths: others.map((each) => {
      const round = (measure: (interval: Interval) => number) =>
        Math.max(0, measure(each) - measure(marks)) / each.rounds;
      return {
        operation: each.operation,
        rounds: each.rounds,
        instructions: round(({ counts }) => counts.instructions),
        cycles: round(work),
        transitions: round(transitionsOf),
      };
    }),
  };
}
