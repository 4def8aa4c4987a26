/**
 * Suspending, resuming, killing, ending and changing the priority of a thread, each in every state that a thread can be in: a case for
 * each pair. The thread goes through its state over and over, and counts.
 */

import type { IEcho } from "../../interfaces/IEcho";
import { PLACE_PROCESS, type StackInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { S_FALSE, S_OK } from "../../interfaces/results";
import { systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { type Mutex, sleep, WAIT_ABANDONED, WAIT_TIMED_OUT, WAIT_WOKEN, waitOn } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { type Server, startServer } from "./servers";
import { joinThread, startThread } from "./started-threads";

const RUNNING: u32 = 0;
const READY: u32 = 1;
const WAITING: u32 = 2;
const SLEEPING: u32 = 3;
const IN_SERVICE: u32 = 4;
const IN_REMOTE_CALL: u32 = 5;
const WITH_MUTEX: u32 = 6;
const GROWING_STACK: u32 = 7;
const STATES: u32 = 8;

const SUSPEND: u32 = 0;
const RESUME: u32 = 1;
const KILL: u32 = 2;
const EXIT: u32 = 3;
const PRIORITY: u32 = 4;
const OPERATIONS: u32 = 5;

/** Longer than one round of any state. */
const A_WHILE: u32 = 8;
const FRAMES: u32 = 200;
/** Bytes of such a frame at most, and of the stack below the first. */
const FRAME: u32 = 4064;
const STACK_IN_USE: u32 = 12288;
/** Frames that the stack has room for, whatever the boot options make of it. */
let deepest: u32 = 0;
const RESULT: u32 = 0x1234;

/** Set to end the thread; how many rounds it has done; the word it waits on; its own object; the mutex that it takes. */
const stop: usize = memory.data(4, 16);
const rounds: usize = memory.data(4, 16);
const waited: usize = memory.data(4, 16);
const itself: usize = memory.data(4, 16);
const mutexWord: usize = memory.data(4, 16);
const nameArea: usize = memory.data(64, 16);

let state: u32 = 0;
let operation: u32 = 0;
let echo: usize = 0;

function mutex(): Mutex {
  return changetype<Mutex>(mutexWord);
}

/** Thread: goes through the state until told to stop, or until its object is null after it killed itself. */
function worker(_argument: usize): u32 {
  while (volatileLoad32(stop) === 0) {
    volatileStore32(rounds, volatileLoad32(rounds) + 1);
    enterState();
  }
  return RESULT;
}

function enterState(): void {
  if (state === RUNNING) actOnItself();
  else if (state === WAITING) waitOn(waited, 0, 1);
  else if (state === SLEEPING) sleep(1);
  else if (state === IN_SERVICE) systemObject().sleep(1);
  else if (state === IN_REMOTE_CALL) changetype<IEcho>(echo).slow(1);
  else if (state === WITH_MUTEX) {
    mutex().acquire();
    sleep(1);
    mutex().release();
    sleep(1);
  } else if (state === GROWING_STACK) {
    // A page deeper every time.
    const depth = volatileLoad32(rounds);
    recurse(depth < deepest ? depth : deepest);
    sleep(1);
  }
}

/** Thread: a page of stack a frame. */
function recurse(depth: usize): u32 {
  const area = stackAlloc(4000);
  store<u32>(area, <u32>depth);
  return depth === 0 ? 0 : recurse(depth - 1) + load<u32>(area);
}

/** What a running thread suffers it does itself. */
function actOnItself(): void {
  const own = volatileLoad32(itself);
  if (own === 0) {
    sleep(1);
    return;
  }
  const thread = changetype<IThread>(<usize>own);
  if (operation === SUSPEND) thread.suspend();
  else if (operation === KILL) thread.kill();
  else if (operation === RESUME) expectEqual(thread.resume(), S_FALSE, text("result of resuming oneself"));
  else if (operation === PRIORITY) thread.setPriority(PRIORITY_DEFAULT - 2);
  if (operation !== SUSPEND) sleep(1);
}

function count(): u32 {
  return volatileLoad32(rounds);
}

function expectProgress(what: usize): void {
  const before = count();
  for (let tries: u32 = 0; tries < 50 && count() === before; tries++) sleep(A_WHILE);
  expect(count() !== before, what);
}

function expectStanding(what: usize): void {
  sleep(A_WHILE);
  const before = count();
  sleep(2 * A_WHILE);
  expectEqual(count(), before, what);
}

/** Suspended twice, it goes on after the second resume and not before; what it has of the system's, others still get. */
function suspendIt(thread: IThread): void {
  if (state !== RUNNING) expectEqual(thread.suspend(), S_OK, text("result of suspend"));
  expectEqual(thread.suspend(), S_OK, text("result of suspending it again"));
  expectStanding(text("rounds of a suspended thread"));
  expectOthersGoOn();
  expectEqual(thread.resume(), S_OK, text("result of resume"));
  expectStanding(text("rounds of a thread that is suspended once more"));
  expectEqual(thread.resume(), S_OK, text("result of the second resume"));
  if (state === RUNNING) {
    const before = count();
    for (let turn: u32 = 0; turn < 5; turn++) {
      sleep(1);
      expectEqual(thread.resume(), S_OK, text("result of resuming what suspends itself"));
    }
    expect(count() >= before + 4, text("a thread that suspends itself does not go on when resumed"));
    volatileStore32(itself, 0);
    sleep(1);
    thread.resume();
    sleep(1);
  }
  expectProgress(text("a resumed thread does not go on"));
  expectEqual(thread.resume(), S_FALSE, text("result of one resume too many"));
}

/** A thread that stands still keeps nobody else from using the heap, threads, files and servers. */
function expectOthersGoOn(): void {
  expectEqual(
    joinThread(startThread(functionAddress(recurse), 2, PRIORITY_DEFAULT)),
    3,
    text("sum of the others"),
  );
  if (state === IN_REMOTE_CALL)
    expectEqual(changetype<IEcho>(echo).nothing(), S_OK, text("result of a call"));
  if (state !== WITH_MUTEX) return;
  const result = mutex().acquireWithin(2 * A_WHILE);
  if (result !== WAIT_TIMED_OUT) mutex().release();
}

function killIt(thread: IThread): void {
  const word = stackAlloc(4);
  if (state !== RUNNING || operation !== KILL) expectEqual(thread.kill(), S_OK, text("result of kill"));
  expectEqual(thread.join(word), S_OK, text("result of join"));
  expectStanding(text("rounds of a thread that was killed"));
  expectEqual(thread.suspend(), S_OK, text("result of suspending a dead thread"));
  expectEqual(thread.resume(), S_FALSE, text("result of resuming a dead thread"));
  expectEqual(thread.kill(), S_OK, text("result of killing a dead thread"));
  expectOthersGoOn();
  const result = mutex().acquireWithin(A_WHILE);
  if (expect(result === WAIT_WOKEN || result === WAIT_ABANDONED, text("the mutex of a dead thread is lost")))
    mutex().release();
}

/** Killed while suspended, it ends too. */
function killSuspended(thread: IThread): void {
  thread.suspend();
  sleep(A_WHILE);
  killIt(thread);
}

function changePriority(thread: IThread): void {
  // One that never waits would keep everybody less urgent from running.
  const most = state === READY ? PRIORITY_DEFAULT : PRIORITY_DEFAULT + 2;
  for (let priority: u32 = PRIORITY_DEFAULT - 3; priority <= most; priority++) {
    expectEqual(thread.setPriority(priority), S_OK, text("result of setPriority"));
    expectProgress(text("a thread does not go on with another priority"));
  }
}

function endIt(thread: IThread): void {
  volatileStore32(stop, 1);
  expectEqual(joinThread(thread), RESULT, text("result of the thread"));
}

function clearWords(): void {
  memory.fill(stop, 0, 4);
  memory.fill(rounds, 0, 4);
  memory.fill(itself, 0, 4);
  memory.fill(mutexWord, 0, 4);
}

/** The pair that `state` and `operation` name. */
function actInState(): void {
  clearWords();
  // Less urgent than the one who acts: where it does not wait it is ready, never running.
  const thread = startThread(functionAddress(worker), 0, PRIORITY_DEFAULT - 1);
  if (changetype<usize>(thread) === 0) return;
  expectProgress(text("the thread does not begin"));
  if (state === RUNNING) {
    volatileStore32(itself, changetype<u32>(thread));
    sleep(2);
  }
  if (operation === KILL) {
    killIt(thread);
    thread.release();
    return;
  }
  if (operation === SUSPEND) suspendIt(thread);
  else if (operation === RESUME) {
    expectEqual(thread.resume(), S_FALSE, text("result of resume without suspend"));
    expectProgress(text("a thread that was resumed without need does not go on"));
  } else if (operation === PRIORITY) changePriority(thread);
  endIt(thread);
}

function killSuspendedInState(): void {
  clearWords();
  const thread = startThread(functionAddress(worker), 0, PRIORITY_DEFAULT - 1);
  if (changetype<usize>(thread) === 0) return;
  sleep(2);
  killSuspended(thread);
  thread.release();
}

function stateName(): usize {
  switch (state) {
    case RUNNING:
      return text("running");
    case READY:
      return text("ready");
    case WAITING:
      return text("waiting");
    case SLEEPING:
      return text("sleeping");
    case IN_SERVICE:
      return text("in-a-service");
    case IN_REMOTE_CALL:
      return text("in-a-remote-call");
    case WITH_MUTEX:
      return text("with-a-mutex");
    default:
      return text("growing-its-stack");
  }
}

function operationName(): usize {
  switch (operation) {
    case SUSPEND:
      return text("suspend");
    case RESUME:
      return text("resume");
    case KILL:
      return text("kill");
    case EXIT:
      return text("exit");
    case PRIORITY:
      return text("priority");
    default:
      return text("kill-suspended");
  }
}

function append(at: usize, word: usize): usize {
  let length: usize = 0;
  for (; load<u8>(word + length) !== 0; length++) store<u8>(at + length, load<u8>(word + length));
  store<u8>(at + length, 0);
  return at + length;
}

/** "OPERATION-a-thread-STATE" */
function pairName(): usize {
  append(append(append(nameArea, operationName()), text("-thread-")), stateName());
  return nameArea;
}

function findDeepest(): void {
  const info = changetype<StackInfo>(stackAlloc(offsetof<StackInfo>()));
  if (!expectEqual(systemObject().stackInfo(changetype<usize>(info)), S_OK, text("result of stackInfo")))
    return;
  const room = (info.limit - STACK_IN_USE) / FRAME;
  deepest = room < FRAMES ? room : FRAMES;
}

export function threadStateCases(): void {
  findDeepest();
  const server = changetype<Server>(stackAlloc(offsetof<Server>()));
  if (!startServer(server, PLACE_PROCESS)) return;
  echo = changetype<usize>(server.echo);
  for (state = 0; state < STATES; state++) {
    for (operation = 0; operation < OPERATIONS; operation++) runCase(pairName(), functionAddress(actInState));
    runCase(pairName(), functionAddress(killSuspendedInState));
  }
  server.stop();
}
