/**
 * Several machines on one switch, in lock-step: a run of them is a function of what goes into it, like that of a single machine.
 *
 * A frame arrives `latency` cycles after its last bit has left its sender. All machines run that many cycles at a time, so no frame can
 * arrive in a round in which it left, and the order in which the host runs the machines does not show. Frames of the same cycle
 * arrive in the order of their senders.
 */
import { EthernetSwitch } from "./ethernet-switch.ts";

/** What the network needs of a machine. */
export interface NetworkedMachine {
  readonly cycle: number;
  /** Set when the run is over. */
  readonly end: unknown;
  run(untilCycle: number): { readonly reason: string };
  networkInput(frame: Uint8Array, cycle: number): void;
}

interface SentFrame {
  readonly bytes: Uint8Array;
  readonly cycle: number;
  readonly send: (frame: Uint8Array) => void;
}

/** 100 µs of a 75 MHz machine. */
export const DEFAULT_LATENCY = 7_500;

export class MachineNetwork {
  readonly #latency: number;
  readonly #switch = new EthernetSwitch();
  readonly #machines: NetworkedMachine[] = [];
  #sent: SentFrame[] = [];
  /** Arrival of the frame that the switch is handing on. */
  #arrival = 0;
  #now = 0;

  /** `latency`: cycles from a frame's end at its sender to its arrival. */
  constructor(latency = DEFAULT_LATENCY) {
    if (!(Number.isSafeInteger(latency) && latency > 0))
      throw new RangeError(`a latency of ${latency} cycles: it must be a whole number above 0`);
    this.#latency = latency;
  }

  /** Adds a machine that stands at the network's cycle; `create` gets what its card sends frames to. */
  add<T extends NetworkedMachine>(create: (output: (frame: Uint8Array) => void) => T): T {
    let machine: T | undefined;
    const port = this.#switch.connect((frame) => machine?.networkInput(frame, this.#arrival));
    const added = create((frame) => {
      if (machine) this.#sent.push({ bytes: frame.slice(), cycle: machine.cycle, send: port.send });
    });
    machine = added;
    this.#machines.push(added);
    return added;
  }

  get cycle(): number {
    return this.#now;
  }

  /** Runs all machines to `untilCycle`, or until each has ended. */
  run(untilCycle: number): void {
    while (this.#now < untilCycle && this.#machines.some((machine) => !machine.end)) {
      const until = Math.min(this.#now + this.#latency, untilCycle);
      for (const machine of this.#machines) if (!machine.end) machine.run(until);
      this.#now = until;
      // The sort is stable: equal cycles stay in the order of the machines.
      const sent = this.#sent.sort((a, b) => a.cycle - b.cycle);
      this.#sent = [];
      for (const { bytes, cycle, send } of sent) {
        this.#arrival = cycle + this.#latency;
        send(bytes);
      }
    }
  }
}
