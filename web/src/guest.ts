/** A machine with the system in it, and a measured run; in a browser's worker and in Node alike. */
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";

export interface SystemFiles {
  readonly kernel: Uint8Array;
  readonly archive: Uint8Array;
}

export interface GuestOptions {
  readonly memory: number;
  readonly jit: "on" | "off";
}

/** The machine at the kernel's entry. */
export function bootGuest(
  { kernel, archive }: SystemFiles,
  { memory, jit }: GuestOptions,
  serialOutput: (byte: number) => void,
): PentiumPc {
  const pc = new PentiumPc({ memory, jit, serialOutput });
  pc.loadMultiboot(kernel, { modules: [{ commandLine: "archive", bytes: archive }], commandLine: "" });
  return pc;
}

export interface Measurement {
  readonly cycle: number;
  readonly instructions: number;
  readonly stateHash: string;
  /** What the guest has printed. */
  readonly output: string;
  /** Regions that were compiled. */
  readonly compiled: number;
  readonly milliseconds: { readonly create: number; readonly run: number };
}

/** Runs to a cycle. `now`: the host's clock, in milliseconds. */
export function measureGuest(
  files: SystemFiles,
  options: GuestOptions,
  cycles: number,
  now: () => number,
): Measurement {
  const output: number[] = [];
  const start = now();
  const pc = bootGuest(files, options, (byte) => output.push(byte));
  const created = now();
  pc.run(cycles);
  const ended = now();
  return {
    cycle: pc.cycle,
    instructions: pc.instructions,
    stateHash: pc.stateHash(),
    output: new TextDecoder().decode(Uint8Array.from(output)),
    compiled: pc.processor.compiler?.statistics.regions ?? 0,
    milliseconds: { create: created - start, run: ended - created },
  };
}
