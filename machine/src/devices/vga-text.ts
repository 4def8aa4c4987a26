/**
 * A VGA adapter in its text mode: 80 × 25 cells of (character, attribute) at physical 0xb8000, which are plain memory that
 * the host reads, and enough registers for a kernel to move the cursor and to see a colour adapter. The palette serves the
 * display's modes of 256 colours (display.ts).
 *
 *   0x3c0-0x3cf  attribute, sequencer, graphics: stored, no effect              0x3cc  miscellaneous output (read)
 *   0x3c6 pixel mask (stored)   0x3c7 index to read from; read: 3 reading, 0 writing   0x3c8 index to write to   0x3c9 red, green, blue
 *   0x3d4/0x3d5  CRT controller index and data (0x0c/0d start, 0x0e/0f cursor)   0x3da  status; resets the attribute flip-flop
 */
import type { Clock } from "../contract.ts";
import type { BytePortDevice, DeviceState, StatefulDevice } from "./ports.ts";
import { StateReader } from "./state-reader.ts";

export const VGA_TEXT_MEMORY = 0xb8000;
export const VGA_COLUMNS = 80;
export const VGA_ROWS = 25;
const FRAMES_PER_SECOND = 70;
/** Part of a frame spent in vertical retrace: 49 of 449 lines. */
const RETRACE = 49 / 449;

export class VgaText implements BytePortDevice, StatefulDevice {
  readonly #clock: Clock;
  readonly #cells: Uint8Array;
  readonly #ports = new Uint8Array(32);
  readonly #crt = new Uint8Array(32);
  /** Red, green and blue of 256 colours, as written. */
  readonly palette = new Uint8Array(768);
  /** Next byte of the palette to be written, and read. */
  #paletteWrite = 0;
  #paletteRead = 0;

  constructor(clock: Clock, ram: Uint8Array) {
    this.#clock = clock;
    this.#cells = ram.subarray(VGA_TEXT_MEMORY, VGA_TEXT_MEMORY + 0x8000);
  }

  readByte(port: number): number {
    switch (port) {
      case 0x3c7:
        return this.#ports[0x07]!;
      case 0x3c8:
        return Math.floor(this.#paletteWrite / 3);
      case 0x3c9:
        return this.#readPalette();
      case 0x3cc:
        return 0x67;
      case 0x3d5:
        return this.#crt[this.#ports[0x14]! & 31]!;
      case 0x3da: {
        const frame = ((this.#clock.now / this.#clock.frequency) * FRAMES_PER_SECOND) % 1;
        return frame > 1 - RETRACE ? 0x09 : 0x00;
      }
      default:
        return this.#ports[port - 0x3c0]!;
    }
  }

  writeByte(port: number, value: number): void {
    switch (port) {
      case 0x3c7:
        this.#paletteRead = value * 3;
        this.#ports[0x07] = 3;
        return;
      case 0x3c8:
        this.#paletteWrite = value * 3;
        this.#ports[0x07] = 0;
        return;
      case 0x3c9:
        this.palette[this.#paletteWrite] = value;
        this.#paletteWrite = (this.#paletteWrite + 1) % 768;
        return;
      case 0x3d5:
        this.#crt[this.#ports[0x14]! & 31] = value;
        return;
      default:
        this.#ports[port - 0x3c0] = value;
    }
  }

  #readPalette(): number {
    const byte = this.palette[this.#paletteRead]!;
    this.#paletteRead = (this.#paletteRead + 1) % 768;
    return byte;
  }

  /** Cursor position in cells from the first. */
  get cursor(): number {
    return (this.#crt[0x0e]! << 8) | this.#crt[0x0f]!;
  }

  /** The characters on the screen, one string a row, without trailing blanks. */
  text(): string[] {
    const start = (this.#crt[0x0c]! << 8) | this.#crt[0x0d]!;
    return Array.from({ length: VGA_ROWS }, (_, row) => {
      let line = "";
      for (let column = 0; column < VGA_COLUMNS; column++) {
        const code = this.#cells[((start + row * VGA_COLUMNS + column) * 2) & 0x7fff]!;
        line += code >= 0x20 && code < 0x7f ? String.fromCharCode(code) : " ";
      }
      return line.trimEnd();
    });
  }

  state(): DeviceState {
    return {
      ports: [...this.#ports],
      crt: [...this.#crt],
      palette: [...this.palette],
      paletteWrite: this.#paletteWrite,
      paletteRead: this.#paletteRead,
    };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "vga");
    const ports = reader.bytes("ports", 32, "exactly");
    const crt = reader.bytes("crt", 32, "exactly");
    const palette = reader.bytes("palette", 768, "exactly");
    const paletteWrite = reader.number("paletteWrite", 767);
    const paletteRead = reader.number("paletteRead", 767);
    this.#ports.set(ports);
    this.palette.set(palette);
    this.#paletteWrite = paletteWrite;
    this.#paletteRead = paletteRead;
    this.#crt.set(crt);
  }
}
