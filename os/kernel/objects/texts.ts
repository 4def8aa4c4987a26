/** NUL-terminated strings of the kernel. A string of a process can change under its reader: copy it, then use the copy. */

import { allocate } from "../memory/heap";

/** Bytes before the NUL, at most `limit`. */
export function textLength(address: usize, limit: u32): u32 {
  let length: u32 = 0;
  while (length < limit && load<u8>(address + length) !== 0) length++;
  return length;
}

/** May it name a program, library or object? Then it has 1 to `limit` bytes, none of them a control character: names are printed. */
export function isName(address: usize, limit: u32): bool {
  const length = textLength(address, limit + 1);
  for (let i: u32 = 0; i < length; i++) {
    const byte: u32 = load<u8>(address + i);
    if (byte < 32 || byte === 127) return false;
  }
  return length !== 0 && length <= limit;
}

export function textEquals(a: usize, b: usize): bool {
  let i: usize = 0;
  while (load<u8>(a + i) === load<u8>(b + i)) {
    if (load<u8>(a + i) === 0) return true;
    i++;
  }
  return false;
}

/** Do the `length` bytes at `a` spell the string `b`? */
export function spanEquals(a: usize, length: u32, b: usize): bool {
  for (let i: usize = 0; i < length; i++) {
    if (load<u8>(b + i) === 0 || load<u8>(a + i) !== load<u8>(b + i)) return false;
  }
  return load<u8>(b + length) === 0;
}

/** A copy on the heap of up to `limit` bytes, or 0 when memory is exhausted. */
export function copyText(address: usize, limit: u32): usize {
  const length = textLength(address, limit);
  const copy = allocate(length + 1);
  if (copy === 0) return 0;
  memory.copy(copy, address, length);
  store<u8>(copy + length, 0);
  return copy;
}

/** Copies into a field of `size` bytes: cut to fit, NUL-terminated, the rest zero. False when it was cut. */
export function storeText(field: usize, size: u32, source: usize): bool {
  if (size === 0) return false;
  const length = textLength(source, size - 1);
  memory.copy(field, source, length);
  memory.fill(field + length, 0, size - length);
  return load<u8>(source + length) === 0;
}

/** Decimal digits of `value` and a NUL, in a field of at least 11 bytes. */
export function storeNumber(field: usize, value: u32): void {
  let digits: u32 = 1;
  for (let rest = value / 10; rest !== 0; rest /= 10) digits++;
  store<u8>(field + digits, 0);
  do {
    digits--;
    store<u8>(field + digits, <u8>(48 + (value % 10)));
    value /= 10;
  } while (digits !== 0);
}

/** The decimal number at the start of a text. */
export function textNumber(address: usize): u32 {
  let number: u32 = 0;
  for (let at = address; load<u8>(at) >= 48 && load<u8>(at) <= 57; at++)
    number = number * 10 + load<u8>(at) - 48;
  return number;
}
