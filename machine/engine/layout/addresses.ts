/**
 * Where tables lie in a processor's linear memory, in bytes; RAM is last, physical address 0 at `RAM`. Room that nobody has touched costs
 * the host nothing.
 */

/** Words of the state, see slots.ts. */
export const STATE = 0;
/** Offsets below these counts are inside the segment and allowed: index = segment × 4 + log2(size). 0 where only the slow path can decide. */
export const READ_LIMITS = 0x400;
export const WRITE_LIMITS = 0x480;

// The soft TLB, see paging.ts: two halves of SOFT_TLB_SETS words, supervisor and user.
export const READ_TAGS = 0x500;
export const WRITE_TAGS = 0x580;
export const ADDENDS = 0x600;
/** Set of the 4 MB TLB that stands behind a soft entry, plus one; 0 for 4 KB pages. */
export const LARGE_OWNERS = 0x680;
/** Page numbers of supervisor, then of user fetches; frames of both. */
export const CODE_TAGS = 0x6c0;
export const CODE_ENTRY_FRAMES = 0x700;
/** The 4 MB page used last in each set of its TLB: only that one may have soft entries. */
export const YOUNGEST_LARGE = 0x720;

/** Doubles: [0] the cycle at which BUDGET reaches zero; [1] the cycle up to which cycles by ring are booked; [2] TSC minus cycle, changed by WRMSR. */
export const TIME = 0x740;

// What the machine is like, words: bytes of RAM; cycles of a TLB miss; who listens (listeners.ts).
export const RAM_BYTES = 0x760;
export const DATA_TLB_MISS = 0x764;
export const CODE_TLB_MISS = 0x768;
export const LISTENERS = 0x76c;

// The modelled TLBs, see tlb.ts: tags and entries by set × WAYS + way, ages by set.
export const DATA_TLB_TAGS = 0x800;
export const DATA_TLB_ENTRIES = 0x900;
export const DATA_TLB_AGES = 0xa00;
export const LARGE_TLB_TAGS = 0xa40;
export const LARGE_TLB_ENTRIES = 0xa60;
export const LARGE_TLB_AGES = 0xa80;
/** A word that changes when a tag or entry of a TLB does; no part of the state. */
export const TLB_VERSION = 0xa90;
export const CODE_TLB_TAGS = 0xb00;
export const CODE_TLB_ENTRIES = 0xb80;
export const CODE_TLB_AGES = 0xc00;
/** Soft tags by kind × DATA_ENTRIES + entry of the data TLB; kinds are read, user read, write, user write. */
export const ENTRY_TAGS = 0x1000;

/** Doubles, see counters.ts. */
export const COUNTERS = 0x2000;
/** Hash table of compiled regions, see jit/runtime.ts. */
export const REGIONS = 0x2_0000;

/** Descriptors and what follows from them, see ../descriptors.ts. */
export const DESCRIPTORS = 0x4_0000;
/** What checks of gates and returns have found, see ../checked-gates.ts. */
export const CHECKED_GATES = 0x4_8000;

// The detailed cycle model, see timing.ts: lines of the caches, words, doubles.
export const CODE_LINES = 0xd_0000;
export const DATA_LINES = 0xd_0400;
export const TIMING = 0xd_0800;
export const TIMING_TIMES = 0xd_0840;

/** Doubles, see regions.ts. */
export const COUNTS = 0xd_0900;
/** Visits for which an entry is left to the interpreter at most, see regions.ts. */
export const LONGEST_PAUSE = 0xd_0940;
/** Records of a region that is measured, see counted-entries.ts. */
export const REACHED = 0xd_0980;
/** Samples of places that code goes to, see counted-entries.ts. */
export const SAMPLES = 0xd_2000;

/** A byte for each page of RAM, 1 when it holds decoded code; and one more. */
export const CODE_FRAMES = 0x10_0000;
/** A word for each page of RAM, and one more: changes when its decoded code is dropped. */
export const CODE_VERSIONS = 0x20_0000;
/** A word for each page of RAM: what is known of its decoded code, see code-cache.ts; 0 when there is none. */
export const CODE_PAGES = 0x40_0000;

// What the decoder knows of opcodes, see decoding.ts.
export const PREFIX_KINDS = 0x60_0000;
export const OPCODES = 0x60_0100;
export const CHOICES = 0x60_1000;
export const FORMS = 0x62_0000;
/** The bytes of an instruction that was fetched byte by byte. */
export const FETCHED = 0x66_0000;

/** What is known of pairs of first bytes, see ../templates.ts; both lie behind the pool. */
export const TEMPLATE_INDEX = 0x300_0000;
export const TEMPLATES = 0x304_0000;

/** A map of a page without cached code; then of each page that has some, and what else is known of it. */
export const EMPTY_MAP = 0x66_1000;
export const MAPS = 0x340_0000;
export const CODE_PAGE_TABLE = 0x310_0000;

/** Records of decoded instructions, see code-cache.ts. */
export const POOL = 0x80_0000;

export const RAM = 0x800_0000;
