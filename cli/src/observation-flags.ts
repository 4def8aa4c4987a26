/** The flags that watch a run, their help and their checks; apart from what they do, so that help loads fast. */
import { DEFAULT_CATEGORIES, TRACE_CATEGORIES, type TraceCategory } from "@rialto/machine/trace/events.ts";
import { UsageError } from "./errors.ts";
import { nearest } from "./nearest.ts";

export interface TraceRequest {
  readonly file: string;
  readonly form: "lines" | "perfetto";
  readonly categories: readonly TraceCategory[];
}

/** What is watched in a run; undefined fields are not. */
export interface ObservationRequest {
  readonly trace?: TraceRequest | undefined;
}

/** The flags as typed. */
export interface TraceFlags {
  readonly trace?: string;
  readonly traceEvents?: string;
}

export const TRACE_OPTIONS = [
  ["--trace <file>", "write traps, calls and switches: FILE.jsonl as JSON lines, FILE.json for Perfetto"],
  ["--trace-events <list>", `what is traced: ${TRACE_CATEGORIES.join(",")}, or all`],
] as const;

export const TRACE_HELP = `
--trace FILE.jsonl writes one JSON object an event: exceptions and private traps, system calls and remote calls with the names of
interface and method, context switches and idle time, interrupts; TLB misses only when --trace-events names them or all.
--trace FILE.json is for ui.perfetto.dev or chrome://tracing: a track a thread, spans for calls, instants for traps, guest time. A traced
run is the same run: it computes and counts what it would without.
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
