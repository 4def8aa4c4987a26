/** The harness itself, with hand-written code in the place of a compiled module. */
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import { dword, eax, symbol } from "@rialto/machine/i386/assembly.ts";
import { describe, expect, it } from "vitest";
import { assembledObject } from "../build/assembly.ts";
import type { CodeObject, FrontModule } from "../contract.ts";
import { linuxRunner, pentiumRunner, qemuRunner } from "./runners.ts";

function handWritten(body: (a: Assembler) => void): CodeObject {
  const a = new Assembler();
  a.label("runAll");
  body(a);
  a.label("results");
  a.emit("mov", eax, symbol("data"));
  a.emit("ret");
  const data = { bytes: Uint8Array.of(1, 2, 3, 4), size: 16, fixups: [] };
  return { ...assembledObject("hand", a.finish()), data };
}

const module = {} as FrontModule;
const works = handWritten((a) => {
  a.emit("mov", dword({ displacement: symbol("data", 8) }), 0x12345678);
  a.emit("ret");
});
const dies = handWritten((a) => a.emit("ud2"));

for (const runner of [pentiumRunner, linuxRunner, qemuRunner]) {
  describe(`${runner.name}${runner.unavailable ? ` (skipped: ${runner.unavailable})` : ""}`, () => {
    it.skipIf(runner.unavailable)("brings back the results", async () => {
      const outcome = await runner.run({ module, object: works, resultSize: 16 });
      expect(outcome).toEqual({ results: expect.anything() });
      if ("results" in outcome)
        expect([...outcome.results]).toEqual([1, 2, 3, 4, 0, 0, 0, 0, 0x78, 0x56, 0x34, 0x12, 0, 0, 0, 0]);
    });

    it.skipIf(runner.unavailable)("tells when the code dies", async () => {
      expect(await runner.run({ module, object: dies, resultSize: 16 })).toEqual({
        failure: expect.stringMatching(/after 0 of 16/),
      });
    });
  });
}
