/**
 * The echo server's state (IServiceState): the count of every object.
 *
 *   for each object:  u32 key   u32 calls
 */

import type { IServiceState } from "../../interfaces/IServiceState";
import { E_BUFFER, E_INVALIDARG, E_NOTFOUND, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT, InBytes, Out, OutBytes, OutInterface } from "../../interfaces/types";
import { createEcho, type Echo, lockObjects, unlockObjects } from "./echo";

const ENTRY: u32 = 8;

@unmanaged
export class EchoState extends ComObject implements IServiceState {
  suspend(): HRESULT {
    return S_OK;
  }

  resume(): HRESULT {
    for (let echo = takeRestored(); echo; echo = takeRestored()) echo.release();
    return S_OK;
  }

  save(buffer: OutBytes, size: u32, length: Out<u32>): HRESULT {
    let at: u32 = 0;
    for (let echo = lockObjects(); echo; echo = echo!.next) {
      if (at + ENTRY <= size) {
        store<u32>(buffer + at, echo.number);
        store<u32>(buffer + at, echo.calls, 4);
      }
      at += ENTRY;
    }
    unlockObjects();
    store<u32>(length, at);
    return at <= size ? S_OK : E_BUFFER;
  }

  restore(buffer: InBytes, size: u32): HRESULT {
    if (size % ENTRY !== 0) return E_INVALIDARG;
    for (let at: u32 = 0; at < size; at += ENTRY) {
      const key = load<u32>(buffer + at);
      let echo = objectWithKey(key);
      if (!echo) {
        echo = createEcho(key);
        if (!echo) return E_OUTOFMEMORY;
        echo.restored = 1;
      } else echo.release();
      echo.calls = load<u32>(buffer + at, 4);
    }
    return S_OK;
  }

  object(key: u32, iid: u32, out: OutInterface): HRESULT {
    store<usize>(out, 0);
    const echo = objectWithKey(key);
    if (!echo) return E_NOTFOUND;
    const result = echo.queryInterface(iid, out);
    echo.release();
    return result;
  }

  finish(): void {
    this.resume();
  }
}

/** With a reference. */
function objectWithKey(key: u32): Echo | null {
  let echo = lockObjects();
  while (echo && echo.number !== key) echo = echo.next;
  if (echo) echo.addRef();
  unlockObjects();
  return echo;
}

/** An object that still belongs to `restore`; its reference goes to the caller. */
function takeRestored(): Echo | null {
  let echo = lockObjects();
  while (echo && !echo.restored) echo = echo.next;
  if (echo) echo.restored = 0;
  unlockObjects();
  return echo;
}
