import type { IUnknown } from "./IUnknown";
import type { HRESULT, InBytes, u32 } from "./types";

/** The kernel's memory of what was on the console last, registered as "kernel.log": who sends bytes there writes them here too. */
export interface ILog extends IUnknown {
  write(buffer: InBytes, size: u32): HRESULT;
}
export declare const ILog: { readonly IID: u32 };
