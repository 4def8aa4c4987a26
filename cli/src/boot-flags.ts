/** Flags that several commands that boot share, turned into a request. */
import type { BootHost } from "./boot.ts";
import { UsageError, UserError } from "./errors.ts";
import type { Place } from "./guest-run.ts";
import { readInputFile } from "./machine-run.ts";
import { nearest } from "./nearest.ts";

const HOSTS: readonly BootHost[] = ["rialto", "qemu"];
const PLACES = ["kernel", "process"] as const;

function oneOf<T extends string>(flag: string, value: string, known: readonly T[]): T {
  const found = known.find((name) => name === value);
  if (found !== undefined) return found;
  const suggestion = nearest(value, known);
  throw new UsageError(
    `${flag} ${value}: it takes ${known.join(" or ")}.${suggestion ? ` Did you mean ${suggestion}?` : ""}`,
  );
}

export function parseHost(value: string): BootHost {
  return oneOf("--on", value, HOSTS);
}

export function parsePlace(value: string): Place {
  return oneOf("--in", value, PLACES);
}

/** "kernel", "process" or "both". */
export function parsePlaces(value: string): readonly Place[] {
  const place = oneOf("--in", value, [...PLACES, "both"] as const);
  return place === "both" ? ["process", "kernel"] : [place];
}

/** The Pentium board is the one that exists; the R3000's name is known already. */
export function checkBoard(value: string): void {
  if (oneOf("--board", value, ["pentium", "r3000"]) === "r3000") {
    throw new UserError("--board r3000: not there yet. The Pentium board is (--board pentium).");
  }
}

export function parseSeconds(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const seconds = Number(value);
  if (!(seconds > 0 && seconds <= 86400)) {
    throw new UsageError(`--timeout ${value}: it takes a number of seconds, up to 86400`);
  }
  return seconds;
}

function splitPair(flag: string, text: string): [string, string] {
  const at = text.indexOf("=");
  if (at <= 0 || at === text.length - 1) throw new UsageError(`${flag} ${text}: write it as NAME=VALUE`);
  const pair: [string, string] = [text.slice(0, at), text.slice(at + 1)];
  if (/\s/.test(text)) throw new UsageError(`${flag} ${text}: names and values have no blanks`);
  return pair;
}

/** The kernel's options from --place and --set. */
export function bootOptions(place: readonly string[], set: readonly string[]): Map<string, string> {
  const options = new Map<string, string>();
  for (const text of place) {
    const [service, where] = splitPair("--place", text);
    options.set(`place.${service}`, oneOf("--place", where, PLACES));
  }
  for (const text of set) {
    const [key, value] = splitPair("--set", text);
    options.set(key, value);
  }
  return options;
}

/** The shell lines of --exec and --script together, undefined when there are none. */
export function scriptOf(exec: readonly string[], file: string | undefined): string | undefined {
  const lines = [...exec];
  if (file !== undefined) lines.unshift(new TextDecoder().decode(readInputFile(file, "script")).trimEnd());
  return lines.length === 0 ? undefined : lines.map((line) => `${line}\n`).join("");
}
