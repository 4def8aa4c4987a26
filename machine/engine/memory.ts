/**
 * The fast path of memory accesses: an offset below the segment's count for this size, and a page that the soft TLB holds (paging.ts); the
 * tags' lowest bits see to alignment. It changes nothing in the modelled TLB. What it does not allow is decided elsewhere.
 */

import { ADDENDS, READ_LIMITS, READ_TAGS, STATE, WRITE_LIMITS, WRITE_TAGS } from "./layout/addresses";
import * as Slot from "./layout/slots";
import { SOFT_TLB_SETS } from "./layout/tlb-sizes";

/** No address of RAM. */
export const MISS: i32 = -1;

const BASE = STATE + (Slot.BASE << 2);
const MODE = STATE + (Slot.MODE << 2);
const SETS: i32 = (SOFT_TLB_SETS - 1) << 2;

/** Physical address of `size` bytes that may be read, or MISS. */
export function readable(segment: i32, offset: i32, size: i32): i32 {
  const linear = load<i32>(segment << 2, BASE) + offset;
  const soft = ((linear >>> 10) & SETS) | (load<i32>(MODE) << 2);
  if ((offset as u32) >= load<u32>((segment << 4) | ((size >> 1) << 2), READ_LIMITS)) return MISS;
  if (load<i32>(soft, READ_TAGS) !== (linear & (-4096 | (size - 1)))) return MISS;
  return linear + load<i32>(soft, ADDENDS);
}

/** Physical address of `size` bytes that may be written, or MISS. */
export function writable(segment: i32, offset: i32, size: i32): i32 {
  const linear = load<i32>(segment << 2, BASE) + offset;
  const soft = ((linear >>> 10) & SETS) | (load<i32>(MODE) << 2);
  if ((offset as u32) >= load<u32>((segment << 4) | ((size >> 1) << 2), WRITE_LIMITS)) return MISS;
  if (load<i32>(soft, WRITE_TAGS) !== (linear & (-4096 | (size - 1)))) return MISS;
  return linear + load<i32>(soft, ADDENDS);
}
