/** Table 7-3 (§7.4): what traps cost in our cycle models, beside the paper's microbenchmark. */
import {
  measureTraps,
  PAPER_MICROSECONDS,
  TRAPS,
  type TrapCost,
  type TrapName,
} from "@rialto/machine/bench/trap-costs.ts";
import { formatColumns } from "./reports.ts";

/** Of the paper's set-top box and of our board, in MHz. */
const FREQUENCY = 75;

export interface TrapReport {
  readonly fast: readonly TrapCost[];
  readonly detailed: readonly TrapCost[];
}

export function trapReport(): TrapReport {
  return {
    fast: measureTraps("fast", ["bare", "entry code"]),
    detailed: measureTraps("detailed", ["bare", "entry code", "cold"]),
  };
}

function costOf(costs: readonly TrapCost[], trap: TrapName, variant: string): TrapCost {
  const found = costs.find((cost) => cost.trap === trap && cost.variant === variant);
  if (!found) throw new Error(`${trap}, ${variant} was not measured`);
  return found;
}

export function formatTrapReport({ fast, detailed }: TrapReport): string {
  const columns = [
    [fast, "bare"],
    [fast, "entry code"],
    [detailed, "bare"],
    [detailed, "entry code"],
    [detailed, "cold"],
  ] as const;
  const least = costOf(detailed, "ring 0-0-0", "entry code").cycles;
  const rows = TRAPS.map((trap) => {
    const warm = costOf(detailed, trap, "entry code").cycles;
    const paper = PAPER_MICROSECONDS[trap];
    return [
      trap,
      ...columns.map(([costs, variant]) => costOf(costs, trap, variant).cycles.toFixed(0)),
      costOf(detailed, trap, "entry code").tlbMisses.toFixed(0),
      (warm / FREQUENCY).toFixed(2),
      (warm / least).toFixed(2),
      paper.toFixed(1),
      (paper / PAPER_MICROSECONDS["ring 0-0-0"]).toFixed(2),
    ];
  });
  return `${formatColumns([
    ["", "fast", "", "detailed", "", "", "", "", "", "paper", ""],
    ["", "bare", "entry", "bare", "entry", "cold", "TLB", "µs", "ratio", "µs", "ratio"],
    ...rows,
  ])}
Cycles of a round trip on the bare machine. bare: INT and IRET alone. entry: with registers and data segments saved and the kernel's loaded, as
the first level does it; a task gate needs none. cold: the same with empty TLBs and caches. TLB: misses of one round trip, warm. µs: of
'detailed', entry, at ${FREQUENCY} MHz. ratio: to ring 0-0-0. paper: the microbenchmark of its Table 7-3.
`;
}
