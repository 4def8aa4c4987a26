/** `rialto bench`: speed of the machine, path lengths of the kernel, quality of generated code. */

import type { CycleModelName } from "@rialto/machine/i386/cycles.ts";
import type { Command } from "commander";
import type { CodeComparison } from "../bench/generated-code.ts";

interface BenchFlags {
  readonly memory: string;
  readonly cycleModel: string;
  readonly set: readonly string[];
  readonly scale?: boolean;
  readonly json?: boolean;
  readonly only?: string;
  readonly engines?: string;
  readonly runs: string;
}

const SUBJECTS = ["machine", "start", "kernel", "traps", "designs", "toolchain"] as const;

const EXAMPLES = `
machine    speed of our machine, compiled and interpreted, beside v86, QEMU and Bochs where they are installed
start      time, processor time and memory until the system is at its prompt, in Node and in Chromium, compiled and interpreted
kernel     instructions and cycles of calls, switches, faults, programs made and ended (os/tests/kernelbench), in a process and in the kernel
           with --scale the same operations among up to 1,000 threads, regions, objects and processes (-m 64M has room for as many)
traps      cycles of task gates and of traps from each ring, beside the paper's Table 7-3
designs    the trap designs (traps=) by what they cost the kernel, the stack policies (stacks=) by the memory they take, beside the paper's figures
toolchain  size and instruction counts of small programs, against gcc -m32 -O2 -march=pentium where it is installed
`;

function print(text: string): void {
  process.stdout.write(text);
}

async function ambientDeclarations(): Promise<string> {
  const { readFileSync } = await import("node:fs");
  const { REPOSITORY } = await import("@rialto/toolchain/build/system.ts");
  return readFileSync(`${REPOSITORY}os/ambient.d.ts`, "utf8");
}

async function benchMachine(
  json: boolean,
  only: string | undefined,
  runs: number,
  engineList: string | undefined,
): Promise<void> {
  const { measureSpeed, speedRatio } = await import("../bench/machine-speed.ts");
  const { ENGINES } = await import("../bench/engines.ts");
  const { formatColumns } = await import("../bench/reports.ts");
  const { UsageError } = await import("../errors.ts");
  const onTerminal = process.stderr.isTTY;
  const engines = engineList?.split(",").map((word) => {
    const engine = ENGINES.find((name) => name === word);
    if (engine === undefined)
      throw new UsageError(`--engines ${engineList}: it takes a list of ${ENGINES.join(", ")}`);
    return engine;
  });
  const report = await measureSpeed(
    await ambientDeclarations(),
    { only, runs, engines },
    (text) => {
      if (onTerminal) process.stderr.write(`\r\x1b[K${text}`);
    },
    ({ name, unit, figures }) => {
      const medians = Object.entries(figures).map(([engine, { median }]) => `${engine} ${median.toFixed(0)}`);
      process.stderr.write(`${onTerminal ? "\r\x1b[K" : ""}${name} (${unit}): ${medians.join(", ")}\n`);
    },
  );
  if (onTerminal) process.stderr.write("\r\x1b[K");
  if (report.rows.length === 0)
    throw new UsageError(`--only ${only}: no row of the bench has that in its name`);
  if (json) {
    print(`${JSON.stringify({ runs, node: process.version, ...report }, null, 2)}\n`);
    return;
  }
  const others = ENGINES.filter((engine) => engine !== "jit" && report.start[engine] !== undefined);
  const cells = report.rows.map(({ name, unit, figures }) => {
    const { jit } = figures;
    const value = (figure: { median: number; least: number; most: number } | undefined) =>
      figure === undefined
        ? "-"
        : `${figure.median.toFixed(0)} (${figure.least.toFixed(0)}-${figure.most.toFixed(0)})`;
    const ratios = others.map((engine) => {
      const other = figures[engine];
      return jit && other ? speedRatio(unit, jit.median, other.median).toFixed(2) : "-";
    });
    return [name, unit, value(jit), ...others.flatMap((engine, i) => [value(figures[engine]), ratios[i]!])];
  });
  const header = ["", "", "jit", ...others.flatMap((engine) => [engine, "jit is ×"])];
  print(formatColumns([header, ...cells]));
  const starts = Object.entries(report.start).map(([engine, time]) => `${engine} ${time.toFixed(0)} ms`);
  print(`\nTo the first mark: ${starts.join(", ")}.\n`);
  for (const [engine, reason] of Object.entries(report.missing)) print(`${engine} left out: ${reason}.\n`);
  print(
    `\nMedian (least-most) of ${runs} runs in processes of their own, engines by turns; processor time; Node ${process.version}. MIPS: million guest instructions a second.\n`,
  );
}

async function benchStart(json: boolean, runs: number): Promise<void> {
  const { formatStart, measureStart } = await import("../bench/start.ts");
  const report = await measureStart(runs);
  print(json ? `${JSON.stringify(report, null, 2)}\n` : formatStart(report));
}

async function benchKernel(
  json: boolean,
  memory: number,
  cycleModel: CycleModelName,
  options: ReadonlyMap<string, string>,
): Promise<void> {
  const { measurePaths } = await import("../bench/kernel-paths.ts");
  const { formatColumns } = await import("../bench/reports.ts");
  const user = await measurePaths("process", memory, cycleModel, options);
  const kernel = await measurePaths("kernel", memory, cycleModel, options);
  if (json) {
    print(
      `${JSON.stringify({ model: user.model, process: user.paths, kernel: kernel.paths, timed: { process: user.timed, kernel: kernel.timed } }, null, 2)}\n`,
    );
    return;
  }
  const number = (value: number | undefined) => (value === undefined ? "" : value.toFixed(1));
  const cells = user.paths.map((path) => {
    const other = kernel.paths.find(({ operation }) => operation === path.operation);
    return [
      path.operation,
      ...[path, other].flatMap((each) => [
        number(each?.instructions),
        number(each?.cycles),
        number(each?.transitions),
      ]),
    ];
  });
  const timedCells = user.timed.map(({ operation, cycles }, index) => [
    operation,
    ...["", number(cycles), "", "", number(kernel.timed[index]?.cycles), ""],
  ]);
  const columns = ["instr.", "cycles", "rings"];
  print(
    formatColumns([
      ["", "", "process", "", "", "kernel", ""],
      ["a round", ...columns, ...columns],
      ...cells,
      ...timedCells,
    ]),
  );
  for (const what of new Set([...user.without, ...kernel.without])) print(`\nNot measured: ${what}.`);
  print(`\nCycle model '${user.model}', idle cycles left out; rings counts ring transitions.\n`);
}

async function benchTraps(json: boolean): Promise<void> {
  const { formatTrapReport, trapReport } = await import("../bench/trap-report.ts");
  const report = trapReport();
  print(json ? `${JSON.stringify(report, null, 2)}\n` : formatTrapReport(report));
}

async function benchScale(
  json: boolean,
  memory: number,
  cycleModel: CycleModelName,
  options: ReadonlyMap<string, string>,
): Promise<void> {
  const { measurePaths } = await import("../bench/kernel-paths.ts");
  const { scaleCells, scaleRows } = await import("../bench/kernel-scale.ts");
  const { formatColumns } = await import("../bench/reports.ts");
  const user = scaleRows((await measurePaths("process", memory, cycleModel, options, "scale")).paths);
  const kernel = scaleRows((await measurePaths("kernel", memory, cycleModel, options, "scale")).paths);
  if (json) {
    const plain = (rows: typeof user) =>
      rows.map((row) => ({ ...row, instructions: Object.fromEntries(row.instructions) }));
    print(`${JSON.stringify({ process: plain(user), kernel: plain(kernel) }, null, 2)}\n`);
    return;
  }
  print(formatColumns(scaleCells(user, kernel)));
  print(
    "\nInstructions of one operation; left the bench in a process, right in the kernel. Counts are of what there is besides.\n",
  );
}

/** Seconds of the guest's time for the stacks: trimming comes every ten. */
const WORKLOAD_SECONDS = 60;

async function benchDesigns(json: boolean, memory: number, cycleModel: CycleModelName): Promise<void> {
  const { formatDesigns, measureDesigns } = await import("../bench/designs.ts");
  const report = await measureDesigns(memory, cycleModel, WORKLOAD_SECONDS);
  print(json ? `${JSON.stringify(report, null, 2)}\n` : formatDesigns(report));
}

async function benchToolchain(json: boolean): Promise<void> {
  const { GCC, gccAvailable, measureGcc, measureOurs } = await import("../bench/generated-code.ts");
  const { BENCH_PROGRAMS } = await import("../bench/programs.ts");
  const { formatColumns, geometricMean, thousands } = await import("../bench/reports.ts");
  const { UserError } = await import("../errors.ts");
  const ambient = await ambientDeclarations();
  const withGcc = gccAvailable();
  const rows: CodeComparison[] = [];
  for (const program of BENCH_PROGRAMS) {
    const ours = await measureOurs(program, ambient);
    const gcc = withGcc ? measureGcc(program) : undefined;
    if (gcc && gcc.result !== ours.result) {
      throw new UserError(`"${program.name}": our code gives ${ours.result}, gcc's ${gcc.result}`);
    }
    rows.push({ program: program.name, ours, gcc });
  }
  const ratios = (field: "bytes" | "instructions" | "cycles") =>
    withGcc ? geometricMean(rows.map(({ ours, gcc }) => ours[field] / gcc![field])) : undefined;
  const mean = { bytes: ratios("bytes"), instructions: ratios("instructions"), cycles: ratios("cycles") };
  if (json) {
    print(
      `${JSON.stringify({ gcc: withGcc ? GCC.join(" ") : null, rows, geometricMeans: mean }, null, 2)}\n`,
    );
    return;
  }
  const ratio = (a: number, b: number | undefined) => (b === undefined ? "" : (a / b).toFixed(2));
  const cells = rows.map(({ program, ours, gcc }) => [
    program,
    ...(["bytes", "instructions", "cycles"] as const).flatMap((field) => [
      thousands(ours[field]),
      gcc ? thousands(gcc[field]) : "",
      ratio(ours[field], gcc?.[field]),
    ]),
    ours.buildMilliseconds.toFixed(0),
    gcc ? gcc.buildMilliseconds.toFixed(0) : "",
  ]);
  const header = [
    "",
    ...["bytes", "instr.", "cycles"].flatMap((name) => [name, "gcc", "ratio"]),
    "build ms",
    "gcc",
  ];
  const means = ["geometric mean", "", "", mean.bytes, "", "", mean.instructions, "", "", mean.cycles].map(
    (cell) => (typeof cell === "number" ? cell.toFixed(2) : (cell ?? "")),
  );
  print(formatColumns([header, ...cells, ...(withGcc ? [means] : [])]));
  print(
    withGcc
      ? `\nAgainst gcc ${GCC.join(" ")}; both run on our machine, cycle model 'fast'.\n`
      : "\ngcc with 32-bit support is not installed, so there is nothing to compare with.\n",
  );
}

export function register(program: Command): void {
  program
    .command("bench <subject>")
    .usage("[options] machine|start|kernel|traps|designs|toolchain")
    .description("measure the machine, its start, the kernel, traps, the kernel's designs, or the toolchain")
    .option("-m, --memory <size>", "size of RAM (kernel, designs)", "16M")
    .option("--only <text>", "rows whose name has this in it (machine)")
    .option("--engines <list>", "interpreter,jit,detailed,v86,qemu,bochs or some of them (machine)")
    .option("--runs <count>", "runs of each row on each engine (machine, start)", "5")
    .option("--cycle-model <name>", "fast, detailed or instructions (kernel, designs)", "fast")
    .option(
      "--set <key=value>",
      "set a boot option (kernel; repeatable)",
      (value, before: string[]) => [...before, value],
      [],
    )
    .option("--scale", "the same operations among up to 1,000 threads, regions, objects, processes (kernel)")
    .option("--json", "print one JSON object")
    .addHelpText("after", EXAMPLES)
    .action(async (subject: string, flags: BenchFlags) => {
      const { UsageError } = await import("../errors.ts");
      const { parseCycleModel } = await import("../cycle-model-flag.ts");
      const { nearest } = await import("../nearest.ts");
      const { bootOptions } = await import("../boot-flags.ts");
      const { parseMemorySize } = await import("../sizes.ts");
      const parseRuns = (text: string) => {
        if (/^[1-9]\d?$/.test(text)) return Number(text);
        throw new UsageError(`--runs ${text}: it takes a number from 1 to 99`);
      };
      const json = flags.json === true;
      switch (subject) {
        case "machine":
          return benchMachine(json, flags.only, parseRuns(flags.runs), flags.engines);
        case "start":
          return benchStart(json, parseRuns(flags.runs));
        case "kernel":
          return (flags.scale ? benchScale : benchKernel)(
            json,
            parseMemorySize(flags.memory),
            parseCycleModel(flags.cycleModel),
            bootOptions([], flags.set),
          );
        case "traps":
          return benchTraps(json);
        case "designs":
          return benchDesigns(json, parseMemorySize(flags.memory), parseCycleModel(flags.cycleModel));
        case "toolchain":
          return benchToolchain(json);
      }
      const suggestion = nearest(subject, SUBJECTS);
      throw new UsageError(
        `no bench '${subject}'.${suggestion ? ` Did you mean '${suggestion}'?` : ""} Benches: ${SUBJECTS.join(", ")}.`,
      );
    });
}
