/** A program that minds its own business: sums in integers and in floating point that must come out the same for ever. */

import { allocate } from "../../lib/rt/heap";
import { sleep } from "../../lib/rt/wait";

const SIZE: u32 = 0x4000;

/** Does not return unless a sum was wrong. */
export function bystander(): i32 {
  const area = allocate(SIZE);
  let value: u32 = 1;
  for (let at: u32 = 0; at < SIZE; at += 4) {
    value = value * 1664525 + 1013904223;
    store<u32>(area + at, value);
  }
  const integer = integerSum(area);
  const real = realSum(area);
  while (integerSum(area) === integer && realSum(area) === real) sleep(2);
  return 1;
}

function integerSum(area: usize): u32 {
  let sum: u32 = 0;
  for (let at: u32 = 0; at < SIZE; at += 4) sum = ((sum << 5) | (sum >> 27)) ^ load<u32>(area + at);
  return sum;
}

function realSum(area: usize): f64 {
  let sum: f64 = 0;
  for (let at: u32 = 0; at < SIZE; at += 4) sum = sum * 0.5 + <f64>load<u32>(area + at);
  return sum;
}
