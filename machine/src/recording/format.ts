/**
 * Recordings: a run as the list of what came into it, one JSON object a line, so that a file cut off anywhere is still a recording up to
 * its last whole line, and so that people can read and edit it.
 *
 *   {"rialto":"recording","version":1,"board":"pentium","memory":16777216,"frequency":75000000,"cycleModel":"fast",
 *    "parts":[{"what":"kernel","bytes":91234,"fingerprint":"…"},{"what":"command line",…}],"hashEvery":75000000}
 *   {"cycle":5230011,"instructions":1988120,"serial":"68656c6c6f0d"}      bytes that arrived at the serial port, hexadecimal
 *   {"cycle":6230011,"instructions":2988120,"keys":"1e9e"}                scan codes
 *   {"cycle":7230011,"instructions":…,"frame":"ffff…","arrival":7231000}   a frame for the network card, and the cycle of its arrival
 *   {"cycle":75000003,"instructions":…,"hash":"0123456789abcdef"}         state of the machine
 *   {"cycle":75000003,"instructions":…}                                   so far the run went, nothing happened
 *   {"cycle":99000000,"instructions":…,"hash":"…","end":"power-off"}      last line: how the run ended, or "left" by the host
 *
 * Every line after the first says where the machine stood, in cycles and instructions: a run that departs is found at the next line.
 * Lines stand in the order in which things happened.
 */

import { fromHex, toHex } from "../hex.ts";
import { isFrameLength } from "../network/frame.ts";

export const RECORDING_VERSION = 1;

/** Something a recording cannot be used for: what was tried, what is wrong, what to do. */
export class RecordingError extends Error {
  constructor(message: string, options: ErrorOptions = {}) {
    super(message, options);
    this.name = "RecordingError";
  }
}

/** One input of the machine at its start: kernel, module, command line. */
export interface RecordedPart {
  readonly what: string;
  readonly bytes: number;
  readonly fingerprint: string;
}

/** What must be equal for a recording to fit. */
export interface RecordingHeader {
  readonly board: string;
  /** Bytes of RAM. */
  readonly memory: number;
  /** Cycles in a second. */
  readonly frequency: number;
  readonly cycleModel: string;
  readonly parts: readonly RecordedPart[];
  /** Cycles between two state hashes; 0 for none but the last. */
  readonly hashEvery: number;
}

export interface RecordedEntry {
  readonly cycle: number;
  readonly instructions: number;
  readonly serial?: Uint8Array | undefined;
  readonly keys?: Uint8Array | undefined;
  readonly frame?: Uint8Array | undefined;
  /** Cycle at which the frame arrives; not before `cycle`. */
  readonly arrival?: number | undefined;
  readonly hash?: string | undefined;
  readonly end?: string | undefined;
}

export interface Recording {
  readonly header: RecordingHeader;
  readonly entries: readonly RecordedEntry[];
  /** The last line was not whole: the recording program was killed. */
  readonly cutOff: boolean;
}

export function headerLine(header: RecordingHeader): string {
  return `${JSON.stringify({ rialto: "recording", version: RECORDING_VERSION, ...header })}\n`;
}

export function entryLine({ serial, keys, frame, ...rest }: RecordedEntry): string {
  const input = {
    ...(serial && { serial: toHex(serial) }),
    ...(keys && { keys: toHex(keys) }),
    ...(frame && { frame: toHex(frame) }),
  };
  const { cycle, instructions, ...more } = rest;
  return `${JSON.stringify({ cycle, instructions, ...input, ...more })}\n`;
}

type JsonObject = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}

function isPart(value: unknown): value is RecordedPart {
  return (
    isObject(value) &&
    typeof value.what === "string" &&
    isCount(value.bytes) &&
    typeof value.fingerprint === "string"
  );
}

function parseHeader(value: unknown): RecordingHeader {
  if (!isObject(value) || value.rialto !== "recording")
    throw new RecordingError("not a recording: its first line is not the header of one");
  const { version, board, memory, frequency, cycleModel, parts, hashEvery } = value;
  if (version !== RECORDING_VERSION) {
    throw new RecordingError(
      `a recording of version ${JSON.stringify(version)}, and this program reads version ${RECORDING_VERSION}: record the run again`,
    );
  }
  if (
    typeof board !== "string" ||
    typeof cycleModel !== "string" ||
    !isCount(memory) ||
    !isCount(frequency) ||
    !isCount(hashEvery) ||
    !Array.isArray(parts) ||
    !parts.every(isPart)
  ) {
    throw new RecordingError("a damaged recording: its header lacks fields, or has wrong ones");
  }
  return { board, memory, frequency, cycleModel, parts, hashEvery };
}

/** Undefined when the line is none. */
function parseEntry(value: unknown): RecordedEntry | undefined {
  if (!isObject(value)) return undefined;
  const { cycle, instructions, arrival, hash, end } = value;
  if (!isCount(cycle) || !isCount(instructions)) return undefined;
  if ((value.frame === undefined) !== (arrival === undefined)) return undefined;
  if (arrival !== undefined && (!isCount(arrival) || arrival < cycle)) return undefined;
  if (hash !== undefined && typeof hash !== "string") return undefined;
  if (end !== undefined && typeof end !== "string") return undefined;
  const serial = value.serial === undefined ? undefined : fromHex(value.serial);
  const keys = value.keys === undefined ? undefined : fromHex(value.keys);
  const frame = value.frame === undefined ? undefined : fromHex(value.frame);
  if ((value.serial !== undefined && !serial) || (value.keys !== undefined && !keys)) return undefined;
  if (value.frame !== undefined && !(frame && isFrameLength(frame.length))) return undefined;
  return { cycle, instructions, serial, keys, frame, arrival, hash, end };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** Reads a recording. Throws `RecordingError` when it is none, or damaged before its last line. */
export function parseRecording(text: string): Recording {
  const lines = text.split("\n");
  // A whole file ends with a newline; what stands behind the last one was being written when the writer died.
  const cutOff = lines.pop() !== "";
  if (lines.length === 0) throw new RecordingError("not a recording: it has no whole first line");
  const header = parseHeader(parseJson(lines[0]!));
  const entries: RecordedEntry[] = [];
  for (let i = 1; i < lines.length; i++) {
    const entry = parseEntry(parseJson(lines[i]!));
    if (!entry) throw new RecordingError(`a damaged recording: line ${i + 1} makes no sense`);
    const before = entries.at(-1);
    if (before?.end !== undefined)
      throw new RecordingError(`a damaged recording: line ${i + 1} stands behind the end of the run`);
    if (before && (entry.cycle < before.cycle || entry.instructions < before.instructions))
      throw new RecordingError(`a damaged recording: line ${i + 1} goes back in time`);
    entries.push(entry);
  }
  return { header, entries, cutOff };
}

/** What keeps a recording from being replayed on a machine, one sentence each; empty when it fits. */
export function differences(recorded: RecordingHeader, now: RecordingHeader): string[] {
  const found: string[] = [];
  const compare = (what: string, then: string | number, here: string | number) => {
    if (then !== here) found.push(`${what}: recorded with ${then}, now ${here}`);
  };
  compare("board", recorded.board, now.board);
  compare("bytes of RAM", recorded.memory, now.memory);
  compare("cycles in a second", recorded.frequency, now.frequency);
  compare("cycle model", recorded.cycleModel, now.cycleModel);
  const present = new Map(now.parts.map((part) => [part.what, part]));
  for (const part of recorded.parts) {
    const here = present.get(part.what);
    present.delete(part.what);
    if (!here) found.push(`${part.what}: recorded with one, now there is none`);
    else if (here.fingerprint !== part.fingerprint || here.bytes !== part.bytes) {
      found.push(`${part.what}: it has changed (${part.bytes} bytes then, ${here.bytes} now)`);
    }
  }
  for (const what of present.keys()) found.push(`${what}: recorded without one`);
  return found;
}
