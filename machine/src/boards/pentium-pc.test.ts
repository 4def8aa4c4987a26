/** The board as a whole: runs repeat, slices do not matter, and every way to end is told apart. */
import { describe, expect, it } from "vitest";
import { ax, dword, dx, eax } from "../i386/assembly.ts";
import { echoKernel } from "../test/echo-kernel.ts";
import { KernelWriter, SERIAL_PORT } from "../test/kernel-writer.ts";
import { type PcStop, PentiumPc } from "./pentium-pc.ts";

interface Run {
  readonly output: string;
  readonly stop: PcStop;
  readonly cycle: number;
  readonly instructions: number;
  readonly hashes: readonly string[];
}

const INPUT = new TextEncoder().encode("the same again.");

/** Runs the echo kernel with one character every 100,000 cycles, in slices of the given length. */
function run(slice: number): Run {
  const output: number[] = [];
  const pc = new PentiumPc({ memory: 4 * 2 ** 20, serialOutput: (byte) => output.push(byte) });
  pc.loadMultiboot(echoKernel());
  const hashes: string[] = [];
  let sent = 0;
  let stop: PcStop = { reason: "cycle" };
  for (let target = 100_000; stop.reason === "cycle" && target < 100_000_000; target += 100_000) {
    while (stop.reason === "cycle" && pc.cycle < target) stop = pc.run(Math.min(target, pc.cycle + slice));
    if (sent < INPUT.length) pc.serialInput([INPUT[sent++]!]);
    hashes.push(pc.stateHash());
  }
  const text = String.fromCharCode(...output);
  return { output: text, stop, cycle: pc.cycle, instructions: pc.instructions, hashes };
}

describe("determinism", () => {
  const first = run(100_000);

  it("the guest got its input and the timer ran", () => {
    expect(first.output).toBe("the same again.");
    expect(first.stop).toMatchObject({ reason: "exit", device: "debug-exit" });
    expect(first.cycle).toBeGreaterThan(1_500_000);
  });

  it("equal inputs at equal cycles give equal runs, bit for bit", () => {
    expect(run(100_000)).toEqual(first);
  });

  it("how a run is cut into slices does not matter", () => {
    const sliced = run(777);
    expect(sliced.output).toBe(first.output);
    expect(sliced.stop).toEqual(first.stop);
    expect(sliced.cycle).toBe(first.cycle);
    expect(sliced.instructions).toBe(first.instructions);
  });

  it("the hash sees memory, processor and devices", () => {
    const pc = new PentiumPc({ memory: 2 * 2 ** 20 });
    const seen = new Set([pc.stateHash()]);
    pc.ram[0x1fffff] = 1;
    seen.add(pc.stateHash());
    pc.processor.registers[3] = 5;
    seen.add(pc.stateHash());
    pc.keyInput([0x1e]);
    seen.add(pc.stateHash());
    expect(seen.size).toBe(4);
  });
});

describe("ends", () => {
  function end(write: (kernel: KernelWriter) => void, cycles = 10_000_000): PcStop {
    const kernel = new KernelWriter();
    write(kernel);
    const pc = new PentiumPc({ memory: 4 * 2 ** 20 });
    pc.loadMultiboot(kernel.finish());
    const stop = pc.run(cycles);
    if (pc.end) expect(pc.run(cycles + 1)).toEqual(pc.end);
    return stop;
  }

  it("monitor port: any status", () => {
    const stop = end(({ a }) => {
      a.emit("mov", dx, 0x8e08);
      a.emit("mov", eax, 42);
      a.emit("out", dx, eax);
      a.emit("hlt");
    });
    expect(stop).toEqual({ reason: "exit", status: 42, device: "monitor" });
  });

  it("debug exit", () => {
    expect(end((kernel) => kernel.endWith(3))).toEqual({ reason: "exit", status: 7, device: "debug-exit" });
  });

  it("power off", () => {
    const stop = end(({ a }) => {
      a.emit("mov", dx, 0x604);
      a.emit("mov", ax, 0x2000);
      a.emit("out", dx, ax);
      a.emit("hlt");
    });
    expect(stop).toEqual({ reason: "power-off" });
  });

  it("reset", () => {
    expect(end((kernel) => kernel.outByte(0x64, 0xfe))).toEqual({ reason: "reset" });
  });

  it("triple fault", () => {
    expect(end(({ a }) => a.emit("int3"))).toEqual({ reason: "shutdown" });
  });

  it("HLT with interrupts off", () => {
    expect(
      end(({ a }) => {
        a.emit("cli");
        a.emit("hlt");
      }),
    ).toEqual({ reason: "halted" });
  });

  it("HLT with interrupts on and the timer stopped waits for input, and input wakes it", () => {
    const kernel = new KernelWriter();
    const { a } = kernel;
    kernel.gate(0x24, "received");
    kernel.openInterrupts([4]);
    kernel.outByte(0x43, 0x30); // mode 0 without a count
    kernel.outByte(SERIAL_PORT + 1, 0x01);
    a.emit("sti");
    a.emit("hlt");
    a.label("received");
    kernel.inByte(SERIAL_PORT);
    kernel.end();
    const pc = new PentiumPc({ memory: 4 * 2 ** 20 });
    pc.loadMultiboot(kernel.finish());
    expect(pc.run(10_000_000)).toEqual({ reason: "waiting" });
    expect(pc.cycle).toBeLessThan(10_000_000);
    pc.serialInput([5]);
    expect(pc.run(10_000_000)).toEqual({ reason: "exit", status: 11, device: "debug-exit" });
  });
});

describe("memory", () => {
  it("reads as all ones where nothing is, and keeps nothing", () => {
    const kernel = new KernelWriter();
    const { a } = kernel;
    a.emit("mov", dword({ displacement: 0xfee00000 }), 0);
    a.emit("mov", eax, dword({ displacement: 0xfee00000 }));
    kernel.report("empty");
    a.emit("mov", dword({ displacement: 0xb8000 }), 0x07210748);
    kernel.endWith(0);
    const output: number[] = [];
    const pc = new PentiumPc({ memory: 4 * 2 ** 20, serialOutput: (byte) => output.push(byte) });
    pc.loadMultiboot(kernel.finish());
    pc.run(10_000_000);
    expect(String.fromCharCode(...output)).toBe("empty=ffffffff\n");
    expect(pc.vga.text()[0]).toBe("H!");
  });

  it("has to be a possible size", () => {
    expect(() => new PentiumPc({ memory: 1000 })).toThrow(RangeError);
  });
});
