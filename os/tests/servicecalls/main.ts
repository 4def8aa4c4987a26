/**
 * A client of an echo server, as busy as it can be: `servicecalls SERVER CONTROL`. It checks every answer, above all that the counts of the server's
 * objects miss nothing and repeat nothing. After each round, in which it calls the
 * server's first object once, it calls CONTROL (IEchoCallback), and ends when that answers 1. Exit code: 0, or which check failed.
 *
 * `servicecalls fault SERVICE` makes the `stubborn` service make a fault, and calls it once more. Exit code: 0 if the service was there again.
 */

import { IEcho } from "../../interfaces/IEcho";
import { IEchoCallback } from "../../interfaces/IEchoCallback";
import { E_DISCONNECTED, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { stringEquals } from "../../lib/rt/strings";

const BUFFER: u32 = 300;
const FAULT: u32 = 0xdead;
/** How long the service may take to appear, in ms. */
const PATIENCE: u32 = 2000;

@unmanaged
class Doubler extends ComObject implements IEchoCallback {
  called(value: u32, answer: Out<u32>): HRESULT {
    store<u32>(answer, value * 2);
    return S_OK;
  }
}

export function main(argc: i32, argv: usize): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (argc !== 3) return 90;
  if (stringEquals(load<usize>(argv, 4), text("fault"))) return callFault(load<usize>(argv, 8));
  if (systemObject().bind(load<usize>(argv, 4), IEcho.IID, word) !== S_OK) return 91;
  const root = changetype<IEcho>(load<usize>(word));
  if (systemObject().bind(load<usize>(argv, 8), IEchoCallback.IID, word) !== S_OK) return 92;
  const control = changetype<IEchoCallback>(load<usize>(word));
  if (root.another(word) !== S_OK) return 93;
  const own = changetype<IEcho>(load<usize>(word));
  const doubler = newObject<Doubler>();
  if (!doubler) return 94;
  let result: i32 = 0;
  for (let rounds: u32 = 1; result === 0; rounds++) {
    result = round(root, own, interfaceOf<IEchoCallback>(doubler), rounds);
    if (control.called(rounds, word) !== S_OK) result = 95;
    else if (load<u32>(word) === 1) break;
  }
  doubler.release();
  own.release();
  root.release();
  control.release();
  return result;
}

function callFault(name: usize): i32 {
  const word = stackAlloc(4);
  if (bindWaiting(name, IEchoCallback.IID, PATIENCE, word) !== S_OK) return 91;
  const service = changetype<IEchoCallback>(load<usize>(word));
  const first = service.called(FAULT, word);
  const second = service.called(0, word);
  service.release();
  if (first !== E_DISCONNECTED) return 1;
  return second === S_OK && load<u32>(word) === 1 ? 0 : 2;
}

/** 0, or the number of the check that failed. */
function round(root: IEcho, own: IEcho, doubler: IEchoCallback, rounds: u32): i32 {
  const word = stackAlloc(4);
  const buffer = stackAlloc(BUFFER);
  if (root.count(word) !== S_OK) return 1;
  if (own.count(word) !== S_OK) return 2;
  if (load<u32>(word) !== rounds) return 3;
  if (own.fill(rounds, buffer, BUFFER) !== S_OK) return 4;
  if (<u32>load<u8>(buffer + BUFFER - 1) !== ((rounds + BUFFER - 1) & 255)) return 5;
  if (own.callBack(doubler, rounds, word) !== S_OK) return 6;
  if (load<u32>(word) !== rounds * 2) return 7;
  if (root.another(word) !== S_OK) return 8;
  const other = changetype<IEcho>(load<usize>(word));
  const first = other.count(word);
  other.release();
  if (first !== S_OK || load<u32>(word) !== 1) return 9;
  return 0;
}
