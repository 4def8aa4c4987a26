/** Runs a set of cases on something that is not ours: the host's processor, QEMU. Results come back as result records. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bareHarness } from "./bare-harness.ts";
import type { InstructionCase } from "./case.ts";
import { linuxHarness } from "./linux-harness.ts";

const LARGEST_OUTPUT = 1 << 26;

function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), "rialto-instructions-"));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Undefined when this host cannot run 32-bit x86 Linux programs. */
export function runOnHost(cases: readonly InstructionCase[]): Uint8Array | undefined {
  return inFolder((folder) => {
    const file = join(folder, "cases");
    writeFileSync(file, linuxHarness(cases));
    chmodSync(file, 0o755);
    const run = spawnSync(file, { maxBuffer: LARGEST_OUTPUT, timeout: 60_000 });
    if (run.error && /ENOEXEC|EACCES|ENOENT/.test(run.error.message)) return undefined;
    if (run.status !== 0)
      throw new Error(`the case program ended with ${run.signal ?? run.status}`, { cause: run.error });
    return new Uint8Array(run.stdout);
  });
}

export const hasQemu = (): boolean => spawnSync("qemu-system-i386", ["--version"]).status === 0;

export function runOnQemu(cases: readonly InstructionCase[]): Uint8Array {
  return inFolder((folder) => {
    const kernel = join(folder, "cases.elf");
    const output = join(folder, "results");
    writeFileSync(kernel, bareHarness(cases, { report: "port" }).elf);
    const run = spawnSync(
      "qemu-system-i386",
      [
        ...[
          "-kernel",
          kernel,
          "-m",
          "64",
          "-display",
          "none",
          "-no-reboot",
          "-accel",
          "tcg",
          "-cpu",
          "pentium",
        ],
        ...[
          "-debugcon",
          `file:${output}`,
          "-device",
          "isa-debug-exit,iobase=0xf4,iosize=0x04",
          "-serial",
          "none",
        ],
      ],
      { timeout: 60_000, encoding: "utf8" },
    );
    if (run.status !== 1) throw new Error(`QEMU ended with ${run.signal ?? run.status}: ${run.stderr}`);
    return new Uint8Array(readFileSync(output));
  });
}
