/** One modelled TLB by the addresses of its tags and ages, as `../src/i386/tlb.ts` describes it. */

import { TLB_VERSION } from "./layout/addresses";
import { WAYS } from "./layout/tlb-sizes";

/** Bits of an age by way, four each: what a use clears, and sets. */
const CLEARED = 0x5533;
const RAISED = 0x0413;

/** Bits of an age that a use of a way sets or clears. */
export function changedBy(way: i32): i32 {
  return (CLEARED >>> (way << 2)) & 15;
}

/** An age after a use of a way. */
export function aged(age: i32, way: i32): i32 {
  return (age & ~changedBy(way)) | ((RAISED >>> (way << 2)) & 15);
}

function touch(ages: i32, set: i32, way: i32): void {
  const at = ages + (set << 2);
  store<i32>(at, aged(load<i32>(at), way));
}

/** Index of the entry for `page`, without using it; -1 when there is none. */
export function indexOf(tags: i32, sets: i32, page: i32): i32 {
  const first = (page & (sets - 1)) << 2;
  for (let index = first; index < first + WAYS; index++) {
    if (load<i32>(tags + (index << 2)) === page) return index;
  }
  return -1;
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

/** Whoever changes tags or entries without the functions below says so. */
export function changed(): void {
  store<i32>(TLB_VERSION, load<i32>(TLB_VERSION) + 1);
}

/** To be put in its callers' place. */
export class Inlined {
  /** Puts `page` in the place of an empty or the oldest entry of its set; returns the entry's index. */
  @inline
  static insert(tags: i32, entries: i32, ages: i32, sets: i32, page: i32, entry: i32): i32 {
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
    changed();
    touch(ages, set, way);
    return index;
  }
}

export function remove(tags: i32, sets: i32, page: i32): void {
  changed();
  const first = tags + ((page & (sets - 1)) << 4);
  for (let way = 0; way < WAYS; way++) {
    if (load<i32>(first + (way << 2)) === page) store<i32>(first + (way << 2), -1);
  }
}
