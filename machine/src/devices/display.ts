/**
 * A display with a linear frame memory on the PCI bus: the standard VGA of QEMU and Bochs. Source: QEMU's docs/specs/standard-vga and the
 * register names of the Bochs VBE extensions.
 *
 *   region 0  frame memory, 16 MB        region 2  400-41f the VGA's ports 3c0-3df, 500-515 the registers below, 2 bytes each
 *   port 1ce  index (2 bytes)            ports 1cf, 1d0  the register chosen (2 bytes)
 *
 *   0 ID b0c5 | 1 width | 2 height | 3 bits a pixel: 8, 15, 16, 24, 32 | 4 enable | 5 bank | 6 width of the memory's lines |
 *   7 lines that fit (read only) | 8 x and 9 y of the first pixel shown | a memory in units of 64 KB (read only)
 *   enable: bit 0 on, bit 1 registers 1 to 3 read as their greatest values, bit 5 palette of 8 bits a colour instead of 6, bit 6 linear
 *   memory, bit 7 keep the memory's contents when it goes on
 *
 * Decisions: only the linear memory shows the picture, the 64 KB window at a0000 does not; four bits a pixel are refused; registers take the nearest
 * value that the memory allows, as QEMU's do. Off means text mode (vga-text.ts).
 */
import { fromHex, toHex } from "../hex.ts";
import { PciFunction, type RegionDevice } from "./pci.ts";
import type {
  AccessSize,
  BytePortDevice,
  DeviceState,
  PortDevice,
  StatefulDevice,
  StateValue,
} from "./ports.ts";
import { allOnes, joinBytes } from "./ports.ts";
import { StateError, StateReader } from "./state-reader.ts";

export const DISPLAY_INDEX_PORT = 0x1ce;

const MEMORY_BYTES = 16 * 2 ** 20;
const PAGE = 4096;
const ID = 0xb0c5;
const FIRST_ID = 0xb0c0;
const GREATEST = { width: 16_000, height: 12_000, bits: 32 } as const;
const DEPTHS: readonly number[] = [8, 15, 16, 24, 32];

const ENABLE_ON = 0x01;
const ENABLE_LIMITS = 0x02;
const ENABLE_8_BITS = 0x20;
const ENABLE_KEEP = 0x80;

const Register = {
  ...{ ID: 0, Width: 1, Height: 2, Bits: 3, Enable: 4, Bank: 5 },
  ...{ LineWidth: 6, Lines: 7, X: 8, Y: 9, Memory: 10 },
} as const;
const REGISTERS = 10;

/** What a display shows: three bytes a pixel, red first, line by line. */
export interface Picture {
  readonly width: number;
  readonly height: number;
  readonly rgb: Uint8Array;
}

/** 8 bits of a palette's 6; the low bits are filled as QEMU fills them. */
function widenPalette(value: number): number {
  return ((value & 0x3f) << 2) | (value & 1 ? 3 : 0);
}

export class Display implements PortDevice, StatefulDevice {
  readonly #vga: BytePortDevice & { readonly palette: Uint8Array };
  readonly #memory = new Uint8Array(MEMORY_BYTES);
  readonly #view = new DataView(this.#memory.buffer);
  /** Pages that were ever written: the others are zero. */
  readonly #written = new Uint8Array(MEMORY_BYTES / PAGE);
  readonly #r = new Uint16Array(REGISTERS);
  #index = 0;

  constructor(vga: BytePortDevice & { readonly palette: Uint8Array }) {
    this.#vga = vga;
    this.#r[Register.ID] = ID;
  }

  /** The display's place on the bus. */
  configuration(frameBase: number, registerBase: number): PciFunction {
    const fn = new PciFunction({ vendor: 0x1234, device: 0x1111, revision: 2, classCode: 0x030000 });
    fn.setInitial(0x2c, 4, 0x1100_1af4);
    const frame: RegionDevice = {
      readRegion: (offset, size) => this.#readMemory(offset, size),
      writeRegion: (offset, size, value) => this.#writeMemory(offset, size, value),
    };
    const registers: RegionDevice = {
      readRegion: (offset, size) => this.#readWindow(offset, size),
      writeRegion: (offset, size, value) => this.#writeWindow(offset, size, value),
    };
    fn.setRegion(0, {
      ...{ kind: "memory", size: MEMORY_BYTES, base: frameBase, prefetchable: true, device: frame },
    });
    fn.setRegion(2, { kind: "memory", size: PAGE, base: registerBase, device: registers });
    return fn;
  }

  #readMemory(offset: number, size: AccessSize): number {
    if (offset + size > MEMORY_BYTES) return allOnes(size);
    if (size === 4) return this.#view.getUint32(offset, true);
    return size === 2 ? this.#view.getUint16(offset, true) : this.#memory[offset]!;
  }

  #writeMemory(offset: number, size: AccessSize, value: number): void {
    if (offset + size > MEMORY_BYTES) return;
    if (size === 4) this.#view.setUint32(offset, value, true);
    else if (size === 2) this.#view.setUint16(offset, value, true);
    else this.#memory[offset] = value;
    this.#written[Math.floor(offset / PAGE)] = 1;
    this.#written[Math.floor((offset + size - 1) / PAGE)] = 1;
  }

  #readWindow(offset: number, size: AccessSize): number {
    if (offset >= 0x400 && offset < 0x420)
      return joinBytes(size, (i) => this.#vga.readByte(0x3c0 + offset - 0x400 + i));
    if (offset >= 0x500 && offset < 0x516 && size === 2) return this.#readRegister((offset - 0x500) >> 1);
    return 0;
  }

  #writeWindow(offset: number, size: AccessSize, value: number): void {
    if (offset >= 0x400 && offset < 0x420) {
      for (let i = 0; i < size; i++)
        this.#vga.writeByte(0x3c0 + offset - 0x400 + i, (value >>> (8 * i)) & 0xff);
    } else if (offset >= 0x500 && offset < 0x516 && size === 2)
      this.#writeRegister((offset - 0x500) >> 1, value);
  }

  readPort(port: number, size: AccessSize): number {
    if (size !== 2) return allOnes(size);
    return port === DISPLAY_INDEX_PORT ? this.#index : this.#readRegister(this.#index);
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (size !== 2) return;
    if (port === DISPLAY_INDEX_PORT) this.#index = value;
    else this.#writeRegister(this.#index, value);
  }

  #readRegister(register: number): number {
    if (register === Register.Memory) return MEMORY_BYTES / 65_536;
    if (register >= REGISTERS) return 0;
    if (this.#r[Register.Enable]! & ENABLE_LIMITS) {
      if (register === Register.Width) return GREATEST.width;
      if (register === Register.Height) return GREATEST.height;
      if (register === Register.Bits) return GREATEST.bits;
    }
    return this.#r[register]!;
  }

  #writeRegister(register: number, value: number): void {
    switch (register) {
      case Register.ID:
        if (value >= FIRST_ID && value <= ID) this.#r[register] = value;
        return;
      case Register.Bits:
        if (DEPTHS.includes(value || 8)) this.#r[register] = value || 8;
        this.#fit();
        return;
      case Register.Enable:
        this.#enable(value);
        return;
      case Register.Width:
      case Register.Height:
      case Register.LineWidth:
      case Register.X:
      case Register.Y:
        this.#r[register] = value;
        this.#fit();
        return;
      case Register.Bank:
        this.#r[register] = value;
        return;
    }
  }

  #enable(value: number): void {
    const goesOn = (value & ENABLE_ON) !== 0 && (this.#r[Register.Enable]! & ENABLE_ON) === 0;
    if (goesOn) {
      this.#r[Register.LineWidth] = 0;
      this.#r[Register.X] = 0;
      this.#r[Register.Y] = 0;
    }
    this.#r[Register.Enable] = value;
    this.#fit();
    if (goesOn && (value & ENABLE_KEEP) === 0) {
      const bytes = this.#r[Register.Height]! * this.#lineBytes;
      this.#memory.fill(0, 0, bytes);
      // Only whole pages are known to be zero now.
      this.#written.fill(0, 0, Math.floor(bytes / PAGE));
    }
  }

  get #isOn(): boolean {
    return (this.#r[Register.Enable]! & ENABLE_ON) !== 0;
  }

  /** Bytes a pixel, in memory. */
  get #pixelBytes(): number {
    return Math.ceil(this.#r[Register.Bits]! / 8);
  }

  get #lineBytes(): number {
    return this.#r[Register.LineWidth]! * this.#pixelBytes;
  }

  /** While the display is on, makes its registers what the memory allows. */
  #fit(): void {
    if (!this.#isOn) return;
    const r = this.#r;
    r[Register.Bits] ||= 8;
    r[Register.Width] = Math.min(GREATEST.width, Math.max(8, r[Register.Width]! & ~7));
    r[Register.LineWidth] = Math.min(
      GREATEST.width,
      Math.max(r[Register.Width]!, r[Register.LineWidth]! & ~7),
    );
    const lines = Math.floor(MEMORY_BYTES / this.#lineBytes);
    r[Register.Lines] = Math.min(0xffff, lines);
    r[Register.Height] = Math.min(lines, GREATEST.height, Math.max(1, r[Register.Height]!));
    r[Register.X] = Math.min(r[Register.X]!, r[Register.LineWidth]! - r[Register.Width]!);
    r[Register.Y] = Math.min(r[Register.Y]!, lines - r[Register.Height]!);
  }

  /** What is shown; undefined in text mode. */
  picture(): Picture | undefined {
    if (!this.#isOn) return undefined;
    const width = this.#r[Register.Width]!;
    const height = this.#r[Register.Height]!;
    const rgb = new Uint8Array(width * height * 3);
    const bytes = this.#pixelBytes;
    const colour = this.#colourReader();
    const start = this.#r[Register.Y]! * this.#lineBytes + this.#r[Register.X]! * bytes;
    let to = 0;
    for (let y = 0; y < height; y++) {
      let from = start + y * this.#lineBytes;
      for (let x = 0; x < width; x++, from += bytes, to += 3) {
        const value = colour(from);
        rgb[to] = value >> 16;
        rgb[to + 1] = (value >> 8) & 0xff;
        rgb[to + 2] = value & 0xff;
      }
    }
    return { width, height, rgb };
  }

  /** A pixel at an offset of the memory, as 24 bits. */
  #colourReader(): (offset: number) => number {
    const memory = this.#memory;
    const widen = (value: number, bits: number) => (value << (8 - bits)) | (value >> (2 * bits - 8));
    switch (this.#r[Register.Bits]) {
      case 8: {
        const whole = (this.#r[Register.Enable]! & ENABLE_8_BITS) !== 0;
        const colours = Array.from({ length: 256 }, (_, i) => {
          const [red, green, blue] = Array.from(this.#vga.palette.subarray(3 * i, 3 * i + 3), (part) =>
            whole ? part : widenPalette(part),
          ) as [number, number, number];
          return (red << 16) | (green << 8) | blue;
        });
        return (offset) => colours[memory[offset]!]!;
      }
      case 15:
        return (offset) => {
          const value = memory[offset]! | (memory[offset + 1]! << 8);
          return (
            (widen((value >> 10) & 31, 5) << 16) | (widen((value >> 5) & 31, 5) << 8) | widen(value & 31, 5)
          );
        };
      case 16:
        return (offset) => {
          const value = memory[offset]! | (memory[offset + 1]! << 8);
          return (
            (widen((value >> 11) & 31, 5) << 16) | (widen((value >> 5) & 63, 6) << 8) | widen(value & 31, 5)
          );
        };
      default:
        return (offset) => (memory[offset + 2]! << 16) | (memory[offset + 1]! << 8) | memory[offset]!;
    }
  }

  state(): DeviceState {
    const pages: StateValue[] = [];
    for (let page = 0; page < this.#written.length; page++) {
      if (!this.#written[page]) continue;
      const bytes = this.#memory.subarray(page * PAGE, (page + 1) * PAGE);
      if (bytes.some((byte) => byte !== 0)) pages.push({ page, bytes: toHex(bytes) });
    }
    return { registers: [...this.#r], index: this.#index, pages };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "display");
    const registers = reader.numbers("registers", ...new Array<number>(REGISTERS).fill(0xffff));
    const index = reader.number("index", 0xffff);
    const pages = reader.objects("pages").map((entry) => {
      const bytes = fromHex(entry.text("bytes"));
      if (bytes?.length !== PAGE) throw new StateError("display.pages", "a page is no page");
      return { page: entry.number("page", this.#written.length - 1), bytes };
    });
    if (!DEPTHS.includes(registers[Register.Bits] || 8))
      throw new StateError("display.registers", "there are no pixels of that many bits");
    this.#memory.fill(0);
    this.#written.fill(0);
    for (const { page, bytes } of pages) {
      this.#memory.set(bytes, page * PAGE);
      this.#written[page] = 1;
    }
    this.#r.set(registers);
    this.#index = index;
    this.#fit();
  }
}
