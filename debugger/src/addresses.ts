/**
 * From the addresses that a person types to bytes of RAM.
 *
 * GDB knows one flat address space; here an address means what it means to the code of a thread: an offset in its data segment.
 * Rules, in this order, each byte's page by itself:
 *
 *   1. Inside the limit of the thread's data segment: base + address modulo 2^32, through the thread's page directory.
 *   2. Otherwise, or when nothing is mapped there, the same with each base of `bases`: so kernel addresses can be read while a
 *      process runs (they lie beyond its limit), and the kernel's variables before its own segments are loaded.
 *   3. Otherwise, the same through the page directory of the running thread.
 *
 * Only RAM is read or written; the TLBs, accessed bits and everything else that the guest could notice stay as they are.
 */

const PAGE = 4096;
const PRESENT = 0x1;
const LARGE = 0x80;
const PAGE_SIZE_EXTENSIONS = 0x10;
const GRANULAR = 0x80_0000;
const DESCRIPTOR_PRESENT = 0x8000;
const NO_SYSTEM_SEGMENT = 0x1000;

export interface AddressSpace {
  /** Of the data segment. */
  readonly base: number;
  readonly limit: number;
  /** CR3, or undefined when paging is off. */
  readonly directory: number | undefined;
  /** Page directory of the running thread, when the processor may be in a task of the kernel that has another one. */
  readonly threadDirectory?: number | undefined;
  readonly cr4: number;
}

export interface SegmentShape {
  readonly base: number;
  readonly limit: number;
  readonly code: boolean;
}

export class Addresses {
  readonly #ram: Uint8Array;
  readonly #words: DataView;
  readonly bases: readonly number[];

  constructor(ram: Uint8Array, bases: readonly number[]) {
    this.#ram = ram;
    this.#words = new DataView(ram.buffer, ram.byteOffset, ram.byteLength);
    this.bases = bases;
  }

  /** A word of RAM, or undefined beyond it. */
  physicalWord(address: number): number | undefined {
    const start = address >>> 0;
    return start + 4 <= this.#ram.length ? this.#words.getUint32(start, true) : undefined;
  }

  /** Writes bytes that must lie in RAM; false when they do not. */
  writePhysical(address: number, bytes: Uint8Array): boolean {
    if (address + bytes.length > this.#ram.length) return false;
    this.#ram.set(bytes, address);
    return true;
  }

  physicalBytes(address: number, length: number): Uint8Array {
    return this.#ram.slice(address, address + length);
  }

  /** Physical address of a linear one, undefined when it is not mapped or no RAM. */
  physical(space: AddressSpace, linear: number): number | undefined {
    const address = linear >>> 0;
    if (space.directory === undefined) return address < this.#ram.length ? address : undefined;
    const directory = this.physicalWord((space.directory & 0xfffff000) + ((address >>> 20) & 0xffc));
    if (directory === undefined || (directory & PRESENT) === 0) return undefined;
    let physical: number;
    if ((directory & LARGE) !== 0 && (space.cr4 & PAGE_SIZE_EXTENSIONS) !== 0) {
      physical = ((directory & 0xffc0_0000) | (address & 0x3f_ffff)) >>> 0;
    } else {
      const entry = this.physicalWord((directory & 0xfffff000) + ((address >>> 10) & 0xffc));
      if (entry === undefined || (entry & PRESENT) === 0) return undefined;
      physical = ((entry & 0xfffff000) | (address & 0xfff)) >>> 0;
    }
    return physical < this.#ram.length ? physical : undefined;
  }

  /** Physical address behind a virtual one. */
  resolve(space: AddressSpace, virtual: number): number | undefined {
    if (virtual >>> 0 <= space.limit) {
      const own = this.physical(space, virtual + space.base);
      if (own !== undefined) return own;
    }
    for (const base of this.bases) {
      const other = this.physical(space, virtual + base);
      if (other !== undefined && base !== space.base) return other;
    }
    const { threadDirectory, ...rest } = space;
    if (threadDirectory === undefined || threadDirectory === space.directory) return undefined;
    return this.resolve({ ...rest, directory: threadDirectory }, virtual);
  }

  /** A word; undefined where not all of it is mapped. */
  word(space: AddressSpace, virtual: number): number | undefined {
    if ((virtual & (PAGE - 1)) <= PAGE - 4) {
      const physical = this.resolve(space, virtual >>> 0);
      return physical === undefined ? undefined : this.physicalWord(physical);
    }
    const bytes = this.read(space, virtual >>> 0, 4);
    return bytes.length < 4 ? undefined : new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  /** As many bytes as are mapped from `virtual` on. */
  read(space: AddressSpace, virtual: number, length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length; ) {
      const at = (virtual + done) >>> 0;
      const piece = Math.min(length - done, PAGE - (at & (PAGE - 1)));
      const physical = this.resolve(space, at);
      if (physical === undefined) return bytes.subarray(0, done);
      bytes.set(this.#ram.subarray(physical, physical + piece), done);
      done += piece;
    }
    return bytes;
  }

  /** All or nothing; calls `changed` for each piece of RAM. */
  write(
    space: AddressSpace,
    virtual: number,
    bytes: Uint8Array,
    changed: (physical: number, length: number) => void,
  ): boolean {
    const pieces: { readonly physical: number; readonly from: number; readonly length: number }[] = [];
    for (let done = 0; done < bytes.length; ) {
      const at = (virtual + done) >>> 0;
      const length = Math.min(bytes.length - done, PAGE - (at & (PAGE - 1)));
      const physical = this.resolve(space, at);
      if (physical === undefined) return false;
      pieces.push({ physical, from: done, length });
      done += length;
    }
    for (const { physical, from, length } of pieces) {
      this.#ram.set(bytes.subarray(from, from + length), physical);
      changed(physical, length);
    }
    return true;
  }

  /** The two words of a present descriptor in a table at a linear address. */
  #descriptorWords(space: AddressSpace, table: { base: number; limit: number }, selector: number) {
    const offset = selector & 0xfff8;
    if (offset === 0 || (selector & 4) !== 0 || offset + 7 > table.limit) return undefined;
    const at = this.physical(space, table.base + offset);
    const low = at === undefined ? undefined : this.physicalWord(at);
    const high = at === undefined ? undefined : this.physicalWord(at + 4);
    if (low === undefined || high === undefined || (high & DESCRIPTOR_PRESENT) === 0) return undefined;
    return { low, high, base: ((low >>> 16) | ((high & 0xff) << 16) | (high & 0xff00_0000)) >>> 0 };
  }

  /** Code and data segments. */
  descriptor(
    space: AddressSpace,
    table: { base: number; limit: number },
    selector: number,
  ): SegmentShape | undefined {
    const words = this.#descriptorWords(space, table, selector);
    if (!words || (words.high & NO_SYSTEM_SEGMENT) === 0) return undefined;
    const { low, high, base } = words;
    const limit = (high & 0xf_0000) | (low & 0xffff);
    return {
      base,
      limit: (high & GRANULAR) !== 0 ? ((limit << 12) | 0xfff) >>> 0 : limit,
      code: (high & 0x800) !== 0,
    };
  }

  /** A word of the task state that a selector names. */
  taskWord(
    space: AddressSpace,
    table: { base: number; limit: number },
    selector: number,
    offset: number,
  ): number | undefined {
    const words = this.#descriptorWords(space, table, selector);
    const physical = words && this.physical(space, words.base + offset);
    return physical === undefined ? undefined : this.physicalWord(physical);
  }

  /** Bases of all code segments of a descriptor table. */
  codeBases(space: AddressSpace, table: { base: number; limit: number }): Set<number> {
    const bases = new Set<number>();
    for (let selector = 8; selector + 7 <= Math.min(table.limit, 0x7ff); selector += 8) {
      const segment = this.descriptor(space, table, selector);
      if (segment?.code) bases.add(segment.base);
    }
    return bases;
  }
}
