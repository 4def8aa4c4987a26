/**
 * Runs batches of generated functions on every runner and compares. A difference is shrunk with fast-check's own
 * shrinker: all candidates of one step are compiled as one module, so that a step costs no more than a batch.
 */
import fc, { Value } from "fast-check";
import { type Call, call, type GeneratedFunction, generatedFunction } from "./generate.ts";
import { moduleSource, RECORD_SIZE } from "./module.ts";
import { smallerVariants } from "./reduce.ts";
import { type Batch, type Outcome, type Runner, wasmRunner } from "./runners.ts";

/** Turns the source of one module into what runners run. */
export type BatchCompiler = (source: string, resultSize: number) => Promise<Batch>;

export interface SuiteOptions {
  readonly functions: number;
  readonly functionsPerModule: number;
  readonly callsPerFunction: number;
  readonly seed: number;
  /** Time for making one difference smaller. */
  readonly shrinkMilliseconds: number;
  readonly runners: readonly Runner[];
  readonly compile: BatchCompiler;
}

export interface SuiteSummary {
  readonly functions: number;
  readonly calls: number;
  /** One report a difference, at most one a batch. */
  readonly failures: readonly string[];
}

interface Difference {
  readonly index: number;
  readonly runner: string;
  readonly text: string;
}

const hex = (bytes: Uint8Array, start: number, size: number) =>
  `0x${[...bytes.subarray(start, start + size)]
    .reverse()
    .map((byte) => byte.toString(16).padStart(2, "0"))
    .join("")}`;

function describeCall({ a, b, c, d, e, g }: Call): string {
  const float = (value: number) => (Object.is(value, -0) ? "-0" : String(value));
  return `a=${a} b=${b} c=${c} d=${d} e=${float(e)} g=${float(g)}`;
}

/** First difference of each function between two runs. */
function compare(
  expected: Uint8Array,
  actual: Uint8Array,
  calls: readonly Call[],
  runner: string,
): Difference[] {
  const differences: Difference[] = [];
  const count = expected.length / RECORD_SIZE / calls.length;
  for (let index = 0; index < count; index++) {
    for (let n = 0; n < calls.length; n++) {
      const start = (index * calls.length + n) * RECORD_SIZE;
      const parts = [
        { what: "result", start },
        { what: "memory and globals", start: start + 8 },
      ];
      const wrong = parts.find((part) => hex(expected, part.start, 8) !== hex(actual, part.start, 8));
      if (!wrong) continue;
      const values = `${hex(actual, wrong.start, 8)}, not ${hex(expected, wrong.start, 8)}`;
      differences.push({
        index,
        runner,
        text: `${runner}: ${wrong.what} ${values} for ${describeCall(calls[n]!)}`,
      });
      break;
    }
  }
  return differences;
}

/** Generates what `inner` generates together with what its shrinker needs to know, which `fc.sample` would drop. */
class Shrinkable<T> extends fc.Arbitrary<Value<T>> {
  private readonly inner: fc.Arbitrary<T>;

  constructor(inner: fc.Arbitrary<T>) {
    super();
    this.inner = inner;
  }

  override generate(random: fc.Random, biasFactor: number | undefined): Value<Value<T>> {
    return new Value(this.inner.generate(random, biasFactor), undefined);
  }

  override canShrinkWithoutContext(_: unknown): _ is Value<T> {
    return false;
  }

  override shrink(): fc.Stream<Value<Value<T>>> {
    return fc.Stream.nil();
  }
}

class Suite {
  private readonly options: SuiteOptions;
  private readonly calls: readonly Call[];

  constructor(options: SuiteOptions, calls: readonly Call[]) {
    this.options = options;
    this.calls = calls;
  }

  /** Differences of all functions; a run that dies is narrowed down to the functions that kill it. */
  async differences(
    functions: readonly GeneratedFunction[],
    runners: readonly Runner[],
  ): Promise<Difference[]> {
    const { calls } = this;
    const resultSize = functions.length * calls.length * RECORD_SIZE;
    let batch: Batch;
    try {
      batch = await this.options.compile(moduleSource(functions, calls), resultSize);
    } catch (error) {
      const text = `the toolchain failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
      return this.narrow(functions, runners, "toolchain", text);
    }
    const expected = await wasmRunner.run(batch);
    if ("failure" in expected) return this.narrow(functions, runners, wasmRunner.name, expected.failure);
    const found: Difference[] = [];
    for (const runner of runners) {
      const actual: Outcome = await runner.run(batch);
      if ("results" in actual) found.push(...compare(expected.results, actual.results, calls, runner.name));
      else
        found.push(
          ...(await this.narrow(functions, [runner], runner.name, `${runner.name}: ${actual.failure}`)),
        );
    }
    return found;
  }

  private async narrow(
    functions: readonly GeneratedFunction[],
    runners: readonly Runner[],
    runner: string,
    text: string,
  ): Promise<Difference[]> {
    if (functions.length === 1) return [{ index: 0, runner, text }];
    const middle = functions.length >> 1;
    const first = await this.differences(functions.slice(0, middle), runners);
    if (first.length > 0) return first;
    const second = await this.differences(functions.slice(middle), runners);
    if (second.length > 0) return second.map((each) => ({ ...each, index: each.index + middle }));
    return [
      { index: 0, runner, text: `${text} (only with all ${functions.length} functions in one module)` },
    ];
  }

  /** The first of `candidates` that still differs, tried some at a time. */
  private async firstThatDiffers<T>(
    candidates: Iterable<T>,
    functionOf: (candidate: T) => GeneratedFunction,
    runner: string,
    deadline: number,
  ): Promise<{ candidate: T; difference: Difference } | undefined> {
    const some: T[] = [];
    const runners = this.options.runners.filter((each) => each.name === runner);
    const tryThem = async () => {
      const found = await this.differences(some.map(functionOf), runners);
      const same = found.filter((each) => each.runner === runner);
      const first = same.sort((a, b) => a.index - b.index)[0];
      return first && { candidate: some[first.index]!, difference: first };
    };
    let tried = 0;
    for (const candidate of candidates) {
      some.push(candidate);
      if (some.length < CANDIDATES) continue;
      const found = await tryThem();
      if (found) return found;
      some.length = 0;
      tried += CANDIDATES;
      if (tried >= MOST_CANDIDATES || performance.now() > deadline) return undefined;
    }
    return some.length > 0 ? tryThem() : undefined;
  }

  /** The smallest function found that still differs on that runner, with what differs. */
  async shrink(
    original: Value<GeneratedFunction>,
    difference: Difference,
  ): Promise<[GeneratedFunction, Difference]> {
    const { runner } = difference;
    const deadline = performance.now() + this.options.shrinkMilliseconds;
    let generated = original;
    let reason = difference;
    // Half of the time for each: fast-check's shrinker keeps what it makes well formed, the other one cuts deeper.
    const half = (performance.now() + deadline) / 2;
    while (performance.now() < half) {
      const smaller = generatedFunction.shrink(generated.value, generated.context);
      const found = await this.firstThatDiffers(smaller, (each) => each.value, runner, half);
      if (!found) break;
      generated = found.candidate;
      reason = found.difference;
    }
    let smallest = generated.value;
    while (performance.now() < deadline) {
      const found = await this.firstThatDiffers(smallerVariants(smallest), (each) => each, runner, deadline);
      if (!found) break;
      smallest = found.candidate;
      reason = found.difference;
    }
    return [smallest, reason];
  }

  report([smallest, { text }]: [GeneratedFunction, Difference], batchSeed: number): string {
    const signature = `(a: i32, b: i32, c: i64, d: i64, e: f32, g: f64): ${smallest.result}`;
    return `${text}\nseed ${batchSeed}, shrunk to ${signature} {\n${smallest.body}\n}`;
  }
}

/** Few enough that a step is quick, many enough that most steps find something smaller. */
const CANDIDATES = 10;
const MOST_CANDIDATES = 60;
/** A broken compiler differs everywhere: a few small reports help more than all. */
const MOST_FAILURES = 5;

/** Runs the whole suite. Same seed, same functions. */
export async function runSuite(options: SuiteOptions): Promise<SuiteSummary> {
  const failures: string[] = [];
  let functions = 0;
  let calls = 0;
  for (
    let batchSeed = options.seed;
    functions < options.functions && failures.length < MOST_FAILURES;
    batchSeed++
  ) {
    const tuples = fc.sample(call, { seed: batchSeed, numRuns: options.callsPerFunction });
    const suite = new Suite(options, tuples);
    const values = fc.sample(new Shrinkable(generatedFunction), {
      seed: batchSeed,
      numRuns: options.functionsPerModule,
    });
    const found = await suite.differences(
      values.map((each) => each.value),
      options.runners,
    );
    functions += values.length;
    calls += values.length * tuples.length;
    const seen = new Set<string>();
    for (const difference of found) {
      if (seen.has(difference.runner)) continue;
      seen.add(difference.runner);
      failures.push(suite.report(await suite.shrink(values[difference.index]!, difference), batchSeed));
    }
  }
  return { functions, calls, failures };
}
