/** Operands of the decoded instruction at byte offset `q` of the pool. */

import { POOL, STATE } from "./layout/addresses";
import * as Field from "./layout/fields";

const BASE = POOL + (Field.BASE << 2);
const INDEX = POOL + (Field.INDEX << 2);
const SCALE = POOL + (Field.SCALE << 2);
const DISPLACEMENT = POOL + (Field.DISPLACEMENT << 2);

export function effectiveAddress(q: i32): i32 {
  return (
    load<i32>(load<i32>(q, BASE) << 2, STATE) +
    (load<i32>(load<i32>(q, INDEX) << 2, STATE) << load<i32>(q, SCALE)) +
    load<i32>(q, DISPLACEMENT)
  );
}
