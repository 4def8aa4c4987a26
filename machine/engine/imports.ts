/** What the engine calls of the host's side: slow paths in JavaScript (`../src/i386/engine.ts` gives them). They may throw `pendingFault`. */

/** Four bytes outside RAM, and one. */
export declare function readBus(physical: i32): i32;
export declare function readBusByte(physical: i32): i32;
export declare function writeBus(physical: i32, value: i32): void;
/** For the listener OBSERVER alone. `kind`: 0 code, 1 data, 2 data of a 4 MB page. */
export declare function tlbMissed(kind: i32, linear: i32): void;
/** For the listener WATCHED_PAGES alone. */
export declare function isWatched(page: i32): i32;
/** All decoded instructions are dropped: whether records may stand in front of instructions from now on. */
export declare function allDropped(): i32;
/** Decoded bytes of a page that has compiled code were written. */
export declare function codeChanged(frame: i32, first: i32, last: i32): void;
/** Put records in front of the instruction at `offset` of the page in use, which go to `p`; they return the next free place. */
export declare function placeBreakpoint(p: i32, offset: i32): i32;
export declare function placeProbe(p: i32, offset: i32): i32;
/** Fills the record in front of the instruction at `p`, which row of the instruction table it is, for detailed timing. */
export declare function prepareTiming(row: i32, p: i32, physical: i32): void;
/** A fault becomes `pendingFault`. */
export declare function prepareFault(vector: i32, code: i32): void;

// For the interpreter. Arguments and results are pool indices; each finds BUDGET and RETIRED written, may change them, and returns where to go
// on, or a negative number (FAULTED).

/** Runs an instruction by its general handler, its clocks and retirement booked. */
export declare function cold(p: i32): i32;
/** A counted entry has no visits left, and no region of it is known: where to go on, or 0 when one is known now. */
export declare function visitEntry(p: i32): i32;
/** A region has ended with this result, which is not `plain` or a branch. */
export declare function leftRegion(code: i32): i32;
/** The instruction's access left a page fault in TRANSLATION_FAILED. */
export declare function pageFaulted(p: i32): i32;

// For compiled code: `selector` is segment × 4 + log2(size). Faults are left in COMPILED_FAULT.

/** Runs what has no case, from a record on, until code goes on that regions or the interpreter's loop run: a result of a region. */
export declare function goOn(p: i32): i32;
export declare function slowRead(selector: i32, offset: i32): i32;
export declare function slowModify(selector: i32, offset: i32): i32;
export declare function slowWrite(selector: i32, offset: i32, value: i32): void;
