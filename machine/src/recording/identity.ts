/** What a run starts from, as a recording keeps it: sizes and fingerprints of kernel, modules and command line. */
import type { MultibootModule } from "../boards/multiboot.ts";
import { StateHash } from "../boards/state-hash.ts";
import type { RecordedPart, RecordingHeader } from "./format.ts";

/** Tells contents apart that differ by accident; no defence against somebody who looks for a collision. */
export function fingerprint(bytes: Uint8Array): string {
  const words = new Int32Array(Math.ceil(bytes.length / 4));
  new Uint8Array(words.buffer).set(bytes);
  return new StateHash().words(Int32Array.of(bytes.length)).words(words).digest();
}

function part(what: string, bytes: Uint8Array): RecordedPart {
  return { what, bytes: bytes.length, fingerprint: fingerprint(bytes) };
}

export interface RunStart {
  readonly kernel: Uint8Array;
  readonly modules: readonly MultibootModule[];
  readonly commandLine: string;
}

/** A run that goes on from a snapshot. */
export interface SnapshotStart {
  readonly snapshot: Uint8Array;
}

function partsOf(start: RunStart | SnapshotStart): RecordedPart[] {
  if ("snapshot" in start) return [part("snapshot", start.snapshot)];
  return [
    part("kernel", start.kernel),
    part("command line", new TextEncoder().encode(start.commandLine)),
    ...start.modules.map((module, i) => part(`module ${i + 1} (${module.commandLine})`, module.bytes)),
  ];
}

/** What the header takes from the machine. */
export interface IdentifiedMachine {
  statistics(): { readonly model: string; readonly frequency: number; readonly memory: number };
}

/** Throws RangeError for a negative or broken number of cycles between hashes. */
export function describeStart(
  machine: IdentifiedMachine,
  start: RunStart | SnapshotStart,
  hashEvery = 0,
): RecordingHeader {
  if (!Number.isSafeInteger(hashEvery) || hashEvery < 0)
    throw new RangeError(`a state hash every ${hashEvery} cycles: it takes a whole number`);
  const { memory, frequency, model } = machine.statistics();
  return {
    board: "pentium",
    memory,
    frequency,
    cycleModel: model,
    parts: partsOf(start),
    hashEvery,
  };
}
