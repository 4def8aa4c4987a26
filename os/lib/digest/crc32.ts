/**
 * CRC-32 as zlib computes it, for whoever has to know whether bytes are those that were written. The table is made when the library is
 * initialised; it and the count of bytes are the space's own.
 */

import type { Mutex } from "../rt/wait";

const POLYNOMIAL: u32 = 0xedb88320;
const table: usize = memory.data(1024, 16);
const lock: usize = memory.data(4, 16);
const entries: u32 = fillTable();
let bytesSeen: u32 = 0;

function fillTable(): u32 {
  let index: u32 = 0;
  for (; index < 256; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >> 1) ^ POLYNOMIAL : value >> 1;
    store<u32>(table + index * 4, value);
  }
  return index;
}

/** Entries of the table; 0 before the library is initialised. */
export function digestEntries(): u32 {
  return entries;
}

/** The CRC of `size` bytes that follow others, whose CRC was `before` (0 for none). */
export function crc32(before: u32, bytes: usize, size: u32): u32 {
  let crc = ~before;
  for (let at = bytes; at < bytes + size; at++)
    crc = (crc >> 8) ^ load<u32>(table + ((crc ^ load<u8>(at)) & 0xff) * 4);
  const mutex = changetype<Mutex>(lock);
  mutex.acquire();
  bytesSeen += size;
  mutex.release();
  return ~crc;
}

/** Bytes that this space has had digested since the library was loaded. */
export function digestedBytes(): u32 {
  return bytesSeen;
}
