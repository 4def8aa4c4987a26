/** A client that never stops: `carry SERVER WHAT` calls an echo server until a call fails, and returns that call's result. */

import { IEcho } from "../../interfaces/IEcho";
import type { IEchoCallback } from "../../interfaces/IEchoCallback";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_FAIL, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { bindWaiting, memoryObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";
import { sleep } from "../../lib/rt/wait";

const SIZE: u32 = 0x80000;
const PATIENCE: u32 = 2000;

/** Takes its time, and is called by the server. */
@unmanaged
class Slow extends ComObject implements IEchoCallback {
  called(value: u32, answer: Out<u32>): HRESULT {
    sleep(2);
    store<u32>(answer, value);
    return S_OK;
  }
}

/**
 * WHAT: "accept" and "supply" carry half a megabyte in, or out, that the server does not touch; "sum" and "fill" have it look at every byte;
 * "back" has it call back.
 */
export function carry(server: usize, what: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (memoryObject().map(word, SIZE, PROTECT_READ | PROTECT_WRITE) !== S_OK) return E_OUTOFMEMORY;
  const buffer: usize = load<u32>(word);
  const own = newObject<Slow>();
  if (!own || bindWaiting(server, IEcho.IID, PATIENCE, word) !== S_OK) return E_FAIL;
  const echo = changetype<IEcho>(load<usize>(word));
  let result: HRESULT = S_OK;
  while (result === S_OK) {
    if (stringEquals(what, text("accept"))) result = echo.accept(buffer, SIZE);
    else if (stringEquals(what, text("supply"))) result = echo.supply(buffer, SIZE);
    else if (stringEquals(what, text("sum"))) result = echo.sum(buffer, SIZE, word);
    else if (stringEquals(what, text("fill"))) result = echo.fill(1, buffer, SIZE);
    else result = echo.callBack(interfaceOf<IEchoCallback>(own), 1, word);
  }
  echo.release();
  own.release();
  return result;
}
