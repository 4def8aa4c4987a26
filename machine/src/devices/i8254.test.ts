import { beforeEach, describe, expect, it } from "vitest";
import { FakeClock, ProbeLine } from "../test/fake-clock.ts";
import { IntervalTimer } from "./i8254.ts";

let clock: FakeClock;
let line: ProbeLine;
let timer: IntervalTimer;

/** Moves time so that exactly `count` more ticks of the crystal have passed. */
function ticks(count: number): void {
  const target = timer.ticks + count;
  while (timer.ticks < target) clock.advance(1);
}

function program(counter: number, mode: number, count: number): void {
  timer.writeByte(0x43, (counter << 6) | 0x30 | (mode << 1));
  timer.writeByte(0x40 + counter, count & 0xff);
  timer.writeByte(0x40 + counter, count >> 8);
}

function read(counter: number): number {
  timer.writeByte(0x43, counter << 6);
  const low = timer.readByte(0x40 + counter);
  return low | (timer.readByte(0x40 + counter) << 8);
}

function output(counter: number): boolean {
  timer.writeByte(0x43, 0xe0 | (2 << counter));
  return (timer.readByte(0x40 + counter) & 0x80) !== 0;
}

beforeEach(() => {
  clock = new FakeClock();
  line = new ProbeLine();
  timer = new IntervalTimer(clock, line);
});

describe("8254", () => {
  it("ticks 1,193,181 times a second without drift", () => {
    clock.now = 75_000_000 * 3600;
    expect(timer.ticks).toBe(Math.floor(1_193_181.818181818 * 3600));
  });

  it("mode 2: one low tick a period, one interrupt each", () => {
    program(0, 2, 1193);
    line.rises = 0; // the control word itself raised the output
    clock.advance(75_000_000);
    expect(line.rises).toBe(Math.floor(1_193_181 / 1193));
    expect(clock.scheduled).toBe(1);
  });

  it("mode 2: a leap over many periods shows every edge", () => {
    program(0, 2, 100);
    clock.leap(75_000_000);
    expect(line.rises).toBeGreaterThanOrEqual(11_931);
  });

  it("mode 2: counts from the count to one", () => {
    program(0, 2, 4);
    ticks(1);
    const seen: number[] = [];
    const levels: boolean[] = [];
    for (let i = 0; i < 8; i++) {
      seen.push(read(0));
      levels.push(output(0));
      ticks(1);
    }
    expect(seen).toEqual([4, 3, 2, 1, 4, 3, 2, 1]);
    expect(levels).toEqual([true, true, true, false, true, true, true, false]);
  });

  it("mode 2: a new count waits for the end of the period", () => {
    program(0, 2, 10);
    ticks(3);
    timer.writeByte(0x40, 4);
    timer.writeByte(0x40, 0);
    expect(read(0)).toBe(8);
    ticks(8);
    expect(read(0)).toBe(4);
    ticks(4);
    expect(read(0)).toBe(4);
  });

  it("mode 3: a square wave, the odd tick in its high half", () => {
    program(0, 3, 5);
    ticks(1);
    const levels: boolean[] = [];
    for (let i = 0; i < 10; i++) {
      levels.push(output(0));
      ticks(1);
    }
    expect(levels).toEqual([true, true, true, false, false, true, true, true, false, false]);
    expect(line.rises).toBe(2 + 1); // the control word itself raises the output first
  });

  it("mode 0: low until the count is over, then wraps and stays high", () => {
    program(0, 0, 3);
    expect(line.high).toBe(false);
    ticks(3);
    expect(line.high).toBe(false);
    ticks(1);
    expect(line.high).toBe(true);
    expect(read(0)).toBe(0);
    ticks(1);
    expect(read(0)).toBe(0xffff);
    expect(clock.scheduled).toBe(0);
  });

  it("mode 4: one low tick at the end", () => {
    program(0, 4, 3);
    const levels: boolean[] = [];
    for (let i = 0; i < 6; i++) {
      levels.push(output(0));
      ticks(1);
    }
    expect(levels).toEqual([true, true, true, true, false, true]);
  });

  it("mode 1 and the gate of counter 2", () => {
    program(2, 1, 3);
    expect(output(2)).toBe(true);
    timer.speakerGate = true;
    ticks(1);
    expect(output(2)).toBe(false);
    ticks(3);
    expect(output(2)).toBe(true);
  });

  it("mode 0 stands still while the gate of counter 2 is low", () => {
    timer.speakerGate = true;
    program(2, 0, 10);
    ticks(4);
    timer.speakerGate = false;
    const at = read(2);
    ticks(50);
    expect(read(2)).toBe(at);
    timer.speakerGate = true;
    ticks(at);
    expect(timer.speakerOutput).toBe(true);
  });

  it("latches until both bytes are read", () => {
    program(0, 2, 0x1234);
    ticks(1);
    timer.writeByte(0x43, 0x00);
    ticks(100);
    timer.writeByte(0x43, 0x00); // a second latch is ignored
    expect(timer.readByte(0x40) | (timer.readByte(0x40) << 8)).toBe(0x1234);
    expect(read(0)).toBe(0x1234 - 100);
  });

  it("reads back status and count of several counters", () => {
    program(0, 2, 1000);
    program(2, 3, 2000);
    timer.writeByte(0x43, 0xc0 | 0x02 | 0x08);
    expect(timer.readByte(0x40)).toBe(0x80 | 0x40 | 0x30 | 0x04); // not loaded yet: null count
    expect(timer.readByte(0x40) | (timer.readByte(0x40) << 8)).toBe(1000);
    expect(timer.readByte(0x42) & 0x3f).toBe(0x36);
  });

  it("counts in BCD", () => {
    timer.writeByte(0x43, 0x35);
    timer.writeByte(0x40, 0x00);
    timer.writeByte(0x40, 0x10); // 1000
    ticks(2);
    expect(read(0)).toBe(0x0999);
  });

  it("reads and writes single bytes", () => {
    timer.writeByte(0x43, 0x14); // counter 0, low byte, mode 2
    timer.writeByte(0x40, 50);
    ticks(1);
    expect(timer.readByte(0x40)).toBe(50);
    timer.writeByte(0x43, 0x24); // high byte
    timer.writeByte(0x40, 2);
    ticks(1);
    expect(timer.readByte(0x40)).toBe(2);
  });
});
