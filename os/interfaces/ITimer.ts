import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/** A device that ticks, for clients anywhere; they share its rate. */
export interface ITimer extends IUnknown {
  /** Ticks in a second: a power of two from 2 to 8192. `E_INVALIDARG`. */
  setRate(ticksPerSecond: u32): HRESULT;
  rate(ticksPerSecond: Out<u32>): HRESULT;
  /** Ticks since the driver was loaded; wraps. */
  ticks(count: Out<u32>): HRESULT;
  /**
   * Waits until the count is no longer `seen`, `timeout` ms at most, and stores the count. `E_TIMEOUT`; `E_CANCELLED` when the calling
   * thread is to end, `E_DISCONNECTED` when the driver is.
   */
  wait(seen: u32, timeout: u32, count: Out<u32>): HRESULT;
}
export declare const ITimer: { readonly IID: u32 };
