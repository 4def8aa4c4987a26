/** The driver calls, and the timer driver on them: loaded, used and unloaded while interrupts come. */

import { IDriver } from "../../interfaces/IDriver";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { IProcess } from "../../interfaces/IProcess";
import { type MemoryInfo, PLACE_KERNEL, PLACE_PROCESS, type ProcessInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { ITimer } from "../../interfaces/ITimer";
import {
  E_ACCESSDENIED,
  E_CANCELLED,
  E_DISCONNECTED,
  E_EXISTS,
  E_FAIL,
  E_INVALIDARG,
  E_NOTFOUND,
  E_OUTOFMEMORY,
  E_TIMEOUT,
  S_OK,
} from "../../interfaces/results";
import { allocate, free } from "../../lib/rt/heap";
import { bindWaiting, memoryObject, systemObject } from "../../lib/rt/program";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";
import { expect, expectEqual, runCase } from "./check";
import { joinThread, startThread } from "./started-threads";

const TIMER: usize = text("timer");
const PATIENCE: u32 = 2000;
/** A line without a device. */
const FREE_LINE: u32 = 9;
const CLOCK_LINE: u32 = 0;
const CASCADE_LINE: u32 = 2;
const TIMER_LINE: u32 = 8;
const VIDEO_MEMORY: u32 = 0xb8000;
/** In the kernel's address space, where nothing is mapped. */
const NOWHERE: u32 = 0xbe000000;
const CLIENTS: u32 = 3;
const LOADS: u32 = 8;
const FASTEST: u32 = 8192;

/** Ticks that clients have seen. */
const seenTicks: usize = memory.data(4, 16);

/** Ring of this program's code, as the system tells it. */
function ownRing(): u32 {
  const info = stackAlloc(offsetof<ProcessInfo>());
  return systemObject().self(info) === S_OK ? changetype<ProcessInfo>(info).ring : 0;
}

function driverObject(): IDriver {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  expectEqual(systemObject().queryInterface(IDriver.IID, word), S_OK, text("result of queryInterface"));
  return changetype<IDriver>(load<usize>(word));
}

function never(_argument: usize): void {}

/** From a process every one is refused by name and does nothing. */
function callsRefused(driver: IDriver, block: u32, word: usize): void {
  const handler = <u32>functionAddress(never);
  expectEqual(
    driver.connectInterrupt(FREE_LINE, handler, 0),
    E_ACCESSDENIED,
    text("result of connectInterrupt"),
  );
  expectEqual(driver.disconnectInterrupt(CLOCK_LINE), E_ACCESSDENIED, text("result of disconnectInterrupt"));
  expectEqual(driver.enterInterruptSafe(), E_ACCESSDENIED, text("result of enterInterruptSafe"));
  expectEqual(driver.leaveInterruptSafe(), E_ACCESSDENIED, text("result of leaveInterruptSafe"));
  expectEqual(driver.pin(block, 4), E_ACCESSDENIED, text("result of pin"));
  expectEqual(driver.unpin(block, 4), E_ACCESSDENIED, text("result of unpin"));
  expectEqual(driver.translate(block, word), E_ACCESSDENIED, text("result of translate"));
  expectEqual(driver.mapDevice(VIDEO_MEMORY, 4096, word), E_ACCESSDENIED, text("result of mapDevice"));
}

function callsWork(driver: IDriver, block: u32, word: usize): void {
  const handler = <u32>functionAddress(never);
  expectEqual(driver.connectInterrupt(FREE_LINE, handler, 0), S_OK, text("result of connectInterrupt"));
  expectEqual(driver.connectInterrupt(FREE_LINE, handler, 0), E_EXISTS, text("result of connecting twice"));
  expectEqual(driver.disconnectInterrupt(FREE_LINE), S_OK, text("result of disconnectInterrupt"));
  expectEqual(driver.disconnectInterrupt(FREE_LINE), E_NOTFOUND, text("result of disconnecting twice"));
  expectEqual(driver.connectInterrupt(CLOCK_LINE, handler, 0), E_EXISTS, text("result for the clock's line"));
  expectEqual(
    driver.connectInterrupt(CASCADE_LINE, handler, 0),
    E_INVALIDARG,
    text("result for the cascade"),
  );
  expectEqual(driver.connectInterrupt(16, handler, 0), E_INVALIDARG, text("result for line 16"));
  expectEqual(driver.leaveInterruptSafe(), E_FAIL, text("result of leaving no section"));
  expectEqual(driver.enterInterruptSafe(), S_OK, text("result of enterInterruptSafe"));
  expectEqual(driver.enterInterruptSafe(), S_OK, text("result of entering again"));
  expectEqual(driver.leaveInterruptSafe(), S_OK, text("result of leaveInterruptSafe"));
  expectEqual(readFlags() & 0x200, 0, text("interrupt flag in the outer section"));
  expectEqual(driver.leaveInterruptSafe(), S_OK, text("result of leaving the outer section"));
  expectEqual(readFlags() & 0x200, 0x200, text("interrupt flag outside"));
  expectEqual(driver.pin(block, 4), S_OK, text("result of pin"));
  expectEqual(driver.pin(block, 0), E_INVALIDARG, text("result of pinning nothing"));
  expectEqual(driver.pin(NOWHERE, 4), E_NOTFOUND, text("result of pinning what is not there"));
  expectEqual(driver.translate(block, word), S_OK, text("result of translate"));
  expectEqual(load<u32>(word) & 0xfff, block & 0xfff, text("offset in the page"));
  expectEqual(driver.unpin(block, 4), S_OK, text("result of unpin"));
}

/** Pages come with the pin, or the answer is that there are none; then they can be had by others again. */
function pinnedPages(): void {
  if (ownRing() === 3) return;
  const word = stackAlloc(4);
  const driver = driverObject();
  const info = changetype<MemoryInfo>(stackAlloc(offsetof<MemoryInfo>()));
  systemObject().memoryInfo(changetype<usize>(info));
  store<u32>(word, 0);
  const size = (info.total + 1) << 12;
  if (!expectEqual(memoryObject().map(word, size, PROTECT_READ | PROTECT_WRITE), S_OK, text("result of map")))
    return;
  const region = load<u32>(word);
  expectEqual(driver.translate(region, word), E_NOTFOUND, text("result of translating an untouched page"));
  expectEqual(driver.pin(region + 4090, 8), S_OK, text("result of pinning two pages"));
  expectEqual(driver.translate(region + 4096, word), S_OK, text("result of translating the second"));
  expectEqual(driver.translate(region + 8192, word), E_NOTFOUND, text("result of translating the third"));
  expectEqual(driver.pin(region, size), E_OUTOFMEMORY, text("result of pinning more than there is"));
  expectEqual(memoryObject().unmap(region), S_OK, text("result of unmap"));
  expectEqual(driver.pin(region, 4), E_NOTFOUND, text("result of pinning what is gone"));
  driver.release();
}

function driverCalls(): void {
  const word = stackAlloc(4);
  const driver = driverObject();
  const block = allocate(64);
  if (ownRing() === 3) callsRefused(driver, <u32>block, word);
  else callsWork(driver, <u32>block, word);
  free(block);
  driver.release();
}

/** Loads the timer driver; null (and a report) if it does not come up. */
export function loadTimer(out: usize): IProcess {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(systemObject().run(TIMER, text(""), PLACE_KERNEL, word), S_OK, text("result of run")))
    return changetype<IProcess>(0);
  const driver = changetype<IProcess>(load<usize>(word));
  expectEqual(bindWaiting(TIMER, ITimer.IID, PATIENCE, out), S_OK, text("result of bind"));
  return driver;
}

export function unloadTimer(driver: IProcess): void {
  const word = stackAlloc(4);
  expectEqual(driver.kill(), S_OK, text("result of kill"));
  expectEqual(driver.wait(word), S_OK, text("result of waiting for the driver"));
  expectEqual(load<u32>(word), E_CANCELLED, text("exit code of the driver"));
  driver.release();
}

function timerTicks(): void {
  const word = stackAlloc(4);
  const driver = loadTimer(word);
  if (changetype<usize>(driver) === 0) return;
  const timer = changetype<ITimer>(load<usize>(word));
  expectEqual(timer.setRate(1000), E_INVALIDARG, text("result of a rate that is no power of two"));
  expectEqual(timer.setRate(1), E_INVALIDARG, text("result of a rate that is too slow"));
  expectEqual(timer.setRate(16384), E_INVALIDARG, text("result of a rate that is too fast"));
  expectEqual(timer.setRate(1024), S_OK, text("result of a good rate"));
  expectEqual(timer.rate(word), S_OK, text("result of rate"));
  expectEqual(load<u32>(word), 1024, text("rate"));
  timer.ticks(word);
  const first = load<u32>(word);
  sleep(100);
  timer.ticks(word);
  const ticks = load<u32>(word) - first;
  // 102, or as many as the clock's own tick more or less.
  if (ticks < 100 || ticks > 106) expectEqual(ticks, 102, text("number of ticks in 100 ms"));
  expectEqual(timer.wait(load<u32>(word), PATIENCE, word), S_OK, text("result of wait"));
  expect(load<u32>(word) !== first, text("the count is the same after a wait"));
  timer.setRate(2);
  // A tick of the old rate may still be on its way, and one of the new: not more in so short a time.
  let timeouts: u32 = 0;
  for (let tries: u32 = 0; tries < 3; tries++) {
    timer.ticks(word);
    if (timer.wait(load<u32>(word), 20, word) === E_TIMEOUT) timeouts++;
  }
  expect(timeouts > 0, text("short waits saw ticks at two in a second"));
  timer.release();
  unloadTimer(driver);
}

/** Thread: waits for tick after tick until there is an error, which is its result. */
function followTicks(_argument: usize): u32 {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  let result = bindWaiting(TIMER, ITimer.IID, PATIENCE, word);
  if (result !== S_OK) return result;
  const timer = changetype<ITimer>(load<usize>(word));
  store<u32>(word, 0);
  while (result === S_OK) {
    result = timer.wait(load<u32>(word), 2 * PATIENCE, word);
    if (result === S_OK) atomicAdd(seenTicks, 1);
  }
  timer.release();
  return result;
}

/** Clients wait when the driver goes: each gets an error at once, and the driver can be loaded again. */
function unloadUnderClients(): void {
  const word = stackAlloc(4);
  const clients = stackAlloc(CLIENTS * 4);
  for (let round: u32 = 0; round < 2; round++) {
    const driver = loadTimer(word);
    if (changetype<usize>(driver) === 0) return;
    const timer = changetype<ITimer>(load<usize>(word));
    timer.setRate(2);
    timer.release();
    for (let index: u32 = 0; index < CLIENTS; index++)
      store<u32>(
        clients + index * 4,
        changetype<u32>(startThread(functionAddress(followTicks), 0, PRIORITY_DEFAULT)),
      );
    sleep(10);
    unloadTimer(driver);
    for (let index: u32 = 0; index < CLIENTS; index++) {
      const client = changetype<IThread>(load<usize>(clients + index * 4));
      expectEqual(joinThread(client), E_DISCONNECTED, text("result of a client"));
    }
  }
}

/** Loaded and unloaded over and over, its interrupts coming as fast as they can, with clients on it and other work going on. */
function loadsUnderLoad(): void {
  const word = stackAlloc(4);
  store<u32>(seenTicks, 0);
  for (let round: u32 = 0; round < LOADS; round++) {
    const driver = loadTimer(word);
    if (changetype<usize>(driver) === 0) return;
    const timer = changetype<ITimer>(load<usize>(word));
    timer.setRate(FASTEST);
    timer.release();
    const one = startThread(functionAddress(followTicks), 0, PRIORITY_DEFAULT);
    const two = startThread(functionAddress(followTicks), 0, PRIORITY_DEFAULT + 1);
    for (let work: u32 = 0; work <= round; work++) {
      const block = allocate(1000 + work);
      sleep(2);
      free(block);
    }
    unloadTimer(driver);
    expectEqual(joinThread(one), E_DISCONNECTED, text("result of the first client"));
    expectEqual(joinThread(two), E_DISCONNECTED, text("result of the second client"));
  }
  expect(volatileLoad32(seenTicks) > LOADS * 4, text("the clients saw hardly a tick"));
  expectEqual(systemObject().bind(TIMER, ITimer.IID, word), E_NOTFOUND, text("result of bind afterwards"));
}

/** In a process it gives up, and says so. */
function timerInAProcess(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  if (!expectEqual(systemObject().run(TIMER, text(""), PLACE_PROCESS, word), S_OK, text("result of run")))
    return;
  const driver = changetype<IProcess>(load<usize>(word));
  expectEqual(driver.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), 1, text("exit code"));
  driver.release();
}

/** A driver that faults inside a section, its handler connected: sections, the clock and the line are as before. */
function faultInSection(): void {
  const word = stackAlloc(4);
  store<u32>(word, 0);
  const started = systemObject().run(text("abuse"), text("fault-in-section"), PLACE_KERNEL, word);
  if (!expectEqual(started, S_OK, text("result of run"))) return;
  const abuse = changetype<IProcess>(load<usize>(word));
  expectEqual(abuse.wait(word), S_OK, text("result of wait"));
  expectEqual(load<u32>(word), E_FAIL, text("exit code"));
  abuse.release();
  sleep(2);
  const driver = driverObject();
  if (ownRing() === 1) {
    expectEqual(driver.leaveInterruptSafe(), E_FAIL, text("result of leaving the dead driver's section"));
    callsWork(driver, changetype<u32>(word), word);
    expectEqual(driver.disconnectInterrupt(TIMER_LINE), E_NOTFOUND, text("result of disconnecting its line"));
  }
  driver.release();
  timerTicks();
}

export function driverCases(): void {
  runCase(text("driver-calls"), functionAddress(driverCalls));
  runCase(text("driver-pins-pages"), functionAddress(pinnedPages));
  runCase(text("driver-in-a-process"), functionAddress(timerInAProcess));
  runCase(text("timer-driver"), functionAddress(timerTicks));
  runCase(text("timer-driver-unloaded-under-clients"), functionAddress(unloadUnderClients));
  runCase(text("timer-driver-loaded-under-load"), functionAddress(loadsUnderLoad));
  runCase(text("driver-faults-in-a-section"), functionAddress(faultInSection));
}
