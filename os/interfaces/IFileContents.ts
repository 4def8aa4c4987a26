import type { IInternal } from "./IInternal";
import type { HRESULT, Out, u32 } from "./types";

/** A file that lies in memory, for callers that can read it there. */
export interface IFileContents extends IInternal {
  /** Where its bytes are, and how many; they stay there while the object lives. Not to be written. `E_NOTIMPL` if they are nowhere in this space. */
  contents(address: Out<u32>, length: Out<u32>): HRESULT;
}
export declare const IFileContents: { readonly IID: u32 };
