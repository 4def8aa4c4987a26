import { beforeEach, describe, expect, it } from "vitest";
import { InterruptControllers } from "./i8259.ts";

let output = false;
let pair: InterruptControllers;

function initialise(options: { autoEnd?: boolean; specialFullyNested?: boolean } = {}): void {
  const word4 = 0x01 | (options.autoEnd ? 0x02 : 0) | (options.specialFullyNested ? 0x10 : 0);
  const words: ReadonlyArray<readonly [port: number, base: number, wiring: number]> = [
    [0x20, 0x20, 0x04],
    [0xa0, 0x28, 0x02],
  ];
  for (const [port, base, wiring] of words) {
    pair.writeByte(port, 0x11);
    pair.writeByte(port + 1, base);
    pair.writeByte(port + 1, wiring);
    pair.writeByte(port + 1, word4);
  }
}

function inService(port: number): number {
  pair.writeByte(port, 0x0b);
  return pair.readByte(port);
}

function requests(port: number): number {
  pair.writeByte(port, 0x0a);
  return pair.readByte(port);
}

beforeEach(() => {
  output = false;
  pair = new InterruptControllers((high) => {
    output = high;
  });
  initialise();
});

describe("8259 pair", () => {
  it("keeps quiet during initialisation and takes vectors from word 2", () => {
    pair.writeByte(0x20, 0x11);
    pair.line(0).set(true);
    expect(output).toBe(false);
    pair.writeByte(0x21, 0x50);
    pair.writeByte(0x21, 0x04);
    pair.writeByte(0x21, 0x01);
    expect(output).toBe(true);
    expect(pair.acknowledge()).toBe(0x50);
  });

  it("serves the highest priority and holds back lower ones until the end of interrupt", () => {
    pair.line(4).set(true);
    pair.line(1).set(true);
    expect(pair.acknowledge()).toBe(0x21);
    expect(output).toBe(false);
    expect(inService(0x20)).toBe(0x02);
    expect(requests(0x20)).toBe(0x10);
    pair.line(0).set(true);
    expect(output).toBe(true);
    expect(pair.acknowledge()).toBe(0x20);
    pair.writeByte(0x20, 0x20);
    expect(output).toBe(false);
    pair.writeByte(0x20, 0x20);
    expect(output).toBe(true);
    expect(pair.acknowledge()).toBe(0x24);
  });

  it("needs a new edge for a new request, and withdraws a request with its line", () => {
    pair.line(3).set(true);
    expect(pair.acknowledge()).toBe(0x23);
    pair.writeByte(0x20, 0x20);
    expect(output).toBe(false);
    pair.line(3).set(false);
    pair.line(3).set(true);
    expect(output).toBe(true);
    pair.line(3).set(false);
    expect(output).toBe(false);
  });

  it("requests as long as a level-triggered line is high", () => {
    pair.writeByte(0x4d1, 0xff);
    expect(pair.readByte(0x4d1)).toBe(0xde);
    pair.line(10).set(true);
    expect(pair.acknowledge()).toBe(0x2a);
    pair.writeByte(0xa0, 0x20);
    pair.writeByte(0x20, 0x20);
    expect(output).toBe(true);
    pair.line(10).set(false);
    expect(output).toBe(false);
  });

  it("reaches the slave through the cascade and needs two ends", () => {
    pair.line(12).set(true);
    pair.line(8).set(true);
    expect(pair.acknowledge()).toBe(0x28);
    expect(inService(0x20)).toBe(0x04);
    expect(inService(0xa0)).toBe(0x01);
    pair.writeByte(0xa0, 0x20);
    expect(output).toBe(false);
    pair.writeByte(0x20, 0x20);
    expect(output).toBe(true);
    expect(pair.acknowledge()).toBe(0x2c);
  });

  it("lets the slave interrupt itself in special fully nested mode only", () => {
    pair.line(12).set(true);
    pair.acknowledge();
    pair.line(8).set(true);
    expect(output).toBe(false);
    pair.line(12).set(false);
    pair.line(8).set(false);
    initialise({ specialFullyNested: true });
    pair.line(12).set(true);
    pair.acknowledge();
    pair.line(8).set(true);
    expect(output).toBe(true);
    expect(pair.acknowledge()).toBe(0x28);
  });

  it("gives the spurious vector and sets no in-service bit when nothing is pending", () => {
    expect(pair.acknowledge()).toBe(0x27);
    expect(inService(0x20)).toBe(0);
  });

  it("masks, and remembers what came while masked", () => {
    pair.writeByte(0x21, 0x08);
    pair.line(3).set(true);
    expect(output).toBe(false);
    expect(pair.enabled(3)).toBe(false);
    pair.writeByte(0x21, 0x00);
    expect(output).toBe(true);
    expect(pair.readByte(0x21)).toBe(0x00);
  });

  it("rotates priorities", () => {
    pair.writeByte(0x20, 0xc0 | 4); // 5 is now the highest
    pair.line(0).set(true);
    pair.line(5).set(true);
    expect(pair.acknowledge()).toBe(0x25);
    pair.writeByte(0x20, 0xa0); // end; 5 becomes the lowest
    pair.line(5).set(false);
    pair.line(5).set(true);
    expect(pair.acknowledge()).toBe(0x20);
  });

  it("ends the named level with a specific end of interrupt", () => {
    pair.line(5).set(true);
    pair.acknowledge();
    pair.line(1).set(true);
    pair.acknowledge();
    pair.writeByte(0x20, 0x60 | 5);
    expect(inService(0x20)).toBe(0x02);
  });

  it("lets lower levels through in special mask mode", () => {
    pair.line(1).set(true);
    pair.acknowledge();
    pair.line(6).set(true);
    expect(output).toBe(false);
    pair.writeByte(0x21, 0x02);
    expect(output).toBe(false);
    pair.writeByte(0x20, 0x68);
    expect(output).toBe(true);
    expect(pair.acknowledge()).toBe(0x26);
    pair.writeByte(0x20, 0x20); // the masked level 1 is not ended
    expect(inService(0x20)).toBe(0x02);
  });

  it("needs no end in automatic mode", () => {
    initialise({ autoEnd: true });
    pair.line(1).set(true);
    pair.line(4).set(true);
    expect(pair.acknowledge()).toBe(0x21);
    expect(output).toBe(true);
    expect(pair.acknowledge()).toBe(0x24);
    expect(inService(0x20)).toBe(0);
  });

  it("polls", () => {
    pair.line(4).set(true);
    pair.writeByte(0x20, 0x0c);
    expect(pair.readByte(0x20)).toBe(0x84);
    expect(inService(0x20)).toBe(0x10);
    pair.writeByte(0x20, 0x0c);
    expect(pair.readByte(0x20)).toBe(0x00);
  });
});
