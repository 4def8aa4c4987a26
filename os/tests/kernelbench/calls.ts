/** Calls: on an object of the same space, and of an echo server in the kernel and in a process. */

import { IEcho } from "../../interfaces/IEcho";
import type { IEchoCallback } from "../../interfaces/IEchoCallback";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { E_OUTOFMEMORY, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { begin, end, GROUPS } from "./marks";

const PATIENCE: u32 = 2000;
const CALLS: u32 = 50;
const FEW: u32 = 10;
const PAGE: u32 = 4096;
const LARGE: u32 = 65536;

@unmanaged
class Own extends ComObject implements IEchoCallback {
  called(_value: u32, _answer: Out<u32>): HRESULT {
    return S_OK;
  }
}

export function callRows(): HRESULT {
  let result = directCalls();
  if (result === S_OK) result = serverCalls(PLACE_KERNEL, text("kernelbench.kernel"));
  if (result === S_OK) result = serverCalls(PLACE_PROCESS, text("kernelbench.process"));
  return result;
}

function directCalls(): HRESULT {
  const own = newObject<Own>();
  if (!own) return E_OUTOFMEMORY;
  const callback = interfaceOf<IEchoCallback>(own);
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < CALLS; round++) callback.called(round, 0);
    end(CALLS, text("direct call"));
  }
  own.release();
  return S_OK;
}

/** Calls of an echo server at `place`. */
function serverCalls(place: u32, name: usize): HRESULT {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = systemObject().run(text("echo"), name, place, word);
  if (result !== S_OK) return result;
  const server = changetype<IProcess>(load<usize>(word));
  result = bindWaiting(name, IEcho.IID, PATIENCE, word);
  if (result !== S_OK) return result;
  const echo = changetype<IEcho>(load<usize>(word));
  result = echo.nothing();
  const where = place === PLACE_KERNEL ? text(", server in the kernel") : text(", server in a process");
  if (result === S_OK) {
    for (let group: u32 = 0; group < GROUPS; group++) {
      begin();
      for (let round: u32 = 0; round < CALLS; round++) echo.nothing();
      end(CALLS, text("null call"), where);
    }
    result = carryingCalls(echo, where);
  }
  echo.quit();
  echo.release();
  server.wait(word);
  server.release();
  return result;
}

/** Calls with a buffer that the server does not touch: what carrying it costs. */
function carryingCalls(echo: IEcho, where: usize): HRESULT {
  const address = stackAlloc(4);
  store<u32>(address, 0);
  const result = memoryObject().map(address, LARGE, PROTECT_READ | PROTECT_WRITE);
  if (result !== S_OK) return result;
  const buffer: usize = load<u32>(address);
  for (let at: usize = 0; at < LARGE; at += PAGE) store<u8>(buffer + at, 1);
  accept(echo, buffer, 4, CALLS, text("call with 4 B in"), where);
  supply(echo, buffer, 4, CALLS, text("call with 4 B out"), where);
  accept(echo, buffer, PAGE, CALLS, text("call with 4 KB in"), where);
  supply(echo, buffer, PAGE, CALLS, text("call with 4 KB out"), where);
  accept(echo, buffer, LARGE, FEW, text("call with 64 KB in"), where);
  supply(echo, buffer, LARGE, FEW, text("call with 64 KB out"), where);
  return memoryObject().unmap(<u32>buffer);
}

function accept(echo: IEcho, buffer: usize, size: u32, rounds: u32, name: usize, where: usize): void {
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < rounds; round++) echo.accept(buffer, size);
    end(rounds, name, where);
  }
}

function supply(echo: IEcho, buffer: usize, size: u32, rounds: u32, name: usize, where: usize): void {
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    for (let round: u32 = 0; round < rounds; round++) echo.supply(buffer, size);
    end(rounds, name, where);
  }
}
