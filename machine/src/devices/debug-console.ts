/**
 * The debug console at port 0xe9 of Bochs and QEMU: bytes written there go to the host at once. It reads as 0xe9, which
 * is how a guest finds out that it is there.
 */
import type { BytePortDevice } from "./ports.ts";

export const DEBUG_CONSOLE_PORT = 0xe9;

export class DebugConsole implements BytePortDevice {
  readonly #output: (byte: number) => void;

  constructor(output: (byte: number) => void) {
    this.#output = output;
  }

  readByte(): number {
    return DEBUG_CONSOLE_PORT;
  }

  writeByte(_port: number, value: number): void {
    this.#output(value);
  }
}
