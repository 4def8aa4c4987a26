/** NUL-terminated UTF-8 strings by address. */

export function stringLength(string: usize): u32 {
  let end = string;
  while (load<u8>(end) !== 0) end++;
  return <u32>(end - string);
}

export function stringEquals(a: usize, b: usize): bool {
  let offset: usize = 0;
  while (load<u8>(a + offset) === load<u8>(b + offset)) {
    if (load<u8>(a + offset) === 0) return true;
    offset++;
  }
  return false;
}

/** Copies at most `size` - 1 bytes and a NUL; returns the length of the copy. */
export function stringCopy(to: usize, from: usize, size: u32): u32 {
  let length: u32 = 0;
  while (length + 1 < size && load<u8>(from + length) !== 0) {
    store<u8>(to + length, load<u8>(from + length));
    length++;
  }
  if (size > 0) store<u8>(to + length, 0);
  return length;
}

/** The decimal or 0x-hexadecimal number that the whole string is, stored at `value`; false if it is none. */
export function parseNumber(string: usize, value: usize): bool {
  let at = string;
  let base: u32 = 10;
  if (load<u8>(at) === 48 && load<u8>(at, 1) === 120) {
    base = 16;
    at += 2;
  }
  if (load<u8>(at) === 0) return false;
  let result: u32 = 0;
  for (; load<u8>(at) !== 0; at++) {
    let digit: u32 = load<u8>(at);
    if (digit >= 48 && digit <= 57) digit -= 48;
    else if ((digit | 32) >= 97 && (digit | 32) <= 102) digit = (digit | 32) - 87;
    else return false;
    if (digit >= base || result > (0xffffffff - digit) / base) return false;
    result = result * base + digit;
  }
  store<u32>(value, result);
  return true;
}

/** Edits (insert, delete, replace, swap of neighbours) that turn one short string into the other; strings over 31 bytes count as far. */
export function editDistance(a: usize, b: usize): u32 {
  const rows = stringLength(a);
  const columns = stringLength(b);
  if (rows > 31 || columns > 31) return 0xffff;
  const table = stackAlloc(32 * 32);
  for (let i: u32 = 0; i <= rows; i++) {
    for (let j: u32 = 0; j <= columns; j++) {
      const cell = table + i * 32 + j;
      if (i === 0 || j === 0) {
        store<u8>(cell, <u8>(i + j));
        continue;
      }
      const same = load<u8>(a + i - 1) === load<u8>(b + j - 1);
      let best: u32 = <u32>load<u8>(cell - 33) + (same ? 0 : 1);
      best = min<u32>(best, <u32>load<u8>(cell - 32) + 1);
      best = min<u32>(best, <u32>load<u8>(cell - 1) + 1);
      const swapped =
        i > 1 &&
        j > 1 &&
        load<u8>(a + i - 1) === load<u8>(b + j - 2) &&
        load<u8>(a + i - 2) === load<u8>(b + j - 1);
      if (swapped) best = min<u32>(best, <u32>load<u8>(cell - 66) + 1);
      store<u8>(cell, <u8>best);
    }
  }
  return load<u8>(table + rows * 32 + columns);
}
