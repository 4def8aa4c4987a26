/**
 * One translation look-aside buffer of the Pentium: 4 ways, pseudo-LRU with three bits a set, as the Pentium Processor Family
 * Developer's Manual (volume 3, chapter 11) and volume 1 (on-chip caches) describe them. It decides which accesses miss, and so
 * the counts and the clocks; it also keeps stale translations that the guest forgot to invalidate, as the hardware does.
 *
 * Data: 64 entries for 4 KB pages, 8 for 4 MB. Code: 32 entries; a 4 MB page is kept there in 4 KB pieces.
 *
 * Pseudo-LRU: bit 0 says which pair is older (0: ways 0 and 1), bit 1 which of ways 0 and 1 is, bit 2 which of 2 and 3.
 */

/** By way: bits of a set's age that a use clears, and sets. */
export const cleared = [3, 3, 5, 5];
export const raised = [3, 1, 4, 0];

export class TlbBank {
  readonly sets: number;
  /** Page numbers, -1 for an empty entry; index = set × 4 + way. */
  readonly tags: Int32Array;
  /** Frame address and permission bits, as paging.ts composes them. */
  readonly entries: Int32Array;
  /** By set. */
  readonly ages: Int32Array;

  /** The words are shared with compiled code. */
  constructor(tags: Int32Array, entries: Int32Array, ages: Int32Array) {
    this.sets = ages.length;
    this.tags = tags.fill(-1);
    this.entries = entries;
    this.ages = ages;
  }

  /** Index of the entry for `page`, now the youngest of its set; -1 on a miss. */
  find(page: number): number {
    const set = page & (this.sets - 1);
    const tags = this.tags;
    const first = set << 2;
    for (let way = 0; way < 4; way++) {
      if (tags[first + way] === page) {
        this.touch(set, way);
        return first + way;
      }
    }
    return -1;
  }

  /** Puts `page` in the place of an empty or the oldest entry of its set; returns the entry's index. */
  insert(page: number, entry: number): number {
    const set = page & (this.sets - 1);
    const first = set << 2;
    let way = 0;
    while (way < 4 && this.tags[first + way] !== -1) way++;
    if (way === 4) {
      const age = this.ages[set]!;
      way = (age & 1) === 0 ? (age >> 1) & 1 : 2 + ((age >> 2) & 1);
    }
    this.tags[first + way] = page;
    this.entries[first + way] = entry;
    this.touch(set, way);
    return first + way;
  }

  remove(page: number): void {
    const first = (page & (this.sets - 1)) << 2;
    for (let way = 0; way < 4; way++) if (this.tags[first + way] === page) this.tags[first + way] = -1;
  }

  flush(): void {
    this.tags.fill(-1);
  }

  /** For snapshots and state hashes: everything that future misses depend on. */
  save(): Int32Array {
    return Int32Array.of(...this.tags, ...this.entries, ...this.ages);
  }

  restore(image: Int32Array): void {
    const count = this.sets * 4;
    this.tags.set(image.subarray(0, count));
    this.entries.set(image.subarray(count, 2 * count));
    this.ages.set(image.subarray(2 * count));
  }

  private touch(set: number, way: number): void {
    this.ages[set] = (this.ages[set]! & ~cleared[way]!) | raised[way]!;
  }
}
