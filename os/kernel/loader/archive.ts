/**
 * The boot archive: the module of files that the boot loader brought (toolchain/src/link/archive.ts draws it). It lies in the
 * physical window and stays; images are mapped straight from its frames.
 */

import { print, printNumber } from "../console";
import { spanEquals } from "../objects/texts";

const HEADER_SIZE: u32 = 64;
const ENTRY_SIZE: u32 = 64;
const NAME_SIZE: u32 = 48;
const VERSION: u32 = 1;
const MAGIC_LOW: u32 = 0x4c414952;
const MAGIC_HIGH: u32 = 0x52414f54;
const PAGE_MASK: u32 = 4095;

let start: usize = 0;
let _size: u32 = 0;
let count: u32 = 0;
const crcTable: usize = memory.data(1024, 16);

/** A file of the archive; 64 bytes. */
@unmanaged
export class ArchiveEntry {
  name0: u64 = 0;
  name1: u64 = 0;
  name2: u64 = 0;
  name3: u64 = 0;
  name4: u64 = 0;
  name5: u64 = 0;
  offset: u32 = 0;
  size: u32 = 0;
  crc: u32 = 0;
  unused: u32 = 0;
}

function fillCrcTable(): void {
  for (let index: u32 = 0; index < 256; index++) {
    let value = index;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >> 1) ^ 0xedb88320 : value >> 1;
    store<u32>(crcTable + (index << 2), value);
  }
}

/** CRC-32 as zlib computes it. */
export function crc32(address: usize, length: u32): u32 {
  let crc: u32 = 0xffffffff;
  const end = address + length;
  for (let at = address; at < end; at++) {
    crc = (crc >> 8) ^ load<u32>(crcTable + (((crc ^ load<u8>(at)) & 0xff) << 2));
  }
  return ~crc;
}

function damaged(message: usize): bool {
  print(text("boot archive damaged: "));
  print(message);
  print(text("\n"));
  return false;
}

/** Checks the archive in [from, to) and makes it the one in use. False, with a message, if it is damaged. */
export function openArchive(from: usize, to: usize): bool {
  fillCrcTable();
  const length = <u32>(to - from);
  if (length < HEADER_SIZE) return damaged(text("too short for its header"));
  if (from & PAGE_MASK) return damaged(text("the boot loader did not put it at a page boundary"));
  if (load<u32>(from) !== MAGIC_LOW || load<u32>(from, 4) !== MAGIC_HIGH)
    return damaged(text("it does not start with RIALTOAR"));
  if (load<u32>(from, 8) !== VERSION) return damaged(text("unknown version"));
  const total = load<u32>(from, 16);
  const entries = load<u32>(from, 12);
  if (total > length) return damaged(text("truncated"));
  if (total < HEADER_SIZE || entries > (total - HEADER_SIZE) / ENTRY_SIZE)
    return damaged(text("its entries do not fit in it"));
  const tableSize = entries * ENTRY_SIZE;
  if (crc32(from + HEADER_SIZE, tableSize) !== load<u32>(from, 20)) {
    return damaged(text("the checksum of its table of contents is wrong"));
  }
  start = from;
  _size = total;
  count = entries;
  for (let index: u32 = 0; index < entries; index++) {
    const entry = entryAt(index);
    const outside =
      entry.offset & PAGE_MASK || entry.offset < HEADER_SIZE + tableSize || entry.offset > total;
    if (!outside && entry.size <= total - entry.offset && isName(changetype<usize>(entry))) continue;
    print(text("boot archive damaged: entry "));
    printNumber(index);
    print(text(" is malformed or lies outside of it\n"));
    return false;
  }
  return true;
}

function isName(name: usize): bool {
  for (let i: usize = 0; i < NAME_SIZE; i++) {
    if (load<u8>(name + i) === 0) return i !== 0;
  }
  return false;
}

function entryAt(index: u32): ArchiveEntry {
  return changetype<ArchiveEntry>(start + HEADER_SIZE + index * ENTRY_SIZE);
}

/** The file called `folder` + `name` ("bin/", "hello"), or null. */
export function findFile(folder: usize, name: usize): ArchiveEntry | null {
  let prefix: u32 = 0;
  while (load<u8>(folder + prefix) !== 0) prefix++;
  for (let index: u32 = 0; index < count; index++) {
    const entry = entryAt(index);
    const own = changetype<usize>(entry);
    if (!startsWith(own, folder, prefix)) continue;
    let length: u32 = 0;
    while (load<u8>(name + length) !== 0) length++;
    if (spanEquals(name, length, own + prefix)) return entry;
  }
  return null;
}

function startsWith(text: usize, prefix: usize, length: u32): bool {
  for (let i: usize = 0; i < length; i++) {
    if (load<u8>(text + i) !== load<u8>(prefix + i)) return false;
  }
  return true;
}

/** Window address of a file's contents: a page boundary, zeros up to the next. */
export function fileContents(entry: ArchiveEntry): usize {
  return start + entry.offset;
}

/** Are the contents what the archive's writer put there? */
export function fileIntact(entry: ArchiveEntry): bool {
  return crc32(fileContents(entry), entry.size) === entry.crc;
}
