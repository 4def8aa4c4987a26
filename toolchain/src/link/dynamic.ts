/**
 * What the dynamic loader reads of a program or library: symbols by name, needed libraries, relocations. System V ABI,
 * chapter 5. Undefined symbols are spelled "LIB!NAME": the library they come from is part of the name.
 */
import type { CodeObject, Fixup } from "../contract.ts";
import { ByteWriter, StringTable } from "./byte-writer.ts";
import * as elf from "./elf.ts";
import type { Layout } from "./layout.ts";
import type { ImportTable } from "./symbols.ts";

/** A field to fill, at its distance from the image's base. */
export interface Field {
  readonly address: number;
  readonly fixup: Fixup;
  readonly object: CodeObject;
  /** Offset in the object's text for messages; undefined outside text. */
  readonly textOffset: number | undefined;
}

interface Named {
  readonly name: string;
  readonly objects: readonly CodeObject[];
}

/** Sizes and contents of what the dynamic loader reads. */
export class DynamicPart {
  readonly symbols: elf.ElfSymbol[];
  /** Versions of the symbols, from symbol 0 on: what this image was built against, and what it has itself. */
  readonly versions: readonly number[];
  readonly strings = new StringTable();
  readonly needed: readonly string[];
  readonly soname: string;
  private readonly start: string | undefined;
  private readonly textRelocations: boolean;
  readonly relocationCount: number;
  private readonly relativeCount: number;

  constructor(input: Named, imports: ImportTable, exported: readonly string[]) {
    this.needed = imports.libraries();
    this.soname = input.name;
    this.start = input.objects.find((object) => object.start)?.start;
    const absolute = (fixups: readonly Fixup[]) =>
      fixups.filter((fixup) => fixup.kind === "absolute32").length;
    const inText = input.objects.reduce((sum, object) => sum + absolute(object.textFixups), 0);
    const inData = input.objects.reduce((sum, object) => {
      const globals = object.globals.flatMap((global) => (global.fixup ? [global.fixup] : []));
      return sum + absolute(object.data?.fixups ?? []) + absolute(globals);
    }, 0);
    this.textRelocations = inText > 0;
    this.relativeCount = inText + inData;
    this.relocationCount = this.relativeCount + imports.names.length;
    const undefinedPart = { value: 0, size: 0, section: elf.SHN_UNDEF };
    const common = { binding: elf.STB_GLOBAL, type: elf.STT_FUNC };
    const versions = new Map(input.objects.flatMap((object) => [...(object.signatures ?? [])]));
    this.versions = [
      0,
      ...imports.names.map((name) => versions.get(name) ?? 0),
      ...exported.map((name) => versions.get(`${input.name}!${name}`) ?? 0),
    ];
    this.symbols = [
      ...imports.names.map((name) => ({ name, ...common, ...undefinedPart })),
      ...exported.map((name) => ({ name, ...common, ...undefinedPart })),
    ];
    for (const name of [...this.symbols.map((symbol) => symbol.name), ...this.needed, this.soname]) {
      this.strings.offset(name);
    }
  }

  /** Entries of .dynamic: needed libraries, name, nine fixed ones, count and end, plus what depends on the image. */
  get entryCount(): number {
    return this.needed.length + 1 + 9 + 2 + (this.start ? 1 : 0) + (this.textRelocations ? 1 : 0);
  }

  writeVersions(): Uint8Array {
    const writer = new ByteWriter();
    for (const version of this.versions) writer.u32(version);
    return writer.finish();
  }

  write(
    addresses: { hash: number; strings: number; symbols: number; versions: number; relocations: number },
    start: number | undefined,
  ): Uint8Array {
    const writer = new ByteWriter();
    const entry = (tag: number, value: number) => {
      writer.u32(tag);
      writer.u32(value);
    };
    for (const library of this.needed) entry(elf.DT_NEEDED, this.strings.offset(library));
    entry(elf.DT_SONAME, this.strings.offset(this.soname));
    if (start !== undefined) entry(elf.DT_INIT, start);
    entry(elf.DT_HASH, addresses.hash);
    entry(elf.DT_STRTAB, addresses.strings);
    entry(elf.DT_SYMTAB, addresses.symbols);
    entry(elf.DT_STRSZ, this.strings.finish().length);
    entry(elf.DT_SYMENT, elf.SYMBOL_SIZE);
    entry(elf.DT_RIALTO_VERSIONS, addresses.versions);
    entry(elf.DT_REL, addresses.relocations);
    entry(elf.DT_RELSZ, this.relocationCount * elf.RELOCATION_SIZE);
    entry(elf.DT_RELENT, elf.RELOCATION_SIZE);
    if (this.textRelocations) entry(elf.DT_TEXTREL, 0);
    entry(elf.DT_RELCOUNT, this.relativeCount);
    entry(elf.DT_NULL, 0);
    return writer.finish();
  }
}

export function writeRelocations(
  base: number,
  layout: Layout,
  fields: readonly Field[],
  imports: ImportTable,
): Uint8Array {
  const writer = new ByteWriter();
  const absolute = fields.filter(({ fixup }) => fixup.kind === "absolute32").map(({ address }) => address);
  for (const address of absolute.sort((a, b) => a - b)) {
    writer.u32(base + address);
    writer.u32(elf.R_386_RELATIVE);
  }
  imports.names.forEach((_, slot) => {
    writer.u32(base + layout.got + 4 * slot);
    writer.u32(((slot + 1) << 8) | elf.R_386_GLOB_DAT);
  });
  return writer.finish();
}
