/**
 * The monitor port: the guest's line to whoever measures it. Nobody else's machine has it; QEMU and Bochs read these ports
 * as all ones, so a guest checks the identification first. All registers are 32 bits wide and accessed whole.
 *
 *            read                                     write
 *   0x8e00   identification: "RLTO" = 0x4f544c52      –
 *   0x8e04   register map version: 1                  mark: phase number; takes the name collected so far
 *   0x8e08   cycles, low word; latches the high one   end the run with this exit status (low 8 bits)
 *   0x8e0c   cycles, high word, as latched            one more byte of the next mark's name (low 8 bits)
 *   0x8e10   cycles per second
 *
 * Accesses of other sizes read as all ones and write nothing.
 */
import type { Clock } from "../contract.ts";
import type { AccessSize, DeviceState, PortDevice, StatefulDevice } from "./ports.ts";
import { allOnes } from "./ports.ts";

export const MONITOR_PORT = 0x8e00;
export const MONITOR_PORTS = 0x14;
export const MONITOR_IDENTIFICATION = 0x4f544c52;
const VERSION = 1;
const LONGEST_NAME = 256;

export interface PhaseMark {
  readonly cycle: number;
  readonly phase: number;
  readonly name: string;
}

export interface MonitorHost {
  mark(mark: PhaseMark): void;
  end(status: number): void;
}

export class MonitorPort implements PortDevice, StatefulDevice {
  readonly #clock: Clock;
  readonly #host: MonitorHost;
  #cyclesHigh = 0;
  #name: number[] = [];

  constructor(clock: Clock, host: MonitorHost) {
    this.#clock = clock;
    this.#host = host;
  }

  readPort(port: number, size: AccessSize): number {
    if (size !== 4) return allOnes(size);
    switch (port - MONITOR_PORT) {
      case 0x00:
        return MONITOR_IDENTIFICATION;
      case 0x04:
        return VERSION;
      case 0x08: {
        const now = this.#clock.now;
        this.#cyclesHigh = Math.floor(now / 2 ** 32);
        return now % 2 ** 32;
      }
      case 0x0c:
        return this.#cyclesHigh;
      case 0x10:
        return this.#clock.frequency;
      default:
        return allOnes(size);
    }
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (size !== 4) return;
    switch (port - MONITOR_PORT) {
      case 0x04: {
        const name = new TextDecoder().decode(Uint8Array.from(this.#name));
        this.#name = [];
        this.#host.mark({ cycle: this.#clock.now, phase: value, name });
        break;
      }
      case 0x08:
        this.#host.end(value & 0xff);
        break;
      case 0x0c:
        if (this.#name.length < LONGEST_NAME) this.#name.push(value & 0xff);
        break;
    }
  }

  state(): DeviceState {
    return { cyclesHigh: this.#cyclesHigh, name: [...this.#name] };
  }
}
