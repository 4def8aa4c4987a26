/** Sets of the Pentium's TLBs, and of the soft TLB that stands before them. */

/** Sets of the 4 KB data TLB; the soft TLB holds the most recently used page of each, twice (by privilege). */
export const SOFT_TLB_SETS = 16;
/** Sets of the code TLB. */
export const SOFT_CODE_SETS = 8;
/** Sets of the TLB of 4 MB pages. */
export const LARGE_SETS = 2;
export const WAYS = 4;
/** Entries of the data TLB. */
export const DATA_ENTRIES = 64;
