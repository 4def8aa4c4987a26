import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/** What a client of `IEcho` can hand over to be called. */
export interface IEchoCallback extends IUnknown {
  called(value: u32, answer: Out<u32>): HRESULT;
}
export declare const IEchoCallback: { readonly IID: u32 };
