/**
 * For the tests: repeatable operands and initial states. Boundary numbers first: every kind of number, neighbours of the
 * formats' limits, ties of each rounding.
 */

import type { Case } from "./oracle.ts";

/** xorshift32: the tests must be the same in every run. */
export class Dice {
  private state: number;

  constructor(seed: number) {
    this.state = seed;
  }

  word(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return this.word() % limit;
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)];
  }
}

/** Sign and exponent, significand's halves. */
export type Triple = readonly [number, number, number];

const significands: readonly (readonly [number, number])[] = [
  [0x80000000, 0],
  [0xffffffff, 0xffffffff],
  [0x80000000, 1],
  [0x80000000, 0x400],
  [0x80000000, 0x800],
  [0x80000000, 0xc00],
  [0xffffffff, 0xfffff800],
  [0xffffffff, 0xfffffc00],
  [0x80000080, 0],
  [0xffffff80, 0],
  [0xffffff00, 0],
  [0x80000180, 0],
  [0xc0000000, 0],
  [0xa0000000, 0],
  [0x12345678, 0x9abcdef0],
  [0, 1],
  [0x40000000, 0],
  [0, 0],
  [0xc0000001, 0x11111111],
  [0xa0000001, 0x11111111],
];

const exponents = [
  0, 1, 2, 64, 0x3c00, 0x3c01, 0x3bcd, 0x3bcc, 0x3bcb, 0x3f80, 0x3f81, 0x3f6a, 0x3f69, 0x3f68, 0x3ffd, 0x3ffe,
  0x3fff, 0x4000, 0x400d, 0x400e, 0x401d, 0x401e, 0x401f, 0x403a, 0x403d, 0x403e, 0x403f, 0x407e, 0x407f,
  0x43fe, 0x43ff, 0x7ffd, 0x7ffe, 0x7fff,
];

export function randomExtended(dice: Dice): Triple {
  const sign = dice.below(2) << 15;
  switch (dice.below(8)) {
    case 0:
    case 1: {
      const [high, low] = dice.pick(significands);
      return [sign | dice.pick(exponents), high, low];
    }
    case 2:
      return [sign | dice.below(0x8000), dice.word() | 0x80000000, dice.word()];
    case 3: // a whole number
      return [sign | (0x3fff + dice.below(20)), (dice.word() & 0xfff00000) | 0x80000000, 0];
    case 4: // a double
      return [sign | (0x3f00 + dice.below(0x200)), dice.word() | 0x80000000, dice.word() & ~0x7ff];
    case 5:
      return [sign | dice.pick(exponents), dice.word() | 0x80000000, dice.word()];
    default: // of moderate size
      return [sign | (0x3fe0 + dice.below(0x40)), dice.word() | 0x80000000, dice.word()];
  }
}

export interface ImageOptions {
  readonly control: number;
  readonly status: number;
  readonly tags: number;
  readonly registers: readonly Triple[];
}

/** An FSAVE image; `registers` are ST(0) and on, the rest random but valid numbers. */
export function makeImage(options: ImageOptions): Uint8Array {
  const image = new Uint8Array(108);
  const view = new DataView(image.buffer);
  view.setUint32(0, 0xffff0000 | options.control, true);
  view.setUint32(4, 0xffff0000 | options.status, true);
  view.setUint32(8, 0xffff0000 | options.tags, true);
  options.registers.forEach(([top, high, low], i) => {
    view.setUint32(28 + 10 * i, low, true);
    view.setUint32(32 + 10 * i, high, true);
    view.setUint16(36 + 10 * i, top, true);
  });
  return image;
}

/** Any rounding and precision; the masks mostly all set. */
export function randomControl(dice: Dice): number {
  const masks = dice.below(4) === 0 ? dice.below(0x40) : 0x3f;
  return masks | 0x40 | (dice.pick([0, 2, 3]) << 8) | (dice.below(4) << 10);
}

/** A state with two given operands on top, no pending exception, now and then an empty or a full register. */
export function randomImage(dice: Dice, control: number, st0: Triple, st1: Triple): Uint8Array {
  const top = dice.below(8);
  const registers: Triple[] = [st0, st1];
  for (let i = 2; i < 8; i++) registers.push([0x3fff + i, 0x80000000, 0]);
  // ST(0) to ST(3) in use, the others empty.
  let inUse = 0x0f;
  const oddity = dice.below(24);
  if (oddity === 0) inUse = 0xff;
  else if (oddity === 1) inUse = 0x0e;
  else if (oddity === 2) inUse = 0x0d;
  else if (oddity === 3) inUse = 0x0c;
  let tags = 0;
  for (let i = 0; i < 8; i++) if ((inUse & (1 << i)) === 0) tags |= 3 << (2 * ((top + i) & 7));
  const flags = dice.below(2) === 0 ? 0 : dice.below(0x40) & control;
  const conditions = dice.pick([0, 0x4700, 0x200, 0x4500]);
  return makeImage({ control, status: flags | conditions | (top << 11), tags, registers });
}

export function randomOperand(dice: Dice, kind: string): Uint8Array {
  const bytes = new Uint8Array(128);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 4; i++) view.setUint32(4 * i, dice.word(), true);
  switch (kind) {
    case "single":
      if (dice.below(2) === 0)
        view.setUint32(
          0,
          (dice.below(2) << 31) |
            (dice.pick([0, 1, 0x7e, 0x7f, 0x80, 0xfe, 0xff]) << 23) |
            dice.pick([0, 1, 0x400000, 0x7fffff, 0x200001, dice.below(0x800000)]),
          true,
        );
      break;
    case "double":
      switch (dice.below(4)) {
        case 0:
        case 1:
          view.setUint32(
            4,
            (dice.below(2) << 31) |
              (dice.pick([0, 1, 0x3fe, 0x3ff, 0x400, 0x7fe, 0x7ff]) << 20) |
              dice.pick([0, 1, 0x80000, 0xfffff, 0x40001, dice.below(0x100000)]),
            true,
          );
          view.setUint32(0, dice.pick([0, 1, 0x80000000, 0xffffffff, dice.word()]), true);
          break;
        case 2:
          view.setFloat64(0, dice.below(2000) - 1000, true);
      }
      break;
    case "integer":
      if (dice.below(2) === 0) {
        const word = dice.pick([0, 1, -1, 0x7fff, -0x8000, 0x7fffffff, -0x80000000, dice.below(100)]);
        view.setInt32(0, word, true);
        view.setInt32(4, dice.pick([0, -1, 0x7fffffff, -0x80000000, 0x1fffff, 0x200000]), true);
      }
      break;
    case "extended": {
      const [top, high, low] = randomExtended(dice);
      view.setUint32(0, low, true);
      view.setUint32(4, high, true);
      view.setUint16(8, top, true);
      break;
    }
    case "decimal":
      for (let i = 0; i < 9; i++) bytes[i] = (dice.below(10) << 4) | dice.below(10);
      bytes[9] = dice.below(2) << 7;
      break;
  }
  return bytes;
}

/** Cases of one instruction. */
export function casesOf(seed: number, opcode: number, modrm: number, kind: string, count: number): Case[] {
  const dice = new Dice(seed);
  const cases: Case[] = [];
  for (let n = 0; n < count; n++) {
    const a = randomExtended(dice);
    // Near operands make cancellations and ties.
    const b: Triple =
      dice.below(6) === 0 ? [a[0] ^ (dice.below(2) << 15), a[1], a[2] ^ dice.below(4)] : randomExtended(dice);
    cases.push({
      code: [[opcode, modrm]],
      image: randomImage(dice, randomControl(dice), a, b),
      operand: randomOperand(dice, kind),
    });
  }
  return cases;
}
