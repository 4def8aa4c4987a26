/**
 * Operations of the private trap, `int 0x31` (os/README.md draws the ones open to programs). Those from 0x100 on are for
 * ring 1 only: what thread-level kernel code has to ask ring 0 for.
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
/** ecx = thread record: becomes ready. */
export const START: u32 = 0x100;
/** ecx = code address at which the thread goes on, on another kernel stack, when unparked. */
export const PARK: u32 = 0x101;
export const UNPARK: u32 = 0x102;
/** The thread is over; its record goes to the helper thread. */
export const TERMINATE: u32 = 0x103;
/** ecx = thread record, edx = priority. */
export const SET_PRIORITY: u32 = 0x104;
/** ecx = thread record: ends its wait with `WAIT_CANCELLED`. */
export const CANCEL: u32 = 0x105;
/** ecx = linear address. */
export const FLUSH_PAGE: u32 = 0x106;
export const FLUSH_ALL: u32 = 0x107;
/** The helper thread asks for work: waits until a stack fault is queued or edx ms have passed. */
export const HELPER_WAIT: u32 = 0x108;
/** ecx = directory: if it is loaded, the kernel's own is loaded instead. */
export const LEAVE_DIRECTORY: u32 = 0x109;
/** ecx = parked thread record, edx = word, ebx = value: unparks it and waits on the word, in one trap. */
export const HAND_OFF: u32 = 0x10a;
/** ecx = word, edx = code address: wakes a waiter of the word and parks, in one trap. */
export const WAKE_AND_PARK: u32 = 0x10b;
/** ecx = directory, edx = index: puts an empty page table there (i386/vtlb.ts). */
export const MAKE_TABLE: u32 = 0x10c;
/** ecx = thread record: keeps it from running its program's code until resumed as often. Result: how often it was suspended before. */
export const SUSPEND: u32 = 0x10d;
export const RESUME: u32 = 0x10e;
/** The caller is at a safe point, holding nothing: waits here while it is suspended. */
export const STOP: u32 = 0x10f;

export declare function privateTrap(operation: u32, a: u32, b: u32, c: u32): u32;
