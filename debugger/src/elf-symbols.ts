/** Names and addresses from the symbol table of an ELF32 file. System V ABI, chapter 4. */
import { SECTION_HEADER_SIZE, SHT_SYMTAB, STT_FUNC, SYMBOL_SIZE } from "@rialto/toolchain/link/elf.ts";

const ELF_MAGIC = 0x464c_457f;

/** The section of that name; undefined when there is none, or no ELF32 file. */
export function readElfSection(
  file: Uint8Array,
  name: string,
): { readonly address: number; readonly bytes: Uint8Array } | undefined {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 52 || view.getUint32(0, true) !== ELF_MAGIC || file[4] !== 1) return undefined;
  const sections = view.getUint32(32, true);
  const count = view.getUint16(48, true);
  const nameTable = view.getUint16(50, true);
  if (sections + count * SECTION_HEADER_SIZE > file.length || nameTable >= count) return undefined;
  const header = (index: number, field: number): number =>
    view.getUint32(sections + index * SECTION_HEADER_SIZE + field, true);
  for (let index = 1; index < count; index++) {
    if (textAt(file, header(nameTable, 16) + header(index, 0)) !== name) continue;
    const start = header(index, 16);
    return { address: header(index, 12), bytes: file.subarray(start, start + header(index, 20)) };
  }
  return undefined;
}

interface ElfSymbolEntry {
  readonly name: string;
  readonly value: number;
  readonly size: number;
  /** STT_FUNC and the like. */
  readonly type: number;
}

/** Nothing when the file is no ELF32 file or has no symbols. */
function* elfSymbols(file: Uint8Array): Generator<ElfSymbolEntry> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 52 || view.getUint32(0, true) !== ELF_MAGIC || file[4] !== 1) return;
  const sections = view.getUint32(32, true);
  const count = view.getUint16(48, true);
  const header = (index: number, field: number): number =>
    view.getUint32(sections + index * SECTION_HEADER_SIZE + field, true);
  if (sections + count * SECTION_HEADER_SIZE > file.length) return;
  for (let index = 0; index < count; index++) {
    if (header(index, 4) !== SHT_SYMTAB || header(index, 24) >= count) continue;
    const start = header(index, 16);
    const end = Math.min(start + header(index, 20), file.length);
    const names = header(header(index, 24), 16);
    for (let at = start; at + SYMBOL_SIZE <= end; at += SYMBOL_SIZE) {
      const name = textAt(file, names + view.getUint32(at, true));
      if (name === "") continue;
      yield {
        name,
        value: view.getUint32(at + 4, true),
        size: view.getUint32(at + 8, true),
        type: file[at + 12] & 15,
      };
    }
  }
}

/** Values by name. */
export function readElfSymbols(file: Uint8Array): ReadonlyMap<string, number> {
  return new Map([...elfSymbols(file)].map(({ name, value }) => [name, value]));
}

export interface ElfFunction {
  readonly name: string;
  readonly start: number;
  readonly end: number;
}

/** Functions that have a size; of those at one address the one with the longest name, which says most. */
export function readElfFunctions(file: Uint8Array): ElfFunction[] {
  const byStart = new Map<number, ElfFunction>();
  for (const { name, value, size, type } of elfSymbols(file)) {
    const known = byStart.get(value);
    if (type !== STT_FUNC || size === 0 || (known && known.name.length >= name.length)) continue;
    byStart.set(value, { name, start: value, end: value + size });
  }
  return [...byStart.values()];
}

function textAt(file: Uint8Array, start: number): string {
  const end = file.indexOf(0, start);
  return end < 0 ? "" : new TextDecoder().decode(file.subarray(start, end));
}
