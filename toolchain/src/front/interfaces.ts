/**
 * The IDL reader: os/interfaces/IName.ts, read with TypeScript's own parser, becomes the model from which callers' classes,
 * servers' vtables, argument descriptors and manual pages are made. An interface file holds interfaces, `@unmanaged`
 * structures and constants; anything else is an error with its place. The interface id is a 32-bit FNV-1a hash of name,
 * base and signatures: a changed signature is a different interface.
 */

import ts from "typescript";
import { BuildError, type SourcePosition } from "../contract.ts";
import { joinPath } from "./paths.ts";

export type ScalarName =
  | "i8"
  | "u8"
  | "i16"
  | "u16"
  | "i32"
  | "u32"
  | "i64"
  | "u64"
  | "f32"
  | "f64"
  | "bool"
  | "usize"
  | "isize";

const scalarSizes: Readonly<Record<ScalarName, number>> = {
  i8: 1,
  u8: 1,
  bool: 1,
  i16: 2,
  u16: 2,
  i32: 4,
  u32: 4,
  f32: 4,
  usize: 4,
  isize: 4,
  i64: 8,
  u64: 8,
  f64: 8,
};

export function scalarSize(name: string): number | undefined {
  return Object.hasOwn(scalarSizes, name) ? scalarSizes[name as ScalarName] : undefined;
}

export interface StructField {
  readonly name: string;
  readonly type: ScalarName;
  readonly offset: number;
  readonly documentation: string;
}

/** An `@unmanaged` class of an interface file, laid out as AssemblyScript does: each field aligned to its own size. */
export interface StructModel {
  readonly name: string;
  readonly fields: readonly StructField[];
  readonly size: number;
  readonly documentation: string;
}

export type ArgumentKind =
  | "value"
  | "in"
  | "out"
  | "inout"
  | "inBytes"
  | "outBytes"
  | "inOutBytes"
  | "inString"
  | "interfaceIn"
  | "interfaceOut"
  | "outInterface";

export interface ArgumentModel {
  readonly name: string;
  readonly kind: ArgumentKind;
  /** The type as written: "Out<u32>". */
  readonly written: string;
  /** AssemblyScript type of the parameter: a scalar, or an interface's name for `interfaceIn`. */
  readonly guestType: string;
  /** First stack word; `this` is word 0. */
  readonly word: number;
  /** 2 for 64-bit values, otherwise 1. */
  readonly words: 1 | 2;
  /** Bytes behind the pointer, for in, out and inout. */
  readonly size: number;
  /** Name of the interface, for interfaceIn and interfaceOut. */
  readonly interfaceName?: string;
  /** Stack word of the argument named `size` (byte buffers) or `iid` (outInterface). */
  readonly other?: number;
}

export interface MethodModel {
  readonly name: string;
  /** Position in the vtable, base interfaces first. */
  readonly index: number;
  readonly arguments: readonly ArgumentModel[];
  /** Stack words with `this`. */
  readonly words: number;
  readonly returns: "HRESULT" | "u32";
  readonly documentation: string;
  readonly position: SourcePosition;
}

export interface InterfaceModel {
  readonly name: string;
  readonly file: string;
  readonly base: InterfaceModel | undefined;
  readonly iid: number;
  /** Own methods only. */
  readonly methods: readonly MethodModel[];
  readonly documentation: string;
  readonly position: SourcePosition;
}

export interface InterfaceSet {
  readonly interfaces: ReadonlyMap<string, InterfaceModel>;
  readonly structs: ReadonlyMap<string, StructModel>;
}

/** All methods of an interface in vtable order, those of its bases first. */
export function allMethods(model: InterfaceModel): MethodModel[] {
  return model.base ? [...allMethods(model.base), ...model.methods] : [...model.methods];
}

/** The interface and its bases, itself first. */
export function interfaceChain(model: InterfaceModel): InterfaceModel[] {
  return model.base ? [model, ...interfaceChain(model.base)] : [model];
}

/** Is it offered in its own space only: has it the base IInternal? */
export function isInternal(model: InterfaceModel): boolean {
  return interfaceChain(model).some((base) => base.name === "IInternal");
}

export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

export const typesModule = "os/interfaces/types";

/** Reads the given interface files and everything that they import. */
export function readInterfaces(
  files: readonly string[],
  readFile: (path: string) => string | undefined,
): InterfaceSet {
  const reader = new InterfaceReader(readFile);
  for (const file of files) reader.readFile(file);
  return reader.finish();
}

interface PendingInterface {
  readonly node: ts.InterfaceDeclaration;
  readonly source: ts.SourceFile;
}

class InterfaceReader {
  private readonly provide: (path: string) => string | undefined;
  private readonly seen = new Set<string>();
  private readonly pending = new Map<string, PendingInterface>();
  private readonly models = new Map<string, InterfaceModel>();
  private readonly structs = new Map<string, StructModel>();
  private readonly working = new Set<string>();

  constructor(readFile: (path: string) => string | undefined) {
    this.provide = readFile;
  }

  readFile(path: string, importedAt?: SourcePosition): void {
    if (this.seen.has(path)) return;
    this.seen.add(path);
    const text = this.provide(path);
    if (text === undefined)
      throw new BuildError(`interface file ${path} does not exist`, { position: importedAt });
    const source = parseSource(path, text);
    for (const statement of source.statements) this.readStatement(statement, source);
  }

  finish(): InterfaceSet {
    for (const name of this.pending.keys()) this.model(name);
    const ids = new Map<number, InterfaceModel>();
    for (const model of this.models.values()) {
      const twin = ids.get(model.iid);
      if (twin) {
        throw new BuildError(
          `${model.name} and ${twin.name} have the same interface id; rename a method of one`,
          { position: model.position },
        );
      }
      ids.set(model.iid, model);
      if (!isInternal(model)) this.checkCarried(model);
    }
    return { interfaces: this.models, structs: this.structs };
  }

  /** What an external interface carries goes anywhere. Only ISystem takes internal interfaces: they stay in the kernel, which calls them. */
  private checkCarried(model: InterfaceModel): void {
    for (const method of model.methods) {
      for (const { kind, interfaceName } of method.arguments) {
        const carried = interfaceName === undefined ? undefined : this.models.get(interfaceName);
        if (!carried || !isInternal(carried) || (kind === "interfaceIn" && model.name === "ISystem"))
          continue;
        throw new BuildError(
          `${model.name}.${method.name} must not carry ${carried.name}, which is internal: let callers ask for it by queryInterface`,
          { position: method.position },
        );
      }
    }
  }

  private readStatement(statement: ts.Statement, source: ts.SourceFile): void {
    if (ts.isImportDeclaration(statement)) {
      const specifier = (statement.moduleSpecifier as ts.StringLiteral).text;
      const target = joinPath(source.fileName, specifier).replace(/\.ts$/, "");
      if (target !== typesModule)
        this.readFile(`${target}.ts`, positionOf(source, statement.moduleSpecifier));
      return;
    }
    if (ts.isInterfaceDeclaration(statement)) {
      const name = statement.name.text;
      const twin = this.pending.get(name);
      if (twin)
        throw new BuildError(
          `interface ${name} is declared twice, first in ${twin.source.fileName}`,
          at(source, statement.name),
        );
      this.pending.set(name, { node: statement, source });
      return;
    }
    if (ts.isClassDeclaration(statement)) {
      this.readStruct(statement, source);
      return;
    }
    // Constants go to the guest as they stand; `declare const IName` is for tsc alone.
    if (ts.isVariableStatement(statement) && statement.declarationList.flags & ts.NodeFlags.Const) return;
    if (ts.isTypeAliasDeclaration(statement) || statement.kind === ts.SyntaxKind.EmptyStatement) return;
    throw new BuildError(
      "an interface file holds imports, interfaces, @unmanaged classes and constants only",
      at(source, statement),
    );
  }

  private readStruct(node: ts.ClassDeclaration, source: ts.SourceFile): void {
    const name = node.name?.text;
    if (!name) throw new BuildError("a structure needs a name", at(source, node));
    if (!hasDecorator(node, "unmanaged"))
      throw new BuildError(`structure ${name} must be @unmanaged`, at(source, node.name!));
    if (node.heritageClauses?.length)
      throw new BuildError(`structure ${name} must not have a base`, at(source, node.name!));
    if (this.structs.has(name))
      throw new BuildError(`structure ${name} is declared twice`, at(source, node.name!));
    const fields: StructField[] = [];
    let offset = 0;
    for (const member of node.members) {
      if (!ts.isPropertyDeclaration(member) || !ts.isIdentifier(member.name)) {
        throw new BuildError(`structure ${name} may hold fields only`, at(source, member));
      }
      const type = member.type?.getText(source) ?? "";
      const size = scalarSize(type);
      if (size === undefined) {
        throw new BuildError(
          `field ${member.name.text} of ${name} must have a scalar type, not "${type}"`,
          at(source, member.type ?? member),
        );
      }
      offset = (offset + size - 1) & -size;
      fields.push({
        name: member.name.text,
        type: type as ScalarName,
        offset,
        documentation: documentationOf(member),
      });
      offset += size;
    }
    this.structs.set(name, { name, fields, size: offset, documentation: documentationOf(node) });
  }

  private model(name: string): InterfaceModel {
    const known = this.models.get(name);
    if (known) return known;
    const { node, source } = this.pending.get(name)!;
    if (this.working.has(name))
      throw new BuildError(`interface ${name} is its own base`, at(source, node.name));
    this.working.add(name);
    const base = this.baseOf(node, source);
    if (node.typeParameters?.length)
      throw new BuildError(`interface ${name} must not be generic`, at(source, node.name));
    const inherited = base ? allMethods(base) : [];
    const names = new Set(inherited.map((method) => method.name));
    const methods: MethodModel[] = [];
    for (const member of node.members) {
      const method = this.readMethod(member, source, name, inherited.length + methods.length);
      if (names.has(method.name))
        throw new BuildError(`${name} has two methods named ${method.name}`, { position: method.position });
      names.add(method.name);
      methods.push(method);
    }
    if (inherited.length + methods.length > 64) {
      throw new BuildError(
        `${name} has more than 64 methods, which is what a proxy's vtable holds`,
        at(source, node.name),
      );
    }
    const signatures = methods.map(
      (m) => `${m.name}(${m.arguments.map((a) => a.written).join(",")}):${m.returns}`,
    );
    const model: InterfaceModel = {
      name,
      file: source.fileName,
      base,
      iid: fnv1a32([name, base?.name ?? "", ...signatures].join("\n")),
      methods,
      documentation: documentationOf(node),
      position: positionOf(source, node.name),
    };
    this.models.set(name, model);
    return model;
  }

  private baseOf(node: ts.InterfaceDeclaration, source: ts.SourceFile): InterfaceModel | undefined {
    const name = node.name.text;
    const bases = node.heritageClauses?.flatMap((clause) => [...clause.types]) ?? [];
    if (name === "IUnknown") {
      if (bases.length) throw new BuildError("IUnknown has no base", at(source, bases[0]!));
      return undefined;
    }
    if (bases.length !== 1)
      throw new BuildError(
        `interface ${name} must extend exactly one interface, IUnknown at least`,
        at(source, node.name),
      );
    const baseName = bases[0]!.expression.getText(source);
    if (!this.pending.has(baseName))
      throw new BuildError(
        `interface ${name} extends ${baseName}, which is not an interface of os/interfaces`,
        at(source, bases[0]!),
      );
    return this.model(baseName);
  }

  private readMethod(
    member: ts.TypeElement,
    source: ts.SourceFile,
    owner: string,
    index: number,
  ): MethodModel {
    if (!ts.isMethodSignature(member) || !ts.isIdentifier(member.name))
      throw new BuildError(`interface ${owner} may hold methods only`, at(source, member));
    const name = member.name.text;
    if (member.questionToken || member.typeParameters?.length)
      throw new BuildError(`method ${name} must not be optional or generic`, at(source, member.name));
    const returns = member.type?.getText(source);
    const counted = owner === "IUnknown" && (name === "addRef" || name === "release");
    if (returns !== (counted ? "u32" : "HRESULT")) {
      throw new BuildError(
        `method ${owner}.${name} must return ${counted ? "u32" : "HRESULT"}`,
        at(source, member.type ?? member.name),
      );
    }
    const parsed: { -readonly [K in keyof ArgumentModel]: ArgumentModel[K] }[] = [];
    let word = 1;
    for (const parameter of member.parameters) {
      const argument = this.readArgument(parameter, source, word);
      word += argument.words;
      parsed.push(argument);
    }
    member.parameters.forEach((parameter, i) => {
      const argument = parsed[i]!;
      if (argument.kind === "inBytes" || argument.kind === "outBytes" || argument.kind === "inOutBytes") {
        const size = parsed[i + 1];
        if (size?.name !== "size" || size.guestType !== "u32" || size.kind !== "value") {
          throw new BuildError(
            `buffer ${argument.name} must be followed by an argument "size: u32"`,
            at(source, parameter),
          );
        }
        argument.other = size.word;
      } else if (argument.kind === "outInterface") {
        const iid = parsed.find((candidate) => candidate.name === "iid");
        if (iid?.guestType !== "u32" || iid.kind !== "value")
          throw new BuildError(
            `method ${name} has an OutInterface, so it needs an argument "iid: u32"`,
            at(source, parameter),
          );
        argument.other = iid.word;
      }
    });
    return {
      name,
      index,
      arguments: parsed,
      words: word,
      returns,
      documentation: documentationOf(member),
      position: positionOf(source, member.name),
    };
  }

  private readArgument(
    parameter: ts.ParameterDeclaration,
    source: ts.SourceFile,
    word: number,
  ): ArgumentModel {
    if (!ts.isIdentifier(parameter.name) || !parameter.type)
      throw new BuildError("an argument needs a name and a type", at(source, parameter));
    if (parameter.questionToken || parameter.initializer || parameter.dotDotDotToken)
      throw new BuildError("an argument must be plain: not optional, not a rest", at(source, parameter));
    const name = parameter.name.text;
    const written = parameter.type.getText(source).replace(/\s+/g, "");
    const pointer = (kind: ArgumentKind, size = 0, interfaceName?: string): ArgumentModel => ({
      name,
      kind,
      written,
      guestType: "usize",
      word,
      words: 1,
      size,
      ...(interfaceName === undefined ? {} : { interfaceName }),
    });
    const simple: Readonly<Record<string, ArgumentKind>> = {
      InBytes: "inBytes",
      OutBytes: "outBytes",
      InOutBytes: "inOutBytes",
      InString: "inString",
      OutInterface: "outInterface",
    };
    if (Object.hasOwn(simple, written)) return pointer(simple[written]!);
    const generic = /^(In|Out|InOut)<(\w+)>$/.exec(written);
    if (generic) {
      const kind = generic[1] === "In" ? "in" : generic[1] === "Out" ? "out" : "inout";
      const target = generic[2]!;
      if (this.pending.has(target)) {
        if (kind !== "out")
          throw new BuildError(`pass ${target} itself instead of ${written}`, at(source, parameter.type));
        return pointer("interfaceOut", 0, target);
      }
      const size = scalarSize(target) ?? this.structs.get(target)?.size;
      if (size === undefined)
        throw new BuildError(
          `${target} is neither a scalar, nor a structure or interface of os/interfaces`,
          at(source, parameter.type),
        );
      return pointer(kind, size);
    }
    if (this.pending.has(written)) return { ...pointer("interfaceIn", 0, written), guestType: written };
    if (/^([iuf]32|[iuf]64)$/.test(written)) {
      return {
        name,
        kind: "value",
        written,
        guestType: written,
        word,
        words: written.endsWith("64") ? 2 : 1,
        size: 0,
      };
    }
    throw new BuildError(`"${written}" is not an argument type of the IDL`, at(source, parameter.type));
  }
}

/** Files that many images share (interfaces, libraries) are parsed once; a changed text replaces its predecessor. */
const parsed = new Map<string, ts.SourceFile>();

export function parseSource(path: string, text: string): ts.SourceFile {
  const known = parsed.get(path);
  if (known?.text === text) return known;
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.ES2022, true, ts.ScriptKind.TS);
  parsed.set(path, source);
  return source;
}

export function positionOf(source: ts.SourceFile, node: ts.Node): SourcePosition {
  return positionAt(source, node.getStart(source));
}

export function positionAt(source: ts.SourceFile, offset: number): SourcePosition {
  const { line, character } = source.getLineAndCharacterOfPosition(offset);
  return { file: source.fileName, line: line + 1, column: character + 1 };
}

function at(source: ts.SourceFile, node: ts.Node): { position: SourcePosition } {
  return { position: positionOf(source, node) };
}

export function hasDecorator(node: ts.ClassDeclaration, name: string): boolean {
  return (ts.getDecorators(node) ?? []).some(
    (decorator) => ts.isIdentifier(decorator.expression) && decorator.expression.text === name,
  );
}

/** Text of the documentation comment in front of a node, without stars. */
function documentationOf(node: ts.Node): string {
  const comments = (node as ts.Node & { jsDoc?: readonly ts.JSDoc[] }).jsDoc;
  const last = comments?.[comments.length - 1];
  return last ? (ts.getTextOfJSDocComment(last.comment) ?? "") : "";
}
