/** Machines of both kinds on a switch; recording of what comes from it; the command's errors. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { framePacket } from "@rialto/debugger/packets.ts";
import { askingStation, echoStation } from "@rialto/machine/test/network-kernels.ts";
import { isAvailable, skipReason } from "@rialto/machine/test/run-kernel.ts";
import { until } from "@rialto/machine/test/until.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { FrameDecoder, FrameStreamError } from "./frame-stream.ts";
import { parseNetworkFlags } from "./network-flags.ts";
import { type RunningSwitch, startSwitch } from "./network-switch.ts";

const RIALTO = new URL("../../bin/rialto.mjs", import.meta.url).pathname;
const SIZES = [60, 333, 1514];
const ASKED = /60 bytes came back\n333 bytes came back\n1514 bytes came back\nwithout interrupts=00000000\n$/;

interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

let folder: string;
let children: ChildProcess[];
let box: RunningSwitch;
const notes: string[] = [];
let errors = "";

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "rialto-network-"));
  children = [];
  errors = "";
  notes.length = 0;
  box = await startSwitch(0, { note: (text) => notes.push(text) });
});

afterEach(async () => {
  for (const child of children) child.kill("SIGKILL");
  await box.close();
  rmSync(folder, { recursive: true, force: true });
});

function run(program: string, args: readonly string[]): Promise<Finished> {
  const child = spawn(program, args, { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("latin1").on("data", (part: string) => {
    stdout += part;
  });
  child.stderr.setEncoding("utf8").on("data", (part: string) => {
    stderr += part;
    errors += part;
  });
  return new Promise((resolve) => child.on("close", (status) => resolve({ status, stdout, stderr })));
}

const ours = (kernel: string, last: number, ...more: string[]) =>
  run(process.execPath, [
    ...[RIALTO, "machine", kernel, "--net", `${box.port}`, "--mac", `52:54:00:00:00:0${last}`],
    ...more,
  ]);

const qemu = (kernel: string, last: number) =>
  run("qemu-system-i386", [
    ...["-kernel", kernel, "-m", "16", "-display", "none", "-no-reboot", "-serial", "stdio"],
    ...["-device", "isa-debug-exit,iobase=0xf4,iosize=4"],
    ...["-netdev", `socket,id=net,connect=127.0.0.1:${box.port}`],
    ...["-device", `ne2k_pci,netdev=net,addr=3,mac=52:54:00:00:00:0${last}`],
  ]);

function writeKernels(): void {
  writeFileSync(join(folder, "asking"), askingStation(SIZES));
  writeFileSync(join(folder, "echo"), echoStation());
}

describe("a switch between processes", () => {
  it("joins machines, and a recording of one runs without it", async () => {
    writeKernels();
    const [asked, echoed] = await Promise.all([
      ours("asking", 1, "--record", "run.jsonl", "--hash-every", "1000000"),
      ours("echo", 2),
    ]);
    expect(asked.stdout, asked.stderr).toMatch(ASKED);
    expect([asked.status, echoed.status]).toEqual([1, 1]);
    const recording = readFileSync(join(folder, "run.jsonl"), "utf8");
    expect(recording.match(/"frame":/g)?.length).toBeGreaterThanOrEqual(SIZES.length);
    await box.close();
    const replayed = await ours("asking", 1, "--replay", "run.jsonl");
    expect(replayed.stdout).toBe(asked.stdout);
    expect(replayed.stderr).toContain("all equal");
  });

  it.skipIf(!isAvailable("qemu"))(`joins ours and QEMU's${skipReason("qemu")}`, async () => {
    writeKernels();
    const pairs = await Promise.all([ours("asking", 1), qemu("echo", 2)]);
    expect(pairs[0].stdout, pairs[0].stderr).toMatch(ASKED);
    const turned = await Promise.all([qemu("asking", 1), ours("echo", 2)]);
    expect(turned[0].stdout, turned[1].stderr).toMatch(ASKED);
  });

  it("keeps frames for a machine that a debugger holds", async () => {
    writeKernels();
    const echoed = ours("echo", 2, "--gdb", "0");
    await until(() => errors.includes("target remote") && notes.includes("cable 1 has joined"));
    const debuggerPort = Number(/target remote 127\.0\.0\.1:(\d+)/.exec(errors)?.[1]);
    let answered = "";
    const asked = ours("asking", 1, "--gdb", "0");
    children[1]?.stdout?.on("data", (part: string) => {
      answered += part;
    });
    await until(() => (errors.match(/target remote/g) ?? []).length === 2);
    const ports = [...errors.matchAll(/target remote 127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
    const letGo = (port: number) => {
      const debuggerOf = connect(port, "127.0.0.1");
      debuggerOf.on("error", () => {});
      debuggerOf.write(Buffer.concat([framePacket("vCont;c")]));
    };
    // The asking one runs, and its question comes to one that stands still.
    letGo(ports.find((port) => port !== debuggerPort) ?? 0);
    await until(() => answered.includes("reset="));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(answered).not.toContain("came back");
    letGo(debuggerPort);
    expect((await asked).stdout, (await asked).stderr).toMatch(ASKED);
    await echoed;
  });

  it("has a booted system on it", async () => {
    const { status, stdout, stderr } = await run(process.execPath, [
      ...[RIALTO, "boot", "--net", `${box.port}`, "--exec", "run hello"],
    ]);
    expect([status, stderr]).toEqual([0, expect.not.stringContaining("rialto:")]);
    expect(stdout).toContain("hello");
    expect(notes).toContain("cable 1 has joined");
  }, 600_000);

  it("cuts off who sends no frames, and tells a machine that it has gone", async () => {
    const socket = connect(box.port, "127.0.0.1");
    const closed = new Promise<void>((resolve) => socket.on("close", () => resolve()));
    socket.write("GET / HTTP/1.1\r\n\r\n");
    await closed;
    expect(notes[1]).toContain("carries no Ethernet frames");
    writeKernels();
    notes.length = 0;
    const waiting = ours("echo", 2);
    await until(() => notes.includes("cable 2 has joined"));
    await box.close();
    await until(() => errors.includes("has gone"));
    children[0]?.kill("SIGINT");
    expect((await waiting).status).toBe(130);
  });

  it("says what is wrong with a port", async () => {
    writeKernels();
    const port = box.port;
    await box.close();
    const { status, stderr } = await run(process.execPath, [RIALTO, "machine", "echo", "--net", `${port}`]);
    expect(status).toBe(1);
    expect(stderr).toContain(`start a switch with 'rialto network --port ${port}'`);
    box = await startSwitch(port, { note: () => {} });
    const second = await run(process.execPath, [RIALTO, "network", "--port", `${port}`]);
    expect([second.status, second.stderr]).toEqual([1, expect.stringContaining("somebody listens")]);
  });
});

describe("frames on a stream", () => {
  it("come whole, however the stream is cut", () => {
    const stream = Uint8Array.of(0, 0, 0, 2, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1, 9);
    const decoder = new FrameDecoder();
    const frames = [...stream].flatMap((byte) => decoder.push(Uint8Array.of(byte)));
    expect(frames).toEqual([Uint8Array.of(7, 8), new Uint8Array(0), Uint8Array.of(9)]);
    expect(() => new FrameDecoder().push(Buffer.from("GET /"))).toThrow(FrameStreamError);
  });
});

describe("network flags", () => {
  it("are checked", () => {
    expect(parseNetworkFlags({})).toBeUndefined();
    expect(parseNetworkFlags({ net: "4040", mac: "52:54:00:12:34:ff" })).toEqual({
      port: 4040,
      stationAddress: [0x52, 0x54, 0, 0x12, 0x34, 0xff],
    });
    for (const flags of [{ net: "0" }, { net: "x" }, { mac: "1" }, { net: "1", mac: "01:00:00:00:00:00" }])
      expect(() => parseNetworkFlags(flags)).toThrow(/--(net|mac)/);
  });
});
