/** The engine's switch has a case for every number that the decoder may choose, and every one of them a general handler. */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { generalOperations, HotOperation } from "./hot-operations.ts";
import { instructions } from "./table.ts";

/** Records that are no instructions. */
const pseudo: readonly number[] = [
  HotOperation.relocate,
  HotOperation.continueAt,
  HotOperation.countedEntry,
  HotOperation.account,
  HotOperation.stale,
];

/** Every named number, the families expanded. */
function hotNumbers(): number[] {
  const numbers = new Set<number>(Object.values(HotOperation));
  for (let i = 0; i < 40; i++) numbers.add(HotOperation.arithmetic + i);
  for (let i = 0; i < 16; i++) numbers.add(HotOperation.jccInPage + i);
  for (let i = 0; i < 3; i++) {
    numbers.add(HotOperation.shiftImmediate + i);
    numbers.add(HotOperation.shiftCl + i);
  }
  return [...numbers].sort((a, b) => a - b);
}

/** Numbers of the labels in the source of the engine's loop. */
function caseNumbers(): number[] {
  const source = readFileSync(new URL("../../engine/interpreter.ts", import.meta.url), "utf8");
  const numbers = new Map<string, number>(Object.entries(HotOperation));
  for (const [, name, base, by] of source.matchAll(/^const (\w+) = HotOperation\.(\w+)(?: \+ (\d+))?;$/gm)) {
    numbers.set(name!, numbers.get(base!)! + Number(by ?? 0));
  }
  const loop = source.slice(source.indexOf("function run<"), source.indexOf("\nfunction leave"));
  const labels = [...loop.matchAll(/^ +case (?:HotOperation\.)?(\w+):/gm)];
  return labels.map(([, name]) => numbers.get(name!) ?? -1).sort((a, b) => a - b);
}

describe("hot operations", () => {
  it("are the cases of the engine's switch", () => {
    expect(caseNumbers()).toEqual(hotNumbers());
  });

  it("are forms of operations of the instruction table", () => {
    const operations = new Set(instructions.map((row) => row.operation));
    for (const number of hotNumbers()) {
      if (pseudo.includes(number)) expect(generalOperations.has(number)).toBe(false);
      else expect(operations).toContain(generalOperations.get(number));
    }
  });
});
