/** For tests and benches: a headless Chromium, driven by the DevTools protocol over a pipe (messages in JSON, each ended by a zero byte). */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];

/** Name of the installed browser; undefined when there is none. */
export const chromium = NAMES.find((name) => spawnSync(name, ["--version"]).status === 0);

const FLAGS = [
  "--headless",
  "--no-sandbox",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-extensions",
  "--disable-sync",
  "--no-first-run",
  "--remote-debugging-pipe",
];

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class Chromium {
  readonly #process: ChildProcess;
  readonly #profile = mkdtempSync(join(tmpdir(), "rialto-chromium-"));
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  readonly #commands: Writable;
  #pending = "";
  #calls = 0;

  constructor(program: string) {
    this.#process = spawn(program, [...FLAGS, `--user-data-dir=${this.#profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      // A group of its own: its processes end with it, and write no more into the profile that is removed.
      detached: true,
    });
    const [, , , commands, answers] = this.#process.stdio;
    this.#commands = commands as Writable;
    (answers as Readable).setEncoding("utf8").on("data", (text: string) => this.#receive(text));
    this.#process.once("exit", () => {
      const error = { message: "the browser has ended" };
      for (const answer of this.#waiting.values()) answer({ error });
    });
  }

  #receive(text: string): void {
    const messages = (this.#pending + text).split("\0");
    this.#pending = messages.pop() ?? "";
    for (const message of messages) {
      const answer = JSON.parse(message) as Answer;
      if (answer.id === undefined) continue;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    }
  }

  call<Result>(method: string, params: object = {}, sessionId?: string): Promise<Result> {
    const id = ++this.#calls;
    this.#commands.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error) reject(new Error(`${method}: ${error.message}`));
        else resolve(result as Result);
      });
    });
  }

  /** Opens a page; the function returned evaluates expressions in it, waiting for promises. */
  async open(url: string): Promise<<Result>(expression: string) => Promise<Result>> {
    const { targetId } = await this.call<{ targetId: string }>("Target.createTarget", { url });
    const { sessionId } = await this.call<{ sessionId: string }>("Target.attachToTarget", {
      targetId,
      flatten: true,
    });
    return async <Result>(expression: string) => {
      const { result, exceptionDetails } = await this.call<{
        result: { value: Result };
        exceptionDetails?: { text: string; exception?: { description?: string } };
      }>("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true }, sessionId);
      if (exceptionDetails) {
        throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      }
      return result.value;
    };
  }

  #killGroup(): void {
    try {
      if (this.#process.pid !== undefined) process.kill(-this.#process.pid, "SIGKILL");
    } catch {
      // Nothing of it is left.
    }
  }

  async close(): Promise<void> {
    const ended = new Promise((resolve) => this.#process.once("exit", resolve));
    this.#process.kill();
    await ended;
    this.#killGroup();
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 10 });
  }
}
