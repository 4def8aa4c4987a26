import type { IUnknown } from "./IUnknown";
import type { HRESULT, InBytes, Out, OutBytes, u32 } from "./types";

/** A terminal with line editing and echo. */
export interface IConsole extends IUnknown {
  /** Writes bytes of UTF-8; a newline goes out as carriage return and newline. */
  write(buffer: InBytes, size: u32): HRESULT;
  /** Waits until everything written is on the screen. */
  flush(): HRESULT;
  /** Waits for one line and stores it without its newline, NUL-terminated; `length` excludes the NUL. `S_FALSE` at end of input. */
  readLine(buffer: OutBytes, size: u32, length: Out<u32>): HRESULT;
  /** Waits until Ctrl-C is pressed. `E_CANCELLED`. */
  waitInterrupt(): HRESULT;
}
export declare const IConsole: { readonly IID: u32 };
