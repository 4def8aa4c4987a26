/**
 * The transcendental instructions against the host's processor: within one unit in the last place of the extended format, with the
 * same stack, tags and status word. Masked: PE and C1, which depend on the last bit. Arguments outside the range that
 * the manual defines are left out.
 */

import { afterAll, describe, expect, it } from "vitest";
import { Dice, makeImage, randomControl, randomExtended, randomImage, type Triple } from "./host/cases.ts";
import { buildHost, type Case, describeImage, runHere } from "./host/oracle.ts";

const host = buildHost();
const missing = typeof host === "string" ? host : "";
const run = typeof host === "string" ? () => [] : host.run;
afterAll(() => {
  if (typeof host !== "string") host.dispose();
});

interface Instruction {
  readonly name: string;
  readonly modrm: number;
  /** Operands in the middle of what the instruction is for. */
  operands(dice: Dice): readonly [Triple, Triple];
  /** Whether the manual defines the result for this ST(0). */
  defined(x: Triple): boolean;
}

function triple(dice: Dice, exponent: number): Triple {
  return [(dice.below(2) << 15) | exponent, dice.word() | 0x80000000, dice.word()];
}

const always = () => true;
const angles = (dice: Dice): readonly [Triple, Triple] => [
  triple(dice, 0x3fff - 20 + dice.below(dice.pick([22, 40, 83]))),
  randomExtended(dice),
];

const instructions: readonly Instruction[] = [
  {
    name: "f2xm1",
    modrm: 0xf0,
    operands: (dice) => [triple(dice, 0x3ffe - dice.below(dice.pick([2, 10, 90]))), randomExtended(dice)],
    defined: ([top]) => (top & 0x7fff) < 0x3fff || (top & 0x7fff) === 0x7fff,
  },
  {
    name: "fyl2x",
    modrm: 0xf1,
    operands: (dice) => {
      const x = triple(dice, dice.below(3) === 0 ? 0x3ffe + dice.below(2) : dice.below(0x7fff));
      return [[x[0] & 0x7fff, x[1], x[2]], randomExtended(dice)];
    },
    defined: always,
  },
  {
    name: "fyl2xp1",
    modrm: 0xf9,
    operands: (dice) => [triple(dice, 0x3ffd - dice.below(dice.pick([2, 10, 150]))), randomExtended(dice)],
    // 1 - sqrt(2)/2 is 0.2929; below 0.25 is enough here.
    defined: ([top]) => (top & 0x7fff) <= 0x3ffc || (top & 0x7fff) === 0x7fff,
  },
  {
    name: "fpatan",
    modrm: 0xf3,
    operands: (dice) => {
      const exponent = 100 + dice.below(0x7f00);
      return [triple(dice, exponent), triple(dice, exponent + dice.below(100) - 50)];
    },
    defined: always,
  },
  { name: "fptan", modrm: 0xf2, operands: angles, defined: always },
  { name: "fsin", modrm: 0xfe, operands: angles, defined: always },
  { name: "fcos", modrm: 0xff, operands: angles, defined: always },
  { name: "fsincos", modrm: 0xfb, operands: angles, defined: always },
];

/** A number's place among all of its kind, so that neighbours differ by 1. */
function place(image: Uint8Array, i: number): bigint {
  const view = new DataView(image.buffer, image.byteOffset);
  const top = view.getUint16(36 + 10 * i, true);
  const significand = view.getBigUint64(28 + 10 * i, true);
  const exponent = top & 0x7fff;
  const magnitude = (BigInt(exponent === 0 ? 0 : exponent - 1) << 63n) + significand;
  return (top & 0x8000) !== 0 ? -magnitude : magnitude;
}

const statusMask = 0xffff & ~0x0220;

describe.skipIf(missing !== "")("transcendental instructions stay within one unit of the host", () => {
  it.each(instructions)("$name", ({ modrm, operands, defined }) => {
    const dice = new Dice(modrm * 7919);
    const cases: Case[] = [];
    while (cases.length < 1000) {
      const [x, y] = dice.below(4) === 0 ? [randomExtended(dice), randomExtended(dice)] : operands(dice);
      if (!defined(x)) continue;
      const control = randomControl(dice) | 0x20;
      cases.push({
        code: [[0xd9, modrm]],
        image: randomImage(dice, control, x, y),
        operand: new Uint8Array(128),
      });
    }
    run(cases).forEach((theirs, index) => {
      const ours = runHere(cases[index]);
      const about = `${describeImage(cases[index].image)}\nours ${describeImage(ours.image)}\nhost ${describeImage(theirs.image)}`;
      const a = new DataView(ours.image.buffer);
      const b = new DataView(theirs.image.buffer);
      expect(a.getUint16(4, true) & statusMask, about).toBe(b.getUint16(4, true) & statusMask);
      expect(a.getUint16(8, true), about).toBe(b.getUint16(8, true));
      for (let i = 0; i < 8; i++) {
        const distance = place(ours.image, i) - place(theirs.image, i);
        expect(distance >= -1n && distance <= 1n, about).toBe(true);
      }
    });
  });
});

/** What one instruction leaves in ST(0), from doubles, as the 80 bits in hexadecimal. */
function evaluate(modrm: number, st0: number, st1: number): string {
  const number = (x: number): Triple => {
    const view = new DataView(new ArrayBuffer(8));
    view.setFloat64(0, x);
    const high = view.getUint32(0);
    const low = view.getUint32(4);
    const exponent = (high >>> 20) & 0x7ff;
    return [
      ((high >>> 31) << 15) | (exponent === 0 ? 0 : exponent + 15360),
      exponent === 0 ? 0 : 0x80000000 | ((high & 0xfffff) << 11) | (low >>> 21),
      low << 11,
    ];
  };
  const image = makeImage({
    control: 0x37f,
    status: 0x2000,
    tags: 0xf0ff,
    registers: [number(st0), number(st1)],
  });
  const result = runHere({ code: [[0xd9, modrm]], image, operand: new Uint8Array(128) });
  return describeImage(result.image).split(" ")[3];
}

describe("known values, rounded correctly", () => {
  it.each([
    ["2^0.5 - 1", 0xf0, 0.5, 0, "3ffd:d413cccfe7799211"],
    ["log2 3", 0xf1, 3, 1, "3fff:cae00d1cfdeb43d0"],
    ["log2 10", 0xf1, 10, 1, "4000:d49a784bcd1b8afe"],
    ["5 log2 8", 0xf1, 8, 5, "4002:f000000000000000"],
    ["sin 1", 0xfe, 1, 0, "3ffe:d76aa47848677021"],
    ["cos 1", 0xff, 1, 0, "3ffe:8a51407da8345c92"],
    ["atan 1", 0xf3, 1, 1, "3ffe:c90fdaa22168c235"],
    ["atan(1 / -1)", 0xf3, -1, 1, "4000:96cbe3f9990e91a8"],
  ])("%s", (_, modrm, st0, st1, bits) => {
    expect(evaluate(modrm, st0, st1)).toBe(bits);
  });
});
