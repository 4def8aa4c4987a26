/**
 * Boots the built system, on our machine or on QEMU: kernel, boot archive, the lines to run, the kernel's options. The same
 * bytes go to both, so the console's text must be the same too.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import type { CycleModelName } from "@rialto/machine/i386/cycles.ts";
import type { RunStart, SnapshotStart } from "@rialto/machine/recording/identity.ts";
import { extendArchive } from "@rialto/toolchain/build/system.ts";
import { type ArchiveFile, readArchive } from "@rialto/toolchain/link/archive.ts";
import { buildSystemReporting } from "./build-system.ts";
import { UserError } from "./errors.ts";
import type { Debugged, DebugHook } from "./gdb-server.ts";
import { chooseJit } from "./jit-flag.ts";
import type { NetworkRequest } from "./network/network-flags.ts";
import { type NetworkLink, networkCard, openNetworkLink, plugIn } from "./network/network-link.ts";
import type { ObservationRequest } from "./observation-flags.ts";
import { openObservedRun } from "./observed-run.ts";
import { openOutputFile } from "./output-file.ts";
import { openRecordedRun } from "./recorded-run.ts";
import type { RecordingRequest } from "./recorded-run-flags.ts";
import {
  describeEnd,
  type InputListener,
  Session,
  type SessionInput,
  type SessionOutput,
} from "./session.ts";
import { machineFromSnapshot, openSavedRun } from "./snapshot-file.ts";
import type { SnapshotRequest } from "./snapshot-flags.ts";
import { NoInput, StandardInput, StandardOutput } from "./standard-streams.ts";
import { writeStatistics } from "./statistics-file.ts";

export type BootHost = "rialto" | "qemu";

export interface BootRequest {
  readonly on: BootHost;
  /** Shell lines to run instead of reading the terminal; the machine powers off after them. */
  readonly script?: string | undefined;
  /** Kernel options: "place.console" → "process". */
  readonly options: ReadonlyMap<string, string>;
  /** Bytes of RAM. */
  readonly memory: number;
  /** Whether hot code is compiled; by default it is, unless instructions are watched. Our machine only. */
  readonly jit?: "on" | "off" | undefined;
  /** By what cycles are counted; default `fast`. Our machine only. */
  readonly cycleModel?: CycleModelName;
  /** File that gets the counts of the run as JSON. Our machine only. */
  readonly stats?: string | undefined;
  /** Files put into the boot archive besides the built ones. */
  readonly files?: readonly ArchiveFile[];
  /** What feeds the guest's console: our standard input, or nothing. By default nothing when there is a script. */
  readonly input?: "console" | "none";
  /** A debugger that holds the machine at its first instruction. Our machine only. */
  readonly debug?: DebugHook | undefined;
  /** What is watched. Our machine only, and not from a snapshot. */
  readonly observation?: ObservationRequest | undefined;
  /** What is recorded or replayed. Our machine only. */
  readonly recording?: RecordingRequest | undefined;
  /** A network card, and the switch that it is on. Our machine only, and not from a snapshot. */
  readonly network?: NetworkRequest | undefined;
  /** Where the machine is saved when the run is left. Our machine only. */
  readonly snapshot?: SnapshotRequest | undefined;
  /** Snapshot from which the machine goes on, instead of booting. Our machine only. */
  readonly from?: string | undefined;
  /** Whether an interrupt from the terminal ends the run; by default it does. */
  readonly interruptible?: boolean;
  /** Ends the run; its reason is an `Interruption`. */
  readonly signal?: AbortSignal | undefined;
}

/** Why a run was ended from outside, and the exit status that this gives. */
export interface Interruption {
  readonly what: string;
  readonly status: number;
}

export interface BootOutcome {
  readonly status: number;
  /** How it ended, when there is something to say about that. */
  readonly message?: string | undefined;
}

type SymbolFile = Readonly<Record<"name" | "file", string>>;

/** What boots: read once, given to either machine. */
interface BootImage {
  readonly kernelFile: string;
  readonly symbols: readonly SymbolFile[];
  readonly archive: Uint8Array;
  readonly commandLine: string;
  readonly script: string | undefined;
}

async function prepare(request: BootRequest): Promise<BootImage> {
  const system = await buildSystemReporting();
  const built: Uint8Array = readFileSync(system.archive);
  const archive = request.files?.length ? extendArchive(readArchive(built), request.files) : built;
  const commandLine = [...request.options].map(([key, value]) => `${key}=${value}`).join(" ");
  const symbols = [...system.images, ...(request.observation?.programs ?? [])];
  return { kernelFile: system.kernel, symbols, archive, commandLine, script: request.script };
}

/** Standard input whose end reaches the guest as Ctrl-D, so that its shell ends too. */
class ConsoleInput extends StandardInput {
  override start(listener: InputListener): void {
    super.start({
      bytes: (bytes) => listener.bytes(bytes),
      ended: () => {
        listener.bytes(Uint8Array.of(4));
        listener.ended();
      },
      quit: (reason, status) => listener.quit(reason, status),
    });
  }
}

/** Guest status v leaves the debug-exit device as (v << 1) | 1. */
function guestStatus(status: number): number {
  return status & 1 ? status >> 1 : status;
}

function inputOf(request: BootRequest): "console" | "none" {
  return request.input ?? (request.script === undefined ? "console" : "none");
}

interface StartedMachine {
  readonly pc: PentiumPc;
  readonly start: RunStart | SnapshotStart;
  /** Undefined for a machine from a snapshot. */
  readonly kernelFile: string | undefined;
  /** Images with their symbols. */
  readonly symbols: readonly SymbolFile[];
}

/** A machine that stands before its first instruction, or where its snapshot was saved. */
async function startMachine(
  request: BootRequest,
  link: NetworkLink | undefined,
  serialOutput: (byte: number) => void,
  isNewOutput: () => boolean,
): Promise<StartedMachine> {
  if (request.from !== undefined) {
    const { pc, bytes } = machineFromSnapshot(request.from, { jit: request.jit ?? "on", serialOutput });
    return { pc, start: { snapshot: bytes }, kernelFile: undefined, symbols: [] };
  }
  const jit = chooseJit(request.jit, request.observation);
  const { kernelFile, symbols, archive, script, commandLine } = await prepare(request);
  const pc = new PentiumPc({
    memory: request.memory,
    jit,
    cycleModel: request.cycleModel ?? "fast",
    serialOutput,
    debugOutput: () => {},
    ...(request.network && { network: networkCard(request.network, link, isNewOutput) }),
  });
  const modules = [{ commandLine: "archive", bytes: archive }];
  if (script !== undefined) modules.push({ commandLine: "script", bytes: new TextEncoder().encode(script) });
  const kernel = readFileSync(kernelFile);
  pc.loadMultiboot(kernel, { modules, commandLine });
  return { pc, start: { kernel, modules, commandLine }, kernelFile, symbols };
}

/** Boots on our machine with the given streams. */
export async function bootMachine(
  request: BootRequest,
  output: (quit: () => void) => SessionOutput,
  input: SessionInput = inputOf(request) === "console" ? new ConsoleInput() : new NoInput(),
): Promise<BootOutcome & { readonly pc: PentiumPc; readonly processorMilliseconds: number }> {
  let session: Session | undefined;
  let debugged: Debugged | undefined;
  const isNewOutput = () => debugged?.isNewOutput() ?? true;
  const replays = request.recording?.replay !== undefined;
  const link = request.network && !replays ? await openNetworkLink(request.network.port) : undefined;
  const {
    pc,
    start: origin,
    kernelFile,
    symbols,
  } = await startMachine(
    request,
    link,
    (byte) => {
      if (isNewOutput()) session?.serialOutput(byte);
    },
    isNewOutput,
  );
  const observed =
    request.observation && "kernel" in origin
      ? openObservedRun(pc, origin.kernel, symbols, request.observation)
      : undefined;
  debugged = kernelFile === undefined ? undefined : await request.debug?.(pc, kernelFile);
  const recorded = request.recording && openRecordedRun(pc, origin, request.recording);
  const bare = debugged?.machine ?? recorded?.machine ?? pc;
  const saved = request.snapshot && openSavedRun(pc, bare, request.snapshot);
  const machine = saved?.machine ?? bare;
  session = new Session(
    observed?.around(machine) ?? machine,
    recorded?.replays ? new NoInput() : input,
    output(() => session?.quit("", 141)),
  );
  const running = session;
  debugged?.started(running);
  recorded?.started(running);
  saved?.started(running);
  if (link) plugIn(link, running);
  const interrupted = () => running.quit("interrupted", 130);
  const terminated = () => running.quit("terminated", 143);
  if (request.interruptible !== false) process.on("SIGINT", interrupted);
  process.on("SIGTERM", terminated);
  const aborted = () => {
    const { what, status }: Interruption = request.signal!.reason;
    running.quit(what, status);
  };
  request.signal?.addEventListener("abort", aborted);
  const start = process.cpuUsage();
  try {
    const end = await session.run();
    const { user, system } = process.cpuUsage(start);
    const processorMilliseconds = (user + system) / 1000;
    const { status, message } = describeEnd(end);
    const fromDebugExit = end.reason === "exit" && end.device === "debug-exit";
    return {
      status: fromDebugExit ? guestStatus(status) : status,
      pc,
      message,
      processorMilliseconds,
    };
  } finally {
    request.signal?.removeEventListener("abort", aborted);
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", terminated);
    observed?.close();
    recorded?.close();
    saved?.close();
    link?.close();
    await debugged?.close();
  }
}

async function bootOnRialto(request: BootRequest): Promise<number> {
  const stats = request.stats === undefined ? undefined : openOutputFile(request.stats, "statistics");
  const { status, pc, message } = await bootMachine(request, (quit) => new StandardOutput(quit));
  if (message) process.stderr.write(`rialto: ${message}\n`);
  if (stats !== undefined) writeStatistics(stats, pc.statistics());
  return status;
}

/**
 * Guest time is a count of instructions, 16 ns each, and idle time takes none of ours: a loaded host delays no guest.
 * The CMOS clock goes by the same time and starts when ours does (machine/src/devices/real-time-clock.ts).
 */
const REPEATABLE = ["-icount", "shift=4,sleep=off", "-rtc", "base=1997-03-01,clock=vm"];

/** Boots on QEMU; its console goes to `output`, or to our standard output. */
export async function bootQemu(
  request: BootRequest,
  output?: (bytes: Uint8Array) => void,
): Promise<BootOutcome> {
  if (request.stats !== undefined) throw new UserError("--stats needs our own machine: leave --on qemu out");
  if (request.observation !== undefined)
    throw new UserError("--trace, --profile and --coverage need our own machine: leave --on qemu out");
  if (request.recording !== undefined)
    throw new UserError("--record and --replay need our own machine: leave --on qemu out");
  if (request.snapshot !== undefined || request.from !== undefined)
    throw new UserError("--snapshot and --from need our own machine: leave --on qemu out");
  if (request.network !== undefined) throw new UserError("--net needs our own machine: leave --on qemu out");
  if (request.debug !== undefined) throw new UserError("--gdb needs our own machine: leave --on qemu out");
  const image = await prepare(request);
  const folder = mkdtempSync(join(tmpdir(), "rialto-"));
  try {
    writeFileSync(join(folder, "archive"), image.archive);
    const modules = ["archive archive"];
    if (image.script !== undefined) {
      writeFileSync(join(folder, "script"), image.script);
      modules.push("script script");
    }
    const memory = `${Math.ceil(request.memory / 2 ** 20)}M`;
    const interactive = inputOf(request) === "console";
    const child = spawn(
      "qemu-system-i386",
      [
        ...["-kernel", image.kernelFile, "-initrd", modules.join(","), "-append", image.commandLine],
        ...["-m", memory, "-display", "none", "-serial", "stdio", "-no-reboot", "-net", "none"],
        ...["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
        ...(interactive ? [] : REPEATABLE),
      ],
      {
        cwd: folder, // the file names are separated by commas, so they must have none
        stdio: [interactive ? "inherit" : "ignore", output ? "pipe" : "inherit", "inherit"],
      },
    );
    child.stdout?.on("data", (bytes: Uint8Array) => output?.(bytes));
    const aborted = () => child.kill("SIGKILL");
    request.signal?.addEventListener("abort", aborted);
    const status = await new Promise<number>((resolve, reject) => {
      child.on("error", (error) => {
        const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
        const what = missing
          ? "qemu-system-i386 is not installed: install QEMU (Debian: qemu-system-x86), or leave --on qemu out"
          : `cannot start qemu-system-i386: ${error.message}`;
        reject(new UserError(what, { cause: error }));
      });
      child.on("close", (code, signal) => resolve(signal ? 128 : (code ?? 1)));
    });
    request.signal?.removeEventListener("abort", aborted);
    if (request.signal?.aborted) {
      const { what, status }: Interruption = request.signal.reason;
      return { status, message: what };
    }
    return { status: guestStatus(status) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Boots as asked; resolves with the exit status. */
export async function boot(request: BootRequest): Promise<number> {
  return request.on === "qemu" ? (await bootQemu(request)).status : bootOnRialto(request);
}
