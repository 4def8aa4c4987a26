/**
 * Runs AssemblyScript's compiler on rewritten sources held in memory, and hands over the Binaryen module before asc
 * optimises it. Diagnostics come back in terms of the sources as the programmer wrote them.
 */

import { main } from "assemblyscript/asc";
import { BuildError, type SourcePosition } from "../contract.ts";
import type { WrappedModule } from "./binaryen.ts";
import { runtimeModule, runtimeSource } from "./generated-modules.ts";
import type { Bases } from "./relocate.ts";

export interface CompilerInput {
  readonly imageName: string;
  /** Entry file of the image: "os/apps/hello/main.ts". */
  readonly entry: string;
  /** Text of a file; undefined when there is none. */
  readText(path: string): string | undefined;
  /** Where a place of a rewritten file stands in the original; undefined for generated files. */
  originalPosition(path: string, offset: number): SourcePosition | undefined;
}

interface Diagnostic {
  readonly message: string;
  readonly code: number;
  readonly category: number;
  readonly range: { readonly start: number; readonly source: { readonly normalizedPath: string } } | null;
}

const categoryError = 3;
const mostReported = 8;

/** Compiles at the given bases and calls `use` with the unoptimised module; its result is the result. */
export async function withCompiledModule<T>(
  input: CompilerInput,
  bases: Bases,
  use: (module: WrappedModule) => T,
): Promise<T> {
  const problems: { message: string; position: SourcePosition | undefined }[] = [];
  let result: { readonly value: T } | undefined;
  let failure: unknown;
  const stop = new Error("compiled");
  const afterCompile = (module: unknown): void => {
    try {
      result = { value: use(module as WrappedModule) };
    } catch (error) {
      failure = error;
    }
    throw stop; // what asc would do next, the front does itself
  };
  const reportDiagnostic = (diagnostic: unknown): void => {
    const { message, category, range } = diagnostic as Diagnostic;
    if (category !== categoryError) return;
    problems.push({
      message: explain(message),
      position: range ? input.originalPosition(range.source.normalizedPath, range.start) : undefined,
    });
  };
  const options = [
    input.entry,
    ...["--runtime", runtimeModule],
    ...["--optimizeLevel", "3", "--debug", "--sourceMap", "--noColors", "--disableWarning"],
    ...["--use", "abort="],
    // Any image can call a function whose address it was given: without this Binaryen empties those never called here.
    "--exportTable",
    ...["--memoryBase", String(bases.memoryBase)],
    ...["--tableBase", String(bases.tableBase)],
    ...["--disable", "simd,reference-types,multi-value,gc,exception-handling"],
  ];
  const outcome = await main(options, {
    readFile: (name: string) =>
      name === `${runtimeModule}.ts` ? runtimeSource : (input.readText(name) ?? null),
    writeFile: () => {},
    listFiles: () => [],
    reportDiagnostic,
    transforms: [{ afterCompile }],
  } as unknown as Parameters<typeof main>[1]);
  if (failure !== undefined) throw failure;
  if (problems.length > 0) throw problemsError(problems);
  if (!result)
    throw new BuildError(`AssemblyScript failed: ${outcome.error?.message ?? "no result"}`, {
      file: input.entry,
    });
  return result.value;
}

function problemsError(
  problems: ReadonlyArray<{ message: string; position: SourcePosition | undefined }>,
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
  return new BuildError([first.message, ...rest].join("\n"), { position: first.position });
}

/** asc speaks of what the rewriter made; this says it in terms of what was written. */
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
