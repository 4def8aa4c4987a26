/** The booted system saved at any moment, restored and run on: the same machine to the bit, the same console, the same counts. */
import { readFileSync } from "node:fs";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { type BuiltSystem, buildSystem } from "@rialto/toolchain/build/system.ts";
import { beforeAll, describe, expect, it } from "vitest";

const MEMORY = 16 * 2 ** 20;
/** Boot takes some 2 million cycles; the guest's test suite is under way then. */
const END = 6_000_000;
const MOMENTS = 14;

function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function machine(output: number[]): PentiumPc {
  return new PentiumPc({ memory: MEMORY, serialOutput: (byte) => output.push(byte) });
}

describe("the system in a snapshot", () => {
  let system: BuiltSystem;

  function boot(output: number[]): PentiumPc {
    const pc = machine(output);
    const script = new TextEncoder().encode("run suite\nrun -k suite\n");
    pc.loadMultiboot(readFileSync(system.kernel), {
      modules: [
        { commandLine: "archive", bytes: readFileSync(system.archive) },
        { commandLine: "script", bytes: script },
      ],
    });
    return pc;
  }

  beforeAll(async () => {
    system = await buildSystem({});
  }, 600_000);

  it("goes on as if nothing had happened, wherever it was saved", { timeout: 60_000 }, () => {
    const output: number[] = [];
    const whole = boot(output);
    whole.run(END);
    const expected = { hash: whole.stateHash(), statistics: whole.statistics(), output };
    expect(String.fromCharCode(...output)).toMatch(/\n/);

    const random = numbers(1997);
    const moments = Array.from({ length: MOMENTS }, () => 1 + random(END)).sort((a, b) => a - b);
    const before: number[] = [];
    const saving = boot(before);
    const after: number[] = [];
    const restored = machine(after);
    for (const moment of moments) {
      saving.run(moment);
      after.splice(0, after.length, ...before);
      restored.restore(saving.save());
      expect(restored.stateHash()).toBe(saving.stateHash());
      restored.run(END);
      expect({
        moment,
        hash: restored.stateHash(),
        statistics: restored.statistics(),
        output: after,
      }).toEqual({ moment, ...expected });
    }
  });
});
