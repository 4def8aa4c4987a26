/**
 * The 8042 keyboard controller, as far as kernels use it at start: self test, command byte, output port with the reset
 * line, and a keyboard that answers its commands and sends scan codes (set 1, already translated). No mouse port.
 *
 *   0x60  data     0x64  read: status, write: command
 *   status: bit 0 output full, bit 2 self test passed, bit 3 last write was a command, bit 4 not locked
 */
import type { BytePortDevice, DeviceState, InterruptLine, StatefulDevice } from "./ports.ts";
import { StateReader } from "./state-reader.ts";

const STATUS_OUTPUT_FULL = 0x01;
const STATUS_SYSTEM = 0x04;
const STATUS_COMMAND = 0x08;
const STATUS_UNLOCKED = 0x10;
const COMMAND_BYTE_INTERRUPT = 0x01;
const COMMAND_BYTE_DISABLED = 0x10;
const ACKNOWLEDGE = 0xfa;
const KEYBOARD_BUFFER = 16;
/** Output port: A20 open, reset line high (inactive). */
const OUTPUT_PORT = 0x03;

export class KeyboardController implements BytePortDevice, StatefulDevice {
  readonly #line: InterruptLine;
  readonly #reset: () => void;
  #commandByte = COMMAND_BYTE_INTERRUPT | 0x04 | 0x40;
  #output: number[] = [];
  #lastWasCommand = false;
  /** A controller command (0x60, 0xd1) or keyboard command (0xed, 0xf3, 0xf0) that waits for its data byte. */
  #awaiting: number | undefined;

  /** `reset` is called when the guest pulses the reset line. */
  constructor(line: InterruptLine, reset: () => void) {
    this.#line = line;
    this.#reset = reset;
  }

  /** Scan codes from the host. A full keyboard buffer drops them, as the keyboard does. */
  input(scanCodes: Iterable<number>): void {
    for (const code of scanCodes) if (this.#output.length < KEYBOARD_BUFFER) this.#output.push(code & 0xff);
    this.#update();
  }

  #answer(...bytes: number[]): void {
    this.#output.push(...bytes);
    this.#update();
  }

  #update(): void {
    const enabled = (this.#commandByte & COMMAND_BYTE_INTERRUPT) !== 0;
    this.#line.set(enabled && this.#output.length > 0);
  }

  readByte(port: number): number {
    if (port === 0x64) {
      return (
        (this.#output.length > 0 ? STATUS_OUTPUT_FULL : 0) |
        STATUS_SYSTEM |
        (this.#lastWasCommand ? STATUS_COMMAND : 0) |
        STATUS_UNLOCKED
      );
    }
    const byte = this.#output.shift() ?? 0;
    // The line falls with the byte taken, and rises again for the next: the controller is edge-triggered.
    this.#line.set(false);
    this.#update();
    return byte;
  }

  writeByte(port: number, value: number): void {
    this.#lastWasCommand = port === 0x64;
    if (port === 0x64) this.#command(value);
    else this.#data(value);
  }

  #command(value: number): void {
    this.#awaiting = undefined;
    if (value >= 0xf0) {
      // Pulse the output lines whose bit is 0; line 0 is reset.
      if (!(value & 1)) this.#reset();
      return;
    }
    switch (value) {
      case 0x20:
        this.#answer(this.#commandByte);
        return;
      case 0x60:
      case 0xd1:
        this.#awaiting = value;
        return;
      case 0xaa:
        this.#answer(0x55);
        return;
      case 0xab:
        this.#answer(0x00);
        return;
      case 0xad:
        this.#commandByte |= COMMAND_BYTE_DISABLED;
        return;
      case 0xae:
        this.#commandByte &= ~COMMAND_BYTE_DISABLED;
        return;
      case 0xd0:
        this.#answer(OUTPUT_PORT);
        return;
    }
  }

  #data(value: number): void {
    const awaiting = this.#awaiting;
    this.#awaiting = undefined;
    switch (awaiting) {
      case 0x60:
        this.#commandByte = value;
        this.#update();
        return;
      case 0xd1:
        if (!(value & 1)) this.#reset();
        return;
      case 0xed:
      case 0xf3:
      case 0xf0:
        this.#answer(ACKNOWLEDGE);
        return;
    }
    switch (value) {
      case 0xed:
      case 0xf3:
      case 0xf0:
        this.#awaiting = value;
        this.#answer(ACKNOWLEDGE);
        return;
      case 0xee:
        this.#answer(0xee);
        return;
      case 0xf2:
        this.#answer(ACKNOWLEDGE, 0xab, 0x41);
        return;
      case 0xff:
        this.#output = [];
        this.#answer(ACKNOWLEDGE, 0xaa);
        return;
      default:
        this.#answer(ACKNOWLEDGE);
        return;
    }
  }

  state(): DeviceState {
    return {
      commandByte: this.#commandByte,
      output: [...this.#output],
      lastWasCommand: this.#lastWasCommand,
      awaiting: this.#awaiting ?? null,
    };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "keyboard");
    const commandByte = reader.number("commandByte", 0xff);
    // Answers to commands are not bounded by the keyboard's own buffer.
    const output = reader.bytes("output", Number.MAX_SAFE_INTEGER);
    const lastWasCommand = reader.flag("lastWasCommand");
    const awaiting = reader.optionalNumber("awaiting", 0xff);
    this.#commandByte = commandByte;
    this.#output = output;
    this.#lastWasCommand = lastWasCommand;
    this.#awaiting = awaiting;
  }
}
