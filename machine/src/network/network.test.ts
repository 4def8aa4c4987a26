/** The network card, the switch, and machines on it; the two kernels say the same on our machines and on two QEMUs. */
import { createSocket } from "node:dgram";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { PentiumPc } from "../boards/pentium-pc.ts";
import { askingStation, echoStation } from "../test/network-kernels.ts";
import { isAvailable, runKernel, skipReason } from "../test/run-kernel.ts";
import { EthernetSwitch } from "./ethernet-switch.ts";
import { MachineNetwork } from "./machine-network.ts";

/** Together more than the ring holds, so that frames wrap. */
const SIZES = [60, 61, 64, 300, 511, 1000, 1514, 1514, 1514, 60];
const SECOND = 75_000_000;

const opening = "card=802910ec\nclass=02000000\ninterrupt=0000010b\nreset=00000080\n";
const ASKED = `${opening}${SIZES.map((size) => `${size} bytes came back\n`).join("")}without interrupts=00000000\n`;
const ECHOED = `${opening}all sent back\n`;

const addresses = (last: number): number[] => [0x52, 0x54, 0, 0, 0, last];

interface Station {
  readonly pc: PentiumPc;
  readonly text: () => string;
}

function station(
  network: MachineNetwork,
  kernel: Uint8Array,
  last: number,
  jit: "on" | "off" = "off",
): Station {
  const serial: number[] = [];
  const pc = network.add(
    (output) =>
      new PentiumPc({
        jit,
        serialOutput: (byte) => serial.push(byte),
        network: { output, stationAddress: addresses(last) },
      }),
  );
  pc.loadMultiboot(kernel);
  return { pc, text: () => Buffer.from(serial).toString("latin1") };
}

function couple(jit: "on" | "off" = "off"): { network: MachineNetwork; asking: Station; echo: Station } {
  const network = new MachineNetwork();
  const asking = station(network, askingStation(SIZES), 1, jit);
  return { network, asking, echo: station(network, echoStation(), 2, jit) };
}

async function freePort(): Promise<number> {
  const socket = createSocket("udp4");
  await new Promise<void>((resolve) => socket.bind(0, "127.0.0.1", resolve));
  const { port } = socket.address() as AddressInfo;
  await new Promise<void>((resolve) => socket.close(resolve));
  return port;
}

describe("machines on a network", () => {
  it("send each other frames of all sizes", () => {
    const { network, asking, echo } = couple();
    network.run(5 * SECOND);
    expect(asking.text()).toBe(ASKED);
    expect(echo.text()).toBe(ECHOED);
    expect(asking.pc.end).toMatchObject({ status: 1 });
    expect(echo.pc.end).toMatchObject({ status: 1 });
  });

  it("run the same way however the run is cut, compiled or not", () => {
    const hashes = (jit: "on" | "off", steps: readonly number[]) => {
      const { network, asking, echo } = couple(jit);
      let at = 0;
      for (const step of steps) {
        at += step;
        network.run(at);
      }
      return [asking.pc.stateHash(), echo.pc.stateHash(), asking.text()];
    };
    const whole = hashes("off", [1_500_000]);
    expect(whole[2]).toContain("61 bytes came back");
    expect(hashes("on", [1_500_000])).toEqual(whole);
    expect(
      hashes(
        "off",
        Array.from({ length: 200 }, () => 7_500),
      ),
    ).toEqual(whole);
  });

  it("go on from a snapshot with frames under way", () => {
    const { network, asking, echo } = couple();
    network.run(600_000);
    const saved = [asking.pc.save(), echo.pc.save()];
    const again = couple();
    again.asking.pc.restore(saved[0]!);
    again.echo.pc.restore(saved[1]!);
    const rest = 5 * SECOND;
    network.run(rest);
    again.network.run(rest);
    expect(again.asking.pc.stateHash()).toBe(asking.pc.stateHash());
    expect(() => new PentiumPc().restore(saved[0]!)).toThrow(/network card/);
  });

  it.skipIf(!isAvailable("qemu"))(`say the same on QEMU${skipReason("qemu")}`, async () => {
    const [a, b] = [await freePort(), await freePort()];
    const [asked, echoed] = await Promise.all([
      runKernel("qemu", askingStation(SIZES), {
        network: { localPort: a, remotePort: b, stationAddress: "52:54:00:00:00:01" },
      }),
      runKernel("qemu", echoStation(), {
        network: { localPort: b, remotePort: a, stationAddress: "52:54:00:00:00:02" },
      }),
    ]);
    expect(asked.serial).toBe(ASKED);
    expect(echoed.serial).toBe(ECHOED);
  });
});

describe("Ethernet switch", () => {
  const frame = (to: number, from: number) => {
    const bytes = new Uint8Array(60);
    bytes.set([2, 0, 0, 0, 0, to], 0);
    bytes.set([2, 0, 0, 0, 0, from], 6);
    return bytes;
  };
  const open = () => {
    const box = new EthernetSwitch();
    const seen: number[][] = [[], [], []];
    const ports = seen.map((list) => box.connect((bytes) => list.push(bytes[5]!)));
    return { box, seen, ports };
  };

  it("floods what it does not know, and learns", () => {
    const { seen, ports } = open();
    ports[0]!.send(frame(2, 1));
    expect(seen).toEqual([[], [2], [2]]);
    ports[1]!.send(frame(1, 2));
    expect(seen).toEqual([[1], [2], [2]]);
    ports[0]!.send(frame(1, 1));
    expect(seen).toEqual([[1], [2], [2]]);
  });

  it("follows a station that moves, and forgets a port that leaves", () => {
    const { seen, ports } = open();
    ports[0]!.send(frame(9, 1));
    ports[2]!.send(frame(9, 1));
    ports[1]!.send(frame(1, 2));
    expect(seen[0]).toEqual([9]);
    expect(seen[2]).toEqual([9, 1]);
    ports[2]!.disconnect();
    ports[1]!.send(frame(1, 2));
    expect(seen[0]).toEqual([9, 1]);
    ports[2]!.send(frame(2, 1));
    expect(seen[1]).toEqual([9, 9]);
  });

  it("drops what is no frame, and keeps a bounded list of addresses", () => {
    const { seen, ports } = open();
    ports[0]!.send(new Uint8Array(13));
    expect(seen).toEqual([[], [], []]);
    const many = frame(7, 0);
    for (let i = 0; i < 5000; i++) {
      many[9] = i & 0xff;
      many[10] = i >> 8;
      ports[1]!.send(many);
    }
    ports[0]!.send(frame(0, 1));
    expect(seen[1]!.at(-1)).toBe(0);
    expect(seen[2]!.at(-1)).toBe(0);
  });
});
