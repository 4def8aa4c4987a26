/**
 * Operations of the private trap, `int 0x31` (os/README.md draws the ones open to programs). Those from FIRST_OF_KERNEL on are
 * for ring 1 only: what thread-level kernel code has to ask ring 0 for.
 */

export const WAIT_ON: u32 = 0;
export const WAKE: u32 = 1;
export const YIELD: u32 = 2;
export const EXIT_THREAD: u32 = 3;
export const SLEEP: u32 = 4;
/** ecx = mutex word (locks.ts), ebx = timeout in ms: takes it or waits for it. */
export const LOCK: u32 = 6;
/** ecx = mutex word: gives it to the most urgent waiter. */
export const UNLOCK: u32 = 7;
/** From here on the operations are for ring 1. They follow each other closely: one jump table serves them all. */
export const FIRST_OF_KERNEL: u32 = 0x10;
/** The same as WAIT_ON and LOCK, and cancelling the thread does not end the wait. */
export const WAIT_THROUGH: u32 = 0x10;
export const LOCK_THROUGH: u32 = 0x11;
/** ecx = thread record: becomes ready. */
export const START: u32 = 0x12;
/** ecx = thread record: a parked one becomes ready. */
export const UNPARK: u32 = 0x13;
/** The thread is over; its record goes to the helper thread. */
export const TERMINATE: u32 = 0x14;
/** ecx = thread record, edx = priority. */
export const SET_PRIORITY: u32 = 0x15;
/** ecx = thread record: ends its wait with `WAIT_CANCELLED`. */
export const CANCEL: u32 = 0x16;
/** ecx = linear address. */
export const FLUSH_PAGE: u32 = 0x17;
export const FLUSH_ALL: u32 = 0x18;
/** The helper thread asks for work: waits until a stack fault is queued or edx ms have passed. */
export const HELPER_WAIT: u32 = 0x19;
/** ecx = directory: if it is loaded, the kernel's own is loaded instead. */
export const LEAVE_DIRECTORY: u32 = 0x1a;
/** The caller waits for an answer. */
export const AWAIT_ANSWER: u32 = 0x1b;
/** ecx = thread record: it has its answer. */
export const ANSWER: u32 = 0x1c;
/** ecx = directory, edx = index: puts an empty page table there (i386/vtlb.ts). */
export const MAKE_TABLE: u32 = 0x1d;
/** ecx = thread record: keeps it from running its program's code until resumed as often. Result: how often it was suspended before. */
export const SUSPEND: u32 = 0x1e;
export const RESUME: u32 = 0x1f;
/** The caller is at a safe point, holding nothing: waits here while it is suspended. */
export const STOP: u32 = 0x20;

export declare function privateTrap(operation: u32, a: u32, b: u32, c: u32): u32;
