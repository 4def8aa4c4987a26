/**
 * Coverage-guided fuzzing of what reads somebody else's bytes: inputs are changes of known ones, and those that reach code which none
 * reached before are kept to be changed further. A subject takes its input, or refuses it with an error of its own; any other
 * error, much time or much memory is a finding. The same seed and count make the same inputs.
 */
import { processorTime } from "../bench/reports.ts";
import { Coverage } from "./coverage.ts";
import { mutate } from "./mutate.ts";
import { Random } from "./random.ts";

export interface Subject {
  readonly name: string;
  /** What the paths of the sources that it is about match. */
  readonly sources: RegExp;
  readonly seeds: readonly Uint8Array[];
  /** Changes that keep the form of an input, for half of them. */
  readonly mutate?: (bytes: Uint8Array, random: Random) => Uint8Array;
  /** Makes checksums right, so that readers look behind them. */
  readonly repair?: (bytes: Uint8Array) => void;
  /** Names of the errors by which inputs are refused. */
  readonly refusals: readonly string[];
  readonly run: (input: Uint8Array) => void;
}

export interface Finding {
  readonly what: string;
  readonly input: Uint8Array;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly accepted: number;
  readonly refused: number;
  /** Inputs kept, those to begin with included. */
  readonly corpus: number;
  /** Characters of the sources that ran. */
  readonly reached: number;
  readonly findings: readonly Finding[];
}

export interface FuzzOptions {
  readonly seed: number;
  /** Ends when it returns true. */
  readonly enough: (inputs: number, findings: number) => boolean;
  /** Told of each input before it runs. */
  readonly onInput?: (input: Uint8Array) => void;
}

const MOST_MILLISECONDS = 5000;
const MOST_BYTES = 256 * 2 ** 20;
const MOST_FINDINGS = 20;
const RECENT = 4;

/** What is wrong about a run; undefined when nothing is. */
function judge(
  { run, refusals }: Subject,
  input: Uint8Array,
): { readonly refused: boolean; readonly what?: string } {
  const memory = process.memoryUsage().arrayBuffers;
  const start = processorTime();
  let refused = false;
  try {
    run(input);
  } catch (error) {
    const name = error instanceof Error ? error.name : "";
    if (!refusals.includes(name)) {
      return { refused, what: error instanceof Error ? (error.stack ?? error.message) : String(error) };
    }
    refused = true;
  }
  const took = processorTime() - start;
  if (took > MOST_MILLISECONDS) return { refused, what: `it took ${took.toFixed(0)} ms` };
  const grown = process.memoryUsage().arrayBuffers - memory;
  if (grown > MOST_BYTES) return { refused, what: `it took ${(grown / 2 ** 20).toFixed(0)} MB` };
  return { refused };
}

/** The line where an error arose tells findings apart. */
const kindOf = (what: string) => what.split("\n").slice(0, 2).join("\n");

export function fuzz(subject: Subject, { seed, enough, onInput }: FuzzOptions): FuzzReport {
  const random = new Random(seed);
  const coverage = new Coverage(subject.sources);
  const corpus: Uint8Array[] = [];
  const findings = new Map<string, Finding>();
  let [inputs, accepted] = [0, 0];
  const examine = (input: Uint8Array): void => {
    onInput?.(input);
    inputs++;
    const { refused, what } = judge(subject, input);
    if (what !== undefined) {
      if (findings.size < MOST_FINDINGS && !findings.has(kindOf(what))) {
        findings.set(kindOf(what), { what, input });
      }
    } else if (!refused) accepted++;
    if (coverage.gained() > 0) corpus.push(input);
  };
  try {
    // No Buffers: slices of those are no copies.
    for (const input of subject.seeds) examine(new Uint8Array(input));
    while (!enough(inputs, findings.size)) {
      // What was found last leads further more often than what has been tried for long.
      const known = random.pick(random.below(2) === 0 ? corpus.slice(-RECENT) : corpus);
      const changed =
        subject.mutate && random.below(2) === 0
          ? subject.mutate(known, random)
          : mutate(known, random, random.pick(corpus));
      const input = changed.slice();
      if (random.below(8) > 0) subject.repair?.(input);
      examine(input);
    }
    const refused = inputs - accepted - findings.size;
    return {
      inputs,
      accepted,
      refused,
      corpus: corpus.length,
      reached: coverage.characters,
      findings: [...findings.values()],
    };
  } finally {
    coverage.close();
  }
}
