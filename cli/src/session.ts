/**
 * Runs a machine for the host: in slices of cycles between which Node's event loop turns, so that input arrives, output
 * leaves and signals are heard. `rialto machine` and `rialto boot` share it.
 *
 * Virtual and wall time: while input may still come from somebody (a terminal, an open pipe), a guest that waits in HLT is
 * held back so that its clock does not run ahead of the wall's by more than a slice; a busy guest is never held back, and the time
 * it gained that way is forgiven. When no input can come any more, waiting costs nothing: the machine runs as fast as
 * it can. Neither ever changes what the guest computes, only when its input arrives.
 */
import { performance } from "node:perf_hooks";

/** Why a machine stopped for good, as the board tells it. */
export type MachineEnd =
  | { readonly reason: "exit"; readonly status: number; readonly device: string }
  | { readonly reason: "power-off" }
  | { readonly reason: "reset" }
  | { readonly reason: "shutdown" }
  | { readonly reason: "halted" };

/**
 * What a slice ended with: before the end of the run, waiting for input with nothing else scheduled, held by a debugger until somebody
 * calls `wake`, or for good.
 */
export type SliceResult =
  | { readonly reason: "cycle" | "stopped" | "breakpoint" | "waiting" | "held" }
  | MachineEnd;

/** What the session needs of a machine. */
export interface SessionMachine {
  readonly frequency: number;
  readonly cycle: number;
  /** Cycles spent in HLT. */
  readonly idleCycles: number;
  run(untilCycle: number): SliceResult;
  serialInput(bytes: Uint8Array): void;
  /** A frame that arrives at the machine's network card now. */
  networkInput(frame: Uint8Array): void;
}

/** The same machine with another way to run it. */
export function inFrontOf(machine: SessionMachine, run: (untilCycle: number) => SliceResult): SessionMachine {
  return {
    frequency: machine.frequency,
    get cycle() {
      return machine.cycle;
    },
    get idleCycles() {
      return machine.idleCycles;
    },
    serialInput: (bytes) => machine.serialInput(bytes),
    networkInput: (frame) => machine.networkInput(frame),
    run,
  };
}

export interface InputListener {
  bytes(bytes: Uint8Array): void;
  /** No more bytes will come. */
  ended(): void;
  /** The user wants to leave. */
  quit(reason: string, status: number): void;
}

/** Where the guest's input comes from. */
export interface SessionInput {
  /** Reports from now on; a source that has everything already may report before it returns. */
  start(listener: InputListener): void;
  /** Gives the terminal back. */
  stop(): void;
}

export interface SessionOutput {
  write(bytes: Uint8Array): void;
  /** Resolves when everything written has left the process. */
  flush(): Promise<void>;
}

export type SessionEnd =
  | MachineEnd
  | { readonly reason: "quit"; readonly what: string; readonly status: number };

/** 10 ms of a 75 MHz guest: the longest that a key press waits. */
const SLICES_PER_SECOND = 100;
const LONGEST_QUEUE = 10_000;
/** A guest that fell behind the wall by more than this is not made to catch up. */
const FORGIVEN_SECONDS = 0.1;

export class Session {
  readonly #machine: SessionMachine;
  readonly #input: SessionInput;
  readonly #output: SessionOutput;
  #pendingOutput: number[] = [];
  #pendingInput: Array<(machine: SessionMachine) => void> = [];
  /** Frames for the next slice. A machine that a debugger holds gets them when it goes on. */
  #pendingFrames: Uint8Array[] = [];
  #held = false;
  /** Sources that input may still come from. */
  #openSources = 0;
  #quit: { readonly reason: "quit"; readonly what: string; readonly status: number } | undefined;
  #wake: (() => void) | undefined;
  /** Moment at which virtual and wall time agreed. */
  #anchorWall = 0;
  #anchorCycle = 0;

  constructor(machine: SessionMachine, input: SessionInput, output: SessionOutput) {
    this.#machine = machine;
    this.#input = input;
    this.#output = output;
  }

  /** The machine's serial port calls this for every byte. */
  serialOutput(byte: number): void {
    this.#pendingOutput.push(byte);
  }

  /** A machine that was held may go on. */
  wake(): void {
    this.#wake?.();
  }

  /** Ends the run after the slice under way. */
  quit(what: string, status: number): void {
    this.#quit ??= { reason: "quit", what, status };
    this.#wake?.();
  }

  /** Another source that input may come from, until the function is called that it returns. */
  openSource(): () => void {
    this.#openSources++;
    let open = true;
    return () => {
      if (open) this.#openSources--;
      open = false;
      this.#wake?.();
    };
  }

  #deliver(input: (machine: SessionMachine) => void): void {
    this.#pendingInput.push(input);
    this.#wake?.();
  }

  /** A frame from the network, for the next slice; lost when very many wait, as on any wire. */
  networkInput(frame: Uint8Array): void {
    if (this.#pendingFrames.length >= LONGEST_QUEUE) return;
    this.#pendingFrames.push(frame);
    if (!this.#held) this.#wake?.();
  }

  get #hasInput(): boolean {
    return this.#pendingInput.length > 0 || (!this.#held && this.#pendingFrames.length > 0);
  }

  async run(): Promise<SessionEnd> {
    this.#input.start({
      bytes: (bytes) => this.#deliver((machine) => machine.serialInput(bytes)),
      ended: this.openSource(),
      quit: (what, status) => this.quit(what, status),
    });
    this.#anchor();
    try {
      for (;;) {
        const end = await this.#slice();
        if (end) return end;
      }
    } finally {
      this.#input.stop();
      this.#deliverOutput();
      await this.#output.flush();
    }
  }

  async #slice(): Promise<SessionEnd | undefined> {
    if (this.#quit) return this.#quit;
    for (const deliver of this.#pendingInput.splice(0)) deliver(this.#machine);
    if (!this.#held) for (const frame of this.#pendingFrames.splice(0)) this.#machine.networkInput(frame);
    const idleBefore = this.#machine.idleCycles;
    const length = Math.ceil(this.#machine.frequency / SLICES_PER_SECOND);
    const result = this.#machine.run(this.#machine.cycle + length);
    this.#held = result.reason === "held";
    this.#deliverOutput();
    switch (result.reason) {
      case "cycle":
      case "stopped":
      case "breakpoint": {
        const idle = this.#machine.idleCycles > idleBefore;
        await (this.#openSources > 0 && idle ? this.#holdBack() : this.#turn());
        return undefined;
      }
      case "waiting":
        if (this.#openSources === 0 && !this.#hasInput) return { reason: "halted" };
        await this.#sleep(undefined);
        this.#anchor();
        return undefined;
      case "held":
        await this.#sleep(undefined);
        this.#anchor();
        return undefined;
      default:
        return result;
    }
  }

  #anchor(): void {
    this.#anchorWall = performance.now() / 1000;
    this.#anchorCycle = this.#machine.cycle;
  }

  /** Sleeps until the wall clock has caught up with the guest's, or input comes. */
  async #holdBack(): Promise<void> {
    const wall = performance.now() / 1000 - this.#anchorWall;
    const ahead = (this.#machine.cycle - this.#anchorCycle) / this.#machine.frequency - wall;
    if (ahead < -FORGIVEN_SECONDS) this.#anchor();
    if (ahead > 0.001) await this.#sleep(ahead * 1000);
    else await this.#turn();
  }

  /** Lets the event loop turn once; time that a busy guest gained is forgiven. */
  async #turn(): Promise<void> {
    const wall = performance.now() / 1000 - this.#anchorWall;
    if ((this.#machine.cycle - this.#anchorCycle) / this.#machine.frequency > wall) this.#anchor();
    await new Promise<void>((resolve) => setImmediate(resolve));
  }

  /** Until input, its end, or a wish to leave; at most `milliseconds` when given. */
  #sleep(milliseconds: number | undefined): Promise<void> {
    if (this.#hasInput || this.#quit) return Promise.resolve();
    return new Promise((resolve) => {
      // Without a limit the pending timer also keeps the process alive while it waits.
      const timer = setTimeout(() => this.#wake?.(), milliseconds ?? 2 ** 31 - 1);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #deliverOutput(): void {
    if (this.#pendingOutput.length === 0) return;
    this.#output.write(Uint8Array.from(this.#pendingOutput));
    this.#pendingOutput = [];
  }
}

/** Exit status of the process, and what to tell the user, if anything. */
export function describeEnd(end: SessionEnd): { readonly status: number; readonly message?: string } {
  switch (end.reason) {
    case "exit":
      return { status: end.status };
    case "power-off":
      return { status: 0 };
    case "reset":
      return { status: 0, message: "the guest reset the machine" };
    case "shutdown":
      return {
        status: 1,
        message: "the guest crashed: triple fault (a fault while delivering a double fault)",
      };
    case "halted":
      return { status: 1, message: "the guest halted: no interrupt can wake it any more" };
    case "quit":
      return { status: end.status, message: end.what };
  }
}
