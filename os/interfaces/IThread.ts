import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/** A thread of some space. */
export interface IThread extends IUnknown {
  /** Waits for its end and stores what its entry function returned. */
  join(result: Out<u32>): HRESULT;
  kill(): HRESULT;
  /**
   * Keeps the thread from running any more of its program's code until it has been resumed as often (at most 2^31 - 1 times, else
   * `E_INVALIDARG`). What it does in the kernel or in another program meanwhile goes on to its end, and so does a wait, which may use up a
   * wake. A thread that suspends itself comes back when resumed. Killing overrides.
   */
  suspend(): HRESULT;
  /** Takes one suspension back; `S_FALSE` if there was none. */
  resume(): HRESULT;
  /** 0 (lowest) to 31; 16 is where programs start. */
  setPriority(priority: u32): HRESULT;
  identity(id: Out<u32>): HRESULT;
}
export declare const IThread: { readonly IID: u32 };
