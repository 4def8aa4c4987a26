/**
 * The machines that a batch runs on. Each gives the result bytes of `module.ts`, or says how the run ended instead.
 * Tools that are not installed make a runner unavailable; it then has a reason that the suite prints.
 */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { CodeObject, FrontModule } from "../contract.ts";
import { bareKernel, linuxProcess } from "./harness.ts";

export interface Batch {
  readonly module: FrontModule;
  readonly object: CodeObject;
  readonly resultSize: number;
}

export type Outcome = { readonly results: Uint8Array } | { readonly failure: string };

export interface Runner {
  readonly name: string;
  /** Why it cannot run here; undefined when it can. */
  readonly unavailable: string | undefined;
  run(batch: Batch): Promise<Outcome>;
}

interface BatchExports {
  runAll(): void;
  resultWord(index: number): bigint;
}

/** The part of the host's WebAssembly object that is used here; the project's type library has no browser types. */
interface WebAssemblyHost {
  instantiate(
    bytes: Uint8Array,
    imports: object,
  ): Promise<{ readonly instance: { readonly exports: object } }>;
}
const webAssembly = (globalThis as unknown as { WebAssembly: WebAssemblyHost }).WebAssembly;

/** WebAssembly in Node: what every other runner is compared with. */
export const wasmRunner: Runner = {
  name: "wasm in Node",
  unavailable: undefined,
  async run({ module, resultSize }) {
    try {
      const { instance } = await webAssembly.instantiate(module.wasm, {});
      const { runAll, resultWord } = instance.exports as BatchExports;
      runAll();
      const words = BigUint64Array.from({ length: resultSize / 8 }, (_, n) =>
        BigInt.asUintN(64, resultWord(n)),
      );
      return { results: new Uint8Array(words.buffer) };
    } catch (error) {
      return { failure: error instanceof Error ? error.message : String(error) };
    }
  },
};

/** A batch takes a few million cycles; one that takes this many never ends. */
const MOST_CYCLES = 20e9;

/** Runs `body` with a folder that is gone afterwards. */
function withFolder<T>(body: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "rialto-differential-"));
  try {
    return body(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** exit(0) as a 32-bit process: shows whether this host runs such programs. */
function hostRuns32Bit(): boolean {
  if (process.platform !== "linux" || process.arch !== "x64") return false;
  return withFolder((folder) => {
    const file = join(folder, "probe");
    const object: CodeObject = {
      name: "probe",
      text: Uint8Array.of(0xc3),
      textFixups: [],
      functions: ["runAll", "results"].map((name) => ({
        name,
        exports: [name],
        offset: 0,
        size: 1,
        lines: [],
        variables: [],
        framed: false,
      })),
      globals: [],
      imports: [],
    };
    writeFileSync(file, linuxProcess(object, 0));
    chmodSync(file, 0o755);
    return spawnSync(file).status === 0;
  });
}

function finished(results: Uint8Array, wanted: number, ending: string): Outcome {
  if (results.length === wanted) return { results: new Uint8Array(results) };
  return { failure: `${ending} after ${results.length} of ${wanted} bytes of results` };
}

/** The host's own processor. */
export const linuxRunner: Runner = {
  name: "Linux process",
  unavailable: hostRuns32Bit() ? undefined : "the host does not run 32-bit x86 Linux programs",
  async run({ object, resultSize }) {
    return withFolder((folder) => {
      const file = join(folder, "batch");
      writeFileSync(file, linuxProcess(object, resultSize));
      chmodSync(file, 0o755);
      const result = spawnSync(file, { maxBuffer: resultSize + 65536, timeout: 30_000 });
      return finished(
        result.stdout,
        resultSize,
        result.signal ? `ended by ${result.signal}` : `exit status ${result.status}`,
      );
    });
  },
};

/** Our own machine. */
export const pentiumRunner: Runner = {
  name: "Pentium machine",
  unavailable: undefined,
  async run({ object, resultSize }) {
    const results = new Uint8Array(resultSize);
    let count = 0;
    const board = new PentiumPc({
      memory: 32 << 20,
      debugOutput: (byte) => {
        if (count < resultSize) results[count] = byte;
        count++;
      },
    });
    board.loadMultiboot(bareKernel(object, resultSize));
    const stop = board.run(MOST_CYCLES);
    return finished(results.subarray(0, count), resultSize, `stopped with "${stop.reason}"`);
  },
};

export const qemuRunner: Runner = {
  name: "QEMU",
  unavailable:
    spawnSync("qemu-system-i386", ["--version"]).status === 0
      ? undefined
      : "qemu-system-i386 is not installed",
  async run({ object, resultSize }) {
    return withFolder((folder) => {
      const kernel = join(folder, "kernel.elf");
      const output = join(folder, "results");
      writeFileSync(kernel, bareKernel(object, resultSize));
      const options = ["-display", "none", "-no-reboot", "-net", "none", "-m", "32", "-kernel", kernel];
      options.push("-device", "isa-debug-exit,iobase=0xf4,iosize=4");
      options.push("-debugcon", `file:${output}`);
      const result = spawnSync("qemu-system-i386", options, { timeout: 60_000 });
      return finished(readFileSync(output), resultSize, `exit status ${result.status}`);
    });
  },
};
