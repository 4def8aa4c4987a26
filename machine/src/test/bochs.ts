/**
 * Runs a multiboot kernel on Bochs, which has no multiboot: a ROM of ours takes the place of the BIOS. It holds what
 * `layOutMultiboot` lays out, enters flat protected mode straight from the reset vector, copies kernel and modules to their places
 * (memory starts zeroed) and jumps to the kernel with the multiboot registers. No firmware runs: the kernel initialises its devices.
 *
 * Bochs has no isa-debug-exit either. A kernel ends with the convention of `kernels.ts`: status to port 0xf4, then, if it is still
 * running, "[exit HH]" to port 0xe9 and "Shutdown" to port 0x8900.
 *
 * Debian's build starts in its debugger (`-rc` continues it), wants a display (rfb that waits for nobody), a sound driver that works
 * without a sound card, and a pipe as its standard output, where it also prints what is written to port 0xe9.
 */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { layOutMultiboot, MULTIBOOT_MAGIC, type MultibootImage } from "../boards/multiboot.ts";
import type { CompleteOptions, KernelRun } from "./run-kernel.ts";

/** The last 64 KB of the ROM: the code, which also appears below 1 MB. */
const BLOCK = 0x10000;
const ALIAS = 0xf0000;
/** Bochs holds ROMs up to 2 MB. */
const LARGEST_ROM = 0x200000;
/** Offsets in the last block. */
const START = 0xf000;
const GDT = 0xff00;
const RESET_VECTOR = 0xfff0;

/** A ROM that ends at 4 GB: what goes into memory first, its own code in the last block. */
function buildRom(image: MultibootImage): Uint8Array {
  const aligned = (size: number) => Math.ceil(size / 4) * 4;
  const payload = image.pieces.reduce((sum, { bytes }) => sum + aligned(bytes.length), 0);
  const size = Math.ceil(payload / BLOCK) * BLOCK + BLOCK;
  if (size > LARGEST_ROM) throw new Error(`a kernel of ${payload} bytes is too large for Bochs's ROM`);
  const rom = new Uint8Array(size).fill(0xff);
  const code = rom.subarray(size - BLOCK);
  const view = new DataView(code.buffer, code.byteOffset, BLOCK);
  let at = START;
  const put = (...bytes: number[]) => {
    code.set(bytes, at);
    at += bytes.length;
  };
  /** An opcode and its 32-bit immediate. */
  const put32 = (opcode: number, value: number) => {
    put(opcode);
    view.setUint32(at, value, true);
    at += 4;
  };
  put(0xfa); // cli
  put(0x66, 0x2e, 0x0f, 0x01, 0x16, GDT & 0xff, GDT >> 8); // lgdt cs:[GDT]
  put(0x0f, 0x20, 0xc0, 0x0c, 0x01, 0x0f, 0x22, 0xc0); // cr0.PE = 1
  put(0x66);
  put32(0xea, ALIAS + at + 7); // jmp far 8:next
  put(0x08, 0x00);
  put(0x66, 0xb8, 0x10, 0x00); // ax = 10h, to all data segments
  put(0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0, 0x8e, 0xe0, 0x8e, 0xe8);
  put(0xfc); // cld
  let from = 0;
  for (const { address, bytes } of image.pieces) {
    rom.set(bytes, from);
    rom.fill(0, from + bytes.length, from + aligned(bytes.length));
    put32(0xbe, 2 ** 32 - size + from);
    put32(0xbf, address);
    put32(0xb9, aligned(bytes.length) / 4);
    put(0xf3, 0xa5); // rep movsd
    from += aligned(bytes.length);
  }
  put32(0xb8, MULTIBOOT_MAGIC);
  put32(0xbb, image.information);
  put32(0xb9, image.entry);
  put(0xff, 0xe1); // jmp ecx

  view.setUint16(GDT, 23, true);
  view.setUint32(GDT + 2, ALIAS + GDT + 8, true);
  code.fill(0, GDT + 8, GDT + 16);
  code.set([0xff, 0xff, 0, 0, 0, 0x9b, 0xcf, 0], GDT + 16);
  code.set([0xff, 0xff, 0, 0, 0, 0x93, 0xcf, 0], GDT + 24);
  code.set([0xea, START & 0xff, START >> 8, 0x00, 0xf0], RESET_VECTOR); // jmp far f000:START
  return rom;
}

function configuration(romSize: number, memory: number): string {
  return [
    `romimage: file=rom.bin, address=0x${(2 ** 32 - romSize).toString(16)}`,
    "vgaromimage: file=vga.bin",
    `megs: ${memory / 2 ** 20}`,
    "cpu: model=pentium, count=1, ips=50000000, reset_on_triple_fault=0",
    'display_library: rfb, options="timeout=0"',
    "com1: enabled=1, mode=file, dev=serial.txt",
    "port_e9_hack: enabled=1",
    "sound: waveoutdrv=dummy",
    "plugin_ctrl: speaker=0",
    "ata0: enabled=0",
    "ata1: enabled=0",
    "clock: sync=none",
    "log: bochs.log",
    "panic: action=fatal",
    "error: action=report",
    "info: action=report",
    "",
  ].join("\n");
}

/** What the guest wrote to port 0xe9, between Bochs's own lines. */
export function debugOutput(standardOutput: string): string {
  const start = /^\(0\) \[0x0000fffffff0\].*\n/m.exec(standardOutput);
  if (!start) return "";
  const rest = standardOutput.slice(start.index + start[0].length);
  const end = rest.search(/={20,}\nBochs is exiting|\(0\)\.\[|Program received signal/);
  return end < 0 ? rest : rest.slice(0, end);
}

/** Fills a folder so that `bochs -q -f bochsrc -rc commands` in it runs the kernel. */
export function writeBochsFolder(
  folder: string,
  elf: Uint8Array,
  { memory, commandLine, modules }: Pick<CompleteOptions, "memory" | "commandLine" | "modules">,
): void {
  const rom = buildRom(layOutMultiboot(elf, { memory, commandLine, modules }));
  writeFileSync(join(folder, "rom.bin"), rom);
  // Bochs insists on a VGA ROM; without its signature nobody calls it.
  writeFileSync(join(folder, "vga.bin"), new Uint8Array(512));
  writeFileSync(join(folder, "bochsrc"), configuration(rom.length, memory));
  writeFileSync(join(folder, "commands"), "c\nq\n");
}

export async function runKernelOnBochs(elf: Uint8Array, options: CompleteOptions): Promise<KernelRun> {
  const folder = mkdtempSync(join(tmpdir(), "rialto-bochs-"));
  try {
    writeBochsFolder(folder, elf, options);
    const standardOutput = await new Promise<string>((resolve, reject) => {
      const child = spawn("bochs", ["-q", "-f", "bochsrc", "-rc", "commands"], {
        cwd: folder,
        stdio: ["ignore", "pipe", "ignore"],
      });
      let text = "";
      child.stdout.setEncoding("latin1").on("data", (part: string) => {
        text += part;
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), options.timeout);
      child.on("error", reject);
      child.on("close", () => {
        clearTimeout(timer);
        resolve(text);
      });
    });
    const log = join(folder, "bochs.log");
    if (!standardOutput.includes("Next at t=0") && existsSync(log)) {
      throw new Error(`Bochs did not start:\n${readFileSync(log, "utf8").slice(-2000)}`);
    }
    const debug = debugOutput(standardOutput);
    const exit = /\[exit ([0-9a-f]{2})\]/.exec(debug);
    const serial = join(folder, "serial.txt");
    return {
      serial: existsSync(serial) ? readFileSync(serial, "latin1") : "",
      debug: exit ? debug.slice(0, exit.index) : debug,
      exitStatus: exit ? ((Number.parseInt(exit[1]!, 16) << 1) | 1) & 0xff : undefined,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
