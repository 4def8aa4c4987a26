/**
 * The process's standard streams as a session's input and output.
 *
 * - Terminal: raw, so that the guest sees every key, Ctrl-C too. Ctrl-A is the way out, as in QEMU: Ctrl-A x ends the run, Ctrl-A
 *   Ctrl-A sends one Ctrl-A.
 * - File: read whole before the run starts, so that the run repeats exactly.
 * - Pipe: read as it comes. Closed or empty input (`< /dev/null`) has ended from the start.
 */
import { fstatSync, readFileSync } from "node:fs";
import type { InputListener, SessionInput, SessionOutput } from "./session.ts";

const CONTROL_A = 0x01;

/** Takes the escapes out of what was typed; `send` gets the rest. */
export class EscapeFilter {
  #escaped = false;

  filter(typed: Uint8Array, quit: () => void): Uint8Array {
    const sent: number[] = [];
    for (const byte of typed) {
      if (this.#escaped) {
        this.#escaped = false;
        if (byte === CONTROL_A) sent.push(CONTROL_A);
        else if (byte === 0x78 || byte === 0x58) quit();
      } else if (byte === CONTROL_A) this.#escaped = true;
      else sent.push(byte);
    }
    return Uint8Array.from(sent);
  }
}

function isRegularFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false; // closed by whoever started us
  }
}

export class StandardInput implements SessionInput {
  #stop: () => void = () => {};

  get isTerminal(): boolean {
    return process.stdin.isTTY === true;
  }

  start(listener: InputListener): void {
    if (!this.isTerminal && isRegularFile(0)) {
      const bytes = readFileSync(0);
      if (bytes.length > 0) listener.bytes(bytes);
      listener.ended();
      return;
    }
    const { stdin } = process;
    const filter = new EscapeFilter();
    const onData = (data: Buffer) => {
      const bytes = this.isTerminal ? filter.filter(data, () => listener.quit("ended by Ctrl-A x", 0)) : data;
      if (bytes.length > 0) listener.bytes(bytes);
    };
    const onEnd = () => listener.ended();
    if (this.isTerminal) stdin.setRawMode(true);
    stdin.on("data", onData);
    stdin.on("end", onEnd);
    stdin.on("error", onEnd);
    stdin.resume();
    this.#stop = () => {
      stdin.off("data", onData);
      stdin.off("end", onEnd);
      stdin.off("error", onEnd);
      if (this.isTerminal) stdin.setRawMode(false);
      stdin.pause();
      // A character device such as /dev/null is read as a file, which keeps no process alive.
      if ("unref" in stdin) stdin.unref();
    };
  }

  stop(): void {
    this.#stop();
    this.#stop = () => {};
  }
}

/** An input that never has anything: for runs whose whole input is in the machine from the start. */
export class NoInput implements SessionInput {
  start(listener: InputListener): void {
    listener.ended();
  }

  stop(): void {}
}

export class StandardOutput implements SessionOutput {
  #left = Promise.resolve();
  #broken = false;

  /** `onBroken` is called when the reader of our output has gone. */
  constructor(onBroken: () => void) {
    process.stdout.on("error", () => {
      this.#broken = true;
      onBroken();
    });
  }

  write(bytes: Uint8Array): void {
    if (this.#broken) return;
    this.#left = new Promise((resolve) => {
      process.stdout.write(bytes, () => resolve());
    });
  }

  flush(): Promise<void> {
    return this.#left;
  }
}
