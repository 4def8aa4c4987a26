/** Kernel virtual memory of a running machine, as the records of the kernel are read from it. */
import type { PentiumPc } from "@rialto/machine/boards/pentium-pc.ts";
import { Addresses } from "../addresses.ts";
import type { KernelMemory } from "./kernel.ts";

const PAGING = 0x8000_0000;
const PAGE = 4096;

/** `base`: of the kernel's segments. Nothing is there before paging is on. */
export function kernelMemory(pc: PentiumPc, base: number): KernelMemory {
  const { processor } = pc;
  const addresses = new Addresses(pc.ram, []);
  function bytes(address: number, length: number): Uint8Array {
    if (processor.cr0 < PAGING) return new Uint8Array(0);
    const space = { base, limit: 0xffff_ffff, directory: processor.cr3, cr4: processor.cr4 };
    return addresses.read(space, address, length);
  }
  return {
    bytes,
    word(address) {
      if (processor.cr0 < PAGING) return undefined;
      const linear = (address + base) >>> 0;
      if ((linear & (PAGE - 1)) <= PAGE - 4) {
        const physical = processor.physicalOf(linear);
        return physical < 0 ? undefined : addresses.physicalWord(physical);
      }
      const found = bytes(address, 4);
      return found.length < 4 ? undefined : new DataView(found.buffer, found.byteOffset).getUint32(0, true);
    },
  };
}
