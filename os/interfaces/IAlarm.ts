import type { IUnknown } from "./IUnknown";
import type { HRESULT, InOut, u32 } from "./types";

/**
 * Adds 1 to a word and wakes everybody who waits on it, at a time or again and again. A condition (`rt`) begins with such a word: then the
 * alarm is a broadcast.
 */
export interface IAlarm extends IUnknown {
  /**
   * Goes off in `delay` ms, then every `period` ms, or once if that is 0; what was set before is cancelled. Never early; at most 1 ms late,
   * plus what interrupts are off for; periods do not drift. `word` is 4-byte aligned and stays as the alarm found it in memory, even
   * when its region ends. `E_INVALIDARG` for times of 2^31 ms and more, `E_POINTER` for a word that the caller could not write.
   */
  set(word: InOut<u32>, delay: u32, period: u32): HRESULT;
  /** `S_FALSE` if it was not going to go off (again). */
  cancel(): HRESULT;
}
export declare const IAlarm: { readonly IID: u32 };
