/**
 * The MC146818 clock and CMOS memory of a PC. Its time is a fixed start plus guest time, never the host's, so that runs
 * repeat. Its three interrupts work: periodic, update-ended, and alarm, of which an hour, minute or second of C0H or more means every one.
 * A cause is noted in status C only while its interrupt is open.
 *
 *   0x70  register number in bits 6-0 (bit 7 masks NMI, of which this machine has none)     0x71  its value
 *
 *   0x00-0x09  time and date     0x0a-0x0d  status A to D     0x32 century (BCD)
 *   0x15/16 base memory, KB      0x17/18 and 0x30/31 memory above 1 MB, KB, at most 63 MB
 *   0x34/35 memory above 16 MB, in units of 64 KB
 */
import type { Clock, ClockEvent } from "../contract.ts";
import type { BytePortDevice, DeviceState, InterruptLine, StatefulDevice } from "./ports.ts";
import { eventState, StateReader } from "./state-reader.ts";

/** Saturday, 1 March 1997, midnight: the month of the paper. */
export const START_OF_TIME = Date.UTC(1997, 2, 1) / 1000;

const CRYSTAL_HERTZ = 32_768;
const STATUS_A = 0x0a;
const STATUS_B = 0x0b;
const STATUS_C = 0x0c;
const STATUS_D = 0x0d;
const B_HOLD = 0x80;
const B_PERIODIC = 0x40;
const B_ALARM = 0x20;
const B_UPDATE_ENDED = 0x10;
const B_BINARY = 0x04;
const B_24_HOURS = 0x02;
const C_REQUEST = 0x80;
const C_PERIODIC = 0x40;
const C_ALARM = 0x20;
const C_UPDATE_ENDED = 0x10;
const ANY = 0xc0;

export class RealTimeClock implements BytePortDevice, StatefulDevice {
  readonly #clock: Clock;
  readonly #line: InterruptLine;
  readonly #cells = new Uint8Array(128);
  #index = 0;
  /** Seconds between the clock's time and `START_OF_TIME` plus guest time, set by the guest. */
  #adjustment = 0;
  #flags = 0;
  #periodic: ClockEvent | undefined;
  #update: ClockEvent | undefined;

  constructor(clock: Clock, line: InterruptLine, memoryBytes: number) {
    this.#clock = clock;
    this.#line = line;
    this.#cells[STATUS_A] = 0x26;
    this.#cells[STATUS_B] = B_24_HOURS;
    this.#cells[STATUS_D] = 0x80;
    const extended = Math.min(Math.max(0, memoryBytes / 1024 - 1024), 0xfc00);
    const above16 = Math.min(Math.max(0, memoryBytes / 65536 - 256), 0xffff);
    this.#word(0x15, 640);
    this.#word(0x17, extended);
    this.#word(0x30, extended);
    this.#word(0x34, above16);
  }

  #word(register: number, value: number): void {
    this.#cells[register] = value & 0xff;
    this.#cells[register + 1] = value >> 8;
  }

  /** Seconds since 1970 on the guest's clock. */
  get #seconds(): number {
    return START_OF_TIME + this.#adjustment + Math.floor(this.#clock.now / this.#clock.frequency);
  }

  #encodeHour(hour: number): number {
    if (this.#cells[STATUS_B]! & B_24_HOURS) return this.#encode(hour);
    return this.#encode(hour % 12 === 0 ? 12 : hour % 12) | (hour >= 12 ? 0x80 : 0);
  }

  #encode(value: number): number {
    if (this.#cells[STATUS_B]! & B_BINARY) return value;
    return (Math.floor(value / 10) << 4) | (value % 10);
  }

  #decode(value: number): number {
    if (this.#cells[STATUS_B]! & B_BINARY) return value;
    return (value >> 4) * 10 + (value & 15);
  }

  readByte(port: number): number {
    if (port === 0x70) return 0xff;
    const date = new Date(this.#seconds * 1000);
    switch (this.#index) {
      case 0x00:
        return this.#encode(date.getUTCSeconds());
      case 0x02:
        return this.#encode(date.getUTCMinutes());
      case 0x04:
        return this.#encodeHour(date.getUTCHours());
      case 0x06:
        return this.#encode(date.getUTCDay() + 1);
      case 0x07:
        return this.#encode(date.getUTCDate());
      case 0x08:
        return this.#encode(date.getUTCMonth() + 1);
      case 0x09:
        return this.#encode(date.getUTCFullYear() % 100);
      case 0x32: {
        const century = Math.floor(date.getUTCFullYear() / 100);
        return (Math.floor(century / 10) << 4) | (century % 10);
      }
      case STATUS_C: {
        // Reading acknowledges every cause.
        const flags = this.#flags;
        this.#flags = 0;
        this.#line.set(false);
        return flags;
      }
      default:
        return this.#cells[this.#index]!;
    }
  }

  writeByte(port: number, value: number): void {
    if (port === 0x70) {
      this.#index = value & 0x7f;
      return;
    }
    switch (this.#index) {
      case 0x00:
      case 0x02:
      case 0x04:
      case 0x07:
      case 0x08:
      case 0x09:
        this.#setTime(this.#index, value);
        break;
      case STATUS_A:
        this.#cells[STATUS_A] = value & 0x7f;
        this.#schedulePeriodic();
        break;
      case STATUS_B:
        this.#cells[STATUS_B] = value;
        this.#schedulePeriodic();
        this.#scheduleUpdate();
        break;
      case 0x06:
      case 0x32:
      case STATUS_C:
      case STATUS_D:
        break;
      default:
        this.#cells[this.#index] = value;
    }
  }

  #setTime(register: number, value: number): void {
    const date = new Date(this.#seconds * 1000);
    if (register === 0x00) date.setUTCSeconds(this.#decode(value));
    else if (register === 0x02) date.setUTCMinutes(this.#decode(value));
    else if (register === 0x04) {
      const hour = this.#decode(value & 0x7f);
      const twelve = (this.#cells[STATUS_B]! & B_24_HOURS) === 0;
      date.setUTCHours(twelve ? (hour % 12) + (value & 0x80 ? 12 : 0) : this.#decode(value));
    } else if (register === 0x07) date.setUTCDate(this.#decode(value));
    else if (register === 0x08) date.setUTCMonth(this.#decode(value) - 1);
    else {
      const year = this.#decode(value);
      date.setUTCFullYear(year < 80 ? 2000 + year : 1900 + year);
    }
    this.#adjustment += Math.floor(date.getTime() / 1000) - this.#seconds;
  }

  #raise(flag: number, enable: number): void {
    this.#flags |= flag;
    if (!(this.#cells[STATUS_B]! & enable)) return;
    this.#flags |= C_REQUEST;
    this.#line.set(true);
  }

  #schedulePeriodic(): void {
    if (this.#periodic) this.#clock.cancel(this.#periodic);
    this.#periodic = undefined;
    const rate = this.#cells[STATUS_A]! & 15;
    if (!(this.#cells[STATUS_B]! & B_PERIODIC) || rate === 0) return;
    // Rates 1 and 2 repeat 8 and 9 with the 32.768 kHz crystal.
    const periodTicks = 2 ** ((rate <= 2 ? rate + 7 : rate) - 1);
    const ticks = (this.#clock.now * CRYSTAL_HERTZ) / this.#clock.frequency;
    const next = (Math.floor(ticks / periodTicks) + 1) * periodTicks;
    const cycle = Math.ceil((next * this.#clock.frequency) / CRYSTAL_HERTZ);
    this.#periodic = this.#clock.schedule(Math.max(cycle, this.#clock.now + 1), this.#reachPeriod);
  }

  readonly #reachPeriod = (): void => {
    this.#raise(C_PERIODIC, B_PERIODIC);
    this.#schedulePeriodic();
  };

  #scheduleUpdate(): void {
    if (this.#update) this.#clock.cancel(this.#update);
    this.#update = undefined;
    const status = this.#cells[STATUS_B]!;
    if (!(status & (B_UPDATE_ENDED | B_ALARM)) || status & B_HOLD) return;
    const frequency = this.#clock.frequency;
    const cycle = (Math.floor(this.#clock.now / frequency) + 1) * frequency;
    this.#update = this.#clock.schedule(cycle, this.#reachUpdate);
  }

  /** Is the alarm set for the second that has come? */
  #isAlarm(): boolean {
    const date = new Date(this.#seconds * 1000);
    const is = (register: number, now: number) => {
      const wanted = this.#cells[register]!;
      return wanted >= ANY || wanted === now;
    };
    return (
      is(0x01, this.#encode(date.getUTCSeconds())) &&
      is(0x03, this.#encode(date.getUTCMinutes())) &&
      is(0x05, this.#encodeHour(date.getUTCHours()))
    );
  }

  readonly #reachUpdate = (): void => {
    if (this.#cells[STATUS_B]! & B_UPDATE_ENDED) this.#raise(C_UPDATE_ENDED, B_UPDATE_ENDED);
    if (this.#cells[STATUS_B]! & B_ALARM && this.#isAlarm()) this.#raise(C_ALARM, B_ALARM);
    this.#scheduleUpdate();
  };

  state(): DeviceState {
    return {
      cells: [...this.#cells],
      index: this.#index,
      adjustment: this.#adjustment,
      flags: this.#flags,
      events: [eventState(this.#periodic), eventState(this.#update)],
    };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "clock");
    const cells = reader.bytes("cells", 128, "exactly");
    const index = reader.number("index", 0x7f);
    const adjustment = reader.integer("adjustment");
    const flags = reader.number("flags", 0xff);
    const [periodic, update] = reader.events("events", 2, this.#clock.now);
    this.#cells.set(cells);
    this.#index = index;
    this.#adjustment = adjustment;
    this.#flags = flags;
    this.#periodic = periodic && this.#clock.resume(periodic, this.#reachPeriod);
    this.#update = update && this.#clock.resume(update, this.#reachUpdate);
  }
}
