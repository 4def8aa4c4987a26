/** The table of compiled regions by physical address and key, see src/i386/jit/runtime.ts, and counts of its use. */

export const REGION_ENTRIES = 8192;
export const REGION_WORDS = 4;
/** Of byte offsets in the table. */
export const INDEX_MASK = 0x1_fff0;

// Doubles, from COUNTS on.
/** Times compiled code was entered, and instructions that it retired. */
export const RUNS = 0;
export const INSTRUCTIONS = 1;
/** Times an entry fell asleep, see ../counted-entries.ts. */
export const SLEEPS = 2;
