/**
 * Coverage-guided fuzzing of the processor: changed code bytes and start states run on our machine, interpreted and compiled, and on the
 * host's processor; whatever differs is made small and reported. Inputs that show a new feature (features.ts) are kept and changed
 * further. The same seed and number of batches make the same inputs.
 */
import type { InstructionCase } from "../instructions/case.ts";
import { generateFloatingPointCases } from "../instructions/floating-point-cases.ts";
import { generateCases } from "../instructions/generate.ts";
import { RESULT_SIZE } from "../instructions/layout.ts";
import { Random } from "../instructions/random.ts";
import { isAvailable } from "../run-kernel.ts";
import { CaseMachine, type CaseOutcome } from "./case-machine.ts";
import {
  type BatchDifference,
  differencesFromBochs,
  differencesFromHost,
  differencesWhenCompiled,
} from "./compare-batch.ts";
import { Features } from "./features.ts";
import { type FuzzInput, inputOf, listing } from "./fuzz-input.ts";
import { boundaries, mutateInput } from "./mutate-input.ts";
import { systemInput } from "./system-inputs.ts";

/** Cases that are compared together. */
export const BATCH = 256;
const MOST_FINDINGS = 20;
const MOST_BYTES = 512 * 2 ** 20;
const RECENT = 64;

export interface InstructionFinding {
  readonly input: FuzzInput;
  /** From whom ours differs: "host", "compiled", or what went wrong otherwise. */
  readonly against: string;
  readonly found: readonly string[];
}

export interface InstructionFuzzReport {
  readonly inputs: number;
  readonly compared: number;
  readonly refused: ReadonlyMap<string, number>;
  readonly kept: number;
  readonly features: number;
  readonly findings: readonly InstructionFinding[];
}

export interface InstructionFuzzOptions {
  readonly seed: number;
  /** Asked before each batch. */
  readonly enough: (batches: number) => boolean;
  /** Whether inputs are about segments (system-inputs.ts), and compared with Bochs. Default false. */
  readonly system?: boolean;
  /** By whom ours is compared with. Default: the host's processor or Bochs, compiled code. */
  readonly checks?: Readonly<Record<string, Check>>;
  /** Told of each input before it runs. */
  readonly onInput?: (input: FuzzInput) => void;
}

export interface Compared {
  readonly input: FuzzInput;
  readonly test: InstructionCase;
  readonly result: Uint8Array;
}

/** Finds the differences of a batch, of every case or of the whole. */
export type Check = (batch: readonly Compared[]) => BatchDifference[];

const CHECKS: Readonly<Record<string, Check>> = {
  host: (batch) => {
    const ours = new Uint8Array(batch.length * RESULT_SIZE);
    batch.forEach(({ result }, i) => {
      ours.set(result, i * RESULT_SIZE);
    });
    return differencesFromHost(
      batch.map(({ test }) => test),
      ours,
    );
  },
  compiled: (batch) => differencesWhenCompiled(batch.map(({ test }) => test)),
};

/** Of segments: Bochs checks all that the manual says; the host's processor has its own system in its descriptor table. */
const SYSTEM_CHECKS: Readonly<Record<string, Check>> = {
  bochs: (batch) => (isAvailable("bochs") ? differencesFromBochs(batch.map(({ test }) => test)) : []),
  compiled: (batch) => differencesWhenCompiled(batch.map(({ test }) => test)),
};

const checksOf = (system: boolean) => (system ? SYSTEM_CHECKS : CHECKS);

/** A sample of the generated cases. */
function seeds(random: Random): FuzzInput[] {
  const seed = random.below(1000);
  const integer = generateCases(() => random.chance(1, 2), seed).map((test, index) =>
    inputOf(test, index, false),
  );
  const x87 = generateFloatingPointCases(seed).map((test, index) => inputOf(test, index, true));
  return [...integer, ...x87.filter(() => random.chance(1, 3))];
}

/** Smaller variants of an input, larger changes first. */
function* smaller(input: FuzzInput): Generator<FuzzInput> {
  const starts = boundaries(input.code);
  for (let i = starts.length - 2; i >= 0; i--) {
    const code = Uint8Array.from([
      ...input.code.subarray(0, starts[i]),
      ...input.code.subarray(starts[i + 1]),
    ]);
    yield { ...input, code };
  }
  if (input.memory.some((byte) => byte !== 0))
    yield { ...input, memory: new Uint8Array(input.memory.length) };
  for (let at = 0; at < input.memory.length; at += 64) {
    if (input.memory.subarray(at, at + 64).every((byte) => byte === 0)) continue;
    const memory = input.memory.slice();
    memory.fill(0, at, at + 64);
    yield { ...input, memory };
  }
  for (let register = 0; register < 8; register++) {
    if (input.registers[register] === 0) continue;
    const registers = input.registers.slice();
    registers[register] = 0;
    yield { ...input, registers };
  }
  for (let at = 0; at < (input.descriptors?.length ?? 0); at += 8) {
    if (input.descriptors?.subarray(at, at + 8).every((byte) => byte === 0)) continue;
    const descriptors = input.descriptors?.slice();
    descriptors?.fill(0, at, at + 8);
    yield { ...input, descriptors };
  }
  if (input.eflags !== 0x202) yield { ...input, eflags: 0x202 };
}

class InstructionFuzzer {
  #machine: CaseMachine;
  readonly #system: boolean;
  readonly #features = new Features();
  readonly #checks: Readonly<Record<string, Check>>;
  readonly #random: Random;
  readonly #seeds: FuzzInput[];
  readonly #corpus: { readonly integer: FuzzInput[]; readonly x87: FuzzInput[] } = { integer: [], x87: [] };
  readonly #findings: InstructionFinding[] = [];
  readonly #kinds = new Set<string>();
  readonly #refused = new Map<string, number>();
  readonly #onInput: ((input: FuzzInput) => void) | undefined;
  #inputs = 0;
  #compared = 0;

  constructor({ seed, onInput, system = false, checks = checksOf(system) }: InstructionFuzzOptions) {
    this.#system = system;
    this.#machine = new CaseMachine(BATCH, system);
    this.#checks = checks;
    this.#random = new Random(seed);
    this.#seeds = system ? [] : seeds(this.#random);
    this.#onInput = onInput;
  }

  get report(): InstructionFuzzReport {
    return {
      inputs: this.#inputs,
      compared: this.#compared,
      refused: this.#refused,
      kept: this.#corpus.integer.length + this.#corpus.x87.length,
      features: this.#features.count,
      findings: this.#findings,
    };
  }

  /** A seed as it is, or a change of what was kept; what was kept last leads further more often. */
  #next(): FuzzInput {
    const random = this.#random;
    if (this.#system && (this.#corpus.integer.length === 0 || random.chance(1, 2)))
      return systemInput(random);
    const corpus = this.#system
      ? this.#corpus.integer
      : random.chance(1, 4)
        ? this.#corpus.x87
        : this.#corpus.integer;
    if (corpus.length === 0 || (this.#seeds.length > 0 && random.chance(1, 3))) {
      const seed = this.#seeds.splice(random.below(this.#seeds.length), 1)[0];
      if (seed) return seed;
    }
    const known = random.pick(random.chance(1, 2) ? corpus.slice(-RECENT) : corpus);
    return mutateInput(known, random, random.pick(corpus));
  }

  #refuse(reason: string): void {
    this.#refused.set(reason, (this.#refused.get(reason) ?? 0) + 1);
  }

  #find(input: FuzzInput, against: string, found: readonly string[]): void {
    if (this.#findings.length < MOST_FINDINGS) this.#findings.push({ input, against, found });
  }

  /** An error of the host program's is a finding, and the machine is made anew. */
  #runOrFind(input: FuzzInput, index: number): CaseOutcome | undefined {
    try {
      return this.#machine.run(input, index, this.#features);
    } catch (error) {
      const found = error instanceof Error ? (error.stack ?? error.message) : String(error);
      this.#find(input, "no error", [found]);
      this.#machine = new CaseMachine(BATCH, this.#system);
      return undefined;
    }
  }

  /** Vets inputs until a batch is full. */
  #gather(): Compared[] {
    const batch: Compared[] = [];
    while (batch.length < BATCH) {
      const input = this.#next();
      this.#onInput?.(input);
      this.#inputs++;
      this.#features.begin();
      const outcome = this.#runOrFind(input, batch.length);
      if (!outcome) continue;
      if (outcome.refused !== undefined) {
        this.#refuse(outcome.refused);
        continue;
      }
      batch.push({ input, test: outcome.test, result: outcome.result });
      if (this.#features.keep() > 0) this.#corpus[input.x87 ? "x87" : "integer"].push(input);
    }
    this.#compared += batch.length;
    return batch;
  }

  /** What a check finds of an input alone. */
  #alone(input: FuzzInput, check: Check): readonly string[] {
    const outcome = this.#machine.run(input, 0);
    if (outcome.refused !== undefined) return [];
    return check([{ input, ...outcome }])[0]?.found ?? [];
  }

  #minimise(input: FuzzInput, check: Check): { input: FuzzInput; found: readonly string[] } | undefined {
    let found = this.#alone(input, check);
    if (found.length === 0) return undefined;
    let small = input;
    for (let shrunk = true; shrunk; ) {
      shrunk = false;
      for (const candidate of smaller(small)) {
        const remaining = this.#alone(candidate, check);
        if (remaining.length === 0) continue;
        [small, found, shrunk] = [candidate, remaining, true];
        break;
      }
    }
    return { input: small, found };
  }

  #examine(batch: readonly Compared[], against: string, check: Check): void {
    for (const { index, found } of check(batch)) {
      if (this.#findings.length >= MOST_FINDINGS) return;
      const culprits = index >= 0 ? [batch[index]!] : this.#split(batch, check);
      for (const { input, test } of culprits) {
        // One of a kind is enough.
        const kind = `${against} ${test.row.number} ${found.map((difference) => difference.split(" ")[0]).join()}`;
        if (this.#kinds.has(kind)) continue;
        this.#kinds.add(kind);
        const small = this.#minimise(input, check);
        this.#find(
          small?.input ?? input,
          against,
          small?.found ?? [...found, "only together with the cases before it"],
        );
      }
    }
  }

  /** The half that shows a difference of the whole, again and again; the last of those that only together do. */
  #split(batch: readonly Compared[], check: Check): readonly Compared[] {
    let rest = batch;
    while (rest.length > 1) {
      const half = rest.length >> 1;
      const shown = [rest.slice(0, half), rest.slice(half)].find((part) => this.#differs(part, check));
      if (!shown) break;
      rest = shown;
    }
    return rest.slice(-1);
  }

  /** Cases move to other slots. */
  #differs(part: readonly Compared[], check: Check): boolean {
    const moved = part.map(({ input }, index) => ({ input, outcome: this.#machine.run(input, index) }));
    const cases = moved.flatMap(({ input, outcome }) =>
      outcome.refused === undefined ? [{ input, ...outcome }] : [],
    );
    return cases.length === part.length && check(cases).length > 0;
  }

  batch(): void {
    const memory = process.memoryUsage().arrayBuffers;
    const batch = this.#gather();
    for (const [against, check] of Object.entries(this.#checks)) this.#examine(batch, against, check);
    const grown = process.memoryUsage().arrayBuffers - memory;
    if (grown > MOST_BYTES)
      this.#find(batch[0]!.input, "memory", [`a batch took ${(grown / 2 ** 20) | 0} MB`]);
  }
}

export function fuzzInstructions(options: InstructionFuzzOptions): InstructionFuzzReport {
  const fuzzer = new InstructionFuzzer(options);
  for (let batches = 0; !options.enough(batches); batches++) fuzzer.batch();
  return fuzzer.report;
}

/** What the checks find of one input; of one that cannot be compared, that. */
export function compareOne(input: FuzzInput): InstructionFinding[] {
  const system = input.descriptors !== undefined;
  const outcome = new CaseMachine(1, system).run(input, 0);
  if (outcome.refused !== undefined)
    return [{ input, against: "nothing", found: [`not comparable: ${outcome.refused}`] }];
  return Object.entries(checksOf(system)).flatMap(([against, check]) =>
    check([{ input, ...outcome }]).map(({ found }) => ({ input, against, found })),
  );
}

/** A finding as text: what differs, code, state. */
export function describeFinding({ input, against, found }: InstructionFinding): string {
  const hex = (value: number) => (value >>> 0).toString(16).padStart(8, "0");
  const names = ["eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi"];
  const registers = names.map((name, i) => `${name} ${hex(input.registers[i]!)}`).join(" ");
  return [
    `ours ≠ ${against}: ${found.slice(0, 8).join("; ")}`,
    ...listing(input).map((line) => `  ${line}`),
    ...(input.descriptors
      ? [`  descriptors ${Buffer.from(input.descriptors).toString("hex").match(/.{16}/g)?.join(" ")}`]
      : []),
    `  ${registers} eflags ${hex(input.eflags)}${input.x87 ? ", x87 loaded from window A" : ""}`,
  ].join("\n");
}
