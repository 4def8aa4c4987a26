/** A run with input at odd moments, recorded and replayed: equal to the bit, and every tampering found. */
import { describe, expect, it } from "vitest";
import { type PcStop, PentiumPc } from "../boards/pentium-pc.ts";
import { echoKernel } from "../test/echo-kernel.ts";
import { differences, parseRecording, RecordingError, type RecordingHeader } from "./format.ts";
import { describeStart } from "./identity.ts";
import { Recorder } from "./recorder.ts";
import { Divergence, Replayer } from "./replayer.ts";

const KERNEL = echoKernel();
const START = { kernel: KERNEL, modules: [], commandLine: "echo" };
const TEXT = new TextEncoder().encode("typed at odd moments, in bits and pieces.");
const HASH_EVERY = 250_000;

function machine(output: number[], memory = 3 * 2 ** 20, jit: "on" | "off" = "off"): PentiumPc {
  const pc = new PentiumPc({ memory, jit, serialOutput: (byte) => output.push(byte) });
  pc.loadMultiboot(KERNEL, START);
  return pc;
}

/** Numbers that look random and repeat (Numerical Recipes' linear congruence). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

interface Run {
  readonly text: string;
  readonly lines: string;
  readonly cycle: number;
  readonly instructions: number;
  readonly hash: string;
  readonly end: PentiumPc["end"];
}

/** `leaveAt`: the host leaves there, as with Ctrl-A x. */
function record(seed: number, hashEvery = HASH_EVERY, leaveAt = Number.POSITIVE_INFINITY): Run {
  const random = numbers(seed);
  const output: number[] = [];
  const lines: string[] = [];
  const pc = machine(output);
  const recorder = new Recorder<PcStop>(pc, describeStart(pc, START, hashEvery), (line) => lines.push(line));
  for (let sent = 0; !pc.end && pc.cycle < Math.min(leaveAt, 50_000_000); ) {
    recorder.run(pc.cycle + 1 + random(90_000));
    if (random(4) === 0) recorder.keyInput([random(128)]);
    const count = Math.min(random(4), TEXT.length - sent);
    if (count > 0) recorder.serialInput(TEXT.subarray(sent, sent + count));
    sent += count;
  }
  recorder.close();
  return {
    text: String.fromCharCode(...output),
    lines: lines.join(""),
    cycle: pc.cycle,
    instructions: pc.instructions,
    hash: pc.stateHash(),
    end: pc.end,
  };
}

/** In slices of another length than the recording's. */
function replay(
  lines: string,
  slice = 33_333,
  jit: "on" | "off" = "off",
): Omit<Run, "lines"> & { readonly compared: number } {
  const output: number[] = [];
  const pc = machine(output, undefined, jit);
  const replayer = new Replayer<PcStop>(pc, parseRecording(lines), describeStart(pc, START));
  while (!replayer.finished) {
    replayer.serialInput([1, 2, 3]);
    replayer.run(pc.cycle + slice);
  }
  return {
    text: String.fromCharCode(...output),
    cycle: pc.cycle,
    instructions: pc.instructions,
    hash: pc.stateHash(),
    end: pc.end,
    compared: replayer.finished.hashesCompared,
  };
}

describe("record and replay", () => {
  it.each([1, 2, 3])("the same bytes, hashes and counts (seed %i)", (seed) => {
    const { lines, ...recorded } = record(seed);
    expect(recorded.text).toBe(new TextDecoder().decode(TEXT));
    expect(recorded.end).toMatchObject({ reason: "exit" });
    for (const slice of [33_333, 10_000_000]) {
      const { compared, ...replayed } = replay(lines, slice);
      expect(replayed).toEqual(recorded);
      expect(compared).toBe(Math.floor(recorded.cycle / HASH_EVERY) + 1);
    }
  });

  it("compiled code replays what was recorded interpreted", () => {
    const { lines, ...recorded } = record(8);
    const { compared, ...replayed } = replay(lines, 100_000, "on");
    expect(replayed).toEqual(recorded);
    expect(compared).toBeGreaterThan(1);
  });

  it("different moments give different runs, so the comparison means something", () => {
    expect(record(1).hash).not.toBe(record(2).hash);
  });

  it("a run that the host left ends where it left", () => {
    const { lines, ...recorded } = record(4, 0, 700_000);
    expect(recorded.end).toBeUndefined();
    const { compared, ...replayed } = replay(lines);
    expect(replayed).toEqual(recorded);
    expect(compared).toBe(1);
  });

  it("HLT with interrupts off and power off are ends too", () => {
    const output: number[] = [];
    const lines: string[] = [];
    const pc = machine(output);
    // At the entry: CLI, HLT.
    pc.ram.set([0xfa, 0xf4], pc.processor.eip >>> 0);
    const recorder = new Recorder<PcStop>(pc, describeStart(pc, START), (line) => lines.push(line));
    recorder.run(1000);
    const again = machine(output);
    again.ram.set([0xfa, 0xf4], again.processor.eip >>> 0);
    const replayer = new Replayer<PcStop>(again, parseRecording(lines.join("")), describeStart(again, START));
    expect(replayer.run(1000)).toEqual({ reason: "halted" });
    expect(replayer.finished?.end).toBe("halted");
  });

  it("a killed recorder leaves a recording up to its last whole line", () => {
    const { lines } = record(5);
    const cut = lines.slice(0, Math.floor(lines.length * 0.6));
    const recording = parseRecording(cut);
    expect(recording.cutOff).toBe(!cut.endsWith("\n"));
    const replayed = replay(cut);
    expect(replayed.cycle).toBe(recording.entries.at(-1)!.cycle);
    expect(replayed.end).toBeUndefined();
  });
});

describe("tampering", () => {
  const { lines } = record(6);
  const changeLine = (pattern: RegExp, change: (line: string) => string) => {
    const all = lines.split("\n");
    const index = all.findIndex((line) => pattern.test(line));
    expect(index).toBeGreaterThan(0);
    all[index] = change(all[index]!);
    return all.join("\n");
  };

  it.each<readonly [string, RegExp, (line: string) => string]>([
    ["another byte", /"serial":"../, (line) => line.replace(/"serial":"../, '"serial":"41')],
    ["another moment", /"serial":"../, (line) => line.replace(/"cycle":\d+/, (at) => at.slice(0, -1))],
    ["an input less", /"keys"/, (line) => line.replace(/,"keys":"[0-9a-f]+"/, "")],
    ["another count", /"keys"/, (line) => line.replace(/"instructions":/, '"instructions":1')],
    ["another hash", /"hash"/, (line) => line.replace(/"hash":"..../, '"hash":"zzzz')],
    ["another end", /"end"/, (line) => line.replace(/"end":"exit"/, '"end":"reset"')],
  ])("%s is found", (_, pattern, change) => {
    expect(() => replay(changeLine(pattern, change))).toThrow(RecordingError);
  });

  it("the report names the cycle, and the line that still agreed", () => {
    const tampered = changeLine(/"keys"/, (line) => line.replace(/"keys":"[0-9a-f]+"/, '"keys":"ff"'));
    let found: unknown;
    try {
      replay(tampered);
    } catch (error) {
      found = error;
    }
    expect(found).toBeInstanceOf(Divergence);
    const { cycle, message } = found as Divergence;
    expect(cycle).toBeGreaterThanOrEqual(HASH_EVERY);
    expect(message).toMatch(/departs from the recording at cycle \d+ .*hash is .*cycle \d+, agreed/);
  });

  it("damaged files are refused, never half played", () => {
    const random = numbers(7);
    for (let i = 0; i < 300; i++) {
      const at = random(lines.length);
      const damaged =
        i % 2 === 0
          ? lines.slice(0, at) + String.fromCharCode(32 + random(95)) + lines.slice(at + 1)
          : lines.slice(0, at) + lines.slice(at + random(200));
      try {
        parseRecording(damaged);
      } catch (error) {
        expect(error).toBeInstanceOf(RecordingError);
      }
    }
    for (const text of ["", "\n", "{}\n", "null\n", '{"rialto":"recording","version":2}\n', "\0\0\n"]) {
      expect(() => parseRecording(text)).toThrow(RecordingError);
    }
    expect(() => parseRecording('{"rialto":"recording","version":9}\n')).toThrow(/version 9/);
  });
});

describe("a recording that does not fit", () => {
  const pc = machine([]);
  const header = describeStart(pc, START);

  it.each<readonly [string, RecordingHeader, RegExp]>([
    ["memory", { ...header, memory: 2 ** 25 }, /bytes of RAM: recorded with 33554432, now 3145728/],
    ["kernel", describeStart(pc, { ...START, kernel: KERNEL.slice(1) }), /kernel: it has changed/],
    ["command line", describeStart(pc, { ...START, commandLine: "" }), /command line: it has changed/],
    [
      "module",
      describeStart(pc, { ...START, modules: [{ commandLine: "disk", bytes: new Uint8Array(1) }] }),
      /module 1 \(disk\): recorded with one/,
    ],
    ["cycle model", { ...header, cycleModel: "slow" }, /cycle model: recorded with slow, now fast/],
  ])("says that the %s differs", (_, recorded, message) => {
    expect(differences(recorded, header).join()).toMatch(message);
    const recording = { header: recorded, entries: [], cutOff: false };
    expect(() => new Replayer<PcStop>(pc, recording, header)).toThrow(RecordingError);
  });

  it("takes what fits", () => {
    expect(differences(header, describeStart(machine([]), START))).toEqual([]);
  });
});
