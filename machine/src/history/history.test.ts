/** A run that is gone back in, at random: every place is what it was, nothing is put out twice, and the future is the same. */
import { describe, expect, it } from "vitest";
import { PentiumPc } from "../boards/pentium-pc.ts";
import { echoKernel } from "../test/echo-kernel.ts";
import { History, type HistoryOptions, type Place } from "./history.ts";

const TEXT = new TextEncoder().encode("back and forth.");
const SLICE = 60_000;

interface Run {
  readonly pc: PentiumPc;
  readonly history: History;
  readonly shown: number[];
}

function start(options: HistoryOptions, jit: "on" | "off" = "off"): Run {
  const shown: number[] = [];
  let history: History | undefined;
  const pc = new PentiumPc({
    memory: 3 * 2 ** 20,
    jit,
    serialOutput: (byte) => {
      if (history!.isNewOutput()) shown.push(byte);
    },
  });
  pc.loadMultiboot(echoKernel());
  history = new History(pc, options);
  return { pc, history, shown };
}

/** Runs slice `n`, then types character `n`: what enters at a place belongs to it. */
function slice({ pc, history }: Run, n: number): void {
  const end = pc.cycle + SLICE;
  while (!pc.end && pc.cycle < end) history.run(end);
  if (n < TEXT.length) history.input(() => pc.serialInput([TEXT[n]!]));
}

const stateOf = ({ pc }: Run) => ({ hash: pc.stateHash(), statistics: pc.statistics() });
/** After events that are due now: a step leaves them to the next one, a run to a cycle does not. */
function hashOf(pc: PentiumPc): string {
  pc.run(pc.cycle);
  return pc.stateHash();
}
const same = (a: Place, b: Place) => a.cycle === b.cycle && a.instructions === b.instructions;

function whole(): {
  readonly end: PentiumPc["end"];
  readonly state: ReturnType<typeof stateOf>;
  readonly text: string;
} {
  const run = start({ interval: Number.MAX_SAFE_INTEGER });
  for (let n = 0; !run.pc.end; n++) slice(run, n);
  return { end: run.pc.end, state: stateOf(run), text: String.fromCharCode(...run.shown) };
}

describe("a history", () => {
  it.each([
    ["off", 12],
    ["on", 3],
  ] as const)("goes to any place and on from it (jit %s)", (jit, slices) => {
    const expected = whole();
    expect(expected.text).toBe(new TextDecoder().decode(TEXT));
    const run = start({ interval: 100_000 }, jit);
    const { pc, history, shown } = run;
    const seen: { readonly place: Place; readonly state: unknown }[] = [];
    for (let n = 0; n < slices; n++) {
      slice(run, n);
      seen.push({ place: history.place, state: stateOf(run) });
      const { place, state } = seen[(n * 7) % seen.length]!;
      history.goTo(place);
      expect(history.place).toEqual(place);
      expect(stateOf(run)).toEqual(state);
      history.goToPresent();
      expect(stateOf(run)).toEqual(seen.at(-1)!.state);
    }
    // Input that comes in the past waits for the present.
    history.goTo(seen[1]!.place);
    for (let n = slices; !pc.end; n++) slice(run, n);
    expect(String.fromCharCode(...shown)).toBe(expected.text);
    expect(pc.end?.reason).toBe(expected.end?.reason);
  });

  it("undoes step after step", () => {
    const run = start({ interval: 70_000 });
    const { pc, history } = run;
    for (let n = 0; n < 3; n++) slice(run, n);
    const places: { readonly place: Place; readonly hash: string }[] = [];
    // Over interrupts and waits.
    for (let steps = 0; steps < 200; steps++) {
      if (steps % 20 === 0) places.push({ place: history.place, hash: hashOf(pc) });
      history.step();
    }
    let back = 0;
    while (places.length > 0) {
      const before = history.placeBefore(history.place)!;
      history.goTo(before);
      expect(history.place).toEqual(before);
      back++;
      const { place, hash } = places.at(-1)!;
      if (!same(place, history.place)) continue;
      expect(hashOf(pc)).toBe(hash);
      places.pop();
    }
    expect(back).toBe(200);
  });

  it("begins where it begins", () => {
    const run = start({ interval: 50_000 });
    const beginning = run.history.beginning;
    expect(run.history.placeBefore(beginning)).toBeUndefined();
    run.history.step();
    expect(run.history.placeBefore(run.history.place)).toEqual(beginning);
    slice(run, 0);
    run.history.goTo(beginning);
    expect(run.pc.instructions).toBe(0);
  });

  it("keeps its snapshots below the limit, and still goes everywhere", () => {
    const run = start({ interval: 20_000, limit: 400_000 });
    const seen: { readonly place: Place; readonly hash: string }[] = [];
    for (let n = 0; n < 14; n++) {
      slice(run, n);
      seen.push({ place: run.history.place, hash: run.pc.stateHash() });
      expect(run.history.size.bytes).toBeLessThanOrEqual(400_000);
    }
    expect(run.history.size.interval).toBeGreaterThan(20_000);
    for (const { place, hash } of [seen[9]!, seen[2]!, seen[13]!, seen[0]!]) {
      run.history.goTo(place);
      expect(run.pc.stateHash()).toBe(hash);
    }
  });

  it("a change in the past makes another future, which repeats as well", () => {
    const run = start({ interval: 100_000 });
    const { pc, history, shown } = run;
    for (let n = 0; n < 4; n++) slice(run, n);
    const past = history.place;
    for (let n = 4; n < 8; n++) slice(run, n);
    history.goTo(past);
    history.change(() => pc.serialInput([0x21]));
    const changed = history.place;
    for (let n = 0; n < 4; n++) slice(run, 99);
    const [later, hash] = [history.place, pc.stateHash()];
    history.goTo(changed);
    history.goTo(later);
    expect(pc.stateHash()).toBe(hash);
    const text = String.fromCharCode(...shown);
    expect(text.startsWith("back")).toBe(true);
    expect(text.endsWith("!")).toBe(true);
    expect(() => history.goTo({ cycle: -1, instructions: 0 })).toThrow(/before the history begins/);
  });
});
