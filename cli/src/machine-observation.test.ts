/** Traces and profiles of a kernel that is not Rialto's: what the processor shows, without names of threads. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { bareHarness } from "@rialto/machine/test/instructions/bare-harness.ts";
import { generateCases } from "@rialto/machine/test/instructions/generate.ts";
import { afterAll, expect, it } from "vitest";
import { openObservedRun } from "./observed-run.ts";

const folder = mkdtempSync(join(tmpdir(), "rialto-observed-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const inFolder = (name: string) => join(folder, name);

it("shows traps, TLB misses and address spaces, and where the time went", () => {
  // A kernel with paging that runs code at ring 3 until it faults, again and again.
  const { elf } = bareHarness(generateCases((row) => row.operation === "div"));
  writeFileSync(inFolder("harness"), elf);
  const run = (watched: boolean) => {
    const pc = new PentiumPc({ memory: 64 * 2 ** 20, jit: "on" });
    pc.loadMultiboot(elf);
    const observed = watched
      ? openObservedRun(
          pc,
          elf,
          [{ name: "harness", file: inFolder("harness") }],
          {
            trace: { file: inFolder("t.jsonl"), form: "lines", categories: ["traps", "switches", "tlb"] },
            profile: { files: [inFolder("p.txt"), inFolder("p.svg")], kind: "sample", interval: 500 },
          },
          "harness",
        )
      : undefined;
    const machine = observed?.around(pc) ?? pc;
    expect(machine.run(1e9)).toMatchObject({ reason: "exit" });
    observed?.close();
    return pc;
  };
  const pc = run(true);
  expect(pc.stateHash()).toBe(run(false).stateHash());

  const [, ...events] = readFileSync(inFolder("t.jsonl"), "utf8")
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(events).toContainEqual(expect.objectContaining({ event: "trap", ring: 3, name: "divide error" }));
  expect(events).toContainEqual(expect.objectContaining({ event: "trap", ring: 3, name: "int 0x3" }));
  expect(events.some(({ event, kind }) => event === "tlb" && kind === "data4K")).toBe(true);
  expect(events).toContainEqual(
    expect.objectContaining({ event: "switch", thread: { id: 1, process: 1, name: "space 0x110000" } }),
  );
  const text = readFileSync(inFolder("p.txt"), "utf8");
  expect(text).toMatch(/^ *[\d,]+ +[\d.]+% +[\d,]+ {2}ring 0$/m);
  expect(text).not.toMatch(/first level/);
  expect(readFileSync(inFolder("p.svg"), "utf8")).toMatch(/harness, sample profile/);
});
