/** Runs a set of cases on our machine, as a multiboot kernel. */
import { PentiumPc } from "../../boards/pentium-pc.ts";
import { bareHarness } from "./bare-harness.ts";
import type { InstructionCase } from "./case.ts";
import { RESULT_SIZE, RESULTS } from "./layout.ts";

const MEMORY = 64 * 2 ** 20;
/** Far more than any set of cases needs; a run that gets there hangs. */
const CYCLE_LIMIT = 5e9;

export function runOnPentiumPc(cases: readonly InstructionCase[]): Uint8Array {
  const machine = new PentiumPc({ memory: MEMORY });
  machine.loadMultiboot(bareHarness(cases).elf);
  const stop = machine.run(CYCLE_LIMIT);
  if (stop.reason !== "exit") throw new Error(`the machine stopped: ${stop.reason}`);
  return machine.ram.slice(RESULTS, RESULTS + cases.length * RESULT_SIZE);
}
