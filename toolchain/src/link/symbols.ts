/**
 * Symbols of one image: what its objects define, what they take from libraries, and the errors when either is missing.
 * The spelling of symbols is drawn in `contract.ts`.
 */
import { BuildError, type CodeObject, type ImportedFunction, type SourcePosition } from "../contract.ts";
import { nearest } from "./nearest.ts";

const IMPORT_PREFIX = "import:";

/** Import slots of an image in order of first use, checked against what the libraries export. */
export class ImportTable {
  /** "LIB!NAME" in slot order. */
  readonly names: string[] = [];
  private readonly slots = new Map<string, number>();

  /** Index of the slot for "LIB!NAME". */
  slot(name: string): number | undefined {
    return this.slots.get(name);
  }

  add(name: string): void {
    if (this.slots.has(name)) return;
    this.slots.set(name, this.names.length);
    this.names.push(name);
  }

  /** Libraries in order of first use. */
  libraries(): string[] {
    return [...new Set(this.names.map((name) => name.slice(0, name.indexOf("!"))))];
  }
}

/** "LIB!NAME" of an import symbol, or undefined for any other symbol. */
export function importedName(symbol: string): string | undefined {
  return symbol.startsWith(IMPORT_PREFIX) ? symbol.slice(IMPORT_PREFIX.length) : undefined;
}

/** Where the code at `offset` of an object's text comes from. */
export function positionAt(object: CodeObject, offset: number): SourcePosition | undefined {
  for (const info of object.functions) {
    if (offset < info.offset || offset >= info.offset + info.size) continue;
    let position = info.lines[0]?.position;
    for (const line of info.lines) {
      if (line.offset > offset - info.offset) break;
      position = line.position;
    }
    return position;
  }
  return undefined;
}

function functionAt(object: CodeObject, offset: number): string | undefined {
  return object.functions.find((info) => offset >= info.offset && offset < info.offset + info.size)?.name;
}

/** Fails with everything a person needs to find the missing symbol. */
export function undefinedSymbol(
  image: string,
  symbol: string,
  object: CodeObject,
  offset: number | undefined,
  known: Iterable<string>,
): BuildError {
  const guess = nearest(symbol, known);
  const user = offset === undefined ? undefined : functionAt(object, offset);
  const place = user ? ` (used in ${user})` : "";
  const position = offset === undefined ? undefined : positionAt(object, offset);
  return new BuildError(
    `undefined symbol "${symbol}" in image "${image}"${place}${guess ? `; the nearest name is "${guess}"` : ""}`,
    { symbol, position, file: object.name },
  );
}

/** The imports that the objects really use. `libraries` maps a library's name to the names it exports. */
export function collectImports(
  image: string,
  objects: readonly CodeObject[],
  libraries: ReadonlyMap<string, Iterable<string>>,
): ImportTable {
  const table = new ImportTable();
  const declared = new Map<string, ImportedFunction>();
  for (const object of objects) {
    for (const entry of object.imports) declared.set(`${entry.library}!${entry.name}`, entry);
  }
  for (const object of objects) {
    const use = (symbol: string, position: SourcePosition | undefined) => {
      const name = importedName(symbol);
      if (name === undefined || table.slot(name) !== undefined) return;
      const separator = name.indexOf("!");
      const library = name.slice(0, separator);
      const wanted = name.slice(separator + 1);
      const where = { symbol: name, position: declared.get(name)?.position ?? position, file: object.name };
      const exported = libraries.get(library);
      if (separator <= 0 || exported === undefined) {
        const guess = nearest(library, libraries.keys());
        const hint = guess ? `; the nearest name is "${guess}"` : "";
        throw new BuildError(
          `image "${image}" imports "${wanted}" from a library "${library}" that does not exist${hint}`,
          where,
        );
      }
      const names = new Set(exported);
      if (!names.has(wanted)) {
        const guess = nearest(wanted, names);
        const hint = guess ? `; the nearest name is "${guess}"` : "";
        throw new BuildError(
          `image "${image}" imports "${wanted}", which library "${library}" does not export${hint}`,
          where,
        );
      }
      table.add(name);
    };
    for (const fixup of object.textFixups) use(fixup.symbol, positionAt(object, fixup.offset));
    for (const fixup of object.data?.fixups ?? []) use(fixup.symbol, undefined);
  }
  return table;
}

/** The names that other images reach in a library: its exported functions and its assembly's labels. */
export function exportedNames(objects: readonly CodeObject[]): string[] {
  const names = new Set<string>();
  for (const object of objects) {
    for (const info of object.functions) for (const name of info.exports) names.add(name);
  }
  return [...names].sort();
}
