/**
 * Random task switches: through gates, far jumps and calls, IRET and faults, between tasks whose states, descriptors and address spaces are
 * spoiled at random. The engine's switch, alone and in compiled code, must leave the machine as the slow way does, which an observer asks for.
 */
import { describe, expect, it } from "vitest";
import * as Task from "../../engine/layout/tasks.ts";
import { Random } from "../test/instructions/random.ts";
import { describe as descriptor } from "../test/system/check-writer.ts";
import { type Program, placeCode, quickWays, runProgram } from "../test/three-ways.ts";
import { Assembler } from "./assembler.ts";
import { ax, byte, cr0, cr3, ds, dword, eax, ebx, esp, far, fword, ss, symbol } from "./assembly.ts";

const MEMORY = 0x10_0000;
const [DIRECTORY, OTHER_DIRECTORY, TABLE, OTHER_TABLE] = [0x1000, 0x2000, 0x3000, 0x4000];
const CODE = 0x1_0000;
const STACK = 0x5_0000;
const FLAT = 0xc;
const [CODE0, DATA0, CODE3, DATA3, LDT, FIRST_TASK, GATE] = [
  0x8, 0x10, 0x1b, 0x23, 0x28, 0x30, 0x50,
] as const;
const [CODE1, DATA1, ODD] = [0x59, 0x61, 0x68] as const;
const TASKS = 4;
const LAST = 14;
const CYCLES = 20_000;
const PARTS = 4;
const CASES = 40;

/** The same for the same seed. */
function makeCase(seed: number): Program {
  const random = new Random(seed);
  const image = new Uint8Array(MEMORY);
  const view = new DataView(image.buffer);
  const put = (address: number, value: number) => view.setInt32(address, value, true);
  const isTight = random.chance(1, 3);
  /** Pages, the tight ones of one set of the TLB; the address is sometimes near their end. */
  const pages = isTight ? [0x2_8000, 0x3_8000, 0x4_8000, 0x6_8000] : [0x2_0000, 0x2_1000, 0x2_2000, 0x6_3000];
  const [gdt, idt] = [0x1_8000 + (random.chance(1, 6) ? 0xfc8 : 0), random.pick([0x8000, 0x9000])];
  const ldt = 0xa000;
  const states = Array.from({ length: TASKS }, (_, i) => {
    const start = random.chance(1, 12) ? 0xf80 + 4 * random.below(24) : 0x80 * i;
    return random.pick(pages) + start;
  });

  const a = new Assembler();
  const addresses = (offset: number): number => states[offset]!;
  const selectors = [0, CODE0, DATA0, CODE3, DATA3, LDT, CODE1, DATA1, ODD, 0x4, 0x7, 0xc, 0xf, 0x1000];
  /** A word for offset `at` of a TSS whose task is of a ring. */
  const field = (at: number, ring: number): number => {
    if (at >= Task.ES && at < Task.LDT) {
      if (random.chance(1, 40)) return random.pick(selectors);
      const isCode = at === Task.ES + 4;
      return [isCode ? CODE0 : DATA0, isCode ? CODE1 : DATA1, 0, isCode ? CODE3 : DATA3][ring]!;
    }
    switch (at) {
      case 4:
      case 0x38:
        return random.chance(1, 4) ? random.pick([0, 2, 0x1000, OTHER_TABLE]) : STACK + 64 * random.below(64);
      case 8:
        return DATA0;
      case Task.CR3:
        return random.chance(1, 2) ? DIRECTORY : OTHER_DIRECTORY;
      case Task.EFLAGS:
        return random.chance(3, 4)
          ? random.pick([2, 0x202, 0x3002])
          : random.pick([0x102, 0x1_0002, 0x4_0002, 0x4002, 2]);
      case Task.LDT:
        return random.chance(1, 12) ? random.pick(selectors) : random.pick([0, LDT, LDT]);
      case Task.TRAP:
        return random.chance(1, 10) ? 1 : 0;
      default:
        return random.bits();
    }
  };
  const fields = [4, 8, Task.CR3, ...Array.from({ length: 17 }, (_, i) => Task.EFLAGS + 4 * i), Task.TRAP];
  const taskSelector = (): number => FIRST_TASK + 8 * random.below(TASKS);

  a.emit("lgdt", fword({ displacement: CODE - 16 }));
  a.emit("lidt", fword({ displacement: CODE - 8 }));
  a.emit("mov", eax, LDT);
  a.emit("lldt", ax);
  a.emit("mov", eax, FIRST_TASK);
  a.emit("ltr", ax);
  a.emit("mov", eax, DIRECTORY);
  a.emit("mov", cr3, eax);
  if (random.chance(3, 4)) {
    a.emit("mov", eax, cr0);
    a.emit("or", eax, 0x8005_0000 | 0);
    a.emit("mov", cr0, eax);
  }
  // Whatever was the matter, things are good again.
  a.label("again");
  a.emit("mov", eax, DATA0);
  a.emit("mov", ds, ax);
  a.emit("mov", ss, ax);
  a.emit("mov", esp, STACK);
  a.emit("push", 2);
  a.emit("popfd");
  for (let i = 0; i < TASKS; i++)
    a.emit("and", byte({ displacement: gdt + FIRST_TASK + 8 * i + 5 }), random.chance(1, 20) ? 0x7f : 0xfd);
  for (let i = 0; i < 12; i++) {
    switch (random.below(7)) {
      case 0:
        a.emit("int", random.pick([0x31, 0x32, 0x33]));
        break;
      case 1:
        a.emit("call", far(random.chance(1, 3) ? GATE : taskSelector(), 0));
        break;
      case 2:
        a.emit("jmp", far(random.chance(1, 3) ? GATE : taskSelector(), 0));
        break;
      case 3:
        a.emit(
          "mov",
          eax,
          dword({ displacement: random.pick([0x7_0000, 0x7_8000, 0x8_8000, 0x9_8000, 0x20_0000, -8]) }),
        );
        break;
      case 4: {
        const at = random.pick(fields);
        a.emit(
          "mov",
          dword({ displacement: addresses(random.below(TASKS)) + at }),
          field(at, random.pick([0, 0, 1, 3])),
        );
        break;
      }
      case 5:
        a.emit("sub", ebx, eax);
        break;
      default:
        a.emit("ud2");
    }
  }
  a.emitNear("jmp", symbol("again"));
  a.label("task");
  if (random.chance(1, 2)) a.emit("inc", ebx);
  if (random.chance(1, 4)) a.emit("push", eax);
  if (random.chance(1, 8)) a.emit("int", 0x32);
  if (random.chance(1, 8)) a.emit("ud2");
  a.emit("iretd");
  a.emitNear("jmp", symbol("task"));
  const at = placeCode(a, image, CODE);

  const gate = (vector: number): [number, number] => {
    const target = at("again");
    if (vector >= 0x30 || random.chance(1, 3)) return [taskSelector() << 16, 0xe500];
    return [(CODE0 << 16) | (target & 0xffff), (target & 0xffff_0000) | 0xee00];
  };
  const putPair = (address: number, [low, high]: readonly [number, number]) => {
    put(address, low);
    put(address + 4, high);
  };
  for (let vector = 0; vector < 0x34; vector++) putPair(idt + 8 * vector, gate(vector));
  const flat = (type: number): [number, number] =>
    descriptor(0, 0xf_ffff, random.chance(1, 12) ? type ^ random.pick([1, 0x80, 2]) : type, FLAT);
  const table: (readonly [number, number])[] = [[0, 0], flat(0x9b), flat(0x93), flat(0xfb), flat(0xf3)];
  table[1] = descriptor(0, 0xf_ffff, 0x9b, FLAT);
  table[2] = descriptor(0, 0xf_ffff, 0x93, FLAT);
  table.push(descriptor(ldt, 0x17, 0x82));
  for (const base of states) table.push(descriptor(base, random.chance(1, 20) ? 0x66 : 0x67, 0x89));
  table.push([taskSelector() << 16, 0xe500], flat(0xbb), flat(0xb3), [random.bits(), random.bits()]);
  table.forEach((each, index) => {
    putPair(gdt + 8 * index, each);
  });
  putPair(ldt + 8, flat(0x93));
  putPair(ldt + 16, flat(0x9b));
  states.forEach((base, task) => {
    const ring = random.pick([0, 0, 1, 3]);
    for (let offset = 0; offset < Task.READ_BYTES; offset += 4)
      put(base + offset, task === 0 ? 0 : field(offset, ring));
    put(base + 4, STACK);
    put(base + 8, DATA0);
    put(base + Task.CR3, DIRECTORY);
    put(base + Task.EIP, random.chance(1, 20) ? random.bits() : at(random.chance(1, 4) ? "again" : "task"));
  });
  for (let page = 0; page < MEMORY >>> 12; page++) {
    put(TABLE + 4 * page, (page << 12) | 7);
    put(OTHER_TABLE + 4 * page, (page << 12) | (random.chance(1, 60) ? random.pick([0, 1, 5]) : 7));
  }
  put(DIRECTORY, TABLE | 7);
  put(OTHER_DIRECTORY, OTHER_TABLE | 7);
  view.setUint16(CODE - 16, 8 * LAST - 1, true);
  put(CODE - 14, gdt);
  view.setUint16(CODE - 8, 8 * 0x34 - 1, true);
  put(CODE - 6, idt);
  return { image, entry: CODE, cycles: CYCLES, parts: PARTS, isInterrupted: random.chance(1, 3) };
}

describe("task switches", () => {
  it("at random", () => {
    let switches = 0;
    const faults = new Set<number>();
    for (let seed = 0; seed < CASES; seed++) {
      const one = makeCase(seed);
      const trap = (vector: number) => faults.add(vector);
      const slow = runProgram(one, null, { taskSwitch: () => switches++, trap });
      for (const [way, compiler] of quickWays)
        expect(runProgram(one, compiler, null), `seed ${seed}, ${way}`).toEqual(slow);
    }
    for (const vector of [6, 8, 10, 11, 12, 13, 14, 0x20, 0x31]) expect(faults).toContain(vector);
    expect(switches).toBeGreaterThan(CASES * 20);
  });
});
