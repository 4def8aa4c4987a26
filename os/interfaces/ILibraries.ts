import type { ILibrary } from "./ILibrary";
import type { IUnknown } from "./IUnknown";
import type { HRESULT, InString, Out, OutBytes, u32 } from "./types";

/** Shared libraries of the caller's own space (paper §5.2), loaded while it runs. `rt`'s `loadLibrary` does what a caller has to. */
export interface ILibraries extends IUnknown {
  /**
   * Loads the library `name` of the boot archive into the space, and what it needs, unless they are there. The caller then has to run the `count`
   * functions whose code addresses (a word each) are in `initialisers`, in order, and to call `initialised` if there were any; other
   * loads into the space wait for that, a second at most.
   *
   * `E_NOTFOUND`, `E_BADIMAGE`, `E_NOLIBRARY`, `E_NOSYMBOL`, `E_CYCLE`, `E_VERSION`, `E_OUTOFMEMORY`; `E_BUFFER` when `size` bytes are too few
   * for the initialisers. After a failure nothing is loaded that was not before; the console says which images did not fit together.
   */
  load(name: InString, initialisers: OutBytes, size: u32, count: Out<u32>, out: Out<ILibrary>): HRESULT;
  /** The initialisers have run. `S_FALSE` when there were none to run. */
  initialised(): HRESULT;
}
export declare const ILibraries: { readonly IID: u32 };
