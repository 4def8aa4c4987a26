/**
 * What `rialto debug` does: boots the system held at its first instruction, writes the commands with which GDB loads every image's
 * symbols, and starts GDB on them when there is a terminal for it.
 *
 * With GDB on the terminal the guest's console is on a TCP port; else it is on the standard streams, as with `rialto boot`.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { readElfSection, readElfSymbols } from "@rialto/debugger/elf-symbols.ts";
import { attachCommand, gdbScript } from "@rialto/debugger/gdb-script.ts";
import { loadKernelLayout } from "@rialto/debugger/host/kernel-layout.ts";
import { entryFrames } from "@rialto/debugger/rialto/entry-frames.ts";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { bootMachine } from "./boot.ts";
import { buildSystemReporting } from "./build-system.ts";
import { type ConsoleSocket, openConsoleSocket } from "./console-socket.ts";
import { debugWithGdb } from "./gdb-server.ts";
import type { Session } from "./session.ts";
import { StandardOutput } from "./standard-streams.ts";
import { listenError } from "./tcp-port.ts";

export interface DebugRequest {
  readonly script: string | undefined;
  readonly options: ReadonlyMap<string, string>;
  readonly memory: number;
  readonly port: number;
  readonly consolePort: number | undefined;
  /** Whether GDB may be started. */
  readonly start: boolean;
}

function gdbInstalled(): boolean {
  return spawnSync("gdb", ["--version"], { stdio: "ignore" }).status === 0;
}

const say = (text: string) => process.stderr.write(`rialto: ${text}\n`);

/** Symbols and frames of the kernel's entry code, see entry-frames.ts. */
function entrySymbols(kernelFile: string): Uint8Array {
  const kernel = readFileSync(kernelFile);
  const text = readElfSection(kernel, ".text");
  if (!text) throw new Error(`${kernelFile} has no section .text`);
  return entryFrames(loadKernelLayout(REPOSITORY), text, readElfSymbols(kernel));
}

async function openConsole(port: number): Promise<ConsoleSocket> {
  try {
    const opened = await openConsoleSocket(port);
    say(`the guest's console: nc 127.0.0.1 ${opened.port}`);
    return opened;
  } catch (error) {
    throw listenError(error, port, "--console");
  }
}

export async function debug(request: DebugRequest): Promise<number> {
  const system = await buildSystemReporting();
  const start = request.start && process.stdin.isTTY === true && gdbInstalled();
  const console =
    start || request.consolePort !== undefined ? await openConsole(request.consolePort ?? 0) : undefined;
  const commands = join(dirname(system.kernel), "debug.gdb");
  const frames = join(dirname(system.kernel), "entry-frames.elf");
  let attach = "";
  let gdb: ChildProcess | undefined;

  const hook = debugWithGdb({
    port: request.port,
    onListening(port) {
      writeFileSync(frames, entrySymbols(system.kernel));
      const images = system.images.filter(({ kind }) => kind !== "kernel").map(({ file }) => file);
      writeFileSync(
        commands,
        gdbScript({ kernel: system.kernel, images: [frames, ...images], sources: REPOSITORY }),
      );
      attach = attachCommand(port);
      if (!start) say(`held at the first instruction; run: gdb -x ${commands} -ex "${attach}"`);
    },
    onStarted(session: Session) {
      if (!start) return;
      gdb = spawn("gdb", ["-q", "-x", commands, "-ex", attach], { stdio: "inherit" });
      gdb.on("error", (error) => session.quit(`cannot start gdb: ${error.message}`, 1));
      gdb.on("close", () => session.quit("", 0));
    },
  });
  // Ctrl-C in the terminal is GDB's.
  const ignored = () => {};
  if (start) process.on("SIGINT", ignored);
  try {
    const { status, message } = await bootMachine(
      {
        on: "rialto",
        script: request.script,
        options: request.options,
        memory: request.memory,
        debug: hook,
        interruptible: !start,
      },
      (quit) => console ?? new StandardOutput(quit),
      console,
    );
    if (message) say(message);
    return status;
  } finally {
    if (gdb && gdb.exitCode === null) await new Promise((resolve) => gdb!.once("close", resolve));
    process.off("SIGINT", ignored);
  }
}
