/**
 * Rialto as traces and profiles see it: which thread runs, which method of which interface a system call asks for, which one a server
 * thread runs. Names come from the kernel's own table of interfaces.
 *
 * A system call is read where `int 0x30` has just been delivered: EAX is the method, the processor has pushed the caller's stack
 * pointer, and the proxy there names the handle. A server's method begins where the kernel returns to ring 3 with the address of the
 * return stub on the stack (calls/server-threads.ts).
 */
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { Segment } from "@rialto/machine/i386/layout.ts";
import type { TracedThread } from "@rialto/machine/trace/events.ts";
import type { GuestCall, GuestTrap, GuestView } from "@rialto/machine/trace/guest-view.ts";
import { type KernelMemory, RialtoKernel } from "./kernel.ts";
import { kernelMemory } from "./kernel-memory.ts";
import type { KernelLayout } from "./layout.ts";

const EDX = 2;
const ESP = 4;
/** Of the frame that the processor pushes: eip cs eflags esp ss. */
const FRAME_ESP = 12;
const IRQS = 16;
/** First method that is not IUnknown's, and bytes of a method's stub (os/kernel/i386/remote-stubs.asm.ts). */
const OWN_METHOD = 3;
const STUB_SIZE = 16;
const MOST_INTERFACES = 1000;
const NO_THREAD: TracedThread = { id: 0, process: 0, name: "kernel" };

interface InterfaceNames {
  readonly name: string;
  /** Address of its methods' entries, and of their end. */
  readonly methods: number;
  readonly end: number;
}

export class RialtoView implements GuestView {
  readonly kernel: RialtoKernel;
  readonly #pc: PentiumPc;
  readonly #memory: KernelMemory;
  readonly #layout: KernelLayout;
  /** Of the word that holds the address of IUnknown's entry, and of the first stub of a RemoteProxy. */
  readonly #unknownInterface: number;
  readonly #remoteStubs: number;
  readonly #doorStubs: number;
  #interfaces: readonly InterfaceNames[] = [];

  private constructor(
    pc: PentiumPc,
    kernel: RialtoKernel,
    memory: KernelMemory,
    symbols: ReadonlyMap<string, number>,
  ) {
    this.#pc = pc;
    this.kernel = kernel;
    this.#memory = memory;
    this.#layout = kernel.layout;
    this.#unknownInterface = symbols.get("os/kernel/calls/descriptors/unknown") ?? 0;
    this.#remoteStubs = symbols.get("remoteStubs") ?? 0;
    this.#doorStubs = symbols.get("doorStubs") ?? 0;
  }

  /** Undefined when the symbols are not those of Rialto's kernel. */
  static find(
    pc: PentiumPc,
    layout: KernelLayout,
    symbols: ReadonlyMap<string, number>,
  ): RialtoView | undefined {
    const memory = kernelMemory(pc, layout.kernelBase);
    const kernel = RialtoKernel.find(layout, memory, symbols);
    return kernel && new RialtoView(pc, kernel, memory, symbols);
  }

  // Threads.

  current(): number {
    return this.kernel.runningRecord();
  }

  thread(record: number): TracedThread {
    if (record === 0) return NO_THREAD;
    const { id, process, program } = this.kernel.thread(record);
    return { id, process, name: program };
  }

  isOver(record: number): boolean {
    return record !== 0 && this.kernel.thread(record).state === "dead";
  }

  // Traps and calls.

  trap(vector: number, fromRing: number): GuestTrap | undefined {
    const { vectors, privateTraps } = this.#layout;
    if (vector === vectors.systemCall) {
      const call = fromRing === 3 ? this.#systemCall() : undefined;
      return call && { kind: "call", call };
    }
    if (vector === vectors.serverReturn) return { kind: "server return" };
    if (vector === vectors.handOff) {
      const parks = this.#pc.processor.registers[EDX] !== 0;
      return { kind: "named", name: parks ? "answer" : "await answer" };
    }
    if (vector === vectors.privateTrap) {
      const operation = this.#pc.processor.registers[0]!;
      return { kind: "named", name: privateTraps.get(operation) ?? `private trap ${operation}` };
    }
    const line = vector - vectors.interrupt;
    return line >= 0 && line < IRQS ? { kind: "named", name: `irq ${line}` } : undefined;
  }

  /** A word at a linear address; undefined when it is not mapped. */
  #linearWord(linear: number): number | undefined {
    return this.#memory.word((linear - this.#layout.kernelBase) >>> 0);
  }

  #systemCall(): GuestCall {
    const { processor } = this.#pc;
    const frame = processor.segment(Segment.SS).base + processor.registers[ESP]!;
    const stack = this.#linearWord(frame + FRAME_ESP) ?? 0;
    const proxy = this.#linearWord(stack + 4) ?? 0;
    return this.#call(proxy, processor.registers[0]!);
  }

  /** Method `index` of the object that a proxy of the current thread's process stands for. */
  #call(proxy: number, index: number): GuestCall {
    const { proxies, handles, thread, process, handle, interface: descriptor } = this.#layout;
    const word = (address: number) => this.#memory.word(address >>> 0) ?? 0;
    const number = (proxy - proxies.entries) / proxies.entrySize;
    let entry = 0;
    if (Number.isInteger(number) && number >= 0 && number < handles.count) {
      const owner = word(this.current() + thread("process"));
      const table = word(owner + process("handles"));
      const chunk = word(table + handles.chunks + Math.floor(number / handles.chunkEntries) * 4);
      if (chunk !== 0) entry = chunk + (number % handles.chunkEntries) * handles.entrySize;
    }
    if (entry === 0) return { path: "system", interface: "?", method: `method ${index}` };
    const object = word(entry + handle("object"));
    // The object itself, what stands for it, or a door in front of either: known by their stub of a method of their own.
    const hasStubs = (pointer: number, stubs: number) =>
      stubs !== 0 && word(word(pointer) + OWN_METHOD * 4) === stubs + OWN_METHOD * STUB_SIZE;
    const behind = hasStubs(object, this.#doorStubs) ? word(object + this.#layout.door("target")) : object;
    const isRemote = hasStubs(behind, this.#remoteStubs);
    const methods = word(word(entry + handle("descriptor")) + descriptor("methods"));
    return {
      path: isRemote ? "remote" : "system",
      ...this.#names(methods + index * this.#layout.methodSize, index),
    };
  }

  serverCall(): GuestCall | undefined {
    const { proxies, thread, threadObject, callRecord } = this.#layout;
    const { processor } = this.#pc;
    if (this.#linearWord(processor.registers[ESP]!) !== proxies.serverReturn) return undefined;
    const word = (address: number) => this.#memory.word(address >>> 0) ?? 0;
    const record = word(word(this.current() + thread("call")) + threadObject("record"));
    if (record === 0) return undefined;
    const index = word(record + callRecord("index"));
    return { path: "server", ...this.#names(word(record + callRecord("method")), index) };
  }

  /** Interface and method whose entry is at an address. */
  #names(entry: number, index: number): { readonly interface: string; readonly method: string } {
    if (this.#interfaces.length === 0) this.#interfaces = this.#readInterfaces();
    const found = this.#interfaces.find(({ methods, end }) => entry >= methods && entry < end);
    const method = found && this.#text(this.#memory.word(entry + this.#layout.method("name")) ?? 0);
    return { interface: found?.name ?? "?", method: method || `method ${index}` };
  }

  #text(address: number): string {
    const bytes = this.#memory.bytes(address, 64);
    const end = bytes.indexOf(0);
    return end <= 0 ? "" : new TextDecoder().decode(bytes.subarray(0, end));
  }

  /** The kernel's table of interfaces, whose entries stand in a row, sorted by interface id; IUnknown's is known. */
  #readInterfaces(): InterfaceNames[] {
    const { interface: field, interfaceSize, methodSize } = this.#layout;
    const known = this.#memory.word(this.#unknownInterface) ?? 0;
    if (known === 0) return [];
    const word = (address: number) => this.#memory.word(address) ?? 0;
    const found: InterfaceNames[] = [];
    const walk = (first: number, step: number, follows: (iid: number, before: number) => boolean) => {
      let before: number | undefined;
      for (let entry = first; found.length < MOST_INTERFACES; entry += step) {
        const iid = word(entry + field("iid"));
        const name = this.#text(word(entry + field("name")));
        if ((before !== undefined && !follows(iid, before)) || !/^I\w+$/.test(name)) return;
        const methods = word(entry + field("methods"));
        found.push({ name, methods, end: methods + word(entry + field("methodCount")) * methodSize });
        before = iid;
      }
    };
    walk(known, interfaceSize, (iid, before) => iid > before);
    walk(known - interfaceSize, -interfaceSize, (iid, before) => iid < before);
    return found;
  }
}
