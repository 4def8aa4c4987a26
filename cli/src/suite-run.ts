/** Runs the guest's test suite and reads its report. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import type { BootHost } from "./boot.ts";
import { UsageError } from "./errors.ts";
import { type GuestOutcome, type Place, reportEnd, runGuest, runLine } from "./guest-run.ts";
import { nearest } from "./nearest.ts";
import type { ObservationRequest } from "./observation-flags.ts";

/** Names of the suite's groups, as its main function tells them apart. */
function suiteGroups(): string[] {
  const source = readFileSync(join(REPOSITORY, "os/tests/suite/main.ts"), "utf8");
  return [
    ...new Set([...source.matchAll(/wanted\(group, text\("([a-z-]+)"\)\)/g)].map((match) => match[1]!)),
  ];
}

/** Milliseconds between trims of stacks: the usual ten seconds would be long for a case to wait. */
export const TRIM_INTERVAL = "500";

/** Stands for all groups. */
const ALL = "all";

export interface SuiteRequest {
  readonly group: string | undefined;
  /** Names of cases of the group: only those run. All if there are none. */
  readonly cases?: readonly string[];
  readonly places: readonly Place[];
  readonly on: BootHost;
  readonly memory: number;
  /** Boot options. */
  readonly options: ReadonlyMap<string, string>;
  /** Whether hot code is compiled, when it was said. */
  readonly jit?: "on" | "off" | undefined;
  /** Seconds that one run may take. */
  readonly limit: number;
  readonly observation?: ObservationRequest | undefined;
}

export interface SuiteReport {
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  /** Did the suite reach its last line, and does that agree with the lines before? */
  readonly complete: boolean;
}

export function checkGroup(group: string): string {
  const groups = [ALL, ...suiteGroups()];
  if (groups.includes(group)) return group;
  const suggestion = nearest(group, groups);
  throw new UsageError(
    `no group '${group}' in the suite.${suggestion ? ` Did you mean '${suggestion}'?` : ""} Groups: ${groups.join(", ")}.`,
  );
}

/** Reads "ok NAME", "FAILED NAME" and the last line, "N passed, N failed". */
export function readReport(text: string): SuiteReport {
  const names = (word: string) =>
    [...text.matchAll(new RegExp(`^${word} (.+)$`, "gm"))].map((match) => match[1]!);
  const passed = names("ok");
  const failed = names("FAILED");
  const last = /^(\d+) passed, (\d+) failed$/m.exec(text);
  const complete = Number(last?.[1]) === passed.length && Number(last?.[2]) === failed.length;
  return { passed, failed, complete };
}

const noCase = (name: string, group: string) =>
  new UsageError(
    `no case '${name}' in ${group === ALL ? "the suite" : `the group '${group}'`}: its cases are the lines "ok NAME" of a run without names`,
  );

export async function runSuite(
  request: SuiteRequest,
  place: Place,
  show: "stdout" | "nothing",
): Promise<{ readonly outcome: GuestOutcome; readonly report: SuiteReport }> {
  const { on, memory, limit, observation, jit, group = ALL, cases = [] } = request;
  const options = new Map([["trim", TRIM_INTERVAL], ...request.options]);
  const lines = [runLine("suite", place, [group, ...cases])];
  const outcome = await runGuest({ on, memory, options, limit, show, observation, jit, lines });
  const report = readReport(outcome.text);
  const lacking = cases.find((name) => !report.passed.includes(name) && !report.failed.includes(name));
  if (report.complete && lacking !== undefined) throw noCase(lacking, group);
  return { outcome, report };
}

/** Runs the suite at every place, streaming its output, and sums up. Exit status. */
export async function runSuites(request: SuiteRequest): Promise<number> {
  const summary: string[] = [];
  let good = true;
  for (const place of request.places) {
    const where = `${place === "kernel" ? "in the kernel" : "in a process"}, on ${request.on === "qemu" ? "QEMU" : "our machine"}`;
    process.stdout.write(`suite ${where}\n`);
    const { outcome, report } = await runSuite(request, place, "stdout");
    reportEnd(outcome);
    const { passed, failed, complete } = report;
    const ending = complete ? "" : "; the suite did not reach its end";
    summary.push(`${where}: ${passed.length} passed, ${failed.length} failed${ending}\n`);
    if (failed.length > 0) summary.push(...failed.map((name) => `  FAILED ${name}\n`));
    good &&= complete && failed.length === 0 && passed.length > 0 && outcome.status === 0;
  }
  process.stdout.write(`\n${summary.join("")}`);
  return good ? 0 : 1;
}
