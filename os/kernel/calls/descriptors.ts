/**
 * What the kernel knows about every interface: the table that the toolchain makes from os/interfaces (drawn in
 * toolchain/src/front/descriptors.ts), seen as classes. `resolveDescriptors` finishes it at boot: interface ids of arguments become
 * addresses of interface entries, methods that carry interfaces are marked, and frames measured, so that calls look nothing up.
 */

import { IUnknown } from "../../interfaces/IUnknown";
import { panic } from "../epitaph";

@unmanaged
export class Interface {
  iid: u32 = 0;
  name: usize = 0;
  methodCount: u32 = 0;
  methods: usize = 0;
  flags: u32 = 0;
}

@unmanaged
export class Method {
  name: usize = 0;
  /** Stack words with `this`. */
  words: u16 = 0;
  argumentCount: u16 = 0;
  arguments: usize = 0;
  flags: u16 = 0;
  /** Bytes of its frame on a server thread's stack: words and return address, a multiple of 16. */
  frameSize: u16 = 0;
}

@unmanaged
export class Argument {
  kind: u8 = 0;
  /** Its stack word; `this` is 0. */
  word: u8 = 0;
  /** Stack word of the buffer's size or of the iid. */
  other: u8 = 0;
  resolved: u8 = 0;
  /** Bytes behind the pointer (IN, OUT, IN_OUT), or address of the interface entry (INTERFACE_IN, INTERFACE_OUT). */
  detail: u32 = 0;
}

const INTERFACE_SIZE: usize = 20;
/** Flag of an interface: offered to callers in the object's own space only (interfaces/IInternal.ts). */
const INTERFACE_INTERNAL: u32 = 1;
const METHOD_SIZE: usize = 16;
export const ARGUMENT_SIZE: usize = 8;

export const ARGUMENT_IN: u8 = 1;
export const ARGUMENT_OUT: u8 = 2;
export const ARGUMENT_IN_OUT: u8 = 3;
export const ARGUMENT_IN_BYTES: u8 = 4;
export const ARGUMENT_OUT_BYTES: u8 = 5;
export const ARGUMENT_IN_OUT_BYTES: u8 = 6;
export const ARGUMENT_STRING: u8 = 7;
export const ARGUMENT_INTERFACE_IN: u8 = 8;
export const ARGUMENT_INTERFACE_OUT: u8 = 9;
/** Out, its interface being the one whose id is another argument. */
export const ARGUMENT_INTERFACE_OUT_BY_ID: u8 = 10;

/** Flags of a method: it has arguments of one of the last three kinds; its handle counts it. Dispatch treats both apart. */
export const METHOD_CARRIES_INTERFACES: u16 = 1;
const METHOD_COUNTS: u16 = 2;
/** Most stack words of a method, `this` included. */
export const METHOD_WORDS: u32 = 32;

export const METHOD_QUERY_INTERFACE: u32 = 0;
export const METHOD_ADD_REF: u32 = 1;
export const METHOD_RELEASE: u32 = 2;

let unknown: usize = 0;

/** Entry of IUnknown, which every object has. */
export function unknownInterface(): usize {
  return unknown;
}

/** Binary search in the table; 0 for an unknown id. */
export function interfaceWithId(iid: u32): usize {
  const table = interfaceTable();
  const first = load<usize>(table, 4);
  let low: u32 = 0;
  let high = load<u32>(table);
  while (low < high) {
    const middle = (low + high) >> 1;
    const entry = first + middle * INTERFACE_SIZE;
    const found = load<u32>(entry);
    if (found === iid) return entry;
    if (found < iid) low = middle + 1;
    else high = middle;
  }
  return 0;
}

/** Is it an interface that is not offered across the border of a space? */
export function isInternal(descriptor: usize): bool {
  return descriptor !== 0 && (changetype<Interface>(descriptor).flags & INTERFACE_INTERNAL) !== 0;
}

/** Does a call ask for an internal interface by its id? */
export function asksForInternal(method: Method, words: usize): bool {
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    if (argument.kind !== ARGUMENT_INTERFACE_OUT_BY_ID) continue;
    if (isInternal(interfaceWithId(load<u32>(words + ((<usize>argument.other) << 2))))) return true;
  }
  return false;
}

/** The entry of method `index`; the caller has checked it against `methodCount`. */
export function methodAt(descriptor: Interface, index: u32): Method {
  return changetype<Method>(descriptor.methods + index * METHOD_SIZE);
}

/** Runs once, before the first call. */
export function resolveDescriptors(): void {
  const table = interfaceTable();
  const count = load<u32>(table);
  unknown = interfaceWithId(IUnknown.IID);
  for (let i: u32 = 0; i < count; i++) {
    const descriptor = changetype<Interface>(load<usize>(table, 4) + i * INTERFACE_SIZE);
    for (let m: u32 = 0; m < descriptor.methodCount; m++) resolveMethod(methodAt(descriptor, m));
    methodAt(descriptor, METHOD_ADD_REF).flags = METHOD_COUNTS;
    methodAt(descriptor, METHOD_RELEASE).flags = METHOD_COUNTS;
  }
}

function resolveMethod(method: Method): void {
  if (method.words > METHOD_WORDS) panic(method.name);
  method.frameSize = <u16>((((<u32>method.words) << 2) + 4 + 15) & ~15);
  for (let i: u32 = 0; i < method.argumentCount; i++) {
    const argument = changetype<Argument>(method.arguments + i * ARGUMENT_SIZE);
    if (argument.kind < ARGUMENT_INTERFACE_IN) continue;
    method.flags |= METHOD_CARRIES_INTERFACES;
    // Entries of inherited methods are shared by several interfaces.
    if (argument.resolved !== 0 || argument.kind === ARGUMENT_INTERFACE_OUT_BY_ID) continue;
    argument.resolved = 1;
    argument.detail = <u32>interfaceWithId(argument.detail);
  }
}
