/**
 * A 16550A serial port. Source: National Semiconductor PC16550D data sheet.
 *
 *   +0  DLAB 0: receive buffer / transmit holding   DLAB 1: divisor, low byte
 *   +1  DLAB 0: interrupt enable                    DLAB 1: divisor, high byte
 *   +2  read: interrupt identification              write: FIFO control
 *   +3  line control (bit 7 DLAB)     +4  modem control     +5  line status     +6  modem status     +7  scratch
 *
 * Decisions:
 * - A byte is handed to the host in the cycle in which the guest writes it, so that nothing is lost when the machine ends;
 *   the status registers and interrupts then follow the line's pace.
 * - By default the line runs at 1.5 Mbit/s whatever the divisor says, as fast 16550 cards do: a console of 150 KB a
 *   second. `pace: "divisor"` gives the 1.8432 MHz crystal of a PC.
 * - Bytes from the host wait outside the chip and enter at the line's pace while it has room, so none is ever lost. Only
 *   loopback can overrun.
 * - OUT2 gates the interrupt, as the wiring of every PC card does; in loopback the register's bit does so.
 */
import type { Clock, ClockEvent } from "../contract.ts";
import type { BytePortDevice, DeviceState, InterruptLine, StatefulDevice } from "./ports.ts";
import { eventState, StateError, StateReader } from "./state-reader.ts";

/** What the far end of the line sees of the port. */
export interface SerialHost {
  output(byte: number): void;
}

export interface SerialOptions {
  readonly pace?: "fast" | "divisor";
}

const FAST_BITS_PER_SECOND = 1_500_000;
const PC_CRYSTAL_HERTZ = 1_843_200;
const FIFO_SIZE = 16;
const TRIGGER_LEVELS = [1, 4, 8, 14];

const ENABLE_RECEIVED = 0x01;
const ENABLE_TRANSMITTER = 0x02;
const ENABLE_LINE = 0x04;
const ENABLE_MODEM = 0x08;

const LINE_READY = 0x01;
const LINE_OVERRUN = 0x02;
const LINE_HOLDING_EMPTY = 0x20;
const LINE_IDLE = 0x40;

const CONTROL_DTR = 0x01;
const CONTROL_RTS = 0x02;
const CONTROL_OUT1 = 0x04;
const CONTROL_OUT2 = 0x08;
const CONTROL_LOOP = 0x10;

const MODEM_CTS = 0x10;
const MODEM_DSR = 0x20;
const MODEM_RING = 0x40;
const MODEM_CARRIER = 0x80;

const LINE_CONTROL_DLAB = 0x80;

export class Uart16550 implements BytePortDevice, StatefulDevice {
  readonly #clock: Clock;
  readonly #line: InterruptLine;
  readonly #host: SerialHost;
  readonly #pace: "fast" | "divisor";

  #divisor = 12;
  #enable = 0;
  #lineControl = 0x03;
  #modemControl = 0;
  #scratch = 0;
  #fifoEnabled = false;
  #trigger = 1;

  #received: number[] = [];
  #overrun = false;
  #timedOut = false;
  #waiting: number[] = [];
  #waitingFrom = 0;
  #arrival: ClockEvent | undefined;
  #timeout: ClockEvent | undefined;

  /** Bytes in the holding register or FIFO; the shift register holds one more while `#departure` is scheduled. */
  #transmit: number[] = [];
  #shifting: number | undefined;
  #departure: ClockEvent | undefined;
  #holdingEmptyInterrupt = false;

  /** Bytes handed to the host, and a running check of them and their cycles: runs with equal states have said the same. */
  #sent = 0;
  #sentCheck = 0;

  /** A connected, ready far end. */
  #modemInputs = MODEM_CTS | MODEM_DSR | MODEM_CARRIER;
  #modemDelta = 0;

  constructor(clock: Clock, line: InterruptLine, host: SerialHost, options: SerialOptions = {}) {
    this.#clock = clock;
    this.#line = line;
    this.#host = host;
    this.#pace = options.pace ?? "fast";
  }

  /** Bytes from the host, in the current cycle. */
  input(bytes: Iterable<number>): void {
    for (const byte of bytes) this.#waiting.push(byte & 0xff);
    this.#admit();
  }

  /** Bytes from the host that have not entered the chip yet. */
  get backlog(): number {
    return this.#waiting.length - this.#waitingFrom;
  }

  get #byteCycles(): number {
    const dataBits = 5 + (this.#lineControl & 3);
    const bits = 1 + dataBits + (this.#lineControl & 8 ? 1 : 0) + (this.#lineControl & 4 ? 2 : 1);
    const rate =
      this.#pace === "fast" ? FAST_BITS_PER_SECOND : PC_CRYSTAL_HERTZ / 16 / Math.max(1, this.#divisor);
    return Math.max(1, Math.ceil((this.#clock.frequency * bits) / rate));
  }

  get #capacity(): number {
    return this.#fifoEnabled ? FIFO_SIZE : 1;
  }

  get #looped(): boolean {
    return (this.#modemControl & CONTROL_LOOP) !== 0;
  }

  /** Starts the next byte from the host on its way in, when there is one and room for it. */
  #admit(): void {
    if (this.#arrival || this.backlog === 0 || this.#looped || this.#received.length >= this.#capacity)
      return;
    this.#arrival = this.#clock.schedule(this.#clock.now + this.#byteCycles, this.#arrive);
  }

  readonly #arrive = (): void => {
    this.#arrival = undefined;
    // The guest may have switched to loopback or to a smaller buffer meanwhile: the byte then waits on.
    if (this.#looped || this.#received.length >= this.#capacity) return;
    this.#receive(this.#waiting[this.#waitingFrom++]!);
    if (this.#waitingFrom === this.#waiting.length) {
      this.#waiting = [];
      this.#waitingFrom = 0;
    }
    this.#admit();
  };

  #receive(byte: number): void {
    if (this.#received.length >= this.#capacity) {
      // The FIFO keeps what it has; the single buffer is overwritten.
      this.#overrun = true;
      if (!this.#fifoEnabled) this.#received[0] = byte;
    } else this.#received.push(byte);
    this.#restartTimeout();
    this.#update();
  }

  /** FIFO mode: bytes below the trigger level are announced after four character times without traffic. */
  #restartTimeout(): void {
    if (this.#timeout) this.#clock.cancel(this.#timeout);
    this.#timeout = undefined;
    this.#timedOut = false;
    if (!this.#fifoEnabled || this.#received.length === 0) return;
    this.#timeout = this.#clock.schedule(this.#clock.now + 4 * this.#byteCycles, this.#timeOut);
  }

  readonly #timeOut = (): void => {
    this.#timeout = undefined;
    this.#timedOut = true;
    this.#update();
  };

  #send(byte: number): void {
    if (!this.#looped) {
      this.#sent++;
      const mixed = Math.imul(this.#sentCheck ^ byte, 0x85ebca6b) ^ (this.#clock.now | 0);
      this.#sentCheck = Math.imul(mixed ^ (mixed >>> 15), 0xc2b2ae35);
      this.#host.output(byte);
    }
    // Writing into a full FIFO or holding register replaces the newest byte.
    if (this.#transmit.length >= this.#capacity) this.#transmit.pop();
    this.#transmit.push(byte);
    this.#holdingEmptyInterrupt = false;
    this.#shift();
    this.#update();
  }

  #shift(): void {
    if (this.#shifting !== undefined) return;
    const byte = this.#transmit.shift();
    if (byte === undefined) return;
    this.#shifting = byte;
    if (this.#transmit.length === 0) this.#holdingEmptyInterrupt = true;
    this.#departure = this.#clock.schedule(this.#clock.now + this.#byteCycles, this.#depart);
  }

  readonly #depart = (): void => {
    const byte = this.#shifting!;
    this.#departure = undefined;
    this.#shifting = undefined;
    if (this.#looped) this.#receive(byte);
    this.#shift();
    this.#update();
  };

  get #modemStatus(): number {
    if (!this.#looped) return this.#modemInputs;
    const control = this.#modemControl;
    return (
      (control & CONTROL_RTS ? MODEM_CTS : 0) |
      (control & CONTROL_DTR ? MODEM_DSR : 0) |
      (control & CONTROL_OUT1 ? MODEM_RING : 0) |
      (control & CONTROL_OUT2 ? MODEM_CARRIER : 0)
    );
  }

  get #lineStatus(): number {
    return (
      (this.#received.length > 0 ? LINE_READY : 0) |
      (this.#overrun ? LINE_OVERRUN : 0) |
      (this.#transmit.length === 0 ? LINE_HOLDING_EMPTY : 0) |
      (this.#transmit.length === 0 && this.#shifting === undefined ? LINE_IDLE : 0)
    );
  }

  /** Bits 3-0 of the identification register, by the chip's priorities. */
  #identify(): number {
    if (this.#enable & ENABLE_LINE && this.#overrun) return 0x06;
    if (this.#enable & ENABLE_RECEIVED) {
      if (this.#received.length >= (this.#fifoEnabled ? this.#trigger : 1)) return 0x04;
      if (this.#timedOut) return 0x0c;
    }
    if (this.#enable & ENABLE_TRANSMITTER && this.#holdingEmptyInterrupt) return 0x02;
    if (this.#enable & ENABLE_MODEM && this.#modemDelta) return 0x00;
    return 0x01;
  }

  #update(): void {
    const gated = (this.#modemControl & CONTROL_OUT2) !== 0;
    this.#line.set(gated && this.#identify() !== 0x01);
  }

  readByte(port: number): number {
    switch (port & 7) {
      case 0:
        return this.#lineControl & LINE_CONTROL_DLAB ? this.#divisor & 0xff : this.#readReceived();
      case 1:
        return this.#lineControl & LINE_CONTROL_DLAB ? this.#divisor >> 8 : this.#enable;
      case 2: {
        const identification = this.#identify();
        if (identification === 0x02) {
          this.#holdingEmptyInterrupt = false;
          this.#update();
        }
        return identification | (this.#fifoEnabled ? 0xc0 : 0);
      }
      case 3:
        return this.#lineControl;
      case 4:
        return this.#modemControl;
      case 5: {
        const status = this.#lineStatus;
        this.#overrun = false;
        this.#update();
        return status;
      }
      case 6: {
        const status = this.#modemStatus | this.#modemDelta;
        this.#modemDelta = 0;
        this.#update();
        return status;
      }
      default:
        return this.#scratch;
    }
  }

  #readReceived(): number {
    const byte = this.#received.shift() ?? 0;
    this.#restartTimeout();
    this.#admit();
    this.#update();
    return byte;
  }

  writeByte(port: number, value: number): void {
    switch (port & 7) {
      case 0:
        if (this.#lineControl & LINE_CONTROL_DLAB) this.#divisor = (this.#divisor & 0xff00) | value;
        else this.#send(value);
        break;
      case 1:
        if (this.#lineControl & LINE_CONTROL_DLAB) this.#divisor = (this.#divisor & 0xff) | (value << 8);
        else {
          // Enabling the transmitter's interrupt while the holding register is empty raises it at once.
          const enabled = value & ~this.#enable;
          if (enabled & ENABLE_TRANSMITTER && this.#transmit.length === 0) this.#holdingEmptyInterrupt = true;
          this.#enable = value & 0x0f;
          this.#update();
        }
        break;
      case 2:
        this.#controlFifo(value);
        break;
      case 3:
        this.#lineControl = value;
        break;
      case 4:
        this.#controlModem(value);
        break;
      case 7:
        this.#scratch = value;
        break;
    }
  }

  #controlFifo(value: number): void {
    const enable = (value & 1) !== 0;
    const switched = enable !== this.#fifoEnabled;
    this.#fifoEnabled = enable;
    if (switched || value & 2) {
      this.#received = [];
      this.#overrun = false;
    }
    if (switched || value & 4) {
      this.#transmit = [];
      this.#holdingEmptyInterrupt = true;
    }
    if (enable) this.#trigger = TRIGGER_LEVELS[value >> 6]!;
    this.#restartTimeout();
    this.#admit();
    this.#update();
  }

  #controlModem(value: number): void {
    const before = this.#modemStatus;
    this.#modemControl = value & 0x1f;
    const after = this.#modemStatus;
    const changed = before ^ after;
    // Delta bits: CTS, DSR, carrier on any change, ring on its falling edge only.
    this.#modemDelta |=
      (changed & MODEM_CTS ? 1 : 0) |
      (changed & MODEM_DSR ? 2 : 0) |
      (before & ~after & MODEM_RING ? 4 : 0) |
      (changed & MODEM_CARRIER ? 8 : 0);
    this.#admit();
    this.#update();
  }

  state(): DeviceState {
    return {
      registers: [this.#divisor, this.#enable, this.#lineControl, this.#modemControl, this.#scratch],
      fifoEnabled: this.#fifoEnabled,
      trigger: this.#trigger,
      received: [...this.#received],
      waiting: this.#waiting.slice(this.#waitingFrom),
      transmit: [...this.#transmit],
      shifting: this.#shifting ?? null,
      flags: [this.#overrun, this.#timedOut, this.#holdingEmptyInterrupt],
      modemDelta: this.#modemDelta,
      sent: this.#sent,
      sentCheck: [this.#sentCheck],
      events: [eventState(this.#arrival), eventState(this.#timeout), eventState(this.#departure)],
    };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "serial");
    const registers = reader.numbers("registers", 0xffff, 0x0f, 0xff, 0x1f, 0xff);
    const fifoEnabled = reader.flag("fifoEnabled");
    const trigger = reader.number("trigger", FIFO_SIZE);
    if (!TRIGGER_LEVELS.includes(trigger)) throw new StateError("serial", `no trigger level ${trigger}`);
    const capacity = fifoEnabled ? FIFO_SIZE : 1;
    const received = reader.bytes("received", capacity);
    const waiting = reader.bytes("waiting", Number.MAX_SAFE_INTEGER);
    const transmit = reader.bytes("transmit", capacity);
    const shifting = reader.optionalNumber("shifting", 0xff);
    const [overrun, timedOut, holdingEmptyInterrupt] = reader.flags("flags", 3);
    const modemDelta = reader.number("modemDelta", 0x0f);
    const sent = reader.number("sent");
    const sentCheck = reader.words("sentCheck", 1);
    const [arrival, timeout, departure] = reader.events("events", 3, this.#clock.now);
    if ((shifting === undefined) !== (departure === undefined))
      throw new StateError("serial", "a byte in the shift register without the event that takes it out");
    if (arrival && waiting.length === 0)
      throw new StateError("serial", "the arrival of a byte that is not there");

    [this.#divisor, this.#enable, this.#lineControl, this.#modemControl, this.#scratch] = registers as [
      number,
      number,
      number,
      number,
      number,
    ];
    this.#fifoEnabled = fifoEnabled;
    this.#trigger = trigger;
    this.#received = received;
    this.#waiting = waiting;
    this.#waitingFrom = 0;
    this.#transmit = transmit;
    this.#shifting = shifting;
    this.#overrun = overrun!;
    this.#timedOut = timedOut!;
    this.#holdingEmptyInterrupt = holdingEmptyInterrupt!;
    this.#modemDelta = modemDelta;
    this.#sent = sent;
    this.#sentCheck = sentCheck[0]!;
    this.#arrival = arrival && this.#clock.resume(arrival, this.#arrive);
    this.#timeout = timeout && this.#clock.resume(timeout, this.#timeOut);
    this.#departure = departure && this.#clock.resume(departure, this.#depart);
  }
}
