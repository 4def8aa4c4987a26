/** Pools of server threads: calls in cycles, full pools, idle threads, and ends of either side in every state of a call. */

import type { IEcho } from "../../interfaces/IEcho";
import type { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS, type ProcessInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads, POOL_QUEUES, POOL_REFUSES } from "../../interfaces/IThreads";
import { E_BUSY, E_DISCONNECTED, E_INVALIDARG, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { type Server, startServer, startServerAs } from "./servers";

const CALLERS: u32 = 6;
const SLOW: u32 = 60;
/** Longer than idle threads live. */
const IDLE: u32 = 3000;

const nearArea: usize = memory.data(8, 16);
const farArea: usize = memory.data(8, 16);
const callers: usize = memory.data(32, 16);
/** Whose turn it is in `urgentFirst`, by caller: the last two are the most urgent. */
const TURNS: usize = memory.data<u32>([0, 5, 3, 4, 1, 2]);

function near(): Server {
  return changetype<Server>(nearArea);
}

function far(): Server {
  return changetype<Server>(farArea);
}

/** Starts a thread that runs `entry(argument)`; null, and reported, if that fails. */
function startThread(entry: usize, argument: usize, priority: u32): IThread | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(systemObject().queryInterface(IThreads.IID, word), S_OK, text("result of queryInterface")))
    return null;
  const threads = changetype<IThreads>(load<usize>(word));
  store<u32>(word, 0);
  const result = threads.create(<u32>entry, <u32>argument, priority, word);
  threads.release();
  return expectEqual(result, S_OK, text("result of create")) ? load<IThread | null>(word) : null;
}

function slowCaller(echo: usize): u32 {
  return changetype<IEcho>(echo).slow(SLOW);
}

function longCaller(echo: usize): u32 {
  return changetype<IEcho>(echo).slow(5000);
}

function startCallers(count: u32, entry: usize, echo: IEcho): void {
  for (let index: u32 = 0; index < count; index++) {
    const thread = startThread(entry, changetype<usize>(echo), PRIORITY_DEFAULT);
    store<usize>(callers + index * 4, changetype<usize>(thread));
  }
}

/** Waits for the callers, whose calls are to have the result `wanted`. */
function joinCallers(count: u32, wanted: HRESULT): void {
  const word = stackAlloc(4);
  for (let index: u32 = 0; index < count; index++) {
    const thread = load<IThread | null>(callers + index * 4);
    if (!thread) continue;
    expectEqual(thread.join(word), S_OK, text("result of join"));
    expectEqual(load<u32>(word), wanted, text("result of a caller's call"));
    thread.release();
  }
}

/** Threads of a process as `ps` shows them. */
function threadsOf(process: IProcess): u32 {
  const word = stackAlloc(4);
  const info = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  store<u32>(word, 0);
  process.identity(word);
  for (let index: u32 = 0; systemObject().processInfo(index, changetype<usize>(info)) === S_OK; index++) {
    if (info.id === load<u32>(word)) return info.threads;
  }
  return 0;
}

/** Goes round the three programs until its value is 0; the answer is how often. */
@unmanaged
class Wheel extends ComObject implements IEchoCallback {
  called(value: u32, answer: Out<u32>): HRESULT {
    if (value === 0) {
      store<u32>(answer, 0);
      return S_OK;
    }
    const result = near().echo.relay(far().echo, interfaceOf<IEchoCallback>(this), value - 1, answer);
    store<u32>(answer, load<u32>(answer) + 1);
    return result;
  }
}

/** This program calls a server, which calls another, which calls this one, and so on: every thread but the last waits. */
function cycles(): void {
  const wheel = newObject<Wheel>();
  if (!expect(wheel !== null, text("no memory"))) return;
  if (!startServer(near(), PLACE_PROCESS)) return;
  if (startServerAs(far(), text("suite.far"), PLACE_PROCESS)) {
    const answer = stackAlloc(4);
    store<u32>(answer, 0);
    const callback = interfaceOf<IEchoCallback>(wheel);
    expectEqual(near().echo.relay(far().echo, callback, 4, answer), S_OK, text("result of the outer call"));
    expectEqual(load<u32>(answer), 4, text("number of rounds"));
    far().stop();
  }
  near().stop();
  for (let waited = 0; waited < 200 && wheel.references > 1; waited++) sleep(1);
  expectEqual(wheel.references, 1, text("number of references left"));
  wheel.release();
}

function fullPoolQueues(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  expectEqual(near().echo.pool(0, POOL_QUEUES), E_INVALIDARG, text("result of a pool of none"));
  expectEqual(near().echo.pool(2, 7), E_INVALIDARG, text("result of an unknown policy"));
  expectEqual(near().echo.pool(2, POOL_QUEUES), S_OK, text("result of pool"));
  startCallers(CALLERS, functionAddress(slowCaller), near().echo);
  sleep(SLOW / 2);
  expect(threadsOf(near().process) <= 3, text("there are more server threads than the bound"));
  joinCallers(CALLERS, S_OK);
  near().stop();
}

function fullPoolRefuses(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  expectEqual(near().echo.pool(2, POOL_REFUSES), S_OK, text("result of pool"));
  startCallers(2, functionAddress(slowCaller), near().echo);
  sleep(SLOW / 2);
  expectEqual(near().echo.nothing(), E_BUSY, text("result of a call while all are busy"));
  joinCallers(2, S_OK);
  expectEqual(near().echo.nothing(), S_OK, text("result of a call afterwards"));
  near().stop();
}

function idleThreadsEnd(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  startCallers(CALLERS, functionAddress(slowCaller), near().echo);
  sleep(SLOW / 2);
  expect(
    threadsOf(near().process) > CALLERS,
    text("calls at the same time did not get threads of their own"),
  );
  joinCallers(CALLERS, S_OK);
  let waited: u32 = 0;
  for (; waited < IDLE && threadsOf(near().process) > 2; waited += 50) sleep(50);
  expectEqual(threadsOf(near().process), 2, text("number of threads of the idle server"));
  expectEqual(near().echo.nothing(), S_OK, text("result of a call afterwards"));
  near().stop();
}

/** Its only server thread goes in the middle of a call; the one that waits for its turn is served all the same. */
function serverThreadLost(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  expectEqual(near().echo.pool(1, POOL_QUEUES), S_OK, text("result of pool"));
  startCallers(2, functionAddress(slowCaller), near().echo);
  sleep(SLOW / 3);
  expectEqual(near().echo.leave(), E_DISCONNECTED, text("result of the call whose thread left"));
  joinCallers(2, S_OK);
  expectEqual(near().echo.nothing(), S_OK, text("result of a call afterwards"));
  near().stop();
}

/** One call is running and two are queued when the server is killed. */
function killedWithQueue(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  const word = stackAlloc(4);
  expectEqual(near().echo.pool(1, POOL_QUEUES), S_OK, text("result of pool"));
  startCallers(3, functionAddress(longCaller), near().echo);
  sleep(20);
  expectEqual(near().process.kill(), S_OK, text("result of kill"));
  joinCallers(3, E_DISCONNECTED);
  near().echo.release();
  near().process.wait(word);
  near().process.release();
}

/** A client is killed while its call is queued: the call is not made, and the server has lost nothing. */
function clientKilledInQueue(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  const word = stackAlloc(4);
  expectEqual(near().echo.pool(1, POOL_QUEUES), S_OK, text("result of pool"));
  startCallers(1, functionAddress(slowCaller), near().echo);
  store<u32>(word, 0);
  const result = systemObject().run(text("abuse"), text("call-slow suite.echo"), PLACE_PROCESS, word);
  if (expectEqual(result, S_OK, text("result of run"))) {
    const client = changetype<IProcess>(load<usize>(word));
    sleep(SLOW / 2);
    expectEqual(client.kill(), S_OK, text("result of kill"));
    expectEqual(client.wait(word), S_OK, text("result of wait"));
    client.release();
  }
  joinCallers(1, S_OK);
  expectEqual(near().echo.nothing(), S_OK, text("result of a call afterwards"));
  near().stop();
}

/** Kills the server that calls it. */
@unmanaged
class Killer extends ComObject implements IEchoCallback {
  called(value: u32, answer: Out<u32>): HRESULT {
    near().process.kill();
    sleep(20);
    store<u32>(answer, value);
    return S_OK;
  }
}

/** The server is killed while it waits for the answer of a call of its own. */
function killedInNestedCall(): void {
  const killer = newObject<Killer>();
  if (!expect(killer !== null, text("no memory"))) return;
  if (!startServer(near(), PLACE_PROCESS)) return;
  const word = stackAlloc(4);
  const result = near().echo.callBack(interfaceOf<IEchoCallback>(killer), 1, word);
  expectEqual(result, E_DISCONNECTED, text("result of the outer call"));
  near().echo.release();
  near().process.wait(word);
  near().process.release();
  for (let waited = 0; waited < 200 && killer.references > 1; waited++) sleep(1);
  expectEqual(killer.references, 1, text("number of references left"));
  killer.release();
}

/** Keeps the processor while the case looks. */
const stopSpinning: usize = memory.data(4, 16);

function spinner(_argument: usize): u32 {
  while (volatileLoad32(stopSpinning) === 0) {}
  return 0;
}

/** A thread between caller and server in urgency does not come between them: the server has the caller's priority. */
function serverIsAsUrgent(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  const word = stackAlloc(4);
  expectEqual(near().echo.nothing(), S_OK, text("result of a first call"));
  volatileStore32(stopSpinning, 0);
  const urgent = startThread(
    functionAddress(urgentHelper),
    changetype<usize>(near().echo),
    PRIORITY_DEFAULT + 4,
  );
  if (urgent) {
    urgent.join(word);
    expectEqual(load<u32>(word), S_OK, text("result of the urgent call"));
    urgent.release();
  }
  near().stop();
}

/** Urgent itself, it starts a less urgent spinner, which is to run only when nobody more urgent does, and calls the server. */
function urgentHelper(echo: usize): u32 {
  const word = stackAlloc(4);
  const middle = startThread(functionAddress(spinner), 0, PRIORITY_DEFAULT + 2);
  if (!middle) return 1;
  sleep(2);
  // With the priority of its program the server would not run before the spinner ends, which is after this call.
  const result = changetype<IEcho>(echo).nothing();
  volatileStore32(stopSpinning, 1);
  middle.join(word);
  middle.release();
  return result;
}

/** One that waits for the only thread, and is answered with its place in the order. */
function countingCaller(echo: usize): u32 {
  const word = stackAlloc(4);
  return changetype<IEcho>(echo).count(word) === S_OK ? load<u32>(word) : 0;
}

/** The last to queue is the most urgent, and comes first; of two equals the first. */
function urgentFirst(): void {
  if (!startServer(near(), PLACE_PROCESS)) return;
  const word = stackAlloc(4);
  expectEqual(near().echo.pool(1, POOL_QUEUES), S_OK, text("result of pool"));
  startCallers(1, functionAddress(slowCaller), near().echo);
  sleep(SLOW / 4);
  for (let index: u32 = 1; index < CALLERS; index++) {
    const priority = PRIORITY_DEFAULT - 2 + (index >> 1) * 2;
    const thread = startThread(functionAddress(countingCaller), changetype<usize>(near().echo), priority);
    store<usize>(callers + index * 4, changetype<usize>(thread));
    sleep(2);
  }
  joinCallers(1, S_OK);
  for (let index: u32 = 1; index < CALLERS; index++) {
    const thread = load<IThread | null>(callers + index * 4);
    if (!thread) continue;
    expectEqual(thread.join(word), S_OK, text("result of join"));
    expectEqual(load<u32>(word), load<u32>(TURNS + index * 4), text("turn of a caller"));
    thread.release();
  }
  near().stop();
}

export function poolCases(): void {
  runCase(text("calls-in-cycles"), functionAddress(cycles));
  runCase(text("full-pool-queues"), functionAddress(fullPoolQueues));
  runCase(text("full-pool-serves-the-urgent-first"), functionAddress(urgentFirst));
  runCase(text("full-pool-refuses"), functionAddress(fullPoolRefuses));
  runCase(text("idle-server-threads-end"), functionAddress(idleThreadsEnd));
  runCase(text("server-thread-lost"), functionAddress(serverThreadLost));
  runCase(text("server-killed-with-a-queue"), functionAddress(killedWithQueue));
  runCase(text("client-killed-in-the-queue"), functionAddress(clientKilledInQueue));
  runCase(text("server-killed-in-a-nested-call"), functionAddress(killedInNestedCall));
  runCase(text("server-as-urgent-as-its-caller"), functionAddress(serverIsAsUrgent));
}
