/**
 * The proof of the toolchain: the same generated functions as WebAssembly in Node, and as our i386 code on our Pentium
 * machine, in a 32-bit Linux process on the host's processor, and on QEMU, give the same results bit for bit.
 *
 * DIFFERENTIAL_FUNCTIONS and DIFFERENTIAL_SEED make longer and other runs:
 *   DIFFERENTIAL_FUNCTIONS=5000 DIFFERENTIAL_SEED=17 npx vitest run toolchain/src/differential/differential.test.ts
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { compileModule } from "../back/compile.ts";
import { REPOSITORY } from "../build/system.ts";
import { compileImage } from "../front/compile.ts";
import { type Batch, linuxRunner, pentiumRunner, qemuRunner } from "./runners.ts";
import { runSuite } from "./suite.ts";

const FUNCTIONS = Number(process.env.DIFFERENTIAL_FUNCTIONS ?? 300);
const SEED = Number(process.env.DIFFERENTIAL_SEED ?? 1);
const MINUTE = 60_000;

const entry = "os/tests/differential/main.ts";
const ambient = readFileSync(join(REPOSITORY, "os/ambient.d.ts"), "utf8");

async function compile(source: string, resultSize: number): Promise<Batch> {
  const module = await compileImage({
    name: "differential",
    // All exported functions of a library stay, as the runners need.
    kind: "library",
    entries: [entry],
    readFile: (path) => (path === entry ? source : path === "os/ambient.d.ts" ? ambient : undefined),
  });
  return { module, object: compileModule(module), resultSize };
}

const runners = [pentiumRunner, linuxRunner, qemuRunner];
const available = runners.filter((runner) => !runner.unavailable);
const missing = runners.flatMap(({ name, unavailable }) => (unavailable ? [`${name}: ${unavailable}`] : []));
const skipped = missing.length > 0 ? ` (skipped: ${missing.join("; ")})` : "";

it(
  `${FUNCTIONS} generated functions give on ${available.map((runner) => runner.name).join(", ")} what wasm gives${skipped}`,
  async () => {
    const summary = await runSuite({
      functions: FUNCTIONS,
      functionsPerModule: Math.min(50, FUNCTIONS),
      callsPerFunction: 8,
      seed: SEED,
      shrinkMilliseconds: MINUTE,
      runners: available,
      compile,
    });
    expect(summary.failures.join("\n\n")).toBe("");
    expect(summary.functions).toBeGreaterThanOrEqual(FUNCTIONS);
  },
  FUNCTIONS * MINUTE,
);
