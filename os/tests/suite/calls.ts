/** Calls with every kind of argument, to a server in a process and to one in the kernel. The same cases for both. */

import { type EchoPoint, IEcho } from "../../interfaces/IEcho";
import { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import { E_DISCONNECTED, E_EXISTS, E_NOINTERFACE, E_NOTFOUND, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { allocate, free } from "../../lib/rt/heap";
import { systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { kernelRing, type Server, startServer } from "./servers";

const LARGE: u32 = 65536;

/** Where the server of the cases runs. */
let place: u32 = PLACE_PROCESS;
const serverArea: usize = memory.data(8, 16);

function server(): Server {
  return changetype<Server>(serverArea);
}

/** Starts a server, lets `run` use it, stops it. */
function withServer(run: (echo: IEcho) => void): void {
  if (!startServer(server(), place)) return;
  run(server().echo);
  server().stop();
}

function nothing(): void {
  withServer((echo) => {
    for (let round = 0; round < 10; round++) expectEqual(echo.nothing(), S_OK, text("result"));
  });
}

function scalars(): void {
  withServer((echo) => {
    const sum = stackAlloc(4);
    expectEqual(echo.add(40, 2, sum), S_OK, text("result"));
    expectEqual(load<u32>(sum), 42, text("sum"));
    expectEqual(echo.add(-40, -2, sum), S_OK, text("result"));
    expectEqual(load<u32>(sum), <u32>-42, text("negative sum"));
  });
}

function wideScalars(): void {
  withServer((echo) => {
    const sum = stackAlloc(8);
    expectEqual(echo.wide(0x100000000, 0.5, sum), S_OK, text("result"));
    expect(load<f64>(sum) === 4294967296.5, text("the sum of a u64 and an f64 is wrong"));
  });
}

function structures(): void {
  withServer((echo) => {
    const from = changetype<EchoPoint>(stackAlloc(offsetof<EchoPoint>()));
    const to = changetype<EchoPoint>(stackAlloc(offsetof<EchoPoint>()));
    from.x = 3;
    from.y = -4;
    from.weight = 2.25;
    expectEqual(echo.mirror(changetype<usize>(from), changetype<usize>(to)), S_OK, text("result"));
    expectEqual(to.x, <u32>-3, text("x"));
    expectEqual(to.y, 4, text("y"));
    expect(to.weight === 2.25, text("the weight is wrong"));
    expectEqual(from.x, 3, text("x of the argument"));
  });
}

function inOut(): void {
  withServer((echo) => {
    const value = stackAlloc(4);
    store<u32>(value, 41);
    expectEqual(echo.increment(value), S_OK, text("result"));
    expectEqual(load<u32>(value), 42, text("value"));
  });
}

function smallBuffer(): void {
  withServer((echo) => {
    const buffer = stackAlloc(8);
    const sum = stackAlloc(4);
    for (let index: u32 = 0; index < 5; index++) store<u8>(buffer + index, <u8>(index + 1));
    expectEqual(echo.sum(buffer, 5, sum), S_OK, text("result"));
    expectEqual(load<u32>(sum), 15, text("sum"));
    expectEqual(echo.sum(buffer, 0, sum), S_OK, text("result of an empty buffer"));
    expectEqual(load<u32>(sum), 0, text("sum of an empty buffer"));
  });
}

function largeBuffers(): void {
  withServer((echo) => {
    const buffer = allocate(LARGE);
    const sum = stackAlloc(4);
    if (!expect(buffer !== 0, text("no memory for the buffer"))) return;
    expectEqual(echo.fill(7, buffer, LARGE), S_OK, text("result of fill"));
    let wrong: u32 = 0;
    let total: u32 = 0;
    for (let index: u32 = 0; index < LARGE; index++) {
      if (<u32>load<u8>(buffer + index) !== ((7 + index) & 255)) wrong++;
      total += load<u8>(buffer + index);
    }
    expectEqual(wrong, 0, text("number of wrong bytes"));
    expectEqual(echo.sum(buffer, LARGE, sum), S_OK, text("result of sum"));
    expectEqual(load<u32>(sum), total, text("sum"));
    free(buffer);
  });
}

function strings(): void {
  withServer((echo) => {
    const length = stackAlloc(4);
    expectEqual(echo.length(text("Rialto"), length), S_OK, text("result"));
    expectEqual(load<u32>(length), 6, text("length"));
    expectEqual(echo.length(text(""), length), S_OK, text("result of the empty string"));
    expectEqual(load<u32>(length), 0, text("length of the empty string"));
  });
}

@unmanaged
class Doubler extends ComObject implements IEchoCallback {
  calls: u32 = 0;

  called(value: u32, answer: Out<u32>): HRESULT {
    this.calls++;
    store<u32>(answer, value * 2);
    return S_OK;
  }
}

function callbacks(): void {
  withServer((echo) => {
    const doubler = newObject<Doubler>();
    const answer = stackAlloc(4);
    if (!expect(doubler !== null, text("no memory for the callback"))) return;
    for (let round: u32 = 1; round <= 3; round++) {
      expectEqual(
        echo.callBack(interfaceOf<IEchoCallback>(doubler), round * 21, answer),
        S_OK,
        text("result"),
      );
      expectEqual(load<u32>(answer), round * 42, text("answer"));
    }
    expectEqual(doubler.calls, 3, text("number of calls"));
    // The server may give its reference back a little after the call.
    for (let waited = 0; waited < 100 && doubler.references > 1; waited++) sleep(1);
    expectEqual(doubler.references, 1, text("number of references left"));
    doubler.release();
  });
}

function objectsReturned(): void {
  withServer((echo) => {
    const out = stackAlloc(4);
    const sum = stackAlloc(4);
    store<u32>(out, 0);
    if (!expectEqual(echo.another(out), S_OK, text("result"))) return;
    const second = changetype<IEcho>(load<usize>(out));
    expect(second !== echo, text("the new object is the old one"));
    expectEqual(second.add(1, 2, sum), S_OK, text("result of a call to it"));
    expectEqual(load<u32>(sum), 3, text("sum"));
    second.release();
  });
}

function whereItRuns(): void {
  withServer((echo) => {
    const process = stackAlloc(4);
    const ring = stackAlloc(4);
    const id = stackAlloc(4);
    expectEqual(echo.whereAmI(process, ring), S_OK, text("result"));
    expectEqual(load<u32>(ring), place === PLACE_KERNEL ? kernelRing() : 3, text("ring of the server"));
    if (place !== PLACE_PROCESS) return;
    expectEqual(server().process.identity(id), S_OK, text("result of identity"));
    expectEqual(load<u32>(process), load<u32>(id), text("process of the server"));
  });
}

function interfaces(): void {
  withServer((echo) => {
    const out = stackAlloc(4);
    store<u32>(out, 1);
    expectEqual(echo.queryInterface(0x12345678, out), E_NOINTERFACE, text("result for an unknown interface"));
    expectEqual(load<u32>(out), 0, text("pointer for an unknown interface"));
    expectEqual(echo.queryInterface(IEcho.IID, out), S_OK, text("result for its own interface"));
    expectEqual(load<u32>(out), changetype<u32>(echo), text("pointer for its own interface"));
    echo.release();
  });
}

function slowCall(): void {
  withServer((echo) => {
    expectEqual(echo.slow(20), S_OK, text("result"));
  });
}

/** Thread that makes one slow call; its result is the call's. */
function slowCaller(echo: usize): u32 {
  return changetype<IEcho>(echo).slow(5000);
}

function serverKilled(): void {
  if (!startServer(server(), PLACE_PROCESS)) return;
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(systemObject().queryInterface(IThreads.IID, word), S_OK, text("result of queryInterface")))
    return;
  const threads = changetype<IThreads>(load<usize>(word));
  const echo = server().echo;
  const created = threads.create(
    <u32>functionAddress(slowCaller),
    changetype<u32>(echo),
    PRIORITY_DEFAULT,
    word,
  );
  threads.release();
  if (!expectEqual(created, S_OK, text("result of create"))) return;
  const caller = changetype<IThread>(load<usize>(word));
  sleep(20);
  expectEqual(server().process.kill(), S_OK, text("result of kill"));
  expectEqual(caller.join(word), S_OK, text("result of join"));
  expectEqual(load<u32>(word), E_DISCONNECTED, text("result of the call under way"));
  caller.release();
  expectEqual(echo.nothing(), E_DISCONNECTED, text("result of a later call"));
  echo.release();
  server().process.wait(word);
  server().process.release();
}

function clientKilled(): void {
  if (!startServer(server(), PLACE_PROCESS)) return;
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(text("abuse"), text("call-slow suite.echo"), PLACE_PROCESS, word);
  if (expectEqual(result, S_OK, text("result of run"))) {
    const client = changetype<IProcess>(load<usize>(word));
    sleep(30);
    expectEqual(client.kill(), S_OK, text("result of kill"));
    expectEqual(client.wait(word), S_OK, text("result of wait"));
    client.release();
  }
  expectEqual(server().echo.nothing(), S_OK, text("result of a call afterwards"));
  server().stop();
}

function names(): void {
  const word = stackAlloc(4);
  const system = systemObject();
  const doubler = newObject<Doubler>();
  if (!expect(doubler !== null, text("no memory"))) return;
  const callback = interfaceOf<IEchoCallback>(doubler);
  expectEqual(
    system.bind(text("suite.nobody"), IEcho.IID, word),
    E_NOTFOUND,
    text("result of binding an unknown name"),
  );
  expectEqual(system.register(text("suite.mine"), callback), S_OK, text("result of register"));
  expectEqual(
    system.register(text("suite.mine"), callback),
    E_EXISTS,
    text("result of registering it again"),
  );
  expectEqual(
    system.bind(text("suite.mine"), IEcho.IID, word),
    E_NOINTERFACE,
    text("result of binding another interface"),
  );
  expectEqual(
    system.bind(text("suite.mine"), IEchoCallback.IID, word),
    S_OK,
    text("result of binding my own object"),
  );
  expectEqual(load<u32>(word), changetype<u32>(callback), text("pointer to my own object"));
  callback.release();
  expectEqual(system.unregister(text("suite.mine")), S_OK, text("result of unregister"));
  expectEqual(system.unregister(text("suite.mine")), E_NOTFOUND, text("result of unregistering it again"));
  for (let waited = 0; waited < 100 && doubler.references > 1; waited++) sleep(1);
  expectEqual(doubler.references, 1, text("number of references left"));
  doubler.release();
}

/** Cases whose server is at `where`; their names begin with `kernel` or `process`. */
export function callCases(where: u32): void {
  place = where;
  const kernel = where === PLACE_KERNEL;
  runCase(kernel ? text("kernel-server-nothing") : text("process-server-nothing"), functionAddress(nothing));
  runCase(kernel ? text("kernel-server-scalars") : text("process-server-scalars"), functionAddress(scalars));
  runCase(
    kernel ? text("kernel-server-wide-scalars") : text("process-server-wide-scalars"),
    functionAddress(wideScalars),
  );
  runCase(
    kernel ? text("kernel-server-structures") : text("process-server-structures"),
    functionAddress(structures),
  );
  runCase(kernel ? text("kernel-server-in-out") : text("process-server-in-out"), functionAddress(inOut));
  runCase(
    kernel ? text("kernel-server-small-buffer") : text("process-server-small-buffer"),
    functionAddress(smallBuffer),
  );
  runCase(
    kernel ? text("kernel-server-large-buffers") : text("process-server-large-buffers"),
    functionAddress(largeBuffers),
  );
  runCase(kernel ? text("kernel-server-strings") : text("process-server-strings"), functionAddress(strings));
  runCase(
    kernel ? text("kernel-server-callbacks") : text("process-server-callbacks"),
    functionAddress(callbacks),
  );
  runCase(
    kernel ? text("kernel-server-objects-returned") : text("process-server-objects-returned"),
    functionAddress(objectsReturned),
  );
  runCase(
    kernel ? text("kernel-server-where-it-runs") : text("process-server-where-it-runs"),
    functionAddress(whereItRuns),
  );
  runCase(
    kernel ? text("kernel-server-interfaces") : text("process-server-interfaces"),
    functionAddress(interfaces),
  );
  runCase(
    kernel ? text("kernel-server-slow-call") : text("process-server-slow-call"),
    functionAddress(slowCall),
  );
}

export function connectionCases(): void {
  runCase(text("server-killed-in-a-call"), functionAddress(serverKilled));
  runCase(text("client-killed-in-a-call"), functionAddress(clientKilled));
  runCase(text("names"), functionAddress(names));
}
