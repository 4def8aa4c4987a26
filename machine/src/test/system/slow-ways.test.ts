/**
 * What the engine does of gates, returns, task switches and loads of segments equals the slow ways, which an observer asks for, and compiled
 * code: the same cycles, TLB misses and counts, the same state of the whole machine behind all system checks.
 */
import { describe, expect, it } from "vitest";
import { Image, Selector } from "../../bench/system-images.ts";
import { PentiumPc } from "../../boards/pentium-pc.ts";
import { dword, ebx, symbol } from "../../i386/assembly.ts";
import { buildCheckKernel } from "./check-kernel.ts";
import { pagingChecks } from "./checks-paging.ts";
import { ringChecks } from "./checks-rings.ts";
import { segmentChecks } from "./checks-segments.ts";
import { taskChecks } from "./checks-tasks.ts";

const suites = { segments: segmentChecks, rings: ringChecks, paging: pagingChecks, tasks: taskChecks };

/** From ring 3 to ring 0 and back, whose stack's descriptor has a base that gives it the hash of the code's in engine/descriptors.ts. */
function equalHashes(): Uint8Array {
  const image = new Image();
  const { a } = image;
  a.emit("mov", ebx, symbol("gdt"));
  a.emit("mov", dword({ base: ebx, displacement: Selector.data0 }), 0x2000_ffff);
  image.gate(0x31, "handler", Selector.code0, 3);
  image.enterRing(3);
  image.repeat(50, () => a.emit("int", 0x31));
  a.label("handler");
  a.emit("iretd");
  return image.finish("equal hashes", 50).bytes;
}

function run(kernel: Uint8Array, jit: "on" | "off", isObserved: boolean, cycles = 1e9) {
  const pc = new PentiumPc({ memory: 8 * 2 ** 20, jit, compiler: { hot: 1 } });
  let switches = 0;
  if (isObserved) pc.processor.observer = { taskSwitch: () => switches++ };
  pc.loadMultiboot(kernel);
  pc.run(cycles);
  return { seen: { cycle: pc.cycle, state: pc.stateHash(), statistics: pc.statistics() }, switches };
}

describe("slow ways", () => {
  it.each(Object.entries(suites))("%s", (name, checks) => {
    const kernel = buildCheckKernel(checks);
    const slow = run(kernel, "off", true);
    expect(run(kernel, "off", false).seen).toEqual(slow.seen);
    expect(run(kernel, "on", false).seen).toEqual(slow.seen);
    if (name === "tasks") expect(slow.switches).toBeGreaterThan(20);
  });

  it("descriptors of code and stack with equal hashes", () => {
    const kernel = equalHashes();
    const slow = run(kernel, "off", true, 200_000);
    expect(slow.seen.statistics.softwareInterrupts[0x31]).toBeGreaterThan(500);
    expect(run(kernel, "off", false, 200_000).seen).toEqual(slow.seen);
    expect(run(kernel, "on", false, 200_000).seen).toEqual(slow.seen);
  });
});
