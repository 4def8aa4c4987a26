/** What the engine calls of the host's side: slow paths in JavaScript (`../src/i386/engine.ts` gives them). They may throw `pendingFault`. */

/** RAM was written in a page that holds decoded code. */
export declare function codeWritten(physical: i32, bytes: i32): void;
/** Four bytes outside RAM. */
export declare function readBus(physical: i32): i32;
export declare function writeBus(physical: i32, value: i32): void;
/** A walk read a table entry; called for the listener ACCESSES alone. */
export declare function tableRead(physical: i32): void;
/** For the listener OBSERVER alone. `kind`: 0 code, 1 data, 2 data of a 4 MB page. */
export declare function tlbMissed(kind: i32, linear: i32): void;
/** For the listener WATCHED_PAGES alone. */
export declare function isWatched(page: i32): i32;

// For the interpreter. Arguments and results are pool indices but for `eip`; each finds BUDGET and RETIRED written, may change them, and returns
// where to go on, or a negative number (FAULTED).

/** Runs an instruction by its general handler, its clocks and retirement booked. */
export declare function cold(p: i32): i32;
/** Looks up the instruction at an offset of CS inside its limit. */
export declare function locate(eip: i32): i32;
/** Resolves and remembers the target of a branch inside its page. */
export declare function link(p: i32): i32;
/** A counted entry has no visits left. */
export declare function enter(p: i32): i32;
/** The instruction's access left a page fault in TRANSLATION_FAILED. */
export declare function pageFaulted(p: i32): i32;
