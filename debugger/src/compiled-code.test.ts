/** Breakpoints, watchpoints and steps in hot code, forwards and backwards: the same stops, cycles and machine whether the code was compiled or interpreted. */
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import { al, dword, eax, ecx, esp, symbol } from "@rialto/machine/i386/assembly.ts";
import { expect, it } from "vitest";
import { PentiumTarget } from "./pentium-target.ts";
import type { BreakpointKind } from "./target.ts";

const CODE = 0x1_0000;
const COUNTER = 0x3_0000;
const OTHER = 0x3_0004;
/** Enough for the loop to be hot. */
const A_WHILE = 3_000_000;

/** Where it stopped, and what the machine was like at the end. */
function stops(jit: "on" | "off"): string[] {
  const pc = new PentiumPc({ memory: 4 * 2 ** 20, jit });
  const a = new Assembler();
  a.emit("mov", esp, 0x2_0000);
  a.emit("xor", eax, eax);
  a.label("loop");
  a.emit("inc", eax);
  a.emit("mov", dword({ displacement: COUNTER }), eax);
  a.emit("call", symbol("subroutine"));
  a.label("after");
  a.emit("cmp", eax, 2_000_000);
  a.emit("jb", symbol("loop"));
  a.emit("mov", al, 2);
  a.emit("out", 0xf4, al);
  a.label("forever");
  a.emit("jmp", symbol("forever"));
  a.label("subroutine");
  a.emit("mov", ecx, dword({ displacement: OTHER }));
  a.emit("ret");
  const { text, symbols } = a.finish();
  pc.ram.set(text, CODE);
  pc.processor.enterFlat(CODE);

  const seen: string[] = [];
  const note = (what: string) =>
    seen.push(`${what} eax ${pc.processor.registers[0]} eip ${pc.processor.eip.toString(16)} at ${pc.cycle}`);
  const target = new PentiumTarget(pc, { history: { interval: 200_000 } });
  target.listener = { stopped: (stop) => note(stop.reason) };
  const runFor = (cycles: number) => {
    target.resume();
    const end = pc.cycle + cycles;
    for (;;) {
      const { reason } = target.run(end);
      if (reason !== "cycle" || pc.cycle >= end) break;
    }
    target.interrupt();
  };
  const points: readonly (readonly [BreakpointKind, number, number])[] = [
    ["software", CODE + symbols.get("after")!, 1],
    ["write", COUNTER, 4],
    ["read", OTHER, 4],
  ];
  for (const [kind, address, bytes] of points) {
    runFor(A_WHILE);
    target.insert(kind, address, bytes);
    runFor(A_WHILE);
    runFor(A_WHILE);
    for (let steps = 0; steps < 9; steps++) note(target.step()?.reason ?? "goes on");
    for (let steps = 0; steps < 3; steps++) note(target.stepBack().reason);
    target.resumeBack();
    while (target.run(pc.cycle + A_WHILE).reason === "cycle");
    target.remove(kind, address, bytes);
  }
  runFor(10 * A_WHILE);
  seen.push(`${pc.instructions} instructions, ${pc.stateHash()}`);
  return seen;
}

it("hot code stops where interpreted code does", () => {
  const interpreted = stops("off");
  const reasons = interpreted.map((line) => line.split(" ")[0]).filter((reason) => reason !== "step");
  expect(reasons.slice(0, -1)).toEqual([
    ...["interrupt", "breakpoint", "breakpoint", "breakpoint"],
    ...["interrupt", "watchpoint", "watchpoint", "watchpoint"],
    ...["interrupt", "watchpoint", "watchpoint", "watchpoint", "exit"],
  ]);
  expect(stops("on")).toEqual(interpreted);
});
