/**
 * The threads that GDB sees, with their registers and memory: Rialto's, when the kernel is Rialto's, read out of its records; the one that
 * runs, out of the processor. While all wait, and before there are threads, the processor is a thread of its own (`PROCESSOR_THREAD`).
 */
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { Segment } from "@rialto/machine/i386/layout.ts";
import { Addresses, type AddressSpace } from "./addresses.ts";
import {
  processorRegisters,
  type RegisterSource,
  registerBytes,
  registerName,
  setFloatingRegister,
  writeProcessorRegister,
} from "./registers.ts";
import { type KernelMemory, RialtoKernel, type RialtoThread } from "./rialto/kernel.ts";
import { kernelMemory } from "./rialto/kernel-memory.ts";
import type { KernelLayout } from "./rialto/layout.ts";
import type { ThreadDescription } from "./target.ts";

export const PROCESSOR_THREAD = 0x7fff_ffff;
const PAGING = 0x8000_0000;
const CONTEXT_BYTES = 108;

export class GuestThreads {
  readonly addresses: Addresses;
  /** Undefined when the kernel is not Rialto's, or its symbols are not known. */
  readonly kernel: RialtoKernel | undefined;
  readonly #pc: PentiumPc;
  readonly #memory: KernelMemory;
  readonly #kernelBase: number;

  constructor(
    pc: PentiumPc,
    layout: KernelLayout | undefined,
    symbols: ReadonlyMap<string, number> | undefined,
  ) {
    this.#pc = pc;
    this.#kernelBase = layout?.kernelBase ?? 0;
    const bases = layout ? [0, layout.kernelBase, layout.unpagedBase] : [0];
    this.addresses = new Addresses(pc.ram, bases);
    this.#memory = kernelMemory(pc, this.#kernelBase);
    if (layout && symbols) this.kernel = RialtoKernel.find(layout, this.#memory, symbols);
  }

  /** The thread whose code the processor executes. */
  current(): number {
    const record = this.kernel?.runningRecord() ?? 0;
    return this.kernel && record !== 0 ? this.kernel.thread(record).id : PROCESSOR_THREAD;
  }

  find(id: number): RialtoThread | undefined {
    return this.kernel?.threads().find((thread) => thread.id === id);
  }

  list(): readonly ThreadDescription[] {
    const current = this.current();
    const ring = `ring ${this.#pc.processor.cpl}`;
    const threads = (this.kernel?.threads() ?? []).map(
      ({ id, program, process, state, priority }): ThreadDescription => ({
        id,
        name: program,
        detail: `${state}, process ${process}, priority ${priority}${id === current ? `, ${ring}` : ""}`,
      }),
    );
    if (current === PROCESSOR_THREAD || !threads.some(({ id }) => id === current)) {
      threads.unshift({
        id: current,
        name: current === PROCESSOR_THREAD ? "processor" : "new",
        detail: ring,
      });
    }
    return threads;
  }

  // Address spaces.

  /** That of the code that the processor executes. */
  processorSpace(): AddressSpace {
    const { processor } = this.#pc;
    const { base, limit } = processor.segment(Segment.DS);
    const directory = processor.cr0 >= PAGING ? processor.cr3 : undefined;
    return { base, limit, directory, cr4: processor.cr4 };
  }

  /** Undefined when there is no such thread. */
  space(id: number): AddressSpace | undefined {
    if (id === this.current()) {
      const record = this.kernel?.runningRecord() ?? 0;
      const threadDirectory = record === 0 ? undefined : this.kernel?.thread(record).directory;
      return { ...this.processorSpace(), threadDirectory };
    }
    const found = this.find(id);
    return found && this.kernel && this.#spaceOf(found, this.kernel);
  }

  #spaceOf(thread: RialtoThread, kernel: RialtoKernel): AddressSpace {
    const own = this.processorSpace();
    const selector = kernel.savedRegister(thread.record, "ds");
    const segment = this.addresses.descriptor(own, this.#pc.processor.gdtr, selector);
    return {
      base: segment?.base ?? own.base,
      limit: segment?.limit ?? own.limit,
      directory: thread.directory ?? own.directory,
      cr4: own.cr4,
    };
  }

  // Registers.

  /** All registers in the order of the description; undefined when there is no such thread. */
  registers(id: number): Uint8Array | undefined {
    if (id === this.current()) return registerBytes(processorRegisters(this.#pc.processor));
    const found = this.find(id);
    return found && this.kernel && registerBytes(this.#savedRegisters(found, this.kernel));
  }

  #savedRegisters(thread: RialtoThread, kernel: RialtoKernel): RegisterSource {
    const space = this.#spaceOf(thread, kernel);
    const { gdtr } = this.#pc.processor;
    const processor = processorRegisters(this.#pc.processor);
    const saved = (name: string) => kernel.savedRegister(thread.record, name);
    const baseOf = (selector: number) => this.addresses.descriptor(space, gdtr, selector)?.base ?? 0;
    const area =
      thread.floatingPoint === 0 ? undefined : this.#memory.bytes(thread.floatingPoint, CONTEXT_BYTES);
    return {
      floatingPoint: area?.length === CONTEXT_BYTES ? area : this.#pc.processor.floatingPoint.save(),
      read(name) {
        switch (name) {
          case "cs":
          case "ss":
          case "ds":
          case "es":
            return saved(name) & 0xffff;
          case "fs":
          case "gs":
            return 0;
          case "cr3":
            return space.directory ?? 0;
          case "cs_base":
            return baseOf(saved("cs"));
          case "ds_base":
            return baseOf(saved("ds"));
          case "cr0":
          case "cr2":
          case "cr4":
            return processor.read(name);
          default:
            return saved(name);
        }
      },
    };
  }

  /** False when there is no such thread or the value is refused. */
  writeRegister(id: number, register: number, value: Uint8Array): boolean {
    const name = registerName(register);
    if (name === undefined) return false;
    if (id === this.current()) return writeProcessorRegister(this.#pc.processor, name, value);
    const found = this.find(id);
    if (!found || !this.kernel || /^(fs|gs|cr\d|.s_base)$/.test(name)) return false;
    if (/^(st\d|f\w+)$/.test(name)) return this.#writeSavedFloatingPoint(found, name, value);
    return this.#writeKernel(found.record + this.kernel.layout.thread(name), value);
  }

  #writeSavedFloatingPoint(thread: RialtoThread, name: string, value: Uint8Array): boolean {
    if (thread.floatingPoint === 0) return writeProcessorRegister(this.#pc.processor, name, value);
    const image = this.#memory.bytes(thread.floatingPoint, CONTEXT_BYTES);
    if (image.length !== CONTEXT_BYTES || !setFloatingRegister(image, name, value)) return false;
    return this.#writeKernel(thread.floatingPoint, image);
  }

  // Memory.

  #writeKernel(address: number, bytes: Uint8Array): boolean {
    const space = { ...this.processorSpace(), base: this.#kernelBase, limit: 0xffff_ffff };
    return this.#write(space, address, bytes);
  }

  #write(space: AddressSpace, address: number, bytes: Uint8Array): boolean {
    return this.addresses.write(space, address, bytes, (physical, length) =>
      this.#pc.processor.memoryChanged(physical, length),
    );
  }

  readMemory(id: number, address: number, length: number): Uint8Array {
    const space = this.space(id);
    return space ? this.addresses.read(space, address, length) : new Uint8Array(0);
  }

  /** All or nothing. */
  writeMemory(id: number, address: number, bytes: Uint8Array): boolean {
    const space = this.space(id);
    return space !== undefined && this.#write(space, address, bytes);
  }

  writePhysical(address: number, bytes: Uint8Array): boolean {
    if (!this.addresses.writePhysical(address, bytes)) return false;
    this.#pc.processor.memoryChanged(address, bytes.length);
    return true;
  }
}
