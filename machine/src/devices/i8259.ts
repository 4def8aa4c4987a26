/**
 * The two 8259A interrupt controllers of a PC, as the PIIX3 bridge contains them: the slave's output is the master's
 * input 2. Source: Intel 8259A data sheet (231468), PIIX3 data sheet (290550) for the edge/level register.
 *
 *   port        read                     write
 *   0x20 0xa0   IRR or ISR (OCW3)        ICW1 (bit 4), OCW2 (bits 4-3 = 00), OCW3 (bits 4-3 = 01)
 *   0x21 0xa1   mask                     ICW2 to ICW4 after ICW1, else OCW1: mask
 *   0x4d0/1     edge (0) or level (1) of lines 0-7 / 8-15; ICW1's LTIM bit is ignored, as in the PIIX3
 *
 * Invariants:
 * - An edge-triggered request is withdrawn when its line falls before the acknowledge cycle (data sheet, "Edge and
 *   level triggered modes"); a level-triggered request is the line.
 * - The output to the processor is recomputed after every change; an acknowledge with nothing pending yields the
 *   spurious vector 7 of its chip and sets no in-service bit there.
 */
import type { BytePortDevice, DeviceState, InterruptLine, StatefulDevice } from "./ports.ts";
import { StateError, StateReader } from "./state-reader.ts";

const CASCADE = 2;
const SPURIOUS = 7;
/** Lines that are edge-triggered whatever the guest writes: timer, keyboard, cascade, real-time clock, coprocessor. */
const LEVEL_ALLOWED = [0xf8, 0xde];

class I8259 {
  requests = 0;
  inService = 0;
  mask = 0;
  /** Level of the input pins. */
  pins = 0;
  levelTriggered = 0;
  vectorBase = 0;
  /** The input with the lowest priority; the next one up, modulo 8, has the highest. */
  lowest = 7;
  autoEnd = false;
  rotateOnAutoEnd = false;
  specialMask = false;
  specialFullyNested = false;
  readInService = false;
  poll = false;
  /** Next initialisation word expected; 0 when operating. */
  initialising: 0 | 2 | 3 | 4 = 0;
  #expects3 = false;
  #expects4 = false;

  setPin(input: number, high: boolean): void {
    const bit = 1 << input;
    const was = (this.pins & bit) !== 0;
    this.pins = high ? this.pins | bit : this.pins & ~bit;
    if (!high) this.requests &= ~bit;
    else if (!was || this.levelTriggered & bit) this.requests |= bit;
  }

  /** The input to be served now, or -1. */
  pending(): number {
    const candidates = this.requests & ~this.mask;
    if (candidates === 0 || this.initialising !== 0) return -1;
    // In special mask mode a masked in-service level no longer holds back the lower ones.
    const blocking = this.specialMask ? this.inService & ~this.mask : this.inService;
    for (let i = 1; i <= 8; i++) {
      const input = (this.lowest + i) & 7;
      const bit = 1 << input;
      if (blocking & bit) {
        // Special fully nested: the slave may interrupt its own service with a higher request.
        return this.specialFullyNested && input === CASCADE && candidates & bit ? input : -1;
      }
      if (candidates & bit && !(this.inService & bit)) return input;
    }
    return -1;
  }

  /** INTA: takes the pending input into service and returns it; the spurious input when there is none. */
  acknowledge(): { readonly input: number; readonly spurious: boolean } {
    const input = this.pending();
    if (input < 0) return { input: SPURIOUS, spurious: true };
    const bit = 1 << input;
    if (!(this.levelTriggered & bit)) this.requests &= ~bit;
    if (!this.autoEnd) this.inService |= bit;
    else if (this.rotateOnAutoEnd) this.lowest = input;
    return { input, spurious: false };
  }

  /** The in-service input of highest priority that a non-specific end of interrupt clears, or -1. */
  #highestInService(): number {
    const candidates = this.specialMask ? this.inService & ~this.mask : this.inService;
    for (let i = 1; i <= 8; i++) {
      const input = (this.lowest + i) & 7;
      if (candidates & (1 << input)) return input;
    }
    return -1;
  }

  writeCommand(value: number): void {
    if (value & 0x10) this.#initialise(value);
    else if (value & 0x08) this.#operationWord3(value);
    else this.#operationWord2(value);
  }

  #initialise(value: number): void {
    this.mask = 0;
    this.inService = 0;
    // The edge latches are cleared: a line that is high must fall and rise again to request.
    this.requests = this.pins & this.levelTriggered;
    this.lowest = 7;
    this.autoEnd = false;
    this.rotateOnAutoEnd = false;
    this.specialMask = false;
    this.specialFullyNested = false;
    this.readInService = false;
    this.poll = false;
    this.#expects3 = (value & 0x02) === 0;
    this.#expects4 = (value & 0x01) !== 0;
    this.initialising = 2;
  }

  #operationWord2(value: number): void {
    const selected = value & 7;
    const rotate = (value & 0x80) !== 0;
    switch (value >> 5) {
      case 0: // rotate in automatic end mode: clear
      case 4: // … set
        this.rotateOnAutoEnd = rotate;
        break;
      case 1: // non-specific end of interrupt
      case 5: {
        const input = this.#highestInService();
        if (input < 0) break;
        this.inService &= ~(1 << input);
        if (rotate) this.lowest = input;
        break;
      }
      case 3: // specific end of interrupt
      case 7:
        this.inService &= ~(1 << selected);
        if (rotate) this.lowest = selected;
        break;
      case 6: // set priority
        this.lowest = selected;
        break;
    }
  }

  #operationWord3(value: number): void {
    if (value & 0x04) this.poll = true;
    if (value & 0x02) this.readInService = (value & 0x01) !== 0;
    if (value & 0x40) this.specialMask = (value & 0x20) !== 0;
  }

  writeData(value: number): void {
    switch (this.initialising) {
      case 0:
        this.mask = value;
        return;
      case 2:
        this.vectorBase = value & 0xf8;
        this.initialising = this.#expects3 ? 3 : this.#expects4 ? 4 : 0;
        return;
      case 3: // the wiring is fixed
        this.initialising = this.#expects4 ? 4 : 0;
        return;
      case 4:
        this.specialFullyNested = (value & 0x10) !== 0;
        this.autoEnd = (value & 0x02) !== 0;
        this.initialising = 0;
        return;
    }
  }

  state(): DeviceState {
    return {
      requests: this.requests,
      inService: this.inService,
      mask: this.mask,
      pins: this.pins,
      levelTriggered: this.levelTriggered,
      vectorBase: this.vectorBase,
      lowest: this.lowest,
      modes: [this.autoEnd, this.rotateOnAutoEnd, this.specialMask, this.specialFullyNested],
      reading: [this.readInService, this.poll],
      initialising: this.initialising,
      expects: [this.#expects3, this.#expects4],
    };
  }

  /** Checks all, then returns what takes it over. */
  readState(state: StateReader): () => void {
    const byte = (name: string) => state.number(name, 0xff);
    const requests = byte("requests");
    const inService = byte("inService");
    const mask = byte("mask");
    const pins = byte("pins");
    const levelTriggered = byte("levelTriggered");
    const vectorBase = byte("vectorBase");
    const lowest = state.number("lowest", 7);
    const [autoEnd, rotateOnAutoEnd, specialMask, specialFullyNested] = state.flags("modes", 4);
    const [readInService, poll] = state.flags("reading", 2);
    const [expects3, expects4] = state.flags("expects", 2);
    const initialising = state.number("initialising", 4);
    if (initialising === 1) throw new StateError("interrupts", "no initialisation word 1 is ever expected");
    return () => {
      this.requests = requests;
      this.inService = inService;
      this.mask = mask;
      this.pins = pins;
      this.levelTriggered = levelTriggered;
      this.vectorBase = vectorBase;
      this.lowest = lowest;
      this.autoEnd = autoEnd!;
      this.rotateOnAutoEnd = rotateOnAutoEnd!;
      this.specialMask = specialMask!;
      this.specialFullyNested = specialFullyNested!;
      this.readInService = readInService!;
      this.poll = poll!;
      this.initialising = initialising as 0 | 2 | 3 | 4;
      this.#expects3 = expects3!;
      this.#expects4 = expects4!;
    };
  }
}

export class InterruptControllers implements BytePortDevice, StatefulDevice {
  readonly #chips: readonly [I8259, I8259] = [new I8259(), new I8259()];
  readonly #output: (high: boolean) => void;

  /** `output` is the INTR wire to the processor. */
  constructor(output: (high: boolean) => void) {
    this.#output = output;
  }

  /** The request wire number `irq`, 0 to 15. Wire 2 is the cascade and belongs to no device. */
  line(irq: number): InterruptLine {
    if (irq < 0 || irq > 15 || irq === CASCADE) throw new RangeError(`no interrupt line ${irq}`);
    const chip = this.#chips[irq >> 3 === 0 ? 0 : 1];
    return {
      set: (high) => {
        chip.setPin(irq & 7, high);
        this.drive();
      },
    };
  }

  /** True when requests of this wire can reach the processor. */
  enabled(irq: number): boolean {
    const [master, slave] = this.#chips;
    if (irq < 8) return (master.mask & (1 << irq)) === 0;
    return (slave.mask & (1 << (irq & 7))) === 0 && (master.mask & (1 << CASCADE)) === 0;
  }

  /** INTA cycle: the vector. */
  acknowledge(): number {
    const [master, slave] = this.#chips;
    const first = master.acknowledge();
    let vector = master.vectorBase | first.input;
    if (!first.spurious && first.input === CASCADE) {
      vector = slave.vectorBase | slave.acknowledge().input;
      // The slave drops its output between two requests; the master, edge-triggered there, must see that.
      master.setPin(CASCADE, false);
    }
    this.drive();
    return vector;
  }

  /** Puts the pair's output on the processor's wire. */
  drive(): void {
    const [master, slave] = this.#chips;
    master.setPin(CASCADE, slave.pending() >= 0);
    this.#output(master.pending() >= 0);
  }

  readByte(port: number): number {
    if (port === 0x4d0 || port === 0x4d1) return this.#chips[port === 0x4d0 ? 0 : 1].levelTriggered;
    const chip = this.#chips[port < 0x80 ? 0 : 1];
    if (chip.poll) {
      // A poll is the acknowledge cycle by software: bit 7 tells whether there was a request.
      chip.poll = false;
      const { input, spurious } = chip.acknowledge();
      this.drive();
      return spurious ? 0 : 0x80 | input;
    }
    if (port & 1) return chip.mask;
    return chip.readInService ? chip.inService : chip.requests;
  }

  writeByte(port: number, value: number): void {
    if (port === 0x4d0 || port === 0x4d1) {
      const which = port === 0x4d0 ? 0 : 1;
      const chip = this.#chips[which];
      chip.levelTriggered = value & LEVEL_ALLOWED[which]!;
      chip.requests |= chip.pins & chip.levelTriggered;
    } else {
      const chip = this.#chips[port < 0x80 ? 0 : 1];
      if (port & 1) chip.writeData(value);
      else chip.writeCommand(value);
    }
    this.drive();
  }

  state(): DeviceState {
    return { master: this.#chips[0].state(), slave: this.#chips[1].state() };
  }

  restoreState(state: unknown): void {
    const reader = new StateReader(state, "interrupts");
    const restore = [
      this.#chips[0].readState(reader.object("master")),
      this.#chips[1].readState(reader.object("slave")),
    ];
    for (const each of restore) each();
  }
}
