/** `rialto bench kernel --scale`: the same operations among more and more of everything (os/tests/kernelbench/scale.ts). */

import type { PathLength } from "./kernel-paths.ts";

export interface ScaleRow {
  /** Of what there is more and more: "threads". */
  readonly kind: string;
  readonly operation: string;
  /** Instructions of one operation by how many there are, in order. */
  readonly instructions: ReadonlyMap<number, number>;
}

/** Rows out of paths whose names are "OPERATION, COUNT KIND". */
export function scaleRows(paths: readonly PathLength[]): ScaleRow[] {
  const rows = new Map<string, { kind: string; operation: string; instructions: Map<number, number> }>();
  for (const path of paths) {
    const [, operation, count, kind] = /^(.+), (\d+) (\w+)$/.exec(path.operation) ?? [];
    if (operation === undefined || count === undefined || kind === undefined) continue;
    const key = `${kind} ${operation}`;
    const row = rows.get(key) ?? { kind, operation, instructions: new Map<number, number>() };
    rows.set(key, row);
    row.instructions.set(Number(count), path.instructions);
  }
  return [...rows.values()];
}

/** Cells of a table: for each kind a line with its counts, then its operations, in a process and in the kernel. */
export function scaleCells(user: readonly ScaleRow[], kernel: readonly ScaleRow[]): string[][] {
  const cells: string[][] = [];
  let kind = "";
  const numbers = (row: ScaleRow | undefined, each: (count: number, instructions: number) => string) =>
    [...(row?.instructions ?? [])].map(([count, instructions]) => each(count, instructions));
  for (const row of user) {
    const other = kernel.find((one) => one.kind === row.kind && one.operation === row.operation);
    if (row.kind !== kind) {
      kind = row.kind;
      cells.push([`among ${kind}`, ...[row, other].flatMap((one) => numbers(one, (count) => String(count)))]);
    }
    cells.push([
      `  ${row.operation}`,
      ...[row, other].flatMap((one) => numbers(one, (_, value) => value.toFixed(0))),
    ]);
  }
  return cells;
}
