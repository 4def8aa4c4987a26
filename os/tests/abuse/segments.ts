/**
 * FS and GS are nobody's: the kernel keeps them for no thread, so after a switch they hold what another left there, unless that is of an inner
 * ring, which the processor clears. This program leaves its own data segment there, and looks what it finds.
 */

import { sleep } from "../../lib/rt/wait";

declare function loadSpareSegments(): void;
declare function areSegmentsSpare(): bool;

const TURNS: u32 = 50;

/** 0 if FS and GS never held what this program may not load. */
export function spareSegments(): i32 {
  for (let turn: u32 = 0; turn < TURNS; turn++) {
    loadSpareSegments();
    sleep(1);
    if (!areSegmentsSpare()) return 1;
  }
  return 0;
}
