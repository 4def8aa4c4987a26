/**
 * Speed of the machine itself: guest instructions in a second of the host's processor time, on an assembled loop, on compiled programs, and on
 * the whole system making calls. Runs are interleaved, and each figure is the median of several.
 */
import { createIntegerLoop } from "@rialto/machine/bench/integer-loop.ts";
import { UserError } from "../errors.ts";
import { runGuest } from "../guest-run.ts";
import { compileProgram, timeRun } from "./generated-code.ts";
import { BENCH_PROGRAMS } from "./programs.ts";
import { median, processorTime } from "./reports.ts";

export interface SpeedRow {
  readonly program: string;
  /** Of one run. */
  readonly instructions: number;
  /** Million instructions a second. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

interface Timed {
  readonly instructions: number;
  readonly milliseconds: number;
}

interface Subject {
  readonly program: string;
  run(): Timed | Promise<Timed>;
}

export const SPEED_RUNS = 5;
const WARM_CYCLES = 20e6;
const LOOP_CYCLES = 60e6;
/** A run of a compiled program has about this many instructions. */
const INSTRUCTIONS = 20e6;
const CALLS = 5000;

function integerLoop(): Subject {
  const loop = createIntegerLoop();
  loop.run(WARM_CYCLES);
  return {
    program: "CRC-32 in assembly",
    run: () => {
      const start = processorTime();
      return { instructions: loop.run(LOOP_CYCLES), milliseconds: processorTime() - start };
    },
  };
}

async function compiledPrograms(ambient: string): Promise<Subject[]> {
  const subjects: Subject[] = [];
  for (const program of BENCH_PROGRAMS) {
    const { link } = await compileProgram(program, ambient);
    const kernel = link(Math.ceil(INSTRUCTIONS / timeRun(link(1)).instructions));
    subjects.push({ program: program.name, run: () => timeRun(kernel) });
  }
  return subjects;
}

function wholeSystem(memory: number): Subject {
  return {
    program: `the system: boot and ${2 * CALLS} calls`,
    run: async () => {
      const lines = [`run callbench ${CALLS}`];
      const { status, statistics, processorMilliseconds, text } = await runGuest({
        on: "rialto",
        lines,
        memory,
        show: "nothing",
      });
      if (status !== 0) throw new UserError(`callbench ended with status ${status}:\n${text}`);
      return { instructions: statistics!.instructions, milliseconds: processorMilliseconds! };
    },
  };
}

export async function measureSpeed(ambient: string, memory: number): Promise<SpeedRow[]> {
  const subjects = [integerLoop(), ...(await compiledPrograms(ambient)), wholeSystem(memory)];
  const runs = subjects.map((): Timed[] => []);
  for (let round = 0; round < SPEED_RUNS; round++) {
    for (const [index, subject] of subjects.entries()) runs[index]!.push(await subject.run());
  }
  return subjects.map(({ program }, index) => {
    const speeds = runs[index]!.map(({ instructions, milliseconds }) => instructions / milliseconds / 1000);
    return {
      program,
      instructions: runs[index]![0]!.instructions,
      median: median(speeds),
      least: Math.min(...speeds),
      most: Math.max(...speeds),
    };
  });
}
