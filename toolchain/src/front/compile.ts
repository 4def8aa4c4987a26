/**
 * The front: guest sources of one image → `FrontModule`. Reads the files that the image's entries reach, rewrites them
 * (`rewrite.ts`), compiles them at two bases (`relocate.ts`), optimises once, and turns Binaryen's output into what the back
 * end reads (`wasm-rewriter.ts`). Nothing here touches files or Node: sources come through `readFile`.
 */

import ts from "typescript";
import { BuildError, type FrontModule, type SourcePosition } from "../contract.ts";
import { type CompilerInput, withCompiledModule } from "./assemblyscript.ts";
import { descriptorSource } from "./descriptors.ts";
import type { EditedText } from "./edited-text.ts";
import { lineStarts } from "./edited-text.ts";
import {
  ambientFile,
  ambientModule,
  exportsModule,
  foreignGlobalImport,
  interfaceTableModule,
  managedImport,
  objectModule,
  objectSource,
  readAmbient,
  TextPool,
  textModule,
} from "./generated-modules.ts";
import { positionOf } from "./interfaces.ts";
import { optimise } from "./optimise.ts";
import { relativeSpecifier, withoutExtension } from "./paths.ts";
import { Program } from "./program.ts";
import { type Bases, readReference, relocate } from "./relocate.ts";
import { type ImageContext, rewriteUnit } from "./rewrite.ts";
import { librarySignatures } from "./signatures.ts";
import { type DecodedMap, decodeSourceMap, findMapping } from "./source-map.ts";
import { dropForwardingThunks } from "./thunks.ts";
import { importUses, rewriteModule } from "./wasm-rewriter.ts";

export interface ImageSource {
  /** Image name: "kernel", "rt", "hello". */
  readonly name: string;
  readonly kind: "kernel" | "library" | "program";
  /** main.ts of a kernel or program; all .ts files of a library. Paths are relative to the repository's root. */
  readonly entries: readonly string[];
  /** Text of a file of the repository, undefined if there is none. The ambient declarations are read through it too. */
  readonly readFile: (path: string) => string | undefined;
  /** Shared libraries that exist, by name: an import from any other is an error. All are allowed when absent. */
  readonly libraries?: readonly string[];
  /** All files of os/interfaces, for the table of interfaces of who asks for it. */
  readonly interfaceFiles?: readonly string[];
  /** Where static data starts in the module handed on; only a start value, since everything is relocated. */
  readonly memoryBase?: number;
}

const defaultMemoryBase = 0x10000;
const tableBase = 1;
/**
 * Distances between the two compilations. Bits 4 and up are mixed, so that an address rounded by the compiler differs by something
 * else and is found; the low bits are zero, since the linker aligns static data to 16.
 */
const memoryDistance = 0x15a5a010;
const tableDistance = 0x2000;

export async function compileImage(image: ImageSource): Promise<FrontModule> {
  const program = new Program(image.entries, image.interfaceFiles ?? [], image.readFile);
  const sources = rewriteImage(image, program);
  const memoryBase = image.memoryBase ?? defaultMemoryBase;
  const bases: Bases = { memoryBase, tableBase };
  const otherBases: Bases = {
    memoryBase: memoryBase < 0x40000000 ? memoryBase + memoryDistance : memoryBase - memoryDistance,
    tableBase: tableBase + tableDistance,
  };
  const reference = withCompiledModule(sources, otherBases, (module) => readReference(module, otherBases));
  const { emitted, data } = withCompiledModule(sources, bases, (module) => {
    const relocated = relocate(module, bases, reference, (name) => functionPosition(program, name));
    dropForwardingThunks(module);
    optimise(module, relocated.stackUsers);
    if (!module.validate())
      throw new BuildError("Binaryen finds the module invalid", { file: image.entries[0] });
    return { emitted: module.emitBinary("image.map"), data: relocated.data };
  });
  const map = decodeSourceMap(emitted.sourceMap);
  checkImports(image, emitted.binary, (offset) => originalAt(sources, map, offset));
  const rewritten = rewriteModule(emitted.binary, memoryBase, data.bytes);
  return {
    name: image.name,
    wasm: rewritten.wasm,
    memoryBase,
    dataEnd: data.end,
    tableBase,
    codeRelocations: rewritten.codeRelocations,
    dataRelocations: data.relocations,
    signatures: librarySignatures(program),
    sourceAt: (offset) => {
      const old = rewritten.oldOffset(offset);
      return old < 0 ? undefined : originalAt(sources, map, old);
    },
  };
}

interface RewrittenSources extends CompilerInput {
  positionOfLine(path: string, line: number, column: number): SourcePosition | undefined;
}

function rewriteImage(image: ImageSource, program: Program): RewrittenSources {
  const ambientText = image.readFile(ambientFile);
  if (ambientText === undefined) throw new BuildError(`${ambientFile} does not exist`, { file: ambientFile });
  const texts = new TextPool();
  const context: ImageContext = {
    program,
    ambient: readAmbient(ambientText),
    texts,
    library: image.kind === "library" ? image.name : undefined,
    heapModule: image.kind === "kernel" ? "os/kernel/memory/heap" : "os/lib/rt/heap",
  };
  addHeap(program, context);
  const edited = new Map<string, EditedText>();
  for (const [path, unit] of program.units) edited.set(path, rewriteUnit(unit, context));
  const generated = new Map<string, string>([
    [`${ambientModule}.ts`, context.ambient.source],
    [`${objectModule}.ts`, objectSource],
  ]);
  if (program.usesInterfaceTable) {
    const source = descriptorSource(program.interfaces, "./text", (text) => texts.identifier(text));
    generated.set(`${interfaceTableModule}.ts`, source);
  }
  generated.set(`${textModule}.ts`, texts.source());
  let entry = image.entries[0]!;
  if (image.kind === "library") {
    entry = `${exportsModule}.ts`;
    generated.set(entry, libraryExports(image, program));
  } else checkEntry(image, program);
  const originalLines = new Map<string, number[]>();
  const position = (path: string, place: { offset: number }): SourcePosition => {
    const text = program.units.get(path)!.source.text;
    let starts = originalLines.get(path);
    if (!starts) {
      starts = lineStarts(text);
      originalLines.set(path, starts);
    }
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (starts[middle]! <= place.offset) low = middle;
      else high = middle - 1;
    }
    return { file: path, line: low + 1, column: place.offset - starts[low]! + 1 };
  };
  return {
    entry,
    readText: (path) => edited.get(path)?.render() ?? generated.get(path),
    originalPosition: (path, offset) => {
      const text = edited.get(path);
      return text && position(path, text.originalOf(offset));
    },
    positionOfLine: (path, line, column) => {
      const text = edited.get(path);
      const place = text?.originalOfLine(line, column);
      return place && !place.hidden ? position(path, place) : undefined;
    },
  };
}

/** Server classes need the heap; its file joins the image when one of them is there and nothing else imports it. */
function addHeap(program: Program, context: ImageContext): void {
  const path = `${context.heapModule}.ts`;
  if (program.units.has(path)) return;
  for (const unit of [...program.units.values()]) {
    for (const declaration of unit.declarations.values()) {
      if (ts.isClassDeclaration(declaration) && program.serverClass(unit, declaration)) {
        program.add(path, positionOf(unit.source, declaration.name ?? declaration));
        return;
      }
    }
  }
}

function checkEntry(image: ImageSource, program: Program): void {
  const path = image.entries[0];
  if (path === undefined) throw new BuildError(`image ${image.name} has no entry file`);
  if (image.kind !== "program") return;
  const main = program.units.get(path)!.declarations.get("main");
  if (
    !main ||
    !ts.isFunctionDeclaration(main) ||
    !(ts.getCombinedModifierFlags(main) & ts.ModifierFlags.Export)
  ) {
    throw new BuildError("a program exports `function main(argc: i32, argv: usize): i32`", { file: path });
  }
  const unit = program.units.get(path)!;
  const types = main.parameters.map((parameter) => parameter.type?.getText(unit.source));
  if (
    types.length !== 2 ||
    types[0] !== "i32" ||
    !["usize", "u32"].includes(types[1] ?? "") ||
    main.type?.getText(unit.source) !== "i32"
  ) {
    throw new BuildError("main must be `main(argc: i32, argv: usize): i32`", {
      position: positionOf(unit.source, main.name!),
    });
  }
}

/** The entry module of a library: every exported function of every file, each under its plain name. */
function libraryExports(image: ImageSource, program: Program): string {
  const owners = new Map<string, string>();
  const lines: string[] = [];
  for (const path of [...image.entries].sort()) {
    const unit = program.units.get(path)!;
    const names: string[] = [];
    for (const [name, declaration] of unit.declarations) {
      if (!ts.isFunctionDeclaration(declaration) || declaration.typeParameters?.length) continue;
      if (!(ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Export)) continue;
      const owner = owners.get(name);
      if (owner) {
        throw new BuildError(
          `library ${image.name} exports two functions named ${name}; the other is in ${owner}`,
          {
            position: positionOf(unit.source, declaration.name!),
          },
        );
      }
      owners.set(name, path);
      names.push(name);
    }
    const specifier = relativeSpecifier(`${exportsModule}.ts`, withoutExtension(path));
    lines.push(
      names.length ? `export { ${names.join(", ")} } from "${specifier}";` : `import "${specifier}";`,
    );
  }
  return `${lines.join("\n")}\n`;
}

/** Every import must be something that the image can have; anything else is told with the place of its first use. */
function checkImports(
  image: ImageSource,
  wasm: Uint8Array,
  originalPosition: (offset: number) => SourcePosition | undefined,
): void {
  for (const use of importUses(wasm)) {
    const position = use.offset === undefined ? undefined : originalPosition(use.offset);
    const where = { position, symbol: use.name, ...(position ? {} : { file: image.entries[0] }) };
    if (use.module === "intrinsic" || (use.module === "assembly" && use.kind === "function")) continue;
    if (use.module.startsWith("library:")) {
      const library = use.module.slice("library:".length);
      if (image.kind === "kernel")
        throw new BuildError(`the kernel uses no libraries, but ${use.name} is one of ${library}'s`, where);
      if (image.libraries && !image.libraries.includes(library))
        throw new BuildError(`no library is named ${library}, of which ${use.name} is used`, where);
      continue;
    }
    if (use.module === managedImport) {
      throw new BuildError(
        `this needs AssemblyScript's managed runtime (${use.name}); guest code has none: use @unmanaged classes and allocate`,
        where,
      );
    }
    if (use.module === foreignGlobalImport) {
      throw new BuildError(
        `variable ${use.name} cannot be used outside of its library; call a function of the library`,
        where,
      );
    }
    throw new BuildError(
      `${use.module}.${use.name} exists only where AssemblyScript's own environment does`,
      where,
    );
  }
}

function originalAt(sources: RewrittenSources, map: DecodedMap, offset: number): SourcePosition | undefined {
  const index = findMapping(map, offset);
  if (index < 0) return undefined;
  const source = map.sourceIndices[index]!;
  if (source < 0) return undefined;
  return sources.positionOfLine(map.sources[source]!, map.lines[index]!, map.columns[index]!);
}

/** "os/apps/hello/main/Point#length" → where that method stands. */
function functionPosition(program: Program, internalName: string): SourcePosition | undefined {
  for (const [path, unit] of program.units) {
    const prefix = `${withoutExtension(path)}/`;
    if (!internalName.startsWith(prefix)) continue;
    const [owner, member] = internalName.slice(prefix.length).replace(/<.*$/, "").split(/[#.]/);
    const declaration = unit.declarations.get(owner!);
    if (!declaration) continue;
    if (member !== undefined && ts.isClassDeclaration(declaration)) {
      const found = declaration.members.find((candidate) => candidate.name?.getText(unit.source) === member);
      if (found) return positionOf(unit.source, found);
    }
    return positionOf(unit.source, declaration);
  }
  return undefined;
}
