import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/**
 * Memory that any number of spaces can map (`IMemory.mapShared`): zero on first touch, and the same frames everywhere. It lasts as long
 * as a reference or a region that maps it.
 */
export interface ISharedMemory extends IUnknown {
  /** Its size in bytes, a multiple of 4096. */
  size(bytes: Out<u32>): HRESULT;
  /** How many of its pages have been touched. */
  resident(pages: Out<u32>): HRESULT;
}
export declare const ISharedMemory: { readonly IID: u32 };
