/**
 * The report of a fault on the console: whose it is, on whose behalf, what happened, and where in the source.
 *
 *   fault: NAME, process ID, thread ID[, called by NAME, process ID]…: WHAT at ADDRESS (IMAGE + OFFSET[, FILE:LINE])
 *
 * "called by" names, from the inside outwards, the programs whose calls the thread was serving.
 */

import { servedFor } from "../calls/records";
import { print, printHexadecimal, printName, printNumber } from "../console";
import { enterCritical, leaveCritical } from "../i386/critical";
import { VECTOR_EXHAUSTED, VECTOR_OVERFLOW, VECTOR_PAGE_FAULT, VECTOR_SCRATCH } from "../i386/layout";
import { imageAt } from "../loader/images";
import { printSource } from "../loader/lines";
import { kernelSpace } from "../memory/space";
import type { Process } from "./process";
import type { ThreadObject } from "./threads";

const FAULT_WRITE: u32 = 2;
/** Most programs in a chain of calls that are named. */
const CHAIN: u32 = 8;

function vectorName(vector: u32): usize {
  switch (vector) {
    case 0:
      return text("divide error");
    case 1:
      return text("debug exception");
    case 3:
      return text("breakpoint");
    case 4:
      return text("overflow");
    case 5:
      return text("bound exceeded");
    case 6:
      return text("invalid instruction");
    case 7:
      return text("no floating-point unit");
    case 10:
      return text("invalid task state");
    case 11:
      return text("segment not present");
    case 12:
      return text("stack fault");
    case 13:
      return text("general protection fault");
    case 16:
      return text("floating-point error");
    case 17:
      return text("alignment check");
    default:
      return text("exception");
  }
}

export function report(object: ThreadObject, culprit: Process): void {
  print(text("fault: "));
  printName(culprit.name);
  print(text(", process "));
  printNumber(culprit.id);
  print(text(", thread "));
  printNumber(object.id);
  printCallers(object, culprit);
  print(text(": "));
  printWhat(object);
  printPlace(object, culprit);
  print(text("\n"));
}

/** The programs are kept while they are named: a caller may leave at any time. */
function printCallers(object: ThreadObject, culprit: Process): void {
  const chain = stackAlloc(CHAIN << 2);
  let count: u32 = 0;
  const flags = enterCritical();
  let last = culprit;
  for (let at: ThreadObject | null = object; at && count < CHAIN; at = servedFor(at)) {
    if (at.process === last) continue;
    last = at.process;
    last.addRef();
    store<usize>(chain + (count++ << 2), changetype<usize>(last));
  }
  leaveCritical(flags);
  for (let index: u32 = 0; index < count; index++) {
    const process = load<Process>(chain + (index << 2));
    print(text(", called by "));
    printName(process.name);
    print(text(", process "));
    printNumber(process.id);
    process.release();
  }
}

function printWhat(object: ThreadObject): void {
  const vector = object.faultVector;
  if (vector === VECTOR_PAGE_FAULT) {
    print(object.faultError & FAULT_WRITE ? text("page fault writing ") : text("page fault reading "));
    printHexadecimal(<u32>object.faultAddress);
  } else if (vector === VECTOR_EXHAUSTED) {
    print(text("out of memory touching "));
    printHexadecimal(<u32>object.faultAddress);
  } else if (vector === VECTOR_OVERFLOW) {
    print(text("stack overflow, growing to "));
    printHexadecimal(<u32>object.faultAddress);
  } else if (vector === VECTOR_SCRATCH) {
    print(text("bad pointer "));
    printHexadecimal(<u32>object.faultAddress);
    print(text(" passed in a call"));
  } else print(vectorName(vector));
}

function printPlace(object: ThreadObject, culprit: Process): void {
  const instruction = object.faultInstruction;
  if (instruction === 0) return;
  print(text(" at "));
  printHexadecimal(<u32>instruction);
  const image = imageAt(culprit.ownSpace ? culprit.space : kernelSpace(), instruction);
  if (!image) return;
  const address = <u32>instruction - image.shift;
  print(text(" ("));
  printName(image.file.name);
  print(text(" + "));
  printHexadecimal(<u32>(instruction - image.start));
  if (image.file.inArchive) printSource(image.file.name, address, text(", "));
  print(text(")"));
}
