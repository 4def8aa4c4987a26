import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, OutBytes, u32 } from "./types";

/** An open file. */
export interface IFile extends IUnknown {
  length(bytes: Out<u32>): HRESULT;
  /** Reads up to `size` bytes at `offset`; `count` is what was there, 0 past the end. */
  read(offset: u32, buffer: OutBytes, size: u32, count: Out<u32>): HRESULT;
}
export declare const IFile: { readonly IID: u32 };
