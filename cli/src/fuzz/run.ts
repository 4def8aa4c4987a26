/**
 * `npm run fuzz:inputs [-- --seconds N --seed N --only TEXT]`: fuzzes every subject for so long, each in a process of its own, so that one
 * that hangs is ended. Inputs that found something are written to .rialto/fuzz; exits with 1 then.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { performance } from "node:perf_hooks";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { fuzz } from "./fuzzer.ts";
import { buildFuzzedSystem, fuzzSubjects } from "./subjects.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    only: { type: "string", default: "" },
    subject: { type: "string" },
    help: { type: "boolean", short: "h", default: false },
  },
});
const PATIENCE_SECONDS = 120;
const seconds = Number(values.seconds);
const folder = join(REPOSITORY, ".rialto/fuzz");
const fileOf = (name: string, what: string) => join(folder, `${name.replaceAll(" ", "-")}-${what}`);

async function fuzzOne(name: string): Promise<void> {
  const subject = fuzzSubjects(await buildFuzzedSystem()).get(name)?.();
  if (!subject) throw new Error(`nothing to fuzz is called '${name}'`);
  const end = performance.now() + seconds * 1000;
  const report = fuzz(subject, {
    seed: Number(values.seed),
    enough: () => performance.now() > end,
    onInput: (input) => writeFileSync(fileOf(subject.name, "now"), input),
  });
  const { inputs, accepted, refused, corpus, reached, findings } = report;
  process.stdout.write(
    `${subject.name}: ${inputs} inputs, ${accepted} taken, ${refused} refused, ${corpus} kept, ${reached} characters of source reached, ${findings.length} findings\n`,
  );
  findings.forEach(({ what, input }, number) => {
    const file = fileOf(subject.name, `finding-${number}`);
    writeFileSync(file, input);
    process.stdout.write(`${file}: ${what}\n`);
  });
  if (findings.length > 0) process.exitCode = 1;
}

async function fuzzAll(): Promise<void> {
  mkdirSync(folder, { recursive: true });
  for (const name of fuzzSubjects(await buildFuzzedSystem()).keys()) {
    if (!name.includes(values.only)) continue;
    const argumentsOfOne = ["--seconds", values.seconds, "--seed", values.seed, "--subject", name];
    const { status, error } = spawnSync(
      process.execPath,
      [...process.execArgv, fileURLToPath(import.meta.url), ...argumentsOfOne],
      { stdio: "inherit", timeout: (seconds + PATIENCE_SECONDS) * 1000 },
    );
    if (status === 0) continue;
    process.exitCode = 1;
    const now = fileOf(name, "now");
    if (error && existsSync(now)) process.stdout.write(`${name}: ${error.message}; the input: ${now}\n`);
  }
}

const HELP = `Usage: npm run fuzz:inputs -- [options]

changes kernels, snapshots, recordings and other inputs of the machine and its tools, guided by the coverage of what reads them

Options:
  --seconds <count>  how long for each kind of input (default: 60)
  --seed <number>    where the changes begin (default: 1)
  --only <text>      kinds whose name has this in it
  -h, --help         show help`;

if (values.help) {
  process.stdout.write(`${HELP}\n`);
  process.exit();
}
await (values.subject === undefined ? fuzzAll() : fuzzOne(values.subject));
