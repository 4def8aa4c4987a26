/**
 * Ambient functions and types of guest code (see README.md). The back end expands the functions in line; the IDL
 * transform supplies the rest.
 */

/** `size` bytes on the calling function's stack, 16-byte aligned, until that function returns. Pages are touched in order. */
declare function stackAlloc(size: usize): usize;

declare function portIn8(port: u32): u32;
declare function portIn16(port: u32): u32;
declare function portIn32(port: u32): u32;
declare function portOut8(port: u32, value: u32): void;
declare function portOut16(port: u32, value: u32): void;
declare function portOut32(port: u32, value: u32): void;

/** Loads and stores that are never merged, moved across each other or dropped: device registers, words other contexts change. */
declare function volatileLoad8(address: usize): u32;
declare function volatileLoad16(address: usize): u32;
declare function volatileLoad32(address: usize): u32;
declare function volatileStore8(address: usize, value: u32): void;
declare function volatileStore16(address: usize, value: u32): void;
declare function volatileStore32(address: usize, value: u32): void;

/** XCHG: stores `value`, returns what was there. Atomic against interrupts and other processors. */
declare function atomicExchange(address: usize, value: u32): u32;
/** LOCK CMPXCHG: stores `value` if the word is `expected`; returns what was there. */
declare function atomicCompareExchange(address: usize, expected: u32, value: u32): u32;
/** LOCK XADD: adds `value`, returns what was there before. */
declare function atomicAdd(address: usize, value: u32): u32;

/** RDTSC. */
declare function timeStamp(): u64;
/** The CS selector; its low two bits are the ring. */
declare function codeSegment(): u32;
declare function stackPointer(): usize;
declare function framePointer(): usize;
/** EFLAGS, CLI and STI (at ring 1 through IOPL 1). */
declare function readFlags(): u32;
declare function writeFlags(flags: u32): void;
declare function disableInterrupts(): void;
declare function enableInterrupts(): void;

/** Ring 0 only. */
declare function halt(): void;
declare function readControl0(): u32;
declare function readControl2(): u32;
declare function readControl3(): u32;
declare function writeControl0(value: u32): void;
declare function writeControl3(value: u32): void;
declare function invalidatePage(address: usize): void;

/** Address of a literal's NUL-terminated UTF-8 in static data. */
declare function text(literal: string): usize;
/** Code address of a function. */
declare function functionAddress<F extends (...args: never[]) => unknown>(f: F): usize;

/** Address of the table of all interfaces (drawn in toolchain/src/front/descriptors.ts). */
declare function interfaceTable(): usize;

/** Base of every class that implements interfaces: vtable, reference count. */
declare class ComObject {
  /** Current number of references. */
  references: u32;
  queryInterface(iid: u32, out: usize): i32;
  addRef(): u32;
  release(): u32;
}
/** A new object with one reference, or null when memory is exhausted. */
declare function newObject<T>(): T;
/** The object's pointer for interface `I`, without a new reference. */
declare function interfaceOf<I>(object: ComObject): I;
