/**
 * Names shared by the rewritten sources and the modules that the front adds to every image ("rialto/…"): ambient functions,
 * ComObject, static text, the interface table, and the stand-in for AssemblyScript's managed runtime.
 *
 * Two kinds of value in rewritten sources are recognised again in the compiled module: an address of static data, because it
 * moves with the memory base; and a function's code address, written `changetype<usize>(f) + FUNCTION_TAG`, because that
 * points where no static data can be. Import modules say what a call needs:
 *
 *   intrinsic        expanded by the back end             assembly         label of the image's own *.asm.ts
 *   library:NAME     exported function of os/lib/NAME     anything else    an error with the place of its first use
 */

import ts from "typescript";
import { BuildError } from "../contract.ts";
import { parseSource, positionOf } from "./interfaces.ts";

export const ambientModule = "rialto/ambient";
export const objectModule = "rialto/objects";
export const textModule = "rialto/text";
export const interfaceTableModule = "rialto/interfaces";
export const runtimeModule = "rialto/runtime";
export const exportsModule = "rialto/exports";

/** Odd, so that no aligned word is one by chance. */
export const FUNCTION_TAG = 0x60000001;

/** Import module of the stand-ins for the managed runtime; a call of one is an error. */
export const managedImport = "managed";
/** Import module of another library's mutable globals; a use is an error. */
export const foreignGlobalImport = "library-global";

/** Ambient functions that the rewriter replaces; all others are intrinsics of the back end. */
export const rewrittenAmbient: ReadonlySet<string> = new Set([
  "text",
  "functionAddress",
  "newObject",
  "interfaceOf",
  "interfaceTable",
]);

export interface AmbientFunctions {
  /** Names of the back end's intrinsics. */
  readonly intrinsics: ReadonlySet<string>;
  /** AssemblyScript source of the module that declares them. */
  readonly source: string;
}

export const ambientFile = "os/ambient.d.ts";

export function readAmbient(text: string): AmbientFunctions {
  const source = parseSource(ambientFile, text);
  const intrinsics = new Set<string>();
  const lines: string[] = [];
  for (const statement of source.statements) {
    if (!ts.isFunctionDeclaration(statement) || !statement.name) continue;
    const name = statement.name.text;
    if (rewrittenAmbient.has(name)) continue;
    if (statement.typeParameters?.length) {
      throw new BuildError(`an intrinsic must not be generic`, { position: positionOf(source, statement) });
    }
    intrinsics.add(name);
    const parameters = statement.parameters.map((parameter) => parameter.getText(source)).join(", ");
    const result = statement.type?.getText(source) ?? "void";
    lines.push(
      `@external("intrinsic", "${name}") export declare function ${name}(${parameters}): ${result === "never" ? "void" : result};`,
    );
  }
  return { intrinsics, source: `${lines.join("\n")}\n` };
}

/** ComObject as the guest's compiler sees it; `os/README.md` draws the layout. */
export const objectSource = `import { atomicAdd } from "../${ambientModule}";
@unmanaged export class ComObject {
  $vtable: usize;
  references: u32;
  @inline queryInterface(iid: u32, out: usize): i32 { return call_indirect<i32>(load<u32>(this.$vtable), changetype<usize>(this), iid, out); }
  @inline addRef(): u32 { return call_indirect<u32>(load<u32>(this.$vtable, 4), changetype<usize>(this)); }
  @inline release(): u32 { return call_indirect<u32>(load<u32>(this.$vtable, 8), changetype<usize>(this)); }
}
export function $addRef(self: usize): u32 { return atomicAdd(self + 4, 1) + 1; }
export function $dropReference(self: usize): u32 { return atomicAdd(self + 4, 0xffffffff) - 1; }
`;

const managedFunctions = `__new(size: usize, id: u32): usize
__renew(address: usize, size: usize): usize
__link(parent: usize, child: usize, expectMultiple: bool): void
__collect(): void
__pin(address: usize): usize
__unpin(address: usize): void
__alloc(size: usize): usize
__realloc(address: usize, size: usize): usize
__free(address: usize): void`;

export const runtimeSource = managedFunctions
  .split("\n")
  .map(
    (line) =>
      `// @ts-ignore\n@global @unsafe @external("${managedImport}", "${line.slice(0, line.indexOf("("))}") declare function ${line};\n`,
  )
  .join("");

/** One constant for each distinct literal of the image. */
export class TextPool {
  private readonly identifiers = new Map<string, string>();

  identifier(text: string): string {
    let identifier = this.identifiers.get(text);
    if (!identifier) {
      identifier = `$text${this.identifiers.size}`;
      this.identifiers.set(text, identifier);
    }
    return identifier;
  }

  source(): string {
    let out = "";
    for (const [text, identifier] of this.identifiers) {
      const bytes = [...new TextEncoder().encode(text), 0];
      out += `@lazy export const ${identifier}: usize = memory.data<u8>([${bytes.join(",")}]);\n`;
    }
    return out;
  }
}
