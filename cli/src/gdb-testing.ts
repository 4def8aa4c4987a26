/** For tests: commands that serve GDB, in a folder of their own, and what GDB prints about them. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const RIALTO = fileURLToPath(new URL("../bin/rialto.mjs", import.meta.url));
const SCRIPT = fileURLToPath(new URL("../../.rialto/build/debug.gdb", import.meta.url));
const GDB = spawnSync("gdb", ["--version"]).error === undefined;
/** Whether GDB is there, and the name of tests that need it. */
export const gdbInstalled = GDB;
export const withGdb = GDB ? "with GDB" : "with GDB (skipped: gdb is not installed)";
export const BUILD_TIME = 600_000;

export interface Served {
  readonly port: number;
  /** Console output and exit status, at the end. */
  readonly finished: Promise<{ readonly out: string; readonly err: string; readonly code: number | null }>;
}

export class DebuggedCommands {
  folder = "";
  readonly #children: ChildProcess[] = [];

  /** Makes the folder, and sees that the system is built. */
  prepare(): void {
    this.folder = mkdtempSync(join(tmpdir(), "rialto-gdb-"));
    const build = spawnSync(process.execPath, [RIALTO, "build"], { cwd: this.folder, encoding: "utf8" });
    if (build.status !== 0) throw new Error(`the system does not build:\n${build.stderr}`);
  }

  close(): void {
    for (const child of this.#children) if (child.exitCode === null) child.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Starts a command that serves GDB, and waits until it listens. */
  serve(args: readonly string[]): Promise<Served> {
    const child = spawn(process.execPath, [RIALTO, ...args], {
      cwd: this.folder,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.push(child);
    let [out, err] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    return new Promise((resolve, reject) => {
      const finished = new Promise<{ out: string; err: string; code: number | null }>((done) => {
        child.on("close", (code) => {
          done({ out: out.replaceAll("\r\n", "\n"), err, code });
          reject(new Error(`ended before GDB could come:\n${err}`));
        });
      });
      child.stderr.setEncoding("utf8").on("data", (text: string) => {
        err += text;
        const port = /target remote 127\.0\.0\.1:(\d+)/.exec(err);
        if (port) resolve({ port: Number(port[1]), finished });
      });
    });
  }

  debug(lines: readonly string[], more: readonly string[] = []): Promise<Served> {
    return this.serve(["debug", "--no-gdb", ...more, ...lines.flatMap((line) => ["--exec", line])]);
  }
}

/** What GDB prints for these commands. */
export function gdb(port: number, commands: readonly string[]): Promise<string> {
  const all = ["set remotetimeout 60", `target remote 127.0.0.1:${port}`, ...commands].flatMap((command) => [
    "-ex",
    command,
  ]);
  return new Promise((resolve) => {
    execFile("gdb", ["-q", "-nx", "-batch", "-x", SCRIPT, ...all], { timeout: 60_000 }, (_error, out, err) =>
      resolve(`${out}${err}`),
    );
  });
}
