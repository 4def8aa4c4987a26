/** `ILog` over the ring of console bytes that the epitaph tells (console.ts). */

import type { ILog } from "../../interfaces/ILog";
import { S_OK } from "../../interfaces/results";
import type { HRESULT, InBytes } from "../../interfaces/types";
import { logByte } from "../console";
import { kernelProcess } from "./process";
import { registerName } from "./registry";

@unmanaged
class Log extends ComObject implements ILog {
  write(buffer: InBytes, size: u32): HRESULT {
    for (let index: u32 = 0; index < size; index++) logByte(load<u8>(buffer + index));
    return S_OK;
  }
}

/** False when memory is exhausted. */
export function offerLog(): bool {
  const log = newObject<Log>();
  if (!log) return false;
  const result = registerName(kernelProcess(), text("kernel.log"), changetype<usize>(interfaceOf<ILog>(log)));
  log.release();
  return result === S_OK;
}
