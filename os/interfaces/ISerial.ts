import type { IUnknown } from "./IUnknown";
import type { HRESULT, InBytes, Out, OutBytes, u32 } from "./types";

/** A raw serial line with receive and transmit queues filled and drained by interrupts. */
export interface ISerial extends IUnknown {
  /** Queues bytes; waits while the queue is full. */
  write(buffer: InBytes, size: u32): HRESULT;
  /** Waits until at least one byte is there; stores up to `size`. None: the read was cancelled. */
  read(buffer: OutBytes, size: u32, count: Out<u32>): HRESULT;
  /** Makes the read that waits now, or the next one, come back with no byte. */
  cancelRead(): HRESULT;
  /** Waits until everything written has left. */
  flush(): HRESULT;
}
export declare const ISerial: { readonly IID: u32 };
