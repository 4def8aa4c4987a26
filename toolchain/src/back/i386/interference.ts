/** Undirected graph over registers: a triangular bit matrix, and neighbour lists for all but the fixed registers. */
import { firstVirtual } from "./code.ts";

export class InterferenceGraph {
  readonly neighbours: number[][];
  readonly degree: Int32Array;
  private readonly bits: Uint32Array;

  constructor(count: number) {
    this.neighbours = Array.from({ length: count }, () => []);
    this.degree = new Int32Array(count);
    this.bits = new Uint32Array(Math.ceil((count * (count + 1)) / 2 / 32) + 1);
    for (let r = 0; r < firstVirtual; r++) this.degree[r] = 0x3fffffff;
  }

  has(a: number, b: number): boolean {
    const bit = a > b ? (a * (a - 1)) / 2 + b : (b * (b - 1)) / 2 + a;
    return (this.bits[Math.floor(bit / 32)] & (1 << (bit % 32))) !== 0;
  }

  add(a: number, b: number): void {
    if (a === b) return;
    const bit = a > b ? (a * (a - 1)) / 2 + b : (b * (b - 1)) / 2 + a;
    const word = Math.floor(bit / 32);
    const mask = 1 << (bit % 32);
    if (this.bits[word] & mask) return;
    this.bits[word] |= mask;
    if (a >= firstVirtual) {
      this.neighbours[a].push(b);
      this.degree[a]++;
    }
    if (b >= firstVirtual) {
      this.neighbours[b].push(a);
      this.degree[b]++;
    }
  }
}
