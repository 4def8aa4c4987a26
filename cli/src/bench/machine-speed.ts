/**
 * Speed of the machine itself: guest instructions in a second of the host's time, on an assembled loop and on compiled programs. Runs
 * are interleaved, and each figure is the median of several.
 */
import { createIntegerLoop } from "@rialto/machine/bench/integer-loop.ts";
import { median } from "./reports.ts";

export interface SpeedRow {
  readonly program: string;
  readonly instructions: number;
  /** Million instructions a second: median, least, most. */
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

const WARM_CYCLES = 20e6;
const CYCLES = 60e6;
export const SPEED_RUNS = 5;

export function measureIntegerLoop(): SpeedRow {
  const loop = createIntegerLoop();
  loop.run(WARM_CYCLES);
  const speeds: number[] = [];
  let instructions = 0;
  for (let run = 0; run < SPEED_RUNS; run++) {
    const start = performance.now();
    const done = loop.run(CYCLES);
    speeds.push(done / (performance.now() - start) / 1000);
    instructions += done;
  }
  return {
    program: "CRC-32 in assembly",
    instructions,
    median: median(speeds),
    least: Math.min(...speeds),
    most: Math.max(...speeds),
  };
}
