/** Access to the words of the state. */

import * as Address from "./layout/addresses";

export function get(slot: i32): i32 {
  return load<i32>(Address.STATE + (slot << 2));
}

export function set(slot: i32, value: i32): void {
  store<i32>(Address.STATE + (slot << 2), value);
}
