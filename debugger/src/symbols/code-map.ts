/**
 * From code addresses to names: image, function and source line, for the images of a system together. Every image has a preferred base of
 * its own (os/bases.json), so that an address alone says which image it is of, in whichever space it runs.
 */
import { type ElfFunction, readElfFunctions, readElfSection } from "../elf-symbols.ts";
import { type LineRange, readLineTable } from "./line-table.ts";

export interface ImageFile {
  readonly name: string;
  readonly elf: Uint8Array;
}

export interface CodeFunction extends ElfFunction {
  readonly image: string;
}

export interface SourceLine {
  readonly file: string;
  readonly line: number;
}

/** Index of the last element that starts at or before an address; -1 when there is none. */
function lastAtOrBefore(sorted: readonly { readonly start: number }[], address: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle].start <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

export class CodeMap {
  /** By address. */
  readonly functions: readonly CodeFunction[];
  readonly lines: readonly LineRange[];

  constructor(images: readonly ImageFile[]) {
    this.functions = images
      .flatMap(({ name, elf }) => readElfFunctions(elf).map((found) => ({ ...found, image: name })))
      .sort((a, b) => a.start - b.start);
    this.lines = images
      .flatMap(({ elf }) => readLineTable(readElfSection(elf, ".debug_line")?.bytes ?? new Uint8Array(0)))
      .sort((a, b) => a.start - b.start);
  }

  functionAt(address: number): CodeFunction | undefined {
    const found = this.functions[lastAtOrBefore(this.functions, address)];
    return found && address < found.end ? found : undefined;
  }

  /** Undefined for code that comes from no source line. */
  lineAt(address: number): LineRange | undefined {
    const found = this.lines[lastAtOrBefore(this.lines, address)];
    return found && address < found.end && found.line > 0 ? found : undefined;
  }

  /**
   * Where a function is written: its lowest line in the file that its name says ("os/kernel/calls/dispatch/systemCall"), since its first
   * instructions may come from a function that was compiled into it.
   */
  sourceOf({ name, start, end }: CodeFunction): SourceLine | undefined {
    const file = `${name.slice(0, name.lastIndexOf("/"))}.ts`;
    let first: LineRange | undefined;
    for (let index = Math.max(0, lastAtOrBefore(this.lines, start)); index < this.lines.length; index++) {
      const range = this.lines[index];
      if (range.start >= end) break;
      if (range.start < start || range.line === 0) continue;
      if (range.file === file ? first?.file !== file || range.line < first.line : !first) first = range;
    }
    return first;
  }
}
