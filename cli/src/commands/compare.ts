/** `rialto compare`: one program in a process and in the kernel, its costs side by side. */
import type { Command } from "commander";

interface CompareFlags {
  readonly memory: string;
  readonly cycleModel: string;
  readonly json?: boolean;
}

const EXAMPLES = `
The program runs twice, each time on a freshly booted machine of ours; counts are of everything between the start of the shell's
run line and its end, so loading and ending the program are part of them, and so is what servers do for it. The exit status is that
of the first run that failed.

Examples:
  rialto compare callbench
  rialto compare mine.ts 100 --json
`;

export function register(program: Command): void {
  program
    .command("compare <program> [arguments...]")
    .usage("[options] FILE.ts|NAME [arguments...]")
    .description("run a program in a process and in the kernel and compare the costs")
    .option("-m, --memory <size>", "size of RAM", "16M")
    .option(
      "--cycle-model <name>",
      "fast; detailed (adds caches and pairing, and is slower); instructions",
      "fast",
    )
    .option("--json", "print one JSON object")
    .allowUnknownOption()
    .addHelpText("after", EXAMPLES)
    .action(async (word: string, words: string[], flags: CompareFlags) => {
      const { cycleModels } = await import("@rialto/machine/i386/cycles.ts");
      const { parseMemorySize } = await import("../sizes.ts");
      const { findProgram, reportEnd, runLine } = await import("../guest-run.ts");
      const { comparedRows, formatTable, measure } = await import("../compare-run.ts");
      const { parseCycleModel } = await import("../cycle-model-flag.ts");
      const memory = parseMemorySize(flags.memory);
      const cycleModel = parseCycleModel(flags.cycleModel);
      runLine("program", "process", words); // bad words are refused before anything is built
      const guest = await findProgram(word);
      const user = await measure(guest, "process", words, memory, cycleModel);
      const kernel = await measure(guest, "kernel", words, memory, cycleModel);
      const both = [user, kernel];
      const sameText = user.outcome.text === kernel.outcome.text;
      for (const { outcome } of both) reportEnd(outcome);
      process.exitCode = both.map(({ outcome }) => outcome.status).find((status) => status !== 0) ?? 0;

      if (flags.json) {
        const describe = ({ outcome, counts, pages, calls }: (typeof both)[number]) => ({
          status: outcome.status,
          output: outcome.text,
          ...counts,
          pages,
          calls,
        });
        const { model, frequency } = kernel.outcome.statistics!;
        const result = {
          program: guest.name,
          arguments: words,
          model,
          frequency,
          memory,
          sameOutput: sameText,
          process: describe(user),
          kernel: describe(kernel),
        };
        process.stdout.write(`${JSON.stringify(result, null, 2)}\n`);
        return;
      }
      if (sameText) process.stdout.write(user.outcome.text);
      else {
        for (const { place, outcome } of both) process.stdout.write(`in the ${place}:\n${outcome.text}`);
        process.stdout.write("The two runs printed different text.\n");
      }
      if (!user.counts || !kernel.counts) {
        process.stderr.write("rialto: a run did not come to its end, so there is nothing to compare\n");
        process.exitCode ||= 1;
        return;
      }
      const { model, frequency } = kernel.outcome.statistics!;
      process.stdout.write(`\n${formatTable(comparedRows(user, kernel))}`);
      process.stdout.write(
        `\nCycle model '${model}' at ${frequency / 1e6} MHz: ${cycleModels[cycleModel].description}. Loading and ending the program count.\n`,
      );
    });
}
