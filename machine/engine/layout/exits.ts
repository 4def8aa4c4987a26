/** Why compiled code returned; in the low four bits of its result, beside a record of the code cache or a number. */

/** The run loop is wanted, or the interpreter must run the instruction at this record. */
export const plain = 0;
/** The instruction at this record is not compiled. */
export const unsupported = 1;
/** A branch to this record, whose code is not compiled. */
export const branch = 2;
/** The instruction at this record faulted. */
export const fault = 3;
/** The branch at this record leads outside CS; the division at this record has no result. */
export const outside = 4;
export const noQuotient = 7;
/** Only where the host has no tail calls: go on at this place of the table. */
export const chain = 5;
/** At a place in the middle of a region, by its number: see `Site` in src/i386/jit/exit.ts. */
export const site = 6;
/** Of a site alone: the region was made for other bases of segments. */
export const otherBases = 8;
