/**
 * Watching instructions one by one, for profiles and coverage: the decoder puts a record of its own in front of every instruction that gets
 * a number, and the interpreter comes here through it. Without a watcher there are no such records, and nobody pays.
 *
 * A probe sees the machine between two instructions and changes nothing: it takes no cycles, and is no instruction. One whose watcher has
 * seen enough is bypassed until its page is decoded again. Compiled code has no probes: watch an interpreting processor.
 */
import type { CodeCache } from "./code-cache.ts";
import type { ProcessorCore } from "./core.ts";
import { HotOperation } from "./hot-operations.ts";
import type { Handler } from "./interpreter.ts";
import { Field, Slot } from "./layout.ts";

export interface InstructionWatcher {
  /** A number for the instruction at offset `eip` of CS, -1 for none. Asked when it is decoded, perhaps again and again. */
  numberOf(eip: number): number;
  /**
   * The instruction is about to run. It may yet fault, or be begun once more when a run is cut, so that one retired instruction can be
   * reached twice. False when this place need not be watched any more.
   */
  reached(number: number): boolean;
}

export interface Probes {
  watcher: InstructionWatcher | null;
  readonly run: Handler;
}

export function createProbes(core: ProcessorCore, codeCache: CodeCache): Probes {
  const { s } = core;
  const { pool } = codeCache;
  const { OPERATION, IMMEDIATE, LINK, WORDS } = Field;
  const probes: Probes = {
    watcher: null,
    run(p) {
      s[Slot.RETIRED] = s[Slot.RETIRED]! - 1;
      if (probes.watcher !== null && !probes.watcher.reached(pool[p + IMMEDIATE]!)) {
        pool[p + OPERATION] = HotOperation.continueAt;
        pool[p + LINK] = p + WORDS;
      }
      return p + WORDS;
    },
  };
  return probes;
}
