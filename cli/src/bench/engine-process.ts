/**
 * One image on our machine, or on v86, in a process of its own: prints the process's processor time in milliseconds at every mark, one a
 * line, until it is ended.
 */

import { readFileSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { processorTime } from "./reports.ts";

const SLICE_CYCLES = 50e6;

/** The part of v86 that is used here; the package's own types are not needed by anything else. */
interface V86Module {
  readonly V86: new (
    options: Record<string, unknown>,
  ) => {
    add_listener(event: string, listener: () => void): void;
  };
}

function marked(): void {
  writeSync(1, `${processorTime()}\n`);
}

function runOurs(engine: string | undefined, image: Uint8Array, memory: number): void {
  const jit = engine === "interpreter" ? "off" : "on";
  const cycleModel = engine === "detailed" ? "detailed" : "fast";
  const pc = new PentiumPc({ memory, jit, cycleModel, debugOutput: marked });
  pc.loadMultiboot(image);
  while (!pc.end) pc.run(pc.cycle + SLICE_CYCLES);
}

async function runV86(image: Uint8Array, memory: number): Promise<void> {
  const name = "v86";
  const { V86 } = (await import(name)) as V86Module;
  const machine = new V86({
    wasm_path: fileURLToPath(new URL("v86.wasm", import.meta.resolve(name))),
    memory_size: memory,
    vga_memory_size: 2 ** 20,
    multiboot: { buffer: image.slice().buffer },
    ...{ autostart: true, disable_keyboard: true, disable_mouse: true, disable_speaker: true },
  });
  machine.add_listener("serial0-output-byte", marked);
}

/** Arguments: engine, file, bytes of memory. */
export async function runEngineProcess([engine, file, memory]: readonly string[]): Promise<void> {
  const image = readFileSync(file!);
  if (engine === "v86") await runV86(image, Number(memory));
  else runOurs(engine, image, Number(memory));
}
