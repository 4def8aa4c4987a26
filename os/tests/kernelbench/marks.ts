/**
 * Rows of the bench: an operation repeated between two marks of the monitor port, and a line that names it:
 *
 *   bench PHASE ROUNDS NAME              marks PHASE and PHASE + 1 enclose ROUNDS times the operation
 *   bench PHASE ROUNDS less OTHER NAME   the same; what lies between OTHER and OTHER + 1 is taken off first
 *   bench without WHAT                   rows that there cannot be under the boot options
 *
 * `rialto bench kernel` joins these lines with the machine's counts between the marks. Of rows with the same name the one with the
 * fewest instructions counts: a clock tick may fall into any of them.
 */

import { makePrinter, PRINTER_SIZE, print } from "../../lib/rt/print";
import { systemObject } from "../../lib/rt/program";

/** How often what is shorter than a clock tick is measured. */
export const GROUPS: u32 = 5;

let phase: u32 = 0;

/** Before the first row. */
export function beginRows(): void {
  phase = 0;
}

/** Phase that the next `begin` marks. */
export function nextPhase(): u32 {
  return phase;
}

export function begin(): void {
  systemObject().markPhase(phase);
}

/** Ends a row that is called `name`, or, unless that is 0, `name` and `where`. */
export function end(rounds: u32, name: usize, where: usize = 0): void {
  systemObject().markPhase(phase + 1);
  printRow(rounds, 0xffffffff, name, where);
}

/** Ends a row from which the one that began with mark `other` is taken off. */
export function endLess(rounds: u32, other: u32, name: usize): void {
  systemObject().markPhase(phase + 1);
  printRow(rounds, other, name, 0);
}

/** Ends what only serves to be taken off: it gets no row. */
export function endUnnamed(): void {
  systemObject().markPhase(phase + 1);
  phase += 2;
}

export function leaveOut(what: usize): void {
  print(text("bench without "));
  print(what);
  print(text("\n"));
}

function printRow(rounds: u32, other: u32, name: usize, where: usize): void {
  const out = makePrinter(stackAlloc(PRINTER_SIZE));
  out.text(text("bench "));
  out.number(phase);
  out.text(text(" "));
  out.number(rounds);
  if (other !== 0xffffffff) {
    out.text(text(" less "));
    out.number(other);
  }
  out.text(text(" "));
  out.text(name);
  if (where !== 0) out.text(where);
  out.end();
  phase += 2;
}
