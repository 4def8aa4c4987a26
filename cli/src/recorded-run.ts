/**
 * `--record FILE`, `--replay FILE` and `--hash-every N` of the commands that boot: what the session runs instead of the bare board, the
 * file behind it, and what the user is told.
 */
import { closeSync, readFileSync, writeSync } from "node:fs";
import type { PcStop, PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { parseRecording, RecordingError } from "@rialto/machine/recording/format.ts";
import { describeStart, type RunStart, type SnapshotStart } from "@rialto/machine/recording/identity.ts";
import { Recorder } from "@rialto/machine/recording/recorder.ts";
import { Replayer } from "@rialto/machine/recording/replayer.ts";
import { fileErrorReason, UserError } from "./errors.ts";
import { openOutputFile } from "./output-file.ts";
import type { RecordingRequest } from "./recorded-run-flags.ts";
import type { Session, SessionMachine } from "./session.ts";

export interface RecordedRun {
  /** What the session runs instead of the board. */
  readonly machine: SessionMachine;
  /** True when input from the host is ignored. */
  readonly replays: boolean;
  /** The session that runs it exists. */
  started(session: Session): void;
  /** After the session, however it ended. */
  close(): void;
}

function record(
  pc: PentiumPc,
  start: RunStart | SnapshotStart,
  path: string,
  hashEvery: number,
): RecordedRun {
  const file = openOutputFile(path, "recording");
  let failed = false;
  let session: Session | undefined;
  const write = (line: string) => {
    if (failed) return;
    try {
      writeSync(file, line);
    } catch (error) {
      failed = true;
      session?.quit(`cannot write recording ${path}: ${fileErrorReason(error)}`, 1);
    }
  };
  const recorder = new Recorder<PcStop>(pc, describeStart(pc, start, hashEvery), write);
  return {
    machine: recorder,
    replays: false,
    started(running) {
      session = running;
    },
    close() {
      recorder.close();
      closeSync(file);
    },
  };
}

function readRecording(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    throw new UserError(`cannot read recording ${path}: ${fileErrorReason(error)}`, { cause: error });
  }
}

/** Tells the user's mistakes and differences as such. */
function asUserError<T>(path: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    if (error instanceof RecordingError) throw new UserError(`${path}: ${error.message}`, { cause: error });
    throw error;
  }
}

function replay(pc: PentiumPc, start: RunStart | SnapshotStart, path: string): RecordedRun {
  const { recording, replayer } = asUserError(path, () => {
    const parsed = parseRecording(readRecording(path));
    return { recording: parsed, replayer: new Replayer<PcStop>(pc, parsed, describeStart(pc, start)) };
  });
  let session: Session | undefined;
  return {
    machine: {
      frequency: pc.frequency,
      get cycle() {
        return pc.cycle;
      },
      get idleCycles() {
        return pc.idleCycles;
      },
      serialInput: () => {},
      networkInput: () => {},
      run(untilCycle) {
        const stop = asUserError(path, () => replayer.run(untilCycle));
        if (!replayer.finished || pc.end) return stop;
        const why =
          replayer.finished.end === "left"
            ? "the recorded run was left here"
            : `the recording has no end${recording.cutOff ? " (its last line is not whole)" : ""}`;
        session?.quit(`${why}; the machine still runs`, 0);
        return { reason: "stopped" };
      },
    },
    replays: true,
    started(running) {
      session = running;
    },
    close() {
      const { finished } = replayer;
      if (!finished) return;
      const hashes = `${finished.hashesCompared} state ${finished.hashesCompared === 1 ? "hash" : "hashes"}`;
      process.stderr.write(
        `rialto: replayed ${finished.cycle} cycles and ${pc.instructions} instructions as recorded; ${hashes} compared, all equal\n`,
      );
    },
  };
}

/** The board is loaded and has not run. */
export function openRecordedRun(
  pc: PentiumPc,
  start: RunStart | SnapshotStart,
  request: RecordingRequest,
): RecordedRun {
  if (request.replay !== undefined) return replay(pc, start, request.replay);
  return record(pc, start, request.record!, request.hashEvery);
}
