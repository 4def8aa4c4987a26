/** What reads bytes that somebody else may have made: kernels, snapshots, recordings, archives, symbols, packets of a debugger. */
import { readFileSync } from "node:fs";
import { bytesOfText, framePacket } from "@rialto/debugger/packets.ts";
import { PentiumTarget } from "@rialto/debugger/pentium-target.ts";
import { GdbSession } from "@rialto/debugger/session.ts";
import { CodeMap } from "@rialto/debugger/symbols/code-map.ts";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { entryLine, headerLine, parseRecording } from "@rialto/machine/recording/format.ts";
import { describeStart } from "@rialto/machine/recording/identity.ts";
import { Replayer } from "@rialto/machine/recording/replayer.ts";
import { readSnapshot, sealSnapshot, writeSnapshot } from "@rialto/machine/snapshot/format.ts";
import { echoKernel } from "@rialto/machine/test/echo-kernel.ts";
import { buildSystem } from "@rialto/toolchain/build/system.ts";
import { crc32, readArchive, writeArchive } from "@rialto/toolchain/link/archive.ts";
import type { Subject } from "./fuzzer.ts";
import { programImages } from "./image-subject.ts";
import { mutateJson } from "./mutate.ts";
import type { Random } from "./random.ts";

const MEMORY = 4 * 2 ** 20;
/** How long the guest of an accepted input runs. */
const CYCLES = 20_000;
const HEADER_MAGIC = 0x1badb002;
const LINE = bytesOfText("hello.\n");

const text = (value: string): Uint8Array => new TextEncoder().encode(value);
const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** A machine that starts each time where it started first. */
class FreshMachine {
  readonly #pc: PentiumPc;
  readonly #start: Uint8Array;

  constructor(jit: "on" | "off" = "off") {
    this.#pc = new PentiumPc({ memory: MEMORY, jit });
    this.#start = this.#pc.save();
  }

  take(): PentiumPc {
    this.#pc.restore(this.#start);
    return this.#pc;
  }
}

function runOn(pc: PentiumPc): void {
  pc.run(pc.cycle + CYCLES);
  pc.serialInput(LINE);
  pc.keyInput([0x1e, 0x9e]);
  pc.run(pc.cycle + CYCLES);
  pc.save();
  pc.stateHash();
}

/** Gives a multiboot header its checksum. */
function repairKernel(bytes: Uint8Array): void {
  const view = viewOf(bytes);
  for (let at = 0; at + 12 <= bytes.length; at += 4) {
    if (view.getUint32(at, true) !== HEADER_MAGIC) continue;
    view.setUint32(at + 8, -(HEADER_MAGIC + view.getUint32(at + 4, true)), true);
    return;
  }
}

/** A kernel by the address fields of its header, as those without ELF have them. */
function flatKernel(): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = viewOf(bytes);
  const [magic, flags, base] = [HEADER_MAGIC, 0x1_0003, 0x10_0000];
  [magic, flags, -(magic + flags), base, base, base + 64, base + 4096, base + 32].forEach((word, index) => {
    view.setUint32(4 * index, word, true);
  });
  bytes.fill(0x90, 32);
  return bytes;
}

function multiboot(): Subject {
  const machine = new FreshMachine();
  return {
    name: "multiboot",
    sources: /\/machine\/src\/(boards|i386)\//,
    seeds: [echoKernel(), flatKernel()],
    repair: repairKernel,
    refusals: ["MultibootError"],
    run(input) {
      const pc = machine.take();
      pc.loadMultiboot(input, { modules: [{ commandLine: "module", bytes: LINE }], commandLine: "quiet" });
      runOn(pc);
    },
  };
}

/** A machine in the middle of something. */
function busyMachine(): PentiumPc {
  const pc = new PentiumPc({ memory: MEMORY });
  pc.loadMultiboot(echoKernel());
  pc.run(50_000);
  pc.serialInput(bytesOfText("ab"));
  pc.keyInput([0x1e]);
  pc.run(60_000);
  return pc;
}

function snapshot(): Subject {
  const machine = new FreshMachine();
  return {
    name: "snapshot",
    sources: /\/machine\/src\/(snapshot|boards|devices|i386\/processor-state)/,
    seeds: [busyMachine().save(), new PentiumPc({ memory: MEMORY }).save()],
    repair: (bytes) => {
      if (bytes.length >= 32 && bytes.length % 4 === 0) sealSnapshot(bytes);
    },
    refusals: ["SnapshotError"],
    run(input) {
      const pc = machine.take();
      pc.restore(input);
      runOn(pc);
    },
  };
}

/** The description in a snapshot alone, with RAM that fits it. */
function machineState(): Subject {
  const machine = new FreshMachine();
  const pc = busyMachine();
  const ram = pc.ram.slice();
  const describe = (bytes: Uint8Array) => text(JSON.stringify(readSnapshot(bytes).description));
  return {
    name: "machine state",
    sources: /\/machine\/src\/(snapshot|boards|devices|i386|clock)/,
    seeds: [describe(pc.save()), describe(new PentiumPc({ memory: MEMORY }).save())],
    mutate: mutateJson,
    refusals: ["SnapshotError", "SyntaxError"],
    run(input) {
      const file = writeSnapshot(JSON.parse(new TextDecoder().decode(input)), ram);
      const restored = machine.take();
      restored.restore(file);
      runOn(restored);
    },
  };
}

/** Changes one line of a recording. */
function mutateLine(bytes: Uint8Array, random: Random): Uint8Array {
  const lines = new TextDecoder().decode(bytes).split("\n");
  const index = random.below(lines.length);
  lines[index] = new TextDecoder().decode(mutateJson(text(lines[index]), random));
  return text(lines.join("\n"));
}

function recording(): Subject {
  const machine = new FreshMachine();
  const kernel = echoKernel();
  const start = { kernel, modules: [], commandLine: "" };
  const loaded = () => {
    const pc = machine.take();
    pc.loadMultiboot(kernel);
    return pc;
  };
  const pc = loaded();
  const header = describeStart(pc, start);
  const entry = (more: object) => entryLine({ cycle: pc.cycle, instructions: pc.instructions, ...more });
  let lines = headerLine(header);
  for (const serial of [bytesOfText("ab"), bytesOfText("c")]) {
    pc.run(pc.cycle + 7000);
    lines += entry({ hash: pc.stateHash() }) + entry({ serial });
    pc.serialInput(serial);
  }
  pc.run(pc.cycle + 7000);
  lines += entry({ keys: Uint8Array.of(0x1e), end: "left" });
  return {
    name: "recording",
    sources: /\/machine\/src\/recording\//,
    seeds: [text(lines), text(headerLine(header))],
    mutate: mutateLine,
    refusals: ["RecordingError", "Divergence"],
    run(input) {
      const played = new Replayer(loaded(), parseRecording(new TextDecoder().decode(input)), header);
      for (let slices = 0; slices < 5 && !played.finished; slices++) played.run(played.cycle + CYCLES);
    },
  };
}

const PAGE = 4096;

function repairArchive(bytes: Uint8Array): void {
  if (bytes.length < 2 * PAGE) return;
  const view = viewOf(bytes);
  view.setUint32(16, bytes.length, true);
  const count = Math.min(view.getUint32(12, true), 8);
  const entries = 64;
  const size = 64;
  for (let index = 0; index < count; index++) {
    const at = entries + index * size;
    const [offset, length] = [view.getUint32(at + 48, true), view.getUint32(at + 52, true)];
    view.setUint32(at + 56, crc32(bytes.subarray(offset, offset + length)), true);
  }
  view.setUint32(20, crc32(bytes.subarray(entries, entries + count * size)), true);
}

function archive(): Subject {
  const files = [
    { name: "etc/one", contents: text("one") },
    { name: "bin/two", contents: new Uint8Array(5000).fill(7) },
  ];
  return {
    name: "archive",
    sources: /\/toolchain\/src\/link\/archive/,
    seeds: [writeArchive(files), writeArchive([])],
    repair: repairArchive,
    refusals: ["BuildError"],
    run: (input) => readArchive(input),
  };
}

/** Symbols and line tables of images: what is not there is not found, and nothing is refused. */
function symbols(elf: Uint8Array): Subject {
  return {
    name: "symbols",
    sources: /\/debugger\/src\/(elf-symbols|symbols\/)/,
    seeds: [elf],
    refusals: [],
    run(input) {
      const map = new CodeMap([{ name: "image", elf: input }]);
      const [first] = map.functions;
      map.lineAt(0x4140_0000);
      if (first) map.sourceOf(first);
    },
  };
}

const PACKETS = [
  "qSupported:swbreak+;hwbreak+;xmlRegisters=i386",
  ...["?", "g", "p8", "P0=01000000", "m100000,40", "M100000,2:0102", "Z0,100010,1", "Z2,100100,4", "s", "bs"],
  ...[
    "vCont;s:1;c",
    "c",
    "bc",
    "Hg0",
    "qfThreadInfo",
    "qXfer:features:read:target.xml:0,100",
    "qRcmd,68656c70",
  ],
  ...["qRcmd,7068797320302034", "z0,100010,1", "X100000,4:abcd", "D"],
];

function repairPackets(bytes: Uint8Array): void {
  let sum: number | undefined;
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 0x24) sum = 0;
    else if (bytes[at] === 0x23 && sum !== undefined && at + 2 < bytes.length) {
      bytes.set(text((sum & 0xff).toString(16).padStart(2, "0")), at + 1);
      sum = undefined;
    } else if (sum !== undefined) sum += bytes[at];
  }
}

function debuggerPackets(): Subject {
  const machine = new FreshMachine();
  const join = (packets: readonly string[]) =>
    Uint8Array.from(packets.flatMap((packet) => [...framePacket(packet)]));
  return {
    name: "debugger",
    sources: /\/(debugger\/src|machine\/src\/history)\//,
    seeds: [join(PACKETS), ...PACKETS.map((packet) => join(["QStartNoAckMode", packet]))],
    repair: repairPackets,
    refusals: [],
    run(input) {
      const pc = machine.take();
      pc.loadMultiboot(echoKernel());
      const target = new PentiumTarget(pc, { history: {} });
      const session = new GdbSession(target, { send: () => {}, ended: () => {} });
      for (let start = 0; start < input.length; start += 64) {
        session.receive(input.subarray(start, start + 64));
        target.run(pc.cycle + 1000);
        session.receive(Uint8Array.of(3));
      }
      session.closed();
      pc.processor.observer = null;
    },
  };
}

export interface FuzzedSystem {
  readonly kernel: Uint8Array;
  readonly archive: Uint8Array;
  /** An image with symbols and lines. */
  readonly elf: Uint8Array;
}

/** Makes a subject by its name. */
export function fuzzSubjects(system: FuzzedSystem): ReadonlyMap<string, () => Subject> {
  return new Map([
    ["multiboot", multiboot],
    ["snapshot", snapshot],
    ["machine state", machineState],
    ["recording", recording],
    ["archive", archive],
    ["symbols", () => symbols(system.elf)],
    ["debugger", debuggerPackets],
    ["program", () => programImages(system)],
  ]);
}

export async function buildFuzzedSystem(): Promise<FuzzedSystem> {
  const { kernel, archive: boot, images } = await buildSystem();
  const image = images.find(({ name }) => name === "digest");
  if (!image) throw new Error("the system has no image 'digest'");
  const read = (file: string) => new Uint8Array(readFileSync(file));
  return { kernel: read(kernel), archive: read(boot), elf: read(image.file) };
}
