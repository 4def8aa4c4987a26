/** What `rialto machine` does: reads the files, builds the board, runs a session on it, reports its end. */
import { readFileSync, writeSync } from "node:fs";
import { basename } from "node:path";
import { MultibootError, type MultibootModule } from "@rialto/machine/boards/multiboot.ts";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { parseCycleModel } from "./cycle-model-flag.ts";
import { fileErrorReason, UsageError, UserError } from "./errors.ts";
import { type Debugged, debugWithGdb } from "./gdb-server.ts";
import { chooseJit, parseJit } from "./jit-flag.ts";
import { type NetworkFlags, parseNetworkFlags } from "./network/network-flags.ts";
import { type NetworkLink, networkCard, openNetworkLink, plugIn } from "./network/network-link.ts";
import type { ObservationRequest } from "./observation-flags.ts";
import { type ObservedRun, openObservedRun } from "./observed-run.ts";
import { openOutputFile } from "./output-file.ts";
import { openRecordedRun, type RecordedRun } from "./recorded-run.ts";
import { parseRecordingFlags, type RecordingFlags } from "./recorded-run-flags.ts";
import { writeScreen } from "./screen-file.ts";
import { describeEnd, Session, type SessionInput } from "./session.ts";
import { parseMemorySize } from "./sizes.ts";
import { NoInput, StandardInput, StandardOutput } from "./standard-streams.ts";
import { writeStatistics } from "./statistics-file.ts";
import { parsePort } from "./tcp-port.ts";

export interface MachineRunOptions extends RecordingFlags, NetworkFlags {
  /** "FILE arguments" each; the kernel sees the whole string, as with QEMU. */
  readonly module?: readonly string[];
  readonly memory: string;
  readonly jit?: string;
  readonly cycleModel?: string;
  readonly append?: string;
  readonly stats?: string;
  /** File for the screen at the end. */
  readonly screen?: string;
  readonly debugConsole?: string;
  /** TCP port for GDB, as it was typed. */
  readonly gdb?: string;
  readonly observation?: ObservationRequest | undefined;
}

/** Bytes of an input file, or an error that says what it was for. */
export function readInputFile(path: string, role: string): Uint8Array {
  try {
    return readFileSync(path);
  } catch (error) {
    throw new UserError(`cannot read ${role} ${path}: ${fileErrorReason(error)}`, { cause: error });
  }
}

/** Runs a loaded board on the process's standard streams until it ends; signals end it in order. */
export async function runOnStandardStreams(
  create: (serialOutput: (byte: number) => void, isNewOutput: () => boolean) => PentiumPc,
  debug?: (pc: PentiumPc) => Promise<Debugged>,
  recorded?: (pc: PentiumPc) => RecordedRun | undefined,
  link?: NetworkLink,
  observe?: (pc: PentiumPc) => ObservedRun | undefined,
): Promise<{ readonly pc: PentiumPc; readonly status: number }> {
  let session: Session | undefined;
  const output = new StandardOutput(() => session?.quit("", 141));
  let debugged: Debugged | undefined;
  const isNewOutput = () => debugged?.isNewOutput() ?? true;
  const pc = create((byte) => {
    if (isNewOutput()) session?.serialOutput(byte);
  }, isNewOutput);
  const observed = observe?.(pc);
  debugged = await debug?.(pc);
  const recording = recorded?.(pc);
  const machine = debugged?.machine ?? recording?.machine ?? pc;
  const input: SessionInput = recording?.replays ? new NoInput() : new StandardInput();
  const running = new Session(observed?.around(machine) ?? machine, input, output);
  session = running;
  recording?.started(running);
  debugged?.started(running);
  if (link) plugIn(link, running);
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
    observed?.close();
    recording?.close();
    link?.close();
    await debugged?.close();
  }
}

export async function runMachine(kernelPath: string, options: MachineRunOptions): Promise<number> {
  const memory = parseMemorySize(options.memory);
  const { observation } = options;
  const jit = chooseJit(parseJit(options.jit), observation);
  const cycleModel = parseCycleModel(options.cycleModel ?? "fast");
  const port = parsePort(options.gdb, "--gdb");
  const network = parseNetworkFlags(options);
  const recording = parseRecordingFlags(options);
  if (recording && port !== undefined) {
    throw new UsageError(
      "--gdb with --record or --replay: a debugger changes the moments of input; take one of them",
    );
  }
  const kernel = readInputFile(kernelPath, "kernel");
  const modules = (options.module ?? []).map((text): MultibootModule => {
    const [path] = text.trim().split(/\s+/);
    if (!path) throw new UserError("--module needs a file name", { exitCode: 2 });
    return { commandLine: text.trim(), bytes: readInputFile(path, "module") };
  });
  const stats = options.stats === undefined ? undefined : openOutputFile(options.stats, "statistics");
  const screen = options.screen === undefined ? undefined : openOutputFile(options.screen, "screen");
  const debugConsole =
    options.debugConsole === undefined
      ? undefined
      : options.debugConsole === "-"
        ? 2
        : openOutputFile(options.debugConsole, "debug console");

  const replays = recording?.replay !== undefined;
  const link = network && !replays ? await openNetworkLink(network.port) : undefined;
  const hook = port === undefined ? undefined : debugWithGdb({ port });
  const debug = hook === undefined ? undefined : (board: PentiumPc) => hook(board, kernelPath);
  const imageName = basename(kernelPath, ".elf");
  const commandLine = options.append ? `${kernelPath} ${options.append}` : kernelPath;
  const recorded = (board: PentiumPc) =>
    recording && openRecordedRun(board, { kernel, modules, commandLine }, recording);
  const { pc, status } = await runOnStandardStreams(
    (serialOutput, isNewOutput) => {
      const board = new PentiumPc({
        memory,
        jit,
        cycleModel,
        serialOutput,
        ...(network && { network: networkCard(network, link, isNewOutput) }),
        debugOutput: (byte) => {
          if (debugConsole !== undefined) writeSync(debugConsole, Uint8Array.of(byte));
        },
      });
      try {
        board.loadMultiboot(kernel, { modules, commandLine });
      } catch (error) {
        if (error instanceof MultibootError)
          throw new UserError(`${kernelPath}: ${error.message}`, { cause: error });
        throw error;
      }
      return board;
    },
    debug,
    recorded,
    link,
    (board) =>
      observation &&
      openObservedRun(board, kernel, [{ name: imageName, file: kernelPath }], observation, imageName),
  );
  if (stats !== undefined) writeStatistics(stats, pc.statistics());
  if (screen !== undefined) writeScreen(screen, pc);
  return status;
}
