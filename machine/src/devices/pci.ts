/**
 * PCI configuration mechanism #1 and the functions of bus 0. Source: PCI Local Bus Specification 2.1, §3.7.4.1 and
 * chapter 6; identities of QEMU's `pc` board, so that kernels find the chip set they know.
 *
 *   0xcf8 (4 bytes only)  31 enable | 23-16 bus | 15-11 device | 10-8 function | 7-2 register | 1-0 zero
 *   0xcf9 (1 byte)        reset control of the PIIX3: bit 2 rising = reset
 *   0xcfc-0xcff           1, 2 or 4 bytes of the selected register
 *
 * A function nobody has, and every other bus, reads as all ones. A function's regions of ports and memory lie where its base address
 * registers say, while its command register opens them; the board sends here what nothing else answers (`readRegion`).
 *
 * Interrupt pin A of device d drives wire (d - 1) mod 4; the ISA bridge's register 60H + wire says which line of the interrupt
 * controllers that is; a line is high while any pin that comes to it is pulled. A changed route shows at the pin's next change.
 */
import type { AccessSize, DeviceState, InterruptLine, PortDevice, StatefulDevice } from "./ports.ts";
import { allOnes, joinBytes } from "./ports.ts";
import { StateError, StateReader } from "./state-reader.ts";

export interface PciIdentity {
  readonly vendor: number;
  readonly device: number;
  readonly revision?: number;
  /** 24 bits: class, subclass, programming interface. */
  readonly classCode: number;
  /** Bit 7: the device has several functions. */
  readonly headerType?: number;
}

/** What answers in a region; offsets count from its start. */
export interface RegionDevice {
  readRegion(offset: number, size: AccessSize): number;
  writeRegion(offset: number, size: AccessSize, value: number): void;
}

export interface PciRegion {
  readonly kind: "ports" | "memory";
  /** Bytes, a power of two. */
  readonly size: number;
  /** Where the firmware has put it. */
  readonly base: number;
  readonly prefetchable?: boolean;
  readonly device: RegionDevice;
}

/** A region where it lies now. */
interface PlacedRegion {
  readonly base: number;
  readonly size: number;
  readonly device: RegionDevice;
}

const COMMAND = 0x04;
/** I/O, memory and SERR open: what firmware leaves a device with. */
const OPENED = 0x0103;

/** Configuration space of one function: 256 bytes, of which the guest may change only what `writable` marks. */
export class PciFunction {
  readonly #bytes = new Uint8Array(256);
  readonly #writable = new Uint8Array(256);
  readonly #regions: Array<{ readonly register: number; readonly region: PciRegion }> = [];

  constructor(identity: PciIdentity) {
    this.setInitial(0x00, 2, identity.vendor);
    this.setInitial(0x02, 2, identity.device);
    this.setInitial(0x08, 4, identity.classCode * 256 + (identity.revision ?? 0));
    this.setInitial(0x0e, 1, identity.headerType ?? 0);
    this.setWritable(COMMAND, 2, 0x0107); // I/O, memory, bus master, SERR
    this.setWritable(0x0c, 1, 0xff);
    this.setWritable(0x3c, 1, 0xff); // interrupt line: firmware's note to the driver
  }

  setInitial(register: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) this.#bytes[register + i] = Math.floor(value / 2 ** (8 * i)) & 0xff;
  }

  setWritable(register: number, size: AccessSize, mask: number): void {
    for (let i = 0; i < size; i++) this.#writable[register + i] = Math.floor(mask / 2 ** (8 * i)) & 0xff;
  }

  /** Gives the function a region at base address register `index` (0 to 5), open and in its place. */
  setRegion(index: number, region: PciRegion): void {
    const register = 0x10 + 4 * index;
    const flags = region.kind === "ports" ? 1 : region.prefetchable ? 8 : 0;
    this.setInitial(register, 4, region.base + flags);
    this.setWritable(register, 4, 2 ** 32 - region.size);
    this.setInitial(COMMAND, 2, OPENED);
    this.#regions.push({ register, region });
  }

  /** The region that has an address now. */
  regionAt(kind: PciRegion["kind"], address: number): PlacedRegion | undefined {
    if ((this.#bytes[COMMAND]! & (kind === "ports" ? 1 : 2)) === 0) return undefined;
    for (const { register, region } of this.#regions) {
      const base = Math.floor(this.read(register, 4) / 16) * 16;
      const start = kind === "ports" ? base & 0xffff : base;
      if (region.kind === kind && address >= start && address < start + region.size)
        return { base: start, size: region.size, device: region.device };
    }
    return undefined;
  }

  read(register: number, size: AccessSize): number {
    return joinBytes(size, (i) => this.#bytes[(register + i) & 0xff]!);
  }

  write(register: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) {
      const at = (register + i) & 0xff;
      const mask = this.#writable[at]!;
      this.#bytes[at] = (this.#bytes[at]! & ~mask) | ((value >>> (8 * i)) & mask);
    }
  }

  state(): DeviceState {
    return { bytes: [...this.#bytes] };
  }

  /** Checks all, then returns what takes it over. What the guest cannot change must be as it is here. */
  readState(state: StateReader): () => void {
    const bytes = state.bytes("bytes", 256, "exactly");
    if (bytes.some((byte, i) => ((byte ^ this.#bytes[i]!) & ~this.#writable[i]!) !== 0))
      throw new StateError("pci", "another function than this machine has there");
    return () => this.#bytes.set(bytes);
  }
}

export class PciConfiguration implements PortDevice, StatefulDevice {
  readonly #functions = new Map<number, PciFunction>();
  readonly #reset: () => void;
  /** The region that answered last, until a register is written. */
  readonly #last: Record<PciRegion["kind"], PlacedRegion | undefined> = {
    ports: undefined,
    memory: undefined,
  };
  #address = 0;
  #resetControl = 0;

  /** `reset` is called when the guest resets the system through port 0xcf9. */
  constructor(reset: () => void) {
    this.#reset = reset;
  }

  attach(device: number, fn: number, configuration: PciFunction): void {
    this.#functions.set((device << 3) | fn, configuration);
  }

  readRegion(kind: PciRegion["kind"], address: number, size: AccessSize): number {
    const region = this.#region(kind, address);
    return region ? region.device.readRegion(address - region.base, size) : allOnes(size);
  }

  writeRegion(kind: PciRegion["kind"], address: number, size: AccessSize, value: number): void {
    const region = this.#region(kind, address);
    region?.device.writeRegion(address - region.base, size, value);
  }

  /** The region that has the address now, of whatever function. */
  #region(kind: PciRegion["kind"], address: number): PlacedRegion | undefined {
    const last = this.#last[kind];
    if (last && address >= last.base && address < last.base + last.size) return last;
    for (const fn of this.#functions.values()) {
      const found = fn.regionAt(kind, address);
      if (found) {
        this.#last[kind] = found;
        return found;
      }
    }
    return undefined;
  }

  #forgetRegions(): void {
    this.#last.ports = undefined;
    this.#last.memory = undefined;
  }

  #selected(): PciFunction | undefined {
    const address = this.#address;
    if (address < 0x80000000 || (address & 0x00ff0000) !== 0) return undefined;
    return this.#functions.get((address >> 8) & 0xff);
  }

  readPort(port: number, size: AccessSize): number {
    if (port >= 0xcfc) {
      const register = (this.#address & 0xfc) + (port & 3);
      return this.#selected()?.read(register, size) ?? allOnes(size);
    }
    if (port === 0xcf8 && size === 4) return this.#address;
    if (port === 0xcf9 && size === 1) return this.#resetControl;
    return allOnes(size);
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (port >= 0xcfc) {
      this.#selected()?.write((this.#address & 0xfc) + (port & 3), size, value);
      this.#forgetRegions();
    } else if (port === 0xcf8 && size === 4) this.#address = (value & 0x80fffffc) >>> 0;
    else if (port === 0xcf9 && size === 1) {
      const rises = (value & 4) !== 0 && (this.#resetControl & 4) === 0;
      this.#resetControl = value & 0x0e;
      if (rises) this.#reset();
    }
  }

  state(): DeviceState {
    return {
      address: this.#address,
      resetControl: this.#resetControl,
      functions: [...this.#functions].map(([at, fn]) => ({ at, ...fn.state() })),
    };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "pci");
    const address = reader.number("address", 0xffff_ffff);
    const resetControl = reader.number("resetControl", 0x0e);
    const functions = reader.objects("functions", this.#functions.size);
    const restore = [...this.#functions].map(([at, fn], i) => {
      if (functions[i]!.number("at") !== at) throw new StateError("pci", `no function at ${at}`);
      return fn.readState(functions[i]!);
    });
    this.#address = address;
    this.#resetControl = resetControl;
    for (const each of restore) each();
    this.#forgetRegions();
  }
}

/** The i440FX host bridge at 00.0. Its memory attributes are kept but have no effect: the whole hole is RAM here. */
export function hostBridge(): PciFunction {
  const bridge = new PciFunction({ vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x060000 });
  for (let register = 0x59; register < 0x60; register++) bridge.setWritable(register, 1, 0x33);
  return bridge;
}

const ROUTES = 0x60;
const ROUTE_CLOSED = 0x80;
const WIRES = 4;
/** As QEMU's firmware routes the wires. */
const FIRMWARE_ROUTES = [10, 10, 11, 11];

/** The PIIX3 ISA bridge at 01.0, with its interrupt routing registers. */
export function isaBridge(): PciFunction {
  const bridge = new PciFunction({ vendor: 0x8086, device: 0x7000, classCode: 0x060100, headerType: 0x80 });
  bridge.setInitial(COMMAND, 2, 0x0007);
  for (const [wire, line] of FIRMWARE_ROUTES.entries()) {
    bridge.setInitial(ROUTES + wire, 1, line);
    bridge.setWritable(ROUTES + wire, 1, 0x8f);
  }
  return bridge;
}

/** The line that the firmware routes pin A of a device to, for its interrupt line register. */
export function firmwareLine(device: number): number {
  return FIRMWARE_ROUTES[(device - 1) & (WIRES - 1)]!;
}

/** The interrupt wires of the bus, and their way through the ISA bridge to the interrupt controllers. */
export class PciInterrupts implements StatefulDevice {
  readonly #bridge: PciFunction;
  readonly #line: (line: number) => InterruptLine;
  /** Bit d: device d pulls its pin. */
  #asserted = 0;

  constructor(bridge: PciFunction, line: (line: number) => InterruptLine) {
    this.#bridge = bridge;
    this.#line = line;
  }

  #lineOf(device: number): number | undefined {
    const route = this.#bridge.read(ROUTES + ((device - 1) & (WIRES - 1)), 1);
    return route & ROUTE_CLOSED ? undefined : route;
  }

  /** Pin A of a device, 1 to 31. */
  pin(device: number): InterruptLine {
    return {
      set: (high) => {
        const bit = 1 << device;
        if (((this.#asserted & bit) !== 0) === high) return;
        this.#asserted ^= bit;
        const line = this.#lineOf(device);
        if (line !== undefined) this.#line(line).set(this.#isHigh(line));
      },
    };
  }

  #isHigh(line: number): boolean {
    for (let device = 1; device < 32; device++)
      if (this.#asserted & (1 << device) && this.#lineOf(device) === line) return true;
    return false;
  }

  state(): DeviceState {
    return { asserted: this.#asserted >>> 0 };
  }

  restoreState(state: unknown): void {
    this.#asserted = new StateReader(state, "pciInterrupts").number("asserted", 0xffff_ffff) | 0;
  }
}

/** The PIIX4 power management function at 01.3, its registers at port 0x600. */
export function powerManagement(): PciFunction {
  const fn = new PciFunction({ vendor: 0x8086, device: 0x7113, revision: 3, classCode: 0x068000 });
  fn.setInitial(0x40, 4, 0x601);
  fn.setInitial(0x80, 1, 0x01);
  fn.setInitial(0x3d, 1, 0x01);
  return fn;
}
