/**
 * The border with the processor: which encodings exist, which instructions wait, restartability, unmasked exceptions,
 * environment layouts, pointers, clocks. Needs no oracle: the manual's words are the expectation.
 */

import { describe, expect, it } from "vitest";
import { clocks } from "./clocks.ts";
import type { FloatingPointUnit } from "./contract.ts";
import { Path } from "./double-path.ts";
import { ImageMemory } from "./environment.ts";
import { Dice, randomControl, randomExtended, randomImage, randomOperand } from "./host/cases.ts";
import { testedInstructions } from "./host/instructions.ts";
import { createFloatingPointUnit } from "./unit.ts";

class Host {
  instructionPointer = 0x12345678;
  codeSelector = 0x001b;
  operandSize16 = false;
  ax = 0;

  setAx(value: number): void {
    this.ax = value;
  }
}

/** Memory whose access number `failing` throws. */
class FaultingMemory extends ImageMemory {
  accesses = 0;
  failing: number;

  constructor(bytes: Uint8Array, failing: number) {
    super(bytes);
    this.failing = failing;
  }

  private count(): void {
    if (this.accesses++ === this.failing) throw new Error("page fault");
  }

  override read16(offset: number): number {
    this.count();
    return super.read16(offset);
  }

  override read32(offset: number): number {
    this.count();
    return super.read32(offset);
  }

  override write16(offset: number, value: number): void {
    this.count();
    super.write16(offset, value);
  }

  override write32(offset: number, value: number): void {
    this.count();
    super.write32(offset, value);
  }

  override probeWrite(size: number): void {
    this.count();
    super.probeWrite(size);
  }
}

function control(unit: FloatingPointUnit, word: number): void {
  const memory = new ImageMemory(new Uint8Array(2));
  memory.write16(0, word);
  unit.execute(1, 0x2e, memory, new Host(), 0, 0);
}

function status(unit: FloatingPointUnit): number {
  const host = new Host();
  unit.execute(7, 0xe0, new ImageMemory(new Uint8Array(0)), host, 0, 0);
  return host.ax;
}

function load(unit: FloatingPointUnit, value: number): void {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, value, true);
  unit.execute(5, 0x06, new ImageMemory(bytes), new Host(), 0, 0);
}

function register(unit: FloatingPointUnit, group: number, modrm: number): number {
  return unit.execute(group, modrm, new ImageMemory(new Uint8Array(0)), new Host(), 0, 0);
}

function storeDouble(unit: FloatingPointUnit): number {
  const bytes = new Uint8Array(8);
  unit.execute(5, 0x1e, new ImageMemory(bytes), new Host(), 0, 0);
  return new DataView(bytes.buffer).getFloat64(0, true);
}

/** Register forms that a Pentium does not have, as inclusive ranges of ModR/M. */
const undefinedRegisterForms: readonly (readonly [number, readonly (readonly [number, number])[]])[] = [
  [0, []],
  [
    1,
    [
      [0xd1, 0xd7],
      [0xe2, 0xe3],
      [0xe6, 0xe7],
      [0xef, 0xef],
    ],
  ],
  [
    2,
    [
      [0xc0, 0xe8],
      [0xea, 0xff],
    ],
  ],
  [
    3,
    [
      [0xc0, 0xdf],
      [0xe5, 0xff],
    ],
  ],
  [4, []],
  [5, [[0xf0, 0xff]]],
  [
    6,
    [
      [0xd8, 0xd8],
      [0xda, 0xdf],
    ],
  ],
  [7, [[0xe1, 0xff]]],
];
const undefinedMemoryForms: readonly (readonly [number, readonly number[]])[] = [
  [1, [1]],
  [3, [1, 4, 6]],
  [5, [1, 5]],
  [7, [1]],
];

describe("encodings", () => {
  it("refuses exactly those that a Pentium does not have", () => {
    const unit = createFloatingPointUnit();
    const memory = new ImageMemory(new Uint8Array(128));
    for (let group = 0; group < 8; group++)
      for (let modrm = 0; modrm < 256; modrm++) {
        unit.reset();
        const spent = unit.execute(group, modrm, memory, new Host(), 0, 0);
        const missing =
          modrm >= 0xc0
            ? undefinedRegisterForms[group][1].some(([from, to]) => modrm >= from && modrm <= to)
            : undefinedMemoryForms.some(
                ([where, registers]) => where === group && registers.includes((modrm >>> 3) & 7),
              );
        expect(spent === -1, `${(0xd8 + group).toString(16)} ${modrm.toString(16)}`).toBe(missing);
        if (!missing) expect(spent).toBeGreaterThan(0);
      }
  });

  it("knows the instructions that do not wait", () => {
    const unit = createFloatingPointUnit();
    const quiet: string[] = [];
    for (let group = 0; group < 8; group++)
      for (let modrm = 0; modrm < 256; modrm++)
        if (!unit.isWaiting(group, modrm) && (modrm >= 0xc0 || (modrm & 0xc7) === 6))
          quiet.push(`${(0xd8 + group).toString(16)} ${modrm.toString(16)}`);
    expect(quiet).toEqual([
      "d9 36",
      "d9 3e",
      "db e0",
      "db e1",
      "db e2",
      "db e3",
      "db e4",
      "dd 36",
      "dd 3e",
      "df e0",
    ]);
  });

  it("takes the clocks of the table", () => {
    const unit = createFloatingPointUnit();
    load(unit, 6);
    load(unit, 3);
    expect(register(unit, 0, 0xc1)).toBe(clocks.add);
    expect(register(unit, 0, 0xf1)).toBe(39);
    control(unit, 0x27f);
    expect(register(unit, 0, 0xf1)).toBe(33);
    control(unit, 0x07f);
    expect(register(unit, 0, 0xf1)).toBe(19);
    expect(register(unit, 1, 0xfa)).toBe(70);
  });
});

describe("restartability", () => {
  const withMemory = [
    ...testedInstructions.filter(({ modrm }) => modrm < 0xc0),
    { name: "fldenv", opcode: 0xd9, modrm: 0x26, operand: "none" },
    { name: "fnstenv", opcode: 0xd9, modrm: 0x36, operand: "none" },
    { name: "frstor", opcode: 0xdd, modrm: 0x26, operand: "none" },
    { name: "fnsave", opcode: 0xdd, modrm: 0x36, operand: "none" },
  ];

  it.each(withMemory)("$name leaves all as it was when an access faults", ({ opcode, modrm, operand }) => {
    const dice = new Dice(opcode * 256 + modrm);
    for (const path of [Path.fast, Path.reference])
      for (let n = 0; n < 20; n++) {
        const image = randomImage(dice, randomControl(dice), randomExtended(dice), randomExtended(dice));
        const bytes = randomOperand(dice, operand);
        const unit = createFloatingPointUnit(path);
        unit.restore(image);
        const before = unit.save();
        for (let failing = 0; ; failing++) {
          const touched = bytes.slice();
          const memory = new FaultingMemory(touched, failing);
          let faulted = false;
          try {
            unit.execute(opcode - 0xd8, modrm, memory, new Host(), 0x1000, 0x23);
          } catch {
            faulted = true;
          }
          if (!faulted) break;
          if (failing === 0) expect(touched).toEqual(bytes);
          expect(unit.save()).toEqual(before);
        }
      }
  });

  it("probes before a store of several parts", () => {
    const unit = createFloatingPointUnit();
    const stores = [
      [5, 0x16, 8],
      [5, 0x1e, 8],
      [3, 0x3e, 10],
      [7, 0x3e, 8],
      [7, 0x36, 10],
      [1, 0x36, 28],
      [5, 0x36, 108],
    ] as const;
    for (const [group, modrm, size] of stores)
      for (const value of [1.5, 2 ** 60, Number.NaN]) {
        unit.reset();
        load(unit, value);
        const order: string[] = [];
        class Recording extends ImageMemory {
          override probeWrite(bytes: number): void {
            order.push(`probe ${bytes}`);
          }
          override write16(offset: number, word: number): void {
            order.push("write");
            super.write16(offset, word);
          }
          override write32(offset: number, word: number): void {
            order.push("write");
            super.write32(offset, word);
          }
        }
        unit.execute(group, modrm, new Recording(new Uint8Array(128)), new Host(), 0, 0);
        expect(order[0]).toBe(`probe ${size}`);
        expect(order.filter((step) => step.startsWith("probe"))).toHaveLength(1);
      }
  });
});

describe("exceptions", () => {
  it("is quiet while they are masked", () => {
    const unit = createFloatingPointUnit();
    load(unit, 0);
    load(unit, 1);
    register(unit, 0, 0xf1);
    expect(unit.errorPending).toBe(false);
    expect(status(unit) & 0x80ff).toBe(0x04);
    expect(storeDouble(unit)).toBe(Number.POSITIVE_INFINITY);
  });

  it("keeps operands and becomes pending when divide by zero is unmasked, until cleared", () => {
    const unit = createFloatingPointUnit();
    control(unit, 0x37b);
    load(unit, 0);
    load(unit, 1);
    register(unit, 0, 0xf1);
    expect(unit.errorPending).toBe(true);
    expect(status(unit) & 0x80ff).toBe(0x8084);
    register(unit, 3, 0xe2);
    expect(unit.errorPending).toBe(false);
    expect(storeDouble(unit)).toBe(1);
    expect(storeDouble(unit)).toBe(0);
  });

  it("tells stack overflow from underflow by C1", () => {
    const unit = createFloatingPointUnit();
    register(unit, 1, 0xfa);
    expect(status(unit) & 0x2ff).toBe(0x041);
    unit.reset();
    for (let i = 0; i < 9; i++) load(unit, i);
    expect(status(unit) & 0x2ff).toBe(0x241);
  });

  it("becomes pending when a load of the control word unmasks what is flagged", () => {
    const unit = createFloatingPointUnit();
    load(unit, 3);
    load(unit, 1);
    register(unit, 0, 0xf1);
    expect(unit.errorPending).toBe(false);
    control(unit, 0x35f);
    expect(unit.errorPending).toBe(true);
    control(unit, 0x37f);
    expect(unit.errorPending).toBe(false);
  });

  it("works out a deferred rounding for whoever looks", () => {
    const unit = createFloatingPointUnit();
    control(unit, 0x27f);
    load(unit, 3);
    load(unit, 1);
    register(unit, 0, 0xf1); // 1/3 rounds down
    expect(status(unit) & 0x220).toBe(0x020);
    load(unit, 10);
    load(unit, 1);
    register(unit, 0, 0xf1); // 1/10 rounds up
    expect(status(unit) & 0x220).toBe(0x220);
    register(unit, 0, 0xd9);
    expect(status(unit) & 0x220).toBe(0x020);
  });
});

describe("environment", () => {
  it("stores pointers to the last instruction that was not a control instruction", () => {
    const unit = createFloatingPointUnit();
    const host = new Host();
    const bytes = new Uint8Array(8);
    unit.execute(5, 0x06, new ImageMemory(bytes), host, 0x89abcdef, 0x23);
    host.instructionPointer = 0x99999999;
    unit.execute(3, 0xe2, new ImageMemory(bytes), host, 0, 0);
    const memory = new ImageMemory(new Uint8Array(28));
    unit.execute(1, 0x36, memory, host, 0x1000, 0x2b);
    expect(memory.read32(0)).toBe(0xffff037f);
    expect(memory.read32(8)).toBe(0xffff7fff);
    expect(memory.read32(12)).toBe(0x12345678);
    expect(memory.read32(16)).toBe((0x506 << 16) | 0x1b);
    expect(memory.read32(20)).toBe(0x89abcdef);
    expect(memory.read32(24)).toBe(0xffff0023);
  });

  it("uses 14 bytes with 16-bit operands", () => {
    const unit = createFloatingPointUnit();
    load(unit, 1);
    const host = new Host();
    host.operandSize16 = true;
    const bytes = new Uint8Array(28).fill(0xaa);
    unit.execute(1, 0x36, new ImageMemory(bytes), host, 0, 0);
    const view = new DataView(bytes.buffer);
    expect([0, 2, 4, 6, 8].map((offset) => view.getUint16(offset, true))).toEqual([
      0x037f, 0x3800, 0x3fff, 0x5678, 0x1b,
    ]);
    expect(bytes[14]).toBe(0xaa);
  });

  it("restores what it saved, contents of empty registers included", () => {
    const dice = new Dice(4242);
    for (let n = 0; n < 200; n++) {
      const unit = createFloatingPointUnit();
      unit.restore(randomImage(dice, randomControl(dice), randomExtended(dice), randomExtended(dice)));
      const image = unit.save();
      const other = createFloatingPointUnit();
      other.restore(image);
      expect(other.save()).toEqual(image);
      expect(unit.save()).toEqual(image);
    }
  });

  it("starts as FNINIT leaves it", () => {
    const image = createFloatingPointUnit().save();
    const view = new DataView(image.buffer);
    expect(view.getUint32(0, true)).toBe(0xffff037f);
    expect(view.getUint32(4, true)).toBe(0xffff0000);
    expect(view.getUint32(8, true)).toBe(0xffffffff);
  });
});
