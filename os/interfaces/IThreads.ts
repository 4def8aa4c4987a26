import type { IAlarm } from "./IAlarm";
import type { IThread } from "./IThread";
import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/** Threads and alarms of the caller's own space. */
export interface IThreads extends IUnknown {
  /** Starts a thread at `entry`, the code address of a function (argument: usize): u32 of this space. */
  create(entry: u32, argument: u32, priority: u32, out: Out<IThread>): HRESULT;
  current(id: Out<u32>): HRESULT;
  /** A new alarm, not set. `E_OUTOFMEMORY`. */
  alarm(out: Out<IAlarm>): HRESULT;
}
export declare const IThreads: { readonly IID: u32 };
