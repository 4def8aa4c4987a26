/**
 * Movable services: moved under load, with calls inside, with calls that wait; moves that fail; faults. Clients are in processes and in the
 * kernel at once, whatever the environment of the suite.
 */

import { IConsole } from "../../interfaces/IConsole";
import { IEcho } from "../../interfaces/IEcho";
import { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IFile } from "../../interfaces/IFile";
import { IFileSystem } from "../../interfaces/IFileSystem";
import type { IProcess } from "../../interfaces/IProcess";
import { ISystem, PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import {
  E_ACCESSDENIED,
  E_CANCELLED,
  E_DISCONNECTED,
  E_FAIL,
  E_INVALIDARG,
  E_NOINTERFACE,
  E_NOTFOUND,
  E_OUTOFMEMORY,
  E_TIMEOUT,
  S_FALSE,
  S_OK,
} from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { kernelRing } from "./servers";

const NAME: usize = text("suite.moving");
/** Arguments of the echo server. */
const ECHO: usize = text("suite.moving movable");
const CONTROL: usize = text("suite.control");
const PATIENCE: u32 = 2000;
/** A case runs twice at least, so a service is moved a hundred times. */
const MOVES: u32 = 50;
const FEW_MOVES: u32 = 6;
const FAULT: u32 = 0xdead;

/** Counts the rounds of all clients, and tells them when to stop. */
@unmanaged
class Control extends ComObject implements IEchoCallback {
  rounds: u32 = 0;
  stop: u32 = 0;

  called(_value: u32, answer: Out<u32>): HRESULT {
    atomicAdd(changetype<usize>(this) + offsetof<Control>("rounds"), 1);
    store<u32>(answer, this.stop);
    return S_OK;
  }
}

function place(name: usize, where: u32, wanted: HRESULT): void {
  expectEqual(systemObject().place(name, where), wanted, text("result of place"));
}

/** Starts a program; null (reported) if that fails. */
function start(name: usize, args: usize, where: u32): IProcess | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = systemObject().run(name, args, where, word);
  if (!expectEqual(result, S_OK, text("result of run"))) return null;
  return changetype<IProcess>(load<usize>(word));
}

function finish(process: IProcess | null, wanted: i32): void {
  if (!process) return;
  const word = stackAlloc(4);
  expectEqual(process.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), wanted, text("exit code"));
  process.release();
}

function bindEcho(): IEcho | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const result = bindWaiting(NAME, IEcho.IID, PATIENCE, word);
  return expectEqual(result, S_OK, text("result of bind")) ? changetype<IEcho>(load<usize>(word)) : null;
}

function ringOf(echo: IEcho): u32 {
  const process = stackAlloc(4);
  const ring = stackAlloc(4);
  store<u32>(ring, 9);
  expectEqual(echo.whereAmI(process, ring), S_OK, text("result of whereAmI"));
  return load<u32>(ring);
}

function startThread(entry: usize, argument: usize): IThread {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  systemObject().queryInterface(IThreads.IID, word);
  const threads = changetype<IThreads>(load<usize>(word));
  threads.create(<u32>entry, <u32>argument, PRIORITY_DEFAULT, word);
  threads.release();
  return changetype<IThread>(load<usize>(word));
}

/** What the thread's function returned. */
function join(thread: IThread): u32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  expectEqual(thread.join(word), S_OK, text("result of join"));
  thread.release();
  return load<u32>(word);
}

function echoUnderLoad(): void {
  const control = newObject<Control>();
  if (!expect(control !== null, text("no memory"))) return;
  systemObject().register(CONTROL, interfaceOf<IEchoCallback>(control!));
  const server = start(text("echo"), ECHO, PLACE_PROCESS);
  const echo = bindEcho();
  if (!server || !echo) return;
  const args = text("suite.moving suite.control");
  const inProcess = start(text("servicecalls"), args, PLACE_PROCESS);
  const inKernel = start(text("servicecalls"), args, PLACE_KERNEL);
  const word = stackAlloc(4);
  let own: u32 = 0;
  for (let move: u32 = 0; move < MOVES; move++) {
    const where: u32 = move & 1 ? PLACE_PROCESS : PLACE_KERNEL;
    place(NAME, where, S_OK);
    expectEqual(ringOf(echo), where === PLACE_KERNEL ? kernelRing() : 3, text("ring of the service"));
    expectEqual(echo.count(word), S_OK, text("result of count"));
    own++;
    const rounds = control!.rounds;
    // The clients must get their turn at every place.
    for (let waited: u32 = 0; control!.rounds < rounds + 4 && waited < PATIENCE; waited++) sleep(1);
    expect(control!.rounds >= rounds + 4, text("the clients came to a stop"));
  }
  control!.stop = 1;
  finish(inProcess, 0);
  finish(inKernel, 0);
  expectEqual(echo.count(word), S_OK, text("result of count"));
  expectEqual(load<u32>(word), control!.rounds + own + 1, text("number of calls that arrived"));
  echo.quit();
  echo.release();
  finish(server, 0);
  systemObject().unregister(CONTROL);
  control!.release();
}

function openFile(path: usize): IFile | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(systemObject().bind(text("files"), IFileSystem.IID, word), S_OK, text("result of bind")))
    return null;
  const files = changetype<IFileSystem>(load<usize>(word));
  const result = files.open(path, word);
  files.release();
  return expectEqual(result, S_OK, text("result of open")) ? changetype<IFile>(load<usize>(word)) : null;
}

/** Sum of a file's bytes, or -1. */
function fileSum(file: IFile): u32 {
  const buffer = stackAlloc(256);
  const count = stackAlloc(4);
  let sum: u32 = 0;
  let offset: u32 = 0;
  while (file.read(offset, buffer, 256, count) === S_OK) {
    if (load<u32>(count) === 0) return sum;
    for (let index: u32 = 0; index < load<u32>(count); index++) sum += load<u8>(buffer + index);
    offset += load<u32>(count);
  }
  return 0xffffffff;
}

/** Opens and reads files over and over; how often the sum was wrong. */
function readFiles(wanted: usize): u32 {
  let wrong: u32 = 0;
  while (volatileLoad32(readingWord) !== 0) {
    const file = openFile(text("bin/hello"));
    if (!file) return 1000;
    if (fileSum(file) !== <u32>wanted) wrong++;
    file.release();
  }
  return wrong;
}

const readingWord: usize = memory.data(4, 16);

function filesUnderLoad(): void {
  const file = openFile(text("bin/hello"));
  if (!file) return;
  const sum = fileSum(file);
  store<u32>(readingWord, 1);
  const reader = startThread(functionAddress(readFiles), sum);
  for (let move: u32 = 0; move < MOVES; move++) {
    place(text("bootfs"), move & 1 ? PLACE_PROCESS : PLACE_KERNEL, S_OK);
    if (move < FEW_MOVES) expectEqual(fileSum(file), sum, text("sum of an open file"));
  }
  volatileStore32(readingWord, 0);
  expectEqual(join(reader), 0, text("number of wrong sums"));
  file.release();
}

function boundConsole(): IConsole {
  const word = stackAlloc(4);
  systemObject().bind(text("console"), IConsole.IID, word);
  return changetype<IConsole>(load<usize>(word));
}

function waitForLine(_argument: usize): u32 {
  const line = stackAlloc(64);
  const length = stackAlloc(4);
  const console = boundConsole();
  const result = console.readLine(line, 64, length);
  console.release();
  return <u32>result;
}

function waitForInterrupt(_argument: usize): u32 {
  const console = boundConsole();
  const result = console.waitInterrupt();
  console.release();
  return <u32>result;
}

/** Writes nothing, but many times. */
function writeNothing(_argument: usize): u32 {
  const console = boundConsole();
  let wrong: u32 = 0;
  while (volatileLoad32(readingWord) !== 0) if (console.write(text(""), 0) !== S_OK) wrong++;
  console.release();
  return wrong;
}

/** Whoever waits for keys goes on waiting, wherever the console is. */
function consoleUnderLoad(): void {
  store<u32>(readingWord, 1);
  const line = startThread(functionAddress(waitForLine), 0);
  const interrupt = startThread(functionAddress(waitForInterrupt), 0);
  const writer = startThread(functionAddress(writeNothing), 0);
  sleep(5);
  for (let move: u32 = 0; move < MOVES; move++) {
    place(text("console"), move & 1 ? PLACE_KERNEL : PLACE_PROCESS, S_OK);
  }
  volatileStore32(readingWord, 0);
  expectEqual(join(writer), 0, text("number of failed writes"));
  line.kill();
  interrupt.kill();
  // A killed thread of a process ends without a result of its own.
  const result = join(line);
  expect(result === <u32>E_CANCELLED || result === 0, text("the reader came back with something"));
  join(interrupt);
}

function slowCall(echo: usize): u32 {
  return <u32>changetype<IEcho>(echo).slow(30);
}

/** Calls the service from inside a call of it, slowly, and so while its gate is closed. */
@unmanaged
class Nested extends ComObject implements IEchoCallback {
  echo: IEcho = changetype<IEcho>(0);

  called(_value: u32, answer: Out<u32>): HRESULT {
    sleep(30);
    return this.echo.count(answer);
  }
}

function nestedCall(echo: usize): u32 {
  const nested = newObject<Nested>();
  if (!nested) return 1;
  nested.echo = changetype<IEcho>(echo);
  const word = stackAlloc(4);
  const result = changetype<IEcho>(echo).callBack(interfaceOf<IEchoCallback>(nested), 1, word);
  nested.release();
  return <u32>result;
}

function callsInside(): void {
  const server = start(text("echo"), ECHO, PLACE_PROCESS);
  const echo = bindEcho();
  if (!server || !echo) return;
  for (let move: u32 = 0; move < FEW_MOVES; move++) {
    const where: u32 = move & 1 ? PLACE_PROCESS : PLACE_KERNEL;
    const entry = move < 2 ? functionAddress(slowCall) : functionAddress(nestedCall);
    const thread = startThread(entry, changetype<usize>(echo));
    sleep(5);
    place(NAME, where, S_OK);
    expectEqual(join(thread), S_OK, text("result of the call inside"));
  }
  place(NAME, PLACE_PROCESS, S_FALSE);
  place(NAME, 7, E_INVALIDARG);
  const word = stackAlloc(4);
  expectEqual(echo.count(word), S_OK, text("result of count"));
  expectEqual(load<u32>(word), FEW_MOVES - 2 + 1, text("number of nested calls"));
  echo.quit();
  echo.release();
  finish(server, 0);
}

function longCall(): void {
  const server = start(text("echo"), ECHO, PLACE_PROCESS);
  const echo = bindEcho();
  if (!server || !echo) return;
  const caller = start(text("abuse"), text("call-slow suite.moving"), PLACE_PROCESS);
  sleep(20);
  place(NAME, PLACE_KERNEL, E_TIMEOUT);
  expectEqual(ringOf(echo), 3, text("ring of the service"));
  if (caller) caller.kill();
  finish(caller, E_CANCELLED);
  echo.quit();
  echo.release();
  finish(server, 0);
}

/** A move that fails for the reason that `args` names leaves the service as it was. */
function expectRefusal(args: usize, wanted: HRESULT): void {
  const server = start(text("stubborn"), args, PLACE_PROCESS);
  const word = stackAlloc(4);
  if (
    !server ||
    !expectEqual(bindWaiting(NAME, IEchoCallback.IID, PATIENCE, word), S_OK, text("result of bind"))
  )
    return;
  const service = changetype<IEchoCallback>(load<usize>(word));
  expectEqual(service.called(0, word), S_OK, text("result of a call"));
  place(NAME, PLACE_KERNEL, wanted);
  expectEqual(service.called(0, word), S_OK, text("result of a call after the move failed"));
  expectEqual(load<u32>(word), 2, text("number of calls"));
  service.release();
  server.kill();
  finish(server, E_CANCELLED);
}

function refusedMoves(): void {
  expectRefusal(text("suite.moving die"), E_DISCONNECTED);
  expectRefusal(text("suite.moving refuse"), E_FAIL);
  expectRefusal(text("suite.moving forget"), E_NOTFOUND);
  expectRefusal(text("suite.moving sit"), E_ACCESSDENIED);
  expectRefusal(text("suite.moving sleep"), E_FAIL);
  expectRefusal(text("suite.moving crash"), E_DISCONNECTED);
}

/** The new instance finds no memory: the service runs on where it was, and moves once there is some. */
function withoutMemory(): void {
  const server = start(text("echo"), ECHO, PLACE_PROCESS);
  const echo = bindEcho();
  if (!server || !echo) return;
  const word = stackAlloc(4);
  const hog = start(text("abuse"), text("hold-memory"), PLACE_PROCESS);
  const full = bindWaiting(text("abuse.full"), ISystem.IID, PATIENCE, word);
  if (expectEqual(full, S_OK, text("result of bind"))) changetype<ISystem>(load<usize>(word)).release();
  place(NAME, PLACE_KERNEL, E_OUTOFMEMORY);
  expectEqual(ringOf(echo), 3, text("ring of the service"));
  finish(hog, S_OK);
  expectEqual(echo.count(word), S_OK, text("result of count"));
  expectEqual(load<u32>(word), 1, text("number of calls"));
  place(NAME, PLACE_KERNEL, S_OK);
  expectEqual(echo.count(word), S_OK, text("result of count"));
  expectEqual(load<u32>(word), 2, text("number of calls"));
  echo.quit();
  echo.release();
  finish(server, 0);
}

/** What is no movable service does not move. */
function unmovable(): void {
  place(text("nosuchservice"), PLACE_KERNEL, E_NOTFOUND);
  place(text("boot.archive"), PLACE_PROCESS, E_NOINTERFACE);
  place(text("serial"), PLACE_PROCESS, E_NOINTERFACE);
}

/** Who started the service waits for it, and kills it, wherever it is. */
function movedProgram(): void {
  const server = start(text("echo"), ECHO, PLACE_PROCESS);
  const echo = bindEcho();
  if (!server || !echo) return;
  place(NAME, PLACE_KERNEL, S_OK);
  const ring = stackAlloc(4);
  const where = stackAlloc(4);
  const id = stackAlloc(4);
  place(NAME, PLACE_PROCESS, S_OK);
  expectEqual(echo.whereAmI(where, ring), S_OK, text("result of whereAmI"));
  server.identity(id);
  expectEqual(load<u32>(id), load<u32>(where), text("identity"));
  server.kill();
  finish(server, E_CANCELLED);
  expectEqual(echo.nothing(), E_DISCONNECTED, text("result of calling a service that ended"));
  echo.release();
}

/** A fault in a service in the kernel ends it, and its clients, collocated or not, get an error. */
function faultInService(): void {
  const server = start(text("stubborn"), NAME, PLACE_KERNEL);
  const word = stackAlloc(4);
  if (
    !server ||
    !expectEqual(bindWaiting(NAME, IEchoCallback.IID, PATIENCE, word), S_OK, text("result of bind"))
  )
    return;
  const service = changetype<IEchoCallback>(load<usize>(word));
  expectEqual(service.called(FAULT, word), E_DISCONNECTED, text("result of the call that faults"));
  expectEqual(service.called(0, word), E_DISCONNECTED, text("result of the next call"));
  finish(server, E_FAIL);
  expectEqual(service.called(0, word), E_DISCONNECTED, text("result of a call after the fault"));
  service.release();
}

export function serviceCases(): void {
  runCase(text("place-echo-under-load"), functionAddress(echoUnderLoad));
  runCase(text("place-files-under-load"), functionAddress(filesUnderLoad));
  runCase(text("place-console-under-load"), functionAddress(consoleUnderLoad));
  runCase(text("place-with-calls-inside"), functionAddress(callsInside));
  runCase(text("place-with-a-call-that-stays"), functionAddress(longCall));
  runCase(text("place-refused-by-the-service"), functionAddress(refusedMoves));
  runCase(text("place-without-memory"), functionAddress(withoutMemory));
  runCase(text("place-what-cannot-be-moved"), functionAddress(unmovable));
  runCase(text("place-and-who-started-it"), functionAddress(movedProgram));
  runCase(text("fault-in-a-movable-service"), functionAddress(faultInService));
}
