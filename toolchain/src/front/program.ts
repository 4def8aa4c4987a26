/**
 * The sources of one image as TypeScript parses them: every file reached from the entries by imports, what each name in a
 * file stands for, and which classes are servers. Nothing here is AssemblyScript yet; `rewrite.ts` makes that.
 */

import ts from "typescript";
import { BuildError, type SourcePosition } from "../contract.ts";
import {
  hasDecorator,
  type InterfaceModel,
  type InterfaceSet,
  parseSource,
  positionAt,
  positionOf,
  readInterfaces,
} from "./interfaces.ts";
import { joinPath, withoutExtension } from "./paths.ts";

export interface SourceUnit {
  /** "os/apps/hello/main.ts" */
  readonly path: string;
  readonly source: ts.SourceFile;
  /** Local name → module path without extension, and the name there. */
  readonly imports: ReadonlyMap<string, { readonly module: string; readonly name: string }>;
  /** Top-level declarations by name. */
  readonly declarations: ReadonlyMap<string, ts.Declaration>;
}

/** A class that extends ComObject, directly or through other such classes. */
export interface ServerClass {
  readonly name: string;
  readonly unit: SourceUnit;
  readonly node: ts.ClassDeclaration;
  readonly base: ServerClass | undefined;
  /** Interfaces in its own `implements` clause. */
  readonly interfaces: readonly InterfaceModel[];
}

export class Program {
  readonly units = new Map<string, SourceUnit>();
  readonly interfaces: InterfaceSet;
  /** Does it call `interfaceTable`? */
  readonly usesInterfaceTable: boolean;
  private readonly provide: (path: string) => string | undefined;
  private readonly servers = new Map<ts.ClassDeclaration, ServerClass | undefined>();

  /** Reads `entries` and all that they import. `interfaceFiles` are read as IDL, although nothing imports them, for a table of all interfaces. */
  constructor(
    entries: readonly string[],
    interfaceFiles: readonly string[],
    readFile: (path: string) => string | undefined,
  ) {
    this.provide = readFile;
    for (const entry of entries) this.load(entry, undefined);
    this.usesInterfaceTable = [...this.units.values()].some(({ source }) =>
      source.text.includes("interfaceTable()"),
    );
    const files = new Set(this.usesInterfaceTable ? interfaceFiles : []);
    for (const path of this.units.keys()) if (isInterfaceFile(path)) files.add(path);
    this.interfaces = readInterfaces([...files].sort(), readFile);
  }

  /** Adds a file (and what it imports) that generated code needs. */
  add(path: string, neededAt: SourcePosition): void {
    this.load(path, neededAt);
  }

  private load(path: string, from: SourcePosition | undefined): void {
    if (this.units.has(path)) return;
    const text = this.provide(path);
    if (text === undefined) throw new BuildError(`the file ${path} does not exist`, { position: from });
    const source = parseSource(path, text);
    const broken = (source as ts.SourceFile & { parseDiagnostics?: readonly ts.DiagnosticWithLocation[] })
      .parseDiagnostics?.[0];
    if (broken) {
      const message = ts.flattenDiagnosticMessageText(broken.messageText, "\n");
      throw new BuildError(`syntax: ${message}`, { position: positionAt(source, broken.start) });
    }
    const imports = new Map<string, { module: string; name: string }>();
    const declarations = new Map<string, ts.Declaration>();
    this.units.set(path, { path, source, imports, declarations });
    for (const statement of source.statements) {
      collectDeclarations(statement, declarations);
      if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue;
      const specifier = statement.moduleSpecifier;
      if (!specifier || !ts.isStringLiteral(specifier)) continue;
      if (!specifier.text.startsWith(".")) {
        throw new BuildError(`imports are relative paths; "${specifier.text}" is not`, {
          position: positionOf(source, specifier),
        });
      }
      const module = withoutExtension(joinPath(path, specifier.text));
      if (ts.isImportDeclaration(statement)) {
        const bindings = statement.importClause?.namedBindings;
        if (statement.importClause?.name) {
          throw new BuildError("the dialect has no default imports", {
            position: positionOf(source, statement),
          });
        }
        if (bindings && ts.isNamedImports(bindings)) {
          for (const element of bindings.elements) {
            imports.set(element.name.text, { module, name: (element.propertyName ?? element.name).text });
          }
        }
      }
      this.load(`${module}.ts`, positionOf(source, specifier));
    }
  }

  /** The declaration that `name` means in `unit`, through imports and re-exports. */
  resolve(
    unit: SourceUnit,
    name: string,
    depth = 0,
  ): { unit: SourceUnit; declaration: ts.Declaration } | undefined {
    if (depth > 16) return undefined;
    const own = unit.declarations.get(name);
    if (own) return { unit, declaration: own };
    const imported = unit.imports.get(name);
    if (imported) {
      const target = this.units.get(`${imported.module}.ts`);
      return target && this.resolve(target, imported.name, depth + 1);
    }
    for (const statement of unit.source.statements) {
      if (!ts.isExportDeclaration(statement) || !statement.moduleSpecifier) continue;
      const module = withoutExtension(
        joinPath(unit.path, (statement.moduleSpecifier as ts.StringLiteral).text),
      );
      const target = this.units.get(`${module}.ts`);
      if (!target) continue;
      if (!statement.exportClause) {
        const found = this.resolve(target, name, depth + 1);
        if (found) return found;
      } else if (ts.isNamedExports(statement.exportClause)) {
        const element = statement.exportClause.elements.find((candidate) => candidate.name.text === name);
        if (element) return this.resolve(target, (element.propertyName ?? element.name).text, depth + 1);
      }
    }
    return undefined;
  }

  /** The interface of os/interfaces that `name` means in `unit`. */
  interfaceNamed(unit: SourceUnit, name: string): InterfaceModel | undefined {
    const found = this.resolve(unit, name);
    if (!found || !isInterfaceFile(found.unit.path)) return undefined;
    const declared = found.declaration;
    const own = (declared as ts.Declaration & { name?: ts.Node }).name;
    return own && ts.isIdentifier(own) ? this.interfaces.interfaces.get(own.text) : undefined;
  }

  /** What the transform must know of a class that is a server; undefined for plain structures. */
  serverClass(unit: SourceUnit, node: ts.ClassDeclaration): ServerClass | undefined {
    if (this.servers.has(node)) return this.servers.get(node);
    this.servers.set(node, undefined);
    const made = this.makeServerClass(unit, node);
    this.servers.set(node, made);
    return made;
  }

  private makeServerClass(unit: SourceUnit, node: ts.ClassDeclaration): ServerClass | undefined {
    const fail = (where: ts.Node, message: string): never => {
      throw new BuildError(message, { position: positionOf(unit.source, where) });
    };
    const extended = node.heritageClauses?.find((clause) => clause.token === ts.SyntaxKind.ExtendsKeyword)
      ?.types[0];
    const implemented =
      node.heritageClauses?.find((clause) => clause.token === ts.SyntaxKind.ImplementsKeyword)?.types ?? [];
    let base: ServerClass | undefined;
    let isServer = false;
    if (extended && ts.isIdentifier(extended.expression)) {
      const baseName = extended.expression.text;
      const found = this.resolve(unit, baseName);
      if (!found && baseName === "ComObject") isServer = true;
      else if (found && ts.isClassDeclaration(found.declaration)) {
        base = this.serverClass(found.unit, found.declaration);
        isServer = base !== undefined;
      }
    }
    const name = node.name?.text;
    if (!isServer) {
      if (implemented.length)
        fail(implemented[0]!, `class ${name ?? ""} implements an interface, so it must extend ComObject`);
      return undefined;
    }
    if (!name) return fail(node, "a server class needs a name");
    if (node.typeParameters?.length) fail(node.name!, `server class ${name} must not be generic`);
    if (!hasDecorator(node, "unmanaged")) fail(node.name!, `server class ${name} must be @unmanaged`);
    const interfaces = implemented.map((clause) => {
      const model = ts.isIdentifier(clause.expression)
        ? this.interfaceNamed(unit, clause.expression.text)
        : undefined;
      return model ?? fail(clause, `${clause.getText(unit.source)} is not an interface of os/interfaces`);
    });
    return { name, unit, node, base, interfaces };
  }
}

export function isInterfaceFile(path: string): boolean {
  return /^os\/interfaces\/I[A-Z]\w*\.ts$/.test(path);
}

function collectDeclarations(statement: ts.Statement, into: Map<string, ts.Declaration>): void {
  if (ts.isVariableStatement(statement)) {
    for (const declaration of statement.declarationList.declarations) {
      // `declare const IName` beside `interface IName` is for tsc alone: the interface is what the name means.
      if (ts.isIdentifier(declaration.name) && !into.has(declaration.name.text))
        into.set(declaration.name.text, declaration);
    }
  } else if (
    ts.isFunctionDeclaration(statement) ||
    ts.isClassDeclaration(statement) ||
    ts.isInterfaceDeclaration(statement) ||
    ts.isTypeAliasDeclaration(statement) ||
    ts.isEnumDeclaration(statement) ||
    ts.isModuleDeclaration(statement)
  ) {
    if (statement.name) into.set(statement.name.text, statement);
  }
}
