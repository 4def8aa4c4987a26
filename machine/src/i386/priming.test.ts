/** The priming program must reach every case of the interpreter's switch, and leave no trace. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { PentiumPc } from "../boards/pentium-pc.ts";
import { EventClock } from "../clock.ts";
import type { Bus } from "../contract.ts";
import { createMachineMemory } from "./core.ts";
import { HotOperation } from "./hot-operations.ts";
import { Field } from "./layout.ts";
import { Pentium } from "./pentium.ts";

function bus(bytes = 0x10_0000): Bus {
  return {
    memory: createMachineMemory(bytes),
    readPhysical: () => 0xffff_ffff,
    writePhysical: () => {},
    readPort: () => 0xff,
    writePort: () => {},
    acknowledgeInterrupt: () => 0,
  };
}

/** Numbers of the switch: every named one, the families expanded. */
function switchNumbers(): number[] {
  const numbers = new Set<number>(Object.values(HotOperation));
  for (let i = 0; i < 40; i++) numbers.add(HotOperation.arithmetic + i);
  for (let i = 0; i < 16; i++) numbers.add(HotOperation.jccInPage + i);
  for (let i = 0; i < 3; i++) {
    numbers.add(HotOperation.shiftImmediate + i);
    numbers.add(HotOperation.shiftCl + i);
  }
  return [...numbers].sort((a, b) => a - b);
}

describe("the interpreter's switch", () => {
  it("has a case for every number that the decoder may choose, and no other", () => {
    const source = readFileSync(new URL("./interpreter.ts", import.meta.url), "utf8");
    const cases = [...source.matchAll(/^ {10}case (\d+):/gm)].map((match) => Number(match[1]));
    expect(cases.sort((a, b) => a - b)).toEqual(switchNumbers());
  });
});

describe("priming", () => {
  it("reaches every case of the switch", () => {
    const { processor } = new PentiumPc({ memory: 2 * 2 ** 20, jit: "on" });
    const { pool } = processor.codeCache;
    const seen = new Set<number>();
    for (let p = 0; p < pool.length; p += Field.WORDS) seen.add(pool[p + Field.OPERATION]!);
    expect(switchNumbers().filter((number) => !seen.has(number))).toEqual([]);
  });

  it("leaves registers, memory, time and counters as reset does", () => {
    const board = bus();
    board.memory.ram.fill(0x5a);
    const processor = new Pentium(board, new EventClock());
    expect(board.memory.ram.every((value) => value === 0x5a)).toBe(true);
    expect([...processor.registers]).toEqual([0, 0, 0, 0, 0, 0, 0, 0]);
    expect(processor.instructions).toBe(0);
    expect(processor.clock.now).toBe(0);
    expect(processor.statistics().ringTransitions["0-0"]).toBe(0);
    expect(processor.gdtr).toEqual({ base: 0, limit: 0 });
  });

  it("is left out when RAM is too small for it", () => {
    expect(new Pentium(bus(0x4000), new EventClock()).instructions).toBe(0);
  });
});
