/**
 * Images of programs that a processor without any devices runs three times: by the slow ways, which an observer asks for, by the engine, and
 * in compiled code. All three must leave it, and its memory, the same.
 */

import { createHash } from "node:crypto";
import { EventClock } from "../clock.ts";
import type { Bus } from "../contract.ts";
import type { Assembler } from "../i386/assembler.ts";
import { createMachineMemory, type ProcessorObserver } from "../i386/core.ts";
import type { CompilerOptions } from "../i386/jit/compiler.ts";
import { Pentium } from "../i386/pentium.ts";

export interface Program {
  /** All of memory. */
  readonly image: Uint8Array;
  /** Where it begins, flat and without paging. */
  readonly entry: number;
  readonly cycles: number;
  /** Into so many the run is cut. */
  readonly parts: number;
  /** Whether the interrupt line is raised before each part, for vector 20H. */
  readonly isInterrupted: boolean;
}

/** Puts finished code at an address of an image; returns where its symbols are. */
export function placeCode(a: Assembler, image: Uint8Array, address: number): (name: string) => number {
  const code = a.finish();
  const view = new DataView(image.buffer);
  image.set(code.text, address);
  const at = (name: string): number => address + (code.symbols.get(name) ?? Number.NaN);
  for (const { offset, symbol, addend, kind } of code.fixups) {
    const to = at(symbol) + addend;
    view.setInt32(address + offset, kind === "relative32" ? to - address - offset : to, true);
  }
  return at;
}

/** Of a run that no observer sees, by the engine and in compiled code. */
export const quickWays: readonly (readonly [name: string, CompilerOptions | null])[] = [
  ["engine", null],
  ["compiled", { hot: 1 }],
];

/** How a run leaves the machine, part by part. An observer makes it go by the slow ways. */
export function runProgram(
  program: Program,
  compiler: CompilerOptions | null,
  observer: ProcessorObserver | null,
) {
  const memory = createMachineMemory(program.image.length);
  const bus: Bus = {
    memory,
    readPhysical: () => 0,
    writePhysical: () => {},
    readPort: () => 0,
    writePort: () => {},
    acknowledgeInterrupt() {
      processor.interruptLine = false;
      return 0x20;
    },
  };
  const processor: Pentium = new Pentium(bus, new EventClock(), { compiler });
  memory.ram.set(program.image);
  processor.observer = observer;
  processor.enterFlat(program.entry);
  const states: unknown[] = [];
  for (let part = 1; part <= program.parts; part++) {
    if (program.isInterrupted) processor.interruptLine = true;
    const reason = processor.run((program.cycles * part) / program.parts);
    states.push(reason, processor.state());
  }
  const ram = createHash("sha256").update(memory.ram).digest("hex");
  return { states, ram, statistics: processor.statistics() };
}
