/** The pool of decoded instructions, in indices of its words; see ../code-cache.ts. */

export const RECORD_WORDS = 16;
/** Records at the start for code that is never cached, for code that is met for the first time (see ../decoder.ts), and the unused index 0. */
export const SCRATCH_RECORD = 0x10;
export const FIRST_TIME_RECORD = 0x60;
/** First record that is cached; end of those that are. */
export const FIRST_CACHED = 0x200;
export const CACHED_END = 0x80_0000;
/** Behind them: records of counted entries, two for each; see ../counted-entries.ts. */
export const FIRST_ENTRY_RECORD = 0x80_0000;
export const POOL_WORDS = 0xa0_0000;

// Bits of CODE_FRAMES.
export const DECODED = 1;
/** There is compiled code for the page. */
export const COMPILED = 2;

/** Of what is known of a page with decoded code, in bytes: address of its map, a word for each offset in the page. */
export const PAGE_MAP = 20;

// Fields of the second record of a counted entry.
/** The record that became the entry; number of its page. */
export const ORIGINAL = 4;
export const ENTRY_FRAME = 6;
/** Visits in a mode for which there is no code, while there is code for another. */
export const OTHER_VISITS = 7;
/** Visits for which the interpreter goes on in the place of its region, because the last runs were short. */
export const PAUSE = 8;
/** 1 when a region of the entry repeats some of its code. */
export const REPEATS = 9;
/** The entry that fell asleep before it, or 0. */
export const NEXT_SLEEPER = 10;
/** 1 when the entry has waited because its region is small. */
export const POSTPONED = 11;
/** Visits left before somebody is asked. */
export const VISITS = 15;

/** Value of what looks an instruction up when that faulted: `pendingFault` says how, EIP where, FETCHING is 1. */
export const FAULTED = -1;
