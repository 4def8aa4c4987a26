/**
 * The tags of one of the Pentium's caches: 8 KB, two ways, 32-byte lines, least recently used way replaced. Contents are never
 * kept: RAM has them. Source: Pentium Processor Family Developer's Manual, volume 1, chapter 3 (on-chip caches).
 */

export const LINE_SHIFT = 5;
const SETS = 128;
const DIRTY = 1;
const INVALID = -2;

export type Lookup = "hit" | "filled" | "replaced dirty";

export class CacheTags {
  /** Line number × 2 + dirty, or `INVALID`: two ways a set, the one used last first. */
  private readonly lines = new Int32Array(2 * SETS).fill(INVALID);

  /** A read by line number (physical address >> 5): a miss fills the line. */
  read(line: number): Lookup {
    if (this.use(line, 0)) return "hit";
    const { lines } = this;
    const set = (line & (SETS - 1)) * 2;
    const victim = lines[set + 1]!;
    lines[set + 1] = lines[set]!;
    lines[set] = line << 1;
    return victim !== INVALID && (victim & DIRTY) !== 0 ? "replaced dirty" : "filled";
  }

  /** A write: true when it hits, and then makes the line dirty. A miss changes nothing: the Pentium does not fill on writes. */
  write(line: number): boolean {
    return this.use(line, DIRTY);
  }

  /** INVD, WBINVD. */
  invalidate(): void {
    this.lines.fill(INVALID);
  }

  /** An image for snapshots, of `imageLength` words; `restore` takes any words. */
  save(): Int32Array {
    return this.lines.slice();
  }

  restore(image: ArrayLike<number>): void {
    this.lines.set(image);
  }

  static readonly imageLength = 2 * SETS;

  /** Makes the line the one used last of its set; false when it is not there. */
  private use(line: number, dirty: number): boolean {
    const { lines } = this;
    const set = (line & (SETS - 1)) * 2;
    const first = lines[set]!;
    if (first >> 1 === line) {
      lines[set] = first | dirty;
      return true;
    }
    const second = lines[set + 1]!;
    if (second >> 1 !== line) return false;
    lines[set + 1] = first;
    lines[set] = second | dirty;
    return true;
  }
}
