/** A named profile as text: tables for people, folded stacks for other tools. */
import type { NamedCall, NamedCost, NamedProfile } from "./named-profile.ts";

const MOST_ROWS = 60;

const grouped = (value: number) => Math.round(value).toLocaleString("en-US");

/** Columns right-aligned but for the last `left` ones. */
function formatRows(rows: readonly (readonly string[])[], left: number): string {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows
    .map((row) => {
      const cells = row.map((cell, column) =>
        column < row.length - left ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
      );
      return `${cells.join("  ").trimEnd()}\n`;
    })
    .join("");
}

/** Sorted tables of spaces, functions and source lines. */
export function profileTables(profile: NamedProfile, model: string, frequency: number): string {
  const { cycles, idle, instructions, interval } = profile;
  const busy = cycles - idle;
  const share = (part: number, whole = busy) => `${((100 * part) / (whole || 1)).toFixed(1)}%`;
  const counted = interval === undefined ? "instructions" : "samples";
  const head =
    interval === undefined
      ? `exact profile: every instruction and cycle of the run`
      : `sampled profile: a look every ${grouped(interval)} cycles`;
  const row = (cost: NamedCost, more: readonly string[]) => [
    grouped(cost.cycles),
    share(cost.cycles),
    grouped(cost.count),
    ...more,
  ];
  const section = (
    title: string,
    costs: readonly NamedCost[],
    columns: readonly string[],
    more: (cost: NamedCost) => readonly string[],
    left: number,
  ) => {
    const shown = costs.slice(0, MOST_ROWS);
    const rows = [["cycles", "busy", counted, ...columns], ...shown.map((cost) => row(cost, more(cost)))];
    const rest = costs.length - shown.length;
    const cut = rest > 0 ? `  and ${rest} more\n` : "";
    return `\n${title}\n${formatRows(rows, left)}${cut}`;
  };
  return [
    `${head}\n`,
    `${grouped(cycles)} cycles at ${frequency / 1e6} MHz (model '${model}'), ${grouped(idle)} of them idle; ${grouped(instructions)} instructions\n`,
    section("by space", profile.spaces, ["space"], ({ space }) => [space], 1),
    section(
      "by function",
      profile.functions,
      ["with callees", "space", "function", "source"],
      ({ inclusive, space, name, source }) => [share(inclusive), space, name, source],
      3,
    ),
    section(
      "by line",
      profile.lines,
      ["space", "function", "source"],
      ({ space, name, source }) => [space, name, source || "(no source)"],
      3,
    ),
  ].join("");
}

/** One line a chain of calls, outermost first, and its cycles: what flamegraph.pl, inferno and speedscope read. */
export function foldedStacks({ tree }: NamedProfile): string {
  const lines: string[] = [];
  const visit = (call: NamedCall, chain: string) => {
    if (call.cycles > 0) lines.push(`${chain} ${Math.round(call.cycles)}\n`);
    for (const callee of call.callees.values()) visit(callee, `${chain};${callee.name.replaceAll(";", ",")}`);
  };
  for (const space of tree.callees.values()) visit(space, space.name);
  return lines.sort().join("");
}
