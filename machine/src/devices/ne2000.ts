/**
 * An NE2000 network card on the PCI bus: a DP8390 controller, 32 KB of packet memory and a station address ROM behind a data port. Source:
 * National Semiconductor DP8390D data sheet (section numbers below), Realtek RTL8029AS data sheet for the PCI side; identity and
 * memory as QEMU's `ne2k_pci`.
 *
 *   ports of the region                            the card's own memory, reached through the data port
 *   00-0f  registers of the page in CR bits 7-6    0000-001f  ROM: each address byte twice, "WW" at the end
 *   10-17  data port: 1, 2 or 4 bytes              4000-bfff  packet memory; everything else reads as ones
 *   18-1f  reading resets the card
 *
 * The registers are in ne2000-registers.ts.
 *
 * Decisions:
 * - A frame takes the time of its bits at 10 Mbit/s, preamble and check sequence included, and reaches the host when it ends. The line has no
 *   collisions and no damaged frames. Frames are without their check sequence; the length in the ring counts its four bytes, and they read
 *   as zero there.
 * - Frames from the host enter at the cycle that they come with. One that finds the card stopped is lost; one that finds no room in the ring is
 *   lost and counted (§7.0, §10.3).
 * - In loopback (TCR bits 2-1) a frame stays in the card and is not received either.
 * - The FIFO reads as zero, and CR's command "send packet" moves nothing: QEMU has neither, and no driver uses them. Remote
 *   DMA is done as fast as the guest moves it, so the wait between its end and RDC is none.
 */
import type { Clock, ClockEvent } from "../contract.ts";
import {
  FRAME_HEADER,
  isFrameLength,
  LONGEST_FRAME,
  multicastHash,
  SHORTEST_FRAME,
} from "../network/frame.ts";
import {
  CR_ABORT,
  CR_REMOTE,
  CR_REMOTE_READ,
  CR_REMOTE_WRITE,
  CR_START,
  CR_STOP,
  CR_TRANSMIT,
  DCR_WORDS,
  ISR_COUNTERS,
  ISR_OVERWRITE,
  ISR_RECEIVED,
  ISR_REMOTE_DONE,
  ISR_RESET,
  ISR_TRANSMITTED,
  RCR_BROADCAST,
  RCR_MONITOR,
  RCR_MULTICAST,
  RCR_PROMISCUOUS,
  REGISTERS,
  type Registers,
  RSR_GROUP,
  RSR_INTACT,
  RSR_MISSED,
  TCR_LOOPBACK,
  TSR_SENT,
} from "./ne2000-registers.ts";
import { firmwareLine, PciFunction, type RegionDevice } from "./pci.ts";
import type { AccessSize, DeviceState, InterruptLine, StatefulDevice } from "./ports.ts";
import { allOnes, joinBytes } from "./ports.ts";
import { eventState, StateError, StateReader } from "./state-reader.ts";

const ROM_BYTES = 32;
const MEMORY_START = 0x4000;
const MEMORY_END = 0xc000;

const CHECK_SEQUENCE = 4;
const RING_HEADER = 4;
/** Preamble and start of frame, sent before each frame (§4.0). */
const PREAMBLE = 8;
const BITS_PER_SECOND = 10_000_000;
/** Tally counters stop there; at 192 they ask for an interrupt (§10.3). */
const TALLY_LIMIT = 0xff;
const TALLY_ALARM = 0xc0;

/** The far end of the card's cable. */
export interface NetworkHost {
  /** A whole frame, without check sequence, when its last bit has left. */
  frame(bytes: Uint8Array): void;
}

export interface Ne2000Options {
  /** Six bytes. */
  readonly stationAddress: readonly number[];
}

interface Arrival {
  readonly frame: Uint8Array;
  event: ClockEvent;
}

export class Ne2000 implements RegionDevice, StatefulDevice {
  readonly #clock: Clock;
  readonly #line: InterruptLine;
  readonly #host: NetworkHost;
  readonly #rom = new Uint8Array(ROM_BYTES);
  readonly #memory = new Uint8Array(MEMORY_END - MEMORY_START);

  readonly #r: Registers = {
    ...{ command: CR_ABORT | CR_STOP, status: ISR_RESET, mask: 0 },
    ...{ pageStart: 0, pageStop: 0, boundary: 0, current: 0 },
    ...{ transmitPage: 0, transmitCount: 0, transmitStatus: 0, receiveStatus: 0 },
    ...{ receiveConfiguration: 0, transmitConfiguration: 0, dataConfiguration: 0 },
    ...{ remoteAddress: 0, remoteCount: 0 },
  };
  readonly #station = new Uint8Array(6);
  readonly #multicast = new Uint8Array(8);
  /** Alignment errors, check errors, missed frames. */
  readonly #tallies = new Uint8Array(3);
  #departure: ClockEvent | undefined;
  /** Frames that the host has sent and that have not arrived. */
  #arrivals: Arrival[] = [];

  constructor(clock: Clock, line: InterruptLine, host: NetworkHost, options: Ne2000Options) {
    this.#clock = clock;
    this.#line = line;
    this.#host = host;
    for (const [i, byte] of options.stationAddress.entries()) this.#rom.fill(byte, 2 * i, 2 * i + 2);
    this.#rom.fill(0x57, 28);
  }

  /** The card's place on the bus. */
  configuration(device: number, base: number): PciFunction {
    const fn = new PciFunction({ vendor: 0x10ec, device: 0x8029, classCode: 0x020000 });
    fn.setInitial(0x2c, 4, 0x1100_1af4);
    fn.setInitial(0x3c, 2, 0x0100 | firmwareLine(device));
    fn.setRegion(0, { kind: "ports", size: 0x100, base, device: this });
    return fn;
  }

  /** A frame from the network that arrives at `cycle`, or at once when that is past. Its length is that of an Ethernet frame. */
  input(frame: Uint8Array, cycle: number): void {
    if (!isFrameLength(frame.length))
      throw new RangeError(
        `a frame of ${frame.length} bytes: Ethernet has ${FRAME_HEADER} to ${LONGEST_FRAME}`,
      );
    const whole = new Uint8Array(Math.max(frame.length, SHORTEST_FRAME));
    whole.set(frame);
    const at = Math.max(cycle, this.#clock.now);
    const arrival: Arrival = { frame: whole, event: this.#clock.schedule(at, () => this.#arrive(arrival)) };
    this.#arrivals.push(arrival);
  }

  #arrive(arrival: Arrival): void {
    this.#arrivals = this.#arrivals.filter((each) => each !== arrival);
    this.#receive(arrival.frame);
  }

  readRegion(offset: number, size: AccessSize): number {
    if (offset >= 0x10 && offset < 0x18) return this.#readData(size);
    return joinBytes(size, (i) => this.#readByte(offset + i));
  }

  writeRegion(offset: number, size: AccessSize, value: number): void {
    if (offset >= 0x10 && offset < 0x18) this.#writeData(size, value);
    else
      for (let i = 0; i < size; i++)
        if (offset + i < 0x10) this.#writeRegister(offset + i, (value >>> (8 * i)) & 0xff);
  }

  #readByte(offset: number): number {
    if (offset < 0x10) return this.#readRegister(offset);
    if (offset >= 0x18 && offset < 0x20) this.#reset();
    return offset < 0x20 ? 0 : 0xff;
  }

  #reset(): void {
    this.#r.status = ISR_RESET;
    this.#stop();
    this.#r.mask = 0;
    this.#drive();
  }

  /** What CR's stop bit does: nothing leaves or enters any more. */
  #stop(): void {
    this.#r.command = CR_ABORT | CR_STOP;
    if (this.#departure) this.#clock.cancel(this.#departure);
    this.#departure = undefined;
    this.#r.status |= ISR_RESET;
  }

  #drive(): void {
    this.#line.set((this.#r.status & this.#r.mask & 0x7f) !== 0);
  }

  #request(cause: number): void {
    this.#r.status |= cause;
    this.#drive();
  }

  #readRegister(register: number): number {
    if (register === 0) return this.#r.command;
    switch (this.#r.command >> 6) {
      case 0:
        return this.#readPage0(register);
      case 1:
        if (register <= 6) return this.#station[register - 1]!;
        return register === 7 ? this.#r.current : this.#multicast[register - 8]!;
      case 2:
        return this.#readPage2(register);
      default:
        return 0;
    }
  }

  #readPage0(register: number): number {
    switch (register) {
      case 0x01:
        return 0;
      case 0x02:
        return this.#r.current;
      case 0x03:
        return this.#r.boundary;
      case 0x04:
        return this.#r.transmitStatus;
      case 0x07:
        return this.#r.status;
      case 0x08:
        return this.#r.remoteAddress & 0xff;
      case 0x09:
        return this.#r.remoteAddress >> 8;
      case 0x0a:
        return 0x50;
      case 0x0b:
        return 0x43;
      case 0x0c:
        return this.#r.receiveStatus;
      case 0x0d:
      case 0x0e:
      case 0x0f: {
        const tally = this.#tallies[register - 0x0d]!;
        this.#tallies[register - 0x0d] = 0;
        return tally;
      }
      default:
        return 0;
    }
  }

  #readPage2(register: number): number {
    switch (register) {
      case 0x01:
        return this.#r.pageStart;
      case 0x02:
        return this.#r.pageStop;
      case 0x04:
        return this.#r.transmitPage;
      case 0x0c:
        return this.#r.receiveConfiguration;
      case 0x0d:
        return this.#r.transmitConfiguration;
      case 0x0e:
        return this.#r.dataConfiguration;
      case 0x0f:
        return this.#r.mask;
      default:
        return 0;
    }
  }

  #writeRegister(register: number, value: number): void {
    if (register === 0) this.#writeCommand(value);
    else if (this.#r.command >> 6 === 0) this.#writePage0(register, value);
    else if (this.#r.command >> 6 === 1) {
      if (register <= 6) this.#station[register - 1] = value;
      else if (register === 7) this.#r.current = value;
      else this.#multicast[register - 8] = value;
    }
  }

  #writePage0(register: number, value: number): void {
    switch (register) {
      case 0x01:
        this.#r.pageStart = value;
        return;
      case 0x02:
        this.#r.pageStop = value;
        return;
      case 0x03:
        this.#r.boundary = value;
        return;
      case 0x04:
        this.#r.transmitPage = value;
        return;
      case 0x05:
        this.#r.transmitCount = (this.#r.transmitCount & 0xff00) | value;
        return;
      case 0x06:
        this.#r.transmitCount = (this.#r.transmitCount & 0xff) | (value << 8);
        return;
      case 0x07:
        // The reset bit is a state, which no write clears.
        this.#r.status &= ~(value & 0x7f);
        this.#drive();
        return;
      case 0x08:
        this.#r.remoteAddress = (this.#r.remoteAddress & 0xff00) | value;
        return;
      case 0x09:
        this.#r.remoteAddress = (this.#r.remoteAddress & 0xff) | (value << 8);
        return;
      case 0x0a:
        this.#r.remoteCount = (this.#r.remoteCount & 0xff00) | value;
        return;
      case 0x0b:
        this.#r.remoteCount = (this.#r.remoteCount & 0xff) | (value << 8);
        return;
      case 0x0c:
        this.#r.receiveConfiguration = value & 0x3f;
        return;
      case 0x0d:
        this.#r.transmitConfiguration = value & 0x1f;
        return;
      case 0x0e:
        this.#r.dataConfiguration = value & 0x7f;
        return;
      case 0x0f:
        this.#r.mask = value & 0x7f;
        this.#drive();
        return;
    }
  }

  #writeCommand(value: number): void {
    if (value & CR_STOP) {
      this.#stop();
      this.#r.command = (value & ~(CR_START | CR_TRANSMIT)) | CR_STOP;
      return;
    }
    this.#r.command = value | (this.#r.command & CR_TRANSMIT);
    if (value & CR_START) this.#r.status &= ~ISR_RESET;
    const remote = value & CR_REMOTE;
    if ((remote === CR_REMOTE_READ || remote === CR_REMOTE_WRITE) && this.#r.remoteCount === 0)
      this.#request(ISR_REMOTE_DONE);
    if (value & CR_TRANSMIT && !this.#departure) this.#startTransmission();
    this.#drive();
  }

  #cycles(bytes: number): number {
    return Math.ceil((bytes * 8 * this.#clock.frequency) / BITS_PER_SECOND);
  }

  #startTransmission(): void {
    this.#r.transmitStatus = 0;
    const bytes = PREAMBLE + this.#r.transmitCount + CHECK_SEQUENCE;
    this.#departure = this.#clock.schedule(this.#clock.now + this.#cycles(bytes), this.#depart);
  }

  readonly #depart = (): void => {
    this.#departure = undefined;
    this.#r.command &= ~CR_TRANSMIT;
    this.#r.transmitStatus = TSR_SENT;
    const start = this.#r.transmitPage << 8;
    const frame = Uint8Array.from({ length: this.#r.transmitCount }, (_, i) => this.#load(start + i));
    if ((this.#r.transmitConfiguration & TCR_LOOPBACK) === 0) this.#host.frame(frame);
    this.#request(ISR_TRANSMITTED);
  };

  #load(address: number): number {
    if (address < ROM_BYTES) return this.#rom[address]!;
    if (address >= MEMORY_START && address < MEMORY_END) return this.#memory[address - MEMORY_START]!;
    return 0xff;
  }

  #store(address: number, value: number): void {
    if (address >= MEMORY_START && address < MEMORY_END) this.#memory[address - MEMORY_START] = value;
  }

  /** Bytes that an access of the data port moves: a word at most unless it is 32 bits wide, a byte in byte mode (DCR bit 0). */
  #width(size: AccessSize): AccessSize {
    if (size === 4) return 4;
    return this.#r.dataConfiguration & DCR_WORDS ? 2 : 1;
  }

  #remoteIs(direction: number): boolean {
    return (this.#r.command & CR_REMOTE) === direction && this.#r.remoteCount > 0;
  }

  #readData(size: AccessSize): number {
    if (!this.#remoteIs(CR_REMOTE_READ)) return allOnes(size);
    const width = this.#width(size);
    const value = joinBytes(width, (i) => this.#load(this.#r.remoteAddress + i));
    this.#advance(width);
    return width > size ? value & 0xff : value;
  }

  #writeData(size: AccessSize, value: number): void {
    if (!this.#remoteIs(CR_REMOTE_WRITE)) return;
    const width = this.#width(size);
    for (let i = 0; i < width; i++) this.#store(this.#r.remoteAddress + i, (value >>> (8 * i)) & 0xff);
    this.#advance(width);
  }

  #advance(width: number): void {
    this.#r.remoteAddress = (this.#r.remoteAddress + width) & 0xffff;
    if (this.#r.remoteAddress === this.#r.pageStop << 8) this.#r.remoteAddress = this.#r.pageStart << 8;
    this.#r.remoteCount = Math.max(0, this.#r.remoteCount - width);
    if (this.#r.remoteCount === 0) this.#request(ISR_REMOTE_DONE);
  }

  #accepts(frame: Uint8Array): boolean {
    if (this.#r.receiveConfiguration & RCR_PROMISCUOUS) return true;
    const destination = frame.subarray(0, 6);
    if (destination.every((byte) => byte === 0xff))
      return (this.#r.receiveConfiguration & RCR_BROADCAST) !== 0;
    if (destination[0]! & 1) {
      if ((this.#r.receiveConfiguration & RCR_MULTICAST) === 0) return false;
      const hash = multicastHash(destination);
      return (this.#multicast[hash >> 3]! & (1 << (hash & 7))) !== 0;
    }
    return destination.every((byte, i) => byte === this.#station[i]);
  }

  #miss(): void {
    const missed = Math.min(TALLY_LIMIT, this.#tallies[2]! + 1);
    this.#tallies[2] = missed;
    this.#r.receiveStatus |= RSR_MISSED;
    if (missed >= TALLY_ALARM) this.#request(ISR_COUNTERS);
  }

  /** Puts a frame into the ring (§7.0): a header, the frame, the check sequence, in pages from CURR on. */
  #receive(frame: Uint8Array): void {
    if ((this.#r.command & CR_START) === 0 || this.#r.status & ISR_RESET || !this.#accepts(frame)) return;
    if (this.#r.receiveConfiguration & RCR_MONITOR) {
      this.#miss();
      return;
    }
    const length = RING_HEADER + frame.length + CHECK_SEQUENCE;
    const pages = (length + 0xff) >> 8;
    const ring = this.#r.pageStop - this.#r.pageStart;
    const used = ring > 0 ? (((this.#r.current - this.#r.boundary) % ring) + ring) % ring : 0;
    // A ring whose boundary is CURR is empty; one whose next page would become the boundary is full.
    if (ring <= 0 || pages >= ring - used) {
      this.#miss();
      this.#request(ISR_OVERWRITE);
      return;
    }
    const next = this.#r.current + pages;
    const nextPage = next >= this.#r.pageStop ? next - ring : next;
    this.#r.receiveStatus = RSR_INTACT | (frame[0]! & 1 ? RSR_GROUP : 0);
    const contents = new Uint8Array(length);
    const counted = length - RING_HEADER;
    contents.set([this.#r.receiveStatus, nextPage, counted & 0xff, counted >> 8]);
    contents.set(frame, RING_HEADER);
    let address = this.#r.current << 8;
    for (const byte of contents) {
      this.#store(address++, byte);
      if (address === this.#r.pageStop << 8) address = this.#r.pageStart << 8;
    }
    this.#r.current = nextPage;
    this.#request(ISR_RECEIVED);
  }

  state(): DeviceState {
    return {
      registers: { ...this.#r },
      station: [...this.#station],
      multicast: [...this.#multicast],
      tallies: [...this.#tallies],
      rom: [...this.#rom],
      memory: [...this.#memory],
      departure: eventState(this.#departure),
      arrivals: this.#arrivals.map(({ frame, event }) => ({ frame: [...frame], event: eventState(event) })),
    };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "network");
    const saved = reader.object("registers");
    const registers = Object.fromEntries(
      Object.entries(REGISTERS).map(([name, most]) => [name, saved.number(name, most)]),
    );
    const station = reader.bytes("station", 6, "exactly");
    const multicast = reader.bytes("multicast", 8, "exactly");
    const tallies = reader.bytes("tallies", 3, "exactly");
    const memory = reader.bytes("memory", this.#memory.length, "exactly");
    const rom = reader.bytes("rom", ROM_BYTES, "exactly");
    if (rom.some((byte, i) => byte !== this.#rom[i]))
      throw new StateError("network.rom", "this machine's card has another station address");
    const departure = reader.event("departure", this.#clock.now);
    const arrivals = reader.objects("arrivals").map((arrival) => {
      const event = arrival.event("event", this.#clock.now);
      if (!event) throw new StateError("network.arrivals", "a frame has no time of arrival");
      return { frame: Uint8Array.from(arrival.bytes("frame", LONGEST_FRAME)), event };
    });
    Object.assign(this.#r, registers);
    this.#station.set(station);
    this.#multicast.set(multicast);
    this.#tallies.set(tallies);
    this.#memory.set(memory);
    this.#departure = departure && this.#clock.resume(departure, this.#depart);
    this.#arrivals = arrivals.map(({ frame, event }) => {
      const arrival: Arrival = { frame, event: this.#clock.resume(event, () => this.#arrive(arrival)) };
      return arrival;
    });
  }
}
