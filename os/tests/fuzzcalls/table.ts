/** The table of all interfaces (drawn in toolchain/src/front/descriptors.ts), read word by word. */

import { stringEquals } from "../../lib/rt/strings";

const INTERFACE_SIZE: usize = 20;
const METHOD_SIZE: usize = 16;
const ARGUMENT_SIZE: usize = 8;

/** Kinds of arguments that the table speaks of. */
export const KIND_IN_BYTES: u8 = 4;
export const KIND_IN_OUT_BYTES: u8 = 6;
export const KIND_STRING: u8 = 7;
export const KIND_INTERFACE_IN: u8 = 8;
export const KIND_INTERFACE_OUT: u8 = 9;
export const KIND_INTERFACE_OUT_BY_ID: u8 = 10;

export function interfaceCount(): u32 {
  return load<u32>(interfaceTable());
}

/** The `index`-th interface's entry. */
export function interfaceAt(index: u32): usize {
  return load<usize>(interfaceTable(), 4) + index * INTERFACE_SIZE;
}

export function iidOf(entry: usize): u32 {
  return load<u32>(entry);
}

export function nameOf(entry: usize): usize {
  return load<usize>(entry, 4);
}

export function methodCountOf(entry: usize): u32 {
  return load<u32>(entry, 8);
}

/** 0 for an unknown id. */
export function interfaceWithId(iid: u32): usize {
  for (let index: u32 = 0; index < interfaceCount(); index++)
    if (iidOf(interfaceAt(index)) === iid) return interfaceAt(index);
  return 0;
}

export function methodOf(entry: usize, index: u32): usize {
  return load<usize>(entry, 12) + index * METHOD_SIZE;
}

/** Number of the method called `name`; the number of methods if there is none. */
export function methodCalled(entry: usize, name: usize): u32 {
  let index: u32 = 0;
  while (index < methodCountOf(entry) && !stringEquals(load<usize>(methodOf(entry, index)), name)) index++;
  return index;
}

/** Stack words of a method, `this` included. */
export function wordsOf(method: usize): u32 {
  return load<u16>(method, 4);
}

export function argumentCountOf(method: usize): u32 {
  return load<u16>(method, 6);
}

export function argumentOf(method: usize, index: u32): usize {
  return load<usize>(method, 8) + index * ARGUMENT_SIZE;
}

export function kindOf(argument: usize): u8 {
  return load<u8>(argument);
}

/** The argument's stack word, and that of the size or interface id that belongs to it. */
export function wordOf(argument: usize): u32 {
  return load<u8>(argument, 1);
}

export function otherWordOf(argument: usize): u32 {
  return load<u8>(argument, 2);
}

/** Id of the interface that an argument of KIND_INTERFACE_OUT gives out. */
export function outInterfaceOf(argument: usize): u32 {
  return load<u32>(argument, 4);
}
