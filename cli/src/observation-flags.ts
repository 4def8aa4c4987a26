/** The flags that watch a run, their help and their checks; apart from what they do, so that help loads fast. */
import type { Coverage } from "@rialto/machine/trace/coverage.ts";
import { DEFAULT_CATEGORIES, TRACE_CATEGORIES, type TraceCategory } from "@rialto/machine/trace/events.ts";
import type { Command } from "commander";
import { UsageError } from "./errors.ts";
import { nearest } from "./nearest.ts";

export interface TraceRequest {
  readonly file: string;
  readonly form: "lines" | "perfetto";
  readonly categories: readonly TraceCategory[];
}

export interface ProfileRequest {
  readonly files: readonly string[];
  readonly kind: "exact" | "sample";
  /** Cycles between samples. */
  readonly interval: number;
}

/** What is watched in a run; undefined fields are not. */
export interface ObservationRequest {
  readonly trace?: TraceRequest | undefined;
  readonly profile?: ProfileRequest | undefined;
  /** Gathers what ran. */
  readonly coverage?: Coverage | undefined;
  /** Images that are not of the system, with symbols. */
  readonly programs?: readonly { readonly name: string; readonly file: string }[];
}

/** Whether every instruction is watched, which only the interpreter can do. */
export function watchesInstructions(request: ObservationRequest | undefined): boolean {
  return request?.coverage !== undefined || request?.profile?.kind === "exact";
}

/** The flags as typed. */
export interface TraceFlags {
  readonly trace?: string;
  readonly traceEvents?: string;
}

export interface ProfileFlags {
  readonly profile: readonly string[];
  readonly profileKind: string;
  readonly profileEvery?: string;
}

const collect = (value: string, values: readonly string[]): string[] => [...values, value];

/** Adds the options of traces and profiles to a command. */
export function addObservationOptions(command: Command): Command {
  return command
    .option(
      "--trace <file>",
      "write traps, calls, switches: FILE.jsonl as JSON lines, FILE.json for Perfetto",
    )
    .option("--trace-events <list>", `what is traced: ${TRACE_CATEGORIES.join(",")}, or all`)
    .option(
      "--profile <file>",
      "write where the time went: FILE.txt, .folded or .svg (repeatable)",
      collect,
      [],
    )
    .option("--profile-kind <kind>", "exact (every instruction) or sample", "exact")
    .option("--profile-every <cycles>", "cycles between samples");
}

export const OBSERVATION_HELP = `
--trace FILE.jsonl writes one JSON object an event: exceptions and private traps, system calls and remote calls with the names of
interface and method, context switches and idle time, interrupts; TLB misses only when --trace-events names them or all.
--trace FILE.json is for ui.perfetto.dev or chrome://tracing: a track a thread, spans for calls, instants for traps, guest time.

--profile FILE.txt writes tables of cycles and instructions by space, function and source line; FILE.folded stacks for flame-graph tools;
FILE.svg a flame graph. 'exact' counts every instruction and cycle; 'sample' looks every --profile-every cycles (10000) and leaves the
machine its speed; it has chains of calls too, as far as a thread's own stacks reach. A watched run is the same run: it computes and counts what it would without.
`;

/** Undefined when nothing is traced. */
export function parseTraceFlags({ trace, traceEvents }: TraceFlags): TraceRequest | undefined {
  if (trace === undefined) {
    if (traceEvents === undefined) return undefined;
    throw new UsageError("--trace-events says what a trace holds: it needs --trace FILE");
  }
  const form = trace.endsWith(".jsonl") ? "lines" : trace.endsWith(".json") ? "perfetto" : undefined;
  if (form === undefined) {
    throw new UsageError(`--trace ${trace}: the name ends in .jsonl (JSON lines) or .json (for Perfetto)`);
  }
  return { file: trace, form, categories: parseCategories(traceEvents) };
}

function parseCategories(list: string | undefined): readonly TraceCategory[] {
  if (list === undefined) return DEFAULT_CATEGORIES;
  const names = list.split(",").filter((name) => name !== "");
  if (names.includes("all")) return TRACE_CATEGORIES;
  const known: readonly string[] = TRACE_CATEGORIES;
  const odd = names.find((name) => !known.includes(name));
  if (odd !== undefined || names.length === 0) {
    const guess = odd === undefined ? undefined : nearest(odd, [...known, "all"]);
    throw new UsageError(
      `--trace-events ${list}: it takes ${known.join(",")} or all.${guess ? ` Did you mean ${guess}?` : ""}`,
    );
  }
  return TRACE_CATEGORIES.filter((category) => names.includes(category));
}

const PROFILE_ENDINGS = [".txt", ".folded", ".svg"] as const;
const SAMPLE_EVERY = 10_000;

/** Undefined when nothing is profiled. */
export function parseProfileFlags({
  profile,
  profileKind,
  profileEvery,
}: ProfileFlags): ProfileRequest | undefined {
  const kinds = ["exact", "sample"] as const;
  const kind = kinds.find((known) => known === profileKind);
  if (kind === undefined) {
    const guess = nearest(profileKind, kinds);
    throw new UsageError(
      `--profile-kind ${profileKind}: it takes exact or sample.${guess ? ` Did you mean ${guess}?` : ""}`,
    );
  }
  if (profileEvery !== undefined && kind !== "sample") {
    throw new UsageError("--profile-every says how often a sample is taken: it needs --profile-kind sample");
  }
  const interval = Number(profileEvery ?? SAMPLE_EVERY);
  if (!Number.isSafeInteger(interval) || interval < 100) {
    throw new UsageError(`--profile-every ${profileEvery}: it takes a number of cycles, 100 or more`);
  }
  const odd = profile.find((file) => !PROFILE_ENDINGS.some((ending) => file.endsWith(ending)));
  if (odd !== undefined) {
    throw new UsageError(
      `--profile ${odd}: the name ends in .txt (tables), .folded (stacks) or .svg (flame graph)`,
    );
  }
  return profile.length === 0 ? undefined : { files: profile, kind, interval };
}

/** What the flags of a command watch; undefined for nothing. */
export function parseObservation(flags: TraceFlags & ProfileFlags): ObservationRequest | undefined {
  const trace = parseTraceFlags(flags);
  const profile = parseProfileFlags(flags);
  return trace || profile ? { trace, profile } : undefined;
}
