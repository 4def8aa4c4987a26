/** The flags `--record`, `--replay` and `--hash-every`, their help and their checks; apart from what they do, so that help loads fast. */
import { UsageError } from "./errors.ts";

export interface RecordingRequest {
  /** File that gets the recording. */
  readonly record?: string | undefined;
  /** File that is played back; the terminal is ignored. */
  readonly replay?: string | undefined;
  /** Cycles between state hashes in the recording; 0 for one at the end. */
  readonly hashEvery: number;
}

/** The flags as typed. */
export interface RecordingFlags {
  readonly record?: string;
  readonly replay?: string;
  readonly hashEvery?: string;
}

export const RECORDING_HELP = `
--record writes every input with the cycle at which the machine took it, and a hash of the whole state at the end and every
--hash-every cycles. --replay gives the machine the same inputs at the same cycles, ignores the terminal, compares counts and
hashes, and stops at the first difference (exit status 1). A recording fits only the kernel, modules, memory and command line
that it was made with. It is a text file of JSON lines; one of a run that was killed can be replayed too.
`;

/** Undefined when nothing is recorded or replayed. */
export function parseRecordingFlags(flags: RecordingFlags): RecordingRequest | undefined {
  const { record, replay } = flags;
  if (record !== undefined && replay !== undefined) {
    throw new UsageError("--record and --replay: a replayed run is recorded already; take one of them");
  }
  if (flags.hashEvery !== undefined && record === undefined) {
    throw new UsageError("--hash-every says how often a recording gets a hash: it needs --record FILE");
  }
  const hashEvery = Number(flags.hashEvery ?? 0);
  if (
    !Number.isSafeInteger(hashEvery) ||
    hashEvery < 0 ||
    (flags.hashEvery !== undefined && hashEvery < 1000)
  ) {
    throw new UsageError(
      `--hash-every ${flags.hashEvery}: it takes a number of cycles, 1000 or more (75000000 are a second)`,
    );
  }
  return record === undefined && replay === undefined ? undefined : { record, replay, hashEvery };
}
