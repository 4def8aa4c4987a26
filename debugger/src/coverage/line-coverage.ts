/**
 * Coverage of source lines out of the instructions that ran. A line counts when code was made of it: what the compiler left out is not missing.
 * A line has run when any of its instructions has; so has a function. Reports: lcov's tracefile (man geninfo) and a table by file.
 */
import type { CodeMap } from "../symbols/code-map.ts";

export interface FileCoverage {
  readonly file: string;
  /** Whether a line has run, by line. */
  readonly lines: ReadonlyMap<number, boolean>;
  readonly functions: readonly { readonly name: string; readonly line: number; readonly ran: boolean }[];
}

/** Files whose path starts with `prefix`, in order of their names. */
export function coverLines(map: CodeMap, executed: Iterable<number>, prefix = "os/"): FileCoverage[] {
  const files = new Map<
    string,
    { lines: Map<number, boolean>; functions: Map<string, { line: number; ran: boolean }> }
  >();
  const fileOf = (name: string) => {
    let file = files.get(name);
    if (!file) {
      file = { lines: new Map(), functions: new Map() };
      files.set(name, file);
    }
    return file;
  };
  const wanted = (name: string) => name.startsWith(prefix);
  for (const { file, line } of map.lines) {
    if (line > 0 && wanted(file)) fileOf(file).lines.set(line, false);
  }
  const ran = new Set<number>();
  for (const eip of executed) {
    const line = map.lineAt(eip);
    if (line && wanted(line.file)) fileOf(line.file).lines.set(line.line, true);
    const found = map.functionAt(eip);
    if (found) ran.add(found.start);
  }
  for (const found of map.functions) {
    const source = map.sourceOf(found);
    if (!source || !wanted(source.file)) continue;
    const { functions } = fileOf(source.file);
    const name = found.name.slice(found.name.lastIndexOf("/") + 1);
    const known = functions.get(name);
    functions.set(name, { line: source.line, ran: ran.has(found.start) || known?.ran === true });
  }
  return [...files]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, { lines, functions }]) => ({
      file,
      lines: new Map([...lines].sort(([a], [b]) => a - b)),
      functions: [...functions].map(([name, where]) => ({ name, ...where })).sort((a, b) => a.line - b.line),
    }));
}

const countRan = (all: Iterable<boolean>) => [...all].filter((ran) => ran).length;

/** The tracefile of lcov; counts are 1 for what ran. `root` makes paths absolute. */
export function lcovReport(files: readonly FileCoverage[], root: string): string {
  return files
    .map(({ file, lines, functions }) =>
      [
        "TN:",
        `SF:${root}${file}`,
        ...functions.map(({ name, line }) => `FN:${line},${name}`),
        ...functions.map(({ name, ran }) => `FNDA:${ran ? 1 : 0},${name}`),
        `FNF:${functions.length}`,
        `FNH:${countRan(functions.map(({ ran }) => ran))}`,
        ...[...lines].map(([line, ran]) => `DA:${line},${ran ? 1 : 0}`),
        `LF:${lines.size}`,
        `LH:${countRan(lines.values())}`,
        "end_of_record\n",
      ].join("\n"),
    )
    .join("");
}

/** A row a folder, a row a file below it, and the lines that did not run, as ranges. */
export function coverageTable(files: readonly FileCoverage[]): string {
  const rows: [string, string, string, string][] = [["lines", "functions", "file", "not run"]];
  const share = (ran: number, all: number) =>
    `${all === 0 ? "-" : `${((100 * ran) / all).toFixed(1)}%`} of ${String(all).padStart(4)}`;
  const row = (
    name: string,
    some: readonly FileCoverage[],
    missing: string,
  ): [string, string, string, string] => {
    const lines = some.flatMap((file) => [...file.lines.values()]);
    const functions = some.flatMap((file) => file.functions.map(({ ran }) => ran));
    return [
      share(countRan(lines), lines.length),
      share(countRan(functions), functions.length),
      name,
      missing,
    ];
  };
  const folderOf = (file: string) => file.slice(0, file.lastIndexOf("/"));
  for (const folder of new Set(files.map(({ file }) => folderOf(file)))) {
    const inside = files.filter(({ file }) => folderOf(file) === folder);
    rows.push(row(folder, inside, ""));
    for (const file of inside)
      rows.push(row(`  ${file.file.slice(folder.length + 1)}`, [file], missingRanges(file.lines)));
  }
  rows.push(row("all", files, ""));
  const widths = [0, 1, 2].map((column) => Math.max(...rows.map((cells) => cells[column].length)));
  return rows
    .map(([lines, functions, file, missing]) =>
      `${lines.padStart(widths[0])}  ${functions.padStart(widths[1])}  ${file.padEnd(widths[2])}  ${missing}`.trimEnd(),
    )
    .map((line) => `${line}\n`)
    .join("");
}

/** Runs of lines that did not run, with no line between them that did. */
function missingRanges(lines: ReadonlyMap<number, boolean>): string {
  const ranges: string[] = [];
  let [first, last] = [0, 0];
  const end = () => {
    if (first > 0) ranges.push(first === last ? `${first}` : `${first}-${last}`);
    first = 0;
  };
  for (const [line, ran] of lines) {
    if (ran) end();
    else {
      if (first === 0) first = line;
      last = line;
    }
  }
  end();
  return ranges.join(" ");
}
