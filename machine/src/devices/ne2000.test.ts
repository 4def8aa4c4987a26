/** The network card by its data sheet, where the kernels of network.test.ts do not reach. */
import { crc32 } from "node:zlib";
import { describe, expect, it } from "vitest";
import { FakeClock, ProbeLine } from "../test/fake-clock.ts";
import { Ne2000 } from "./ne2000.ts";

const OWN = [0x52, 0x54, 0, 0, 0, 1];
const BROADCAST = [255, 255, 255, 255, 255, 255];
const GROUP = [0x01, 0x00, 0x5e, 0x00, 0x00, 0x07];

/** Bit of the multicast filter, from another CRC: the data sheet's is zlib's, neither reflected nor inverted. */
function filterBit(address: readonly number[]): number {
  const low = ~crc32(Uint8Array.from(address)) & 0x3f;
  return Number.parseInt(low.toString(2).padStart(6, "0").split("").reverse().join(""), 2);
}

function card(ring: readonly [start: number, stop: number] = [0x46, 0x50]) {
  const clock = new FakeClock();
  const line = new ProbeLine();
  const sent: Uint8Array[] = [];
  const nic = new Ne2000(clock, line, { frame: (bytes) => sent.push(bytes) }, { stationAddress: OWN });
  const write = (register: number, value: number) => nic.writeRegion(register, 1, value);
  const read = (register: number) => nic.readRegion(register, 1);
  const open = (receive: number) => {
    for (const [register, value] of [
      ...[[0, 0x21] as const, [0x0e, 0x49] as const, [1, ring[0]] as const, [2, ring[1]] as const],
      ...[[3, ring[0]] as const, [7, 0xff] as const, [0x0f, 0x7f] as const, [0, 0x61] as const],
      ...OWN.map((byte, i) => [1 + i, byte] as const),
      ...[[7, ring[0] + 1] as const, [0, 0x22] as const, [0x0c, receive] as const],
    ])
      write(register, value);
  };
  const receive = (to: readonly number[], bytes = 60) => {
    const frame = new Uint8Array(bytes);
    frame.set(to);
    nic.input(frame, clock.now);
    clock.advance(0);
  };
  const current = () => {
    write(0, 0x62);
    const page = read(7);
    write(0, 0x22);
    return page;
  };
  const remote = (address: number, bytes: number, command: number) => {
    for (const [register, value] of [
      [0x0a, bytes & 0xff],
      [0x0b, bytes >> 8],
      [0x08, address & 0xff],
      [0x09, address >> 8],
      [0x00, command],
    ] as const)
      write(register, value);
  };
  return { clock, line, sent, nic, write, read, open, receive, current, remote };
}

describe("NE2000", () => {
  it("takes frames to itself; others by its filters", () => {
    const { open, receive, current, write } = card([0x46, 0x80]);
    open(0);
    receive(BROADCAST);
    receive(GROUP);
    receive([0x52, 0x54, 0, 0, 0, 9]);
    expect(current()).toBe(0x47);
    receive(OWN);
    expect(current()).toBe(0x48);
    write(0x0c, 0x04);
    receive(BROADCAST);
    expect(current()).toBe(0x49);
    write(0x0c, 0x08);
    receive(GROUP);
    expect(current()).toBe(0x49);
    write(0, 0x62);
    for (let i = 0; i < 8; i++) write(8 + i, 0xff);
    write(8 + (filterBit(GROUP) >> 3), ~(1 << (filterBit(GROUP) & 7)) & 0xff);
    write(0, 0x22);
    receive(GROUP);
    expect(current()).toBe(0x49);
    write(0, 0x62);
    for (let i = 0; i < 8; i++) write(8 + i, 0);
    write(8 + (filterBit(GROUP) >> 3), 1 << (filterBit(GROUP) & 7));
    write(0, 0x22);
    receive(GROUP);
    expect(current()).toBe(0x4a);
    write(0x0c, 0x10);
    receive([0x52, 0x54, 0, 0, 0, 9]);
    expect(current()).toBe(0x4b);
  });

  it("keeps what is in a full ring, and says that a frame was lost", () => {
    const { open, receive, current, read, write, line } = card();
    open(0x04);
    for (let i = 0; i < 8; i++) receive(BROADCAST);
    expect(current()).toBe(0x4f);
    expect(read(7)).toBe(0x01);
    receive(BROADCAST);
    expect(current()).toBe(0x4f);
    expect(read(7)).toBe(0x11);
    expect(read(0x0f)).toBe(1);
    expect(read(0x0f)).toBe(0);
    write(7, 0x11);
    expect(line.high).toBe(false);
    write(3, 0x48);
    receive(BROADCAST);
    expect(current()).toBe(0x46);
  });

  it("counts missed frames in monitor mode, and asks for an interrupt at 192", () => {
    const { open, receive, read } = card();
    open(0x24);
    for (let i = 0; i < 191; i++) receive(BROADCAST);
    expect(read(7)).toBe(0);
    receive(BROADCAST);
    expect(read(7)).toBe(0x20);
    for (let i = 0; i < 100; i++) receive(BROADCAST);
    expect(read(0x0f)).toBe(255);
  });

  it("sends in the time of the bits, and not in loopback", () => {
    const { clock, nic, open, write, read, remote, sent, line } = card();
    open(0);
    remote(0x4000, 64, 0x12);
    for (let i = 0; i < 32; i++) nic.writeRegion(0x10, 2, 0x100 * (2 * i + 1) + 2 * i);
    expect(read(7)).toBe(0x40);
    write(7, 0x40);
    write(4, 0x40);
    write(5, 64);
    write(6, 0);
    write(0, 0x26);
    // 8 + 64 + 4 bytes at 10 Mbit/s: 60.8 µs.
    clock.advance(4559);
    expect([sent.length, read(0) & 4, line.high]).toEqual([0, 4, false]);
    clock.advance(1);
    expect([...sent[0]!]).toEqual(Array.from({ length: 64 }, (_, i) => i));
    expect([read(4), read(0) & 4, line.high]).toEqual([1, 0, true]);
    write(7, 0x02);
    write(0x0d, 0x02);
    write(0, 0x26);
    clock.advance(10_000);
    expect([sent.length, read(7)]).toEqual([1, 0x02]);
  });

  it("reads its address in byte mode, and ones outside its memory", () => {
    const { nic, open, write, remote } = card();
    open(0);
    write(0x0e, 0x48);
    remote(0, 32, 0x0a);
    const rom = Array.from({ length: 32 }, () => nic.readRegion(0x10, 1));
    expect(rom).toEqual([
      ...OWN.flatMap((byte) => [byte, byte]),
      ...new Array(16).fill(0),
      0x57,
      0x57,
      0x57,
      0x57,
    ]);
    expect(nic.readRegion(0x10, 1)).toBe(0xff);
    remote(0xfffe, 4, 0x0a);
    expect(nic.readRegion(0x10, 4)).toBe(0xffff_ffff);
  });

  it("hears nothing when stopped, and refuses what is no frame", () => {
    const { nic, open, receive, write, read, clock } = card();
    open(0x04);
    write(0, 0x21);
    receive(BROADCAST);
    expect(read(7)).toBe(0x80);
    expect(() => nic.input(new Uint8Array(1515), clock.now)).toThrow(/1515 bytes/);
    expect(() => nic.input(new Uint8Array(13), clock.now)).toThrow(RangeError);
  });
});
