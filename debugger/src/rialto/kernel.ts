/**
 * Rialto's threads, processes and loaded images, read out of the kernel's memory between two instructions. The lists may be in
 * the middle of a change: every read can fail, every list is cut at a length, and nothing read is trusted to be an address.
 */

import type { KernelLayout } from "./layout.ts";

/** The kernel's globals that hold the lists, by their symbols. */
const GLOBALS = {
  current: "os/kernel/threads/scheduler/current",
  floatingPointOwner: "os/kernel/threads/scheduler/floatingPointOwner",
  allThreads: "os/kernel/threads/thread/allThreads",
  firstProcess: "os/kernel/objects/process/firstProcess",
  firstImage: "os/kernel/loader/images/firstImage",
  epitaph: "os/kernel/epitaph/epitaph",
} as const;

const LONGEST_LIST = 2000;
const LONGEST_NAME = 63;

/** Reads kernel virtual memory: undefined where nothing is mapped. */
export interface KernelMemory {
  word(address: number): number | undefined;
  bytes(address: number, length: number): Uint8Array;
}

export interface RialtoThread {
  /** Kernel virtual address of its record. */
  readonly record: number;
  readonly id: number;
  readonly state: string;
  readonly priority: number;
  readonly process: number;
  readonly program: string;
  /** Physical address of its page directory. */
  readonly directory: number | undefined;
  /** Kernel virtual address of its FSAVE area, 0 when its registers are in the unit. */
  readonly floatingPoint: number;
  readonly cycles: number;
}

export interface RialtoProcess {
  readonly id: number;
  readonly name: string;
  readonly state: string;
  readonly ownSpace: boolean;
  readonly threads: number;
}

export interface RialtoImage {
  readonly name: string;
  /** Name of the process in whose space it is. */
  readonly space: string;
  readonly start: number;
  readonly size: number;
  /** Distance from the addresses in its file. */
  readonly shift: number;
}

/** What the kernel left behind when an invariant was broken; the layout is drawn in os/kernel/epitaph.ts. */
export interface Epitaph {
  readonly message: string;
  readonly thread: number;
  readonly process: number;
  readonly program: string;
  /** By name; all zero when they were not known. */
  readonly registers: ReadonlyMap<string, number>;
  readonly faultAddress: number;
  /** Return addresses, the innermost first. */
  readonly stack: readonly number[];
  /** The console's last bytes. */
  readonly console: string;
}

const EPITAPH_MAGIC = 0x4c524945;
const EPITAPH_VERSION = 1;
const EPITAPH_REGISTERS = "eip cs eflags error edi esi ebp esp ebx edx ecx eax".split(" ");
const LONGEST_STACK = 16;
const LONGEST_LOG = 0x10000;
const LONGEST_MESSAGE = 200;

export class RialtoKernel {
  readonly layout: KernelLayout;
  readonly #memory: KernelMemory;
  readonly #globals: Readonly<Record<keyof typeof GLOBALS, number>>;

  private constructor(
    layout: KernelLayout,
    memory: KernelMemory,
    globals: Readonly<Record<keyof typeof GLOBALS, number>>,
  ) {
    this.layout = layout;
    this.#memory = memory;
    this.#globals = globals;
  }

  /** Undefined when the symbols are not those of Rialto's kernel. */
  static find(
    layout: KernelLayout,
    memory: KernelMemory,
    symbols: ReadonlyMap<string, number>,
  ): RialtoKernel | undefined {
    const globals: Record<string, number> = {};
    for (const [name, symbol] of Object.entries(GLOBALS)) {
      const address = symbols.get(symbol);
      if (address === undefined) return undefined;
      globals[name] = address;
    }
    return new RialtoKernel(layout, memory, globals as Record<keyof typeof GLOBALS, number>);
  }

  #global(name: keyof typeof GLOBALS): number {
    return this.#memory.word(this.#globals[name]) ?? 0;
  }

  #field(record: number, offset: number): number {
    return this.#memory.word((record + offset) >>> 0) ?? 0;
  }

  /** Records of a list, by the offset of its link. */
  *#list(first: number, link: number): Generator<number> {
    let record = first;
    for (let count = 0; record !== 0 && count < LONGEST_LIST; count++) {
      if (this.#memory.word(record) === undefined) return;
      yield record;
      record = this.#field(record, link);
    }
  }

  /** Undefined while the kernel lives. */
  epitaph(): Epitaph | undefined {
    const record = this.#global("epitaph");
    if (record === 0 || this.#field(record, 0) !== EPITAPH_MAGIC) return undefined;
    if (this.#field(record, 4) !== EPITAPH_VERSION) return undefined;
    const name = this.#field(record, 20);
    const depth = Math.min(this.#field(record, 76), LONGEST_STACK);
    const size = this.#field(record, 148);
    const written = this.#field(record, 152);
    const ring = size <= LONGEST_LOG ? this.#memory.bytes(this.#field(record, 144), size) : new Uint8Array();
    const start = written > size ? written % size : 0;
    const log = [...ring.subarray(start), ...ring.subarray(0, start)].slice(0, Math.min(written, size));
    return {
      message: this.#text(this.#field(record, 8), LONGEST_MESSAGE).trim(),
      thread: this.#field(record, 12),
      process: this.#field(record, 16),
      program: name === 0 ? "kernel" : this.#text(name),
      registers: new Map(EPITAPH_REGISTERS.map((register, i) => [register, this.#field(record, 24 + 4 * i)])),
      faultAddress: this.#field(record, 72),
      stack: Array.from({ length: depth }, (_, i) => this.#field(record, 80 + 4 * i)),
      console: new TextDecoder().decode(Uint8Array.from(log)).replaceAll("\r", ""),
    };
  }

  #text(address: number, longest = LONGEST_NAME): string {
    if (address === 0) return "?";
    const bytes = this.#memory.bytes(address, longest);
    const end = bytes.indexOf(0);
    return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
  }

  /** Record of the thread whose code the processor executes; 0 before there are threads and while all wait. */
  runningRecord(): number {
    const { thread, running } = this.layout;
    const record = this.#global("current");
    if (record === 0 || this.#field(record, thread("id")) === 0) return 0;
    return this.#field(record, thread("state")) === running ? record : 0;
  }

  thread(record: number): RialtoThread {
    const { thread, process, directory, threadStates } = this.layout;
    const owner = this.#field(record, thread("process"));
    const space = this.#field(record, thread("space"));
    const state = this.#field(record, thread("state"));
    const unit = this.#global("floatingPointOwner") === record;
    return {
      record,
      id: this.#field(record, thread("id")),
      state: threadStates.get(state) ?? `state ${state}`,
      priority: this.#field(record, thread("priority")),
      process: owner === 0 ? 0 : this.#field(owner, process("id")),
      program: owner === 0 ? "kernel" : this.#text(this.#field(owner, process("name"))),
      directory: space === 0 ? undefined : this.#field(space, directory("physical")),
      floatingPoint: unit ? 0 : this.#field(record, thread("floatingPoint")),
      cycles: this.#field(record, thread("cycles")) + this.#field(record, thread("cycles") + 4) * 2 ** 32,
    };
  }

  /** In the order in which they were made. */
  threads(): RialtoThread[] {
    const { thread } = this.layout;
    const records = [...this.#list(this.#global("allThreads"), thread("allNext"))];
    const threads = records.map((record) => this.thread(record)).filter(({ id }) => id !== 0);
    return threads.sort((a, b) => a.id - b.id);
  }

  processes(): RialtoProcess[] {
    const { process, processStates } = this.layout;
    return [...this.#list(this.#global("firstProcess"), process("next"))].map((record) => {
      const state = this.#field(record, process("state"));
      return {
        id: this.#field(record, process("id")),
        name: this.#text(this.#field(record, process("name"))),
        state: processStates.get(state) ?? `state ${state}`,
        ownSpace: this.#field(record, process("ownSpace")) !== 0,
        threads: this.#field(record, process("threadCount")),
      };
    });
  }

  images(): RialtoImage[] {
    const { loadedImage, imageFile, process } = this.layout;
    return [...this.#list(this.#global("firstImage"), loadedImage("next"))].map((record) => {
      const file = this.#field(record, loadedImage("file"));
      const owner = this.#field(record, loadedImage("process"));
      return {
        name: this.#text(this.#field(file, imageFile("name"))),
        space: this.#text(this.#field(owner, process("name"))),
        start: this.#field(record, loadedImage("start")),
        size: this.#field(record, loadedImage("size")),
        shift: this.#field(record, loadedImage("shift")),
      };
    });
  }

  /** A word of a thread's saved context. */
  savedRegister(record: number, name: string): number {
    return this.#field(record, this.layout.thread(name));
  }
}
