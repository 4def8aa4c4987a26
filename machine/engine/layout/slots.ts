/** Words of the processor's state, from STATE on. */

export const EAX = 0;
export const ECX = 1;
export const EDX = 2;
export const EBX = 3;
export const ESP = 4;
export const EBP = 5;
export const ESI = 6;
export const EDI = 7;
/** Always zero: base or index of an address that has none. */
export const ZERO = 8;
// Lazy flags, see flags.ts.
export const FLAG_KIND = 9;
export const FLAG_RESULT = 10;
export const FLAG_LEFT = 11;
export const FLAG_RIGHT = 12;
export const FLAG_CARRY = 13;
/** EFLAGS without the six arithmetic bits (those count only when FLAG_KIND says "stored"). */
export const EFLAGS = 14;
/** Cycles left until the deadline; `now` = deadline - BUDGET. */
export const BUDGET = 15;
/** Instructions retired since the counter was last emptied. */
export const RETIRED = 16;
/** 0 when CPL is 0 to 2, SOFT_TLB_SETS when it is 3: selects the half of the soft TLB. */
export const MODE = 17;
export const CPL = 18;
/** Set by control transfers and faults; stale inside straight-line code. */
export const EIP = 19;
/** Linear page number of the code page in use, or -1; offset in CS of its first byte. */
export const CODE_PAGE = 20;
export const PAGE_EIP = 21;
/** 1 while the next instruction is looked for: a fault then belongs to it, at EIP. */
export const FETCHING = 22;
/** Before the next instruction has run: 1 no interrupt (STI), 2 no interrupt and no debug trap (MOV SS, POP SS). */
export const SHADOW = 23;
// Descriptor caches: index with a segment number (Segment).
export const BASE = 24;
export const SELECTOR = 32;
export const LIMIT = 40;
/** Second word of the descriptor with its base bits cleared; bit 0 set when usable. */
export const ACCESS = 48;
export const CR0 = 56;
export const CR2 = 57;
export const CR3 = 58;
export const CR4 = 59;
export const GDT_BASE = 60;
export const GDT_LIMIT = 61;
export const IDT_BASE = 62;
export const IDT_LIMIT = 63;
/** DR0 to DR7 are 64 to 71. */
export const DR0 = 64;
export const DR6 = 70;
export const DR7 = 71;
/** Debug conditions met by the instruction under way (bits as in DR6). */
export const DEBUG_PENDING = 72;
/** 1 in HLT. */
export const HALTED = 73;
/** 1 after a triple fault. */
export const SHUTDOWN = 74;
/** 1 when CR0.AM, EFLAGS.AC and CPL 3 demand alignment checks. */
export const ALIGNMENT_CHECK = 75;
/** 1 while an exception or hardware interrupt is delivered: the EXT bit of error codes. */
export const EXTERNAL = 76;
/** Pool index of the instruction that faulted. */
export const FAULT_RECORD = 77;
/** 1 while the INTR pin is high. */
export const INTERRUPT_LINE = 78;
/** 1 when some instruction breakpoint of DR7 is enabled. */
export const CODE_BREAKPOINTS = 79;
/** 1 when a repeated string instruction was left between two repetitions and nothing was delivered since. */
export const REPEATING = 80;
/** Counts deliveries of exceptions and interrupts; only changes matter. */
export const DELIVERIES = 81;
/** Set to 1 when repetitions of an unfinished string instruction ran. */
export const PARTIAL = 82;
/**
 * Bit n is set when segment n is flat: base 0, limit FFFFFFFFH, readable and writable (CS: the limit alone). Bit n + 8: the same, with
 * any base.
 */
export const FLAT_SEGMENTS = 83;
/** Record of the instruction that faulted in compiled code, 0 when none did. */
export const COMPILED_FAULT = 84;
/** 1 from a translation that failed until its caller has seen it; `pendingFault` says why. */
export const TRANSLATION_FAILED = 85;
/** Physical address of the code page that was used last; that of CODE_PAGE when there is one. */
export const CODE_FRAME = 86;
/** Vector and error code of the fault that a function of the engine reports; see fault.ts. */
export const FAULT_VECTOR = 87;
export const FAULT_CODE = 88;
/** Address of the map of CODE_PAGE's decoded code; 0 when its code is not cached, -1 when it was not looked up yet. */
export const CODE_MAP = 89;
/** What of a task switch the engine leaves to the slow way, see tasks.ts; 0 but between the two. */
export const TASK_REST = 90;
export const LENGTH = 128;
