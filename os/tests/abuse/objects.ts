/** Abuse of references, handles, names and other programs. Each returns 0 when the system stood by its rules, or says which step it did not. */

import { IConsole } from "../../interfaces/IConsole";
import { IFileSystem } from "../../interfaces/IFileSystem";
import type { IProcess } from "../../interfaces/IProcess";
import { PLACE_PROCESS, type ProcessInfo } from "../../interfaces/ISystem";
import type { IThread } from "../../interfaces/IThread";
import { IThreads } from "../../interfaces/IThreads";
import type { IUnknown } from "../../interfaces/IUnknown";
import { E_ACCESSDENIED, E_EXISTS, E_HANDLE, E_INVALIDARG, S_OK } from "../../interfaces/results";
import { memoryObject, systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";
import { PRIORITY_DEFAULT } from "../../lib/rt/threads";
import { sleep } from "../../lib/rt/wait";

const PROXIES: usize = 0x3f001000;
const PROXY_SIZE: usize = 8;
const PAGE: u32 = 4096;
const BOTH: u32 = 3;

/** Gives back far more references than it has, to an object that others use. */
export function overRelease(): i32 {
  const word = stackAlloc(4);
  if (systemObject().bind(text("files"), IFileSystem.IID, word) !== S_OK) return 1;
  const files = changetype<IFileSystem>(load<usize>(word));
  for (let count = 0; count < 1000; count++) files.release();
  return files.open(text("bin/hello"), word) === E_HANDLE ? 0 : 2;
}

/** Closes the console under all others, as far as it can. */
export function closeConsole(): i32 {
  const word = stackAlloc(4);
  if (systemObject().bind(text("console"), IConsole.IID, word) !== S_OK) return 1;
  const console = changetype<IConsole>(load<usize>(word));
  for (let count = 0; count < 1000; count++) console.release();
  if (systemObject().unregister(text("console")) !== E_ACCESSDENIED) return 2;
  return systemObject().register(text("console"), changetype<IUnknown>(systemObject())) === E_EXISTS ? 0 : 3;
}

/** Takes many references and gives back all of them and more. */
export function countReferences(): i32 {
  const system = systemObject();
  for (let count = 0; count < 100000; count++) system.addRef();
  for (let count = 0; count < 100000; count++) system.release();
  if (system.self(stackAlloc(offsetof<ProcessInfo>())) !== S_OK) return 1;
  for (let count = 0; count < 100000; count++) system.release();
  return system.self(stackAlloc(offsetof<ProcessInfo>())) === E_HANDLE ? 0 : 2;
}

/** Releases through every proxy there can be, its own and those of nobody. */
export function releaseAll(): i32 {
  for (let index: usize = 0; index < 8192; index++)
    changetype<IUnknown>(PROXIES + index * PROXY_SIZE).release();
  return systemObject().self(stackAlloc(offsetof<ProcessInfo>())) === E_HANDLE ? 0 : 1;
}

/** Every stub of its ISystem's vtable past the last method, and words beside proxies as objects. */
export function callBesides(): i32 {
  const system = changetype<usize>(systemObject());
  const vtable = load<usize>(system);
  for (let method: u32 = 32; method < 64; method++)
    call_indirect<i32>(load<u32>(vtable + method * 4), system);
  for (let offset: usize = 1; offset < 8; offset++)
    if (call_indirect<i32>(load<u32>(vtable + 32), system + offset, 0) !== E_HANDLE) return 1;
  if (call_indirect<i32>(load<u32>(vtable + 32), PROXIES - 8, 0) !== E_HANDLE) return 2;
  return call_indirect<i32>(load<u32>(vtable + 32), PROXIES + 8192 * 8, 0) === E_HANDLE ? 0 : 3;
}

/** Kills whatever is running: all it did not start itself must be refused. */
export function killOthers(): i32 {
  const info = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  const own = changetype<ProcessInfo>(stackAlloc(offsetof<ProcessInfo>()));
  systemObject().self(changetype<usize>(own));
  let tried = 0;
  for (let index: u32 = 0; systemObject().processInfo(index, changetype<usize>(info)) === S_OK; index++) {
    if (info.id === own.id) continue;
    tried++;
    if (systemObject().kill(info.id) !== E_ACCESSDENIED) return 1;
  }
  return tried > 3 ? 0 : 2;
}

/** Starts two more like itself, as deep as the number says, and waits for them. */
export function fork(depth: usize): i32 {
  const word = stackAlloc(4);
  const args = stackAlloc(8);
  if (!parseNumber(depth, word) || load<u32>(word) > 9) return 1;
  if (load<u32>(word) === 0) return 0;
  memory.copy(args, text("fork 0"), 7);
  store<u8>(args + 5, <u8>(load<u32>(word) + 47));
  const children = stackAlloc(8);
  memory.fill(children, 0, 8);
  for (let child: usize = 0; child < 8; child += 4)
    systemObject().run(text("abuse"), args, PLACE_PROCESS, children + child);
  for (let child: usize = 0; child < 8; child += 4) {
    const process = changetype<IProcess>(load<usize>(children + child));
    if (changetype<usize>(process) === 0) continue;
    process.wait(word);
    process.release();
  }
  return 0;
}

let victim: usize = 0;

function killer(_argument: usize): u32 {
  for (let count = 0; count < 20; count++) changetype<IProcess>(victim).kill();
  return 0;
}

/** Kills one process from several threads while others wait for it, then goes on to the next. */
export function killRace(): i32 {
  const word = stackAlloc(4);
  const list = stackAlloc(16);
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return 1;
  const threads = changetype<IThreads>(load<usize>(word));
  for (let round = 0; round < 10; round++) {
    if (systemObject().run(text("abuse"), text("spin"), PLACE_PROCESS, word) !== S_OK) return 2;
    victim = load<usize>(word);
    for (let index: usize = 0; index < 16; index += 4)
      if (threads.create(<u32>functionAddress(killer), 0, PRIORITY_DEFAULT, list + index) !== S_OK) return 3;
    if (round & 1) sleep(1);
    changetype<IProcess>(victim).kill();
    changetype<IProcess>(victim).wait(word);
    for (let index: usize = 0; index < 16; index += 4) {
      const thread = changetype<IThread>(load<usize>(list + index));
      thread.kill();
      thread.join(word);
      thread.release();
    }
    changetype<IProcess>(victim).release();
  }
  return 0;
}

/** Threads that start in the kernel's half, and regions there, at the proxies and around the end of the space. */
export function wrongPlaces(): i32 {
  const word = stackAlloc(4);
  if (systemObject().queryInterface(IThreads.IID, word) !== S_OK) return 1;
  const threads = changetype<IThreads>(load<usize>(word));
  if (threads.create(0x90000000, 0, PRIORITY_DEFAULT, word) !== E_INVALIDARG) return 2;
  if (threads.create(<u32>functionAddress(killer), 0, 0xffffffff, word) !== E_INVALIDARG) return 3;
  const places = memory.data<u32>([
    0x1000, 0x3f000000, 0x3f001000, 0x7ffff000, 0x80000000, 0x90000000, 0xfffff000, 0x123,
  ]);
  for (let index: usize = 0; index < 8; index++) {
    store<u32>(word, load<u32>(places + index * 4));
    if (memoryObject().map(word, 2 * PAGE, BOTH) === S_OK) return 4;
    if (memoryObject().unmap(load<u32>(places + index * 4)) === S_OK) return 5;
    if (memoryObject().protect(load<u32>(places + index * 4), PAGE, BOTH) === S_OK) return 6;
  }
  store<u32>(word, 0);
  if (memoryObject().map(word, 0xfffffff0, BOTH) === S_OK || memoryObject().map(word, 0, BOTH) === S_OK)
    return 7;
  store<u32>(word, 0);
  return memoryObject().map(word, PAGE, 0xff) === S_OK ? 8 : 0;
}

/** A string that has no end, up to the end of its region: a bad pointer in the middle of the kernel's reading. */
export function endlessString(): i32 {
  const word = stackAlloc(4);
  store<u32>(word, 0x20000000);
  if (memoryObject().map(word, 4 * PAGE, BOTH) !== S_OK) return 1;
  memory.fill(0x20000000, 65, 4 * PAGE);
  return systemObject().register(0x20000000 + 4 * PAGE - 40, changetype<IUnknown>(systemObject())) === S_OK
    ? 2
    : 3;
}
