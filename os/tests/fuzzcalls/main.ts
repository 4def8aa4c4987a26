/**
 * Random calls on every object that a process can have, with random arguments: `fuzzcalls SEED CALLS`. Equal arguments make equal
 * runs. Whatever happens, it must happen to this process alone; it ends with 0 when it survives its own calls.
 *
 * Left out are calls that are right to have an effect beyond the process (power off, kill, names that others use) or that
 * wait for long.
 */

import { IEcho } from "../../interfaces/IEcho";
import { IFileSystem } from "../../interfaces/IFileSystem";
import { IMemory, PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { IThreads } from "../../interfaces/IThreads";
import { S_OK } from "../../interfaces/results";
import { print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";
import { parseNumber } from "../../lib/rt/strings";

const OBJECTS: u32 = 6;
const METHODS: u32 = 24;
/** Where arguments point. The region reaches far enough behind it for an address to be a size. */
const ARENA_START: usize = 0x00400000;
const ARENA: u32 = 0x10000;
const ARENA_REGION: u32 = 0x01000000;
const PROXIES: usize = 0x3f001000;
/** Bit n: method n of ISystem may be called. Not register, unregister, run, kill, sleep, markPhase, powerOff. */
const SYSTEM_METHODS: u32 =
  0x00ffffff & ~((1 << 4) | (1 << 5) | (1 << 6) | (1 << 12) | (1 << 16) | (1 << 17) | (1 << 18));
/** Not callBack and relay with anything (they may call what is no object, in this process), slow, quit, pool, leave. */
const ECHO_METHODS: u32 =
  0x00ffffff & ~((1 << 11) | (1 << 14) | (1 << 15) | (1 << 20) | (1 << 21) | (1 << 22));
/** Not create: a thread at a random address ends the process, as it should. */
const THREADS_METHODS: u32 = 0x00ffffff & ~(1 << 3);
/** Not unmap and protect: they may take away the ground this program stands on. */
const MEMORY_METHODS: u32 = 0x00ffffff & ~((1 << 4) | (1 << 5));
/** Only addRef and release are left out, so that the object lasts. */
const KEPT: u32 = ~((1 << 1) | (1 << 2));

let state: u32 = 1;
const objects: usize = memory.data(24, 16);
const masks: usize = memory.data(24, 16);

/** Marsaglia's xorshift with 13, 17, 5. */
function random(): u32 {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

function addObject(index: u32, pointer: usize, mask: u32): void {
  store<usize>(objects + index * 4, pointer);
  store<u32>(masks + index * 4, mask & KEPT);
}

function gatherObjects(): bool {
  const word = stackAlloc(4);
  const system = systemObject();
  addObject(0, changetype<usize>(system), SYSTEM_METHODS);
  if (system.queryInterface(IMemory.IID, word) !== S_OK) return false;
  addObject(1, load<usize>(word), MEMORY_METHODS);
  if (system.queryInterface(IThreads.IID, word) !== S_OK) return false;
  addObject(2, load<usize>(word), THREADS_METHODS);
  if (system.bind(text("files"), IFileSystem.IID, word) !== S_OK) return false;
  addObject(3, load<usize>(word), 0x00ffffff);
  if (system.bind(text("fuzz.echo"), IEcho.IID, word) !== S_OK) return false;
  addObject(4, load<usize>(word), ECHO_METHODS);
  // No object at all: every method of a handle that is free.
  addObject(5, PROXIES + 5000 * 8, 0x00ffffff);
  return true;
}

/**
 * One argument word. What is in range but not mapped, or mapped read-only, would end this program as soon as it meets a
 * parameter that is an address, so such words come with the last calls only. Addresses in the arena serve as sizes too.
 */
function argument(last: bool): u32 {
  const choice = random() % 16;
  if (choice < 9) return <u32>ARENA_START + (random() % ARENA);
  if (choice < 11) return 0;
  if (choice < 13) return 0x80000000 | random();
  if (choice < 14) return 0xfffffff0 | random();
  if (!last) return <u32>ARENA_START + (random() & 63);
  return choice < 15 ? load<u32>(objects + (random() % OBJECTS) * 4) : random() & 0x7fffffff;
}

function callOnce(last: bool): void {
  const index = random() % OBJECTS;
  const method = random() % METHODS;
  if (((load<u32>(masks + index * 4) >> method) & 1) === 0) return;
  const object = load<usize>(objects + index * 4);
  const a = argument(last);
  const b = argument(last);
  const c = argument(last);
  const d = argument(last);
  const e = argument(last);
  const f = argument(last);
  call_indirect<i32>(load<u32>(load<usize>(object) + method * 4), object, a, b, c, d, e, f);
}

function mapArena(): bool {
  const word = stackAlloc(4);
  store<u32>(word, <u32>ARENA_START);
  const result = changetype<IMemory>(load<usize>(objects + 4)).map(
    word,
    ARENA_REGION,
    PROTECT_READ | PROTECT_WRITE,
  );
  for (let offset: u32 = 0; offset < ARENA; offset += 4) store<u32>(ARENA_START + offset, random());
  return result === S_OK;
}

export function main(argc: i32, argv: usize): i32 {
  const seed = stackAlloc(4);
  const calls = stackAlloc(4);
  if (argc !== 3 || !parseNumber(load<usize>(argv, 4), seed) || !parseNumber(load<usize>(argv, 8), calls)) {
    print(text("usage: fuzzcalls SEED CALLS\n"));
    return 2;
  }
  state = load<u32>(seed) * 2654435761 + 1;
  if (!gatherObjects() || !mapArena()) return 3;
  const count = load<u32>(calls);
  for (let call: u32 = 0; call < count; call++) callOnce(call + 16 > count);
  return 0;
}
