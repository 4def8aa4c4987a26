/**
 * What a device interrupt costs whoever is interrupted: time stamps are read over and over, and where two of them lie apart, an
 * interrupt came in between. The clock's are the only ones.
 *
 *   bench cycles CYCLES NAME             the mean of them
 */

import { makePrinter, PRINTER_SIZE } from "../../lib/rt/print";

const INTERRUPTS: u32 = 64;
/** A gap this many times as long as the shortest is an interrupt. */
const LONG: u32 = 4;

export function interruptRows(): void {
  let least: u32 = 0xffffffff;
  let sum: u32 = 0;
  let last = <u32>timeStamp();
  for (let round: u32 = 0; round < 1000; round++) {
    const now = <u32>timeStamp();
    if (now - last < least) least = now - last;
    last = now;
  }
  for (let count: u32 = 0; count < INTERRUPTS; ) {
    const now = <u32>timeStamp();
    const gap = now - last;
    last = now;
    if (gap <= least * LONG) continue;
    sum += gap - least;
    count++;
  }
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("bench cycles "));
  out.number(sum / INTERRUPTS);
  out.text(text(" device interrupt (clock), what it takes from whoever runs"));
  out.end();
}
