/** Bits of the word LISTENERS: for whom slow ways are taken, which tell them what happens. */

/** An observer of the processor. */
export const OBSERVER = 1;
/** Pages whose accesses are watched. */
export const WATCHED_PAGES = 2;
/** The cycle model `detailed`, which wants to know of every access. */
export const ACCESSES = 4;
