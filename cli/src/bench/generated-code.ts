/**
 * Quality of generated code: the programs of `programs.ts`, compiled by us and by gcc, each run alone on our machine between two marks.
 * Instruction counts are exact; clocks are those of the cycle model. Both run flat at ring 0 with interrupts off.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import { dx, eax, edx, esp, symbol, word } from "@rialto/machine/i386/assembly.ts";
import { statisticsBetween } from "@rialto/machine/i386/statistics.ts";
import { compileModule } from "@rialto/toolchain/back/compile.ts";
import { assembledObject } from "@rialto/toolchain/build/assembly.ts";
import type { CodeObject } from "@rialto/toolchain/contract.ts";
import { compileImage } from "@rialto/toolchain/front/compile.ts";
import { linkImage } from "@rialto/toolchain/link/image.ts";
import { UserError } from "../errors.ts";
import { type BenchProgram, cSource, guestSource } from "./programs.ts";

export interface CodeMeasurement {
  /** Bytes of code of the program's functions. */
  readonly bytes: number;
  readonly instructions: number;
  readonly cycles: number;
  readonly result: number;
  /** Milliseconds from source to a linked image. */
  readonly buildMilliseconds: number;
}

export interface CodeComparison {
  readonly program: string;
  readonly ours: CodeMeasurement;
  readonly gcc: CodeMeasurement | undefined;
}

const BASE = 0x0010_0000;
const STACK = 0x0020_0000;
const MEMORY = 4 * 2 ** 20;
const MARK = 0x8e04;
const END = 0x8e08;
const COUNTER = 0x8e14;
/** What the kernel sets for every thread (toolchain/src/back/compile.ts). */
const CONTROL_WORD = 0x027f;
const MOST_CYCLES = 2e9;

export const GCC = ["-m32", "-O2", "-march=pentium"] as const;

/** Guest programs see the ambient declarations and nothing else. */
const AMBIENT = "os/ambient.d.ts";

/** Stack, x87 and globals as a thread of the system has them. */
export function beginStub(initialise: string | undefined): Assembler {
  const a = new Assembler();
  a.label("start");
  a.emit("mov", esp, STACK);
  a.emit("fninit");
  a.emit("push", CONTROL_WORD);
  a.emit("fldcw", word({ base: esp }));
  if (initialise !== undefined) a.emit("call", symbol(initialise));
  return a;
}

function startStub(initialise: string | undefined): Assembler {
  const a = beginStub(initialise);
  const write = (port: number) => {
    a.emit("mov", edx, port);
    a.emit("out", dx, eax);
  };
  a.emit("xor", eax, eax);
  write(MARK);
  a.emit("call", symbol("run"));
  write(MARK);
  write(COUNTER);
  a.emit("xor", eax, eax);
  write(END);
  return a;
}

/** Runs a bare kernel that marks twice and publishes its result as a counter without a name. */
function run(kernel: Uint8Array, what: string): Pick<CodeMeasurement, "instructions" | "cycles" | "result"> {
  const pc = new PentiumPc({ memory: MEMORY });
  pc.loadMultiboot(kernel);
  const stop = pc.run(MOST_CYCLES);
  const [before, after] = pc.phases.phases;
  if (stop.reason !== "exit" || !before || !after)
    throw new UserError(`${what}: the run ended with "${stop.reason}"`);
  const { instructions, cycles } = statisticsBetween(before.resumed, after.reached);
  return { instructions, cycles, result: pc.phases.counters[""]! };
}

interface Compiled {
  readonly object: CodeObject;
  /** A bare kernel that starts at the stub's symbol "start". */
  link(stub: Assembler): Uint8Array;
}

/** Compiles guest source with our toolchain. */
export async function compileSource(source: string, ambient: string): Promise<Compiled> {
  const files: Readonly<Record<string, string>> = {
    "bench/main.ts": source,
    [AMBIENT]: ambient,
  };
  const front = await compileImage({
    name: "bench",
    kind: "kernel", // everything in one module, all its exports kept
    entries: ["bench/main.ts"],
    readFile: (path) => files[path],
  });
  const object = compileModule(front);
  return {
    object,
    link: (stub) =>
      linkImage({
        name: "bench",
        kind: "kernel",
        base: BASE,
        limit: STACK,
        physicalOffset: 0,
        objects: [object, assembledObject("start.asm.ts", stub.finish())],
        libraries: new Map(),
      }).bytes,
  };
}

/** Compiles, links and runs one program with our toolchain. */
export async function measureOurs(program: BenchProgram, ambient: string): Promise<CodeMeasurement> {
  const start = performance.now();
  const { object, link } = await compileSource(guestSource(program), ambient);
  const kernel = link(startStub(object.start));
  const buildMilliseconds = performance.now() - start;
  const bytes = object.functions
    .filter(({ name }) => name !== object.start)
    .reduce((total, each) => total + each.size, 0);
  return { bytes, buildMilliseconds, ...run(kernel, program.name) };
}

export function gccAvailable(): boolean {
  const probe = spawnSync("gcc", [...GCC, "-x", "c", "-c", "-o", "/dev/null", "-"], { input: "int x;" });
  return probe.status === 0;
}

/** The same start as `startStub`, for the assembler of gcc, with a multiboot header. */
const GNU_START = `
  .section .text.start, "ax"
  .align 4
  .long 0x1badb002, 0, -0x1badb002
  .globl start
start:
  mov $${STACK}, %esp
  fninit
  push $${CONTROL_WORD}
  fldcw (%esp)
  xor %eax, %eax
  mov $${MARK}, %edx
  out %eax, %dx
  mov $1, %ebx
1:
  call run
  dec %ebx
  jnz 1b
  mov $${MARK}, %edx
  out %eax, %dx
  mov $${COUNTER}, %edx
  out %eax, %dx
  xor %eax, %eax
  mov $${END}, %edx
  out %eax, %dx
`;

/** Bytes of the functions that gcc compiled, from the symbol table that \`nm\` prints. */
function functionBytes(file: string): number {
  const listing = spawnSync("nm", ["-S", "--defined-only", file], { encoding: "utf8" }).stdout;
  return [...listing.matchAll(/^[0-9a-f]+ ([0-9a-f]+) [tT] /gm)].reduce(
    (total, match) => total + Number.parseInt(match[1]!, 16),
    0,
  );
}

export function measureGcc(program: BenchProgram): CodeMeasurement {
  const folder = mkdtempSync(join(tmpdir(), "rialto-bench-"));
  try {
    const start = performance.now();
    writeFileSync(join(folder, "program.c"), cSource(program));
    writeFileSync(join(folder, "start.s"), GNU_START);
    const flags = [
      "-ffreestanding",
      "-fno-pic",
      "-no-pie",
      "-fno-stack-protector",
      "-fno-asynchronous-unwind-tables",
    ];
    const link = [
      "-nostdlib",
      "-static",
      "-Wl,-e,start",
      "-Wl,--build-id=none",
      `-Wl,-Ttext=0x${BASE.toString(16)}`,
    ];
    const compiled = spawnSync("gcc", [...GCC, ...flags, ...link, "-o", "program", "start.s", "program.c"], {
      cwd: folder,
      encoding: "utf8",
    });
    if (compiled.status !== 0)
      throw new UserError(`gcc does not compile "${program.name}":\n${compiled.stderr}`);
    const buildMilliseconds = performance.now() - start;
    const file = join(folder, "program");
    return { bytes: functionBytes(file), buildMilliseconds, ...run(readFileSync(file), program.name) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
