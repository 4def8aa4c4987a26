/**
 * Boots the built system, on our machine or on QEMU: kernel, boot archive, the lines to run, the kernel's options. The same
 * bytes go to both, so the console's text must be the same too.
 */
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { extendArchive } from "@rialto/toolchain/build/system.ts";
import { type ArchiveFile, readArchive } from "@rialto/toolchain/link/archive.ts";
import { buildSystemReporting } from "./build-system.ts";
import { fileErrorReason, UserError } from "./errors.ts";
import { writeStatistics } from "./machine-run.ts";
import {
  describeEnd,
  type InputListener,
  Session,
  type SessionInput,
  type SessionOutput,
} from "./session.ts";
import { NoInput, StandardInput, StandardOutput } from "./standard-streams.ts";

export type BootHost = "rialto" | "qemu";

export interface BootRequest {
  readonly on: BootHost;
  /** Shell lines to run instead of reading the terminal; the machine powers off after them. */
  readonly script?: string | undefined;
  /** Kernel options: "place.console" → "process". */
  readonly options: ReadonlyMap<string, string>;
  /** Bytes of RAM. */
  readonly memory: number;
  /** File that gets the counts of the run as JSON. Our machine only. */
  readonly stats?: string | undefined;
  /** Files put into the boot archive besides the built ones. */
  readonly files?: readonly ArchiveFile[];
}

/** What boots: read once, given to either machine. */
interface BootImage {
  readonly kernelFile: string;
  readonly archive: Uint8Array;
  readonly commandLine: string;
  readonly script: string | undefined;
}

async function prepare(request: BootRequest): Promise<BootImage> {
  const system = await buildSystemReporting();
  const built: Uint8Array = readFileSync(system.archive);
  const archive = request.files?.length ? extendArchive(readArchive(built), request.files) : built;
  const commandLine = [...request.options].map(([key, value]) => `${key}=${value}`).join(" ");
  return { kernelFile: system.kernel, archive, commandLine, script: request.script };
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

/** Boots on our machine with the given streams. */
export async function bootMachine(
  request: BootRequest,
  input: SessionInput,
  output: (quit: () => void) => SessionOutput,
): Promise<{ readonly status: number; readonly pc: PentiumPc; readonly message?: string }> {
  const image = await prepare(request);
  let session: Session | undefined;
  const pc = new PentiumPc({
    memory: request.memory,
    serialOutput: (byte) => session?.serialOutput(byte),
    debugOutput: () => {},
  });
  const modules = [{ commandLine: "archive", bytes: image.archive }];
  if (image.script !== undefined) {
    modules.push({ commandLine: "script", bytes: new TextEncoder().encode(image.script) });
  }
  pc.loadMultiboot(readFileSync(image.kernelFile), { modules, commandLine: image.commandLine });
  session = new Session(
    pc,
    input,
    output(() => session?.quit("", 141)),
  );
  const running = session;
  const interrupted = () => running.quit("interrupted", 130);
  const terminated = () => running.quit("terminated", 143);
  process.on("SIGINT", interrupted);
  process.on("SIGTERM", terminated);
  try {
    const end = await session.run();
    const { status, message } = describeEnd(end);
    return {
      status: end.reason === "exit" ? guestStatus(status) : status,
      pc,
      ...(message === undefined ? {} : { message }),
    };
  } finally {
    process.off("SIGINT", interrupted);
    process.off("SIGTERM", terminated);
  }
}

async function bootOnRialto(request: BootRequest): Promise<number> {
  let stats: number | undefined;
  try {
    if (request.stats !== undefined) stats = openSync(request.stats, "w");
  } catch (error) {
    throw new UserError(`cannot write statistics ${request.stats}: ${fileErrorReason(error)}`, {
      cause: error,
    });
  }
  const input = request.script === undefined ? new ConsoleInput() : new NoInput();
  const { status, pc, message } = await bootMachine(request, input, (quit) => new StandardOutput(quit));
  if (message) process.stderr.write(`rialto: ${message}\n`);
  if (stats !== undefined) writeStatistics(stats, pc);
  return status;
}

async function bootOnQemu(request: BootRequest): Promise<number> {
  if (request.stats !== undefined) throw new UserError("--stats needs our own machine: leave --on qemu out");
  const image = await prepare(request);
  const folder = mkdtempSync(join(tmpdir(), "rialto-"));
  try {
    const archive = join(folder, "archive");
    writeFileSync(archive, image.archive);
    const modules = [`${archive} archive`];
    if (image.script !== undefined) {
      writeFileSync(join(folder, "script"), image.script);
      modules.push(`${join(folder, "script")} script`);
    }
    const memory = `${Math.ceil(request.memory / 2 ** 20)}M`;
    const child = spawn(
      "qemu-system-i386",
      [
        ...["-kernel", image.kernelFile, "-initrd", modules.join(","), "-append", image.commandLine],
        ...["-m", memory, "-display", "none", "-serial", "stdio", "-no-reboot", "-net", "none"],
        ...["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"],
      ],
      { stdio: [request.script === undefined ? "inherit" : "ignore", "inherit", "inherit"] },
    );
    const status = await new Promise<number>((resolve, reject) => {
      child.on("error", (error) => {
        const missing = (error as NodeJS.ErrnoException).code === "ENOENT";
        const what = missing
          ? "qemu-system-i386 is not installed: install QEMU (Debian: qemu-system-x86), or leave --on qemu out"
          : `cannot start qemu-system-i386: ${error.message}`;
        reject(new UserError(what, { cause: error }));
      });
      child.on("exit", (code, signal) => resolve(signal ? 128 : (code ?? 1)));
    });
    return guestStatus(status);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Boots as asked; resolves with the exit status. */
export function boot(request: BootRequest): Promise<number> {
  return request.on === "qemu" ? bootOnQemu(request) : bootOnRialto(request);
}
