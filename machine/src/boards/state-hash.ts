/**
 * A fingerprint of a machine's state, to compare runs. Two lanes of a multiplicative hash (the mixing steps of MurmurHash3's
 * finaliser) over 32-bit words: not secure, but two states that differ in one bit differ in the fingerprint with certainty
 * of 1 - 2^-64 for all practical purposes.
 */
import type { StateValue } from "../devices/ports.ts";

export class StateHash {
  #a = 0x9e3779b9 | 0;
  #b = 0x85ebca6b | 0;

  words(words: Int32Array): this {
    let [a, b] = [this.#a, this.#b];
    for (let i = 0; i < words.length; i++) {
      const word = words[i]!;
      a = Math.imul(a ^ word, 0x85ebca6b);
      a ^= a >>> 15;
      b = Math.imul(b + word, 0xc2b2ae35);
      b ^= b >>> 13;
    }
    this.#a = a;
    this.#b = b ^ words.length;
    return this;
  }

  /** Plain values, in the order of their fields. */
  value(value: StateValue): this {
    const bytes = new TextEncoder().encode(JSON.stringify(value));
    return this.words(Int32Array.from(bytes));
  }

  /** Sixteen hexadecimal digits. */
  digest(): string {
    const finish = (lane: number) => {
      let x = lane;
      x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
      x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
      return ((x ^ (x >>> 16)) >>> 0).toString(16).padStart(8, "0");
    };
    return finish(this.#a) + finish(this.#b ^ this.#a);
  }
}
