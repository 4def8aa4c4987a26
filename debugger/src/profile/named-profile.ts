/** A profile with names: costs by space, function and line, and the tree of calls, each sum made once for all reports. */
import type { Profile, ProfiledCall, ProfiledSpace } from "@rialto/machine/trace/profile.ts";
import type { CodeMap } from "../symbols/code-map.ts";

export interface NamedCost {
  /** Where it ran: a process by name, "kernel" (ring 1), "first level" (ring 0). */
  readonly space: string;
  readonly name: string;
  /** File and line of the source, empty when there is none. */
  readonly source: string;
  cycles: number;
  count: number;
  /** Cycles with what it calls; of functions. */
  inclusive: number;
}

export interface NamedCall {
  readonly name: string;
  /** Spent here, and with all callees. */
  cycles: number;
  total: number;
  readonly callees: Map<string, NamedCall>;
}

export interface NamedProfile extends Omit<Profile, "places" | "roots"> {
  readonly spaces: readonly NamedCost[];
  readonly functions: readonly NamedCost[];
  readonly lines: readonly NamedCost[];
  /** Its callees are processes, theirs the functions at the bottom of stacks. */
  readonly tree: NamedCall;
}

/** By ring; code of rings without a name goes by its process's. */
export type RingNames = readonly string[];
export const RIALTO_RINGS: RingNames = ["first level", "kernel", "ring 2"];
export const PLAIN_RINGS: RingNames = ["ring 0", "ring 1", "ring 2"];

const hexadecimal = (value: number) => `0x${value.toString(16)}`;

export function spaceName({ name, ring }: ProfiledSpace, ringNames: RingNames): string {
  return ringNames[ring] ?? name;
}

/** "kernel!systemCall": image, and the name without its module's path. */
export function functionName(map: CodeMap, eip: number): string {
  const found = map.functionAt(eip);
  if (!found) return hexadecimal(eip);
  return `${found.image}!${found.name.slice(found.name.lastIndexOf("/") + 1)}`;
}

/** Costs by key, largest first. */
class Costs {
  readonly #byKey = new Map<string, NamedCost>();

  of(space: string, name: string, source: string): NamedCost {
    const key = `${space}\n${name}\n${source}`;
    let cost = this.#byKey.get(key);
    if (!cost) {
      cost = { space, name, source, cycles: 0, count: 0, inclusive: 0 };
      this.#byKey.set(key, cost);
    }
    return cost;
  }

  sorted(): NamedCost[] {
    return [...this.#byKey.values()].sort((a, b) => b.cycles - a.cycles || (a.name < b.name ? -1 : 1));
  }
}

export function nameProfile(
  { places, roots, ...rest }: Profile,
  map: CodeMap,
  ringNames: RingNames = RIALTO_RINGS,
): NamedProfile {
  const sources = new Map<number, string>();
  const [spaces, functions, lines] = [new Costs(), new Costs(), new Costs()];
  const functionCost = (space: ProfiledSpace, eip: number): NamedCost => {
    const found = map.functionAt(eip);
    let source = found && sources.get(found.start);
    if (found && source === undefined) {
      const line = map.sourceOf(found);
      source = line ? `${line.file}:${line.line}` : "";
      sources.set(found.start, source);
    }
    return functions.of(spaceName(space, ringNames), functionName(map, eip), source ?? "");
  };
  for (const { space, eip, cycles, count } of places) {
    const line = map.lineAt(eip);
    const name = functionName(map, eip);
    const costs = [
      spaces.of(spaceName(space, ringNames), "", ""),
      functionCost(space, eip),
      lines.of(spaceName(space, ringNames), name, line ? `${line.file}:${line.line}` : ""),
    ];
    for (const cost of costs) {
      cost.cycles += cycles;
      cost.count += count;
    }
  }

  const tree: NamedCall = { name: "all", cycles: 0, total: 0, callees: new Map() };
  const calleeOf = (caller: NamedCall, name: string): NamedCall => {
    let callee = caller.callees.get(name);
    if (!callee) {
      callee = { name, cycles: 0, total: 0, callees: new Map() };
      caller.callees.set(name, callee);
    }
    return callee;
  };
  /** `under`: functions that the call stands under, which count its cycles already. */
  const add = (call: ProfiledCall, caller: NamedCall, under: ReadonlySet<NamedCost>): number => {
    const named = calleeOf(caller, functionName(map, call.eip));
    const cost = functionCost(call.space, call.eip);
    const within = under.has(cost) ? under : new Set([...under, cost]);
    let total = call.cycles;
    for (const callee of call.callees.values()) total += add(callee, named, within);
    named.cycles += call.cycles;
    named.total += total;
    if (!under.has(cost)) cost.inclusive += total;
    return total;
  };
  for (const root of roots) {
    const { name, process } = root.space;
    const space = calleeOf(tree, process === 0 ? "kernel" : `${name} (process ${process})`);
    const total = add(root, space, new Set());
    space.total += total;
    tree.total += total;
  }
  return { ...rest, spaces: spaces.sorted(), functions: functions.sorted(), lines: lines.sorted(), tree };
}
