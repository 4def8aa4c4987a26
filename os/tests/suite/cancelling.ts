/** Threads that are to end and do not want to: in their own program, and in a service that ignores that its waits are cancelled. */

import type { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import { E_CANCELLED, E_FAIL, S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { systemObject } from "../../lib/rt/program";
import {
  FOREVER,
  type Mutex,
  sleep,
  WAIT_ABANDONED,
  WAIT_TIMED_OUT,
  WAIT_WOKEN,
  waitOn,
  wake,
} from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";

const NAME: usize = text("suite.unwilling");
/** How often a case looks whether a caller has come, once a millisecond. */
const PATIENCE: u32 = 2000;

const mutexWord: usize = memory.data(4, 16);
/** Not 0 once the service may answer; how many calls are inside. */
const mayAnswer: usize = memory.data(4, 16);
const callsInside: usize = memory.data(4, 16);

function mutex(): Mutex {
  return changetype<Mutex>(mutexWord);
}

@unmanaged
class Unwilling extends ComObject implements IEchoCallback {
  /** Keeps its mutex and waits, whatever its waits say. */
  called(value: u32, answer: Out<u32>): HRESULT {
    mutex().acquire();
    atomicAdd(callsInside, 1);
    while (volatileLoad32(mayAnswer) === 0) waitOn(mayAnswer, 0, FOREVER);
    atomicAdd(callsInside, 0xffffffff);
    mutex().release();
    store<u32>(answer, value);
    return S_OK;
  }
}

function start(args: usize, place: u32): IProcess {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  expectEqual(systemObject().run(text("abuse"), args, place, word), S_OK, text("result of run"));
  return changetype<IProcess>(load<usize>(word));
}

function killAndWait(process: IProcess): void {
  const word = stackAlloc(4);
  expectEqual(process.kill(), S_OK, text("result of kill"));
  expectEqual(process.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), E_CANCELLED, text("exit code"));
  process.release();
}

/** A program that waits for ever, whatever its waits say. */
function ignoringProgram(): void {
  for (let place = PLACE_PROCESS; place <= PLACE_KERNEL; place++) {
    const program = start(text("ignore-cancelling"), place);
    if (changetype<usize>(program) === 0) return;
    sleep(10);
    killAndWait(program);
  }
}

/** Its caller is killed inside: the caller ends, the service goes on, and the mutex comes back in some way. */
function ignoringService(): void {
  memory.fill(mutexWord, 0, 4);
  memory.fill(mayAnswer, 0, 4);
  memory.fill(callsInside, 0, 4);
  const service = newObject<Unwilling>();
  if (!service) return;
  systemObject().register(NAME, interfaceOf<IEchoCallback>(service));
  const caller = start(text("call-callback suite.unwilling"), PLACE_PROCESS);
  if (changetype<usize>(caller) !== 0) {
    for (let waited: u32 = 0; volatileLoad32(callsInside) === 0 && waited < PATIENCE; waited++) sleep(1);
    expectEqual(volatileLoad32(callsInside), 1, text("calls inside the service"));
    expectEqual(mutex().acquireWithin(5), WAIT_TIMED_OUT, text("result of wanting the mutex too early"));
    killAndWait(caller);
  }
  volatileStore32(mayAnswer, 1);
  wake(mayAnswer, FOREVER);
  const result = mutex().acquireWithin(PATIENCE);
  if (expect(result === WAIT_WOKEN || result === WAIT_ABANDONED, text("the service's mutex is lost")))
    mutex().release();
  systemObject().unregister(NAME);
  service.release();
}

/** A program in the kernel that ends with all it had, in whatever way, leaves nothing there: `runCase` looks. */
function leavingProgram(): void {
  const word = stackAlloc(4);
  for (let way: u32 = 0; way < 2; way++) {
    const program = start(way === 0 ? text("leak") : text("leak badly"), PLACE_KERNEL);
    if (changetype<usize>(program) === 0) return;
    expectEqual(program.wait(word), S_OK, text("result of wait"));
    expectEqual(load<u32>(word), way === 0 ? S_OK : E_FAIL, text("exit code"));
    program.release();
  }
}

export function cancellingCases(): void {
  runCase(text("program-that-ignores-cancelling"), functionAddress(ignoringProgram));
  runCase(text("program-in-the-kernel-that-leaks"), functionAddress(leavingProgram));
  runCase(text("service-that-ignores-cancelling"), functionAddress(ignoringService));
}
