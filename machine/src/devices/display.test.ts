/** The display: what a kernel draws is the picture that QEMU dumps of the same kernel, pixel by pixel, in each depth. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { PentiumPc } from "../boards/pentium-pc.ts";
import { al, ax, byte, dword, dx, eax, ebx, ecx, edi, edx } from "../i386/assembly.ts";
import { KernelWriter } from "../test/kernel-writer.ts";
import { isAvailable, skipReason } from "../test/run-kernel.ts";
import { until } from "../test/until.ts";
import type { Picture } from "./display.ts";

interface Mode {
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  /** Enable bits besides "on" and "linear". */
  readonly more?: number;
  readonly lineWidth?: number;
  readonly x?: number;
  readonly y?: number;
}

const MODES: readonly Mode[] = [
  { width: 640, height: 480, bits: 32 },
  { width: 320, height: 200, bits: 24 },
  { width: 400, height: 300, bits: 16 },
  { width: 400, height: 300, bits: 15 },
  { width: 320, height: 240, bits: 8 },
  { width: 320, height: 240, bits: 8, more: 0x20 },
  { width: 320, height: 200, bits: 32, lineWidth: 512, x: 40, y: 25 },
];

/** Sets the mode, prints every register, fills the memory with a pattern, prints "drawn" and halts. */
function drawing(mode: Mode): Uint8Array {
  const kernel = new KernelWriter();
  const { a } = kernel;
  const out = (port: number, value: number) => {
    a.emit("mov", dx, port);
    a.emit("mov", eax, value);
    a.emit("out", dx, ax);
  };
  const set = (register: number, value: number) => {
    out(0x1ce, register);
    out(0x1cf, value);
  };
  const show = (register: number, label: string) => {
    out(0x1ce, register);
    a.emit("mov", dx, 0x1cf);
    a.emit("xor", eax, eax);
    a.emit("in", ax, dx);
    kernel.report(label);
  };
  const configuration = (register: number) => {
    a.emit("mov", eax, (0x8000_1000 + register) | 0);
    a.emit("mov", dx, 0xcf8);
    a.emit("out", dx, eax);
    a.emit("mov", dx, 0xcfc);
    a.emit("in", eax, dx);
  };
  for (const [register, label] of [
    [0x00, "display"],
    [0x10, "frame memory"],
  ] as const) {
    configuration(register);
    kernel.report(label);
  }
  show(0, "id");
  show(10, "memory");
  set(4, 0x02);
  for (const [register, label] of [1, 2, 3].map((register) => [register, `limit ${register}`] as const))
    show(register, label);
  set(4, 0);
  set(1, mode.width);
  set(2, mode.height);
  set(3, mode.bits);
  set(4, 0x41 | (mode.more ?? 0));
  if (mode.lineWidth) set(6, mode.lineWidth);
  if (mode.x) set(8, mode.x);
  if (mode.y) set(9, mode.y);
  for (let register = 1; register < 10; register++)
    if (register !== 5) show(register, `register ${register}`);
  // The palette by the ports, its entry 7 by the window of registers.
  kernel.outByte(0x3c8, 0);
  a.emit("mov", ecx, 0);
  const next = a.newLabel();
  a.place(next);
  for (const factor of [1, 3, 7]) {
    a.emit("imul", eax, ecx, factor);
    a.emit("mov", dx, 0x3c9);
    a.emit("out", dx, al);
  }
  a.emit("inc", ecx);
  a.emit("cmp", ecx, 256);
  a.emit("jb", next);
  configuration(0x18);
  a.emit("and", eax, -16);
  a.emit("mov", ebx, eax);
  a.emit("mov", byte({ base: ebx, displacement: 0x408 }), 7);
  for (const value of [0x3f, 0x01, 0x2a]) a.emit("mov", byte({ base: ebx, displacement: 0x409 }), value);
  kernel.outByte(0x3c7, 7);
  for (const label of ["red", "green", "blue"]) {
    kernel.inByte(0x3c9);
    kernel.report(label);
  }
  configuration(0x10);
  a.emit("and", eax, -16);
  a.emit("mov", edi, eax);
  const lines = mode.height + (mode.y ?? 0);
  a.emit("mov", ecx, ((mode.lineWidth ?? mode.width) * lines * Math.ceil(mode.bits / 8)) / 4);
  const fill = a.newLabel();
  a.place(fill);
  a.emit("imul", eax, ecx, 0x0101_7b53);
  a.emit("mov", dword({ base: edi }), eax);
  a.emit("add", edi, 4);
  a.emit("loop", fill);
  // Reads come back, at every width.
  a.emit("mov", edx, dword({ base: edi, displacement: -10 }));
  a.emit("movzx", eax, byte({ base: edi, displacement: -7 }));
  a.emit("add", eax, edx);
  kernel.report("read back");
  kernel.print("drawn\n");
  const halt = a.newLabel();
  a.place(halt);
  a.emit("hlt");
  a.emit("jmp", halt);
  return kernel.finish();
}

interface Drawn {
  readonly serial: string;
  readonly picture: Picture;
}

function drawnHere(mode: Mode): Drawn & { readonly pc: PentiumPc } {
  const serial: number[] = [];
  const pc = new PentiumPc({ serialOutput: (byte) => serial.push(byte) });
  pc.loadMultiboot(drawing(mode));
  while (!pc.end) pc.run(pc.cycle + 10_000_000);
  const picture = pc.display.picture();
  if (!picture) throw new Error("the display is in text mode");
  return { pc, serial: Buffer.from(serial).toString("latin1"), picture };
}

function readPixmap(bytes: Buffer): Picture {
  const header = /^P6\n(\d+) (\d+)\n255\n/.exec(bytes.subarray(0, 40).toString("latin1"));
  if (!header) throw new Error("no pixmap");
  return {
    width: Number(header[1]),
    height: Number(header[2]),
    rgb: Uint8Array.from(bytes.subarray(header[0].length)),
  };
}

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "rialto-display-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

async function drawnOnQemu(mode: Mode): Promise<Drawn> {
  writeFileSync(join(folder, "kernel"), drawing(mode));
  const child = spawn(
    "qemu-system-i386",
    [
      ...["-kernel", "kernel", "-m", "16", "-display", "none", "-net", "none"],
      ...["-serial", "file:serial.txt", "-monitor", "stdio"],
    ],
    { cwd: folder, stdio: ["pipe", "ignore", "ignore"] },
  );
  const file = join(folder, "serial.txt");
  const serial = () => (existsSync(file) ? readFileSync(file, "latin1") : "");
  try {
    await until(() => serial().includes("drawn\n"));
    child.stdin.write("screendump picture\n");
    child.stdin.write("quit\n");
    await new Promise((resolve) => child.on("close", resolve));
    return { serial: serial(), picture: readPixmap(readFileSync(join(folder, "picture"))) };
  } finally {
    child.kill("SIGKILL");
  }
}

function describeMode({ width, height, bits, more, lineWidth }: Mode): string {
  return `${width} x ${height}, ${bits} bits${more ? ", palette of 8 bits" : ""}${lineWidth ? ", part of a larger memory" : ""}`;
}

describe("display", () => {
  for (const mode of MODES) {
    it.skipIf(!isAvailable("qemu"))(
      `shows what QEMU shows: ${describeMode(mode)}${skipReason("qemu")}`,
      async () => {
        const here = drawnHere(mode);
        const there = await drawnOnQemu(mode);
        expect(here.serial).toBe(there.serial);
        expect([here.picture.width, here.picture.height]).toEqual([
          there.picture.width,
          there.picture.height,
        ]);
        const { rgb } = there.picture;
        // Of 15 bits a pixel QEMU leaves the low bits of a colour zero.
        const mask = mode.bits === 15 ? 0xf8 : 0xff;
        const differs = here.picture.rgb.findIndex((part, i) => (part & mask) !== rgb[i]);
        expect([differs, here.picture.rgb[differs], rgb[differs]]).toEqual([-1, undefined, undefined]);
      },
    );
  }

  it("is part of the machine's state", () => {
    const { pc, picture } = drawnHere(MODES[1]!);
    const other = new PentiumPc();
    expect(other.display.picture()).toBeUndefined();
    other.restore(pc.save());
    expect(other.stateHash()).toBe(pc.stateHash());
    expect(other.display.picture()).toEqual(picture);
  });
});
