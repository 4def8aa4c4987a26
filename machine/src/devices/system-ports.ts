/**
 * The single registers of a PC's system board.
 *
 *   0x61  bit 0 gate of timer counter 2, bit 1 speaker, bit 4 refresh toggle (read), bit 5 output of counter 2 (read)
 *   0x80  power-on code display: kernels write it to let an I/O cycle pass; reads back the last value
 *   0x92  bit 0 rising = reset, bit 1 = A20 (always open here: the bit reads as 1)
 *   0x600 PIIX4 power management: PM1 status, +2 PM1 enable, +4 PM1 control; bit 13 of control with sleep type 0
 *         (bits 12-10) switches the power off
 */
import type { IntervalTimer } from "./i8254.ts";
import type { AccessSize, BytePortDevice, DeviceState, PortDevice, StatefulDevice } from "./ports.ts";
import { allOnes } from "./ports.ts";
import { StateReader } from "./state-reader.ts";

/** Memory refresh request every 15.085 µs: 18 ticks of the timer's crystal. */
const REFRESH_TICKS = 18;

export class SystemPorts implements BytePortDevice, StatefulDevice {
  readonly #timer: IntervalTimer;
  readonly #reset: () => void;
  #speaker = false;
  #code = 0;
  #fastReset = false;

  constructor(timer: IntervalTimer, reset: () => void) {
    this.#timer = timer;
    this.#reset = reset;
  }

  readByte(port: number): number {
    switch (port) {
      case 0x61:
        return (
          (this.#timer.speakerGate ? 0x01 : 0) |
          (this.#speaker ? 0x02 : 0) |
          (Math.floor(this.#timer.ticks / REFRESH_TICKS) & 1 ? 0x10 : 0) |
          (this.#timer.speakerOutput ? 0x20 : 0)
        );
      case 0x80:
        return this.#code;
      case 0x92:
        return 0x02 | (this.#fastReset ? 1 : 0);
      default:
        return 0xff;
    }
  }

  writeByte(port: number, value: number): void {
    switch (port) {
      case 0x61:
        this.#timer.speakerGate = (value & 1) !== 0;
        this.#speaker = (value & 2) !== 0;
        break;
      case 0x80:
        this.#code = value;
        break;
      case 0x92: {
        const rises = (value & 1) !== 0 && !this.#fastReset;
        this.#fastReset = (value & 1) !== 0;
        if (rises) this.#reset();
        break;
      }
    }
  }

  state(): DeviceState {
    return { speaker: this.#speaker, code: this.#code, fastReset: this.#fastReset };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "system");
    const speaker = reader.flag("speaker");
    const code = reader.number("code", 0xff);
    const fastReset = reader.flag("fastReset");
    this.#speaker = speaker;
    this.#code = code;
    this.#fastReset = fastReset;
  }
}

export const POWER_PORT = 0x600;
const CONTROL = 0x04;
const SLEEP_TYPE = 0x1c00;
const SLEEP_ENABLE = 0x2000;

export class PowerManagement implements PortDevice, StatefulDevice {
  readonly #powerOff: () => void;
  #enable = 0;
  #control = 1;

  constructor(powerOff: () => void) {
    this.#powerOff = powerOff;
  }

  readPort(port: number, size: AccessSize): number {
    if (size !== 2) return allOnes(size);
    const register = port - POWER_PORT;
    return register === 2 ? this.#enable : register === CONTROL ? this.#control : 0;
  }

  writePort(port: number, size: AccessSize, value: number): void {
    if (size !== 2) return;
    const register = port - POWER_PORT;
    if (register === 2) this.#enable = value;
    if (register !== CONTROL) return;
    this.#control = value & ~SLEEP_ENABLE;
    if (value & SLEEP_ENABLE && (value & SLEEP_TYPE) === 0) this.#powerOff();
  }

  state(): DeviceState {
    return { enable: this.#enable, control: this.#control };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "power");
    const enable = reader.number("enable", 0xffff);
    const control = reader.number("control", 0xffff);
    this.#enable = enable;
    this.#control = control;
  }
}
