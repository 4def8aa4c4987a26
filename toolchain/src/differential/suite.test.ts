/** The suite against deliberately wrong compilers: it must find each, and shrink it to something a person can read. */
import asc from "assemblyscript/asc";
import { describe, expect, it } from "vitest";
import type { CodeObject, FrontModule } from "../contract.ts";
import { type Batch, type Runner, wasmRunner } from "./runners.ts";
import { runSuite } from "./suite.ts";

const PRELUDE = "function functionAddress<F>(f: F): u32 { return <u32>f.index; }\n";

async function toWasm(source: string): Promise<Uint8Array> {
  let binary: Uint8Array | undefined;
  const result = await asc.main(
    ["module.ts", "--outFile", "module.wasm", "--runtime", "stub", "-O1", "--noAssert"],
    {
      readFile: (name: string) => (name === "module.ts" ? PRELUDE + source : null),
      writeFile: (name: string, contents: string | Uint8Array) => {
        if (contents instanceof Uint8Array && name === "module.wasm") binary = contents;
      },
      listFiles: () => [],
    },
  );
  if (result.error || !binary) throw new Error(String(result.stderr));
  return binary;
}

const asModule = (wasm: Uint8Array) => ({ wasm }) as FrontModule;

/** A "compiler" that translates every module with `mistake` applied to its source. */
async function summaryWith(mistake: (source: string) => string, functions: number) {
  const wrong = new Map<FrontModule, FrontModule>();
  const compile = async (source: string, resultSize: number): Promise<Batch> => {
    const module = asModule(await toWasm(source));
    wrong.set(module, asModule(await toWasm(mistake(source))));
    return { module, object: {} as CodeObject, resultSize };
  };
  const runner: Runner = {
    name: "mistaken",
    unavailable: undefined,
    run: (batch) => wasmRunner.run({ ...batch, module: wrong.get(batch.module)! }),
  };
  const sizes = { functions, functionsPerModule: 10, callsPerFunction: 3 };
  return runSuite({ ...sizes, seed: 7, shrinkMilliseconds: 100_000, runners: [runner], compile });
}

describe("the differential suite", () => {
  it("passes when nothing is wrong", async () => {
    const summary = await summaryWith((source) => source, 20);
    expect(summary).toEqual({ functions: 20, calls: 60, failures: [] });
  });

  it("finds a wrong shift and shrinks it", async () => {
    const { failures } = await summaryWith((source) => source.replaceAll(" << ", " >> "), 10);
    expect(failures.length).toBe(1);

    expect(failures[0]).toContain("<<");
    expect(failures[0]!.split("\n").length).toBeLessThan(12);
  });
});
