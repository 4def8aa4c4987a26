/**
 * The run loop and what the host sees: events, HLT, breakpoints, watchpoints, counters, TLB misses, and that a run gives the
 * same result however it is cut. What instructions do is tested by the instruction tests and the system checks. Over 500 lines: all
 * of it stands on the small machine below.
 */

import { describe, expect, it } from "vitest";
import { EventClock } from "../clock.ts";
import type { Bus } from "../contract.ts";
import { Assembler } from "./assembler.ts";
import {
  al,
  ax,
  byte,
  cr0,
  cr3,
  ds,
  dword,
  dx,
  eax,
  ebx,
  ecx,
  edi,
  edx,
  es,
  esi,
  esp,
  fword,
  memory,
  word,
} from "./assembly.ts";
import { createMachineMemory } from "./core.ts";
import { Pentium } from "./pentium.ts";

const CODE = 0x1_0000;
const GDT = 0x2000;
const IDT = 0x3000;

interface Machine {
  readonly processor: Pentium;
  readonly clock: EventClock;
  readonly view: DataView;
  /** Cycle and value of every write to a port. */
  readonly written: [cycle: number, port: number, value: number][];
}

/** A processor with 1 MB of RAM and nothing else, at the first instruction of the program. */
function machine(program: (a: Assembler) => void): Machine {
  const memory = createMachineMemory(0x10_0000);
  const written: [number, number, number][] = [];
  const clock = new EventClock();
  const bus: Bus = {
    memory,
    readPhysical: () => 0xffff_ffff,
    writePhysical: () => {},
    readPort: () => 0x5a,
    writePort: (port, _size, value) => {
      written.push([clock.now, port, value]);
    },
    acknowledgeInterrupt: () => {
      processor.interruptLine = false;
      return 0x20;
    },
  };
  const processor = new Pentium(bus, clock);
  const a = new Assembler();
  program(a);
  const code = a.finish();
  const bytes = memory.ram;
  bytes.set(code.text, CODE);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  for (const fixup of code.fixups) {
    view.setUint32(CODE + fixup.offset, CODE + code.symbols.get(fixup.symbol)! + fixup.addend, true);
  }
  // A flat GDT, and an IDT whose vectors 20h and 0 to 1Fh lead to `handler` when the program has one.
  const descriptors: [number, number][] = [
    [0, 0],
    [0xffff, 0xcf9b00],
    [0xffff, 0xcf9300],
  ];
  descriptors.forEach(([low, high], i) => {
    view.setUint32(GDT + 8 * i, low, true);
    view.setUint32(GDT + 8 * i + 4, high, true);
  });
  processor.enterFlat(CODE);
  const handler = code.symbols.get("handler");
  if (handler !== undefined) {
    for (let vector = 0; vector <= 0x20; vector++) {
      view.setUint32(IDT + 8 * vector, (8 << 16) | ((CODE + handler) & 0xffff), true);
      view.setUint32(IDT + 8 * vector + 4, ((CODE + handler) & 0xffff_0000) | 0x8e00, true);
    }
    processor.idtr = { base: IDT, limit: 0x107 };
  }
  processor.gdtr = { base: GDT, limit: 23 };
  processor.registers[4] = 0x9000;
  return { processor, clock, view, written };
}

const FOREVER = 10_000_000;

describe("run", () => {
  it("stops at the cycle given, and goes on from there", () => {
    const { processor, clock } = machine((a) => {
      const loop = a.newLabel();
      a.place(loop);
      a.emit("inc", eax);
      a.emit("jmp", loop);
    });
    expect(processor.run(1000)).toBe("cycle");
    expect(clock.now).toBe(1000);
    expect(processor.run(1000)).toBe("cycle");
    expect(processor.run(1001)).toBe("cycle");
    expect(processor.instructions).toBe(1001);
    expect(processor.registers[0]).toBe(501);
  });

  it("calls events at the first boundary at or after their cycle", () => {
    const { processor, clock } = machine((a) => {
      const loop = a.newLabel();
      a.place(loop);
      a.emit("mul", ebx);
      a.emit("jmp", loop);
    });
    const fired: number[] = [];
    for (const cycle of [5, 11, 12, 100.5]) clock.schedule(cycle, () => fired.push(clock.now));
    processor.run(200);
    // MUL takes 10 clocks, JMP one.
    expect(fired).toEqual([10, 11, 21, 109]);
  });

  it("waits in HLT for the next event, and counts that as idle", () => {
    const { processor, clock } = machine((a) => {
      a.emit("sti");
      a.emit("hlt");
      a.emit("mov", ebx, 7);
      a.emit("cli");
      a.emit("hlt");
      a.label("handler");
      a.emit("inc", ecx);
      a.emit("iretd");
    });
    clock.schedule(5000, () => {
      processor.interruptLine = true;
    });
    expect(processor.run(FOREVER)).toBe("halted");
    expect(processor.registers[1]).toBe(1);
    expect(processor.registers[3]).toBe(7);
    const statistics = processor.statistics();
    // STI takes 7 clocks, HLT 12.
    expect(statistics.cyclesIdle).toBe(5000 - 19);
    expect(statistics.hardwareInterrupts[0x20]).toBe(1);
    expect(statistics.ringTransitions["0-0"]).toBe(2);
    expect(statistics.cycles).toBe(statistics.cyclesByRing[0] + statistics.cyclesIdle);
  });

  it("says halted when interrupts are on but nothing is scheduled", () => {
    const { processor } = machine((a) => {
      a.emit("sti");
      a.emit("hlt");
    });
    expect(processor.run(FOREVER)).toBe("halted");
    expect(processor.interruptsEnabled).toBe(true);
  });

  it("runs one instruction behind STI before it takes an interrupt", () => {
    const { processor } = machine((a) => {
      a.emit("sti");
      a.emit("inc", eax);
      a.emit("inc", eax);
      a.emit("hlt");
      a.label("handler");
      a.emit("mov", ebx, eax);
      a.emit("cli");
      a.emit("hlt");
    });
    processor.interruptLine = true;
    processor.run(FOREVER);
    expect(processor.registers[3]).toBe(1);
  });

  it("takes no interrupt between MOV SS and the instruction behind it", () => {
    const { processor, clock } = machine((a) => {
      a.emit("mov", ax, 0x10);
      a.emit("sti");
      a.emit("nop");
      a.bytes([0x8e, 0xd0]); // mov ss, ax
      a.emit("mov", esp, 0x8000);
      a.emit("hlt");
      a.label("handler");
      a.emit("mov", ebx, esp);
      a.emit("cli");
      a.emit("hlt");
    });
    // MOV, STI and NOP take nine clocks: the line rises during MOV SS.
    clock.schedule(10, () => {
      processor.interruptLine = true;
    });
    processor.run(FOREVER);
    expect(processor.registers[3]).toBe(0x8000 - 12);
  });

  it("shuts down after a triple fault", () => {
    const { processor } = machine((a) => {
      a.emit("lidt", fword({ displacement: 0x500 }));
      a.emit("ud2");
    });
    expect(processor.run(FOREVER)).toBe("shutdown");
    expect(processor.run(FOREVER)).toBe("shutdown");
  });

  it("stops when somebody asks for it", () => {
    const { processor, clock } = machine((a) => {
      const loop = a.newLabel();
      a.place(loop);
      a.emit("jmp", loop);
    });
    clock.schedule(100, () => processor.stop());
    expect(processor.run(FOREVER)).toBe("stopped");
    expect(clock.now).toBe(100);
  });

  it("gives ports the time of the instruction under way", () => {
    const { processor, written } = machine((a) => {
      a.emit("nop");
      a.emit("out", 0x80, al);
      a.emit("out", 0x80, al);
      a.emit("hlt");
    });
    processor.run(FOREVER);
    expect(written.map(([cycle]) => cycle)).toEqual([10, 19]);
  });
});

/** A program with string moves, timer interrupts, faults, code that changes itself, and paging. */
function busyProgram(a: Assembler): void {
  a.emit("mov", ax, 0x10);
  a.emit("mov", ds, ax);
  a.emit("mov", es, ax);
  // Page tables at 40000h: one to one, 1 MB; the page at 50000h is absent.
  a.emit("mov", edi, 0x4_1000);
  a.emit("mov", eax, 3);
  a.emit("mov", ecx, 256);
  const nextPage = a.newLabel();
  a.place(nextPage);
  a.emit("stosd");
  a.emit("add", eax, 0x1000);
  a.emit("loop", nextPage);
  a.emit("mov", dword({ displacement: 0x4_0000 }), 0x4_1003);
  a.emit("mov", dword({ displacement: 0x4_1000 + 0x50 * 4 }), 0x5_0002);
  a.emit("mov", eax, 0x4_0000);
  a.emit("mov", cr3, eax);
  a.emit("mov", eax, cr0);
  a.emit("or", eax, 0x8000_0000 | 0);
  a.emit("mov", cr0, eax);
  a.emit("sti");
  const again = a.newLabel();
  a.place(again);
  a.emit("mov", esi, 0x6_0000);
  a.emit("mov", edi, 0x7_0ffc);
  a.emit("mov", ecx, 700);
  a.emitPrefixed("rep", "movsd");
  a.emit("mov", eax, dword({ displacement: 0x5_0010 }));
  a.emit("invlpg", memory({ displacement: 0x5_0000 }));
  const patched = a.newLabel();
  a.emit("inc", byte({ displacement: 0x7_8001 }));
  a.emit("mov", ebx, 0x7_8000);
  a.emit("call", ebx);
  a.place(patched);
  // Six pages of one set of the code TLB, then an instruction across a page end whose second half is changed each time.
  for (let page = 0x80; page <= 0xa8; page += 8) {
    a.emit("mov", ebx, page * 4096);
    a.emit("call", ebx);
  }
  a.emit("inc", byte({ displacement: 0xb_1001 }));
  a.emit("mov", ebx, 0xb_0ffe);
  a.emit("call", ebx);
  a.emit("add", edx, ebx);
  a.emit("add", edx, eax);
  a.emit("rdtsc");
  a.emit("add", dword({ displacement: 0x6_0004 }), eax);
  a.emit("mov", dx, 0x80);
  a.emit("out", dx, al);
  a.emit("jmp", again);
  a.label("handler");
  // Vector unknown: a page fault pushes a code. Both ways end with the page present and absent in turn.
  a.emit("push", eax);
  a.emit("mov", eax, dword({ displacement: 0x4_1000 + 0x50 * 4 }));
  a.emit("xor", dword({ displacement: 0x4_1000 + 0x50 * 4 }), 1);
  a.emit("inc", dword({ displacement: 0x6_0000 }));
  a.emit("test", dword({ base: esp, displacement: 8 }), 0xffff_0000 | 0);
  const noCode = a.newLabel();
  a.emit("pop", eax);
  a.emit("cmp", dword({ base: esp, displacement: 4 }), 8);
  a.emit("je", noCode);
  a.emit("add", esp, 4);
  a.place(noCode);
  a.emit("iretd");
}

function busyMachine(): Machine {
  const made = machine(busyProgram);
  // mov al, imm; ret, changed by the program.
  made.view.setUint32(0x7_8000, 0x90c3_00b0, true);
  // inc eax; ret. mov ebx, imm32; ret, from the last two bytes of a page.
  for (let page = 0x80; page <= 0xa8; page += 8) made.view.setUint16(page * 4096, 0xc340, true);
  made.view.setUint32(0xb_0ffe, 0x3344_55bb, true);
  made.view.setUint16(0xb_1002, 0xc311, true);
  const tick = (): void => {
    made.processor.interruptLine = true;
    made.clock.schedule(made.clock.now + 3777, tick);
  };
  made.clock.schedule(5000, tick);
  return made;
}

function fingerprint({ processor, clock, written }: Machine): unknown {
  const ram = processor.core.ram32;
  let hash = 0;
  for (let i = 0; i < ram.length; i++) hash = (Math.imul(hash, 31) + ram[i]!) | 0;
  return {
    state: [...processor.stateWords()],
    hash,
    cycle: clock.now,
    instructions: processor.instructions,
    statistics: processor.statistics(),
    written,
  };
}

describe("a run", () => {
  it("is the same however it is cut into pieces", () => {
    const whole = busyMachine();
    whole.processor.run(200_000);
    const pieces = busyMachine();
    let seed = 7;
    while (pieces.clock.now < 200_000) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      pieces.processor.run(Math.min(200_000, pieces.clock.now + 1 + ((seed >>> 8) % 900)));
    }
    expect(fingerprint(pieces)).toEqual(fingerprint(whole));
    expect(whole.processor.statistics().pageFaults).toBeGreaterThan(10);
    expect(whole.processor.statistics().hardwareInterrupts[0x20]).toBeGreaterThan(10);
    expect(whole.processor.statistics().tlbMisses.code4K).toBeGreaterThan(100);
  });

  it("is the same in single steps", () => {
    const whole = busyMachine();
    whole.processor.run(30_000);
    const steps = busyMachine();
    while (steps.clock.now < whole.clock.now) steps.processor.step();
    expect(fingerprint(steps)).toEqual(fingerprint(whole));
  });
});

describe("an instruction across a page end", () => {
  const START = 0x2_0ffe;

  /** Calls `mov ebx, imm32; ret`, two bytes of which lie on the first page, before and after `change`. */
  function twice(change: (a: Assembler) => void): Machine {
    const made = machine((a) => {
      a.emit("mov", esi, START);
      for (let i = 0; i < 3; i++) a.emit("call", esi);
      a.emit("mov", edi, ebx);
      change(a);
      a.emit("call", esi);
      a.emit("hlt");
    });
    made.view.setUint32(START, 0x2211_44bb, true);
    made.view.setUint16(START + 4, 0xc333, true);
    made.view.setUint32(0x3_0000, 0xc3aa_bbcc | 0, true);
    made.view.setUint32(0x4_0000, 0x4_1027, true);
    for (let i = 0; i < 256; i++) made.view.setUint32(0x4_1000 + 4 * i, (i * 4096) | 0x27, true);
    made.processor.cr3 = 0x4_0000;
    made.processor.cr0 = 0x8000_0011;
    return made;
  }

  it("follows a store to its second page", () => {
    const { processor } = twice((a) => a.emit("mov", byte({ displacement: 0x2_1000 }), 0x99));
    processor.run(FOREVER);
    expect(processor.registers[7]).toBe(0x3322_1144);
    expect(processor.registers[3]).toBe(0x3322_9944);
  });

  it("follows a store to its first page", () => {
    const { processor } = twice((a) => a.emit("mov", byte({ displacement: 0x2_0fff }), 0x99));
    processor.run(FOREVER);
    expect(processor.registers[3]).toBe(0x3322_1199);
  });

  it("follows a new frame behind its second page", () => {
    const { processor } = twice((a) => {
      a.emit("mov", dword({ displacement: 0x4_1000 + 0x21 * 4 }), 0x3_0027);
      a.emit("invlpg", memory({ displacement: 0x2_1000 }));
    });
    processor.run(FOREVER);
    expect((processor.registers[3]! >>> 0).toString(16)).toBe("aabbcc44");
  });
});

describe("host breakpoints", () => {
  it("stop in front of the instruction, every time, and leave memory alone", () => {
    const { processor, view } = machine((a) => {
      a.emit("mov", ecx, 3);
      a.label("loop");
      a.emit("inc", eax);
      a.emit("loop", a.mark());
    });
    const before = new Uint8Array(view.buffer, view.byteOffset + CODE, 16).slice();
    processor.addBreakpoint(CODE + 5);
    expect(processor.run(FOREVER)).toBe("breakpoint");
    expect(processor.eip).toBe(CODE + 5);
    expect(processor.registers[0]).toBe(0);
    expect(new Uint8Array(view.buffer, view.byteOffset + CODE, 16).slice()).toEqual(before);
    processor.removeBreakpoint(CODE + 5);
    expect(processor.run(processor.clock.now + 1)).toBe("cycle");
    expect(processor.registers[0]).toBe(1);
  });

  it("stop again when the loop comes round", () => {
    const { processor } = machine((a) => {
      const loop = a.newLabel();
      a.emit("nop");
      a.place(loop);
      a.emit("inc", eax);
      a.emit("jmp", loop);
    });
    processor.addBreakpoint(CODE + 1);
    for (let i = 0; i < 5; i++) {
      expect(processor.run(FOREVER)).toBe("breakpoint");
      expect(processor.registers[0]).toBe(i);
      expect(processor.eip).toBe(CODE + 1);
    }
    expect(processor.instructions).toBe(1 + 4 * 2);
  });

  it("step over themselves", () => {
    const { processor } = machine((a) => {
      a.emit("inc", eax);
      a.emit("inc", eax);
    });
    processor.addBreakpoint(CODE);
    processor.step();
    expect(processor.registers[0]).toBe(1);
    expect(processor.eip).toBe(CODE + 1);
  });
});

describe("host watchpoints", () => {
  it("stop behind the instruction that wrote, and are silent to the guest", () => {
    const { processor } = machine((a) => {
      a.emit("mov", eax, dword({ displacement: 0x5000 }));
      a.emit("mov", dword({ displacement: 0x5004 }), eax);
      a.emit("mov", word({ displacement: 0x5003 }), ax);
      a.emit("nop");
      a.emit("hlt");
    });
    const watchpoint = { linear: 0x5000, bytes: 4, onRead: false, onWrite: true };
    processor.debugging.watchpoints.add(watchpoint);
    processor.debugging.refresh();
    expect(processor.run(FOREVER)).toBe("breakpoint");
    expect(processor.instructions).toBe(3);
    expect(processor.debugRegister(6)).toBe(0xffff_0ff0);
    expect(processor.run(FOREVER)).toBe("halted");
  });
});

describe("statistics", () => {
  it("start again from zero", () => {
    const { processor } = machine((a) => {
      const loop = a.newLabel();
      a.place(loop);
      a.emit("jmp", loop);
    });
    processor.run(500);
    processor.resetStatistics();
    processor.run(800);
    const statistics = processor.statistics();
    expect(statistics.instructions).toBe(300);
    expect(statistics.cycles).toBe(300);
    expect(statistics.cyclesByRing).toEqual([300, 0, 0, 0]);
    expect(processor.instructions).toBe(800);
  });
});

/** Reads one word of each of the pages, in order, `rounds` times, with paging on; the misses after the first instruction fetch. */
function missesOf(
  pages: readonly number[],
  rounds: number,
): { code4K: number; data4K: number; data4M: number } {
  const { processor, view } = machine((a) => {
    for (let round = 0; round < rounds; round++) {
      for (const page of pages) a.emit("mov", eax, dword({ displacement: page * 4096 }));
    }
    a.emit("hlt");
  });
  view.setUint32(0x4_0000, 0x4_1027, true);
  for (let i = 0; i < 256; i++) view.setUint32(0x4_1000 + 4 * i, (i * 4096) | 0x27, true);
  processor.cr3 = 0x4_0000;
  processor.cr0 = 0x8000_0011;
  processor.run(FOREVER);
  return processor.statistics().tlbMisses;
}

describe("the modelled TLBs", () => {
  it("miss once for each page", () => {
    expect(missesOf([1, 2, 3], 5)).toEqual({ code4K: 1, data4K: 3, data4M: 0 });
  });

  it("hold four pages of a set", () => {
    expect(missesOf([0x20, 0x30, 0x50, 0x60], 5).data4K).toBe(4);
  });

  it("follow the pseudo-LRU bits when five pages share a set", () => {
    // By hand: fills go to ways 0 to 3; E takes way 0, the older of the older pair; then A misses and takes way 2, B hits and points
    // the bits at the right pair, C misses and takes way 3, D misses …
    const model = (pages: readonly number[]): number => {
      const ways = [-1, -1, -1, -1];
      let [root, left, right] = [0, 0, 0];
      let misses = 0;
      for (const page of pages) {
        let way = ways.indexOf(page);
        if (way < 0) {
          misses++;
          way = ways.indexOf(-1);
          if (way < 0) way = root === 0 ? left : 2 + right;
          ways[way] = page;
        }
        root = way < 2 ? 1 : 0;
        if (way < 2) left = 1 - way;
        else right = 3 - way;
      }
      return misses;
    };
    const five = [0x20, 0x30, 0x50, 0x60, 0x70];
    const sequence = Array.from({ length: 4 }, () => five).flat();
    expect(missesOf(five, 4).data4K).toBe(model(sequence));
    const mixed = [0x20, 0x30, 0x50, 0x20, 0x60, 0x70, 0x30, 0x20, 0x50, 0x70];
    expect(missesOf(mixed, 3).data4K).toBe(model([...mixed, ...mixed, ...mixed]));
  });

  it("count 64 pages that fill the TLB once, and no more", () => {
    const pages = Array.from({ length: 64 }, (_, i) => 0x60 + i);
    expect(missesOf(pages, 3).data4K).toBe(64);
  });

  it("cost the cycles of the model", () => {
    const run = (pages: readonly number[]) => {
      const { processor, view, clock } = machine((a) => {
        for (const page of pages) a.emit("mov", eax, dword({ displacement: page * 4096 }));
        a.emit("cli");
        a.emit("hlt");
      });
      view.setUint32(0x4_0000, 0x4_1027, true);
      for (let i = 0; i < 256; i++) view.setUint32(0x4_1000 + 4 * i, (i * 4096) | 0x27, true);
      processor.cr3 = 0x4_0000;
      processor.cr0 = 0x8000_0011;
      processor.run(FOREVER);
      return { cycles: clock.now, model: processor.cycleModel };
    };
    const one = run([5, 5]);
    const two = run([5, 6]);
    expect(two.cycles - one.cycles).toBe(one.model.dataTlbMiss);
  });
});

describe("the observer", () => {
  it("hears of traps, returns and ring transitions", () => {
    const { processor } = machine((a) => {
      a.emit("mov", esp, 0x8000);
      a.emit("ud2");
      a.emit("hlt");
      a.label("handler");
      a.emit("add", dword({ base: esp }), 2);
      a.emit("iretd");
    });
    const heard: string[] = [];
    processor.observer = {
      trap: (vector, kind, code, ring, eip) =>
        heard.push(`${kind} ${vector} ${code} from ${ring} at ${eip - CODE}`),
      ringTransition: (from, to) => heard.push(`${from}-${to}`),
      returned: (from, to) => heard.push(`returned ${from}-${to} to ${processor.eip - CODE}`),
    };
    processor.run(FOREVER);
    expect(heard).toEqual(["0-0", "exception 6 -1 from 0 at 5", "0-0", "returned 0-0 to 7"]);
  });
});

describe("reset", () => {
  it("clears registers but not memory or time", () => {
    const { processor, view, clock } = machine((a) => {
      a.emit("mov", dword({ displacement: 0x5000 }), 77);
      a.emit("mov", edx, 5);
      a.emit("hlt");
    });
    processor.run(FOREVER);
    const cycle = clock.now;
    processor.reset();
    expect(view.getUint32(0x5000, true)).toBe(77);
    expect(processor.registers[2]).toBe(0);
    expect(clock.now).toBe(cycle);
    expect(processor.cr0).toBe(0x11);
  });
});
