import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/** A thread of some space. */
export interface IThread extends IUnknown {
  /** Waits for its end and stores what its entry function returned. */
  join(result: Out<u32>): HRESULT;
  kill(): HRESULT;
  /** 0 (lowest) to 31; 16 is where programs start. */
  setPriority(priority: u32): HRESULT;
  identity(id: Out<u32>): HRESULT;
}
export declare const IThread: { readonly IID: u32 };
