import type { IAlarm } from "./IAlarm";
import type { IThread } from "./IThread";
import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/** What a call meets when all server threads of its process are busy and there may be no more. */
export const POOL_QUEUES: u32 = 0;
export const POOL_REFUSES: u32 = 1;

/** Threads and alarms of the caller's own space. */
export interface IThreads extends IUnknown {
  /** Starts a thread at `entry`, the code address of a function (argument: usize): u32 of this space. */
  create(entry: u32, argument: u32, priority: u32, out: Out<IThread>): HRESULT;
  current(id: Out<u32>): HRESULT;
  /** A new alarm, not set. `E_OUTOFMEMORY`. */
  alarm(out: Out<IAlarm>): HRESULT;
  /**
   * Bounds the threads that run methods of this program's objects for callers elsewhere to `limit` (1 to 256; at first 32). A call that
   * finds all of them busy waits for its turn, the most urgent caller's first (`POOL_QUEUES`), or answers `E_BUSY` (`POOL_REFUSES`). In the kernel callers run
   * methods on their own threads, so nothing is bounded there.
   */
  serverPool(limit: u32, policy: u32): HRESULT;
}
export declare const IThreads: { readonly IID: u32 };
