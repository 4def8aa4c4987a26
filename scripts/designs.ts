/** The guest's suite under every kernel that boot options make: `npm run designs -- --help`. Ends with a table of cases passed. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Argument, Command, Option } from "commander";

const KERNELS = [
  "traps=ring1",
  "traps=taskgate",
  "traps=ring0",
  "traps=ring0,stacks=dedicated",
  "traps=taskgate,stacks=untrimmed",
  "stacks=untrimmed",
  "stacks=fixed",
  "stacks=dedicated",
  "vtlb=10",
  "debug=on",
  "traps=taskgate,debug=on",
  "stacks=untrimmed,debug=on",
];
/** Seconds that a run at one place may take. */
const LIMIT = "1200";
/** What `rialto test` sums up with, a line a place; then the names of cases that failed. */
const SUM = /^in (?:a process|the kernel), on .+?: (\d+) passed, (\d+) failed(.*)\n((?: {2}FAILED .+\n)*)/gm;

const program = new Command("npm run designs --")
  .description(
    "the guest's suite under every kernel that boot options make; exit status 1 unless all cases passed",
  )
  .addArgument(new Argument("[kernels...]", "OPTION=VALUE[,OPTION=VALUE]…").default(KERNELS, "all there are"))
  .addOption(new Option("--on <machine>", "what they run on").choices(["rialto", "qemu"]).default("qemu"))
  .option("-m, --memory <size>", "size of RAM", "16M")
  .parse();
const values = program.opts<{ on: string; memory: string }>();
const rialto = fileURLToPath(new URL("../cli/bin/rialto.mjs", import.meta.url));
const [kernels] = program.processedArgs as [string[]];
const width = Math.max(...kernels.map((kernel) => kernel.length));

/** Runs the suite in a process and in the kernel: a row of the table, and what went wrong. */
function row(kernel: string): string {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [
      ...[rialto, "test", "--in", "both", "--on", values.on, "--memory", values.memory, "--timeout", LIMIT],
      ...kernel.split(",").flatMap((option) => ["--set", option]),
    ],
    { encoding: "utf8", maxBuffer: 2 ** 28 },
  );
  const sums = [...stdout.matchAll(SUM)];
  const cells = sums.map(([, passed, failed]) =>
    `${passed} of ${Number(passed) + Number(failed)}`.padStart(15),
  );
  if (status === 0) return `${kernel.padEnd(width)}${cells.join("")}`;
  process.exitCode = 1;
  const wrong = sums.map(([, , , ending, names]) => `${ending ? `  ${ending.slice(2)}\n` : ""}${names}`);
  const last = `${stdout}${stderr}`.trimEnd().split("\n").slice(-20).join("\n");
  process.stdout.write(`${last}\n\n`);
  return `${kernel.padEnd(width)}${cells.join("")}  status ${status}\n${wrong.join("")}`.trimEnd();
}

const rows = kernels.map((kernel) => {
  const text = row(kernel);
  process.stdout.write(`${text}\n`);
  return text;
});
process.stdout.write(
  `\nThe guest's suite, on ${values.on} with ${values.memory}\n${"".padEnd(width)}${"in a process".padStart(15)}${"in the kernel".padStart(15)}\n${rows.join("\n")}\n`,
);
