/**
 * The boot archive: the read-only tree of files that the boot loader hands to the kernel as one module.
 *
 * ```
 *  +0   magic "RIALTOAR"                        header, 64 bytes
 *  +8   u32 version = 1
 *  +12  u32 number of entries
 *  +16  u32 total size in bytes (the whole file, a multiple of 4096)
 *  +20  u32 CRC-32 of the entry table
 *  +24  zero
 *  +64  entries, 64 bytes each
 *         +0   name[48], UTF-8, padded with NUL (at least one): "bin/hello", "lib/rt", "etc/system"
 *         +48  u32 offset of the contents from the start of the file (a multiple of 4096)
 *         +52  u32 size of the contents in bytes
 *         +56  u32 CRC-32 of the contents
 *         +60  zero
 *       contents, each at a page boundary and padded with zeros to a whole page
 * ```
 *
 * All numbers are little-endian; the CRC is zlib's. Contents fill whole pages so that the kernel can map their frames.
 */
import { BuildError } from "../contract.ts";
import { alignUp, ByteWriter } from "./byte-writer.ts";
import { PAGE_SIZE } from "./elf.ts";

export const ARCHIVE_MAGIC = "RIALTOAR";
export const ARCHIVE_VERSION = 1;
const HEADER_SIZE = 64;
const ENTRY_SIZE = 64;
const NAME_SIZE = 48;

export interface ArchiveFile {
  readonly name: string;
  readonly contents: Uint8Array;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 as zlib and PNG compute it (polynomial 0xedb88320, reflected, complemented). */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}

export function writeArchive(files: readonly ArchiveFile[]): Uint8Array {
  const seen = new Set<string>();
  const table = new ByteWriter();
  let offset = alignUp(HEADER_SIZE + ENTRY_SIZE * files.length, PAGE_SIZE);
  for (const { name, contents } of files) {
    const encoded = new TextEncoder().encode(name);
    if (encoded.length === 0 || encoded.length >= NAME_SIZE) {
      throw new BuildError(`boot archive: the name "${name}" must have 1 to ${NAME_SIZE - 1} bytes`);
    }
    if (seen.has(name)) throw new BuildError(`boot archive: two files are named "${name}"`);
    seen.add(name);
    table.bytes(encoded);
    table.fill(NAME_SIZE - encoded.length);
    table.u32(offset);
    table.u32(contents.length);
    table.u32(crc32(contents));
    table.u32(0);
    offset += alignUp(contents.length, PAGE_SIZE);
  }
  const entries = table.finish();
  const writer = new ByteWriter();
  writer.bytes(new TextEncoder().encode(ARCHIVE_MAGIC));
  writer.u32(ARCHIVE_VERSION);
  writer.u32(files.length);
  writer.u32(offset);
  writer.u32(crc32(entries));
  writer.align(HEADER_SIZE);
  writer.bytes(entries);
  for (const { contents } of files) {
    writer.align(PAGE_SIZE);
    writer.bytes(contents);
  }
  writer.align(PAGE_SIZE);
  return writer.finish();
}

/** Reads and checks a whole archive. Damage is a `BuildError` that says what is wrong where. */
export function readArchive(bytes: Uint8Array, file = "archive.img"): ArchiveFile[] {
  const fail = (message: string): never => {
    throw new BuildError(`damaged boot archive: ${message}`, { file });
  };
  if (bytes.length < HEADER_SIZE) fail(`${bytes.length} bytes are too short for the header`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = new TextDecoder().decode(bytes.subarray(0, 8));
  if (magic !== ARCHIVE_MAGIC) fail(`it starts with "${magic}", not "${ARCHIVE_MAGIC}"`);
  const version = view.getUint32(8, true);
  if (version !== ARCHIVE_VERSION) fail(`version ${version} is unknown`);
  const count = view.getUint32(12, true);
  const total = view.getUint32(16, true);
  if (total !== bytes.length || total % PAGE_SIZE !== 0) {
    fail(`the header says ${total} bytes, the file has ${bytes.length}`);
  }
  const tableEnd = HEADER_SIZE + count * ENTRY_SIZE;
  if (tableEnd > total) fail(`${count} entries do not fit in it`);
  if (crc32(bytes.subarray(HEADER_SIZE, tableEnd)) !== view.getUint32(20, true)) {
    fail("the checksum of its table of contents is wrong");
  }
  const files: ArchiveFile[] = [];
  for (let index = 0; index < count; index++) {
    const entry = HEADER_SIZE + index * ENTRY_SIZE;
    const padded = bytes.subarray(entry, entry + NAME_SIZE);
    const nameLength = padded.indexOf(0);
    if (nameLength <= 0) fail(`entry ${index} has no proper name`);
    const name = new TextDecoder().decode(padded.subarray(0, nameLength));
    const offset = view.getUint32(entry + 48, true);
    const size = view.getUint32(entry + 52, true);
    if (offset % PAGE_SIZE !== 0 || offset < tableEnd || offset + size > total) {
      fail(`${name} lies outside it`);
    }
    const contents = bytes.slice(offset, offset + size);
    if (crc32(contents) !== view.getUint32(entry + 56, true)) fail(`the checksum of ${name} is wrong`);
    files.push({ name, contents });
  }
  return files;
}
