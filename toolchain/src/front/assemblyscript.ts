/**
 * Runs AssemblyScript's compiler on rewritten sources held in memory, and hands over the Binaryen module before anything is
 * optimised. The compiler's own interface is used, not the `asc` command's: that one ends the process when the compiler
 * fails. Diagnostics come back in terms of the sources as the programmer wrote them.
 */

import compilerModule from "assemblyscript";
import { libraryFiles } from "assemblyscript/asc";
import { BuildError, type SourcePosition } from "../contract.ts";
import { type WrappedModule, wrapModule } from "./binaryen.ts";
import { runtimeModule, runtimeSource } from "./generated-modules.ts";
import type { Bases } from "./relocate.ts";

export interface CompilerInput {
  /** Entry file of the image: "os/apps/hello/main.ts". */
  readonly entry: string;
  /** Text of a file; undefined when there is none. */
  readText(path: string): string | undefined;
  /** Where a place of a rewritten file stands in the original; undefined for generated files. */
  originalPosition(path: string, offset: number): SourcePosition | undefined;
}

type Handle = object;

/** What the front uses of AssemblyScript's compiler interface. */
interface AssemblyScript {
  newOptions(): Handle;
  setTarget(options: Handle, target: number): void;
  setRuntime(options: Handle, runtime: number): void;
  setDebugInfo(options: Handle, on: boolean): void;
  setSourceMap(options: Handle, on: boolean): void;
  setExportMemory(options: Handle, on: boolean): void;
  setMemoryBase(options: Handle, base: number): void;
  setTableBase(options: Handle, base: number): void;
  setOptimizeLevelHints(options: Handle, optimize: number, shrink: number): void;
  addGlobalAlias(options: Handle, alias: string, name: string): void;
  setFeature(options: Handle, feature: number, on: boolean): void;
  readonly FEATURE_SIMD: number;
  readonly FEATURE_REFERENCE_TYPES: number;
  newProgram(options: Handle): Handle;
  parse(program: Handle, text: string | null, path: string, isEntry: boolean): void;
  nextFile(program: Handle): string | null;
  initializeProgram(program: Handle): void;
  compile(program: Handle): Handle;
  getBinaryenModuleRef(module: Handle): number;
  nextDiagnostic(program: Handle): Handle | null;
  isError(diagnostic: Handle): boolean;
  getDiagnosticMessage(diagnostic: Handle): string;
  getDiagnosticRange(diagnostic: Handle): Handle | null;
  getRangeStart(range: Handle): number;
  getRangeSource(range: Handle): Handle;
  getSourceNormalizedPath(source: Handle): string;
}

const compiler = compilerModule as unknown as AssemblyScript;
const standardLibrary = libraryFiles as unknown as Readonly<Record<string, string>>;
const libraryPrefix = "~lib/";
const targetWasm32 = 0;
const runtimeStub = 0;
const mostReported = 8;

/** Compiles at the given bases and calls `use` with the unoptimised module, which ends when it returns. */
export function withCompiledModule<T>(
  input: CompilerInput,
  bases: Bases,
  use: (module: WrappedModule) => T,
): T {
  const options = compiler.newOptions();
  compiler.setTarget(options, targetWasm32);
  compiler.setRuntime(options, runtimeStub);
  compiler.setDebugInfo(options, true);
  compiler.setSourceMap(options, true);
  // Its fixed export names ("memory", "table") would clash with functions of the image; `optimise.ts` exports both.
  compiler.setExportMemory(options, false);
  compiler.setMemoryBase(options, bases.memoryBase);
  compiler.setTableBase(options, bases.tableBase);
  compiler.setOptimizeLevelHints(options, 3, 0);
  // Without an `abort`, a failed assertion is `unreachable`: an undefined instruction, found by its line.
  compiler.addGlobalAlias(options, "abort", "");
  compiler.setFeature(options, compiler.FEATURE_SIMD, false);
  compiler.setFeature(options, compiler.FEATURE_REFERENCE_TYPES, false);
  const program = compiler.newProgram(options);

  for (const [name, text] of Object.entries(standardLibrary)) {
    if (!name.includes("/")) compiler.parse(program, text, `${libraryPrefix}${name}.ts`, false);
  }
  compiler.parse(program, runtimeSource, `${runtimeModule}.ts`, true);
  const entryText = input.readText(input.entry);
  if (entryText === undefined)
    throw new BuildError(`the entry file ${input.entry} does not exist`, { file: input.entry });
  compiler.parse(program, entryText, input.entry, true);
  for (let path = compiler.nextFile(program); path !== null; path = compiler.nextFile(program))
    parseImported(input, program, path);
  checkDiagnostics(input, program);
  const compiled = guarded(input, program, () => {
    compiler.initializeProgram(program);
    return compiler.compile(program);
  });
  const module = wrapModule(compiler.getBinaryenModuleRef(compiled));
  try {
    checkDiagnostics(input, program);
    return use(module);
  } finally {
    module.dispose();
  }
}

function parseImported(input: CompilerInput, program: Handle, path: string): void {
  if (path.startsWith(libraryPrefix)) {
    const name = path.slice(libraryPrefix.length);
    const found = [name, `${name}/index`].find((candidate) => Object.hasOwn(standardLibrary, candidate));
    if (found !== undefined) {
      compiler.parse(program, standardLibrary[found]!, `${libraryPrefix}${found}.ts`, false);
      return;
    }
  }
  compiler.parse(program, input.readText(`${path}.ts`) ?? null, `${path}.ts`, false);
}

/** The compiler reports what it can; what it throws is a failure of its own, often after errors that explain it. */
function guarded<T>(input: CompilerInput, program: Handle, work: () => T): T {
  try {
    return work();
  } catch (error) {
    checkDiagnostics(input, program);
    const reason = error instanceof Error ? error.message : String(error);
    throw new BuildError(
      `AssemblyScript's compiler failed (${reason})`,
      { file: input.entry },
      { cause: error },
    );
  }
}

function checkDiagnostics(input: CompilerInput, program: Handle): void {
  const problems: { message: string; position: SourcePosition | undefined }[] = [];
  for (let next = compiler.nextDiagnostic(program); next !== null; next = compiler.nextDiagnostic(program)) {
    if (!compiler.isError(next)) continue;
    const range = compiler.getDiagnosticRange(next);
    const position = range
      ? input.originalPosition(
          compiler.getSourceNormalizedPath(compiler.getRangeSource(range)),
          compiler.getRangeStart(range),
        )
      : undefined;
    problems.push({ message: explain(compiler.getDiagnosticMessage(next)), position });
  }
  if (problems.length > 0) throw problemsError(problems, input.entry);
}

function problemsError(
  problems: ReadonlyArray<{ message: string; position: SourcePosition | undefined }>,
  entry: string,
): BuildError {
  const lines = [
    ...new Set(
      problems.map(({ message, position }) =>
        position ? `${position.file}:${position.line}:${position.column}: ${message}` : message,
      ),
    ),
  ];
  const first = problems[0]!;
  const rest = lines.slice(1, mostReported);
  if (lines.length > mostReported) rest.push(`… and ${lines.length - mostReported} more`);
  return new BuildError(
    [first.message, ...rest].join("\n"),
    first.position ? { position: first.position } : { file: entry },
  );
}

/** The compiler speaks of what the rewriter made; this says it in terms of what was written. */
function explain(message: string): string {
  const lacks = /^Property '\$as_(\w+)' does not exist on type '([^']*)'/.exec(message);
  if (lacks) return `${shortName(lacks[2]!)} does not implement ${lacks[1]}`;
  const create = /^Property '\$create' does not exist on type '([^']*)'/.exec(message);
  if (create) return `${shortName(create[1]!)} is not a server class: it does not extend ComObject`;
  return message;
}

function shortName(internalName: string): string {
  return internalName.slice(internalName.lastIndexOf("/") + 1);
}
