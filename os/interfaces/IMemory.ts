import type { IUnknown } from "./IUnknown";
import type { HRESULT, InOut, Out, u32 } from "./types";

export const PROTECT_READ: u32 = 1;
export const PROTECT_WRITE: u32 = 2;

/** The caller's own address space: sparse regions of auto-commit memory (zero on first touch). Sizes in bytes. */
export interface IMemory extends IUnknown {
  /** Makes a region of `size` bytes at `*address`, or anywhere when that is 0, and stores its address. `E_OUTOFMEMORY`, `E_EXISTS`. */
  map(address: InOut<u32>, size: u32, protection: u32): HRESULT;
  /** Ends the region that starts at `address`. */
  unmap(address: u32): HRESULT;
  protect(address: u32, size: u32, protection: u32): HRESULT;
  /** Physical address of the frame under `address`; 0 when not touched yet. */
  frame(address: u32, physical: Out<u32>): HRESULT;
}
export declare const IMemory: { readonly IID: u32 };
