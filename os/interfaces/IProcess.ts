import type { IUnknown } from "./IUnknown";
import type { HRESULT, i32, Out, u32 } from "./types";

/** A program under way: in a process of its own, or loaded in the kernel. */
export interface IProcess extends IUnknown {
  /** Waits for its end and stores the exit code. A program that a fault ended has the fault's HRESULT as its code. */
  wait(exitCode: Out<i32>): HRESULT;
  kill(): HRESULT;
  identity(id: Out<u32>): HRESULT;
}
export declare const IProcess: { readonly IID: u32 };
