/**
 * The caller's side of a marshalled call: from the argument words and what they point at into a record, and back. All of it runs in the
 * caller's space, on addresses that are the kernel's (a system call has checked and biased them).
 */

import type { IUnknown } from "../../interfaces/IUnknown";
import { E_INVALIDARG, E_POINTER, S_OK } from "../../interfaces/results";
import {
  ARGUMENT_IN,
  ARGUMENT_IN_BYTES,
  ARGUMENT_IN_OUT,
  ARGUMENT_IN_OUT_BYTES,
  ARGUMENT_INTERFACE_IN,
  ARGUMENT_OUT,
  ARGUMENT_OUT_BYTES,
  ARGUMENT_SIZE,
  ARGUMENT_STRING,
  type Argument,
  type Method,
} from "./descriptors";
import { type CallRecord, dataOf, lentOf, wordsOf } from "./records";

/** Kinds as bits: data that comes out of the server, data that goes into it. */
const OUT_KINDS: u32 =
  (1 << ARGUMENT_OUT) | (1 << ARGUMENT_IN_OUT) | (1 << ARGUMENT_OUT_BYTES) | (1 << ARGUMENT_IN_OUT_BYTES);
const IN_KINDS: u32 =
  (1 << ARGUMENT_IN) | (1 << ARGUMENT_IN_OUT) | (1 << ARGUMENT_IN_BYTES) | (1 << ARGUMENT_IN_OUT_BYTES);

/** Most bytes that one call between processes carries. */
export const REMOTE_DATA_LIMIT: u32 = 0x100000;

/** What `measureData` answers instead of a size: a null pointer, too many bytes. */
const NULL_POINTER: u32 = 0xffffffff;
const TOO_MUCH: u32 = 0xfffffffe;

/** E_POINTER or E_INVALIDARG if `size` is one of the answers that are no sizes, else S_OK. */
export function sizeError(size: u32): i32 {
  if (size <= REMOTE_DATA_LIMIT) return S_OK;
  return size === NULL_POINTER ? E_POINTER : E_INVALIDARG;
}

/** Bytes behind the pointer of an argument in the caller's words, but for strings. */
export function sizeBehind(argument: Argument, words: usize): u32 {
  if (argument.kind - ARGUMENT_IN_BYTES <= ARGUMENT_IN_OUT_BYTES - ARGUMENT_IN_BYTES)
    return load<u32>(words + ((<usize>argument.other) << 2));
  return argument.kind >= ARGUMENT_INTERFACE_IN ? 4 : argument.detail;
}

/** Bytes of data that a call carries, or an answer for `sizeError`. */
export function measureData(method: Method, words: usize): u32 {
  let total: u32 = 0;
  let at = method.arguments;
  for (let left: u32 = method.argumentCount; left !== 0; left--) {
    const argument = changetype<Argument>(at);
    at += ARGUMENT_SIZE;
    const pointer = load<usize>(words + ((<usize>argument.word) << 2));
    let size: u32 = 0;
    if (argument.kind === ARGUMENT_STRING) {
      if (pointer === 0) return NULL_POINTER;
      while (size <= REMOTE_DATA_LIMIT && load<u8>(pointer + size) !== 0) size++;
      size++;
    } else if (argument.kind !== ARGUMENT_INTERFACE_IN) size = sizeBehind(argument, words);
    if (pointer === 0 && (size !== 0 || argument.kind === ARGUMENT_INTERFACE_IN)) return NULL_POINTER;
    if (size > REMOTE_DATA_LIMIT) return TOO_MUCH;
    total = (total + size + 7) & ~7;
    if (total > REMOTE_DATA_LIMIT) return TOO_MUCH;
  }
  return total;
}

/** Copies the words after `this` to a record: all of a call without pointers. */
export function copyWords(record: CallRecord, method: Method, words: usize): void {
  const copies = wordsOf(record);
  const end = (<usize>method.words) << 2;
  for (let offset: usize = 4; offset < end; offset += 4)
    store<u32>(copies + offset, load<u32>(words + offset));
}

/**
 * Copies the arguments of a call with pointers to a record, which takes a reference to every interface that goes in. A string may have grown since it
 * was measured; then the data no longer fits, and the answer is false.
 */
export function marshal(record: CallRecord, words: usize): bool {
  const method = record.method;
  const copies = wordsOf(record);
  copyWords(record, method, words);
  const room = record.dataSize;
  let fits = true;
  let offset: u32 = 0;
  let at = method.arguments;
  for (let left: u32 = method.argumentCount; left !== 0; left--) {
    const argument = changetype<Argument>(at);
    at += ARGUMENT_SIZE;
    const kind = argument.kind;
    const slot = (<usize>argument.word) << 2;
    if (kind === ARGUMENT_INTERFACE_IN) {
      changetype<IUnknown>(load<usize>(copies + slot)).addRef();
      store<u32>(lentOf(record) + slot, 0);
      continue;
    }
    const pointer = load<usize>(words + slot);
    if (kind > ARGUMENT_INTERFACE_IN) {
      // The word will hold the kernel's pointer to what comes out.
      store<u32>(copies + slot, 0);
      store<u32>(lentOf(record) + slot, offset);
    } else store<u32>(copies + slot, offset);
    let size: u32 = 0;
    if (kind === ARGUMENT_STRING) {
      size = fits ? copyString(dataOf(record) + offset, pointer, room - offset) : 0;
      fits = fits && size !== 0;
    } else {
      size = sizeBehind(argument, copies);
      fits = fits && size <= room - offset;
      if (fits) {
        if ((1 << (<u32>kind)) & IN_KINDS) memory.copy(dataOf(record) + offset, pointer, size);
        else if (kind > ARGUMENT_INTERFACE_IN) store<u32>(dataOf(record) + offset, 0);
      }
    }
    offset = (offset + size + 7) & ~7;
    fits = fits && offset <= room;
  }
  return fits;
}

/** Copies a string and its NUL into `room` bytes; returns how many bytes that were, 0 if it does not fit. */
function copyString(target: usize, source: usize, room: u32): u32 {
  for (let length: u32 = 0; length < room; length++) {
    const byte = load<u8>(source + length);
    store<u8>(target + length, byte);
    if (byte === 0) return length + 1;
  }
  return 0;
}

/** Stores what came out of a finished call where the caller's words point. */
export function unmarshal(record: CallRecord, words: usize): void {
  const method = record.method;
  const copies = wordsOf(record);
  let at = method.arguments;
  for (let left: u32 = method.argumentCount; left !== 0; left--) {
    const argument = changetype<Argument>(at);
    at += ARGUMENT_SIZE;
    const kind = argument.kind;
    const slot = (<usize>argument.word) << 2;
    const pointer = load<usize>(words + slot);
    if (kind > ARGUMENT_INTERFACE_IN) {
      store<u32>(pointer, load<u32>(copies + slot));
      store<u32>(copies + slot, 0);
    } else if (comesOut(kind)) {
      memory.copy(pointer, dataOf(record) + load<u32>(copies + slot), sizeBehind(argument, copies));
    }
  }
}

/** Has an argument of this kind data that the method stores? OUT, IN_OUT and their kinds for buffers. */
export function comesOut(kind: u8): bool {
  return ((1 << (<u32>kind)) & OUT_KINDS) !== 0;
}

/** After a call that did not come to the object: the caller's interface pointers hold null. Returns `result`. */
export function clearInterfaces(method: Method, words: usize, result: i32): i32 {
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    const pointer = load<usize>(words + ((<usize>argument.word) << 2));
    if (argument.kind > ARGUMENT_INTERFACE_IN && pointer !== 0) store<u32>(pointer, 0);
  }
  return result;
}
