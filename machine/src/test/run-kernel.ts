/**
 * One way to run a multiboot kernel on several machines: ours, QEMU and Bochs. Tests run the same kernel on all of them and compare
 * what it printed. A machine that is not installed is not available; tests say so and skip.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { MultibootModule } from "../boards/multiboot.ts";
import { runKernelOnBochs } from "./bochs.ts";

export const MACHINES = ["ours", "qemu", "bochs"] as const;
export type MachineName = (typeof MACHINES)[number];

export interface KernelRunOptions {
  /** Bytes of RAM, whole megabytes. Default 16 MB. */
  readonly memory?: number;
  /** Milliseconds of wall time; a run that takes longer is ended. Default 15 s. */
  readonly timeout?: number;
  readonly commandLine?: string;
  readonly modules?: readonly MultibootModule[];
  /** QEMU only: gives it an NE2000 in slot 3 whose frames travel as datagrams between two ports of the loopback. */
  readonly network?: DatagramNetwork | undefined;
}

export interface DatagramNetwork {
  readonly localPort: number;
  readonly remotePort: number;
  /** As "52:54:00:…". */
  readonly stationAddress: string;
}

export interface KernelRun {
  /** What came out of the first serial port, one character a byte. */
  readonly serial: string;
  /** What was written to port 0xe9. */
  readonly debug: string;
  /** (value << 1) | 1 of the value written to port 0xf4; undefined when the run did not end that way. */
  readonly exitStatus: number | undefined;
}

const available = new Map<MachineName, boolean>();

/** Whether the machine can run here. */
export function isAvailable(machine: MachineName): boolean {
  let found = available.get(machine);
  if (found === undefined) {
    const program = machine === "qemu" ? "qemu-system-i386" : "bochs";
    found = machine === "ours" || !spawnSync(program, ["--help"], { stdio: "ignore" }).error;
    available.set(machine, found);
  }
  return found;
}

/** Why a test that needs the machine is skipped, for its name. */
export function skipReason(machine: MachineName): string {
  return isAvailable(machine) ? "" : ` (skipped: ${machine} is not installed)`;
}

const SLICE_CYCLES = 2_000_000;

/** Options with their defaults in. */
export type CompleteOptions = Required<Omit<KernelRunOptions, "network">> & Pick<KernelRunOptions, "network">;

async function runOnOurs(elf: Uint8Array, options: CompleteOptions): Promise<KernelRun> {
  const { PentiumPc } = await import("../boards/pentium-pc.ts");
  const serial: number[] = [];
  const debug: number[] = [];
  const pc = new PentiumPc({
    memory: options.memory,
    serialOutput: (byte) => serial.push(byte),
    debugOutput: (byte) => debug.push(byte),
  });
  pc.loadMultiboot(elf, { modules: options.modules, commandLine: options.commandLine });
  const deadline = Date.now() + options.timeout;
  while (!pc.end && Date.now() < deadline) {
    if (pc.run(pc.cycle + SLICE_CYCLES).reason === "waiting") break;
  }
  const text = (bytes: number[]) => Buffer.from(bytes).toString("latin1");
  return {
    serial: text(serial),
    debug: text(debug),
    exitStatus: pc.end?.reason === "exit" ? pc.end.status : undefined,
  };
}

function networkFlags(network: DatagramNetwork | undefined): string[] {
  if (!network) return ["-net", "none"];
  const { localPort, remotePort, stationAddress } = network;
  return [
    ...["-netdev", `socket,id=net,udp=127.0.0.1:${remotePort},localaddr=127.0.0.1:${localPort}`],
    ...["-device", `ne2k_pci,netdev=net,addr=3,mac=${stationAddress}`],
  ];
}

async function runOnQemu(elf: Uint8Array, options: CompleteOptions): Promise<KernelRun> {
  const folder = mkdtempSync(join(tmpdir(), "rialto-qemu-"));
  try {
    writeFileSync(join(folder, "kernel"), elf);
    const modules = options.modules.map((module, i) => {
      writeFileSync(join(folder, `module${i}`), module.bytes);
      return `module${i} ${module.commandLine}`;
    });
    const flags = [
      ...["-kernel", "kernel", "-m", `${options.memory / 2 ** 20}`, "-display", "none", "-no-reboot"],
      ...["-serial", "stdio", "-debugcon", "file:debug.txt", ...networkFlags(options.network)],
      ...["-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
      ...(options.commandLine ? ["-append", options.commandLine] : []),
      ...(modules.length > 0 ? ["-initrd", modules.join(",")] : []),
    ];
    return await new Promise<KernelRun>((resolve, reject) => {
      const child = spawn("qemu-system-i386", flags, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
      let serial = "";
      let complaint = "";
      child.stdout.setEncoding("latin1").on("data", (part: string) => {
        serial += part;
      });
      child.stderr.setEncoding("utf8").on("data", (part: string) => {
        complaint += part;
      });
      const timer = setTimeout(() => child.kill("SIGKILL"), options.timeout);
      child.on("error", reject);
      child.on("close", (code) => {
        clearTimeout(timer);
        // QEMU reports its own troubles with status 1, which is also the guest's (0 << 1) | 1.
        if (code === 1 && complaint.includes("qemu-system-i386:")) {
          reject(new Error(complaint));
          return;
        }
        const file = join(folder, "debug.txt");
        const debug = existsSync(file) ? readFileSync(file, "latin1") : "";
        resolve({ serial, debug, exitStatus: code === null || code === 0 ? undefined : code });
      });
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

export async function runKernel(
  machine: MachineName,
  elf: Uint8Array,
  options: KernelRunOptions = {},
): Promise<KernelRun> {
  const complete = { memory: 16 * 2 ** 20, timeout: 15_000, commandLine: "", modules: [], ...options };
  switch (machine) {
    case "ours":
      return runOnOurs(elf, complete);
    case "qemu":
      return runOnQemu(elf, complete);
    case "bochs":
      return runKernelOnBochs(elf, complete);
  }
}
