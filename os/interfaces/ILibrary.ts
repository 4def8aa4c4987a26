import type { IUnknown } from "./IUnknown";
import type { HRESULT, InString, Out, u32 } from "./types";

/**
 * A shared library that a program loaded while it runs (`ILibraries.load`). It stays in its space while a reference, an image or another
 * program there needs it; who still runs its code or holds its objects after that has a program error.
 */
export interface ILibrary extends IUnknown {
  /** Code address, in the library's space, of its exported function `name`. `E_NOSYMBOL`; `E_DISCONNECTED` when its program has ended. */
  symbol(name: InString, address: Out<u32>): HRESULT;
}
export declare const ILibrary: { readonly IID: u32 };
