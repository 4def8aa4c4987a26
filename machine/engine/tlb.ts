/** One modelled TLB by the addresses of its tags and ages, as `../src/i386/tlb.ts` describes it. */

import { WAYS } from "./layout/tlb-sizes";

/** Bits of an age by way, four each: what a use clears, and sets. */
const CLEARED = 0x5533;
const RAISED = 0x0413;

function touch(ages: i32, set: i32, way: i32): void {
  const at = ages + (set << 2);
  const shift = way << 2;
  store<i32>(at, (load<i32>(at) & ~((CLEARED >>> shift) & 15)) | ((RAISED >>> shift) & 15));
}

/** Index of the entry for `page`, now the youngest of its set; -1 on a miss. */
export function find(tags: i32, ages: i32, sets: i32, page: i32): i32 {
  const set = page & (sets - 1);
  const first = tags + (set << 4);
  let way = 0;
  if (load<i32>(first) !== page) {
    if (load<i32>(first, 4) === page) way = 1;
    else if (load<i32>(first, 8) === page) way = 2;
    else if (load<i32>(first, 12) === page) way = 3;
    else return -1;
  }
  touch(ages, set, way);
  return (set << 2) + way;
}

/** Puts `page` in the place of an empty or the oldest entry of its set; returns the entry's index. */
export function insert(tags: i32, entries: i32, ages: i32, sets: i32, page: i32, entry: i32): i32 {
  const set = page & (sets - 1);
  const first = tags + (set << 4);
  let way = 0;
  while (way < WAYS && load<i32>(first + (way << 2)) !== -1) way++;
  if (way === WAYS) {
    const age = load<i32>(ages + (set << 2));
    way = (age & 1) === 0 ? (age >>> 1) & 1 : 2 + ((age >>> 2) & 1);
  }
  const index = (set << 2) + way;
  store<i32>(tags + (index << 2), page);
  store<i32>(entries + (index << 2), entry);
  touch(ages, set, way);
  return index;
}

export function remove(tags: i32, sets: i32, page: i32): void {
  const first = tags + ((page & (sets - 1)) << 4);
  for (let way = 0; way < WAYS; way++) {
    if (load<i32>(first + (way << 2)) === page) store<i32>(first + (way << 2), -1);
  }
}
