/** A machine saved at any moment goes on, in another machine, as if nothing had happened; bytes that do not fit change nothing. */
import { describe, expect, it } from "vitest";
import { type PcStop, PentiumPc } from "../boards/pentium-pc.ts";
import { dword, dx, eax, ecx, edx } from "../i386/assembly.ts";
import { echoKernel } from "../test/echo-kernel.ts";
import { KernelWriter } from "../test/kernel-writer.ts";
import { readSnapshot, SnapshotError, snapshotMemory, writeSnapshot } from "./format.ts";

const MEMORY = 3 * 2 ** 20;

function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function machine(output: number[], memory = MEMORY): PentiumPc {
  return new PentiumPc({ memory, serialOutput: (byte) => output.push(byte) });
}

const TEXT = new TextEncoder().encode("saved in the middle of everything, and again.");

/** Drives the echo kernel from where it stands: input depends on the cycle alone, so that two machines get the same. */
function drive(pc: PentiumPc, until: number): PcStop {
  const STEP = 37_003;
  let stop: PcStop = { reason: "cycle" };
  while (!pc.end && pc.cycle < until) {
    const moment = (Math.floor(pc.cycle / STEP) + 1) * STEP;
    stop = pc.run(Math.min(moment, until));
    if (pc.end || pc.cycle < moment) continue;
    const index = moment / STEP - 3;
    if (index >= 0 && index < TEXT.length) pc.serialInput([TEXT[index]!]);
    if (index % 5 === 0) pc.keyInput([index & 0x7f]);
  }
  return stop;
}

interface Outcome {
  readonly text: string;
  readonly stop: PcStop;
  readonly hash: string;
  readonly statistics: unknown;
}

function outcome(pc: PentiumPc, output: number[], stop: PcStop): Outcome {
  return { text: String.fromCharCode(...output), stop, hash: pc.stateHash(), statistics: pc.statistics() };
}

describe("save and restore", () => {
  const END = 1_900_000;
  const output: number[] = [];
  const whole = machine(output);
  whole.loadMultiboot(echoKernel());
  const expected = outcome(whole, output, drive(whole, END));

  it("the run does something", () => {
    expect(expected.text).toBe(new TextDecoder().decode(TEXT));
    expect(expected.stop.reason).toBe("exit");
  });

  const random = numbers(11);
  it.each(Array.from({ length: 16 }, () => 1 + random(END - 200_000)))("saved at cycle %i", (at) => {
    const before: number[] = [];
    const first = machine(before);
    first.loadMultiboot(echoKernel());
    drive(first, at);
    const bytes = first.save();
    const hash = first.stateHash();
    const after: number[] = [];
    const second = machine(after);
    second.restore(bytes);
    expect(second.stateHash()).toBe(hash);
    expect(second.save()).toEqual(bytes);
    const stop = drive(second, END);
    expect(outcome(second, [...before, ...after], stop)).toEqual(expected);
    // Saving changes nothing either.
    expect(outcome(first, before, drive(first, END))).toEqual(expected);
  });

  it("a machine that has run, and one that has ended, become the saved one", () => {
    const bytes = (() => {
      const pc = machine([]);
      pc.loadMultiboot(echoKernel());
      drive(pc, 300_000);
      return pc.save();
    })();
    const after: number[] = [];
    const used = machine(after);
    used.loadMultiboot(echoKernel());
    drive(used, END);
    expect(used.end).toBeDefined();
    used.restore(bytes);
    expect(used.end).toBeUndefined();
    const stop = drive(used, END);
    expect({ stop, hash: used.stateHash() }).toEqual({ stop: expected.stop, hash: expected.hash });
  });

  it("an end is part of a snapshot", () => {
    const again = machine([]);
    again.restore(whole.save());
    expect(again.end).toEqual(whole.end);
    expect(again.run(END + 1000)).toEqual(whole.end);
  });

  it("time-stamp counter, floating point, marks and a repeated string instruction go on", () => {
    const kernel = new KernelWriter();
    const { a } = kernel;
    a.emit("mov", ecx, 0x10);
    a.emit("mov", eax, 12345);
    a.emit("mov", edx, 7);
    a.emit("wrmsr");
    a.emit("fldpi");
    a.emit("fld1");
    a.emit("mov", dx, 0x8e0c);
    a.emit("mov", eax, 0x78);
    a.emit("out", dx, eax);
    a.emit("mov", dx, 0x8e04);
    a.emit("mov", eax, 3);
    a.emit("out", dx, eax);
    a.emit("rdtsc");
    a.emit("faddp");
    a.emit("fstp", dword({ displacement: 0x200000 }));
    a.emit("mov", dx, 0x8e14);
    a.emit("out", dx, eax);
    kernel.endWith(1);
    const elf = kernel.finish();
    const run = (cuts: readonly number[]) => {
      let pc = machine([]);
      pc.loadMultiboot(elf);
      for (const cut of cuts) {
        pc.run(cut);
        const next = machine([]);
        next.restore(pc.save());
        pc = next;
      }
      pc.run(1_000_000);
      return { hash: pc.stateHash(), statistics: pc.statistics(), end: pc.end };
    };
    const plain = run([]);
    expect(plain.end).toEqual({ reason: "exit", status: 3, device: "debug-exit" });
    expect(plain.statistics.phases).toHaveLength(1);
    expect(plain.statistics.counters[""]).toBeGreaterThan(12345);
    const cuts = Array.from({ length: 40 }, (_, i) => 1 + i * 5);
    expect(run(cuts)).toEqual(plain);
  });
});

describe("bytes that do not fit", () => {
  const pc = machine([]);
  pc.loadMultiboot(echoKernel());
  drive(pc, 250_000);
  const bytes = pc.save();

  const victim = machine([]);
  victim.loadMultiboot(echoKernel());
  drive(victim, 120_000);
  const untouched = victim.stateHash();

  function refusal(damaged: Uint8Array, on = victim): SnapshotError {
    try {
      on.restore(damaged);
    } catch (error) {
      expect(error).toBeInstanceOf(SnapshotError);
      return error as SnapshotError;
    }
    throw new Error("it was taken");
  }

  it("are told apart, in words", () => {
    expect(refusal(new TextEncoder().encode("something else entirely")).problem).toBe("no snapshot");
    const version = bytes.slice();
    version[8] = 99;
    expect(refusal(version)).toMatchObject({ problem: "other version", message: /version 99/ });
    const other = refusal(bytes, machine([], 4 * 2 ** 20));
    expect(other).toMatchObject({
      problem: "other machine",
      message: /3145728 bytes of memory, and this one has 4194304/,
    });
    const faster = new PentiumPc({ memory: MEMORY, frequency: 100_000_000 });
    expect(refusal(bytes, faster)).toMatchObject({
      problem: "other machine",
      message: /frequency of 75000000/,
    });
    expect(snapshotMemory(bytes)).toBe(MEMORY);
  });

  it("cut off or with a flipped bit: damaged, and the machine stays", () => {
    const random = numbers(5);
    for (let i = 0; i < 60; i++) {
      expect(refusal(bytes.slice(0, random(bytes.length)))).toBeInstanceOf(SnapshotError);
      const flipped = bytes.slice();
      const at = i < 20 ? random(64) : random(flipped.length);
      flipped[at] = flipped[at]! ^ (1 << random(8));
      expect(refusal(flipped)).toBeInstanceOf(SnapshotError);
    }
    expect(victim.stateHash()).toBe(untouched);
  });

  it("numbers in the header allocate nothing", () => {
    for (const word of [3, 4, 5]) {
      for (const value of [0, 1, 0x7fff_ffff, -1]) {
        const huge = bytes.slice();
        new Int32Array(huge.buffer)[word] = value;
        expect(refusal(huge).problem).toBe("damaged");
      }
    }
  });

  /** Every place in a JSON value, as a path. */
  function places(value: unknown, path: readonly string[] = []): (readonly string[])[] {
    if (typeof value !== "object" || value === null) return [path];
    return [path, ...Object.entries(value).flatMap(([name, field]) => places(field, [...path, name]))];
  }

  it("a right checksum over a wrong description: refused whole, or a machine that runs", () => {
    const { description } = readSnapshot(bytes);
    const ram = pc.ram;
    const all = places(description).slice(1);
    const random = numbers(77);
    const wrong: readonly unknown[] = [null, -1, 1e300, 2 ** 40, 0.5, "x", [], {}, true, 0, 255, 65536];
    let refused = 0;
    for (let i = 0; i < 250; i++) {
      const changed = structuredClone(description) as Record<string, unknown>;
      const path = all[random(all.length)]!;
      let at = changed;
      for (const name of path.slice(0, -1)) at = at[name] as Record<string, unknown>;
      at[path.at(-1)!] = wrong[random(wrong.length)];
      try {
        victim.restore(writeSnapshot(changed, ram));
      } catch (error) {
        expect(error).toBeInstanceOf(SnapshotError);
        refused++;
        continue;
      }
      // Taken: then it must run, and no longer than a machine does.
      const start = victim.cycle;
      victim.run(start + 20_000);
      victim.restore(bytes);
    }
    expect(refused).toBeGreaterThan(100);
  });

  it("a state that one device refuses leaves all devices and the processor as they were", () => {
    const { description } = readSnapshot(bytes);
    const here = machine([]);
    here.loadMultiboot(echoKernel());
    drive(here, 120_000);
    const hash = here.stateHash();
    const changed = structuredClone(description) as { devices: { monitor: unknown } };
    changed.devices.monitor = 5;
    expect(refusal(writeSnapshot(changed, pc.ram), here).message).toMatch(/monitor/);
    expect(here.stateHash()).toBe(hash);
    expect(here.save()).toEqual(
      (() => {
        const same = machine([]);
        same.loadMultiboot(echoKernel());
        drive(same, 120_000);
        return same.save();
      })(),
    );
  });
});
