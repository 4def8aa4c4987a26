/** Programs that use stacks. */

import { print } from "../../lib/rt/print";
import { parseNumber, stringEquals } from "../../lib/rt/strings";
import { borders } from "./borders";
import { MOST_SECONDS, settop, settopProgram } from "./settop";

export function main(argc: i32, argv: usize): i32 {
  const number = stackAlloc(4);
  const seconds = stackAlloc(4);
  const name: usize = argc > 1 ? load<usize>(argv, 4) : text("");
  const last: usize = load<usize>(argv + (argc - 1) * 4);
  const timed = parseNumber(last, seconds) && load<u32>(seconds) <= MOST_SECONDS;
  if (argc === 2 && stringEquals(name, text("borders"))) return borders();
  if (argc === 3 && timed && stringEquals(name, text("settop"))) return settop(last);
  if (argc === 4 && timed && stringEquals(name, text("program")) && parseNumber(load<usize>(argv, 8), number))
    return settopProgram(load<u32>(number), load<u32>(seconds));
  print(text("usage: stackload borders|settop SECONDS\n"));
  return 2;
}
