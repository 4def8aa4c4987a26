/**
 * ELF32 for the i386: constants and the file writer. System V ABI, chapters 4 and 5, and its Intel386 supplement.
 *
 * The writer lays sections out in the order given. A section with an address belongs to the segment that names it;
 * file offset and address of every segment agree modulo the page size, so that a loader can map file pages directly.
 */
import { alignUp, ByteWriter, StringTable } from "./byte-writer.ts";

export const PAGE_SIZE = 4096;
export const ELF_HEADER_SIZE = 52;
export const PROGRAM_HEADER_SIZE = 32;
export const SECTION_HEADER_SIZE = 40;
export const SYMBOL_SIZE = 16;
export const RELOCATION_SIZE = 8;

export const ET_EXEC = 2;
export const ET_DYN = 3;
export const EM_386 = 3;

export const PT_LOAD = 1;
export const PT_DYNAMIC = 2;
export const PF_X = 1;
export const PF_W = 2;
export const PF_R = 4;

export const SHT_PROGBITS = 1;
export const SHT_SYMTAB = 2;
export const SHT_STRTAB = 3;
export const SHT_HASH = 5;
export const SHT_DYNAMIC = 6;
export const SHT_NOBITS = 8;
export const SHT_REL = 9;
export const SHT_DYNSYM = 11;
export const SHF_WRITE = 1;
export const SHF_ALLOC = 2;
export const SHF_EXECINSTR = 4;

export const STB_LOCAL = 0;
export const STB_GLOBAL = 1;
export const STT_OBJECT = 1;
export const STT_FUNC = 2;
export const SHN_UNDEF = 0;

export const R_386_GLOB_DAT = 6;
export const R_386_RELATIVE = 8;

export const DT_NULL = 0;
export const DT_NEEDED = 1;
export const DT_HASH = 4;
export const DT_STRTAB = 5;
export const DT_SYMTAB = 6;
export const DT_STRSZ = 10;
export const DT_SYMENT = 11;
export const DT_INIT = 12;
export const DT_SONAME = 14;
export const DT_REL = 17;
export const DT_RELSZ = 18;
export const DT_RELENT = 19;
export const DT_TEXTREL = 22;
/** How many R_386_RELATIVE entries the relocation table starts with. */
export const DT_RELCOUNT = 0x6ffffffa;
/** Ours, in the range for operating systems: address of a word for each entry of .dynsym, the version of that function; 0 is none. */
export const DT_RIALTO_VERSIONS = 0x60000010;

export interface Section {
  readonly name: string;
  readonly type: number;
  readonly flags: number;
  /** Virtual address; 0 for sections that are not loaded. */
  readonly address: number;
  /** Place in the file, or undefined to let the writer append it. */
  readonly offset?: number;
  readonly size: number;
  /** Absent for SHT_NOBITS. */
  readonly bytes?: Uint8Array;
  /** Name of the section that sh_link points at. */
  readonly link?: string;
  readonly info?: number;
  readonly alignment: number;
  readonly entrySize?: number;
}

export interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly virtualAddress: number;
  readonly physicalAddress: number;
  readonly fileSize: number;
  readonly memorySize: number;
  readonly flags: number;
  readonly alignment: number;
}

export interface ElfFile {
  readonly type: number;
  readonly entry: number;
  readonly segments: readonly Segment[];
  readonly sections: readonly Section[];
}

export interface ElfSymbol {
  readonly name: string;
  readonly value: number;
  readonly size: number;
  readonly binding: number;
  readonly type: number;
  readonly section: number;
}

function writeHeader(writer: ByteWriter, file: ElfFile, sectionTable: number, sectionCount: number): void {
  writer.bytes([0x7f, 0x45, 0x4c, 0x46, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
  writer.u16(file.type);
  writer.u16(EM_386);
  writer.u32(1);
  writer.u32(file.entry);
  writer.u32(ELF_HEADER_SIZE);
  writer.u32(sectionTable);
  writer.u32(0);
  writer.u16(ELF_HEADER_SIZE);
  writer.u16(PROGRAM_HEADER_SIZE);
  writer.u16(file.segments.length);
  writer.u16(SECTION_HEADER_SIZE);
  writer.u16(sectionCount);
  writer.u16(sectionCount === 0 ? 0 : sectionCount - 1);
  for (const segment of file.segments) {
    writer.u32(segment.type);
    writer.u32(segment.offset);
    writer.u32(segment.virtualAddress);
    writer.u32(segment.physicalAddress);
    writer.u32(segment.fileSize);
    writer.u32(segment.memorySize);
    writer.u32(segment.flags);
    writer.u32(segment.alignment);
  }
}

/** The whole file: headers, sections, section names and section header table. The null section is added here. */
export function writeElf(file: ElfFile): Uint8Array {
  const names = new StringTable();
  const writer = new ByteWriter();
  writeHeader(writer, file, 0, file.sections.length + 2);
  const lastLoaded = file.sections.filter((each) => each.flags & SHF_ALLOC && each.bytes).at(-1);
  const placed: { section: Section; offset: number }[] = [];
  for (const section of file.sections) {
    const offset = section.offset ?? alignUp(writer.length, section.alignment);
    if (section.bytes) {
      writer.fill(offset - writer.length);
      writer.bytes(section.bytes);
    }
    placed.push({ section, offset });
    // The file holds whole pages of every segment, zero behind its end, so the last page can be mapped as it is.
    if (section === lastLoaded) writer.align(PAGE_SIZE);
  }
  const nameOffsets = placed.map(({ section }) => names.offset(section.name));
  const ownName = names.offset(".shstrtab");
  const nameBytes = names.finish();
  const nameStart = writer.length;
  writer.bytes(nameBytes);
  writer.align(4);
  const table = writer.length;
  writer.setU32(32, table);
  writer.fill(SECTION_HEADER_SIZE);
  const indexOf = (name: string) => file.sections.findIndex((section) => section.name === name) + 1;
  placed.forEach(({ section, offset }, index) => {
    writer.u32(nameOffsets[index]!);
    writer.u32(section.type);
    writer.u32(section.flags);
    writer.u32(section.address);
    writer.u32(offset);
    writer.u32(section.size);
    writer.u32(section.link === undefined ? 0 : indexOf(section.link));
    writer.u32(section.info ?? 0);
    writer.u32(section.alignment);
    writer.u32(section.entrySize ?? 0);
  });
  for (const value of [ownName, SHT_STRTAB, 0, 0, nameStart, nameBytes.length, 0, 0, 1, 0]) writer.u32(value);
  return writer.finish();
}

/** Symbol table bytes; locals must come first. */
export function writeSymbols(symbols: readonly ElfSymbol[], strings: StringTable): Uint8Array {
  const writer = new ByteWriter();
  writer.fill(SYMBOL_SIZE);
  for (const symbol of symbols) {
    writer.u32(strings.offset(symbol.name));
    writer.u32(symbol.value);
    writer.u32(symbol.size);
    writer.u8((symbol.binding << 4) | symbol.type);
    writer.u8(0);
    writer.u16(symbol.section);
  }
  return writer.finish();
}

/** The System V hash function of symbol names. */
export function elfHash(name: string): number {
  let hash = 0;
  for (const byte of new TextEncoder().encode(name)) {
    hash = ((hash << 4) + byte) >>> 0;
    const high = hash & 0xf0000000;
    if (high !== 0) hash ^= high >>> 24;
    hash = (hash & ~high) >>> 0;
  }
  return hash;
}

/** SHT_HASH of a dynamic symbol table whose entry 0 is the null symbol. */
export function writeHashTable(symbols: readonly ElfSymbol[]): Uint8Array {
  const bucketCount = Math.max(1, Math.ceil(symbols.length / 2));
  const buckets = new Uint32Array(bucketCount);
  const chains = new Uint32Array(symbols.length + 1);
  symbols.forEach((symbol, index) => {
    const bucket = elfHash(symbol.name) % bucketCount;
    chains[index + 1] = buckets[bucket]!;
    buckets[bucket] = index + 1;
  });
  const writer = new ByteWriter();
  writer.u32(bucketCount);
  writer.u32(chains.length);
  for (const value of buckets) writer.u32(value);
  for (const value of chains) writer.u32(value);
  return writer.finish();
}

export function hashTableSize(symbolCount: number): number {
  return 4 * (2 + Math.max(1, Math.ceil(symbolCount / 2)) + symbolCount + 1);
}

/**
 * The part of an image that a loader reads: headers and segments, whole pages, without sections. What is loaded is
 * the same bytes; only the section table and what it describes (symbols, debug information) is gone.
 */
export function loadablePart(image: Uint8Array): Uint8Array {
  const view = new DataView(image.buffer, image.byteOffset, image.byteLength);
  const table = view.getUint32(28, true);
  const count = view.getUint16(44, true);
  let end = table + count * PROGRAM_HEADER_SIZE;
  for (let index = 0; index < count; index++) {
    const header = table + index * PROGRAM_HEADER_SIZE;
    end = Math.max(end, view.getUint32(header + 4, true) + view.getUint32(header + 16, true));
  }
  const part = new Uint8Array(alignUp(end, PAGE_SIZE));
  part.set(image.subarray(0, end));
  const header = new DataView(part.buffer);
  header.setUint32(32, 0, true);
  header.setUint16(46, 0, true);
  header.setUint16(48, 0, true);
  header.setUint16(50, 0, true);
  return part;
}
