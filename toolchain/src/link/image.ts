/**
 * Code objects → one ELF32 image at its preferred base. Two segments, each of whole file pages:
 *
 * ```
 *  base   ELF header, program headers            R+X, shared by all spaces
 *         kernel: multiboot header
 *         others: .hash .dynsym .rialto.versions .dynstr .rel.dyn .dynamic
 *         .text   compiled code, then assembled code
 *  page   .got    import slots, filled by the loader      R+W, private to each space
 *         .data   initialised globals, static data
 *         .bss    rest of static data, zero globals
 * ```
 *
 * Programs and libraries are ET_DYN, linked so that at the preferred base only the import slots (R_386_GLOB_DAT, symbol
 * "LIB!NAME") need filling; every absolute field has an R_386_RELATIVE entry, so that the image can be moved at the
 * price of private code pages (§5.2). The kernel is ET_EXEC: virtual 0xa0100000, loaded at physical 1 MB by multiboot.
 *
 * The linker defines, in every image: "image:text" (its first byte), "image:textEnd", "image:data", "image:bss" and
 * "image:end"; in the kernel the same under the names kernelStart, kernelTextEnd, kernelData, kernelBss and kernelEnd.
 */
import { BuildError, type CodeObject } from "../contract.ts";
import { alignUp, ByteWriter, StringTable } from "./byte-writer.ts";
import { type PlacedGlobal, type PlacedObject, writeDebugSections } from "./dwarf.ts";
import { DynamicPart, type Field, writeRelocations } from "./dynamic.ts";
import * as elf from "./elf.ts";
import { type Layout, layOut, TEXT_ALIGNMENT } from "./layout.ts";
import { collectImports, exportedNames, type ImportTable, importedName, undefinedSymbol } from "./symbols.ts";

export const KERNEL_BASE = 0xa0100000;
/** The kernel's virtual addresses minus its load addresses. */
export const KERNEL_OFFSET = 0xa0000000;

const MULTIBOOT_MAGIC = 0x1badb002;
/** Bit 0: modules at page boundaries. Bit 1: memory sizes wanted. */
const MULTIBOOT_FLAGS = 3;
const NO_OPERATION = 0x90;

export interface LinkInput {
  readonly name: string;
  readonly kind: "kernel" | "library" | "program";
  /** Preferred base, a multiple of 4096; KERNEL_BASE for the kernel. */
  readonly base: number;
  /** First address that belongs to somebody else. */
  readonly limit: number;
  /** Kernels: virtual minus physical addresses; KERNEL_OFFSET unless the image runs where it is loaded. */
  readonly physicalOffset?: number;
  /** Compiled objects first. */
  readonly objects: readonly CodeObject[];
  /** Names that every library of the system exports. */
  readonly libraries: ReadonlyMap<string, Iterable<string>>;
}

export interface LinkedImage {
  /** The whole ELF file, with symbols and debug information. */
  readonly bytes: Uint8Array;
  /** Names that other images may import; empty for programs and the kernel. */
  readonly exports: readonly string[];
  /** Imports as "LIB!NAME". */
  readonly imports: readonly string[];
  /** Bytes of code, of initialised data and of all memory from the base. */
  readonly textSize: number;
  readonly dataSize: number;
  readonly memorySize: number;
  /** Addresses of functions, labels and globals by symbol. */
  readonly symbols: ReadonlyMap<string, number>;
}

function defineSymbols(input: LinkInput, layout: Layout): Map<string, number> {
  const symbols = new Map<string, number>();
  const define = (name: string, address: number, object: CodeObject | undefined) => {
    const earlier = symbols.get(name);
    if (earlier !== undefined && earlier !== address) {
      const position = object?.functions.find((info) => info.name === name || info.exports.includes(name));
      throw new BuildError(`symbol "${name}" is defined twice in image "${input.name}"`, {
        symbol: name,
        position: position?.lines[0]?.position,
        file: object?.name,
      });
    }
    symbols.set(name, address);
  };
  input.objects.forEach((object, index) => {
    const text = input.base + layout.objectText[index]!;
    for (const info of object.functions) {
      for (const name of new Set([info.name, ...info.exports])) define(name, text + info.offset, object);
    }
    for (const { name } of object.globals) {
      define(`global:${name}`, input.base + layout.globals.get(name)!, object);
    }
  });
  define("data", input.base + layout.staticData, undefined);
  const marks = { text: 0, textEnd: layout.textEnd, data: layout.got, bss: layout.bss, end: layout.end };
  for (const [name, distance] of Object.entries(marks))
    define(`image:${name}`, input.base + distance, undefined);
  if (input.kind === "kernel") {
    const names = {
      kernelStart: 0,
      kernelTextEnd: layout.textEnd,
      kernelData: layout.got,
      kernelBss: layout.bss,
      kernelEnd: layout.end,
    };
    for (const [name, distance] of Object.entries(names)) define(name, input.base + distance, undefined);
  }
  return symbols;
}

function collectFields(input: LinkInput, layout: Layout): Field[] {
  const fields: Field[] = [];
  input.objects.forEach((object, index) => {
    const text = layout.objectText[index]!;
    for (const fixup of object.textFixups) {
      fields.push({ address: text + fixup.offset, fixup, object, textOffset: fixup.offset });
    }
    for (const fixup of object.data?.fixups ?? []) {
      fields.push({ address: layout.staticData + fixup.offset, fixup, object, textOffset: undefined });
    }
    for (const global of object.globals) {
      if (!global.fixup) continue;
      const address = layout.globals.get(global.name)! + global.fixup.offset;
      fields.push({ address, fixup: global.fixup, object, textOffset: undefined });
    }
  });
  return fields;
}

/** Initial contents of the text and data segments, fields filled; the headers' part is still zero. */
function fillSegments(
  input: LinkInput,
  layout: Layout,
  fields: readonly Field[],
  symbols: ReadonlyMap<string, number>,
  imports: ImportTable,
): Uint8Array {
  const memory = new Uint8Array(layout.dataEnd);
  memory.fill(NO_OPERATION, layout.text, layout.textEnd);
  input.objects.forEach((object, index) => {
    memory.set(object.text, layout.objectText[index]!);
    if (object.data && object.data.bytes.length > 0) memory.set(object.data.bytes, layout.staticData);
    for (const global of object.globals) {
      const address = layout.globals.get(global.name)!;
      if (address < layout.dataEnd) memory.set(global.initial.subarray(0, global.size), address);
    }
  });
  const view = new DataView(memory.buffer);
  for (const { address, fixup, object, textOffset } of fields) {
    const imported = importedName(fixup.symbol);
    const slot = imported === undefined ? undefined : imports.slot(imported);
    const target = slot === undefined ? symbols.get(fixup.symbol) : input.base + layout.got + 4 * slot;
    if (target === undefined) {
      throw undefinedSymbol(input.name, fixup.symbol, object, textOffset, symbols.keys());
    }
    if (address + 4 > layout.dataEnd) {
      throw new BuildError(`a field for "${fixup.symbol}" lies outside the data of image "${input.name}"`, {
        symbol: fixup.symbol,
        file: object.name,
      });
    }
    const origin = fixup.kind === "relative32" ? input.base + address + 4 : 0;
    view.setUint32(address, (target + fixup.addend - origin) >>> 0, true);
  }
  return memory;
}

/** Symbols that `readelf -s` and debuggers see: functions, labels, globals and import slots. */
function staticSymbols(
  input: LinkInput,
  layout: Layout,
  imports: ImportTable,
  sectionIndex: (name: string) => number,
): elf.ElfSymbol[] {
  const locals: elf.ElfSymbol[] = [];
  const globals: elf.ElfSymbol[] = [];
  const text = sectionIndex(".text");
  input.objects.forEach((object, index) => {
    const start = input.base + layout.objectText[index]!;
    for (const info of object.functions) {
      const common = { value: start + info.offset, size: info.size, type: elf.STT_FUNC, section: text };
      if (!info.exports.includes(info.name)) {
        locals.push({ ...common, name: info.name, binding: elf.STB_LOCAL });
      }
      for (const name of info.exports) globals.push({ ...common, name, binding: elf.STB_GLOBAL });
    }
    for (const { name, size } of object.globals) {
      const address = layout.globals.get(name)!;
      const section = sectionIndex(address < layout.dataEnd ? ".data" : ".bss");
      const value = input.base + address;
      locals.push({ name, value, size, binding: elf.STB_LOCAL, type: elf.STT_OBJECT, section });
    }
  });
  imports.names.forEach((name, slot) => {
    const value = input.base + layout.got + 4 * slot;
    const section = sectionIndex(".got");
    locals.push({ name, value, size: 4, binding: elf.STB_LOCAL, type: elf.STT_OBJECT, section });
  });
  return [...locals, ...globals];
}

function multibootHeader(): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(MULTIBOOT_MAGIC);
  writer.u32(MULTIBOOT_FLAGS);
  writer.u32(-(MULTIBOOT_MAGIC + MULTIBOOT_FLAGS));
  return writer.finish();
}

function checkInput(input: LinkInput): void {
  const where = { file: input.name };
  if (input.base % elf.PAGE_SIZE !== 0)
    throw new BuildError(`base 0x${input.base.toString(16)} is not a page address`, where);
  if (input.objects.filter((object) => object.data).length > 1) {
    throw new BuildError(`image "${input.name}" has more than one object with static data`, where);
  }
  const starts = input.objects.filter((object) => object.start);
  if (starts.length > 1)
    throw new BuildError(`image "${input.name}" has more than one start function`, where);
}

/** Nobody runs a kernel's initialiser but its own code: an initialiser that is never called would be lost silently. */
function checkInitialiser(objects: readonly CodeObject[]): void {
  const start = objects.find((object) => object.start)?.start;
  if (start === undefined) return;
  if (objects.some((object) => object.textFixups.some((fixup) => fixup.symbol === start))) return;
  const initialiser = objects.flatMap((object) => object.functions).find((info) => info.name === start);
  throw new BuildError(
    "a global variable of the kernel has an initial value that must be computed at run time; give it a constant, and compute it where the kernel starts",
    { symbol: start, position: initialiser?.lines[0]?.position, file: objects[0]?.name },
  );
}

function entryPoint(input: LinkInput, symbols: ReadonlyMap<string, number>): number {
  if (input.kind === "library") return 0;
  const name = input.kind === "kernel" ? "start" : "main";
  const entry = symbols.get(name);
  if (entry === undefined) {
    const what =
      input.kind === "kernel"
        ? `the kernel has no symbol "start"`
        : `program "${input.name}" exports no function "main"`;
    throw new BuildError(what, { symbol: name, file: input.objects[0]?.name });
  }
  return entry;
}

export function linkImage(input: LinkInput): LinkedImage {
  checkInput(input);
  const { base, objects } = input;
  const kernel = input.kind === "kernel";
  const imports = collectImports(input.name, objects, input.libraries);
  if (kernel && imports.names.length > 0) {
    throw new BuildError(`the kernel imports "${imports.names[0]}"; it is loaded before any library`, {
      symbol: imports.names[0],
    });
  }
  if (kernel) checkInitialiser(objects);
  const exported = input.kind === "library" ? exportedNames(objects) : kernel ? [] : ["main"];
  const dynamic = kernel ? undefined : new DynamicPart(input, imports, exported);

  // Everything before .text, by size.
  const segmentCount = kernel ? 2 : 3;
  let place = alignUp(elf.ELF_HEADER_SIZE + segmentCount * elf.PROGRAM_HEADER_SIZE, 4);
  const reserve = (size: number, alignment: number) => {
    place = alignUp(place, alignment);
    const start = place;
    place += size;
    return start;
  };
  const strings = dynamic?.strings.finish() ?? new Uint8Array();
  const multiboot = kernel ? reserve(12, 4) : 0;
  const hash = dynamic ? reserve(elf.hashTableSize(dynamic.symbols.length), 4) : 0;
  const dynamicSymbols = dynamic ? reserve((dynamic.symbols.length + 1) * elf.SYMBOL_SIZE, 4) : 0;
  const versions = dynamic ? reserve(dynamic.versions.length * 4, 4) : 0;
  const dynamicStrings = dynamic ? reserve(strings.length, 1) : 0;
  const relocations = dynamic ? reserve(dynamic.relocationCount * elf.RELOCATION_SIZE, 4) : 0;
  const dynamicTable = dynamic ? reserve(dynamic.entryCount * 8, 4) : 0;
  const layout = layOut(objects, place, imports.names.length);
  if (base + layout.end > input.limit) {
    throw new BuildError(
      `image "${input.name}" needs ${layout.end} bytes from 0x${base.toString(16)} and runs into 0x${input.limit.toString(16)}; give it more room in os/bases.json`,
      { file: input.name },
    );
  }

  const symbols = defineSymbols(input, layout);
  const fields = collectFields(input, layout);
  const memory = fillSegments(input, layout, fields, symbols, imports);
  const entry = entryPoint(input, symbols);

  const sections: elf.Section[] = [];
  const loaded = (section: Omit<elf.Section, "address" | "flags">, flags: number, at: number) =>
    sections.push({ ...section, flags: flags | elf.SHF_ALLOC, address: base + at, offset: at });
  if (kernel) {
    loaded(
      { name: ".multiboot", type: elf.SHT_PROGBITS, size: 12, bytes: multibootHeader(), alignment: 4 },
      0,
      multiboot,
    );
  }
  const textIndex = dynamic ? 7 : 2;
  if (dynamic) {
    const resolved = dynamic.symbols.map((symbol, index): elf.ElfSymbol => {
      if (index < imports.names.length) return symbol;
      const value = symbols.get(symbol.name) ?? entry;
      const info = objects.flatMap((object) => object.functions).find((f) => f.exports.includes(symbol.name));
      return { ...symbol, value, size: info?.size ?? 0, section: textIndex };
    });
    const startName = objects.find((object) => object.start)?.start;
    const start = startName === undefined ? undefined : symbols.get(startName);
    if (startName !== undefined && start === undefined) {
      throw undefinedSymbol(input.name, startName, objects[0]!, undefined, symbols.keys());
    }
    const addresses = {
      hash: base + hash,
      strings: base + dynamicStrings,
      symbols: base + dynamicSymbols,
      versions: base + versions,
      relocations: base + relocations,
    };
    const add = (name: string, type: number, bytes: Uint8Array, at: number, extra: Partial<elf.Section>) =>
      loaded(
        { name, type, size: bytes.length, bytes, alignment: type === elf.SHT_STRTAB ? 1 : 4, ...extra },
        0,
        at,
      );
    add(".hash", elf.SHT_HASH, elf.writeHashTable(resolved), hash, { link: ".dynsym", entrySize: 4 });
    add(".dynsym", elf.SHT_DYNSYM, elf.writeSymbols(resolved, dynamic.strings), dynamicSymbols, {
      link: ".dynstr",
      info: 1,
      entrySize: elf.SYMBOL_SIZE,
    });
    add(".rialto.versions", elf.SHT_PROGBITS, dynamic.writeVersions(), versions, { entrySize: 4 });
    add(".dynstr", elf.SHT_STRTAB, strings, dynamicStrings, {});
    add(".rel.dyn", elf.SHT_REL, writeRelocations(base, layout, fields, imports), relocations, {
      link: ".dynsym",
      entrySize: elf.RELOCATION_SIZE,
    });
    add(".dynamic", elf.SHT_DYNAMIC, dynamic.write(addresses, start), dynamicTable, {
      link: ".dynstr",
      entrySize: 8,
    });
  }
  const program = (name: string, from: number, to: number, flags: number, alignment: number) =>
    loaded(
      { name, type: elf.SHT_PROGBITS, size: to - from, bytes: memory.subarray(from, to), alignment },
      flags,
      from,
    );
  program(".text", layout.text, layout.textEnd, elf.SHF_EXECINSTR, TEXT_ALIGNMENT);
  if (layout.data > layout.got) program(".got", layout.got, layout.data, elf.SHF_WRITE, 4);
  if (layout.dataEnd > layout.data) program(".data", layout.data, layout.dataEnd, elf.SHF_WRITE, 4);
  if (layout.end > layout.bss) {
    loaded(
      { name: ".bss", type: elf.SHT_NOBITS, size: layout.end - layout.bss, alignment: 1 },
      elf.SHF_WRITE,
      layout.bss,
    );
  }
  const loadedCount = sections.length;
  const sectionIndex = (name: string) =>
    sections.slice(0, loadedCount).findIndex((section) => section.name === name) + 1;

  appendUnloaded(input, layout, imports, sections, sectionIndex);

  const physical = (address: number) =>
    kernel ? address - (input.physicalOffset ?? KERNEL_OFFSET) : address;
  const segment = (from: number, fileEnd: number, memoryEnd: number, flags: number): elf.Segment => ({
    type: elf.PT_LOAD,
    offset: from,
    virtualAddress: base + from,
    physicalAddress: physical(base + from),
    fileSize: fileEnd - from,
    memorySize: memoryEnd - from,
    flags,
    alignment: elf.PAGE_SIZE,
  });
  const segments = [segment(0, layout.textEnd, layout.textEnd, elf.PF_R | elf.PF_X)];
  if (layout.end > layout.got) {
    segments.push(segment(layout.got, layout.dataEnd, layout.end, elf.PF_R | elf.PF_W));
  } else {
    segments.push({
      ...segment(layout.got, layout.got, layout.got, elf.PF_R | elf.PF_W),
      offset: 0,
      alignment: 1,
      type: 0,
    });
  }
  if (dynamic) {
    const size = dynamic.entryCount * 8;
    segments.push({
      ...segment(dynamicTable, dynamicTable + size, dynamicTable + size, elf.PF_R),
      type: elf.PT_DYNAMIC,
      alignment: 4,
    });
  }
  const bytes = elf.writeElf({ type: kernel ? elf.ET_EXEC : elf.ET_DYN, entry, segments, sections });
  return {
    bytes,
    exports: input.kind === "library" ? exported : [],
    imports: imports.names,
    textSize: layout.textEnd - layout.text,
    dataSize: layout.dataEnd - layout.got,
    memorySize: layout.end,
    symbols,
  };
}

/** Debug information, symbol table and its strings: kept in the file, never loaded. */
function appendUnloaded(
  input: LinkInput,
  layout: Layout,
  imports: ImportTable,
  sections: elf.Section[],
  sectionIndex: (name: string) => number,
): void {
  const placed: PlacedObject[] = input.objects.map((object, index) => ({
    object,
    textAddress: input.base + layout.objectText[index]!,
  }));
  const globals: PlacedGlobal[] = input.objects.flatMap((object) =>
    object.globals.map(({ name, size }) => ({ name, size, address: input.base + layout.globals.get(name)! })),
  );
  const add = (name: string, type: number, bytes: Uint8Array, extra: Partial<elf.Section>) =>
    sections.push({ name, type, flags: 0, address: 0, size: bytes.length, bytes, alignment: 1, ...extra });
  const debug = writeDebugSections(input.name, placed, globals);
  if (debug) {
    add(".debug_abbrev", elf.SHT_PROGBITS, debug.abbreviations, {});
    add(".debug_info", elf.SHT_PROGBITS, debug.info, {});
    add(".debug_line", elf.SHT_PROGBITS, debug.lines, {});
    add(".debug_frame", elf.SHT_PROGBITS, debug.frames, { alignment: 4 });
  }
  const strings = new StringTable();
  const symbols = staticSymbols(input, layout, imports, sectionIndex);
  const firstGlobal = symbols.findIndex((symbol) => symbol.binding === elf.STB_GLOBAL);
  add(".symtab", elf.SHT_SYMTAB, elf.writeSymbols(symbols, strings), {
    link: ".strtab",
    info: (firstGlobal < 0 ? symbols.length : firstGlobal) + 1,
    entrySize: elf.SYMBOL_SIZE,
    alignment: 4,
  });
  add(".strtab", elf.SHT_STRTAB, strings.finish(), {});
}
