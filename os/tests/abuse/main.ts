/**
 * One abuse a run, named by the first argument; the suite runs it in a process and checks how it ends. An abuse that comes
 * back returns the result that the system gave it.
 */

import { IDriver } from "../../interfaces/IDriver";
import { IEcho } from "../../interfaces/IEcho";
import { IEchoCallback } from "../../interfaces/IEchoCallback";
import type { ILibrary } from "../../interfaces/ILibrary";
import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import type { ISystem, ProcessInfo } from "../../interfaces/ISystem";
import { IThreads } from "../../interfaces/IThreads";
import { E_FAIL, S_OK } from "../../interfaces/results";
import { allocate } from "../../lib/rt/heap";
import { loadLibrary } from "../../lib/rt/libraries";
import { print } from "../../lib/rt/print";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { parseNumber, stringEquals } from "../../lib/rt/strings";
import { FOREVER, waitOn } from "../../lib/rt/wait";
import { handleBomb, memoryHog, processBomb, regionBomb, sleepLong, threadBomb } from "./bombs";
import { bystander } from "./bystander";
import { carry } from "./carry";
import { callBackwards, execute, privateTraps } from "./execute";
import { handlerAbuse } from "./handlers";
import { memoryAbuse } from "./memory";
import {
  callBesides,
  closeConsole,
  countReferences,
  endlessString,
  fork,
  killOthers,
  killRace,
  overRelease,
  releaseAll,
  wrongPlaces,
} from "./objects";
import { spareSegments } from "./segments";

/** First entry of the proxy table of a process, and its entries' size. */
const PROXIES: usize = 0x3f001000;
const PROXY_SIZE: usize = 8;
const UNMAPPED: usize = 0x20000000;
const KERNEL_LINEAR: usize = 0x90000000;
const SLOW: u32 = 100000;
const CLOCK_CHIP_LINE: u32 = 8;

declare function badStackCall(proxy: usize): i32;

let data: u32 = 0;
let secondArgument: usize = 0;
/** A zero that the compiler does not know. */
const zeroWord: usize = memory.data(4, 16);

export function main(argc: i32, argv: usize): i32 {
  if (argc < 2) {
    print(text("usage: abuse NAME [arguments]\n"));
    return 2;
  }
  const name = load<usize>(argv, 4);
  if (argc > 2) secondArgument = load<usize>(argv, 8);
  if (stringEquals(name, text("exit"))) return exitWith(load<usize>(argv, 8));
  if (stringEquals(name, text("count"))) return argc;
  if (stringEquals(name, text("data"))) return <i32>++data;
  if (stringEquals(name, text("spin"))) while (true) data++;
  if (stringEquals(name, text("call-slow"))) return callSlow(load<usize>(argv, 8));
  if (stringEquals(name, text("try-library"))) return loadLibrary(secondArgument, zeroWord);
  if (stringEquals(name, text("keep-library"))) return useLibrary();
  if (stringEquals(name, text("load-library"))) return useLibrary() === 0 ? E_FAIL : sleepLong();
  if (stringEquals(name, text("ignore-cancelling"))) while (true) waitOn(zeroWord, 0, FOREVER);
  if (argc > 3 && stringEquals(name, text("carry"))) return carry(secondArgument, load<usize>(argv, 12));
  if (stringEquals(name, text("call-callback"))) return callCallback(load<usize>(argv, 8));
  if (stringEquals(name, text("leak"))) return leak(argc);
  if (stringEquals(name, text("read-null"))) return load<i32>(volatileLoad32(zeroWord));
  if (stringEquals(name, text("write-code"))) store<u32>(functionAddress(main), 0);
  if (stringEquals(name, text("write-kernel"))) store<u32>(KERNEL_LINEAR, 0);
  if (stringEquals(name, text("overflow-stack"))) return overflow(1);
  if (stringEquals(name, text("divide"))) return 1 / <i32>volatileLoad32(zeroWord);
  if (stringEquals(name, text("privileged"))) halt();
  if (stringEquals(name, text("port"))) portOut8(0x80, 0);
  if (stringEquals(name, text("undefined"))) unreachable();
  if (stringEquals(name, text("sleep"))) return sleepLong();
  if (stringEquals(name, text("thread-bomb"))) return threadBomb();
  if (stringEquals(name, text("handle-bomb"))) return handleBomb();
  if (stringEquals(name, text("process-bomb"))) return processBomb();
  if (stringEquals(name, text("region-bomb"))) return regionBomb();
  if (stringEquals(name, text("memory-hog"))) return memoryHog();
  if (stringEquals(name, text("execute"))) return execute(secondArgument);
  if (stringEquals(name, text("call-backwards"))) return callBackwards();
  if (stringEquals(name, text("private-traps"))) return privateTraps();
  if (stringEquals(name, text("bystander"))) return bystander();
  if (stringEquals(name, text("over-release"))) return overRelease();
  if (stringEquals(name, text("count-references"))) return countReferences();
  if (stringEquals(name, text("release-all"))) return releaseAll();
  if (stringEquals(name, text("call-besides"))) return callBesides();
  if (stringEquals(name, text("close-console"))) return closeConsole();
  if (stringEquals(name, text("kill-others"))) return killOthers();
  if (stringEquals(name, text("kill-race"))) return killRace();
  if (stringEquals(name, text("fork"))) return fork(secondArgument);
  if (stringEquals(name, text("wrong-places"))) return wrongPlaces();
  if (stringEquals(name, text("endless-string"))) return endlessString();
  if (stringEquals(name, text("spare-segments"))) return spareSegments();
  return callAbuse(name);
}

function exitWith(number: usize): i32 {
  const word = stackAlloc(4);
  return parseNumber(number, word) ? load<i32>(word) : E_FAIL;
}

/** Loads a library, and keeps it to the end: the CRC of "123456789", or 0. */
function useLibrary(): i32 {
  const word = stackAlloc(4);
  if (loadLibrary(text("digest"), word) !== S_OK) return 0;
  if (changetype<ILibrary>(load<usize>(word)).symbol(text("crc32"), word) !== S_OK) return 0;
  return call_indirect<i32>(load<u32>(word), <u32>0, text("123456789"), <u32>9);
}

function overflow(depth: u32): i32 {
  const area = stackAlloc(4000);
  store<u32>(area, depth);
  return overflow(depth + 1) + load<i32>(area);
}

function callSlow(server: usize): i32 {
  const word = stackAlloc(4);
  const result = systemObject().bind(server, IEcho.IID, word);
  return result === S_OK ? changetype<IEcho>(load<usize>(word)).slow(SLOW) : result;
}

/** Ends with blocks of all sizes and regions that it had; with two arguments more, by a fault. */
function leak(argc: i32): i32 {
  const word = stackAlloc(4);
  for (let size: usize = 1; size < 0x40000; size = size * 3) store<u8>(allocate(size), 1);
  for (let count: u32 = 0; count < 10; count++) {
    store<u32>(word, 0);
    if (memoryObject().map(word, 0x8000, PROTECT_READ | PROTECT_WRITE) !== S_OK) return 1;
    store<u32>(load<u32>(word) + 0x4000, count);
  }
  return argc > 2 ? 1 / <i32>volatileLoad32(zeroWord) : 0;
}

function callCallback(server: usize): i32 {
  const word = stackAlloc(4);
  const result = systemObject().bind(server, IEchoCallback.IID, word);
  return result === S_OK ? changetype<IEchoCallback>(load<usize>(word)).called(1, word) : result;
}

/** Calls that pass something bad. */
function callAbuse(name: usize): i32 {
  const system = systemObject();
  const word = stackAlloc(4);
  if (stringEquals(name, text("pass-kernel-pointer"))) return system.self(KERNEL_LINEAR);
  if (stringEquals(name, text("pass-wrapping-buffer"))) return system.registeredName(0, UNMAPPED, 0xf0000000);
  if (stringEquals(name, text("pass-unmapped"))) return system.self(UNMAPPED);
  if (stringEquals(name, text("pass-read-only"))) return system.self(functionAddress(main));
  if (stringEquals(name, text("call-free-handle"))) return callProxy(PROXIES + 7000 * PROXY_SIZE);
  if (stringEquals(name, text("call-wild-handle"))) return callWith(PROXIES, PROXIES + 3);
  if (stringEquals(name, text("call-released"))) return callReleased();
  if (stringEquals(name, text("call-missing-method"))) return callMethod(changetype<usize>(system), 60);
  if (stringEquals(name, text("bad-stack"))) return badStackCall(changetype<usize>(system));
  if (stringEquals(name, text("driver-call"))) {
    const result = system.queryInterface(IDriver.IID, word);
    return result === S_OK ? changetype<IDriver>(load<usize>(word)).pin(zeroWord, 4) : result;
  }
  if (stringEquals(name, text("fault-in-section"))) return faultInSection();
  const handled = handlerAbuse(name);
  if (handled >= 0) return handled;
  const result = memoryAbuse(name, secondArgument);
  if (result === E_FAIL) print(text("abuse: unknown name\n"));
  return result;
}

function handler(_argument: usize): void {}

/** A driver that divides by zero with interrupts off and a handler connected. */
function faultInSection(): i32 {
  const word = stackAlloc(4);
  const result = systemObject().queryInterface(IDriver.IID, word);
  if (result !== S_OK) return result;
  const driver = changetype<IDriver>(load<usize>(word));
  const connected = driver.connectInterrupt(CLOCK_CHIP_LINE, <u32>functionAddress(handler), 0);
  if (connected !== S_OK) return connected;
  driver.enterInterruptSafe();
  return 1 / <i32>volatileLoad32(zeroWord);
}

function callProxy(proxy: usize): i32 {
  return changetype<ISystem>(proxy).self(stackAlloc(offsetof<ProcessInfo>()));
}

/** Calls the stub of `proxy`'s method 8 with another `this`. */
function callWith(proxy: usize, object: usize): i32 {
  const vtable = load<usize>(proxy);
  return call_indirect<i32>(load<u32>(vtable, 32), object, 0);
}

function callReleased(): i32 {
  const word = stackAlloc(4);
  const result = systemObject().queryInterface(IThreads.IID, word);
  if (result !== S_OK) return result;
  const threads = changetype<IThreads>(load<usize>(word));
  threads.release();
  return threads.current(word);
}

function callMethod(object: usize, method: u32): i32 {
  return call_indirect<i32>(load<u32>(load<usize>(object) + method * 4), object);
}
