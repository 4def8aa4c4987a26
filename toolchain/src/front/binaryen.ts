/**
 * The part of Binaryen's C interface that the front walks modules with. AssemblyScript's own Binaryen is used, since two
 * copies in one process clash; its typings leave the C interface out.
 */

import binaryenModule from "assemblyscript/binaryen";
import { BuildError } from "../contract.ts";

export type Expression = number;
export type ModulePointer = number;
type Pointer = number;

export interface DataSegment {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** Methods of Binaryen's JavaScript module object that the front calls. */
export interface WrappedModule {
  readonly ptr: ModulePointer;
  readonly global: { get(name: string, type: number): Expression };
  addGlobal(name: string, type: number, mutable: boolean, init: Expression): unknown;
  removeGlobal(name: string): void;
  addGlobalImport(internalName: string, module: string, base: string, type: number, mutable: boolean): void;
  addGlobalExport(internalName: string, externalName: string): unknown;
  addFunctionExport(internalName: string, externalName: string): unknown;
  addTableExport(internalName: string, externalName: string): unknown;
  addMemoryExport(internalName: string, externalName: string): unknown;
  runPasses(passes: readonly string[]): void;
  validate(): number;
  dispose(): void;
  emitBinary(sourceMapUrl: string): { readonly binary: Uint8Array; readonly sourceMap: string };
  getNumDataSegments(): number;
  getDataSegmentByIndex(index: number): Pointer;
  getNumElementSegments(): number;
  getElementSegmentByIndex(index: number): Pointer;
  removeElementSegment(name: string): void;
  addActiveElementSegment(
    table: string,
    name: string,
    functions: readonly string[],
    offset: Expression,
  ): unknown;
  getDataSegmentInfo(segment: Pointer): { readonly offset: number; readonly data: ArrayBuffer };
}

type Getter = (expression: Expression) => number;
type IndexedGetter = (expression: Expression, index: number) => number;
type Setter = (expression: Expression, child: Expression) => void;
type IndexedSetter = (expression: Expression, index: number, child: Expression) => void;

interface RawBinaryen {
  wrapModule(pointer: ModulePointer): WrappedModule;
  readonly i32: number;
  readonly i64: number;
  setDebugInfo(on: boolean): void;
  setOptimizeLevel(level: number): void;
  setShrinkLevel(level: number): void;
  setFastMath(on: boolean): void;
  setLowMemoryUnused(on: boolean): void;
  setAlwaysInlineMaxSize(size: number): void;
  setFlexibleInlineMaxSize(size: number): void;
  setOneCallerInlineMaxSize(size: number): void;
  setAllowInliningFunctionsWithLoops(on: boolean): void;
  setPassArgument(key: string, value: string): void;
  clearPassArguments(): void;
  getFunctionInfo(func: Pointer): {
    readonly name: string;
    readonly module: string;
    readonly base: string;
    readonly params: number;
    readonly results: number;
  };
  getElementSegmentInfo(segment: Pointer): {
    readonly name: string;
    readonly table: string;
    readonly offset: Expression;
    readonly data: readonly string[];
  };
  getGlobalInfo(global: Pointer): {
    readonly name: string;
    readonly module: string;
    readonly type: number;
    readonly mutable: boolean;
    readonly init: Expression;
  };
  [functionName: string]: unknown;
}

export const binaryen = binaryenModule as unknown as RawBinaryen;

function raw<T>(name: string): T {
  const found = binaryen[`_Binaryen${name}`];
  if (typeof found !== "function")
    throw new BuildError(`this Binaryen lacks ${name}; install the pinned assemblyscript`);
  return found as T;
}

export function wrapModule(pointer: ModulePointer): WrappedModule {
  return binaryen.wrapModule(pointer);
}

export const idOf = raw<Getter>("ExpressionGetId");
export const valueOfI32 = raw<Getter>("ConstGetValueI32");
export const typeOf = raw<Getter>("ExpressionGetType");
export const valueOfI64 = raw<(expression: Expression) => bigint>("ConstGetValueI64");
export const callTarget = raw<Getter>("CallGetTarget");
export const callOperandCount = raw<Getter>("CallGetNumOperands");
export const callOperand = raw<IndexedGetter>("CallGetOperandAt");
export const localGetIndex = raw<Getter>("LocalGetGetIndex");
export const returnValue = raw<Getter>("ReturnGetValue");
export const loadOffset = raw<(expression: Expression) => number | bigint>("LoadGetOffset");
export const storeOffset = raw<(expression: Expression) => number | bigint>("StoreGetOffset");
export const functionCount = raw<(module: ModulePointer) => number>("GetNumFunctions");
export const functionAt = raw<(module: ModulePointer, index: number) => Pointer>("GetFunctionByIndex");
export const functionBody = raw<(func: Pointer) => Expression>("FunctionGetBody");
export const setFunctionBody = raw<(func: Pointer, body: Expression) => void>("FunctionSetBody");
/** Interned: equal names have equal pointers. */
export const functionNamePointer = raw<(func: Pointer) => Pointer>("FunctionGetName");
export const globalCount = raw<(module: ModulePointer) => number>("GetNumGlobals");
export const globalAt = raw<(module: ModulePointer, index: number) => Pointer>("GetGlobalByIndex");

interface ChildAccess {
  readonly single: ReadonlyArray<readonly [Getter, Setter]>;
  readonly many?: readonly [Getter, IndexedGetter, IndexedSetter];
}

function access(kind: string, names: readonly string[], many?: string): ChildAccess {
  return {
    single: names.map(
      (name) => [raw<Getter>(`${kind}Get${name}`), raw<Setter>(`${kind}Set${name}`)] as const,
    ),
    ...(many === undefined
      ? {}
      : {
          many: [
            raw<Getter>(`${kind}GetNum${many}s`),
            raw<IndexedGetter>(`${kind}Get${many}At`),
            raw<IndexedSetter>(`${kind}Set${many}At`),
          ] as const,
        }),
  };
}

const kinds: Readonly<Record<string, ChildAccess>> = {
  Nop: { single: [] },
  Block: {
    single: [],
    many: [
      raw<Getter>("BlockGetNumChildren"),
      raw<IndexedGetter>("BlockGetChildAt"),
      raw<IndexedSetter>("BlockSetChildAt"),
    ],
  },
  If: access("If", ["Condition", "IfTrue", "IfFalse"]),
  Loop: access("Loop", ["Body"]),
  Break: access("Break", ["Condition", "Value"]),
  Switch: access("Switch", ["Condition", "Value"]),
  Call: access("Call", [], "Operand"),
  CallIndirect: access("CallIndirect", ["Target"], "Operand"),
  LocalGet: { single: [] },
  LocalSet: access("LocalSet", ["Value"]),
  GlobalGet: { single: [] },
  GlobalSet: access("GlobalSet", ["Value"]),
  Load: access("Load", ["Ptr"]),
  Store: access("Store", ["Ptr", "Value"]),
  Const: { single: [] },
  Unary: access("Unary", ["Value"]),
  Binary: access("Binary", ["Left", "Right"]),
  Select: access("Select", ["IfTrue", "IfFalse", "Condition"]),
  Drop: access("Drop", ["Value"]),
  Return: access("Return", ["Value"]),
  MemorySize: { single: [] },
  MemoryGrow: access("MemoryGrow", ["Delta"]),
  MemoryCopy: access("MemoryCopy", ["Dest", "Source", "Size"]),
  MemoryFill: access("MemoryFill", ["Dest", "Value", "Size"]),
  Unreachable: { single: [] },
};

const accessById = new Map<number, ChildAccess>();
for (const [name, how] of Object.entries(kinds)) accessById.set(raw<() => number>(`${name}Id`)(), how);

export const constId = raw<() => number>("ConstId")();
export const callId = raw<() => number>("CallId")();
export const localGetId = raw<() => number>("LocalGetId")();
export const returnId = raw<() => number>("ReturnId")();
export const loadId = raw<() => number>("LoadId")();
export const storeId = raw<() => number>("StoreId")();

/**
 * Visits an expression tree, children before their parent, in a fixed order. The visitor returns the expression that takes
 * the visited one's place (usually itself). `where` names the function, for errors.
 */
export function rewriteTree(
  root: Expression,
  visit: (expression: Expression, id: number) => Expression,
  where: string,
): Expression {
  const walk = (expression: Expression): Expression => {
    const id = idOf(expression);
    const how = accessById.get(id);
    if (!how)
      throw new BuildError(
        `function ${where} uses a WebAssembly feature that the dialect lacks (atomics, vectors, tables or references)`,
      );
    for (const [get, set] of how.single) {
      const child = get(expression);
      if (child === 0) continue;
      const replacement = walk(child);
      if (replacement !== child) set(expression, replacement);
    }
    if (how.many) {
      const [count, get, set] = how.many;
      for (let i = 0, n = count(expression); i < n; i++) {
        const child = get(expression, i);
        const replacement = walk(child);
        if (replacement !== child) set(expression, i, replacement);
      }
    }
    return visit(expression, id);
  };
  return walk(root);
}

export function dataSegments(module: WrappedModule): DataSegment[] {
  const segments: DataSegment[] = [];
  for (let i = 0; i < module.getNumDataSegments(); i++) {
    const info = module.getDataSegmentInfo(module.getDataSegmentByIndex(i));
    segments.push({ offset: info.offset >>> 0, bytes: new Uint8Array(info.data) });
  }
  return segments;
}
