/**
 * Path lengths of the kernel: rows (marks.ts) of calls, threads, interrupts, pages, programs. The first rows are empty: what a pair of marks
 * costs itself. "scale" has the rows of scale.ts instead. The other words that the program takes make it a part of a row: "nothing" only ends, as the program that is made and
 * ended; "sleeps" is one of many; "yields" and "bad PAGES" are the other side of a switch and of a bad call.
 */

import { S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { print } from "../../lib/rt/print";
import { serve } from "../../lib/rt/program";
import { describeResult } from "../../lib/rt/results";
import { parseNumber, stringEquals } from "../../lib/rt/strings";
import { callRows } from "./calls";
import { interruptRows } from "./interrupts";
import { begin, beginRows, end, GROUPS } from "./marks";
import { callBadly, pageRows } from "./pages";
import { programRows } from "./programs";
import { scaleRows } from "./scale";
import { threadRows, yieldForEver } from "./threads";

export function main(argc: i32, argv: usize): i32 {
  const word = stackAlloc(4);
  if (argc === 2 && stringEquals(load<usize>(argv, 4), text("nothing"))) return 0;
  if (argc === 2 && stringEquals(load<usize>(argv, 4), text("yields"))) yieldForEver();
  if (
    argc === 3 &&
    stringEquals(load<usize>(argv, 4), text("bad")) &&
    parseNumber(load<usize>(argv, 8), word)
  ) {
    return callBadly(load<u32>(word));
  }
  const scales = argc === 2 && stringEquals(load<usize>(argv, 4), text("scale"));
  if (argc === 2 && stringEquals(load<usize>(argv, 4), text("sleeps"))) {
    serve();
    return 0;
  }
  if (argc !== 1 && !scales) {
    print(text("usage: kernelbench [scale|nothing|sleeps|yields|bad PAGES]\n"));
    return 2;
  }
  beginRows();
  for (let group: u32 = 0; group < GROUPS; group++) {
    begin();
    end(1, text("a pair of marks"));
  }
  const result = scales ? scaleRows() : allRows();
  if (result === S_OK) return 0;
  print(text("kernelbench: "));
  print(describeResult(result));
  print(text("\n"));
  return 1;
}

function allRows(): HRESULT {
  let result = callRows();
  if (result === S_OK) result = threadRows();
  if (result === S_OK) interruptRows();
  if (result === S_OK) result = pageRows();
  return result === S_OK ? programRows() : result;
}
