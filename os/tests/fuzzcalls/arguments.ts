/**
 * Random argument words, each by its kind. Most are good, so that calls get behind their checks; the others are what a hostile
 * program would pass.
 *
 *   ARENA     64 KB, random words                  NEVER     16 KB, nothing there
 *   OUTS      a page of each caller's own, for the interface pointers that calls give it
 *   FIXED     4 KB, read-only: objects, names      LOSABLE   64 KB of regions that calls may unmap, protect and commit
 *                                              behind them 1 MB that is not for use, so that large buffers do not reach this program's stacks
 */

import { PROTECT_READ, PROTECT_WRITE } from "../../interfaces/IMemory";
import { E_FAIL, S_FALSE, S_OK } from "../../interfaces/results";
import { memoryObject } from "../../lib/rt/program";
import { stringCopy } from "../../lib/rt/strings";
import { anyObject, MOST_CALLERS } from "./objects";
import {
  argumentCountOf,
  argumentOf,
  iidOf,
  interfaceAt,
  interfaceCount,
  KIND_IN_BYTES,
  KIND_IN_OUT_BYTES,
  KIND_INTERFACE_IN,
  KIND_INTERFACE_OUT,
  KIND_INTERFACE_OUT_BY_ID,
  KIND_STRING,
  kindOf,
  otherWordOf,
  wordOf,
  wordsOf,
} from "./table";

/** No power of two, which is a random value. */
const ARENA: usize = 0x00410000;
const ARENA_SIZE: u32 = 0x10000;
const OUTS: usize = 0x00430000;
const OUT_SIZE: u32 = 0x1000;
const NEVER: usize = 0x00480000;
const FIXED: usize = 0x00500000;
const LOSABLE: usize = 0x00600000;
const LOSABLE_SIZE: u32 = 0x10000;
const BEHIND: u32 = 0x100000;
const USER_END: u32 = 0x7ffff000;
const PROXIES: usize = 0x3f001000;
const PROXIES_SIZE: usize = 0x10000;

/** In FIXED: the vtable of OWN_OBJECT, 64 methods; objects without vtable and without methods; strings, NAME bytes each. */
const OWN_VTABLE: usize = FIXED;
const OWN_OBJECT: usize = FIXED + 0x100;
const NO_VTABLE: usize = FIXED + 0x108;
const NO_METHODS: usize = FIXED + 0x110;
const NO_METHODS_VTABLE: usize = FIXED + 0x200;
const NAMES: usize = FIXED + 0x400;
const NAME: u32 = 32;
const NAME_COUNT: u32 = 14;

let state: u32 = 1;
let answers: u32 = 0;
let desperate: bool = false;

export function seed(value: u32): void {
  state = value * 2654435761 + 1;
}

/** From now on interface pointers may be such that the program ends: the kernel finds no method behind them. */
export function despair(): void {
  desperate = true;
}

/** Marsaglia's xorshift with 13, 17, 5. */
export function random(): u32 {
  state ^= state << 13;
  state ^= state >> 17;
  state ^= state << 5;
  return state;
}

function below(limit: u32): u32 {
  return (random() >> 3) % limit;
}

/** A method of OWN_OBJECT, of any signature; it runs on server threads. */
function anyMethod(): i32 {
  const turn = answers++ % 8;
  return turn < 5 ? S_OK : turn < 6 ? S_FALSE : turn < 7 ? E_FAIL : 0x12345678;
}

/** Its queryInterface: gives itself, nothing, or what is no object. */
function anyQuery(object: usize, _iid: u32, out: usize): i32 {
  const turn = answers++ % 8;
  const nothing = desperate ? <u32>NEVER : 0;
  store<u32>(out, turn < 5 ? <u32>object : turn < 7 ? nothing : <u32>NO_METHODS);
  return turn === 4 ? E_FAIL : S_OK;
}

function mapAt(at: usize, size: u32, protection: u32 = PROTECT_READ | PROTECT_WRITE): bool {
  const word = stackAlloc(4);
  store<u32>(word, <u32>at);
  return memoryObject().map(word, size, protection) === S_OK;
}

function keepName(index: u32, name: usize): void {
  stringCopy(NAMES + index * NAME, name, NAME);
}

function keepNames(): void {
  keepName(0, text("fuzz.a"));
  keepName(1, text("fuzz.b"));
  keepName(2, text("fuzz.echo"));
  keepName(3, text("fuzz.kernel"));
  keepName(4, text("fuzz.moving"));
  keepName(5, text("timer"));
  keepName(6, text("files"));
  keepName(7, text("console"));
  keepName(8, text("boot.archive"));
  keepName(9, text("digest"));
  keepName(10, text("bin/hello"));
  keepName(11, text("crc32"));
  keepName(12, text("live.handles"));
  keepName(13, text("\x01\x7f no such name"));
}

/** Maps and fills what the arguments point at. */
export function makeArguments(): bool {
  if (
    !mapAt(ARENA, ARENA_SIZE) ||
    !mapAt(OUTS, OUT_SIZE * MOST_CALLERS) ||
    !mapAt(FIXED, 0x1000) ||
    !mapAt(LOSABLE, LOSABLE_SIZE)
  )
    return false;
  if (!mapAt(LOSABLE + LOSABLE_SIZE, BEHIND, 0)) return false;
  for (let offset: u32 = 0; offset < ARENA_SIZE; offset += 4) store<u32>(ARENA + offset, random());
  for (let index: usize = 0; index < 64; index++)
    store<usize>(OWN_VTABLE + index * 4, functionAddress(anyMethod));
  store<usize>(OWN_VTABLE, functionAddress(anyQuery));
  store<usize>(OWN_OBJECT, OWN_VTABLE);
  store<usize>(NO_VTABLE, NEVER);
  store<usize>(NO_METHODS, NO_METHODS_VTABLE);
  keepNames();
  return memoryObject().protect(<u32>FIXED, 0x1000, PROTECT_READ) === S_OK;
}

/** Before a call: takes turns in having something to lose. */
export function renewLosable(): void {
  memoryObject().unmap(<u32>LOSABLE);
  mapAt(LOSABLE, LOSABLE_SIZE);
}

/** Fills in the words after `this` for a caller's call. With `brief` no value is above 2, so that nothing is waited for. */
export function fillArguments(caller: u32, words: usize, method: usize, brief: bool): void {
  for (let word: u32 = 1; word < wordsOf(method); word++)
    store<u32>(words + word * 4, brief ? below(3) : value());
  for (let index: u32 = 0; index < argumentCountOf(method); index++) {
    const argument = argumentOf(method, index);
    const kind = kindOf(argument);
    store<u32>(words + wordOf(argument) * 4, pointerOf(kind, caller));
    if (kind >= KIND_IN_BYTES && kind <= KIND_IN_OUT_BYTES)
      store<u32>(words + otherWordOf(argument) * 4, size());
    else if (kind === KIND_INTERFACE_OUT_BY_ID && below(8) !== 0)
      store<u32>(words + otherWordOf(argument) * 4, iidOf(interfaceAt(below(interfaceCount()))));
  }
}

/** The proxy that a caller's call has stored where `address` points; 0 if there is none. */
export function givenOut(caller: u32, address: u32): usize {
  if (address - outsOf(caller) > OUT_SIZE - 4) return 0;
  const pointer = load<usize>(address);
  return pointer - PROXIES < PROXIES_SIZE ? pointer : 0;
}

function value(): u32 {
  const choice = below(32);
  if (choice < 14) return below(40);
  if (choice < 18) return below(0x20000);
  // Not 1 << 30, where the first library is, which may be unmapped.
  if (choice < 20) return 1 << below(30);
  if (choice < 22) return (1 << below(32)) - 1;
  if (choice < 26) return <u32>LOSABLE + below(LOSABLE_SIZE / 0x1000 + 2) * 0x1000;
  if (choice < 28) return <u32>NEVER + below(0x1000);
  if (choice < 29) return <u32>functionAddress(anyMethod);
  if (choice < 30) return 0x80000000 | random();
  return 0xfffffff0 | below(16);
}

/** Of a buffer; more than a page is rare, because it costs time. */
function size(): u32 {
  const choice = below(64);
  if (choice < 40) return below(65);
  if (choice < 56) return below(0x1001);
  if (choice < 60) return below(0x4001);
  if (choice < 61) return below(0x80000);
  return choice < 62 ? 0x80000000 | random() : 0xfffffff0 | below(16);
}

function outsOf(caller: u32): u32 {
  return <u32>OUTS + caller * OUT_SIZE;
}

function pointerOf(kind: u8, caller: u32): u32 {
  if (kind === KIND_STRING) return stringPointer();
  if (kind >= KIND_INTERFACE_OUT && below(4) !== 0) return outsOf(caller) + (below(OUT_SIZE) & ~3);
  return kind === KIND_INTERFACE_IN ? interfacePointer() : dataPointer();
}

function dataPointer(): u32 {
  const choice = below(64);
  if (choice < 44) return <u32>ARENA + (below(ARENA_SIZE) & ~3);
  if (choice < 48) return <u32>ARENA + below(ARENA_SIZE);
  if (choice < 52) return <u32>ARENA + ARENA_SIZE - below(64);
  return badPointer(choice);
}

/** `choice`: 52 to 63. */
function badPointer(choice: u32): u32 {
  if (choice < 54) return 0;
  if (choice < 55) return 0x80000000 | random();
  if (choice < 56) return 0xfffffff0 | below(16);
  if (choice < 57) return USER_END - below(16);
  if (choice < 58) return USER_END + below(0x1000);
  if (choice < 59) return <u32>FIXED + below(0x1000);
  if (choice < 60) return <u32>LOSABLE + below(LOSABLE_SIZE);
  if (choice < 61) return <u32>functionAddress(anyMethod);
  if (choice < 62) return <u32>PROXIES + below(0x1000);
  return <u32>NEVER + below(0x4000);
}

function stringPointer(): u32 {
  const choice = below(64);
  if (choice < 48) return <u32>NAMES + below(NAME_COUNT) * NAME;
  if (choice < 51) return <u32>ARENA + below(ARENA_SIZE);
  return choice < 52 ? <u32>ARENA + ARENA_SIZE - below(64) : badPointer(choice);
}

function interfacePointer(): u32 {
  const choice = below(64);
  if (choice < 40) return <u32>anyObject(random());
  if (choice < 48) return <u32>OWN_OBJECT;
  if (choice < 50) return <u32>NO_METHODS;
  if (choice < 54) return <u32>PROXIES + below(0x2000) * 8;
  if (choice < 57) return 0;
  if (choice < 60 || !desperate) return 0x80000000 | random();
  return badObject(choice);
}

/** Not an address of code or of what calls write: this program would run that as a method. */
function badObject(choice: u32): u32 {
  if (choice < 61) return <u32>NO_VTABLE;
  return choice < 62 ? <u32>USER_END - below(16) : <u32>NEVER + below(0x4000);
}
