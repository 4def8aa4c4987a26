/**
 * The monitor port: the guest's line to whoever measures it. Nobody else's machine has it; QEMU and Bochs read these ports
 * as all ones, so a guest checks the identification first. All registers are 32 bits wide and accessed whole.
 *
 *            read                                     write
 *   0x8e00   identification: "RLTO" = 0x4f544c52      –
 *   0x8e04   register map version: 2                  mark: phase number; takes the name collected so far
 *   0x8e08   cycles, low word; latches the high one   end the run with this exit status (low 8 bits)
 *   0x8e0c   cycles, high word, as latched            one more byte of the next name (low 8 bits)
 *   0x8e10   cycles per second                        –
 *   0x8e14   –                                        counter: value; takes the name collected so far
 *   0x8e18   –                                        resume: the guest has published its counters and goes on after a mark
 *
 * A guest that publishes counters with a mark writes mark, counters, resume: what it does between mark and resume belongs to
 * neither phase. Accesses of other sizes read as all ones and write nothing.
 */
import type { Clock } from "../contract.ts";
import type { AccessSize, DeviceState, PortDevice, StatefulDevice } from "./ports.ts";
import { allOnes } from "./ports.ts";
import { StateReader } from "./state-reader.ts";

export const MONITOR_PORT = 0x8e00;
export const MONITOR_PORTS = 0x1c;
export const MONITOR_IDENTIFICATION = 0x4f544c52;
const VERSION = 2;
const LONGEST_NAME = 256;

export interface PhaseMark {
  readonly cycle: number;
  readonly phase: number;
  readonly name: string;
}

export interface MonitorHost {
  mark(mark: PhaseMark): void;
  /** A counter of the guest's own has this value now. */
  counter(name: string, value: number): void;
  /** The guest goes on after its last mark. */
  resume(): void;
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
      case 0x04:
        this.#host.mark({ cycle: this.#clock.now, phase: value, name: this.#takeName() });
        break;
      case 0x08:
        this.#host.end(value & 0xff);
        break;
      case 0x0c:
        if (this.#name.length < LONGEST_NAME) this.#name.push(value & 0xff);
        break;
      case 0x14:
        this.#host.counter(this.#takeName(), value);
        break;
      case 0x18:
        this.#host.resume();
        break;
    }
  }

  #takeName(): string {
    const name = new TextDecoder().decode(Uint8Array.from(this.#name));
    this.#name = [];
    return name;
  }

  state(): DeviceState {
    return { cyclesHigh: this.#cyclesHigh, name: [...this.#name] };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "monitor");
    const cyclesHigh = reader.number("cyclesHigh", 0xffff_ffff);
    const name = reader.bytes("name", LONGEST_NAME);
    this.#cyclesHigh = cyclesHigh;
    this.#name = name;
  }
}
