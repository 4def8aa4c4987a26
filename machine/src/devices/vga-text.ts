/**
 * A VGA adapter in its text mode: 80 × 25 cells of (character, attribute) at physical 0xb8000, which are plain memory that
 * the host reads, and enough registers for a kernel to move the cursor and to see a colour adapter.
 *
 *   0x3c0-0x3cf  attribute, sequencer, palette, graphics: stored, no effect     0x3cc  miscellaneous output (read)
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

  constructor(clock: Clock, memory: ArrayBuffer) {
    this.#clock = clock;
    this.#cells = new Uint8Array(memory, VGA_TEXT_MEMORY, 0x8000);
  }

  readByte(port: number): number {
    switch (port) {
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
    if (port === 0x3d5) this.#crt[this.#ports[0x14]! & 31] = value;
    else this.#ports[port - 0x3c0] = value;
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
    return { ports: [...this.#ports], crt: [...this.#crt] };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "vga");
    const ports = reader.bytes("ports", 32, "exactly");
    const crt = reader.bytes("crt", 32, "exactly");
    this.#ports.set(ports);
    this.#crt.set(crt);
  }
}
