import type { IUnknown } from "./IUnknown";
import type { HRESULT, Out, u32 } from "./types";

/**
 * The eight driver calls (paper §4.1): the only calls of the system that fail, with `E_ACCESSDENIED`, from a process.
 * An interrupt handler is a function (argument: usize): void; it runs at first level: it must not wait, allocate or fault.
 */
export interface IDriver extends IUnknown {
  connectInterrupt(line: u32, handler: u32, argument: u32): HRESULT;
  disconnectInterrupt(line: u32): HRESULT;
  /** Enters a section that no first-level interrupt handler can interrupt. Sections nest. */
  enterInterruptSafe(): HRESULT;
  leaveInterruptSafe(): HRESULT;
  /** Keeps the pages of a range in memory and mapped. */
  pin(address: u32, size: u32): HRESULT;
  unpin(address: u32, size: u32): HRESULT;
  translate(address: u32, physical: Out<u32>): HRESULT;
  mapDevice(physical: u32, size: u32, address: Out<u32>): HRESULT;
}
export declare const IDriver: { readonly IID: u32 };
