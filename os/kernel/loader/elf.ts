/**
 * ELF32 images for the i386, as toolchain/src/link/image.ts writes them, read without trusting a byte: an image may come from a
 * program's memory. After `parseImage` every offset, count and string that this file uses lies inside the image.
 *
 *   one PT_LOAD R+X (headers, dynamic part, code), at most one R+W behind it; file offsets and addresses at page boundaries
 *   PT_DYNAMIC: DT_NEEDED, DT_SONAME, DT_INIT, DT_HASH, DT_SYMTAB, DT_STRTAB, DT_STRSZ, DT_REL, DT_RELSZ, and the versions of the
 *               symbols (toolchain/src/front/signatures.ts), a word each
 */

import { E_BADIMAGE, S_OK } from "../../interfaces/results";
import type { HRESULT } from "../../interfaces/types";
import { SHARED_END, SHARED_START } from "../i386/layout";
import { spanEquals, textEquals } from "../objects/texts";

const HEADER_SIZE: u32 = 52;
const PROGRAM_HEADER_SIZE: u32 = 32;
const PROGRAM_HEADERS: u32 = 8;
const ELF_MAGIC: u32 = 0x464c457f;
/** 32 bits, little-endian, version 1. */
const ELF_IDENTITY: u32 = 0x010101;
const ET_DYN: u32 = 3;
const EM_386: u32 = 3;
const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PF_X: u32 = 1;
const PF_W: u32 = 2;
const DT_NEEDED: u32 = 1;
const DT_HASH: u32 = 4;
const DT_STRTAB: u32 = 5;
const DT_SYMTAB: u32 = 6;
const DT_STRSZ: u32 = 10;
const DT_INIT: u32 = 12;
const DT_REL: u32 = 17;
const DT_RELSZ: u32 = 18;
const DT_RIALTO_VERSIONS: u32 = 0x60000010;
const SYMBOL_SIZE: u32 = 16;
const RELOCATION_SIZE: u32 = 8;
const PAGE_MASK: u32 = 4095;
/** Bounds of what an image may be: keeps sums of sizes far from wrapping. */
export const SIZE_LIMIT: u32 = 0x4000000;
const TABLE_LIMIT: u32 = 0x100000;
/** Most entries of PT_DYNAMIC: needed libraries are looked up one by one. */
const DYNAMIC_LIMIT: u32 = 128;

export const RELOCATION_GLOB_DAT: u32 = 6;
export const RELOCATION_RELATIVE: u32 = 8;

/** One image file. Addresses are those of the preferred base; offsets are from `bytes`. */
@unmanaged
export class ImageFile {
  /** Kernel address of the file, and its size. */
  bytes: usize = 0;
  size: u32 = 0;
  /** On the heap. */
  name: usize = 0;
  /** In the boot archive: its frames can be mapped. Otherwise `bytes` is a copy on the heap. */
  inArchive: u32 = 0;
  /** Images loaded from it. Files of the archive stay known without any. */
  uses: u32 = 0;
  next: ImageFile | null = null;

  codeStart: u32 = 0;
  codeSize: u32 = 0;
  codeOffset: u32 = 0;
  codeFileSize: u32 = 0;
  dataStart: u32 = 0;
  dataSize: u32 = 0;
  dataOffset: u32 = 0;
  dataFileSize: u32 = 0;
  /** The same, up to the end of the page when the file has zeros there: then the whole page can be shared until it is written. */
  dataSourceSize: u32 = 0;
  /** Address of main; 0 in libraries. */
  entry: u32 = 0;
  /** Address of the initialiser, 0 for none. */
  initialiser: u32 = 0;
  dynamic: u32 = 0;
  dynamicCount: u32 = 0;
  strings: u32 = 0;
  stringsSize: u32 = 0;
  symbols: u32 = 0;
  symbolCount: u32 = 0;
  /** 0 in an image without versions. */
  versions: u32 = 0;
  hash: u32 = 0;
  relocations: u32 = 0;
  relocationCount: u32 = 0;
}

function word(file: ImageFile, offset: u32): u32 {
  return load<u32>(file.bytes + offset);
}

/** Checks a file and fills in what loading needs; `bytes` and `size` are set. E_BADIMAGE. */
export function parseImage(file: ImageFile): HRESULT {
  if (file.size < HEADER_SIZE || file.size > SIZE_LIMIT) return E_BADIMAGE;
  if (word(file, 0) !== ELF_MAGIC || (word(file, 4) & 0xffffff) !== ELF_IDENTITY) return E_BADIMAGE;
  if (word(file, 16) !== (ET_DYN | (EM_386 << 16))) return E_BADIMAGE;
  const table = word(file, 28);
  const count = word(file, 44) & 0xffff;
  if (word(file, 40) !== (HEADER_SIZE | (PROGRAM_HEADER_SIZE << 16))) return E_BADIMAGE;
  if (count === 0 || count > PROGRAM_HEADERS) return E_BADIMAGE;
  if (table > file.size || count * PROGRAM_HEADER_SIZE > file.size - table) return E_BADIMAGE;
  let dynamicStart: u32 = 0;
  let dynamicSize: u32 = 0;
  for (let index: u32 = 0; index < count; index++) {
    const header = table + index * PROGRAM_HEADER_SIZE;
    const type = word(file, header);
    if (type === PT_DYNAMIC) {
      dynamicStart = word(file, header + 8);
      dynamicSize = word(file, header + 16);
    } else if (type === PT_LOAD && !parseSegment(file, header)) return E_BADIMAGE;
  }
  if (file.codeSize === 0 || dynamicSize === 0) return E_BADIMAGE;
  if (file.dataSize !== 0 && file.dataStart < file.codeStart + file.codeSize) return E_BADIMAGE;
  file.entry = word(file, 24);
  if (file.entry !== 0 && !inCode(file, file.entry)) return E_BADIMAGE;
  file.dynamic = offsetOf(file, dynamicStart, dynamicSize);
  file.dynamicCount = dynamicSize / 8;
  if (file.dynamic === 0 || file.dynamicCount > DYNAMIC_LIMIT) return E_BADIMAGE;
  return parseDynamic(file);
}

function parseSegment(file: ImageFile, header: u32): bool {
  const offset = word(file, header + 4);
  const address = word(file, header + 8);
  const fileSize = word(file, header + 16);
  const memorySize = word(file, header + 20);
  const flags = word(file, header + 24);
  if ((offset | address) & PAGE_MASK || memorySize === 0 || memorySize > SIZE_LIMIT) return false;
  if (fileSize > memorySize || offset > file.size || fileSize > file.size - offset) return false;
  const rounded = (memorySize + PAGE_MASK) & ~PAGE_MASK;
  if (address < SHARED_START || address >= SHARED_END || rounded > SHARED_END - address) return false;
  if (flags & PF_W) {
    if (flags & PF_X || file.dataSize !== 0) return false;
    file.dataStart = address;
    file.dataSize = rounded;
    file.dataOffset = offset;
    file.dataFileSize = fileSize;
    file.dataSourceSize = sourceSize(file, offset, fileSize);
    return true;
  }
  if (file.codeSize !== 0) return false;
  // Code pages are the file's own, so the file must hold them whole.
  const wholePages = (fileSize + PAGE_MASK) & ~PAGE_MASK;
  if (wholePages < rounded) return false;
  file.codeStart = address;
  file.codeSize = rounded;
  file.codeOffset = offset;
  file.codeFileSize = fileSize;
  return true;
}

function sourceSize(file: ImageFile, offset: u32, size: u32): u32 {
  const whole = (size + PAGE_MASK) & ~PAGE_MASK;
  if (whole > file.size - offset) return size;
  for (let at = size; at < whole; at++) if (load<u8>(file.bytes + offset + at) !== 0) return size;
  return whole;
}

/** File offset of `size` bytes at an address, 0 if they do not lie in the file part of one segment. (Offset 0 is the ELF header.) */
function offsetOf(file: ImageFile, address: u32, size: u32): u32 {
  if (address >= file.codeStart && address - file.codeStart <= file.codeFileSize) {
    const offset = address - file.codeStart;
    return size <= file.codeFileSize - offset ? file.codeOffset + offset : 0;
  }
  if (address < file.dataStart || address - file.dataStart > file.dataFileSize) return 0;
  const offset = address - file.dataStart;
  return size <= file.dataFileSize - offset ? file.dataOffset + offset : 0;
}

export function inCode(file: ImageFile, address: u32): bool {
  return address - file.codeStart < file.codeSize;
}

/** Do `size` bytes at `address` lie in the image's data? */
export function inData(file: ImageFile, address: u32, size: u32): bool {
  return file.dataSize >= size && address - file.dataStart <= file.dataSize - size;
}

/** First address and size of all of the image. */
export function imageSpan(file: ImageFile): u32 {
  return (
    (file.dataSize === 0 ? file.codeStart + file.codeSize : file.dataStart + file.dataSize) - file.codeStart
  );
}

function parseDynamic(file: ImageFile): HRESULT {
  let strings: u32 = 0;
  let symbols: u32 = 0;
  let hash: u32 = 0;
  let versions: u32 = 0;
  let relocations: u32 = 0;
  let relocationSize: u32 = 0;
  for (let index: u32 = 0; index < file.dynamicCount; index++) {
    const tag = word(file, file.dynamic + index * 8);
    const value = word(file, file.dynamic + index * 8 + 4);
    if (tag === 0) break;
    if (tag === DT_STRTAB) strings = value;
    else if (tag === DT_STRSZ) file.stringsSize = value;
    else if (tag === DT_SYMTAB) symbols = value;
    else if (tag === DT_HASH) hash = value;
    else if (tag === DT_REL) relocations = value;
    else if (tag === DT_RELSZ) relocationSize = value;
    else if (tag === DT_RIALTO_VERSIONS) versions = value;
    else if (tag === DT_INIT) file.initialiser = value;
  }
  if (file.initialiser !== 0 && !inCode(file, file.initialiser)) return E_BADIMAGE;
  file.strings = offsetOf(file, strings, file.stringsSize);
  if (file.strings === 0 || file.stringsSize === 0) return E_BADIMAGE;
  // The table ends with a NUL, so that every string that starts in it ends in it.
  if (load<u8>(file.bytes + file.strings + file.stringsSize - 1) !== 0) return E_BADIMAGE;
  file.hash = offsetOf(file, hash, 8);
  if (file.hash === 0) return E_BADIMAGE;
  const buckets = word(file, file.hash);
  file.symbolCount = word(file, file.hash + 4);
  if (buckets === 0 || buckets > TABLE_LIMIT || file.symbolCount > TABLE_LIMIT) return E_BADIMAGE;
  if (offsetOf(file, hash, 8 + 4 * (buckets + file.symbolCount)) === 0) return E_BADIMAGE;
  file.symbols = offsetOf(file, symbols, file.symbolCount * SYMBOL_SIZE);
  if (file.symbols === 0) return E_BADIMAGE;
  if (versions !== 0) {
    file.versions = offsetOf(file, versions, file.symbolCount * 4);
    if (file.versions === 0) return E_BADIMAGE;
  }
  file.relocationCount = relocationSize / RELOCATION_SIZE;
  if (relocationSize !== 0) {
    file.relocations = offsetOf(file, relocations, relocationSize);
    if (file.relocations === 0) return E_BADIMAGE;
  }
  return checkRelocations(file);
}

function checkRelocations(file: ImageFile): HRESULT {
  for (let index: u32 = 0; index < file.relocationCount; index++) {
    const address = relocationAddress(file, index);
    const type = relocationType(file, index);
    if (type === RELOCATION_GLOB_DAT) {
      if (!inData(file, address, 4) || relocationSymbol(file, index) >= file.symbolCount) return E_BADIMAGE;
      if (symbolName(file, relocationSymbol(file, index)) === 0) return E_BADIMAGE;
    } else if (type === RELOCATION_RELATIVE) {
      if (offsetOf(file, address, 4) === 0) return E_BADIMAGE;
    } else return E_BADIMAGE;
  }
  return S_OK;
}

export function relocationAddress(file: ImageFile, index: u32): u32 {
  return word(file, file.relocations + index * RELOCATION_SIZE);
}

export function relocationType(file: ImageFile, index: u32): u32 {
  return word(file, file.relocations + index * RELOCATION_SIZE + 4) & 0xff;
}

export function relocationSymbol(file: ImageFile, index: u32): u32 {
  return word(file, file.relocations + index * RELOCATION_SIZE + 4) >> 8;
}

/** Address of a string of the image, 0 if its offset is bad. */
function stringAt(file: ImageFile, offset: u32): usize {
  return offset < file.stringsSize ? file.bytes + file.strings + offset : 0;
}

export function symbolName(file: ImageFile, index: u32): usize {
  return stringAt(file, word(file, file.symbols + index * SYMBOL_SIZE));
}

/** Name of the `index`-th needed library; 0 past the last. */
export function neededLibrary(file: ImageFile, index: u32): usize {
  let left = index;
  for (let entry: u32 = 0; entry < file.dynamicCount; entry++) {
    const tag = word(file, file.dynamic + entry * 8);
    if (tag === 0) break;
    if (tag !== DT_NEEDED) continue;
    if (left-- === 0) return stringAt(file, word(file, file.dynamic + entry * 8 + 4));
  }
  return 0;
}

/** System V ABI, chapter 5. */
function hashOf(name: usize): u32 {
  let hash: u32 = 0;
  for (let at = name; load<u8>(at) !== 0; at++) {
    hash = (hash << 4) + load<u8>(at);
    const high = hash & 0xf0000000;
    hash ^= high >> 24;
    hash &= ~high;
  }
  return hash;
}

/** Index of the image's exported symbol `name`, 0 if it has none. */
export function findSymbol(file: ImageFile, name: usize): u32 {
  const buckets = word(file, file.hash);
  let index = word(file, file.hash + 8 + 4 * (hashOf(name) % buckets));
  // A chain has no more links than there are symbols; a longer one is a loop.
  for (let steps: u32 = 0; index !== 0 && index < file.symbolCount && steps < file.symbolCount; steps++) {
    const symbol = file.symbols + index * SYMBOL_SIZE;
    const own = symbolName(file, index);
    if (own !== 0 && word(file, symbol + 12) >> 16 !== 0 && textEquals(own, name)) {
      const address = symbolAddress(file, index);
      return inCode(file, address) || inData(file, address, 1) ? index : 0;
    }
    index = word(file, file.hash + 8 + 4 * (buckets + index));
  }
  return 0;
}

/** Preferred address of a symbol that `findSymbol` found. */
export function symbolAddress(file: ImageFile, index: u32): u32 {
  return word(file, file.symbols + index * SYMBOL_SIZE + 4);
}

/** Version of a symbol: what an import was built against, or what an export is; 0 when nobody knows. */
export function symbolVersion(file: ImageFile, index: u32): u32 {
  return file.versions === 0 ? 0 : word(file, file.versions + index * 4);
}

/** Where the export's name starts in an import symbol "LIBRARY!NAME" whose library is `library`; 0 for another library's. */
export function importFrom(symbol: usize, library: usize): usize {
  let length: u32 = 0;
  while (load<u8>(symbol + length) !== 0 && load<u8>(symbol + length) !== 33) length++;
  if (load<u8>(symbol + length) === 0 || !spanEquals(symbol, length, library)) return 0;
  return symbol + length + 1;
}
