/**
 * The kernel's checks of its probed sections (`debug=on`, os/kernel/threads/probe-check.ts) find violations: the machine stops in a section
 * and the probe count of the thread that runs is falsified in memory.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readElfSymbols } from "@rialto/debugger/elf-symbols.ts";
import { fieldOffsets } from "@rialto/debugger/rialto/layout.ts";
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { REPOSITORY } from "@rialto/toolchain/build/system.ts";
import { describe, expect, it } from "vitest";
import { buildSystemReporting } from "./build-system.ts";

const WINDOW = 0xa000_0000;
const KERNEL_BASE = 0x4000_0000;
/** Cycles: two seconds of the guest's time. */
const LIMIT = 150_000_000;
const PROBES = fieldOffsets(
  readFileSync(join(REPOSITORY, "os/kernel/threads/thread.ts"), "utf8"),
  "Thread",
).get("probes")!;

const system = await buildSystemReporting();
const kernel: Uint8Array = readFileSync(system.kernel);
const archive: Uint8Array = readFileSync(system.archive);
const symbols = readElfSymbols(kernel);

function addressOf(name: string): number {
  const address = symbols.get(name);
  if (address === undefined) throw new Error(`the kernel has no symbol ${name}`);
  return address;
}

/** Runs a shell line; where `place` is reached and `when` holds, the running thread's count becomes `count`, once. The console's text. */
function falsified(
  options: string,
  line: string,
  place: string,
  when: (running: number, helper: number) => boolean,
  count: number,
): { readonly text: string; readonly done: boolean } {
  let text = "";
  const pc = new PentiumPc({
    serialOutput: (byte) => {
      text += String.fromCharCode(byte);
    },
    debugOutput: () => {},
  });
  const script = new TextEncoder().encode(`${line}\n`);
  pc.loadMultiboot(kernel, {
    modules: [
      { commandLine: "archive", bytes: archive },
      { commandLine: "script", bytes: script },
    ],
    commandLine: options,
  });
  const word = (address: number) => pc.ramView.getUint32(address - WINDOW, true);
  const breakpoint = (addressOf(place) + KERNEL_BASE) >>> 0;
  pc.processor.addBreakpoint(breakpoint);
  let done = false;
  for (;;) {
    const { reason } = pc.run(LIMIT);
    if (reason === "waiting" && pc.cycle < LIMIT) continue;
    if (reason !== "breakpoint") return { text, done };
    const running = word(addressOf("os/kernel/threads/scheduler/current"));
    if (!when(running, word(addressOf("os/kernel/threads/helper/helperThread")))) continue;
    pc.ramView.setUint32(running - WINDOW + PROBES, count, true);
    done = true;
    pc.processor.removeBreakpoint(breakpoint);
  }
}

describe("checks of probed sections", () => {
  const unprobed = (options: string) =>
    falsified(
      options,
      "run hello",
      "os/kernel/threads/mutex/Mutex#acquire",
      (running, helper) => running === helper && helper !== 0,
      0,
    );

  it("finds a mutex of the helper's that is taken without the probe", () => {
    const { text, done } = unprobed("debug=on");
    expect(done).toBe(true);
    expect(text).toMatch(/panic: a mutex that the helper thread needs is taken without the probe/);
  });

  it("says nothing about it without debug=on", () => {
    const { text, done } = unprobed("");
    expect(done).toBe(true);
    expect(text).toMatch(/Hello from process/);
    expect(text).not.toMatch(/panic/);
  });

  it("finds a kernel stack that faults inside a section", () => {
    const { text, done } = falsified(
      "",
      "run -k abuse overflow-stack",
      "os/kernel/i386/traps/suspendForStack",
      () => true,
      1,
    );
    expect(done).toBe(true);
    expect(text).toMatch(/panic: a kernel stack faults inside a probed section/);
  });
});
