/**
 * One translation look-aside buffer of the Pentium: 4 ways, pseudo-LRU with three bits a set, as the Pentium Processor Family
 * Developer's Manual (volume 3, chapter 11) and volume 1 (on-chip caches) describe them. It decides which accesses miss, and so
 * the counts and the clocks; it also keeps stale translations that the guest forgot to invalidate, as the hardware does.
 *
 * Data: 64 entries for 4 KB pages, 8 for 4 MB. Code: 32 entries; a 4 MB page is kept there in 4 KB pieces.
 *
 * Pseudo-LRU: bit 0 says which pair is older (0: ways 0 and 1), bit 1 which of ways 0 and 1 is, bit 2 which of 2 and 3.
 */

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
}
