/** The detailed cycle model: where its state lies, and what it costs; see timing.ts. */

/**
 * Tags of one of the Pentium's caches: 8 KB, two ways, 32-byte lines, least recently used way replaced (Pentium Processor Family Developer's
 * Manual, volume 1, chapter 3). A word is the line's number (physical address >> 5) × 2, + 1 when it is dirty, or INVALID_LINE; two a set, the
 * one used last first. Contents are never kept: RAM has them.
 */
export const LINE_SHIFT = 5;
export const CACHE_SETS = 128;
export const DIRTY = 1;
export const INVALID_LINE = -2;

/** Words of the record in front of an instruction, whose LINK leads to it: what pairing knows of it (see pairing.ts), and its clocks by the table. */
export const ISSUE = 11;
export const ALONE = 15;

// An issue word: registers read (bits 0 to 7) and written (8 to 15) as sets, bit n being register n of the machine's numbering; clocks (24 and
// up); and these bits.
export const REGISTER_SET = 0xff;
export const WRITES_SHIFT = 8;
/** Uses and changes the stack pointer as PUSH does. */
export const STACK = 0x1_0000;
export const DISPLACEMENT_AND_IMMEDIATE = 0x2_0000;
export const PREFIXED = 0x4_0000;
/** May be the first, the second of a pair. */
export const U = 0x8_0000;
export const V = 0x10_0000;
export const CLOCKS_SHIFT = 24;

/*
 * The bus to memory, in clocks of the processor. The machine is the paper's set-top box (§7): a 75 MHz Pentium without second-level cache, so
 * the bus runs at 50 MHz: a bus clock is 3/2 processor clocks; halves are rounded up.
 *
 * A line fill is a burst read of four quadwords. Memory timing is that of EDO memory of the time, 7-2-2-2 bus clocks (page hits): an
 * assumption, since the paper does not name the memory. The processor goes on when the first quadword, the one it wants, has come (volume 1,
 * chapter 3). A write-back is a burst write of 3-2-2-2, a single write takes 3 bus clocks; both wait in buffers (two for single writes, one a
 * pipe) while the processor goes on, until the buffers are full.
 */
/** Until the first quadword of a line, or an uncached word, is there: 7 bus clocks. */
export const FIRST_QUADWORD = 11;
/** 7-2-2-2. */
export const LINE_FILL = 20;
/** 3-2-2-2. */
export const WRITE_BACK = 14;
/** 3. */
export const SINGLE_WRITE = 5;
export const WRITE_BUFFERS = 2;

// Words of the state, from TIMING on.
/**
 * Physical address behind the instruction accounted last when it is in the U pipe and may get a partner, which must stand there; else -1. Its
 * issue word, which means nothing when there is no such place.
 */
export const NEXT = 0;
export const WAITING = 1;
/** Physical address of the instruction in front of which time ran out, or -1; clocks that were decided for it. */
export const STOPPED_AT = 2;
export const STOPPED_CLOCKS = 3;
export const WORDS = 4;

// Doubles, from TIMING_TIMES on.
/** Cycle from which the bus is free. */
export const BUS_FREE = 0;
export const CODE_CACHE_MISSES = 1;
export const DATA_READ_MISSES = 2;
export const DATA_WRITE_MISSES = 3;
export const WRITE_BACKS = 4;
/** Instructions that went into the V pipe. */
export const PAIRS = 5;
/** Cycles in which the processor waited for memory. */
export const STALLS = 6;
