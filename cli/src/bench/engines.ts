/**
 * Machines that run a bare multiboot image for its speed. Each run has a process of its own, so that a host's compiler specialises on one
 * image, and reports processor time between the marks that the image sends (see machine/src/bench/system-images.ts): other processes'
 * load shows in it only through the caches.
 *
 * Our machine and v86 run in a child that reads its own clock at every mark (engine-process.ts). QEMU and Bochs are read from outside,
 * from /proc, when a mark arrives; where there is no /proc, wall time stands for processor time.
 */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeBochsFolder } from "@rialto/machine/test/bochs.ts";

/** Ours three times: interpreted, compiled, and compiled with the detailed cycle model. */
export const ENGINES = ["interpreter", "jit", "detailed", "v86", "qemu", "bochs"] as const;
export type EngineName = (typeof ENGINES)[number];

export interface EngineRun {
  /** Milliseconds of processor time between marks. */
  readonly intervals: readonly number[];
  /** Milliseconds from the start of the process to the first mark. */
  readonly start: number;
}

const MEMORY = 16 * 2 ** 20;

/** Why an engine cannot run here; undefined when it can. */
export function whyMissing(engine: EngineName): string | undefined {
  switch (engine) {
    case "v86":
      try {
        import.meta.resolve("v86");
        return undefined;
      } catch {
        return "the package v86 is not installed (npm ci installs it)";
      }
    case "qemu":
    case "bochs": {
      const program = engine === "qemu" ? "qemu-system-i386" : "bochs";
      if (spawnSync(program, ["--help"], { stdio: "ignore" }).error) return `${program} is not installed`;
      // Without it marks would arrive when a buffer is full.
      if (engine === "bochs" && spawnSync("stdbuf", ["--help"], { stdio: "ignore" }).error)
        return "stdbuf is not installed";
      return undefined;
    }
    default:
      return undefined;
  }
}

/** Milliseconds of processor time that all threads of a process have had. */
function processorTimeOf(pid: number): number {
  try {
    const threads = `/proc/${pid}/task`;
    return readdirSync(threads).reduce((sum, thread) => {
      const [nanoseconds] = readFileSync(`${threads}/${thread}/schedstat`, "ascii").split(" ");
      return sum + Number(nanoseconds) / 1e6;
    }, 0);
  } catch {
    return performance.now();
  }
}

interface Running {
  readonly child: ChildProcess;
  /** Takes what came out; returns the times of marks in it. */
  readonly marks: (output: string) => readonly number[];
}

function startChild(engine: EngineName, folder: string): Running {
  const script = fileURLToPath(new URL("../../bin/engine.mjs", import.meta.url));
  const child = spawn(process.execPath, [script, engine, join(folder, "kernel"), String(MEMORY)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let rest = "";
  return {
    child,
    marks(output) {
      const lines = (rest + output).split("\n");
      rest = lines.pop()!;
      return lines.map(Number);
    },
  };
}

/** One mark for every byte "." of the guest's. */
function watched(child: ChildProcess): Running {
  return {
    child,
    marks: (output) => {
      const now = processorTimeOf(child.pid!);
      return [...output].filter((character) => character === ".").map(() => now);
    },
  };
}

function startQemu(folder: string): Running {
  const flags = [
    ...["-accel", "tcg", "-kernel", "kernel", "-m", `${MEMORY / 2 ** 20}`, "-display", "none"],
    ...["-serial", "null", "-debugcon", "stdio", "-net", "none", "-monitor", "none"],
  ];
  return watched(spawn("qemu-system-i386", flags, { cwd: folder, stdio: ["ignore", "pipe", "ignore"] }));
}

function startBochs(folder: string, image: Uint8Array): Running {
  writeBochsFolder(folder, image, { memory: MEMORY, commandLine: "", modules: [] });
  const child = spawn("stdbuf", ["-o0", "bochs", "-q", "-f", "bochsrc", "-rc", "commands"], {
    cwd: folder,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const { marks } = watched(child);
  // Bochs prints its own lines first; the last of them names the reset vector.
  let before: string | undefined = "";
  return {
    child,
    marks(output) {
      if (before === undefined) return marks(output);
      before += output;
      const [, guest] = /^\(0\) \[0x0000fffffff0\].*\n([\s\S]*)/m.exec(before) ?? [];
      if (guest === undefined) return [];
      before = undefined;
      return marks(guest);
    },
  };
}

function start(engine: EngineName, folder: string, image: Uint8Array): Running {
  switch (engine) {
    case "qemu":
      return startQemu(folder);
    case "bochs":
      return startBochs(folder, image);
    default:
      return startChild(engine, folder);
  }
}

/** How long an image runs. */
export interface RunLength {
  /** Intervals between marks; with `enough`, at most. */
  readonly intervals: number;
  /** Milliseconds of processor time behind the first mark, and intervals, after which it may stop before. */
  readonly enough?: { readonly milliseconds: number; readonly intervals: number };
  /** Seconds of wall time. */
  readonly limit: number;
}

/** Runs an image as long as it says. */
export async function runEngine(
  engine: EngineName,
  image: Uint8Array,
  { intervals, enough, limit }: RunLength,
): Promise<EngineRun> {
  const folder = mkdtempSync(join(tmpdir(), "rialto-engine-"));
  try {
    writeFileSync(join(folder, "kernel"), image);
    const begin = performance.now();
    const { child, marks } = start(engine, folder, image);
    const times: number[] = [];
    let startTime = 0;
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => child.kill("SIGKILL"), limit * 1000);
      child.stdout!.setEncoding("latin1").on("data", (output: string) => {
        if (times.length === 0) startTime = performance.now() - begin;
        times.push(...marks(output));
        const isEnough =
          enough !== undefined &&
          times.length > enough.intervals &&
          times[times.length - 1]! - times[0]! >= enough.milliseconds;
        if (times.length > intervals || isEnough) child.kill("SIGKILL");
      });
      child.on("error", reject);
      child.on("close", () => {
        clearTimeout(timer);
        resolve();
      });
    });
    const ends = times.slice(0, intervals + 1);
    return { intervals: ends.slice(1).map((end, i) => end - ends[i]!), start: startTime };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
