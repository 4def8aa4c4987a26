/** Access to the words of the state, and what the whole engine says of time and counts. */

import * as Address from "./layout/addresses";
import * as Slot from "./layout/slots";

export function get(slot: i32): i32 {
  return load<i32>(Address.STATE + (slot << 2));
}

export function set(slot: i32, value: i32): void {
  store<i32>(Address.STATE + (slot << 2), value);
}

export function count(counter: i32): void {
  addTo(counter, 1);
}

export function addTo(counter: i32, change: f64): void {
  const at = counter << 3;
  store<f64>(at, load<f64>(at, Address.COUNTERS) + change, Address.COUNTERS);
}

export function spend(clocks: i32): void {
  set(Slot.BUDGET, get(Slot.BUDGET) - clocks);
}

export function listeners(): i32 {
  return load<i32>(Address.LISTENERS);
}

export function ramBytes(): u32 {
  return load<u32>(Address.RAM_BYTES);
}

/** The run loop is wanted after the instruction under way; see `ProcessorCore.attention`. */
export function attention(): void {
  store<f64>(Address.TIME, load<f64>(Address.TIME) - f64(get(Slot.BUDGET)));
  set(Slot.BUDGET, 0);
}
