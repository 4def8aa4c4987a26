/**
 * Random calls on every interface (os/tests/fuzzcalls), in numbers: `npm run fuzz -- --help`. The calls are shared out among the seeds and the two
 * places of the suite; each machine makes them all.
 */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";

/** The case runs twice, and makes new calls each time. */
const RUNS = 2;
const PLACES = ["run suite", "run -k suite"];
const MACHINES = ["rialto", "qemu"];

function number(text: string): string {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError("It takes numbers from 1 to 999999999.");
  return text;
}

function machineNames(text: string): string[] {
  const names = text.split(",");
  if (!names.every((name) => MACHINES.includes(name)))
    throw new InvalidArgumentError("It takes rialto, qemu or rialto,qemu.");
  return names;
}

const program = new Command("npm run fuzz --")
  .description("random calls on every interface; exit status 1 when something went wrong")
  .option("--calls <count>", "calls in all, on each machine", number, "100000")
  .option("--seeds <list>", "numbers, by commas", (text) => text.split(",").map(number), ["1", "1000000"])
  .option("--on <machines>", "rialto, qemu or rialto,qemu", machineNames, ["rialto"])
  .option(
    "--set <key=value>",
    "set a boot option (repeatable)",
    (text, before: string[]) => [...before, text],
    [],
  )
  .parse();
const values = program.opts<{ calls: string; seeds: string[]; on: string[]; set: string[] }>();
const { seeds, on: machines } = values;
const options = values.set.flatMap((option) => ["--set", option]);

const each = Math.ceil(Number(values.calls) / (RUNS * PLACES.length * seeds.length));
const rialto = fileURLToPath(new URL("../cli/bin/rialto.mjs", import.meta.url));
for (const machine of machines) {
  for (const seed of seeds) {
    for (const place of PLACES) {
      const line = `${place} fuzz ${each} ${seed}`;
      const { status } = spawnSync(
        process.execPath,
        [rialto, "boot", "--on", machine, ...options, "--exec", line],
        {
          stdio: ["ignore", "inherit", "inherit"],
        },
      );
      if (status === 0) continue;
      process.stdout.write(`on ${machine}, '${line}' failed\n`);
      process.exitCode = 1;
    }
  }
}
