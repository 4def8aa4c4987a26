/** Runs a batch of vetted cases on the host's processor and on our machine, interpreted and compiled, and says where they differ. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "../../boards/pentium-pc.ts";
import { debugOutput, writeBochsFolder } from "../bochs.ts";
import { bareHarness } from "../instructions/bare-harness.ts";
import { differences, type InstructionCase } from "../instructions/case.ts";
import { MEMORY_SIZE, RESULT_SIZE, RESULTS } from "../instructions/layout.ts";
import { runOnHost } from "../instructions/run-case-programs.ts";

export interface BatchDifference {
  /** Which case; -1 where only the whole batch shows it. */
  readonly index: number;
  readonly found: readonly string[];
}

const BOCHS_PATIENCE = 60_000;
const MEMORY = 32 * 2 ** 20;
/** Visits of each case's code: the first compile it. */
const PASSES = 3;
const CYCLES_PER_CASE = 200_000;

let comparable: boolean | undefined;

/** Whether the host runs 32-bit programs. */
export function canCompareWithHost(): boolean {
  comparable ??= runOnHost([]) !== undefined;
  return comparable;
}

/** `ours`: result records of all cases. Nothing where there is no host to compare with. */
export function differencesFromHost(cases: readonly InstructionCase[], ours: Uint8Array): BatchDifference[] {
  const host = canCompareWithHost() ? runOnHost(cases) : undefined;
  if (!host) return [];
  return cases.flatMap((test, index) => {
    const found = differences(test, index, ours, host);
    return found.length === 0 ? [] : [{ index, found }];
  });
}

/** Why the run ended; an error of the host program is a reason like others. */
function runTo(pc: PentiumPc, limit: number): string {
  try {
    return pc.run(limit).reason;
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message).split("\n", 3).join("") : String(error);
  }
}

/** Bit for bit: registers, flags, memory, cycles, instructions and all else of the state. */
export function differencesWhenCompiled(cases: readonly InstructionCase[]): BatchDifference[] {
  const { elf } = bareHarness(cases, { passes: PASSES, descriptors: cases.some((test) => test.descriptors) });
  const limit = (cases.length + 10) * PASSES * CYCLES_PER_CASE;
  const [interpreted, compiled] = [
    new PentiumPc({ memory: MEMORY }),
    new PentiumPc({ memory: MEMORY, jit: "on", compiler: { hot: 1 } }),
  ].map((pc) => {
    pc.loadMultiboot(elf);
    const reason = runTo(pc, limit);
    const results = pc.ram.subarray(RESULTS, RESULTS + cases.length * RESULT_SIZE);
    return { pc, reason, results };
  });
  const exact = {
    undefinedFlags: 0,
    undefinedFlagsAtFault: 0,
    memoryMask: new Uint8Array(MEMORY_SIZE).fill(0xff),
  };
  const each = cases.flatMap((test, index) => {
    const found = differences({ ...test, ...exact }, index, interpreted!.results, compiled!.results);
    return found.length === 0 ? [] : [{ index, found }];
  });
  if (each.length > 0 && interpreted!.reason === compiled!.reason) return each;
  const whole = [interpreted!, compiled!].map(
    ({ pc, reason }) =>
      `${reason} at cycle ${pc.cycle}, instruction ${pc.instructions}, state ${pc.stateHash()}`,
  );
  return whole[0] === whole[1] ? [] : [{ index: -1, found: [`${whole[0]} ≠ ${whole[1]}`] }];
}

/** What Bochs prints of the results, as bytes; throws when it did not come to their end. */
function runOnBochs(elf: Uint8Array, count: number): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "rialto-fuzz-"));
  try {
    writeBochsFolder(folder, elf, { memory: MEMORY, commandLine: "", modules: [] });
    const { stdout } = spawnSync("bochs", ["-q", "-f", "bochsrc", "-rc", "commands"], {
      cwd: folder,
      stdio: ["ignore", "pipe", "ignore"],
      encoding: "latin1",
      maxBuffer: 2 ** 26,
      timeout: BOCHS_PATIENCE,
      killSignal: "SIGKILL",
    });
    const text = debugOutput(stdout);
    const results = Buffer.from(text.slice(0, text.indexOf("[")), "hex");
    if (results.length !== count * RESULT_SIZE)
      throw new Error(`Bochs gave ${results.length} bytes of results`);
    return new Uint8Array(results);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The same kernel on ours, interpreted, and on Bochs. */
export function differencesFromBochs(cases: readonly InstructionCase[]): BatchDifference[] {
  const { elf } = bareHarness(cases, { report: "text", descriptors: true });
  const pc = new PentiumPc({ memory: MEMORY });
  pc.loadMultiboot(elf);
  runTo(pc, cases.length * CYCLES_PER_CASE);
  const ours = pc.ram.slice(RESULTS, RESULTS + cases.length * RESULT_SIZE);
  const theirs = runOnBochs(elf, cases.length);
  return cases.flatMap((test, index) => {
    const found = differences(test, index, ours, theirs);
    return found.length === 0 ? [] : [{ index, found }];
  });
}
