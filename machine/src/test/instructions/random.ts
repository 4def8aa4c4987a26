/** Repeatable choices for generated tests (xorshift32), biased to values at which arithmetic changes its behaviour. */

const corners = [
  ...[0, 1, 2, 3, 0x7f, 0x80, 0x81, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000],
  ...[0x7fffffff, 0x80000000, 0x80000001, 0xfffffffe, 0xffffffff, 0x0f0f0f0f, 0x99, 0x9a, 0xf9],
];

export class Random {
  private state: number;
  constructor(seed: number) {
    this.state = (Math.imul(seed + 1, 0x9e3779b1) ^ 0x5bd1e995) | 0 || 1;
    for (let i = 0; i < 4; i++) this.bits();
  }

  /** 32 random bits, unsigned. */
  bits(): number {
    let x = this.state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.state = x;
    return x >>> 0;
  }

  below(limit: number): number {
    return this.bits() % limit;
  }

  chance(numerator: number, denominator: number): boolean {
    return this.below(denominator) < numerator;
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }

  /** A 32-bit operand: a corner case, a small number, or any. */
  operand(): number {
    const kind = this.below(4);
    if (kind === 0) return this.pick(corners);
    if (kind === 1) return this.below(200);
    return this.bits();
  }
}
