/** Snapshots of a machine in files: read for `--from`, saved for `--snapshot`. */
import { accessSync, constants, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { PentiumPc, type PentiumPcOptions } from "@rialto/machine/boards/pentium-pc.ts";
import { cycleModelNames } from "@rialto/machine/i386/cycles.ts";
import { SnapshotError, snapshotCycleModel, snapshotMemory } from "@rialto/machine/snapshot/format.ts";
import { fileErrorReason, UserError } from "./errors.ts";
import { readInputFile } from "./machine-run.ts";
import { inFrontOf, type Session, type SessionMachine } from "./session.ts";
import type { SnapshotRequest } from "./snapshot-flags.ts";

/** The machine that a snapshot holds. */
export function machineFromSnapshot(
  path: string,
  options: Pick<PentiumPcOptions, "jit" | "serialOutput">,
): { readonly pc: PentiumPc; readonly bytes: Uint8Array } {
  const bytes = readInputFile(path, "snapshot");
  try {
    const saved = snapshotCycleModel(bytes);
    const cycleModel = cycleModelNames.find((name) => name === saved) ?? "fast";
    const pc = new PentiumPc({ memory: snapshotMemory(bytes), cycleModel, ...options });
    pc.restore(bytes);
    return { pc, bytes };
  } catch (error) {
    if (error instanceof SnapshotError) throw new UserError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Never leaves half a file under the name. */
function saveSnapshot(pc: PentiumPc, path: string): void {
  const bytes = pc.save();
  try {
    writeFileSync(`${path}.partial`, bytes);
    renameSync(`${path}.partial`, path);
  } catch (error) {
    throw new UserError(`cannot write snapshot ${path}: ${fileErrorReason(error)}`, { cause: error });
  }
  const megabytes = (bytes.length / 2 ** 20).toFixed(1);
  process.stderr.write(`rialto: saved cycle ${pc.cycle} to ${path} (${megabytes} MB)\n`);
}

export interface SavedRun {
  readonly machine: SessionMachine;
  started(session: Session): void;
  /** After the session: saves the machine unless it has ended. */
  close(): void;
}

/** `machine` is what would run without a snapshot: the board itself, or what stands in front of it. */
export function openSavedRun(
  pc: PentiumPc,
  machine: SessionMachine,
  { file, after }: SnapshotRequest,
): SavedRun {
  try {
    accessSync(dirname(file), constants.W_OK);
  } catch (error) {
    throw new UserError(`cannot write snapshot ${file}: ${fileErrorReason(error)}`, { cause: error });
  }
  const due = after === undefined ? Number.POSITIVE_INFINITY : pc.cycle + Math.ceil(after * pc.frequency);
  let session: Session | undefined;
  const onSignal = () => {
    try {
      saveSnapshot(pc, file);
    } catch (error) {
      process.stderr.write(`rialto: ${(error as Error).message}\n`);
    }
  };
  return {
    machine: inFrontOf(machine, (untilCycle) => {
      const result = machine.run(Math.min(untilCycle, due));
      if (machine.cycle >= due) session?.quit("", 0);
      return result;
    }),
    started(running) {
      session = running;
      process.on("SIGUSR1", onSignal);
    },
    close() {
      process.off("SIGUSR1", onSignal);
      if (pc.end)
        process.stderr.write(`rialto: the machine has ended (${pc.end.reason}): nothing is saved\n`);
      else saveSnapshot(pc, file);
    },
  };
}
