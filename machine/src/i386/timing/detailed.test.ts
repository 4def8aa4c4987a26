/**
 * The detailed cycle model: caches against a plain model of their replacement, pairs against the manual's rules, and that cycles do
 * not depend on how a run is cut. Expected clocks are counted by hand from the rules, with all code and data in the caches.
 */

import { describe, expect, it } from "vitest";
import * as Timing from "../../../engine/layout/timing.ts";
import { EventClock } from "../../clock.ts";
import type { Bus } from "../../contract.ts";
import { Assembler } from "../assembler.ts";
import { al, dword, eax, ebp, ebx, ecx, edi, edx, esi, esp } from "../assembly.ts";
import { createMachineMemory } from "../core.ts";
import { type CycleModelName, cycleModels } from "../cycles.ts";
import { Slot } from "../layout.ts";
import { createParts } from "../parts.ts";
import { Pentium } from "../pentium.ts";

const CODE = 0x1_0000;
const DATA = 0x4_0000;

function quietBus(bytes: number): Bus {
  return {
    memory: createMachineMemory(bytes),
    readPhysical: () => 0,
    writePhysical: () => {},
    readPort: () => 0,
    writePort: () => {},
    acknowledgeInterrupt: () => 0x20,
  };
}

function machine(
  program: (a: Assembler) => void,
  cycleModel: CycleModelName = "detailed",
): { processor: Pentium; clock: EventClock } {
  const clock = new EventClock();
  const bus = quietBus(0x10_0000);
  const { memory } = bus;
  const processor = new Pentium(bus, clock, { cycleModel });
  const a = new Assembler();
  program(a);
  const code = a.finish();
  memory.ram.set(code.text, CODE);
  const view = new DataView(memory.ram.buffer, memory.ram.byteOffset);
  for (const fixup of code.fixups) {
    view.setUint32(CODE + fixup.offset, CODE + code.symbols.get(fixup.symbol)! + fixup.addend, true);
  }
  processor.enterFlat(CODE);
  return { processor, clock };
}

type Body = readonly Parameters<Assembler["emit"]>[] | ((a: Assembler) => void);

/** Clocks of one round of a loop around `body`, with its code and data in the caches. */
function clocksOf(body: Body): number {
  const { processor, clock } = machine((a) => {
    a.emit("mov", esp, 0x8_0000);
    a.emit("mov", esi, DATA);
    a.emit("mov", edi, DATA + 64);
    a.emit("mov", ebp, 40);
    const loop = a.newLabel();
    a.place(loop);
    // CLD never pairs: what stands before and behind it is issued by itself.
    a.emit("cld");
    if (typeof body === "function") body(a);
    else for (const instruction of body) a.emit(...instruction);
    a.emit("cld");
    a.emit("dec", ebp);
    a.emit("jnz", loop);
    a.emit("cli");
    a.emit("hlt");
  });
  const at: number[] = [];
  for (let last = 40; processor.step() === null; ) {
    const left = processor.registers[5]!;
    if (left !== last) at.push(clock.now);
    last = left;
  }
  // Rounds 30 and 31: warm. CLD 2, CLD 2, DEC and JNZ as a pair 1.
  return at[30]! - at[29]! - 5;
}

describe("pairs", () => {
  const counter = dword({ base: esi });
  const other = dword({ base: edi });
  it.each<[name: string, clocks: number, body: Body]>([
    [
      "two moves",
      1,
      [
        ["mov", eax, 1],
        ["mov", ebx, 2],
      ],
    ],
    [
      "four moves are two pairs",
      2,
      [
        ["mov", eax, 1],
        ["mov", ebx, 1],
        ["mov", ecx, 1],
        ["mov", edx, 1],
      ],
    ],
    [
      "read after write",
      2,
      [
        ["mov", eax, 1],
        ["add", ebx, eax],
      ],
    ],
    [
      "write after write",
      2,
      [
        ["mov", eax, 1],
        ["mov", eax, 2],
      ],
    ],
    [
      "write after read",
      1,
      [
        ["mov", ebx, eax],
        ["mov", eax, 2],
      ],
    ],
    [
      "part of a register",
      2,
      [
        ["mov", al, 1],
        ["mov", ebx, eax],
      ],
    ],
    [
      "address made by the first",
      2,
      [
        ["mov", esi, edi],
        ["mov", eax, counter],
      ],
    ],
    [
      "ADC in the U pipe",
      1,
      [
        ["adc", eax, ebx],
        ["mov", ecx, 1],
      ],
    ],
    [
      "ADC not in the V pipe",
      2,
      [
        ["mov", ecx, 1],
        ["adc", eax, ebx],
      ],
    ],
    [
      "shift in the U pipe",
      1,
      [
        ["shl", eax, 3],
        ["mov", ecx, 1],
      ],
    ],
    [
      "shift not in the V pipe",
      2,
      [
        ["mov", ecx, 1],
        ["shl", eax, 3],
      ],
    ],
    // Besides the pair: CLD 2, ADD 1, and the stack's line is read once, so that the pushes hit.
    [
      "two pushes",
      5,
      (a) => {
        a.emit("mov", ecx, dword({ base: esp, displacement: -8 }));
        a.emit("cld");
        a.emit("push", eax);
        a.emit("push", ebx);
        a.emit("add", esp, 8);
      },
    ],
    [
      "push and use of the stack pointer",
      2,
      [
        ["push", eax],
        ["mov", ebx, esp],
      ],
    ],
    [
      "two loads",
      1,
      [
        ["mov", eax, counter],
        ["mov", ebx, other],
      ],
    ],
    [
      "load with arithmetic, and a move",
      2,
      [
        ["add", eax, counter],
        ["mov", ebx, 1],
      ],
    ],
    [
      "two read-modify-writes",
      5,
      [
        ["add", counter, eax],
        ["add", other, ebx],
      ],
    ],
    [
      "displacement and immediate",
      2,
      [
        ["mov", dword({ base: esi, displacement: 4 }), 1],
        ["mov", eax, 1],
      ],
    ],
    [
      "compare and branch",
      1,
      (a) => {
        const next = a.newLabel();
        a.emit("cmp", eax, ebx);
        a.emit("jz", next);
        a.place(next);
      },
    ],
  ])("%s", (_name, clocks, body) => {
    expect(clocksOf(body)).toBe(clocks);
  });
});

/** The caches and the bus alone: what accesses of lines of data do to counters and time. */
function dataCache() {
  const { core, engine, timing } = createParts(quietBus(0x10_0000), cycleModels.detailed, (p) => p);
  if (timing === null) throw new Error("no timing");
  timing.reset();
  const access = (line: number, isWrite: boolean) => {
    const before = timing.counters;
    engine.timeData(line << 5, true, isWrite);
    const after = timing.counters;
    return {
      isHit: before.dataReadMisses + before.dataWriteMisses === after.dataReadMisses + after.dataWriteMisses,
      writesBack: after.writeBacks - before.writeBacks,
      stall: after.stalls - before.stalls,
    };
  };
  return {
    read: (line: number) => access(line, false),
    write: (line: number) => access(line, true),
    /** The time is `cycle` from here on. */
    at(cycle: number) {
      core.time[0] = cycle + 1e6;
      core.s[Slot.BUDGET] = 1e6;
    },
  };
}

describe("the caches' tags", () => {
  it("replace the least recently used of two lines of a set", () => {
    const cache = dataCache();
    /** The plain model: lines of each set, the one used last first. */
    const sets = new Map<number, number[]>();
    let state = 12345;
    for (let i = 0; i < 20_000; i++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      const line = ((state >>> 8) & 3) | (((state >>> 12) & 3) << 7) | (((state >>> 16) & 1) << 24);
      const set = sets.get(line & 127) ?? [];
      sets.set(line & 127, set);
      const isThere = set.includes(line);
      const isWrite = ((state >>> 20) & 3) === 0;
      expect((isWrite ? cache.write(line) : cache.read(line)).isHit).toBe(isThere);
      if (isThere || !isWrite) {
        if (isThere) set.splice(set.indexOf(line), 1);
        set.unshift(line);
        set.length = Math.min(set.length, 2);
      }
    }
  });

  it("say when the line that goes was written", () => {
    const cache = dataCache();
    expect(cache.read(5)).toMatchObject({ isHit: false, writesBack: 0 });
    expect(cache.write(5).isHit).toBe(true);
    expect(cache.read(5 + 128)).toMatchObject({ isHit: false, writesBack: 0 });
    expect(cache.read(5 + 256)).toMatchObject({ isHit: false, writesBack: 1 });
    expect(cache.read(5 + 384)).toMatchObject({ isHit: false, writesBack: 0 });
  });
});

describe("the bus", () => {
  const { FIRST_QUADWORD, LINE_FILL, WRITE_BACK, SINGLE_WRITE } = Timing;

  it("lets the processor go on with the first quadword, and wait for the rest when it asks again", () => {
    const cache = dataCache();
    cache.at(1000);
    expect(cache.read(1).stall).toBe(FIRST_QUADWORD);
    expect(cache.read(2).stall).toBe(LINE_FILL);
    cache.write(1);
    cache.read(1 + 128);
    cache.at(5000);
    expect(cache.read(1 + 256)).toMatchObject({ writesBack: 1, stall: FIRST_QUADWORD });
    cache.at(5000 + LINE_FILL);
    expect(cache.read(3).stall).toBe(WRITE_BACK + FIRST_QUADWORD);
  });

  it("takes two writes without a wait, and then one each time that it has done one", () => {
    const cache = dataCache();
    const waits = [0, 0, 1, 1].map((_, i) => {
      cache.at(100 + i);
      return cache.write(i).stall;
    });
    expect(waits).toEqual([0, 0, SINGLE_WRITE - 2, 2 * SINGLE_WRITE - 3]);
  });
});

describe("a miss", () => {
  const loads = (...displacements: number[]) => {
    const { processor, clock } = machine((a) => {
      for (const displacement of displacements) a.emit("mov", eax, dword({ displacement }));
      a.emit("hlt");
    });
    processor.run(1e9);
    return { cycles: clock.now, caches: processor.statistics().caches! };
  };

  it("is counted by line, once", () => {
    expect(loads(DATA, DATA + 28, DATA, DATA + 32).caches.dataReadMisses).toBe(2);
    expect(loads(DATA, DATA + 4096, DATA + 8192, DATA).caches.dataReadMisses).toBe(4);
    expect(loads(DATA + 30).caches.dataReadMisses).toBe(2);
  });

  it("costs the time to the first quadword when the bus is free", () => {
    // The data of the third load has come long before; the code is two lines either way.
    const same = loads(DATA, DATA, DATA, DATA, DATA, DATA);
    const one = loads(DATA, DATA, DATA, DATA, DATA, DATA + 64);
    expect(one.caches.codeCacheMisses).toBe(same.caches.codeCacheMisses);
    expect(one.cycles - same.cycles).toBeGreaterThanOrEqual(Timing.FIRST_QUADWORD);
    expect(one.cycles - same.cycles).toBeLessThanOrEqual(Timing.LINE_FILL + Timing.FIRST_QUADWORD);
  });
});

/** A program with branches, misses of the data cache, accesses across lines and pages, and string instructions. */
function busyProgram(a: Assembler): void {
  a.emit("mov", esp, 0x8_0000);
  a.emit("mov", edx, 0);
  a.emit("mov", ecx, 300);
  const loop = a.newLabel();
  const odd = a.newLabel();
  a.place(loop);
  a.emit("imul", edx, edx, 1103515245);
  a.emit("add", edx, 12345);
  a.emit("mov", ebx, edx);
  a.emit("shr", ebx, 12);
  a.emit("and", ebx, 0x7ffc);
  a.emit("add", eax, dword({ base: ebx, displacement: DATA }));
  a.emit("mov", dword({ base: ebx, displacement: DATA + 2 }), edx);
  a.emit("push", ecx);
  a.emit("mov", esi, DATA);
  a.emit("lea", edi, dword({ base: ebx, displacement: DATA + 0x1_0000 }));
  a.emit("mov", ecx, 5);
  a.emit("cld");
  a.emitPrefixed("rep", "movsd");
  a.emit("pop", ecx);
  a.emit("test", al, 1);
  a.emit("jz", odd);
  a.emit("add", dword({ displacement: DATA + 0x3_0000 }), 1);
  a.place(odd);
  a.emit("dec", ecx);
  a.emit("jnz", loop);
  a.emit("cli");
  a.emit("hlt");
}

describe("cycles", () => {
  const ended = (run: (processor: Pentium, clock: EventClock) => void) => {
    const { processor, clock } = machine(busyProgram);
    run(processor, clock);
    const { caches, instructions, cycles } = processor.statistics();
    return { caches, instructions, cycles, registers: [...processor.registers], now: clock.now };
  };
  const whole = ended((processor) => void processor.run(1e9));

  it("do not depend on how a run is cut", () => {
    expect(whole.caches!.dataReadMisses).toBeGreaterThan(200);
    expect(whole.caches!.writeBacks).toBeGreaterThan(50);
    expect(whole.caches!.pairs).toBeGreaterThan(300);
    const stepped = ended((processor) => {
      while (processor.step() === null);
    });
    expect(stepped).toEqual(whole);
    for (const slice of [1, 7, 100]) {
      const sliced = ended((processor, clock) => {
        while (processor.run(clock.now + slice) === "cycle");
      });
      expect(sliced).toEqual(whole);
    }
  });

  it("go on from a saved state as if nothing had happened", () => {
    const first = machine(busyProgram);
    first.processor.run(3333);
    const second = machine(busyProgram);
    second.processor.core.ram8.set(first.processor.core.ram8);
    second.processor.prepareState(JSON.parse(JSON.stringify(first.processor.state())))();
    for (const { processor } of [first, second]) processor.run(1e9);
    expect(second.processor.statistics()).toEqual(first.processor.statistics());
    expect(first.processor.statistics().caches).toEqual(whole.caches);
    expect(() => second.processor.prepareState({ ...first.processor.state(), timing: { next: 1 } })).toThrow(
      /processor\.timing/,
    );
  });

  it("go on from a state in which the clocks of the next instruction are decided", () => {
    const program = (a: Assembler): void => {
      for (let i = 0; i < 100; i++) a.emit("mov", i % 2 === 0 ? eax : ebx, i);
      a.emit("hlt");
    };
    const ended = machine(program).processor;
    ended.run(1e9);
    let pairs = 0;
    for (const { processor, clock } = machine(program); processor.run(clock.now + 1) === "cycle"; ) {
      const state = processor.state();
      if (state.timing === null || state.timing.stoppedAt === -1) continue;
      if (state.timing.stoppedClocks === 0) pairs++;
      const other = machine(program).processor;
      other.prepareState(JSON.parse(JSON.stringify(state)))();
      other.run(1e9);
      expect(other.statistics()).toEqual(ended.statistics());
    }
    expect(pairs).toBeGreaterThan(2);
  });

  it("are more than the table's, and the results are the same", () => {
    const fast = machine(busyProgram, "fast");
    fast.processor.run(1e9);
    expect([...fast.processor.registers]).toEqual(whole.registers);
    expect(fast.processor.statistics().instructions).toBe(whole.instructions);
    expect(whole.cycles).toBeGreaterThan(fast.processor.statistics().cycles);
  });
});
