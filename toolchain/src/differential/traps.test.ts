/** What traps in WebAssembly ends the run on every machine too, after what came before it has happened. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { compileModule } from "../back/compile.ts";
import { REPOSITORY } from "../build/system.ts";
import { compileImage } from "../front/compile.ts";
import { type Batch, linuxRunner, pentiumRunner, qemuRunner, wasmRunner } from "./runners.ts";

const entry = "os/tests/differential/main.ts";
const ambient = readFileSync(join(REPOSITORY, "os/ambient.d.ts"), "utf8");

const compiled = new Map<string, Promise<Batch>>();

function batchOf(statement: string): Promise<Batch> {
  const batch = compiled.get(statement) ?? compile(statement);
  compiled.set(statement, batch);
  return batch;
}

async function compile(statement: string): Promise<Batch> {
  const source = `
const table: usize = memory.data(16, 8);
export function results(): usize { return table; }
export function resultWord(index: u32): u64 { return load<u64>(table + 8 * index); }
export function runAll(): void {
  const zero = load<i32>(table);
  ${statement}
}`;
  const readFile = (path: string) =>
    path === entry ? source : path === "os/ambient.d.ts" ? ambient : undefined;
  const module = await compileImage({ name: "traps", kind: "library", entries: [entry], readFile });
  return { module, object: compileModule(module), resultSize: 16 };
}

const cases: ReadonlyArray<readonly [what: string, statement: string]> = [
  ["signed division by zero", "store<i32>(table, (zero + 7) / zero);"],
  ["unsigned remainder by zero", "store<u32>(table, <u32>(zero + 7) % <u32>zero);"],
  ["division of the most negative value by -1", "store<i32>(table, (zero + i32.MIN_VALUE) / (zero - 1));"],
  ["64-bit division by zero", "store<i64>(table, (<i64>zero + 7) / <i64>zero);"],
  [
    "64-bit division of the most negative value by -1",
    "store<i64>(table, (<i64>zero + i64.MIN_VALUE) / (<i64>zero - 1));",
  ],
  ["unreachable", "if (zero == 0) unreachable(); store<i32>(table, 1);"],
];

const runners = [wasmRunner, pentiumRunner, linuxRunner, qemuRunner];

describe.each(
  runners.map(
    (runner) => [`${runner.name}${runner.unavailable ? ` (${runner.unavailable})` : ""}`, runner] as const,
  ),
)("%s", (_, runner) => {
  it.skipIf(runner.unavailable)("runs to the end without a trap", async () => {
    const outcome = await runner.run(await batchOf("store<i32>(table, (zero + 7) / (zero + 2));"));
    expect(outcome).toEqual({ results: Uint8Array.of(3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0) });
  });

  it.skipIf(runner.unavailable).each(cases)("ends at %s", async (_name, statement) => {
    expect(await runner.run(await batchOf(statement))).toEqual({ failure: expect.anything() });
  });
});
