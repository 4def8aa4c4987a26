/**
 * Echo objects. All that there are stand in a list, with their keys, so that their counts can go with the server when it moves.
 */

import type { EchoPoint, IEcho } from "../../interfaces/IEcho";
import type { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IServiceObject } from "../../interfaces/IServiceObject";
import type { ProcessInfo } from "../../interfaces/ISystem";
import { IThreads } from "../../interfaces/IThreads";
import { E_CANCELLED, E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT, In, InBytes, InOut, InString, Out, OutBytes } from "../../interfaces/types";
import { systemObject } from "../../lib/rt/program";
import { stringLength } from "../../lib/rt/strings";
import { exitThread, type Mutex, sleep, wake } from "../../lib/rt/wait";

/** Not 0 once the program shall end. */
const stop: usize = memory.data(4, 16);

export function stopWord(): usize {
  return stop;
}

/** Guards the list. */
const lock: usize = memory.data(4, 16);
let first: Echo | null = null;
let lastKey: u32 = 0;

export function lockObjects(): Echo | null {
  changetype<Mutex>(lock).acquire();
  return first;
}

export function unlockObjects(): void {
  changetype<Mutex>(lock).release();
}

/** A new object, under the next key; or, with another key, the counterpart of one in another instance. Null when memory is exhausted. */
export function createEcho(key: u32): Echo | null {
  const echo = newObject<Echo>();
  if (!echo) return null;
  lockObjects();
  if (key > lastKey) lastKey = key;
  echo.number = key;
  echo.next = first;
  first = echo;
  unlockObjects();
  return echo;
}

export function nextKey(): u32 {
  lockObjects();
  const key = ++lastKey;
  unlockObjects();
  return key;
}

@unmanaged
export class Echo extends ComObject implements IEcho, IServiceObject {
  /** Its key. */
  number: u32 = 0;
  calls: u32 = 0;
  next: Echo | null = null;
  /** Made by `restore`, which still holds its reference. */
  restored: u32 = 0;

  nothing(): HRESULT {
    return S_OK;
  }

  add(a: i32, b: i32, sum: Out<i32>): HRESULT {
    store<i32>(sum, a + b);
    return S_OK;
  }

  wide(a: u64, b: f64, sum: Out<f64>): HRESULT {
    store<f64>(sum, <f64>a + b);
    return S_OK;
  }

  mirror(point: In<EchoPoint>, out: Out<EchoPoint>): HRESULT {
    const from = changetype<EchoPoint>(point);
    const to = changetype<EchoPoint>(out);
    to.x = -from.x;
    to.y = -from.y;
    to.weight = from.weight;
    return S_OK;
  }

  increment(value: InOut<u32>): HRESULT {
    store<u32>(value, load<u32>(value) + 1);
    return S_OK;
  }

  sum(buffer: InBytes, size: u32, sum: Out<u32>): HRESULT {
    let total: u32 = 0;
    for (let index: u32 = 0; index < size; index++) total += load<u8>(buffer + index);
    store<u32>(sum, total);
    return S_OK;
  }

  fill(first: u32, buffer: OutBytes, size: u32): HRESULT {
    for (let index: u32 = 0; index < size; index++) store<u8>(buffer + index, <u8>(first + index));
    return S_OK;
  }

  length(string: InString, length: Out<u32>): HRESULT {
    store<u32>(length, stringLength(string));
    return S_OK;
  }

  callBack(callback: IEchoCallback, value: u32, answer: Out<u32>): HRESULT {
    return callback.called(value, answer);
  }

  another(out: Out<IEcho>): HRESULT {
    const echo = createEcho(nextKey());
    if (!echo) return E_OUTOFMEMORY;
    store<usize>(out, changetype<usize>(interfaceOf<IEcho>(echo)));
    return S_OK;
  }

  whereAmI(process: Out<u32>, ring: Out<u32>): HRESULT {
    const info = stackAlloc(offsetof<ProcessInfo>());
    const result = systemObject().self(info);
    store<u32>(process, changetype<ProcessInfo>(info).id);
    store<u32>(ring, codeSegment() & 3);
    return result;
  }

  slow(milliseconds: u32): HRESULT {
    return sleep(milliseconds) === 0 ? S_OK : E_CANCELLED;
  }

  quit(): HRESULT {
    volatileStore32(stop, 1);
    wake(stop, 1);
    return S_OK;
  }

  accept(_buffer: InBytes, _size: u32): HRESULT {
    return S_OK;
  }

  supply(_buffer: OutBytes, _size: u32): HRESULT {
    return S_OK;
  }

  probe(buffer: InBytes, size: u32): HRESULT {
    for (let offset: u32 = 0; offset < size; offset += 4096) volatileLoad8(buffer + offset);
    return S_OK;
  }

  count(calls: Out<u32>): HRESULT {
    store<u32>(calls, atomicAdd(changetype<usize>(this) + offsetof<Echo>("calls"), 1) + 1);
    return S_OK;
  }

  relay(next: IEcho, callback: IEchoCallback, value: u32, answer: Out<u32>): HRESULT {
    return next.callBack(callback, value, answer);
  }

  pool(limit: u32, policy: u32): HRESULT {
    const word = stackAlloc(4);
    store<u32>(word, 0);
    const found = systemObject().queryInterface(IThreads.IID, word);
    if (found !== S_OK) return found;
    const threads = changetype<IThreads>(load<usize>(word));
    const result = threads.serverPool(limit, policy);
    threads.release();
    return result;
  }

  leave(): HRESULT {
    exitThread(0);
    return S_OK;
  }

  key(key: Out<u32>): HRESULT {
    store<u32>(key, this.number);
    return S_OK;
  }

  finish(): void {
    let before: Echo | null = null;
    for (let other = lockObjects(); other && other !== this; other = other!.next) before = other;
    if (before) before.next = this.next;
    else first = this.next;
    unlockObjects();
  }
}
