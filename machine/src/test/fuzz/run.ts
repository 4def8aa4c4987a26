/**
 * `npm run fuzz:instructions [-- --seconds N --seed N]`: changed instruction bytes and start states on our machine, interpreted and compiled,
 * against the host's processor, for so long; works in a process of its own, which is ended when it hangs. Findings are printed and
 * written to .rialto/fuzz; exits with 1 then. `--system`: descriptors and what uses them, against Bochs. `-- --replay FILE` compares an input from there again.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { isAvailable } from "../run-kernel.ts";
import { canCompareWithHost } from "./compare-batch.ts";
import { type FuzzInput, inputFromJson, inputToJson } from "./fuzz-input.ts";
import {
  compareOne,
  describeFinding,
  fuzzInstructions,
  type InstructionFinding,
} from "./instruction-fuzzer.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    system: { type: "boolean", default: false },
    replay: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
    /** This is the process that does it. */
    worker: { type: "boolean", default: false },
  },
});
const PATIENCE_SECONDS = 60;
const folder = fileURLToPath(new URL("../../../../.rialto/fuzz", import.meta.url));
const now = join(folder, "instructions-now.json");

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

function report(findings: readonly InstructionFinding[]): void {
  findings.forEach((finding, number) => {
    const file = join(folder, `instructions-finding-${number}.json`);
    writeFileSync(file, inputToJson(finding.input));
    print(`${describeFinding(finding)}\n  ${file}`);
  });
  if (findings.length > 0) process.exitCode = 1;
}

function oracleOf(system: boolean): string {
  if (system ? isAvailable("bochs") : canCompareWithHost())
    return `${system ? "Bochs" : "the host's processor"} and compiled code`;
  return `compiled code alone (${system ? "Bochs is not installed" : "this host runs no 32-bit programs"})`;
}

function work(seed: number, seconds: number): void {
  const end = performance.now() + seconds * 1000;
  const { inputs, compared, refused, kept, features, findings } = fuzzInstructions({
    seed,
    system: values.system,
    enough: () => performance.now() > end,
    onInput: (input: FuzzInput) => writeFileSync(now, inputToJson(input)),
  });
  const oracle = oracleOf(values.system);
  print(
    `seed ${seed}: ${inputs} inputs, ${compared} compared with ${oracle}, ${kept} kept for ${features} features, ${findings.length} findings`,
  );
  for (const [reason, count] of [...refused].sort((a, b) => b[1] - a[1]))
    print(`  not compared: ${count} ${reason}`);
  report(findings);
}

function supervise(): void {
  mkdirSync(folder, { recursive: true });
  const again = [...process.execArgv, fileURLToPath(import.meta.url), ...process.argv.slice(2), "--worker"];
  const timeout = (Number(values.seconds) + PATIENCE_SECONDS) * 1000;
  const { status, signal } = spawnSync(process.execPath, again, { stdio: "inherit", timeout });
  process.exitCode = status ?? 1;
  if (signal !== null || status !== 0)
    print(`ended by ${signal ?? `status ${status}`}; the last input: ${now}`);
}

const HELP = `Usage: npm run fuzz:instructions -- [options]

changes instruction bytes and start states, and compares our machine with the host's processor and with compiled code

Options:
  --seconds <count>  how long (default: 60)
  --seed <number>    where the changes begin (default: 1)
  --system           descriptors, gates and what uses them, against Bochs
  --replay <file>    compares an input of .rialto/fuzz again
  -h, --help         show help`;

if (values.help) {
  print(HELP);
  process.exit();
}
if (![values.seconds, values.seed].every((text) => /^[1-9]\d{0,8}$/.test(text)))
  throw new Error(`--seconds ${values.seconds} --seed ${values.seed}: both take numbers from 1 to 999999999`);
if (values.replay !== undefined) {
  const findings = compareOne(inputFromJson(readFileSync(values.replay, "utf8")));
  if (findings.length === 0) print("no difference");
  for (const finding of findings) print(describeFinding(finding));
} else if (values.worker) work(Number(values.seed), Number(values.seconds));
else supervise();
