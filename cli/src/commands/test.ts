/** `rialto test`: the guest's test suite, in processes and in the kernel. */
import type { Command } from "commander";
import { UsageError } from "../errors.ts";
import { JIT_FLAG, JIT_HELP, parseJit } from "../jit-flag.ts";
import {
  addObservationOptions,
  OBSERVATION_HELP,
  type ProfileFlags,
  parseObservation,
  type TraceFlags,
} from "../observation-flags.ts";

interface TestFlags extends TraceFlags, ProfileFlags {
  readonly coverage?: string;
  readonly in: string;
  readonly on: string;
  readonly board: string;
  readonly memory: string;
  readonly jit?: string;
  readonly set: readonly string[];
  readonly timeout: string;
}

const EXAMPLES = `
The suite is one program (os/tests/suite); it runs in a process, then in the kernel, on a fresh machine each time. The exit
status is 1 when a case failed, or a run did not reach its end.

All groups run when none is named; a name that is none gets the list of them. Names of cases after the group ("all" is one) have only those run.

Examples:
  rialto test
  rialto test --in kernel threads
  rialto test all idle-stacks deep-recursion
  rialto test --on qemu
  rialto test --set vtlb=10
  rialto test --set traps=taskgate
  rialto test --coverage guest.lcov
  rialto test --in kernel calls --profile calls.txt
${OBSERVATION_HELP}
--coverage writes which source lines of kernel, libraries, drivers, services and programs ran, in all runs together, as lcov's tracefile, and
prints a table by folder and file. Only lines of which the compiler made code count.
`;

export function register(program: Command): void {
  addObservationOptions(program.command("test [group] [cases...]"))
    .description("run the guest's test suite")
    .option("--in <place>", "process, kernel or both", "both")
    .option("--on <machine>", "rialto (ours) or qemu", "rialto")
    .option("--board <board>", "the board to run on: pentium", "pentium")
    .option("-m, --memory <size>", "size of RAM", "16M")
    .option(JIT_FLAG, JIT_HELP)
    .option(
      "--set <key=value>",
      "set a boot option (repeatable)",
      (value, before: string[]) => [...before, value],
      [],
    )
    .option("--timeout <seconds>", "end a run that takes longer", "600")
    .option("--coverage <file>", "write which source lines ran, as lcov")
    .addHelpText("after", EXAMPLES)
    .action(async (group: string | undefined, cases: string[], flags: TestFlags) => {
      const { bootOptions, checkBoard, parseHost, parsePlaces, parseSeconds } = await import(
        "../boot-flags.ts"
      );
      const { parseMemorySize } = await import("../sizes.ts");
      const { checkGroup, runSuites } = await import("../suite-run.ts");
      checkBoard(flags.board);
      const places = parsePlaces(flags.in);
      const observation = parseObservation(flags);
      if (observation && places.length > 1) {
        throw new UsageError("--trace and --profile are of one run: say --in process or --in kernel");
      }
      if (flags.coverage !== undefined && observation?.profile?.kind === "exact") {
        throw new UsageError("--coverage and an exact profile both watch instructions: take one of them");
      }
      const { openCoverageFile } = await import("../coverage-file.ts");
      const covered = flags.coverage === undefined ? undefined : openCoverageFile(flags.coverage);
      process.exitCode = await runSuites({
        group: group === undefined ? undefined : checkGroup(group),
        cases,
        places,
        on: parseHost(flags.on),
        memory: parseMemorySize(flags.memory),
        options: bootOptions([], flags.set),
        jit: parseJit(flags.jit),
        limit: parseSeconds(flags.timeout)!,
        observation: covered ? { ...observation, coverage: covered.coverage } : observation,
      });
      if (covered) process.stdout.write(`\n${await covered.close()}`);
    });
}
