/**
 * PCI configuration mechanism #1 and the functions of bus 0. Source: PCI Local Bus Specification 2.1, §3.7.4.1 and
 * chapter 6; identities of QEMU's `pc` board, so that kernels find the chip set they know.
 *
 *   0xcf8 (4 bytes only)  31 enable | 23-16 bus | 15-11 device | 10-8 function | 7-2 register | 1-0 zero
 *   0xcf9 (1 byte)        reset control of the PIIX3: bit 2 rising = reset
 *   0xcfc-0xcff           1, 2 or 4 bytes of the selected register
 *
 * A function nobody has, and every other bus, reads as all ones.
 */
import type { AccessSize, DeviceState, PortDevice, StatefulDevice } from "./ports.ts";
import { allOnes } from "./ports.ts";
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

/** Configuration space of one function: 256 bytes, of which the guest may change only what `writable` marks. */
export class PciFunction {
  readonly #bytes = new Uint8Array(256);
  readonly #writable = new Uint8Array(256);

  constructor(identity: PciIdentity) {
    this.setInitial(0x00, 2, identity.vendor);
    this.setInitial(0x02, 2, identity.device);
    this.setInitial(0x08, 4, identity.classCode * 256 + (identity.revision ?? 0));
    this.setInitial(0x0e, 1, identity.headerType ?? 0);
    this.setWritable(0x04, 2, 0x0107); // I/O, memory, bus master, SERR
    this.setWritable(0x0c, 1, 0xff);
    this.setWritable(0x3c, 1, 0xff); // interrupt line: firmware's note to the driver
  }

  setInitial(register: number, size: AccessSize, value: number): void {
    for (let i = 0; i < size; i++) this.#bytes[register + i] = Math.floor(value / 2 ** (8 * i)) & 0xff;
  }

  setWritable(register: number, size: AccessSize, mask: number): void {
    for (let i = 0; i < size; i++) this.#writable[register + i] = Math.floor(mask / 2 ** (8 * i)) & 0xff;
  }

  read(register: number, size: AccessSize): number {
    let value = 0;
    for (let i = 0; i < size; i++) value += this.#bytes[(register + i) & 0xff]! * 2 ** (8 * i);
    return value;
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
  #address = 0;
  #resetControl = 0;

  /** `reset` is called when the guest resets the system through port 0xcf9. */
  constructor(reset: () => void) {
    this.#reset = reset;
  }

  attach(device: number, fn: number, configuration: PciFunction): void {
    this.#functions.set((device << 3) | fn, configuration);
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
    if (port >= 0xcfc) this.#selected()?.write((this.#address & 0xfc) + (port & 3), size, value);
    else if (port === 0xcf8 && size === 4) this.#address = (value & 0x80fffffc) >>> 0;
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
  }
}

/** The i440FX host bridge at 00.0. Its memory attributes are kept but have no effect: the whole hole is RAM here. */
export function hostBridge(): PciFunction {
  const bridge = new PciFunction({ vendor: 0x8086, device: 0x1237, revision: 2, classCode: 0x060000 });
  for (let register = 0x59; register < 0x60; register++) bridge.setWritable(register, 1, 0x33);
  return bridge;
}

/** The PIIX3 ISA bridge at 01.0, with its interrupt routing registers. */
export function isaBridge(): PciFunction {
  const bridge = new PciFunction({ vendor: 0x8086, device: 0x7000, classCode: 0x060100, headerType: 0x80 });
  bridge.setInitial(0x04, 2, 0x0007);
  for (let route = 0x60; route < 0x64; route++) {
    bridge.setInitial(route, 1, 0x80);
    bridge.setWritable(route, 1, 0x8f);
  }
  return bridge;
}

/** The PIIX4 power management function at 01.3, its registers at port 0x600. */
export function powerManagement(): PciFunction {
  const fn = new PciFunction({ vendor: 0x8086, device: 0x7113, revision: 3, classCode: 0x068000 });
  fn.setInitial(0x40, 4, 0x601);
  fn.setInitial(0x80, 1, 0x01);
  fn.setInitial(0x3d, 1, 0x01);
  return fn;
}
