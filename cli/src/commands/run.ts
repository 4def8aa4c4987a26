/** `rialto run`: builds somebody's own program and runs it, in a process or in the kernel. */
import type { Command } from "commander";
import { JIT_FLAG, JIT_HELP, parseJit } from "../jit-flag.ts";
import {
  addObservationOptions,
  OBSERVATION_HELP,
  type ProfileFlags,
  parseObservation,
  type TraceFlags,
} from "../observation-flags.ts";

interface RunFlags extends TraceFlags, ProfileFlags {
  readonly in: string;
  readonly on: string;
  readonly memory: string;
  readonly jit?: string;
  readonly timeout?: string;
}

const EXAMPLES = `
FILE.ts is your own program, in any folder: it exports main(argc: i32, argv: usize): i32 and may import the system's
interfaces and libraries as "rialto/interfaces/…" and "rialto/lib/…". NAME is a program of the system. Standard input is
the console's; the exit status is the program's (126: it was ended by a fault; 127: it could not be started).
Options that rialto does not know go to the program; after -- all do.

Examples:
  rialto run greet.ts
  rialto run greet.ts --in kernel Ada Grace
  rialto run hello --on qemu
  rialto run --trace hello.jsonl hello
  rialto run --profile rpc.txt --profile rpc.svg callbench 500
${OBSERVATION_HELP}`;

export function register(program: Command): void {
  addObservationOptions(program.command("run <program> [arguments...]"))
    .usage("[options] FILE.ts|NAME [arguments...]")
    .description("build and run a program of your own, or run one of the system")
    .option("--in <place>", "process or kernel", "process")
    .option("--on <machine>", "rialto (ours) or qemu", "rialto")
    .option("-m, --memory <size>", "size of RAM", "16M")
    .option(JIT_FLAG, JIT_HELP)
    .option("--timeout <seconds>", "end the run after so many seconds, with status 124")
    .allowUnknownOption()
    .addHelpText("after", EXAMPLES)
    .action(async (word: string, words: string[], flags: RunFlags) => {
      const { parseHost, parsePlace, parseSeconds } = await import("../boot-flags.ts");
      const { findProgram, reportEnd, runGuest, runLine } = await import("../guest-run.ts");
      const { parseMemorySize } = await import("../sizes.ts");
      const on = parseHost(flags.on);
      const place = parsePlace(flags.in);
      const memory = parseMemorySize(flags.memory);
      const limit = parseSeconds(flags.timeout);
      const jit = parseJit(flags.jit);
      const observation = parseObservation(flags);
      runLine("program", place, words); // bad words are refused before anything is built
      const guest = await findProgram(word);
      const outcome = await runGuest({
        on,
        lines: [runLine(guest.name, place, words)],
        files: guest.files,
        memory,
        jit,
        input: "console",
        limit,
        observation: observation && { ...observation, programs: guest.images },
        show: "stdout",
      });
      reportEnd(outcome);
      process.exitCode = outcome.status;
    });
}
