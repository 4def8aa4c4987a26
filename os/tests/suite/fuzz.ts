/**
 * Random calls (os/tests/fuzzcalls) from one process after another, beside a program that computes and one that answers. All calls
 * are counted by this program, for which they report; at the end the kernel must have the objects that it had before.
 */

import type { IEcho } from "../../interfaces/IEcho";
import { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_KERNEL, PLACE_PROCESS } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import type { ITimer } from "../../interfaces/ITimer";
import type { IUnknown } from "../../interfaces/IUnknown";
import { S_OK } from "../../interfaces/results";
import type { HRESULT, Out } from "../../interfaces/types";
import { makePrinter, PRINTER_SIZE } from "../../lib/rt/print";
import { bindWaiting, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { loadTimer, unloadTimer } from "./drivers";
import { startBystander, stopBystander } from "./hostile";
import { expectNothingLeft, rememberLive } from "./live";
import { type Server, startServerAs } from "./servers";

/** Calls of one process, so that what they leave behind goes with it. */
const CALLS_EACH: u32 = 2000;
const PATIENCE: u32 = 2000;
/** What a report of fuzzcalls has in its upper half. */
const REPORT_MARK: u32 = 0xca11;
/** Ms without a report after which a process hangs. */
const STALL: u32 = 20000;
const argumentText: usize = memory.data(32, 16);
const endedWord: usize = memory.data(4, 16);
const servers: usize = memory.data(32, 16);

let wanted: u32 = 0;
let nextSeed: u32 = 1;
let made: u32 = 0;

/** What the random callers report to. */
@unmanaged
class Control extends ComObject implements IEchoCallback {
  called(value: u32, answer: Out<u32>): HRESULT {
    // Random calls come here too.
    if (value >> 16 === REPORT_MARK)
      atomicAdd(changetype<usize>(this) + offsetof<Control>("calls"), value & 0xffff);
    store<u32>(answer, 0);
    return S_OK;
  }
  calls: u32 = 0;
}

/** Random calls move them: a service has other images and handles in the kernel. */
function bringServicesBack(): void {
  expect(systemObject().place(text("files"), PLACE_PROCESS) >= 0, text("the file system does not move"));
  expect(systemObject().place(text("console"), PLACE_KERNEL) >= 0, text("the console does not move"));
}

/** "SEED CALLS" for fuzzcalls. */
function writeArguments(seed: u32, calls: u32): void {
  const at = writeNumber(argumentText, seed);
  store<u8>(at, 32);
  store<u8>(writeNumber(at + 1, calls), 0);
}

/** Returns where its digits end. */
function writeNumber(at: usize, value: u32): usize {
  const end = value < 10 ? at : writeNumber(at, value / 10);
  store<u8>(end, <u8>(48 + (value % 10)));
  return end + 1;
}

function waitForEnd(process: usize): u32 {
  const word = stackAlloc(4);
  changetype<IProcess>(process).wait(word);
  volatileStore32(endedWord, 1);
  return load<u32>(word);
}

function startWaiting(process: IProcess): IThread | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  systemObject().queryInterface(IThreads.IID, word);
  const threads = changetype<IThreads>(load<usize>(word));
  store<u32>(word, 0);
  volatileStore32(endedWord, 0);
  threads.create(<u32>functionAddress(waitForEnd), changetype<u32>(process), PRIORITY_DEFAULT, word);
  threads.release();
  return load<IThread | null>(word);
}

/** Runs one random caller and talks with the bystander meanwhile. False, and reported, if it stands still or cannot start. */
function runCaller(seed: u32, calls: u32, control: Control, bystander: IEcho): bool {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  writeArguments(seed, calls);
  const result = systemObject().run(text("fuzzcalls"), argumentText, PLACE_PROCESS, word);
  if (!expectEqual(result, S_OK, text("result of run"))) return false;
  const process = changetype<IProcess>(load<usize>(word));
  const waiter = startWaiting(process);
  if (!expect(waiter !== null, text("no thread"))) return false;
  let seen = control.calls;
  let still: u32 = 0;
  for (let turn: u32 = 0; volatileLoad32(endedWord) === 0 && still < STALL; turn++) {
    expectEqual(bystander.add(<i32>turn, 1, word), S_OK, text("result of the bystander"));
    expectEqual(load<u32>(word), turn + 1, text("the bystander's sum"));
    sleep(10);
    still = control.calls === seen ? still + 10 : 0;
    seen = control.calls;
  }
  if (still >= STALL) process.kill();
  const alive = expect(still < STALL, text("a random caller stands still"));
  waiter!.join(word);
  waiter!.release();
  process.release();
  return alive && expect(load<u32>(word) !== 3, text("a random caller has not all objects"));
}

function runCallers(control: Control, bystander: IEcho): void {
  // One that brings itself to its end leaves its calls to the others.
  const most = (wanted / CALLS_EACH + 1) * 2;
  const first = control.calls;
  for (let run: u32 = 0; run < most && control.calls - first < wanted; run++) {
    const left = wanted - (control.calls - first);
    if (!runCaller(nextSeed++, min<u32>(left, CALLS_EACH), control, bystander)) break;
  }
  made += control.calls - first;
  if (control.calls - first < wanted)
    expectEqual(control.calls - first, wanted, text("number of calls made"));
}

function startMoving(): IProcess | null {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const started = systemObject().run(text("stubborn"), text("fuzz.moving"), PLACE_PROCESS, word);
  if (!expectEqual(started, S_OK, text("result of run"))) return null;
  const process = changetype<IProcess>(load<usize>(word));
  const bound = bindWaiting(text("fuzz.moving"), IEchoCallback.IID, PATIENCE, word);
  if (expectEqual(bound, S_OK, text("result of bind"))) changetype<IUnknown>(load<usize>(word)).release();
  return process;
}

function stopMoving(process: IProcess | null): void {
  const word = stackAlloc(4);
  if (!process) return;
  process.kill();
  process.wait(word);
  process.release();
}

/** With what the calls are made on, and the bystander that answers. */
function amongServers(control: Control): void {
  const word = stackAlloc(4);
  const size = offsetof<Server>();
  const victim = changetype<Server>(servers);
  const collocated = changetype<Server>(servers + size);
  const bystander = changetype<Server>(servers + 2 * size);
  if (!startServerAs(victim, text("fuzz.echo"), PLACE_PROCESS)) return;
  if (!startServerAs(collocated, text("fuzz.kernel"), PLACE_KERNEL)) return;
  if (!startServerAs(bystander, text("fuzz.bystander"), PLACE_PROCESS)) return;
  const moving = startMoving();
  store<u32>(word, 0);
  const driver = loadTimer(word);
  if (load<usize>(word) !== 0) {
    const timer = changetype<ITimer>(load<usize>(word));
    runCallers(control, bystander.echo);
    timer.release();
    unloadTimer(driver);
  }
  stopMoving(moving);
  bystander.stop();
  collocated.stop();
  victim.stop();
}

function randomCalls(): void {
  const control = newObject<Control>();
  if (!expect(control !== null, text("no memory"))) return;
  // The first time, pools and tables fill that stay.
  const warm = made > 0;
  bringServicesBack();
  rememberLive();
  systemObject().register(text("fuzz.control"), interfaceOf<IEchoCallback>(control!));
  amongServers(control!);
  systemObject().unregister(text("fuzz.control"));
  for (let waited: u32 = 0; waited < PATIENCE && control!.references > 1; waited += 10) sleep(10);
  expectEqual(control!.references, 1, text("number of references left"));
  control!.release();
  bringServicesBack();
  if (warm) expectNothingLeft();
}

/** `calls` calls twice or more, with seeds from `seed` on, all different. */
export function fuzzCases(calls: u32, seed: u32): void {
  wanted = calls;
  nextSeed = seed;
  startBystander();
  runCase(text("random-calls"), functionAddress(randomCalls));
  stopBystander(text("bystander-of-random-calls"));
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.number(made);
  out.text(text(" random calls made"));
  out.end();
}
