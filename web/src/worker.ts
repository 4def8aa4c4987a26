/**
 * The machine in a worker of the page. It runs in slices, between which messages arrive; a guest that is ahead of the clock on the
 * wall waits for it, and one that fell behind does not catch up.
 */
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { bootGuest, measureGuest } from "./guest.ts";
import type { FromWorker, ToWorker } from "./messages.ts";

const SLICES_PER_SECOND = 100;
const SLICE_MILLISECONDS = 1000 / SLICES_PER_SECOND;
const SLICES_PER_REPORT = 50;

function tell(message: FromWorker): void {
  postMessage(message);
}

class PacedRun {
  readonly #pc: PentiumPc;
  #output: number[] = [];
  #slices = 0;
  #waiting = false;
  /** When the guest is due where it now is. */
  #due = performance.now();

  constructor(message: ToWorker & { readonly kind: "boot" }) {
    this.#pc = bootGuest(message.files, message.options, (byte) => this.#output.push(byte));
    this.#slice();
  }

  input(bytes: Uint8Array): void {
    this.#pc.serialInput(bytes);
    if (!this.#waiting) return;
    this.#waiting = false;
    this.#due = performance.now();
    this.#slice();
  }

  #slice(): void {
    const pc = this.#pc;
    const stop = pc.run(pc.cycle + pc.frequency / SLICES_PER_SECOND);
    if (this.#output.length > 0) tell({ kind: "output", bytes: Uint8Array.from(this.#output.splice(0)) });
    if (this.#slices++ % SLICES_PER_REPORT === 0) {
      tell({ kind: "speed", cycle: pc.cycle, instructions: pc.instructions });
    }
    if (pc.end) tell({ kind: "ended", reason: pc.end.reason });
    else if (stop.reason === "waiting") this.#waiting = true;
    else {
      this.#due = Math.max(this.#due + SLICE_MILLISECONDS, performance.now() - SLICE_MILLISECONDS);
      setTimeout(() => this.#slice(), this.#due - performance.now());
    }
  }
}

let run: PacedRun | undefined;

addEventListener("message", ({ data: message }: MessageEvent<ToWorker>) => {
  switch (message.kind) {
    case "boot":
      run = new PacedRun(message);
      return;
    case "input":
      run?.input(message.bytes);
      return;
    case "measure": {
      const { files, options, cycles } = message;
      tell({ kind: "measured", measurement: measureGuest(files, options, cycles, () => performance.now()) });
    }
  }
});
