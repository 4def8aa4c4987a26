/**
 * Runs the `*.asm.ts` files of an image: each exports `assemble(a: Assembler): void` and gets an assembler of its own.
 * Its labels become symbols of the image (and exports, in a library).
 */
import { pathToFileURL } from "node:url";
import { Assembler } from "@rialto/machine/i386/assembler.ts";
import type { AssembledCode } from "@rialto/machine/i386/assembly.ts";
import { BuildError, type CodeObject, type FunctionInfo } from "../contract.ts";

/** The linker's view of assembled code: every label is a function that reaches to the next one. */
export function assembledObject(name: string, code: AssembledCode): CodeObject {
  const labels = [...code.symbols].sort(([, a], [, b]) => a - b);
  const functions = labels.map(([label, offset]): FunctionInfo => {
    const next = labels.find(([, other]) => other > offset);
    const size = (next?.[1] ?? code.text.length) - offset;
    return { name: label, exports: [label], offset, size, lines: [], variables: [], framed: false };
  });
  return { name, text: code.text, textFixups: code.fixups, functions, globals: [], imports: [] };
}

/** `name` is the file's path for messages. `version` (a content hash) makes a changed file load again. */
export async function assembleFile(file: string, name: string, version: string): Promise<CodeObject> {
  let module: { assemble?: unknown };
  try {
    module = await import(`${pathToFileURL(file).href}?${version}`);
  } catch (cause) {
    throw new BuildError(`this assembly file does not load: ${messageOf(cause)}`, { file: name }, { cause });
  }
  if (typeof module.assemble !== "function") {
    throw new BuildError("an assembly file must export `function assemble(a: Assembler): void`", {
      file: name,
    });
  }
  const assembler = new Assembler();
  try {
    module.assemble(assembler);
    return assembledObject(name, assembler.finish());
  } catch (cause) {
    throw new BuildError(`assembling failed: ${messageOf(cause)}`, { file: name }, { cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
