/**
 * The processor's bus to memory, as far as it costs time. The machine is the paper's set-top box (§7): a 75 MHz Pentium without
 * second-level cache, so the bus runs at 50 MHz: one bus clock is 3/2 processor clocks.
 *
 * A line fill is a burst read of four quadwords. Memory timing is that of EDO memory of the time, 7-2-2-2 bus clocks (page hits): an
 * assumption, since the paper does not name the memory. The processor goes on when the first quadword, the one it wants, has
 * come (volume 1, chapter 3). A write-back is a burst write of 3-2-2-2, a single write takes 3 bus clocks; both wait in buffers (two for
 * single writes, one a pipe) while the processor goes on, until the buffers are full.
 */

/** Processor clocks for two bus clocks. */
const CLOCKS_OF_TWO = 3;
const clocks = (busClocks: number): number => Math.ceil((busClocks * CLOCKS_OF_TWO) / 2);

export const busCosts = {
  /** Until the first quadword of a line, or an uncached word, is there. */
  firstQuadword: clocks(7),
  lineFill: clocks(7 + 2 + 2 + 2),
  writeBack: clocks(3 + 2 + 2 + 2),
  singleWrite: clocks(3),
  writeBuffers: 2,
} as const;

export class MemoryBus {
  /** Cycle from which the bus is free. */
  private freeAt = 0;

  /** Clocks for which the processor stands still, at cycle `now`, for a line that it reads. */
  fill(now: number, writesBack: boolean): number {
    return this.read(now, busCosts.lineFill + (writesBack ? busCosts.writeBack : 0));
  }

  readUncached(now: number): number {
    return this.read(now, busCosts.firstQuadword);
  }

  /** Clocks for which the processor stands still for a write that goes to memory: 0 while a buffer is free. */
  write(now: number): number {
    this.freeAt = Math.max(now, this.freeAt) + busCosts.singleWrite;
    const stall = Math.max(0, this.freeAt - now - busCosts.writeBuffers * busCosts.singleWrite);
    return stall;
  }

  /** For snapshots. */
  get busyUntil(): number {
    return this.freeAt;
  }

  set busyUntil(cycle: number) {
    this.freeAt = cycle;
  }

  private read(now: number, occupied: number): number {
    const start = Math.max(now, this.freeAt);
    this.freeAt = start + occupied;
    return start - now + busCosts.firstQuadword;
  }
}
