/** Table 7-3's microbenchmark against the clocks that Intel's manual gives for each trap and its return. */
import { describe, expect, it } from "vitest";
import { gateClocks } from "../i386/table-control.ts";
import { measureTraps, TRAPS, type TrapVariant } from "./trap-costs.ts";

describe("costs of traps", () => {
  const costs = [
    measureTraps("fast", ["bare", "entry code"]),
    measureTraps("detailed", ["entry code", "cold"]),
  ];
  const cost = (model: number, trap: string, variant: TrapVariant) => {
    const found = costs[model]?.find((each) => each.trap === trap && each.variant === variant);
    if (!found) throw new Error(`${trap} was not measured`);
    return found;
  };

  it("are those of the manual in the fast model", () => {
    const same = gateClocks.interruptSamePrivilege + gateClocks.interruptReturnSame;
    const inner = gateClocks.interruptInner + gateClocks.interruptReturnOuter;
    expect(cost(0, "ring 0-0-0", "bare").cycles).toBe(same);
    expect(cost(0, "ring 1-0-1", "bare").cycles).toBe(inner);
    expect(cost(0, "ring 3-0-3", "bare").cycles).toBe(inner);
    // The task switches reload CR3, which empties the TLBs.
    const task = cost(0, "task gate", "bare");
    expect(task.tlbMisses).toBeGreaterThan(2);
    expect(task.cycles).toBeGreaterThan(2 * gateClocks.taskSwitch + 2 * 12);
  });

  it("are in the paper's order in both models, and higher when nothing is in the caches", () => {
    for (const model of [0, 1]) {
      const [task, user, ring1, ring0] = TRAPS.map((trap) => cost(model, trap, "entry code").cycles);
      expect(task).toBeGreaterThan(user);
      expect(user).toBeGreaterThanOrEqual(ring1);
      expect(ring1).toBeGreaterThan(ring0);
    }
    for (const trap of TRAPS) {
      expect(cost(1, trap, "cold").cycles).toBeGreaterThan(1.5 * cost(1, trap, "entry code").cycles);
    }
  });
});
