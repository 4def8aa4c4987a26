/**
 * The input/output space of the board: 65,536 byte ports, each answered by at most one device. Ports that belong to nobody fixed
 * go to `others`: devices that the guest can move.
 *
 * Invariants:
 * - A port nobody answers reads as all ones and ignores writes, like an ISA bus with nothing driving it.
 * - An access wider than a byte to a byte-wide device is split into byte accesses at ascending ports, lowest byte
 *   first, as the ISA bridge does; each byte may reach another device.
 * - Values that cross these interfaces are unsigned.
 */

export type AccessSize = 1 | 2 | 4;

/** One interrupt request wire from a device to the interrupt controller. */
export interface InterruptLine {
  set(high: boolean): void;
}

/** A device that sees the width of each access. */
export interface PortDevice {
  readPort(port: number, size: AccessSize): number;
  writePort(port: number, size: AccessSize, value: number): void;
}

/** A device on the 8-bit side of the bus. */
export interface BytePortDevice {
  readByte(port: number): number;
  writeByte(port: number, value: number): void;
}

/** What a device holds, as plain values: hashed to compare runs. */
export type StateValue = number | boolean | string | null | readonly StateValue[] | DeviceState;
export interface DeviceState {
  readonly [name: string]: StateValue;
}

export interface StatefulDevice {
  state(): DeviceState;
  /**
   * Takes over what `state` of an equal device gave, pending events included; drives no line. The clock stands at the snapshot's cycle
   * and has no events. Throws `StateError`.
   */
  restoreState(state: unknown): void;
}

/** All ones in `size` bytes: what an empty bus reads as. */
export function allOnes(size: AccessSize): number {
  return size === 4 ? 0xffffffff : size === 2 ? 0xffff : 0xff;
}

/** The value of `size` bytes, read one by one, lowest first. */
export function joinBytes(size: AccessSize, byteAt: (index: number) => number): number {
  let value = 0;
  for (let i = 0; i < size; i++) value += byteAt(i) * 2 ** (8 * i);
  return value;
}

const EMPTY_BUS: PortDevice = { readPort: (_port, size) => allOnes(size), writePort: () => {} };

class SplitAccess implements PortDevice {
  readonly #ports: PortMap;
  readonly #device: BytePortDevice;

  constructor(ports: PortMap, device: BytePortDevice) {
    this.#ports = ports;
    this.#device = device;
  }

  readPort(port: number, size: AccessSize): number {
    return joinBytes(size, (i) =>
      i === 0 ? this.#device.readByte(port) : this.#ports.read((port + i) & 0xffff, 1),
    );
  }

  writePort(port: number, size: AccessSize, value: number): void {
    this.#device.writeByte(port, value & 0xff);
    for (let i = 1; i < size; i++) this.#ports.write((port + i) & 0xffff, 1, (value >>> (8 * i)) & 0xff);
  }
}

export class PortMap {
  readonly #devices = new Array<PortDevice | undefined>(0x10000).fill(undefined);
  readonly #others: PortDevice;

  constructor(others: PortDevice = EMPTY_BUS) {
    this.#others = others;
  }

  connect(first: number, count: number, device: PortDevice): void {
    for (let port = first; port < first + count; port++) {
      if (this.#devices[port])
        throw new Error(`port 0x${port.toString(16)} already belongs to another device`);
      this.#devices[port] = device;
    }
  }

  connectBytes(first: number, count: number, device: BytePortDevice): void {
    this.connect(first, count, new SplitAccess(this, device));
  }

  read(port: number, size: AccessSize): number {
    return (this.#devices[port] ?? this.#others).readPort(port, size);
  }

  write(port: number, size: AccessSize, value: number): void {
    (this.#devices[port] ?? this.#others).writePort(port, size, value);
  }
}
