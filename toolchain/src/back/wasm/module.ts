/**
 * Decodes the sections of a wasm binary (WebAssembly core specification, chapter 5) into a `WasmModule`. Function
 * bodies stay bytes here; `function.ts` reads them.
 */
import { BuildError } from "../../contract.ts";
import type { ValueType } from "../ir/instructions.ts";
import { ByteReader } from "./reader.ts";

export interface FunctionType {
  readonly parameters: readonly ValueType[];
  readonly results: readonly ValueType[];
}

export interface WasmFunctionImport {
  readonly module: string;
  readonly name: string;
  readonly type: FunctionType;
}

export interface WasmGlobal {
  readonly name: string;
  readonly type: ValueType;
  readonly mutable: boolean;
  readonly initial: number | bigint;
  /** Byte offset of the i32.const of the initialiser, where a relocation may stand. */
  readonly position: number;
}

export interface WasmFunction {
  readonly index: number;
  readonly name: string;
  readonly type: FunctionType;
  readonly exports: string[];
  readonly locals: readonly ValueType[];
  readonly localNames: ReadonlyMap<number, string>;
  /** The instructions, without the local declarations. */
  readonly bodyStart: number;
  readonly bodyEnd: number;
}

export interface WasmModule {
  readonly bytes: Uint8Array;
  readonly fileName: string;
  readonly types: readonly FunctionType[];
  readonly imports: readonly WasmFunctionImport[];
  readonly functions: readonly WasmFunction[];
  readonly globals: readonly WasmGlobal[];
  readonly start: number | undefined;
  /** Function index by table index. */
  readonly table: ReadonlyMap<number, number>;
  readonly data: ReadonlyArray<{ readonly offset: number; readonly bytes: Uint8Array }>;
}

export function valueType(code: number, reader: ByteReader): ValueType {
  switch (code) {
    case 0x7f:
      return "i32";
    case 0x7e:
      return "i64";
    case 0x7d:
      return "f32";
    case 0x7c:
      return "f64";
    default:
      return reader.fail(`value type 0x${code.toString(16)} is not supported`);
  }
}

interface Limits {
  readonly minimum: number;
}

function limits(reader: ByteReader): Limits {
  const flags = reader.byte();
  const minimum = reader.unsigned();
  if (flags & 1) reader.unsigned();
  return { minimum };
}

interface ConstantExpression {
  readonly value: number | bigint;
  readonly global: number | undefined;
  readonly position: number;
}

function constantExpression(reader: ByteReader): ConstantExpression {
  const position = reader.offset;
  const opcode = reader.byte();
  let value: number | bigint = 0;
  let global: number | undefined;
  switch (opcode) {
    case 0x41:
      value = reader.signed32();
      break;
    case 0x42:
      value = reader.signed64();
      break;
    case 0x43:
      value = reader.float32();
      break;
    case 0x44:
      value = reader.float64();
      break;
    case 0x23:
      global = reader.unsigned();
      break;
    default:
      reader.fail(`opcode 0x${opcode.toString(16)} in a constant expression`);
  }
  if (reader.byte() !== 0x0b) reader.fail("a constant expression has one instruction");
  return { value, global, position };
}

interface Names {
  readonly functions: Map<number, string>;
  readonly locals: Map<number, Map<number, string>>;
  readonly globals: Map<number, string>;
}

function nameMap(reader: ByteReader): Map<number, string> {
  const map = new Map<number, string>();
  for (let n = reader.unsigned(); n > 0; n--) {
    const index = reader.unsigned();
    map.set(index, reader.name());
  }
  return map;
}

function readNames(reader: ByteReader, names: Names): void {
  while (reader.offset < reader.end) {
    const id = reader.byte();
    const size = reader.unsigned();
    const next = reader.offset + size;
    if (id === 1) for (const [i, name] of nameMap(reader)) names.functions.set(i, name);
    else if (id === 7) for (const [i, name] of nameMap(reader)) names.globals.set(i, name);
    else if (id === 2) {
      for (let n = reader.unsigned(); n > 0; n--) {
        const index = reader.unsigned();
        names.locals.set(index, nameMap(reader));
      }
    }
    reader.offset = next;
  }
}

export function decodeModule(bytes: Uint8Array, fileName: string): WasmModule {
  const reader = new ByteReader(bytes, fileName);
  const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
  for (const expected of magic) if (reader.byte() !== expected) reader.fail("no wasm version 1 header");

  const types: FunctionType[] = [];
  const imports: WasmFunctionImport[] = [];
  const functionTypes: FunctionType[] = [];
  const globals: Array<{ type: ValueType; mutable: boolean; initial: ConstantExpression }> = [];
  const exports: Array<{ name: string; index: number }> = [];
  const table = new Map<number, number>();
  const data: Array<{ offset: number; bytes: Uint8Array }> = [];
  const bodies: Array<{ locals: ValueType[]; start: number; end: number }> = [];
  const names: Names = { functions: new Map(), locals: new Map(), globals: new Map() };
  let start: number | undefined;

  const typeAt = (index: number): FunctionType => types[index] ?? reader.fail(`no type ${index}`);

  while (reader.offset < bytes.length) {
    const id = reader.byte();
    const size = reader.unsigned();
    const sectionEnd = reader.offset + size;
    if (sectionEnd > bytes.length) reader.fail("section runs past the end");
    reader.end = sectionEnd;
    switch (id) {
      case 0:
        if (reader.name() === "name") readNames(reader, names);
        reader.offset = sectionEnd;
        break;
      case 1:
        for (let n = reader.unsigned(); n > 0; n--) {
          if (reader.byte() !== 0x60) reader.fail("only function types are supported");
          const list = () => {
            const result: ValueType[] = [];
            for (let k = reader.unsigned(); k > 0; k--) result.push(valueType(reader.byte(), reader));
            return result;
          };
          const parameters = list();
          const results = list();
          if (results.length > 1) reader.fail("functions with several results are not supported");
          types.push({ parameters, results });
        }
        break;
      case 2:
        for (let n = reader.unsigned(); n > 0; n--) {
          const module = reader.name();
          const name = reader.name();
          const kind = reader.byte();
          if (kind === 0) imports.push({ module, name, type: typeAt(reader.unsigned()) });
          else if (kind === 1) {
            reader.byte();
            limits(reader);
          } else if (kind === 2) limits(reader);
          else
            throw new BuildError(`import ${module}.${name} is not a function`, {
              file: fileName,
              symbol: name,
            });
        }
        break;
      case 3:
        for (let n = reader.unsigned(); n > 0; n--) functionTypes.push(typeAt(reader.unsigned()));
        break;
      case 4:
      case 5:
      case 12:
        reader.offset = sectionEnd;
        break;
      case 6:
        for (let n = reader.unsigned(); n > 0; n--) {
          const type = valueType(reader.byte(), reader);
          const mutable = reader.byte() === 1;
          globals.push({ type, mutable, initial: constantExpression(reader) });
        }
        break;
      case 7:
        for (let n = reader.unsigned(); n > 0; n--) {
          const name = reader.name();
          const kind = reader.byte();
          const index = reader.unsigned();
          if (kind === 0) exports.push({ name, index });
        }
        break;
      case 8:
        start = reader.unsigned();
        break;
      case 9:
        for (let n = reader.unsigned(); n > 0; n--) {
          const flags = reader.unsigned();
          if (flags !== 0) reader.fail(`element segment of kind ${flags} is not supported`);
          const offset = Number(constantExpression(reader).value);
          const count = reader.unsigned();
          for (let k = 0; k < count; k++) table.set(offset + k, reader.unsigned());
        }
        break;
      case 10: {
        const count = reader.unsigned();
        if (count !== functionTypes.length) reader.fail("function and code sections differ in length");
        for (let n = 0; n < count; n++) {
          const bodySize = reader.unsigned();
          const end = reader.offset + bodySize;
          if (end > sectionEnd) reader.fail("function body runs past its section");
          const locals: ValueType[] = [];
          for (let groups = reader.unsigned(); groups > 0; groups--) {
            const repeat = reader.unsigned();
            const type = valueType(reader.byte(), reader);
            if (locals.length + repeat > 50000) reader.fail("too many locals");
            for (let k = 0; k < repeat; k++) locals.push(type);
          }
          if (reader.offset > end) reader.fail("locals run past their function body");
          bodies.push({ locals, start: reader.offset, end });
          reader.offset = end;
        }
        break;
      }
      case 11:
        for (let n = reader.unsigned(); n > 0; n--) {
          const flags = reader.unsigned();
          if (flags !== 0) reader.fail(`data segment of kind ${flags} is not supported`);
          const offset = Number(constantExpression(reader).value) >>> 0;
          data.push({ offset, bytes: reader.take(reader.unsigned()) });
        }
        break;
      default:
        reader.fail(`unknown section ${id}`);
    }
    if (reader.offset !== sectionEnd) reader.fail(`section ${id} has the wrong size`);
    reader.end = bytes.length;
  }
  if (bodies.length !== functionTypes.length) reader.fail("function bodies are missing");

  const taken = new Set<string>();
  const functions = bodies.map((body, n): WasmFunction => {
    const index = imports.length + n;
    let name = names.functions.get(index) ?? `function[${index}]`;
    while (taken.has(name)) name = `${name}#${index}`;
    taken.add(name);
    return {
      index,
      name,
      type: functionTypes[n],
      exports: exports.filter((e) => e.index === index).map((e) => e.name),
      locals: body.locals,
      localNames: names.locals.get(index) ?? new Map(),
      bodyStart: body.start,
      bodyEnd: body.end,
    };
  });
  const all = imports.length + functions.length;
  for (const index of [
    ...exports.map((e) => e.index),
    ...table.values(),
    ...(start === undefined ? [] : [start]),
  ]) {
    if (index >= all) reader.fail(`no function ${index}`);
  }
  const resolved: WasmGlobal[] = [];
  for (const [n, g] of globals.entries()) {
    const from = g.initial.global === undefined ? undefined : resolved[g.initial.global];
    if (g.initial.global !== undefined && from === undefined)
      reader.fail(`global ${n} refers to a later one`);
    resolved.push({
      name: names.globals.get(n) ?? `global[${n}]`,
      type: g.type,
      mutable: g.mutable,
      initial: from?.initial ?? g.initial.value,
      position: from?.position ?? g.initial.position,
    });
  }
  return { bytes, fileName, types, imports, functions, globals: resolved, start, table, data };
}
