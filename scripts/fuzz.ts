/**
 * Random calls on every interface (os/tests/fuzzcalls), in numbers: `npm run fuzz -- [--calls N] [--seeds A,B,…] [--on rialto,qemu]`. The calls are
 * shared out among the seeds and the two places of the suite; each machine makes them all. Exits with 1 when something went wrong.
 */

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    calls: { type: "string", default: "100000" },
    seeds: { type: "string", default: "1,1000000" },
    on: { type: "string", default: "rialto" },
  },
});

/** The case runs twice, and makes new calls each time. */
const RUNS = 2;
const PLACES = ["run suite", "run -k suite"];
const NUMBER = /^[1-9]\d{0,8}$/;

const seeds = values.seeds.split(",");
const machines = values.on.split(",");
if (![values.calls, ...seeds].every((text) => NUMBER.test(text)))
  throw new Error(`--calls ${values.calls} --seeds ${values.seeds}: both take numbers from 1 to 999999999`);
if (!machines.every((machine) => machine === "rialto" || machine === "qemu"))
  throw new Error(`--on ${values.on}: rialto, qemu or rialto,qemu`);

const each = Math.ceil(Number(values.calls) / (RUNS * PLACES.length * seeds.length));
const rialto = fileURLToPath(new URL("../cli/bin/rialto.mjs", import.meta.url));
for (const machine of machines) {
  for (const seed of seeds) {
    for (const place of PLACES) {
      const line = `${place} fuzz ${each} ${seed}`;
      const { status } = spawnSync(process.execPath, [rialto, "boot", "--on", machine, "--exec", line], {
        stdio: ["ignore", "inherit", "inherit"],
      });
      if (status === 0) continue;
      process.stdout.write(`on ${machine}, '${line}' failed\n`);
      process.exitCode = 1;
    }
  }
}
