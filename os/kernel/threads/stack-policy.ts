/**
 * What becomes of stacks (§7.3, Figure 7-2), chosen at boot by `stacks=`. From what the paper has to what it compares with:
 *
 *   trimmed    stacks grow by faults, and every ten seconds give back what they do not use; kernel stacks come from a pool
 *   untrimmed  stacks grow, nothing is given back
 *   fixed      kernel stacks have `stackpages=` pages from the start; user stacks grow and are trimmed
 *   dedicated  as fixed, and every thread has a kernel stack of its own, also while it runs in its program
 */

import { STACKS_DEDICATED, STACKS_FIXED, STACKS_TRIMMED, STACKS_UNTRIMMED } from "../../interfaces/ISystem";
import { print, printNumber } from "../console";
import { panic } from "../epitaph";
import { TRAPS_RING0, trapDesign } from "../i386/design";
import { option, optionIs, optionNumber } from "../i386/options";

/** Pages of a fixed stack unless `stackpages=` says otherwise. */
const FIXED_PAGES: u32 = 8;
/** Fewer do not hold the probe's margin and a trap; more do not fit into a slot. */
const FEWEST_PAGES: u32 = 2;
const MOST_PAGES: u32 = 256;

let policy: u32 = 0;
let pages: u32 = 1;

export function stackPolicy(): u32 {
  return policy;
}

/** Pages that a kernel stack has from the start. */
export function firstPages(): u32 {
  return pages;
}

export function stacksGrow(): bool {
  return policy < STACKS_FIXED;
}

export function dedicatedStacks(): bool {
  return policy === STACKS_DEDICATED;
}

/** At boot, after the trap design is known: one without a stack to handle stack faults on needs stacks that make none. */
export function chooseStackPolicy(commandLine: usize): void {
  const committed = trapDesign() === TRAPS_RING0;
  const value = option(commandLine, text("stacks"));
  if (value === 0) policy = committed ? STACKS_FIXED : STACKS_TRIMMED;
  else if (optionIs(value, text("trimmed"))) policy = STACKS_TRIMMED;
  else if (optionIs(value, text("untrimmed"))) policy = STACKS_UNTRIMMED;
  else if (optionIs(value, text("fixed"))) policy = STACKS_FIXED;
  else if (optionIs(value, text("dedicated"))) policy = STACKS_DEDICATED;
  else {
    print(text("no stack policy "));
    print(value);
    panic(text("\nboot with stacks=trimmed, stacks=untrimmed, stacks=fixed or stacks=dedicated"));
  }
  if (committed && stacksGrow())
    panic(text("kernel stacks cannot grow with traps=ring0\nboot with stacks=fixed or stacks=dedicated"));
  const size = option(commandLine, text("stackpages"));
  if (stacksGrow()) {
    if (size !== 0)
      panic(text("stackpages= is for stacks that do not grow\nboot with stacks=fixed or stacks=dedicated"));
    return;
  }
  pages = size === 0 ? FIXED_PAGES : optionNumber(size);
  if (pages >= FEWEST_PAGES && pages <= MOST_PAGES) return;
  print(text("a kernel stack cannot have "));
  printNumber(pages);
  print(text(" pages\nboot with stackpages="));
  printNumber(FEWEST_PAGES);
  print(text(" to "));
  printNumber(MOST_PAGES);
  panic(text(""));
}
