/**
 * Runs shell lines on the booted system for a command that looks at the result: without echo of the lines, the console's text streamed
 * and kept, the run ended when it takes too long.
 */
import { readFileSync } from "node:fs";
import { extname } from "node:path";
import type { ArchiveFile } from "@rialto/toolchain/link/archive.ts";
import { loadablePart } from "@rialto/toolchain/link/elf.ts";
import { lineFiles } from "@rialto/toolchain/link/line-file.ts";
import { type BootHost, type BootRequest, bootMachine, bootQemu, type Interruption } from "./boot.ts";
import { buildProgramReporting, buildSystemReporting } from "./build-system.ts";
import { UsageError, UserError } from "./errors.ts";
import { nearest } from "./nearest.ts";
import type { SessionOutput } from "./session.ts";
import { StandardOutput } from "./standard-streams.ts";
import { describeRun, type RunStatistics } from "./statistics-file.ts";

export type Place = "process" | "kernel";

/** A program as the shell starts it: its name in the boot archive, and what must be added to the archive for it. */
export interface GuestProgram {
  readonly name: string;
  readonly files: readonly ArchiveFile[];
  /** The same with symbols. */
  readonly images: readonly { readonly name: string; readonly file: string }[];
}

export interface GuestRun {
  readonly on: BootHost;
  /** Shell lines, run in order. */
  readonly lines: readonly string[];
  readonly files?: readonly ArchiveFile[];
  /** Bytes of RAM. */
  readonly memory: number;
  readonly options?: ReadonlyMap<string, string>;
  readonly cycleModel?: BootRequest["cycleModel"];
  readonly jit?: BootRequest["jit"];
  readonly input?: BootRequest["input"];
  /** Seconds of wall time; the run is ended after them. */
  readonly limit?: number | undefined;
  readonly observation?: BootRequest["observation"];
  /** "stdout" shows the console's text as it comes. */
  readonly show: "stdout" | "nothing";
}

export interface GuestOutcome {
  readonly status: number;
  /** The console's text, with newlines as on the host. */
  readonly text: string;
  /** How the run ended, when there is something to say about that. */
  readonly message: string | undefined;
  /** Of a run on our own machine. */
  readonly statistics: RunStatistics | undefined;
  /** The host's processor time for such a run, without building and loading. */
  readonly processorMilliseconds: number | undefined;
}

/** Exit status of a run that was ended because it took too long, as `timeout` gives it. */
const TOO_LONG = 124;
/** What the shell takes in a line (os/apps/shell). */
const MOST_WORDS = 30;
const MOST_ARGUMENT_BYTES = 500;

/** The console's text: CR LF becomes LF; what was written is kept and, if wanted, shown. */
class ConsoleText implements SessionOutput {
  readonly #decoder = new TextDecoder();
  readonly #show: SessionOutput | undefined;
  #pendingReturn = false;
  #text = "";

  constructor(show: SessionOutput | undefined) {
    this.#show = show;
  }

  get text(): string {
    return this.#text;
  }

  write(bytes: Uint8Array): void {
    const kept: number[] = [];
    for (const byte of bytes) {
      if (this.#pendingReturn && byte !== 10) kept.push(13);
      this.#pendingReturn = byte === 13;
      if (!this.#pendingReturn) kept.push(byte);
    }
    const part = Uint8Array.from(kept);
    this.#text += this.#decoder.decode(part, { stream: true });
    this.#show?.write(part);
  }

  async flush(): Promise<void> {
    await this.#show?.flush();
  }
}

function interruptionAfter(seconds: number | undefined): { signal?: AbortSignal; stop: () => void } {
  if (seconds === undefined) return { stop: () => {} };
  const controller = new AbortController();
  const reason: Interruption = { what: `ended after ${seconds} seconds (--timeout)`, status: TOO_LONG };
  const timer = setTimeout(() => controller.abort(reason), seconds * 1000);
  return { signal: controller.signal, stop: () => clearTimeout(timer) };
}

/** Boots, runs the lines, powers off. */
export async function runGuest(run: GuestRun): Promise<GuestOutcome> {
  const { signal, stop } = interruptionAfter(run.limit);
  const request: BootRequest = {
    on: run.on,
    script: run.lines.map((line) => `${line}\n`).join(""),
    options: new Map([["quiet", "1"], ...(run.options ?? [])]),
    memory: run.memory,
    ...(run.cycleModel ? { cycleModel: run.cycleModel } : {}),
    jit: run.jit,
    files: run.files ?? [],
    input: run.input ?? "none",
    observation: run.observation,
    signal,
  };
  let console: ConsoleText | undefined;
  const open = (quit: () => void) => {
    console = new ConsoleText(run.show === "stdout" ? new StandardOutput(quit) : undefined);
    return console;
  };
  try {
    if (run.on === "qemu") {
      const output = open(() => {});
      const { status, message } = await bootQemu(request, (bytes) => output.write(bytes));
      await output.flush();
      return { status, message, text: output.text, statistics: undefined, processorMilliseconds: undefined };
    }
    const { status, message, pc, processorMilliseconds } = await bootMachine(request, open);
    return {
      status,
      message,
      text: console!.text,
      statistics: describeRun(pc.statistics()),
      processorMilliseconds,
    };
  } finally {
    stop();
  }
}

/** Programs that etc/system starts: one of somebody's own must not take their place. */
async function bootPrograms(): Promise<readonly string[]> {
  const { REPOSITORY } = await import("@rialto/toolchain/build/system.ts");
  const lines = readFileSync(`${REPOSITORY}/os/system.txt`, "utf8").split("\n");
  return lines
    .map((line) => line.trim().split(/\s+/)[0]!)
    .filter((name) => name !== "" && !name.startsWith("#"));
}

/** FILE.ts is built; anything else is the name of a program of the system. */
export async function findProgram(word: string): Promise<GuestProgram> {
  if (extname(word) !== ".ts" && !word.includes("/")) {
    const { images } = await buildSystemReporting();
    const programs = images.filter(({ kind }) => kind === "program").map(({ name }) => name);
    if (programs.includes(word)) return { name: word, files: [], images: [] };
    const suggestion = nearest(word, programs);
    throw new UserError(
      `no program '${word}' in the system.${suggestion ? ` Did you mean '${suggestion}'?` : ""} Programs: ${programs.join(", ")}; or give the path of your own, FILE.ts.`,
    );
  }
  const image = await buildProgramReporting(word);
  if ((await bootPrograms()).includes(image.name)) {
    throw new UserError(`${word}: the system itself needs a program called '${image.name}': rename the file`);
  }
  const bytes = readFileSync(image.file);
  return {
    name: image.name,
    files: [{ name: image.location, contents: loadablePart(bytes) }, ...lineFiles(image.name, bytes)],
    images: [image],
  };
}

/** The shell line that runs a program at a place. */
export function runLine(program: string, place: Place, words: readonly string[]): string {
  const odd = words.find((word) => word === "" || /\s/.test(word));
  if (odd !== undefined) {
    throw new UsageError(`argument "${odd}": the guest's arguments are words without blanks`);
  }
  const line = `run ${place === "kernel" ? "-k " : ""}${[program, ...words].join(" ")}`;
  if (words.length > MOST_WORDS || Buffer.byteLength(words.join(" ")) > MOST_ARGUMENT_BYTES) {
    throw new UsageError(
      `too many arguments: a program takes ${MOST_WORDS} words of ${MOST_ARGUMENT_BYTES} bytes in all`,
    );
  }
  return line;
}

/** Says on stderr how a run ended, when there is something to say. */
export function reportEnd({ message }: GuestOutcome): void {
  if (message) process.stderr.write(`rialto: ${message}\n`);
}
