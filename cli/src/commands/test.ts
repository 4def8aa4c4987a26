/** `rialto test`: the guest's test suite, in processes and in the kernel. */
import type { Command } from "commander";

interface TestFlags {
  readonly in: string;
  readonly on: string;
  readonly board: string;
  readonly memory: string;
  readonly timeout: string;
}

const EXAMPLES = `
The suite is one program (os/tests/suite); it runs in a process, then in the kernel, on a fresh machine each time. The exit
status is 1 when a case failed, or a run did not reach its end.

All groups run when none is named; a name that is none gets the list of them.

Examples:
  rialto test
  rialto test --in kernel threads
  rialto test --on qemu
`;

export function register(program: Command): void {
  program
    .command("test [group]")
    .description("run the guest's test suite")
    .option("--in <place>", "process, kernel or both", "both")
    .option("--on <machine>", "rialto (ours) or qemu", "rialto")
    .option("--board <board>", "the board to run on: pentium", "pentium")
    .option("-m, --memory <size>", "size of RAM", "16M")
    .option("--timeout <seconds>", "end a run that takes longer", "600")
    .addHelpText("after", EXAMPLES)
    .action(async (group: string | undefined, flags: TestFlags) => {
      const { checkBoard, parseHost, parsePlaces, parseSeconds } = await import("../boot-flags.ts");
      const { parseMemorySize } = await import("../sizes.ts");
      const { checkGroup, runSuites } = await import("../suite-run.ts");
      checkBoard(flags.board);
      process.exitCode = await runSuites({
        group: group === undefined ? undefined : checkGroup(group),
        places: parsePlaces(flags.in),
        on: parseHost(flags.on),
        memory: parseMemorySize(flags.memory),
        limit: parseSeconds(flags.timeout)!,
      });
    });
}
