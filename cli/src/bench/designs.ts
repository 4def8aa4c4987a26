/**
 * What the paper's alternatives cost, by booting each: the trap designs of §7.4 under the kernel's own bench (kernel-paths.ts), and the stack
 * policies of Figure 7-2 under the threads of a set-top box (os/tests/stackload/settop.ts), as the kernel's counters tell it.
 */
import type { CycleModelName } from "@rialto/machine/i386/cycles.ts";
import { UserError } from "../errors.ts";
import { type Place, reportEnd, runGuest, runLine } from "../guest-run.ts";
import { type KernelBench, measurePaths } from "./kernel-paths.ts";
import { formatColumns } from "./reports.ts";

export const TRAP_DESIGNS = ["ring1", "taskgate", "ring0"] as const;
type TrapDesign = (typeof TRAP_DESIGNS)[number];

/** What the trap designs are compared by; the operations are the kernel bench's. */
const OPERATIONS: readonly { readonly name: string; readonly place: Place; readonly operation: string }[] = [
  ["device interrupt", "process", "device interrupt (clock), what it takes from whoever runs"],
  ["device interrupt", "kernel", "device interrupt (clock), what it takes from whoever runs"],
  ["private trap", "process", "private trap"],
  ["private trap", "kernel", "private trap"],
  ["thread switch by yielding", "process", "thread switch by yielding"],
  ["null call of the kernel", "process", "null call, server in the kernel"],
  ["null call of a process", "process", "null call, server in a process"],
  ["page fault, first touch", "process", "page fault, first touch"],
  ["page fault, kernel stack", "kernel", "page fault, growth of the stack"],
].map(([name, place, operation]) => ({ name: name!, place: place as Place, operation: operation! }));

/** Table 7-3, in the scenario: microseconds of a transition that a device interrupt makes. */
const PAPER_TRANSITIONS: Record<Place, Record<TrapDesign, number>> = {
  process: { ring1: 49.5, taskgate: 134.0, ring0: 49.5 },
  kernel: { ring1: 46.4, taskgate: 134.0, ring0: 44.1 },
};

export interface TrapDesignCost {
  readonly design: TrapDesign;
  readonly place: Place;
  readonly operation: string;
  /** Undefined for what the kernel bench times by itself. */
  readonly instructions: number | undefined;
  /** Undefined where the design rules the operation out. */
  readonly cycles: number | undefined;
}

export const STACK_POLICIES = ["trimmed", "untrimmed", "fixed", "dedicated"] as const;
type StackPolicy = (typeof STACK_POLICIES)[number];

/** Figure 7-2 and §7.3: stack pages in the mean, of 58.70 threads. */
const PAPER_PAGES: Record<StackPolicy, number> = {
  trimmed: 62.68,
  untrimmed: 80.7,
  fixed: 128.48,
  dedicated: 178.79,
};
const PAPER_THREADS = 58.7;

/** Of one kind of stacks; pages. */
interface StackUse {
  readonly mean: number;
  readonly peak: number;
  readonly trimmed: number;
}

export interface PolicyUse {
  readonly policy: StackPolicy;
  /** Pages of a kernel stack from the start. */
  readonly firstPages: number;
  readonly threads: { readonly mean: number; readonly peak: number };
  readonly kernel: StackUse & { readonly deepest: number; readonly faults: number };
  readonly user: StackUse;
  /** Of all stacks, in the mean over the time since boot. */
  readonly pages: number;
  readonly paperPages: number;
}

export interface DesignsReport {
  readonly model: string;
  readonly traps: readonly TrapDesignCost[];
  readonly workload: string;
  readonly stacks: readonly PolicyUse[];
}

function costsOf(design: TrapDesign, benches: Record<Place, KernelBench>): TrapDesignCost[] {
  return OPERATIONS.map(({ name, place, operation }) => {
    const { paths, timed } = benches[place];
    const path = paths.find((each) => each.operation === operation);
    const cycles = path?.cycles ?? timed.find((each) => each.operation === operation)?.cycles;
    return { design, place, operation: name, instructions: path?.instructions, cycles };
  });
}

async function measureTrapDesign(
  design: TrapDesign,
  memory: number,
  model: CycleModelName,
): Promise<{ readonly model: string; readonly costs: readonly TrapDesignCost[] }> {
  const options = new Map([["traps", design]]);
  const user = await measurePaths("process", memory, model, options);
  const kernel = await measurePaths("kernel", memory, model, options);
  return { model: user.model, costs: costsOf(design, { process: user, kernel }) };
}

/** Runs the workload; `firstPages` is the size of stacks that do not grow. */
async function measurePolicy(
  policy: StackPolicy,
  firstPages: number,
  memory: number,
  seconds: number,
): Promise<PolicyUse> {
  const grows = policy === "trimmed" || policy === "untrimmed";
  const options = new Map<string, string>([["stacks", policy]]);
  if (!grows) options.set("stackpages", `${firstPages}`);
  const lines = [runLine("stackload", "process", ["settop", `${seconds}`])];
  const outcome = await runGuest({ on: "rialto", lines, memory, options, show: "nothing" });
  if (outcome.status !== 0) {
    reportEnd(outcome);
    throw new UserError(
      `stackload settop with stacks=${policy} ended with status ${outcome.status}:\n${outcome.text}`,
    );
  }
  const { counters } = outcome.statistics!;
  const counter = (name: string) => {
    const value = counters[name];
    if (value === undefined) throw new UserError(`the kernel told no counter ${name}`);
    return value;
  };
  const use = (kind: "kernel" | "user"): StackUse => ({
    mean: counter(`stacks.${kind}.meanThousandths`) / 1000,
    peak: counter(`stacks.${kind}.peak`),
    trimmed: counter(`stacks.${kind}.trimmed`),
  });
  const [kernel, user] = [use("kernel"), use("user")];
  return {
    policy,
    firstPages: grows ? 1 : firstPages,
    threads: { mean: counter("threads.meanThousandths") / 1000, peak: counter("threads.peak") },
    kernel: { ...kernel, deepest: counter("stacks.kernel.deepest"), faults: counter("stacks.kernel.faults") },
    user,
    pages: kernel.mean + user.mean,
    paperPages: PAPER_PAGES[policy],
  };
}

/** Stacks that do not grow get as many pages as the deepest one had when they grew, as in the paper. */
async function measurePolicies(memory: number, seconds: number): Promise<PolicyUse[]> {
  const uses: PolicyUse[] = [];
  for (const policy of STACK_POLICIES)
    uses.push(await measurePolicy(policy, uses[0]?.kernel.deepest ?? 1, memory, seconds));
  return uses;
}

export async function measureDesigns(
  memory: number,
  cycleModel: CycleModelName,
  seconds: number,
): Promise<DesignsReport> {
  const traps: TrapDesignCost[] = [];
  let model = "";
  for (const design of TRAP_DESIGNS) {
    const measured = await measureTrapDesign(design, memory, cycleModel);
    model = measured.model;
    traps.push(...measured.costs);
  }
  const stacks = await measurePolicies(memory, seconds);
  return { model, traps, workload: `stackload settop ${seconds}`, stacks };
}

const FROM: Record<Place, string> = { process: "from a process", kernel: "in the kernel" };

function formatTraps({ traps }: DesignsReport): string {
  const whole = (value: number | undefined) => (value === undefined ? "-" : value.toFixed(0));
  const rows = OPERATIONS.map(({ name, place }) => {
    const cells = TRAP_DESIGNS.flatMap((design) => {
      const cost = traps.find(
        (each) => each.design === design && each.operation === name && each.place === place,
      );
      return [whole(cost?.instructions), whole(cost?.cycles)];
    });
    return [`${name}, ${FROM[place]}`, ...cells];
  });
  const paper = (["process", "kernel"] as const).map((place) => [
    `paper: a transition, ${FROM[place]}, µs`,
    ...TRAP_DESIGNS.flatMap((design) => ["", PAPER_TRANSITIONS[place][design].toFixed(1)]),
  ]);
  return formatColumns([
    ["traps=", ...TRAP_DESIGNS.flatMap((design) => ["", design])],
    ["", ...TRAP_DESIGNS.flatMap(() => ["instr.", "cycles"])],
    ...rows,
    ...paper,
  ]);
}

function formatStacks({ stacks }: DesignsReport): string {
  const least = stacks[0]!.pages;
  const rows = stacks.map(({ policy, firstPages, threads, kernel, user, pages, paperPages }) => [
    policy,
    threads.mean.toFixed(2),
    `${firstPages}`,
    kernel.mean.toFixed(2),
    `${kernel.peak}`,
    `${kernel.faults}`,
    `${kernel.trimmed}`,
    user.mean.toFixed(2),
    `${user.peak}`,
    `${user.trimmed}`,
    pages.toFixed(2),
    (pages / least).toFixed(2),
    paperPages.toFixed(2),
    (paperPages / PAPER_PAGES.trimmed).toFixed(2),
  ]);
  return formatColumns([
    ["stacks=", "", "", "kernel", "", "", "", "user", "", "", "all", "", "paper", ""],
    ["", "threads", "first", "mean", "peak", "faults", "trim", "mean", "peak", "trim"].concat([
      "mean",
      "ratio",
      "mean",
      "ratio",
    ]),
    ...rows,
  ]);
}

export function formatDesigns(report: DesignsReport): string {
  const deepest = report.stacks[0]!.kernel.deepest;
  return `${formatTraps(report)}
Cycle model '${report.model}', idle cycles left out. -: instructions are not told for what the program itself times; stacks do not grow with ring0.
paper: Table 7-3, means of the scenario.

${formatStacks(report)}
Pages of 4 KB under '${report.workload}', in the mean over the time since boot, at most, and how many were trimmed. first: pages of a kernel
stack from the start; ${deepest} is what the deepest one had when they grew. faults: on kernel stacks. paper: Figure 7-2 and §7.3, of ${PAPER_THREADS.toFixed(2)} threads.
`;
}
