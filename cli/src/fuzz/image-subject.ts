/**
 * Programs that the guest's kernel loads: it is to refuse or end a bad one, and to come back to its prompt. The image replaces that of
 * `hello` in the boot archive, in the memory of a machine that has booted; a program that does not end by itself gets Ctrl-C.
 */

import { bytesOfText } from "@rialto/debugger/packets.ts";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { crc32, readArchive } from "@rialto/toolchain/link/archive.ts";
import type { Subject } from "./fuzzer.ts";

const PROMPT = "rialto> ";
const FILE = "bin/hello";
const BOOT_CYCLES = 10_000_000;
/** For a program to end by itself, and then by Ctrl-C. */
const PATIENCE = 10_000_000;
const SLICE = 500_000;
const PAGE = 4096;
const HEADER = 64;
const ENTRY = 64;
const PANIC = (125 << 1) | 1;

interface SystemFiles {
  readonly kernel: Uint8Array;
  readonly archive: Uint8Array;
}

class BootedMachine {
  readonly pc: PentiumPc;
  readonly image: Uint8Array;
  readonly #snapshot: Uint8Array;
  readonly #archiveAt: number;
  readonly #archive: Uint8Array;
  #output = "";

  constructor({ kernel, archive }: SystemFiles) {
    this.pc = new PentiumPc({
      serialOutput: (byte) => {
        this.#output += String.fromCharCode(byte);
      },
    });
    this.pc.loadMultiboot(kernel, { modules: [{ commandLine: "archive", bytes: archive }] });
    const ram = Buffer.from(this.pc.ram.buffer, this.pc.ram.byteOffset, this.pc.memoryBytes);
    this.#archive = archive;
    this.#archiveAt = ram.indexOf(archive.subarray(0, PAGE));
    this.image = readArchive(archive).find(({ name }) => name === FILE)?.contents ?? new Uint8Array(0);
    this.#untilPrompt(BOOT_CYCLES);
    this.#snapshot = this.pc.save();
  }

  #untilPrompt(cycles: number): boolean {
    const end = this.pc.cycle + cycles;
    while (!this.pc.end && this.pc.cycle < end && !this.#output.endsWith(PROMPT))
      this.pc.run(this.pc.cycle + SLICE);
    return this.#output.endsWith(PROMPT);
  }

  /** Puts an image in the place of the program's; longer ones are cut. */
  #replace(image: Uint8Array): void {
    const ram = this.pc.ram.subarray(this.#archiveAt, this.#archiveAt + this.#archive.length);
    const view = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    const count = view.getUint32(12, true);
    const index = readArchive(this.#archive).findIndex(({ name }) => name === FILE);
    const entry = HEADER + index * ENTRY;
    const offset = view.getUint32(entry + 48, true);
    const contents = image.subarray(0, Math.ceil(view.getUint32(entry + 52, true) / PAGE) * PAGE);
    ram.set(contents, offset);
    view.setUint32(entry + 52, contents.length, true);
    view.setUint32(entry + 56, crc32(contents), true);
    view.setUint32(20, crc32(ram.subarray(HEADER, HEADER + count * ENTRY)), true);
  }

  run(image: Uint8Array): void {
    this.pc.restore(this.#snapshot);
    this.#replace(image);
    this.#output = "";
    this.pc.serialInput(bytesOfText("run hello\r"));
    if (this.#untilPrompt(PATIENCE)) return;
    if (!this.pc.end) this.pc.serialInput(Uint8Array.of(3));
    if (this.#untilPrompt(PATIENCE)) return;
    const { end } = this.pc;
    const panic = end?.reason === "exit" && end.status === PANIC ? "the kernel panicked" : undefined;
    throw new Error(`${panic ?? `no prompt, machine ${JSON.stringify(end ?? "runs")}`}: ${this.#output}`);
  }
}

export function programImages(files: SystemFiles): Subject {
  const machine = new BootedMachine(files);
  return {
    name: "program",
    sources: /\/machine\/src\/i386\//,
    seeds: [machine.image],
    refusals: [],
    run: (input) => machine.run(input),
  };
}
