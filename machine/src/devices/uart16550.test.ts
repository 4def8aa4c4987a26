import { beforeEach, describe, expect, it } from "vitest";
import { FakeClock, ProbeLine } from "../test/fake-clock.ts";
import { Uart16550 } from "./uart16550.ts";

const DATA = 0x3f8;
const ENABLE = 0x3f9;
const IDENTIFY = 0x3fa;
const FIFO = 0x3fa;
const LINE_CONTROL = 0x3fb;
const MODEM_CONTROL = 0x3fc;
const LINE_STATUS = 0x3fd;
const MODEM_STATUS = 0x3fe;
/** 10 bits at 1.5 Mbit/s and 75 MHz. */
const BYTE = 500;

let clock: FakeClock;
let line: ProbeLine;
let sent: number[];
let uart: Uart16550;

beforeEach(() => {
  clock = new FakeClock();
  line = new ProbeLine();
  sent = [];
  uart = new Uart16550(clock, line, { output: (byte) => sent.push(byte) });
  uart.writeByte(MODEM_CONTROL, 0x08);
});

describe("16550", () => {
  it("hands bytes to the host at once and follows the line's pace in its status", () => {
    expect(uart.readByte(LINE_STATUS)).toBe(0x60);
    uart.writeByte(DATA, 65);
    expect(sent).toEqual([65]);
    expect(uart.readByte(LINE_STATUS)).toBe(0x20);
    uart.writeByte(DATA, 66);
    expect(uart.readByte(LINE_STATUS)).toBe(0x00);
    clock.advance(BYTE);
    expect(uart.readByte(LINE_STATUS)).toBe(0x20);
    clock.advance(BYTE);
    expect(uart.readByte(LINE_STATUS)).toBe(0x60);
    expect(sent).toEqual([65, 66]);
  });

  it("keeps the divisor behind DLAB and paces by it when told to", () => {
    uart.writeByte(LINE_CONTROL, 0x83);
    uart.writeByte(DATA, 0x0c);
    uart.writeByte(ENABLE, 0x01);
    expect([uart.readByte(DATA), uart.readByte(ENABLE)]).toEqual([0x0c, 0x01]);
    uart.writeByte(LINE_CONTROL, 0x03);
    expect(uart.readByte(ENABLE)).toBe(0);
    expect(sent).toEqual([]);

    const slow = new Uart16550(clock, line, { output: () => {} }, { pace: "divisor" });
    slow.writeByte(LINE_CONTROL, 0x83);
    slow.writeByte(DATA, 1);
    slow.writeByte(ENABLE, 0);
    slow.writeByte(LINE_CONTROL, 0x03);
    slow.writeByte(DATA, 1);
    clock.advance(6_510); // 10 bits at 115,200 bit/s: 6510.4 cycles
    expect(slow.readByte(LINE_STATUS) & 0x40).toBe(0);
    clock.advance(1);
    expect(slow.readByte(LINE_STATUS) & 0x40).toBe(0x40);
  });

  it("interrupts when the transmitter is empty, and once only", () => {
    uart.writeByte(ENABLE, 0x02);
    expect(line.high).toBe(true);
    expect(uart.readByte(IDENTIFY)).toBe(0x02);
    expect(line.high).toBe(false);
    expect(uart.readByte(IDENTIFY)).toBe(0x01);
    uart.writeByte(DATA, 1); // straight into the shift register
    expect(line.high).toBe(true);
    uart.writeByte(DATA, 2);
    expect(line.high).toBe(false);
    clock.advance(BYTE);
    expect(line.high).toBe(true);
  });

  it("receives at the line's pace, one byte without FIFO, and loses nothing", () => {
    uart.writeByte(ENABLE, 0x01);
    uart.input([1, 2, 3]);
    expect(uart.readByte(LINE_STATUS) & 1).toBe(0);
    clock.advance(10 * BYTE);
    expect(uart.backlog).toBe(2);
    expect(line.high).toBe(true);
    expect(uart.readByte(IDENTIFY)).toBe(0x04);
    const got: number[] = [];
    for (let i = 0; i < 3; i++) {
      got.push(uart.readByte(DATA));
      clock.advance(BYTE);
    }
    expect(got).toEqual([1, 2, 3]);
    expect(line.high).toBe(false);
    expect(uart.readByte(LINE_STATUS)).toBe(0x60);
  });

  it("FIFO: announces at the trigger level, and a rest after four byte times", () => {
    uart.writeByte(FIFO, 0x41); // enabled, trigger 4
    uart.writeByte(ENABLE, 0x01);
    uart.input([1, 2, 3, 4, 5]);
    clock.advance(3 * BYTE);
    expect(line.high).toBe(false);
    clock.advance(BYTE);
    expect(uart.readByte(IDENTIFY)).toBe(0xc4);
    clock.advance(BYTE);
    for (let i = 0; i < 4; i++) uart.readByte(DATA);
    expect(line.high).toBe(false);
    clock.advance(4 * BYTE);
    expect(uart.readByte(IDENTIFY)).toBe(0xcc);
    expect(uart.readByte(DATA)).toBe(5);
    expect(line.high).toBe(false);
  });

  it("FIFO: holds sixteen bytes, the host's others wait", () => {
    uart.writeByte(FIFO, 0x01);
    uart.input(Array.from({ length: 100 }, (_, i) => i));
    clock.advance(200 * BYTE);
    expect(uart.backlog).toBe(84);
    const got: number[] = [];
    while (got.length < 100) {
      if (uart.readByte(LINE_STATUS) & 1) got.push(uart.readByte(DATA));
      else clock.advance(BYTE);
    }
    expect(got).toEqual(Array.from({ length: 100 }, (_, i) => i));
    expect(uart.readByte(LINE_STATUS) & 2).toBe(0);
  });

  it("loopback: bytes come back, overruns show with the highest priority, nothing leaves", () => {
    uart.writeByte(MODEM_CONTROL, 0x18);
    uart.writeByte(ENABLE, 0x07);
    uart.writeByte(DATA, 0x55);
    clock.advance(BYTE);
    expect(uart.readByte(IDENTIFY)).toBe(0x04);
    uart.writeByte(DATA, 0x66);
    clock.advance(BYTE);
    expect(uart.readByte(IDENTIFY)).toBe(0x06);
    expect(uart.readByte(LINE_STATUS) & 0x03).toBe(0x03);
    expect(uart.readByte(DATA)).toBe(0x66);
    expect(uart.readByte(IDENTIFY)).toBe(0x02);
    expect(sent).toEqual([]);
  });

  it("loopback: modem outputs are the modem inputs, with their changes", () => {
    expect(uart.readByte(MODEM_STATUS)).toBe(0xb0);
    uart.writeByte(MODEM_CONTROL, 0x10);
    uart.readByte(MODEM_STATUS);
    uart.writeByte(MODEM_CONTROL, 0x1f);
    expect(uart.readByte(MODEM_STATUS)).toBe(0xfb);
    uart.writeByte(ENABLE, 0x08);
    uart.writeByte(MODEM_CONTROL, 0x1b); // ring falls
    expect(line.high).toBe(true);
    expect(uart.readByte(IDENTIFY)).toBe(0x00);
    expect(uart.readByte(MODEM_STATUS)).toBe(0xb4);
    expect(line.high).toBe(false);
  });

  it("interrupts only through OUT2", () => {
    uart.writeByte(MODEM_CONTROL, 0x00);
    uart.writeByte(ENABLE, 0x02);
    expect(line.high).toBe(false);
    uart.writeByte(MODEM_CONTROL, 0x08);
    expect(line.high).toBe(true);
  });

  it("is recognised as a 16550A", () => {
    uart.writeByte(FIFO, 0xe7);
    expect(uart.readByte(IDENTIFY) & 0xc0).toBe(0xc0);
    uart.writeByte(0x3ff, 0xa5);
    expect(uart.readByte(0x3ff)).toBe(0xa5);
  });
});
