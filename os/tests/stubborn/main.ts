/**
 * A movable service that makes trouble: `stubborn NAME [TROUBLE]`. Its object answers how often it was called; called with FAULT it makes a
 * fault. TROUBLE is what goes wrong when it is moved:
 *
 *   die        the new instance ends before it registers          refuse     it refuses the state
 *   forget     it does not know the object                        crash      it makes a fault when it gets the state
 *   sit        the old instance refuses to be suspended           sleep      the new one refuses to start
 */

import { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IServiceObject } from "../../interfaces/IServiceObject";
import type { IServiceState } from "../../interfaces/IServiceState";
import { E_ACCESSDENIED, E_BUFFER, E_FAIL, E_NOTFOUND, S_FALSE, S_OK } from "../../interfaces/results";
import type { HRESULT, InBytes, Out, OutBytes, OutInterface } from "../../interfaces/types";
import { serve, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";

const FAULT: u32 = 0xdead;
const STATE: u32 = 4;

let trouble: usize = 0;
let isSuccessor = false;

function troubled(name: usize): bool {
  return stringEquals(trouble, name);
}

@unmanaged
class Stubborn extends ComObject implements IEchoCallback, IServiceObject, IServiceState {
  calls: u32 = 0;

  called(value: u32, answer: Out<u32>): HRESULT {
    if (value === FAULT) unreachable();
    store<u32>(answer, atomicAdd(changetype<usize>(this) + offsetof<Stubborn>("calls"), 1) + 1);
    return S_OK;
  }

  key(key: Out<u32>): HRESULT {
    store<u32>(key, 0);
    return S_OK;
  }

  suspend(): HRESULT {
    return troubled(text("sit")) ? E_ACCESSDENIED : S_OK;
  }

  resume(): HRESULT {
    return isSuccessor && troubled(text("sleep")) ? E_FAIL : S_OK;
  }

  save(buffer: OutBytes, size: u32, length: Out<u32>): HRESULT {
    store<u32>(length, STATE);
    if (size < STATE) return E_BUFFER;
    store<u32>(buffer, this.calls);
    return S_OK;
  }

  restore(buffer: InBytes, _size: u32): HRESULT {
    if (troubled(text("refuse"))) return E_FAIL;
    if (troubled(text("crash"))) unreachable();
    this.calls = load<u32>(buffer);
    return S_OK;
  }

  object(_key: u32, iid: u32, out: OutInterface): HRESULT {
    store<usize>(out, 0);
    return troubled(text("forget")) ? E_NOTFOUND : this.queryInterface(iid, out);
  }
}

export function main(argc: i32, argv: usize): i32 {
  if (argc < 2) return 2;
  trouble = argc > 2 ? load<usize>(argv, 8) : text("none");
  const object = newObject<Stubborn>();
  if (!object) return 1;
  const name = load<usize>(argv, 4);
  // Only the first instance finds its name free.
  const word = stackAlloc(4);
  if (troubled(text("die")) && systemObject().bind(name, IEchoCallback.IID, word) === S_OK) {
    changetype<IEchoCallback>(load<usize>(word)).release();
    object.release();
    return 3;
  }
  const state = interfaceOf<IServiceState>(object);
  const result = systemObject().registerService(name, interfaceOf<IEchoCallback>(object), state);
  isSuccessor = result === S_FALSE;
  if (result >= 0) serve();
  object.release();
  return min<i32>(result, 0);
}
