/** Programs that use stacks: `stackload borders`. */

import { print } from "../../lib/rt/print";
import { stringEquals } from "../../lib/rt/strings";
import { borders } from "./borders";

export function main(argc: i32, argv: usize): i32 {
  if (argc === 2 && stringEquals(load<usize>(argv, 4), text("borders"))) return borders();
  print(text("usage: stackload borders\n"));
  return 2;
}
