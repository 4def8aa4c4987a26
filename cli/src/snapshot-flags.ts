/** The flags `--snapshot`, `--snapshot-after` and `--from`, their help and their checks; apart from what they do, so that help loads fast. */
import { UsageError } from "./errors.ts";

/** The flags as typed. */
export interface SnapshotFlags {
  readonly snapshot?: string;
  readonly snapshotAfter?: string;
}

export interface SnapshotRequest {
  /** File that gets the machine. */
  readonly file: string;
  /** Seconds of guest time after which the run is left; undefined: when the user leaves. */
  readonly after: number | undefined;
}

export const SNAPSHOT_HELP = `
--snapshot saves the whole machine when the run is left: by Ctrl-A x, by a signal, or by --snapshot-after so many seconds of guest
time; SIGUSR1 saves it and goes on. A machine that has ended (poweroff) is not saved. 'rialto boot --from FILE' goes on from a
snapshot, with the prompt at once; memory, kernel and options are the snapshot's, and it fits only the version that made it.
`;

/** Undefined when nothing is saved. */
export function parseSnapshotFlags({ snapshot, snapshotAfter }: SnapshotFlags): SnapshotRequest | undefined {
  if (snapshotAfter !== undefined && snapshot === undefined)
    throw new UsageError("--snapshot-after says when a snapshot is saved: it needs --snapshot FILE");
  if (snapshot === undefined) return undefined;
  const after = snapshotAfter === undefined ? undefined : Number(snapshotAfter);
  if (after !== undefined && !(after > 0 && after <= 86400)) {
    throw new UsageError(
      `--snapshot-after ${snapshotAfter}: it takes a number of seconds of guest time, up to 86400`,
    );
  }
  return { file: snapshot, after };
}
