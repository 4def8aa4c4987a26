import type { ISharedMemory } from "./ISharedMemory";
import type { IUnknown } from "./IUnknown";
import type { HRESULT, InOut, Out, u32 } from "./types";

/** Rights to a region; none at all (0) makes a guard: every access is a fault. */
export const PROTECT_READ: u32 = 1;
export const PROTECT_WRITE: u32 = 2;

/** What the virtual memory system did since boot. */
@unmanaged
export class MemoryCounters {
  /** Most page tables there may be (boot option `vtlb`), and how many there are. */
  tableBound: u32 = 0;
  tables: u32 = 0;
  /** Page tables that were taken away to make room for others, and translations that were brought back. */
  evictions: u32 = 0;
  refills: u32 = 0;
  /** Pages copied because somebody wrote to them. */
  copies: u32 = 0;
  /** Pages below stack pointers that were given back. */
  trimmedUserPages: u32 = 0;
  trimmedKernelPages: u32 = 0;
  /** How often the scratch page stood in for a bad user address. */
  scratchHits: u32 = 0;
}

/** The caller's own address space: sparse regions of auto-commit memory (zero on first touch). Sizes in bytes. */
export interface IMemory extends IUnknown {
  /** Makes a region of `size` bytes at `*address`, or anywhere when that is 0, and stores its address. `E_OUTOFMEMORY`, `E_EXISTS`. */
  map(address: InOut<u32>, size: u32, protection: u32): HRESULT;
  /** Ends the region that starts at `address`. */
  unmap(address: u32): HRESULT;
  protect(address: u32, size: u32, protection: u32): HRESULT;
  /** Physical address of the frame under `address`; 0 when not touched yet. */
  frame(address: u32, physical: Out<u32>): HRESULT;
  /** Commits all pages of a range now. `E_OUTOFMEMORY` (some may be committed), `E_NOTFOUND` when not all of it is readable. */
  commit(address: u32, size: u32): HRESULT;
  /** Makes memory that other spaces can map too. */
  share(size: u32, out: Out<ISharedMemory>): HRESULT;
  /** Maps all of `object`, as `map` does. `E_INVALIDARG` when it does not come from `share`. */
  mapShared(object: ISharedMemory, address: InOut<u32>, protection: u32): HRESULT;
  counters(counters: Out<MemoryCounters>): HRESULT;
}
export declare const IMemory: { readonly IID: u32 };
