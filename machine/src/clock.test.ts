/** The clock's order: by cycle, then by call; cancelling; events that schedule events. */

import { describe, expect, it } from "vitest";
import { EventClock } from "./clock.ts";

function clockAt(source: { now: number }): EventClock {
  const clock = new EventClock(1000);
  clock.drivenBy({
    get now() {
      return source.now;
    },
    deadlineMoved: () => {},
  });
  return clock;
}

describe("EventClock", () => {
  it("fires by cycle, and in order of the calls within a cycle", () => {
    const source = { now: 0 };
    const clock = clockAt(source);
    const fired: string[] = [];
    for (const [name, cycle] of [
      ["c", 30],
      ["a", 10],
      ["b1", 20],
      ["b2", 20],
      ["b3", 20],
    ] as const) {
      clock.schedule(cycle, () => fired.push(name));
    }
    expect(clock.nextCycle).toBe(10);
    source.now = 20;
    clock.fireDue();
    expect(fired).toEqual(["a", "b1", "b2", "b3"]);
    expect(clock.nextCycle).toBe(30);
  });

  it("keeps many events in order", () => {
    const source = { now: 0 };
    const clock = clockAt(source);
    const fired: number[] = [];
    let seed = 12345;
    for (let i = 0; i < 2000; i++) {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      const cycle = seed % 500;
      clock.schedule(cycle, () => fired.push(cycle * 10_000 + i));
    }
    source.now = 1000;
    clock.fireDue();
    expect(fired).toHaveLength(2000);
    expect(fired).toEqual([...fired].sort((a, b) => a - b));
  });

  it("does not fire what was cancelled, and takes a late cancel", () => {
    const source = { now: 0 };
    const clock = clockAt(source);
    let count = 0;
    const first = clock.schedule(5, () => count++);
    const second = clock.schedule(6, () => count++);
    clock.cancel(first);
    expect(clock.nextCycle).toBe(6);
    source.now = 6;
    clock.fireDue();
    clock.cancel(second);
    clock.fireDue();
    expect(count).toBe(1);
    expect(clock.nextCycle).toBe(Number.POSITIVE_INFINITY);
  });

  it("fires what an event schedules for now in the same sweep", () => {
    const source = { now: 7 };
    const clock = clockAt(source);
    const fired: number[] = [];
    clock.schedule(5, () => {
      fired.push(1);
      clock.schedule(6, () => fired.push(2));
      clock.schedule(8, () => fired.push(3));
    });
    clock.fireDue();
    expect(fired).toEqual([1, 2]);
  });

  it("refuses a cycle that never comes", () => {
    expect(() => new EventClock().schedule(Number.NaN, () => {})).toThrow(RangeError);
  });
});
