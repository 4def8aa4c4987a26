/** Steps that meet faults and interrupts on the way, forwards and backwards, on a small program with handlers of its own. */
import { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import { al, dword, eax, ecx, edx, esp, memory } from "@rialto/machine/i386/assembly.ts";
import { describe, expect, it } from "vitest";
import { PentiumTarget } from "./pentium-target.ts";

const CODE = 0x1_0000;
const TABLES = 0x2_0000;
const DESCRIPTORS = TABLES + 0x100;
const GATES = TABLES + 0x200;
const HANDLED = 0x3_0000;
const VECTORS = { divide: 0, timer: 0x20, software: 0x40 } as const;

/** Values for ports: interrupts from 0x20 on, of the timer alone, every 8 of its ticks (500 cycles). */
const TIMER = [
  ...[[0x20, 0x11] as const, [0x21, 0x20] as const, [0x21, 4] as const, [0x21, 1] as const],
  ...[[0x21, 0xfe] as const, [0x43, 0x34] as const, [0x40, 8] as const, [0x40, 0] as const],
];

/** A division by zero that its handler mends, `int 0x40`, then room for a timer to interrupt. */
function program(pc: PentiumPc): ReadonlyMap<string, number> {
  const a = new Assembler();
  const handler = (name: string, mend: () => void) => {
    a.label(name);
    a.emit("inc", dword({ displacement: HANDLED }));
    mend();
    a.emit("iretd");
  };
  a.emit("mov", esp, 0x4_0000);
  a.emit("lgdt", memory({ displacement: TABLES }));
  a.emit("lidt", memory({ displacement: TABLES + 8 }));
  a.emit("xor", ecx, ecx);
  a.emit("xor", edx, edx);
  a.emit("mov", eax, 8);
  a.label("divide");
  a.emit("div", ecx);
  a.label("divided");
  a.emit("int", VECTORS.software);
  a.label("asked");
  for (const [port, value] of TIMER) {
    a.emit("mov", al, value);
    a.emit("out", port, al);
  }
  a.emit("sti");
  a.label("open");
  for (let n = 0; n < 2000; n++) a.emit("inc", eax);
  a.label("end");
  a.emit("cli");
  a.emit("out", 0xf4, al);
  handler("divideHandler", () => a.emit("mov", ecx, 2));
  handler("softwareHandler", () => {});
  handler("timerHandler", () => {
    a.emit("push", eax);
    a.emit("mov", al, 0x20);
    a.emit("out", 0x20, al);
    a.emit("pop", eax);
  });
  const code = a.finish();
  const at = (name: string) => CODE + (code.symbols.get(name) ?? 0);
  pc.ram.set(code.text, CODE);
  const words = pc.ramView;
  const pointer = (address: number, base: number) => {
    words.setUint16(address, 0x7ff, true);
    words.setUint32(address + 2, base, true);
  };
  pointer(TABLES, DESCRIPTORS);
  pointer(TABLES + 8, GATES);
  words.setUint32(DESCRIPTORS + 8, 0xffff, true);
  words.setUint32(DESCRIPTORS + 12, 0x00cf_9b00, true);
  const gate = (vector: number, name: string) => {
    words.setUint32(GATES + 8 * vector, 0x0008_0000 | (at(name) & 0xffff), true);
    words.setUint32(GATES + 8 * vector + 4, (at(name) & 0xffff_0000) | 0x8e00, true);
  };
  gate(VECTORS.divide, "divideHandler");
  gate(VECTORS.software, "softwareHandler");
  gate(VECTORS.timer, "timerHandler");
  pc.processor.enterFlat(CODE);
  return new Map([...code.symbols].map(([name, offset]) => [name, CODE + offset]));
}

class Debugged {
  readonly pc = new PentiumPc({ memory: 4 * 2 ** 20 });
  readonly #symbols = program(this.pc);
  readonly target = new PentiumTarget(this.pc, { history: {} });

  at(name: string): number {
    return this.#symbols.get(name) ?? 0;
  }

  get eip(): number {
    return this.pc.processor.eip;
  }

  get handled(): number {
    return this.pc.ramView.getUint32(HANDLED, true);
  }

  /** One step, however long it takes; why it ended. */
  step(): string {
    let reason: string | undefined = this.target.step()?.reason;
    this.target.listener = { stopped: (stop) => (reason = stop.reason) };
    for (let slices = 0; reason === undefined && slices < 100; slices++) this.target.run(this.pc.cycle + 50);
    return reason ?? "none";
  }

  stepTo(name: string): void {
    for (let steps = 0; steps < 100 && this.eip !== this.at(name); steps++) this.step();
    expect(this.eip).toBe(this.at(name));
  }
}

describe("steps", () => {
  it("go over a fault to behind the instruction that made it, and back", () => {
    const debugged = new Debugged();
    debugged.stepTo("divide");
    expect(debugged.step()).toBe("step");
    expect([debugged.eip, debugged.handled]).toEqual([debugged.at("divided"), 1]);
    expect(debugged.target.stepBack().reason).toBe("step");
    // The handler has run by then, but the instruction has not.
    expect([debugged.eip, debugged.handled]).toEqual([debugged.at("divide"), 1]);
    expect(debugged.target.stepBack().reason).toBe("step");
    expect([debugged.eip, debugged.handled]).toEqual([debugged.at("divide") - 5, 0]);
  });

  it("stop at a breakpoint in the handler", () => {
    const debugged = new Debugged();
    debugged.stepTo("divide");
    debugged.target.insert("software", debugged.at("divideHandler"), 1);
    expect(debugged.step()).toBe("breakpoint");
    expect(debugged.eip).toBe(debugged.at("divideHandler"));
    debugged.target.remove("software", debugged.at("divideHandler"), 1);
    debugged.target.insert("hardware", debugged.at("divideHandler") + 6, 1);
    debugged.target.stepBack();
    expect(debugged.eip).toBe(debugged.at("divide"));
    expect(debugged.step()).toBe("breakpoint");
    expect(debugged.eip).toBe(debugged.at("divideHandler") + 6);
  });

  it("go into it when that is wanted", () => {
    const debugged = new Debugged();
    debugged.stepTo("divide");
    expect(debugged.target.monitor("deliveries into")).toMatch(/go into/);
    expect(debugged.step()).toBe("step");
    expect([debugged.eip, debugged.handled]).toEqual([debugged.at("divideHandler"), 0]);
    debugged.target.stepBack();
    expect(debugged.eip).toBe(debugged.at("divide"));
    expect(debugged.target.monitor("deliveries sideways")).toMatch(/usage/);
    expect(debugged.target.monitor("deliveries over")).toMatch(/go over/);
    debugged.step();
    expect(debugged.eip).toBe(debugged.at("divided"));
  });

  it("go into `int n`, and back into its handler", () => {
    const debugged = new Debugged();
    debugged.stepTo("divided");
    debugged.step();
    expect(debugged.eip).toBe(debugged.at("softwareHandler"));
    debugged.stepTo("asked");
    debugged.target.stepBack();
    // At its IRET.
    expect(debugged.eip).toBe(debugged.at("softwareHandler") + 6);
  });

  it("do not see interrupts, either way", () => {
    const debugged = new Debugged();
    debugged.stepTo("open");
    const before = debugged.handled;
    const steps = 1200;
    for (let done = 1; done <= steps; done++) {
      debugged.step();
      expect(debugged.eip).toBe(debugged.at("open") + done);
    }
    expect(debugged.handled - before).toBeGreaterThan(1);
    const [{ cycle }, handled] = [debugged.pc, debugged.handled];
    for (let undone = 1; debugged.handled === handled; undone++) {
      debugged.target.stepBack();
      expect(debugged.eip).toBe(debugged.at("open") + steps - undone);
    }
    while (debugged.eip !== debugged.at("open") + steps) debugged.step();
    expect(debugged.pc.cycle).toBe(cycle);
  });
});
