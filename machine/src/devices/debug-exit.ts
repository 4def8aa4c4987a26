/**
 * QEMU's isa-debug-exit: a write of V at its port ends the run with exit status (V << 1) | 1, of which the host keeps
 * eight bits. Reads as zero, as QEMU's does. So the guest can never report status 0 this way.
 */
import type { AccessSize, PortDevice } from "./ports.ts";

export class DebugExit implements PortDevice {
  readonly #end: (status: number) => void;

  constructor(end: (status: number) => void) {
    this.#end = end;
  }

  readPort(): number {
    return 0;
  }

  writePort(_port: number, _size: AccessSize, value: number): void {
    this.#end(((value << 1) | 1) & 0xff);
  }
}
