/** Builds the system or a program for a command: progress on stderr, build errors as the user's errors. */

import {
  type BuildProgress,
  type BuiltImage,
  type BuiltSystem,
  buildProgram,
  buildSystem,
} from "@rialto/toolchain/build/system.ts";
import { BuildError } from "@rialto/toolchain/contract.ts";
import { UserError } from "./errors.ts";

/** One status line, rewritten in place on a terminal; elsewhere a line for each image that is compiled. */
class ProgressLine {
  readonly #terminal = process.stderr.isTTY === true;
  #shown = false;
  readonly #seen = new Set<string>();

  show({ image, step, finished, total }: BuildProgress): void {
    if (this.#terminal) {
      process.stderr.write(`\r\x1b[Kbuilding ${finished}/${total}: ${step} ${image}`);
      this.#shown = true;
    } else if (step === "compile" && !this.#seen.has(image)) {
      this.#seen.add(image);
      process.stderr.write(`building ${image}\n`);
    }
  }

  clear(): void {
    if (this.#shown) process.stderr.write("\r\x1b[K");
    this.#shown = false;
  }
}

async function reporting<T>(build: (progress: (progress: BuildProgress) => void) => Promise<T>): Promise<T> {
  const line = new ProgressLine();
  try {
    return await build((progress) => line.show(progress));
  } catch (error) {
    line.clear();
    if (error instanceof BuildError) throw new UserError(error.message, { cause: error });
    throw error;
  } finally {
    line.clear();
  }
}

export function buildSystemReporting(): Promise<BuiltSystem> {
  return reporting((progress) => buildSystem({ progress }));
}

export function buildProgramReporting(file: string): Promise<BuiltImage> {
  return reporting((progress) => buildProgram(file, { progress }));
}
