/**
 * The set-top box: a 75 MHz Pentium on a PC board with the devices that QEMU's `pc` also has, so that one image boots on both, and
 * our monitor port.
 *
 *   physical memory                               interrupt lines
 *   0x00000000  RAM, `memory` bytes               0  timer counter 0
 *   0x000a0000    … of it: VGA memory, 128 KB     1  keyboard controller
 *   0x000c0000    … of it: shadow RAM, zero       4  first serial port
 *   0xfd000000  frame memory, 16 MB               8  real-time clock
 *   0xfebd0000  registers of the display          10, 11  PCI bus
 *   else        empty: all ones
 *
 *   PCI bus     00.0 host bridge, 01.0 ISA bridge, 01.3 power management, 02.0 display, 03.0 network card, when there is a network
 *
 * The hole below 1 MB is ordinary RAM here, which the memory map reserves: VGA text memory is plain device memory that the host
 * reads, and firmware ROM is shadow RAM that nobody protects.
 *
 * Invariants: A20 is open. Nothing outside `serialInput`, `keyInput` and `networkInput` brings host data in; the first two take effect
 * in the cycle in which they are called, the third in the cycle that it names, so equal calls at equal cycles give equal runs.
 */

import { EventClock } from "../clock.ts";
import type { Bus, StopReason } from "../contract.ts";
import { DEBUG_CONSOLE_PORT, DebugConsole } from "../devices/debug-console.ts";
import { DebugExit } from "../devices/debug-exit.ts";
import { DISPLAY_INDEX_PORT, Display } from "../devices/display.ts";
import { IntervalTimer } from "../devices/i8254.ts";
import { InterruptControllers } from "../devices/i8259.ts";
import { KeyboardController } from "../devices/keyboard-controller.ts";
import { MONITOR_PORT, MONITOR_PORTS, MonitorPort } from "../devices/monitor.ts";
import { Ne2000 } from "../devices/ne2000.ts";
import { hostBridge, isaBridge, PciConfiguration, PciInterrupts, powerManagement } from "../devices/pci.ts";
import { type DeviceState, PortMap, type StatefulDevice } from "../devices/ports.ts";
import { RealTimeClock } from "../devices/real-time-clock.ts";
import { StateError, StateReader } from "../devices/state-reader.ts";
import { POWER_PORT, PowerManagement, SystemPorts } from "../devices/system-ports.ts";
import { Uart16550 } from "../devices/uart16550.ts";
import { VgaText } from "../devices/vga-text.ts";
import { createMachineMemory } from "../i386/core.ts";
import type { CycleModelName } from "../i386/cycles.ts";
import type { CompilerOptions } from "../i386/jit/compiler.ts";
import { Pentium } from "../i386/pentium.ts";
import type { ProcessorState } from "../i386/processor-state.ts";
import type { ProcessorStatistics } from "../i386/statistics.ts";
import { fillMemory, readSnapshot, SnapshotError, writeSnapshot } from "../snapshot/format.ts";
import { initialiseAsFirmware } from "./firmware.ts";
import { layOutMultiboot, MULTIBOOT_MAGIC, type MultibootModule } from "./multiboot.ts";
import { PhaseRecord, type RecordedPhase } from "./phases.ts";
import { StateHash } from "./state-hash.ts";

const DEFAULT_MEMORY = 16 * 2 ** 20;
const FREQUENCY = 75_000_000;
/** isa-debug-exit as the kernels of QEMU's users expect it. */
const DEBUG_EXIT_PORT = 0xf4;
const DISPLAY_SLOT = 2;
const FRAME_MEMORY = 0xfd00_0000;
const DISPLAY_REGISTERS = 0xfebd_0000;
const NETWORK_SLOT = 3;
const NETWORK_PORTS = 0xc000;
export const STATION_ADDRESS: readonly number[] = [0x52, 0x54, 0x00, 0x12, 0x34, 0x56];

export interface PentiumPcOptions {
  /** Bytes of RAM, a multiple of 4096, at least 2 MB. Default 16 MB. */
  readonly memory?: number;
  /** Whether hot code is compiled to WebAssembly; the result of a run is the same. Default off. */
  readonly jit?: "on" | "off";
  /** What cycles are counted by, see `cycles.ts`. Default `fast`. */
  readonly cycleModel?: CycleModelName;
  /** When and how much is compiled. */
  readonly compiler?: CompilerOptions;
  /** Cycles in a second. Default 75 MHz. */
  readonly frequency?: number;
  /** Pace of the serial line, see `Uart16550`. */
  readonly serialPace?: "fast" | "divisor";
  /** Gets each byte that the guest sends through the first serial port. */
  readonly serialOutput?: (byte: number) => void;
  /** Gets each byte that the guest writes to port 0xe9. */
  readonly debugOutput?: (byte: number) => void;
  /** A network that the machine's card is on. Without one there is no card. */
  readonly network?: NetworkOptions;
}

export interface NetworkOptions {
  /** The card's address, six bytes. Default 52:54:00:12:34:56. */
  readonly stationAddress?: readonly number[];
  /** Gets each frame that the guest sends, without its check sequence, at the cycle in which its last bit has left. */
  readonly output: (frame: Uint8Array) => void;
}

/** Why the machine will not go on. */
export type PcEnd =
  | { readonly reason: "exit"; readonly status: number; readonly device: "debug-exit" | "monitor" }
  | { readonly reason: "power-off" }
  | { readonly reason: "reset" }
  | { readonly reason: "shutdown" }
  /** HLT with interrupts off. */
  | { readonly reason: "halted" };

/** Why `run` returned; "waiting" is HLT with interrupts on and nothing scheduled: only input can wake the guest. */
export type PcStop = { readonly reason: "cycle" | "waiting" | "breakpoint" | "stopped" } | PcEnd;

export interface PcStatistics extends ProcessorStatistics {
  readonly model: string;
  readonly frequency: number;
  readonly memory: number;
  /** Phases that the guest has marked. */
  readonly phases: readonly RecordedPhase[];
  /** The guest's own counters, as it last published them. */
  readonly counters: Readonly<Record<string, number>>;
}

const BOARD = "pentium";

interface MachineState {
  readonly processor: ProcessorState;
  /** Events scheduled since the start. */
  readonly scheduled: number;
  readonly devices: DeviceState;
}

function otherMachine(then: string, here: string): SnapshotError {
  return new SnapshotError(
    "other machine",
    `the snapshot is of a machine with ${then}, and this one has ${here}: make the machine alike`,
  );
}

function readEnd(value: unknown): PcEnd | undefined {
  if (value === null) return undefined;
  const state = new StateReader(value, "end");
  const reason = state.text("reason");
  switch (reason) {
    case "exit": {
      const device = state.text("device");
      if (device !== "monitor" && device !== "debug-exit") break;
      return { reason, device, status: state.number("status", 0xff) };
    }
    case "power-off":
    case "reset":
    case "shutdown":
    case "halted":
      return { reason };
  }
  throw new StateError("end", "no machine ends that way");
}

export interface LoadOptions {
  readonly modules?: readonly MultibootModule[];
  /** What the kernel finds as its command line, whole. */
  readonly commandLine?: string;
}

export class PentiumPc {
  readonly frequency: number;
  readonly ram: Uint8Array<ArrayBuffer>;
  readonly ramView: DataView;
  /** Bytes of RAM. */
  readonly memoryBytes: number;
  readonly processor: Pentium;
  readonly vga: VgaText;
  readonly display: Display;
  /** What the guest has told through the monitor port. */
  readonly phases: PhaseRecord;
  /** Set when the run is over. */
  end: PcEnd | undefined;

  readonly #clock: EventClock;
  readonly #interrupts: InterruptControllers;
  readonly #serial: Uart16550;
  readonly #keyboard: KeyboardController;
  readonly #network: Ne2000 | undefined;
  /** Everything that has state, in a fixed order. */
  readonly #devices: ReadonlyArray<readonly [name: string, device: StatefulDevice]>;

  constructor(options: PentiumPcOptions = {}) {
    const memory = options.memory ?? DEFAULT_MEMORY;
    if (memory < 2 * 2 ** 20 || memory % 4096 !== 0 || memory >= 2 ** 32) {
      throw new RangeError(`memory of ${memory} bytes: it must be a multiple of 4096, 2 MB to 4 GB`);
    }
    this.frequency = options.frequency ?? FREQUENCY;
    this.memoryBytes = memory;
    const machineMemory = createMachineMemory(memory);
    this.ram = machineMemory.ram;
    this.ramView = new DataView(this.ram.buffer, this.ram.byteOffset, this.ram.byteLength);
    this.#clock = new EventClock(this.frequency);
    const clock = this.#clock;

    const interrupts = new InterruptControllers((high) => {
      this.processor.interruptLine = high;
    });
    this.#interrupts = interrupts;
    const finish = (end: PcEnd) => this.#finish(end);
    const reset = () => finish({ reason: "reset" });
    const pci = new PciConfiguration(reset);
    const ports = new PortMap({
      readPort: (port, size) => pci.readRegion("ports", port, size),
      writePort: (port, size, value) => pci.writeRegion("ports", port, size, value),
    });
    const bus: Bus = {
      memory: machineMemory,
      readPhysical: (address, size) => pci.readRegion("memory", address, size),
      writePhysical: (address, size, value) => pci.writeRegion("memory", address, size, value),
      readPort: (port, size) => ports.read(port, size),
      writePort: (port, size, value) => ports.write(port, size, value),
      acknowledgeInterrupt: () => interrupts.acknowledge(),
    };
    this.processor = new Pentium(bus, clock, {
      cycleModel: options.cycleModel ?? "fast",
      compiler: options.jit === "on" ? (options.compiler ?? {}) : null,
    });
    this.phases = new PhaseRecord(() => this.processor.statistics());

    const timer = new IntervalTimer(clock, interrupts.line(0));
    const system = new SystemPorts(timer, reset);
    const bridge = isaBridge();
    const pciInterrupts = new PciInterrupts(bridge, (line) => interrupts.line(line));
    pci.attach(0, 0, hostBridge());
    pci.attach(1, 0, bridge);
    pci.attach(1, 3, powerManagement());
    const power = new PowerManagement(() => finish({ reason: "power-off" }));
    const clockChip = new RealTimeClock(clock, interrupts.line(8), memory);
    const monitor = new MonitorPort(clock, {
      mark: (mark) => this.phases.mark(mark),
      counter: (name, value) => this.phases.counter(name, value),
      resume: () => this.phases.resume(),
      end: (status) => finish({ reason: "exit", status, device: "monitor" }),
    });
    this.#keyboard = new KeyboardController(interrupts.line(1), reset);
    this.#serial = new Uart16550(
      clock,
      interrupts.line(4),
      { output: options.serialOutput ?? (() => {}) },
      { pace: options.serialPace ?? "fast" },
    );
    this.vga = new VgaText(clock, this.ram);
    this.display = new Display(this.vga);
    pci.attach(DISPLAY_SLOT, 0, this.display.configuration(FRAME_MEMORY, DISPLAY_REGISTERS));
    if (options.network) {
      const { output, stationAddress = STATION_ADDRESS } = options.network;
      const pin = pciInterrupts.pin(NETWORK_SLOT);
      this.#network = new Ne2000(clock, pin, { frame: output }, { stationAddress });
      pci.attach(NETWORK_SLOT, 0, this.#network.configuration(NETWORK_SLOT, NETWORK_PORTS));
    }

    ports.connectBytes(0x20, 2, interrupts);
    ports.connectBytes(0xa0, 2, interrupts);
    ports.connectBytes(0x4d0, 2, interrupts);
    ports.connectBytes(0x40, 4, timer);
    ports.connectBytes(0x61, 1, system);
    ports.connectBytes(0x80, 1, system);
    ports.connectBytes(0x92, 1, system);
    ports.connectBytes(0x60, 1, this.#keyboard);
    ports.connectBytes(0x64, 1, this.#keyboard);
    ports.connectBytes(0x70, 2, clockChip);
    ports.connectBytes(0x3c0, 0x20, this.vga);
    ports.connect(DISPLAY_INDEX_PORT, 3, this.display);
    ports.connectBytes(0x3f8, 8, this.#serial);
    ports.connectBytes(DEBUG_CONSOLE_PORT, 1, new DebugConsole(options.debugOutput ?? (() => {})));
    ports.connect(
      DEBUG_EXIT_PORT,
      4,
      new DebugExit((status) => finish({ reason: "exit", status, device: "debug-exit" })),
    );
    ports.connect(POWER_PORT, 8, power);
    ports.connect(0xcf8, 8, pci);
    ports.connect(MONITOR_PORT, MONITOR_PORTS, monitor);
    initialiseAsFirmware(ports);
    this.#devices = [
      ["interrupts", interrupts],
      ["timer", timer],
      ["serial", this.#serial],
      ["keyboard", this.#keyboard],
      ["clock", clockChip],
      ["system", system],
      ["power", power],
      ["pci", pci],
      ["pciInterrupts", pciInterrupts],
      ["vga", this.vga],
      ["display", this.display],
      ["monitor", monitor],
      ...(this.#network ? ([["network", this.#network]] as const) : []),
    ];
  }

  #finish(end: PcEnd): void {
    this.end ??= end;
    this.processor.stop();
  }

  /** Puts the kernel and its modules into memory and the processor at its entry. Throws `MultibootError`. */
  loadMultiboot(kernel: Uint8Array, options: LoadOptions = {}): void {
    const image = layOutMultiboot(kernel, {
      memory: this.memoryBytes,
      modules: options.modules ?? [],
      commandLine: options.commandLine ?? "",
    });
    const { ram } = this;
    for (const { address, size } of image.zeroed) ram.fill(0, address, address + size);
    for (const { address, bytes } of image.pieces) ram.set(bytes, address);
    this.processor.enterFlat(image.entry, { eax: MULTIBOOT_MAGIC, ebx: image.information });
    this.#interrupts.drive();
  }

  get cycle(): number {
    return this.#clock.now;
  }

  /** Cycle at which a device acts next; Infinity when none will. */
  get nextEvent(): number {
    return this.#clock.nextCycle;
  }

  get instructions(): number {
    return this.processor.instructions;
  }

  /** Cycles spent in HLT. */
  get idleCycles(): number {
    return this.processor.statistics().cyclesIdle;
  }

  /** Runs to `untilCycle`, or to an earlier reason. After an end it returns that end again. */
  run(untilCycle: number): PcStop {
    return this.end ?? this.#describe(this.processor.run(untilCycle));
  }

  /** One instruction or the delivery of one interrupt (see `Pentium.step`); "cycle" when nothing else is to be said. */
  step(): PcStop {
    return this.end ?? this.#describe(this.processor.step() ?? "cycle");
  }

  #describe(reason: StopReason): PcStop {
    if (this.end) return this.end;
    switch (reason) {
      case "shutdown":
        this.end = { reason: "shutdown" };
        return this.end;
      case "halted":
        if (this.processor.interruptsEnabled) return { reason: "waiting" };
        this.end = { reason: "halted" };
        return this.end;
      default:
        return { reason };
    }
  }

  /** Bytes that arrive at the first serial port, from this cycle on, at the line's pace. */
  serialInput(bytes: Iterable<number>): void {
    this.#serial.input(bytes);
  }

  /** Scan codes (set 1) that arrive at the keyboard controller in this cycle. */
  keyInput(scanCodes: Iterable<number>): void {
    this.#keyboard.input(scanCodes);
  }

  /**
   * A frame, without check sequence, that arrives at the network card at `cycle`, now by default. Lost where there is no card. Throws
   * `RangeError` when it is no Ethernet frame's length.
   */
  networkInput(frame: Uint8Array, cycle = this.cycle): void {
    this.#network?.input(frame, cycle);
  }

  statistics(): PcStatistics {
    return {
      model: this.processor.cycleModel.name,
      frequency: this.frequency,
      memory: this.memoryBytes,
      ...this.processor.statistics(),
      phases: this.phases.phases,
      counters: this.phases.counters,
    };
  }

  /** The whole machine as a file (snapshot/format.ts): RAM, processor, devices, pending events, phases. Between two calls of `run`. */
  save(): Uint8Array {
    const description = {
      board: BOARD,
      frequency: this.frequency,
      cycleModel: this.processor.cycleModel.name,
      ...this.#state(),
      phases: this.phases.state(),
      end: this.end ?? null,
    };
    return writeSnapshot(description, this.ram);
  }

  /**
   * Makes the machine what it was when the snapshot was saved, on any machine with the same memory, frequency and cycle model. Throws
   * `SnapshotError` and leaves the machine as it is when the bytes do not fit. Listeners, breakpoints and watchpoints stay.
   */
  restore(bytes: Uint8Array): void {
    const contents = readSnapshot(bytes);
    const memory = contents.ramPages * 4096;
    if (memory !== this.memoryBytes) throw otherMachine(`${memory} bytes of memory`, `${this.memoryBytes}`);
    try {
      const state = new StateReader(contents.description, "snapshot");
      const compare = (what: string, then: string | number, here: string | number) => {
        if (then !== here) throw otherMachine(`${what} ${then}`, `${here}`);
      };
      compare("the board", state.text("board"), BOARD);
      compare("a frequency of", state.number("frequency"), this.frequency);
      const cards = (present: boolean) => (present ? 1 : 0);
      const devices = state.value("devices") as object | null;
      compare(
        "network cards:",
        cards(!!devices && Object.hasOwn(devices, "network")),
        cards(!!this.#network),
      );
      compare("the cycle model", state.text("cycleModel"), this.processor.cycleModel.name);
      const end = readEnd(state.value("end"));
      const restorePhases = this.phases.prepareState(state.value("phases"));
      const before = this.#state();
      try {
        this.#restoreState(state);
      } catch (error) {
        this.#restoreState(new StateReader(before, "machine"));
        throw error;
      }
      restorePhases();
      this.end = end;
    } catch (error) {
      if (error instanceof StateError) {
        throw new SnapshotError("damaged", `the snapshot is damaged: ${error.message}`, { cause: error });
      }
      throw error;
    }
    fillMemory(this.ram, contents);
  }

  /** Everything but RAM and what the host has been told. */
  #state(): MachineState {
    return {
      processor: this.processor.state(),
      scheduled: this.#clock.scheduled,
      devices: Object.fromEntries(this.#devices.map(([name, device]) => [name, device.state()])),
    };
  }

  /** Throws `StateError`, possibly when a part is restored already. */
  #restoreState(state: StateReader): void {
    const restoreProcessor = this.processor.prepareState(state.value("processor"));
    const scheduled = state.number("scheduled");
    const devices = state.object("devices");
    // The processor comes first: it is the time by which devices judge their events.
    restoreProcessor();
    this.#clock.restart(scheduled);
    for (const [name, device] of this.#devices) device.restoreState(devices.value(name));
  }

  /** Fingerprint of processor, memory and devices: equal for equal runs. */
  stateHash(): string {
    const hash = new StateHash();
    for (const [name, device] of this.#devices) hash.value(name).value(device.state());
    return hash
      .value([this.cycle, this.instructions])
      .words(this.processor.stateWords())
      .words(new Int32Array(this.ram.buffer, this.ram.byteOffset, this.memoryBytes / 4))
      .digest();
  }
}
