/** One line about a set of cases: how many, of how many rows, and which vectors ended them. */
import type { InstructionCase } from "./case.ts";
import { RESULT_SIZE } from "./layout.ts";
import { readContext } from "./results.ts";

export function summary(name: string, cases: readonly InstructionCase[], results: Uint8Array): void {
  const vectors = new Map<number, number>();
  cases.forEach((_, i) => {
    const { vector } = readContext(results, i * RESULT_SIZE);
    vectors.set(vector, (vectors.get(vector) ?? 0) + 1);
  });
  const rows = new Set(cases.map((test) => test.row.number)).size;
  const ends = [...vectors].sort((a, b) => a[0] - b[0]).map(([vector, count]) => `#${vector}: ${count}`);
  console.log(`${name}: ${cases.length} cases of ${rows} rows; ended by vector ${ends.join(", ")}`);
}
