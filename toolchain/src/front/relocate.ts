/**
 * Finds every address in a compiled module. The image is compiled at two memory bases and two table bases; before anything
 * is optimised, both modules are walked in step: a constant or data word that moved by the distance of the memory bases is
 * an address of static data, one that moved by the distance of the table bases is a function. Anything else that moved is an
 * error: an address took part in arithmetic at compile time.
 *
 * Each address in code then becomes the value of an immutable imported global. Binaryen cannot see through that, so it
 * cannot fold an address into masks, shifts or comparisons, nor resolve a call through it; `wasm-rewriter.ts` turns the
 * globals back into constants and so knows the exact place of every relocation.
 */

import { BuildError, type SourcePosition } from "../contract.ts";
import {
  binaryen,
  callId,
  callTarget,
  constId,
  dataSegments,
  type Expression,
  functionAt,
  functionBody,
  functionCount,
  functionNamePointer,
  globalAt,
  globalCount,
  idOf,
  loadId,
  loadOffset,
  rewriteTree,
  setFunctionBody,
  storeId,
  storeOffset,
  typeOf,
  valueOfI32,
  valueOfI64,
  type WrappedModule,
} from "./binaryen.ts";
import { FUNCTION_TAG } from "./generated-modules.ts";

/** Import module of the globals that stand for addresses; the base is "data:ADDRESS" or "function:ADDRESS OF ITS OBJECT". */
export const relocationImport = "relocation";

export interface Bases {
  readonly memoryBase: number;
  readonly tableBase: number;
}

/** What is kept of the first compilation, at bases that are thrown away. */
export interface ReferenceModule {
  readonly bases: Bases;
  readonly constants: ReadonlyMap<string, readonly number[]>;
  readonly globals: ReadonlyMap<string, number>;
  readonly segments: ReadonlyArray<{ readonly offset: number; readonly bytes: Uint8Array }>;
}

export interface RelocatedData {
  /** Static data from the memory base, function words already filled with table indices. */
  readonly bytes: Uint8Array;
  readonly end: number;
  readonly relocations: ReadonlyArray<{ readonly offset: number; readonly kind: "data" | "function" }>;
}

export interface RelocatedModule {
  readonly data: RelocatedData;
  /** Functions that adjust their own stack, so must not be inlined. */
  readonly stackUsers: readonly string[];
}

/** Position of a function by AssemblyScript's internal name, for errors. */
export type FunctionPosition = (internalName: string) => SourcePosition | undefined;

/** Every constant that could be an address, in walking order. */
function collectConstants(
  body: Expression,
  where: string,
  use: (value: number, expression: Expression, wide: boolean) => Expression,
  onCall: (target: number) => void,
): Expression {
  return rewriteTree(
    body,
    (expression, id) => {
      if (id === constId) {
        const type = typeOf(expression);
        if (type === binaryen.i32) return use(valueOfI32(expression), expression, false);
        if (type === binaryen.i64) {
          const value = valueOfI64(expression);
          use(Number(BigInt.asIntN(32, value)), expression, true);
          use(Number(BigInt.asIntN(32, value >> 32n)), expression, true);
        }
      } else if (id === loadId) use(Number(loadOffset(expression)), expression, true);
      else if (id === storeId) use(Number(storeOffset(expression)), expression, true);
      else if (id === callId) onCall(callTarget(expression));
      return expression;
    },
    where,
  );
}

export function readReference(module: WrappedModule, bases: Bases): ReferenceModule {
  const constants = new Map<string, number[]>();
  eachFunction(module, (_func, name, body) => {
    const values: number[] = [];
    collectConstants(
      body,
      name,
      (value, expression) => {
        values.push(value);
        return expression;
      },
      () => {},
    );
    constants.set(name, values);
  });
  const globals = new Map<string, number>();
  for (const { name, init } of constantGlobals(module)) globals.set(name, init);
  return { bases, constants, globals, segments: dataSegments(module) };
}

/** Compares with the reference and replaces the module's addresses by imported globals. */
export function relocate(
  module: WrappedModule,
  bases: Bases,
  reference: ReferenceModule,
  positionOf: FunctionPosition,
): RelocatedModule {
  const memoryDistance = (reference.bases.memoryBase - bases.memoryBase) | 0;
  const data = relocateData(module, bases, reference);
  const imported = new Map<string, string>();
  const classify = (value: number, other: number, where: () => string, name: string): string | undefined => {
    if (value === other) return undefined;
    if (((other - value) | 0) !== memoryDistance) {
      throw new BuildError(
        `${where()}: an address takes part in arithmetic at compile time; compute it at run time, from a variable`,
        {
          position: positionOf(name),
          symbol: name,
        },
      );
    }
    const untagged = (value - FUNCTION_TAG) >>> 0;
    if (untagged >= bases.memoryBase && untagged < data.end) return `function:${untagged}`;
    return `data:${value >>> 0}`;
  };
  const importFor = (base: string): string => {
    let name = imported.get(base);
    if (!name) {
      name = `$relocation:${base}`;
      module.addGlobalImport(name, relocationImport, base, binaryen.i32, false);
      imported.set(base, name);
    }
    return name;
  };

  for (const { name, init, mutable, type } of constantGlobals(module)) {
    const other = reference.globals.get(name);
    if (other === undefined) throw new BuildError(`global ${name} exists at one base only`);
    const base = classify(init, other, () => `global ${name}`, name);
    if (base === undefined) continue;
    module.removeGlobal(name);
    if (mutable) module.addGlobal(name, type, true, module.global.get(importFor(base), type));
    else module.addGlobalImport(name, relocationImport, base, binaryen.i32, false);
  }

  // Assembly and other contexts (interrupt handlers, other threads) read and write variables too: exported, they are not
  // folded, whatever this image does with them. The exports end with this module.
  for (const { name, mutable } of [...eachGlobal(module)]) {
    if (mutable && !name.startsWith("~lib/")) module.addGlobalExport(name, `variable:${name}`);
  }

  const stackUsers: string[] = [];
  const stackAllocate = importedFunction(module, "intrinsic", "stackAlloc");
  eachFunction(module, (func, name, body) => {
    const others = reference.constants.get(name);
    let at = 0;
    let usesStack = false;
    const replaced = collectConstants(
      body,
      name,
      (value, expression, wide) => {
        const other = others?.[at++];
        if (other === undefined)
          throw new BuildError(`function ${name} differs between two bases`, {
            position: positionOf(name),
            symbol: name,
          });
        const base = classify(value, other, () => `function ${name}`, name);
        if (base === undefined) return expression;
        if (wide) {
          throw new BuildError(
            `function ${name}: an address stands where only a 32-bit constant can; keep it in a usize variable first`,
            {
              position: positionOf(name),
              symbol: name,
            },
          );
        }
        return module.global.get(importFor(base), binaryen.i32);
      },
      (target) => {
        if (target === stackAllocate) usesStack = true;
      },
    );
    if (others && others.length !== at)
      throw new BuildError(`function ${name} differs between two bases`, {
        position: positionOf(name),
        symbol: name,
      });
    if (replaced !== body) setFunctionBody(func, replaced);
    if (usesStack) stackUsers.push(name);
  });
  return { data, stackUsers };
}

function relocateData(module: WrappedModule, bases: Bases, reference: ReferenceModule): RelocatedData {
  const segments = dataSegments(module);
  const memoryDistance = (reference.bases.memoryBase - bases.memoryBase) | 0;
  const tableDistance = reference.bases.tableBase - bases.tableBase;
  const end = segments.reduce(
    (most, segment) => Math.max(most, segment.offset + segment.bytes.length),
    bases.memoryBase,
  );
  const bytes = new Uint8Array(end - bases.memoryBase);
  const view = new DataView(bytes.buffer);
  const relocations: { offset: number; kind: "data" | "function" }[] = [];
  const tagged: number[] = [];
  if (segments.length !== reference.segments.length)
    throw new BuildError("static data differs between two bases");
  segments.forEach((segment, i) => {
    const twin = reference.segments[i]!;
    if (
      ((twin.offset - segment.offset) | 0) !== memoryDistance ||
      twin.bytes.length !== segment.bytes.length
    ) {
      throw new BuildError(
        "static data is laid out differently at two bases: no item may be aligned to more than 16",
      );
    }
    const start = segment.offset - bases.memoryBase;
    bytes.set(segment.bytes, start);
    const ours = new DataView(segment.bytes.buffer, segment.bytes.byteOffset, segment.bytes.length);
    const theirs = new DataView(twin.bytes.buffer, twin.bytes.byteOffset, twin.bytes.length);
    for (let at = 0; at < segment.bytes.length; ) {
      if (segment.bytes[at] === twin.bytes[at]) {
        at++;
        continue;
      }
      const word = at - ((start + at) & 3);
      const value = word >= 0 && word + 4 <= segment.bytes.length ? ours.getInt32(word, true) : undefined;
      const distance = value === undefined ? 0 : (theirs.getInt32(word, true) - value) | 0;
      const offset = start + word;
      if (distance === tableDistance) relocations.push({ offset, kind: "function" });
      else if (distance === memoryDistance) {
        const untagged = (value! - FUNCTION_TAG) >>> 0;
        const isFunction = untagged >= bases.memoryBase && untagged < end;
        relocations.push({ offset, kind: isFunction ? "function" : "data" });
        if (isFunction) tagged.push(offset);
      } else
        throw new BuildError(
          `static data at +0x${offset.toString(16)} holds an address that is unaligned or was computed with`,
        );
      at = word + 4;
    }
  });
  // A tagged word names a Function object, whose first word is the table index.
  for (const offset of tagged) {
    const object = (view.getInt32(offset, true) - FUNCTION_TAG) >>> 0;
    view.setInt32(offset, view.getInt32(object - bases.memoryBase, true), true);
  }
  relocations.sort((a, b) => a.offset - b.offset);
  return { bytes, end, relocations };
}

function eachFunction(
  module: WrappedModule,
  use: (func: number, name: string, body: Expression) => void,
): void {
  for (let i = 0, n = functionCount(module.ptr); i < n; i++) {
    const func = functionAt(module.ptr, i);
    const body = functionBody(func);
    if (body !== 0) use(func, binaryen.getFunctionInfo(func).name, body);
  }
}

function importedFunction(module: WrappedModule, from: string, base: string): number | undefined {
  for (let i = 0, n = functionCount(module.ptr); i < n; i++) {
    const func = functionAt(module.ptr, i);
    if (functionBody(func) !== 0) continue;
    const info = binaryen.getFunctionInfo(func);
    if (info.module === from && info.base === base) return functionNamePointer(func);
  }
  return undefined;
}

interface GlobalVariable {
  readonly name: string;
  readonly type: number;
  readonly mutable: boolean;
  readonly init: Expression;
}

function* eachGlobal(module: WrappedModule): Generator<GlobalVariable> {
  for (let i = 0, n = globalCount(module.ptr); i < n; i++) {
    const info = binaryen.getGlobalInfo(globalAt(module.ptr, i));
    if (!info.module && info.init) yield info;
  }
}

/** Globals that could hold an address, with the number they start as. */
function constantGlobals(module: WrappedModule): GlobalVariable[] {
  return [...eachGlobal(module)]
    .filter((info) => info.type === binaryen.i32 && idOf(info.init) === constId)
    .map((info) => ({ ...info, init: valueOfI32(info.init) }));
}
