import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/** An object of a movable service that clients can hold. */
export interface IServiceObject extends IUnknown {
  /** What `IServiceState.object` of another instance finds the object's counterpart by. Constant while the object lives. */
  key(key: Out<u32>): HRESULT;
}
export declare const IServiceObject: { readonly IID: u32 };
