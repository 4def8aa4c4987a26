/**
 * The borders inside the machine: what a processor sees of its board, what a board sees of its processor,
 * and how both meet time. Everything in this folder runs in Node and in a browser; nothing here imports either.
 *
 * Time is a count of processor cycles since reset, held in a double (exact up to 2^53). The processor advances it;
 * devices read it through `Clock` and ask to be called at a later cycle through `Clock.schedule`. Nothing in the
 * machine reads the host's clock. Input from the host enters through a device's own input method and takes effect
 * at the cycle at which the run loop delivers it, so that a recording of (cycle, input) pairs replays a run exactly.
 */

/** A pending call made by the clock; opaque to its owner, who keeps it only to cancel it. */
export interface ClockEvent {
  readonly cycle: number;
  /** Place in the order of all `schedule` calls. */
  readonly order: number;
}

/** A pending event as a snapshot keeps it. */
export type SavedEvent = Pick<ClockEvent, "cycle" | "order">;

export interface Clock {
  /** Cycles since reset, including the instruction under way. */
  readonly now: number;
  /** Processor cycles in one second of guest time. */
  readonly frequency: number;
  /** Calls `action` at the first instruction boundary at or after `cycle`. Same-cycle events fire in call order. */
  schedule(cycle: number, action: () => void): ClockEvent;
  cancel(event: ClockEvent): void;
  /** Schedules an event again that a snapshot kept, in its old place among those of its cycle. */
  resume(saved: SavedEvent, action: () => void): ClockEvent;
}

/** Memory in which compiled code runs; a WebAssembly.Memory. */
export interface LinearMemory {
  readonly buffer: ArrayBuffer;
}

/** RAM, and in the same linear memory before it the processor's tables. */
export interface MachineMemory {
  readonly linear: LinearMemory;
  /** RAM starts at physical 0. */
  readonly ram: Uint8Array<ArrayBuffer>;
}

/** What the processor sees of the board. Addresses are physical, values unsigned. */
export interface Bus {
  readonly memory: MachineMemory;
  /** Accesses outside RAM: device memory, or an empty bus, which reads as all ones and ignores writes. */
  readPhysical(address: number, size: 1 | 2 | 4): number;
  writePhysical(address: number, size: 1 | 2 | 4, value: number): void;
  readPort(port: number, size: 1 | 2 | 4): number;
  writePort(port: number, size: 1 | 2 | 4, value: number): void;
  /** INTA cycle: the vector of the interrupt that the interrupt controller now delivers. */
  acknowledgeInterrupt(): number;
}

/** Why `Processor.run` returned. */
export type StopReason =
  | "cycle" // the given cycle was reached
  | "halted" // HLT with interrupts off and nothing that could end it, or nothing scheduled
  | "stopped" // somebody called `stop`
  | "breakpoint" // a host breakpoint or watchpoint (never patched into guest memory)
  | "shutdown"; // triple fault

/** What the board sees of the processor. */
export interface Processor {
  /** Level of the INTR pin, driven by the interrupt controller. */
  interruptLine: boolean;
  readonly clock: Clock;
  /** Instructions retired since reset. */
  readonly instructions: number;
  /** Runs until `untilCycle` or an earlier reason. Waits in HLT by advancing the clock to the next event. */
  run(untilCycle: number): StopReason;
  /** Ends `run` after the instruction under way. */
  stop(): void;
}
