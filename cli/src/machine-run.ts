/** What `rialto machine` does: reads the files, builds the board, runs a session on it, reports its end. */
import { openSync, readFileSync, writeSync } from "node:fs";
import { MultibootError, type MultibootModule } from "@rialto/machine/boards/multiboot.ts";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { fileErrorReason, UserError } from "./errors.ts";
import { type Debugged, debugWithGdb, parseGdbPort } from "./gdb-server.ts";
import { describeEnd, Session } from "./session.ts";
import { parseMemorySize } from "./sizes.ts";
import { StandardInput, StandardOutput } from "./standard-streams.ts";
import { writeStatistics } from "./statistics-file.ts";

export interface MachineRunOptions {
  /** "FILE arguments" each; the kernel sees the whole string, as with QEMU. */
  readonly module?: readonly string[];
  readonly memory: string;
  readonly append?: string;
  readonly stats?: string;
  readonly debugConsole?: string;
  /** TCP port for GDB, as it was typed. */
  readonly gdb?: string;
}

/** Bytes of an input file, or an error that says what it was for. */
export function readInputFile(path: string, role: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`cannot read ${role} ${path}: ${fileErrorReason(error)}`, { cause: error });
  }
}

/** Opens the file for writing now, so that a wrong path is found before the run and not after it. */
export function openOutputFile(path: string, role: string): number {
  try {
    return openSync(path, "w");
  } catch (error) {
    throw new UserError(`cannot write ${role} ${path}: ${fileErrorReason(error)}`, { cause: error });
  }
}

/** Runs a loaded board on the process's standard streams until it ends; signals end it in order. */
export async function runOnStandardStreams(
  create: (serialOutput: (byte: number) => void) => PentiumPc,
  debug?: (pc: PentiumPc) => Promise<Debugged>,
): Promise<{ readonly pc: PentiumPc; readonly status: number }> {
  const input = new StandardInput();
  let session: Session | undefined;
  const output = new StandardOutput(() => session?.quit("", 141));
  const pc = create((byte) => session?.serialOutput(byte));
  const debugged = await debug?.(pc);
  const running = new Session(debugged?.machine ?? pc, input, output);
  session = running;
  debugged?.started(running);
  const interrupted = () => running.quit("interrupted", 130);
  const terminated = () => running.quit("terminated", 143);
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", terminated);
  try {
    const { status, message } = describeEnd(await running.run());
    if (message) process.stderr.write(`rialto: ${message}\n`);
    return { pc, status };
  } finally {
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", terminated);
    await debugged?.close();
  }
}

export async function runMachine(kernelPath: string, options: MachineRunOptions): Promise<number> {
  const memory = parseMemorySize(options.memory);
  const port = parseGdbPort(options.gdb);
  const kernel = readInputFile(kernelPath, "kernel");
  const modules = (options.module ?? []).map((text): MultibootModule => {
    const [path] = text.trim().split(/\s+/);
    if (!path) throw new UserError("--module needs a file name", { exitCode: 2 });
    return { commandLine: text.trim(), bytes: readInputFile(path, "module") };
  });
  const stats = options.stats === undefined ? undefined : openOutputFile(options.stats, "statistics");
  const debugConsole =
    options.debugConsole === undefined
      ? undefined
      : options.debugConsole === "-"
        ? 2
        : openOutputFile(options.debugConsole, "debug console");

  const hook = port === undefined ? undefined : debugWithGdb({ port });
  const debug = hook === undefined ? undefined : (board: PentiumPc) => hook(board, kernelPath);
  const { pc, status } = await runOnStandardStreams((serialOutput) => {
    const board = new PentiumPc({
      memory,
      serialOutput,
      debugOutput: (byte) => {
        if (debugConsole !== undefined) writeSync(debugConsole, Uint8Array.of(byte));
      },
    });
    try {
      board.loadMultiboot(kernel, {
        modules,
        commandLine: options.append ? `${kernelPath} ${options.append}` : kernelPath,
      });
    } catch (error) {
      if (error instanceof MultibootError)
        throw new UserError(`${kernelPath}: ${error.message}`, { cause: error });
      throw error;
    }
    return board;
  }, debug);
  if (stats !== undefined) writeStatistics(stats, pc.statistics());
  return status;
}
