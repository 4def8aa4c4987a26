/**
 * Decoded instructions. One pool of fixed records (`Field`) holds them in the order of the code, so that the next instruction of a
 * straight line is the next record; each physical page with decoded code has a map from byte offset to record.
 *
 * A page whose decoded bytes are written loses its map; its records stay unreachable in the pool until the pool is full and all is
 * dropped at once. Links between records never leave a page, so that nothing points at dropped ones.
 */

import type { ProcessorCore } from "./core.ts";
import { Address, Field, Slot } from "./layout.ts";

const RECORDS = 1 << 19;
/** Behind them: records of the compiler of hot code, two for each counted entry. They never count as taken. */
const ENTRY_RECORDS = 1 << 17;
export const FIRST_ENTRY_RECORD = RECORDS * Field.WORDS;
/** Records kept free at the end, so that one run of decoding never meets the end of the pool. */
const RESERVE = 256;
/** Records at the start for code that is never cached (see decoder.ts), and the unused index 0. */
export const SCRATCH_RECORD = Field.WORDS;
/** Pool index of the first record that is cached. */
export const FIRST_CACHED = 6 * Field.WORDS;
/** Granularity in which a page remembers which of its bytes were decoded. */
const CHUNK_SHIFT = 5;
const CHUNKS = 4096 >> CHUNK_SHIFT;

export interface CodeCache {
  readonly pool: Int32Array;
  /** 1 for a physical page with decoded code. */
  readonly codeFrames: Uint8Array;
  /** Map of the page, made when missing: offset → pool index, 0 when not decoded. */
  mapOf(frameNumber: number): Int32Array;
  /** Pool index for the next record, and its setter after records were added. */
  top(): number;
  setTop(index: number): void;
  isFull(): boolean;
  /** Marks decoded bytes. */
  cover(frameNumber: number, offset: number, bytes: number): void;
  /** RAM was written: drops what was decoded from these bytes. */
  written(address: number, bytes: number): void;
  dropAll(): void;
  /** By frame number: changes when the page's decoded code is dropped. */
  readonly versions: Int32Array;
  /** Changes when all records were dropped: links must not be written across a change. */
  generation(): number;
  /** Called when all records were dropped. */
  onAllDropped: () => void;
  /** Called when a page loses its decoded code. */
  onFrameDropped: (frameNumber: number) => void;
  /** Called when a page gets its first decoded code or loses it: fast write paths to it must go. */
  onPagesChanged: () => void;
}

export function createCodeCache(core: ProcessorCore): CodeCache {
  const frameCount = core.ramSize >>> 12;
  const pool = core.words(Address.POOL, (RECORDS + ENTRY_RECORDS) * Field.WORDS);
  const maps: (Int32Array | null)[] = new Array(frameCount).fill(null);
  const freeMaps: Int32Array[] = [];
  const freeCoverage: Uint8Array[] = [];
  const codeFrames = core.bytes(Address.CODE_FRAMES, frameCount + 1);
  const versions = core.words(Address.CODE_VERSIONS, frameCount + 1);
  const coverage: (Uint8Array | null)[] = new Array(frameCount).fill(null);
  let top = FIRST_CACHED;
  let generation = 0;

  function dropFrame(frameNumber: number): void {
    const map = maps[frameNumber];
    if (map) {
      map.fill(0);
      freeMaps.push(map);
    }
    const chunks = coverage[frameNumber];
    if (chunks) {
      chunks.fill(0);
      freeCoverage.push(chunks);
    }
    maps[frameNumber] = null;
    coverage[frameNumber] = null;
    codeFrames[frameNumber] = 0;
    versions[frameNumber] = versions[frameNumber]! + 1;
    generation++;
    cache.onFrameDropped(frameNumber);
    // The page may be the one that runs: look its code up again after this instruction.
    core.s[Slot.CODE_PAGE] = -1;
    core.attention();
    cache.onPagesChanged();
  }

  const cache: CodeCache = {
    pool,
    codeFrames,
    versions,
    onAllDropped: () => {},
    onFrameDropped: () => {},
    onPagesChanged: () => {},
    mapOf(frameNumber) {
      let map = maps[frameNumber] ?? null;
      if (map === null) {
        map = freeMaps.pop() ?? new Int32Array(4096);
        maps[frameNumber] = map;
        coverage[frameNumber] = freeCoverage.pop() ?? new Uint8Array(CHUNKS);
        codeFrames[frameNumber] = 1;
        cache.onPagesChanged();
      }
      return map;
    },
    top: () => top,
    setTop(index) {
      top = index;
    },
    isFull: () => top > (RECORDS - RESERVE) * Field.WORDS,
    cover(frameNumber, offset, bytes) {
      const chunks = coverage[frameNumber]!;
      const last = Math.min(offset + bytes - 1, 4095) >> CHUNK_SHIFT;
      for (let chunk = offset >> CHUNK_SHIFT; chunk <= last; chunk++) chunks[chunk] = 1;
    },
    written(address, bytes) {
      const frameNumber = address >>> 12;
      const chunks = coverage[frameNumber];
      if (!chunks) return;
      const last = Math.min((address & 0xfff) + bytes - 1, 4095) >> CHUNK_SHIFT;
      for (let chunk = (address & 0xfff) >> CHUNK_SHIFT; chunk <= last; chunk++) {
        if (chunks[chunk] !== 0) {
          dropFrame(frameNumber);
          return;
        }
      }
    },
    dropAll() {
      for (let frame = 0; frame < frameCount; frame++) {
        const map = maps[frame];
        if (map) {
          map.fill(0);
          freeMaps.push(map);
        }
        maps[frame] = null;
        coverage[frame] = null;
      }
      codeFrames.fill(0);
      top = FIRST_CACHED;
      generation++;
      core.s[Slot.CODE_PAGE] = -1;
      cache.onAllDropped();
      cache.onPagesChanged();
    },
    generation: () => generation,
  };
  return cache;
}
