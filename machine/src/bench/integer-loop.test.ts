/** The benchmark must compute what it claims to compute. */

import { expect, it } from "vitest";
import { createIntegerLoop } from "./integer-loop.ts";

it("computes the CRC-32 of its buffer", () => {
  let crc = 0xffff_ffff;
  for (let i = 0; i < 4096; i++) {
    crc ^= ((i * 73) >> 2) & 0xff;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) !== 0 ? (crc >>> 1) ^ 0xedb8_8320 : crc >>> 1;
  }
  const loop = createIntegerLoop();
  // One pass takes about 350,000 cycles.
  expect(loop.run(600_000)).toBeGreaterThan(300_000);
  expect(loop.result()).toBe(~crc >>> 0);
});
