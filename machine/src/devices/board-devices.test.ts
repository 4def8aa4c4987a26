/** The small devices and the port space, each by the behaviour its first lines promise. */
import { describe, expect, it } from "vitest";
import { FakeClock, ProbeLine } from "../test/fake-clock.ts";
import { DebugConsole } from "./debug-console.ts";
import { DebugExit } from "./debug-exit.ts";
import { IntervalTimer } from "./i8254.ts";
import { KeyboardController } from "./keyboard-controller.ts";
import { MONITOR_IDENTIFICATION, MonitorPort, type PhaseMark } from "./monitor.ts";
import { hostBridge, isaBridge, PciConfiguration } from "./pci.ts";
import { PortMap } from "./ports.ts";
import { RealTimeClock } from "./real-time-clock.ts";
import { PowerManagement, SystemPorts } from "./system-ports.ts";
import { VgaText } from "./vga-text.ts";

describe("port space", () => {
  it("reads as all ones where nothing is", () => {
    const ports = new PortMap();
    expect([ports.read(0x1234, 1), ports.read(0x1234, 2), ports.read(0x1234, 4)]).toEqual([
      0xff, 0xffff, 0xffffffff,
    ]);
    ports.write(0x1234, 4, 1);
  });

  it("splits wide accesses to byte devices, lowest byte first", () => {
    const ports = new PortMap();
    const written: Array<readonly [number, number]> = [];
    ports.connectBytes(0x10, 2, {
      readByte: (port) => port,
      writeByte: (port, value) => written.push([port, value]),
    });
    expect(ports.read(0x10, 4)).toBe(0xffff1110);
    ports.write(0x10, 4, 0xddccbbaa);
    expect(written).toEqual([
      [0x10, 0xaa],
      [0x11, 0xbb],
    ]);
  });

  it("refuses two devices at one port", () => {
    const ports = new PortMap();
    const device = { readPort: () => 0, writePort: () => {} };
    ports.connect(0x100, 4, device);
    expect(() => ports.connect(0x103, 1, device)).toThrow(/0x103/);
  });
});

describe("PCI configuration", () => {
  const address = (device: number, fn: number, register: number) =>
    (0x80000000 + (device << 11) + (fn << 8) + register) >>> 0;

  it("shows its functions and empty slots", () => {
    const pci = new PciConfiguration(() => {});
    pci.attach(0, 0, hostBridge());
    pci.attach(1, 0, isaBridge());
    const read = (device: number, register: number) => {
      pci.writePort(0xcf8, 4, address(device, 0, register));
      return pci.readPort(0xcfc, 4);
    };
    expect(read(0, 0)).toBe(0x12378086);
    expect(read(0, 8)).toBe(0x06000002);
    expect(read(1, 0)).toBe(0x70008086);
    expect(read(2, 0)).toBe(0xffffffff);
    pci.writePort(0xcf8, 4, (address(0, 0, 0) + 0x10000) >>> 0); // bus 1
    expect(pci.readPort(0xcfc, 4)).toBe(0xffffffff);
    pci.writePort(0xcf8, 4, 0); // not enabled
    expect(pci.readPort(0xcfc, 2)).toBe(0xffff);
  });

  it("writes only what is writable, by byte, and ignores narrow writes of the address", () => {
    const pci = new PciConfiguration(() => {});
    pci.attach(0, 0, hostBridge());
    pci.writePort(0xcf8, 4, address(0, 0, 0x3c));
    pci.writePort(0xcfc, 1, 0x55);
    expect(pci.readPort(0xcfc, 4)).toBe(0x55);
    pci.writePort(0xcf8, 1, 0x00);
    expect(pci.readPort(0xcf8, 4)).toBe(address(0, 0, 0x3c));
    pci.writePort(0xcf8, 4, address(0, 0, 0));
    pci.writePort(0xcfc, 4, 0);
    expect(pci.readPort(0xcfe, 2)).toBe(0x1237);
  });

  it("resets on the rising bit of port 0xcf9", () => {
    let resets = 0;
    const pci = new PciConfiguration(() => resets++);
    pci.writePort(0xcf9, 1, 0x02);
    expect(resets).toBe(0);
    pci.writePort(0xcf9, 1, 0x06);
    pci.writePort(0xcf9, 1, 0x06);
    expect(resets).toBe(1);
  });
});

describe("ends of the run", () => {
  it("debug exit: (value << 1) | 1", () => {
    const statuses: number[] = [];
    const exit = new DebugExit((status) => statuses.push(status));
    exit.writePort(0xf4, 4, 0);
    exit.writePort(0xf4, 1, 3);
    exit.writePort(0xf4, 4, 0x100);
    expect(statuses).toEqual([1, 7, 1]);
  });

  it("power off: sleep enable with type 0", () => {
    let off = 0;
    const power = new PowerManagement(() => off++);
    power.writePort(0x604, 2, 0x2400);
    expect(off).toBe(0);
    power.writePort(0x604, 2, 0x2000);
    expect(off).toBe(1);
    expect(power.readPort(0x604, 2)).toBe(0);
  });

  it("keyboard controller: reset line", () => {
    let resets = 0;
    const controller = new KeyboardController(new ProbeLine(), () => resets++);
    controller.writeByte(0x64, 0xff);
    expect(resets).toBe(0);
    controller.writeByte(0x64, 0xfe);
    controller.writeByte(0x64, 0xd1);
    controller.writeByte(0x60, 0x02);
    expect(resets).toBe(2);
  });
});

describe("monitor port", () => {
  it("identifies itself, counts cycles, marks phases and ends", () => {
    const clock = new FakeClock();
    const marks: PhaseMark[] = [];
    const ends: number[] = [];
    const told: string[] = [];
    const monitor = new MonitorPort(clock, {
      mark: (mark) => marks.push(mark),
      counter: (name, value) => told.push(`${name}=${value}`),
      resume: () => told.push("resume"),
      end: (status) => ends.push(status),
    });
    expect(monitor.readPort(0x8e00, 4)).toBe(MONITOR_IDENTIFICATION);
    expect(monitor.readPort(0x8e00, 1)).toBe(0xff);
    expect(monitor.readPort(0x8e10, 4)).toBe(75_000_000);
    clock.now = 5 * 2 ** 32 + 7;
    expect(monitor.readPort(0x8e08, 4)).toBe(7);
    expect(monitor.readPort(0x8e0c, 4)).toBe(5);
    for (const byte of new TextEncoder().encode("boot")) monitor.writePort(0x8e0c, 4, byte);
    monitor.writePort(0x8e04, 4, 1);
    monitor.writePort(0x8e04, 4, 2);
    expect(marks).toEqual([
      { cycle: clock.now, phase: 1, name: "boot" },
      { cycle: clock.now, phase: 2, name: "" },
    ]);
    for (const byte of new TextEncoder().encode("threads")) monitor.writePort(0x8e0c, 4, byte);
    monitor.writePort(0x8e14, 4, 0xffff_ffff);
    monitor.writePort(0x8e18, 4, 0);
    expect(told).toEqual(["threads=4294967295", "resume"]);
    monitor.writePort(0x8e08, 4, 0);
    expect(ends).toEqual([0]);
  });
});

describe("small devices", () => {
  it("debug console reads back its port and prints", () => {
    const bytes: number[] = [];
    const console = new DebugConsole((byte) => bytes.push(byte));
    expect(console.readByte()).toBe(0xe9);
    console.writeByte(0xe9, 65);
    expect(bytes).toEqual([65]);
  });

  it("keyboard: self test, identification, scan codes with interrupts", () => {
    const line = new ProbeLine();
    const controller = new KeyboardController(line, () => {});
    controller.writeByte(0x64, 0xaa);
    expect(controller.readByte(0x64) & 1).toBe(1);
    expect(controller.readByte(0x60)).toBe(0x55);
    controller.writeByte(0x60, 0xf2);
    expect([controller.readByte(0x60), controller.readByte(0x60), controller.readByte(0x60)]).toEqual([
      0xfa, 0xab, 0x41,
    ]);
    const before = line.rises;
    controller.input([0x1e, 0x9e]);
    controller.readByte(0x60);
    expect(line.rises).toBe(before + 2);
    expect(controller.readByte(0x60)).toBe(0x9e);
    expect(line.high).toBe(false);
  });

  it("real-time clock: a fixed start plus guest time", () => {
    const clock = new FakeClock();
    const line = new ProbeLine();
    const rtc = new RealTimeClock(clock, line, 64 * 2 ** 20);
    const read = (register: number) => {
      rtc.writeByte(0x70, register);
      return rtc.readByte(0x71);
    };
    const write = (register: number, value: number) => {
      rtc.writeByte(0x70, register);
      rtc.writeByte(0x71, value);
    };
    clock.now = 75_000_000 * (3600 * 13 + 61);
    expect([0x32, 9, 8, 7, 4, 2, 0].map(read)).toEqual([0x19, 0x97, 0x03, 0x01, 0x13, 0x01, 0x01]);
    write(0x0b, 0x06); // binary
    expect(read(0x04)).toBe(13);
    write(0x07, 31);
    expect([read(0x08), read(0x07), read(0x00)]).toEqual([3, 31, 1]);
    expect(read(0x17) | (read(0x18) << 8)).toBe(63 * 1024);
    expect(read(0x34) | (read(0x35) << 8)).toBe(48 * 16);
    write(0x0b, 0x46); // periodic interrupt, 1024 Hz by status A
    clock.advance(75_000_000 / 1024 + 1);
    expect(line.high).toBe(true);
    expect(read(0x0c)).toBe(0xc0);
    expect(line.high).toBe(false);
  });

  it("real-time clock: an alarm at a time of day, or every minute", () => {
    const second = 75_000_000;
    const clock = new FakeClock();
    const line = new ProbeLine();
    const rtc = new RealTimeClock(clock, line, 2 ** 24);
    const access = (register: number, value?: number) => {
      rtc.writeByte(0x70, register);
      if (value !== undefined) rtc.writeByte(0x71, value);
      return rtc.readByte(0x71);
    };
    for (const [register, value] of [[0x01, 0x05] as const, [0x03, 0x01] as const, [0x05, 0x00] as const])
      access(register, value);
    access(0x0b, 0x22);
    clock.advance(64 * second);
    expect(line.high).toBe(false);
    clock.advance(second);
    expect([line.high, access(0x0c), line.high]).toEqual([true, 0xa0, false]);
    access(0x03, 0xff);
    access(0x05, 0xc0);
    clock.advance(59 * second);
    expect(line.high).toBe(false);
    clock.advance(second);
    expect(access(0x0c)).toBe(0xa0);
    access(0x0b, 0x32);
    clock.advance(second);
    expect(access(0x0c)).toBe(0x90);
  });

  it("port 0x61 opens the gate of counter 2 and shows its output", () => {
    const clock = new FakeClock();
    const timer = new IntervalTimer(clock, new ProbeLine());
    const system = new SystemPorts(timer, () => {});
    system.writeByte(0x61, 0x01);
    timer.writeByte(0x43, 0xb0);
    timer.writeByte(0x42, 100);
    timer.writeByte(0x42, 0);
    expect(system.readByte(0x61) & 0x21).toBe(0x01);
    clock.advance(75_000_000 / 1000);
    expect(system.readByte(0x61) & 0x21).toBe(0x21);
    const toggles = new Set<number>();
    for (let i = 0; i < 8; i++) {
      toggles.add(system.readByte(0x61) & 0x10);
      clock.advance(1200);
    }
    expect(toggles.size).toBe(2);
  });

  it("VGA text is memory that the host reads", () => {
    const ram = new Uint8Array(0x100000);
    ram.set([72, 7, 105, 7], 0xb8000);
    const vga = new VgaText(new FakeClock(), ram);
    expect(vga.text()[0]).toBe("Hi");
    vga.writeByte(0x3d4, 0x0f);
    vga.writeByte(0x3d5, 81);
    expect(vga.cursor).toBe(81);
  });
});
