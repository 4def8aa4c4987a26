/**
 * Guest TypeScript → AssemblyScript, one file at a time, as edits of the text: every line stays where it was, so asc's
 * messages and source map lead back. What changes: interfaces become classes whose methods are vtable calls; server classes
 * get vtables and thunks; `text`, `functionAddress`, `newObject`, `interfaceOf` and `interfaceTable` become constants and
 * calls; declared functions become imports; another library's functions lose their bodies and become imports too.
 * Over 500 lines: all edits are made in one pass over one file, and share what it has found.
 */

import ts from "typescript";
import { BuildError } from "../contract.ts";
import { EditedText } from "./edited-text.ts";
import {
  type AmbientFunctions,
  ambientModule,
  FUNCTION_TAG,
  foreignGlobalImport,
  interfaceTableModule,
  objectModule,
  type TextPool,
  textModule,
} from "./generated-modules.ts";
import {
  allMethods,
  hasDecorator,
  type InterfaceModel,
  positionOf,
  scalarSize,
  typesModule,
} from "./interfaces.ts";
import { joinPath, libraryOf, relativeSpecifier, withoutExtension } from "./paths.ts";
import { isInterfaceFile, type Program, type SourceUnit } from "./program.ts";
import { serverText } from "./server.ts";

/** What the rewriter must know about the image that the file is compiled into. */
export interface ImageContext {
  readonly program: Program;
  readonly ambient: AmbientFunctions;
  readonly texts: TextPool;
  /** The library that is being built, if the image is one. */
  readonly library: string | undefined;
  /** Module (path without extension) that exports `allocate` and `free`. */
  readonly heapModule: string;
}

export function rewriteUnit(unit: SourceUnit, context: ImageContext): EditedText {
  return new Rewriter(unit, context).run();
}

class Rewriter {
  private readonly unit: SourceUnit;
  private readonly source: ts.SourceFile;
  private readonly context: ImageContext;
  private readonly text: EditedText;
  /** Imports to add: module → names, as "name" or "name as local". */
  private readonly added = new Map<string, Set<string>>();
  private readonly functions: { text: string; anchor: number }[] = [];
  private readonly addresses = new Map<string, string>();
  /** Another library's file: its functions are imported from there. */
  private readonly foreign: string | undefined;

  constructor(unit: SourceUnit, context: ImageContext) {
    this.unit = unit;
    this.source = unit.source;
    this.context = context;
    this.text = new EditedText(unit.source.text);
    const library = libraryOf(unit.path);
    this.foreign = library !== undefined && library !== context.library ? library : undefined;
  }

  run(): EditedText {
    for (const statement of this.source.statements) this.statement(statement);
    for (const { text, anchor } of this.functions) this.text.append(text, anchor);
    const lines = [...this.added].map(
      ([module, names]) =>
        `import { ${[...names].join(", ")} } from "${relativeSpecifier(this.unit.path, module)}";`,
    );
    if (lines.length) this.text.append(lines.join(" "));
    return this.text;
  }

  private fail(node: ts.Node, message: string): never {
    throw new BuildError(message, { position: positionOf(this.source, node) });
  }

  private addImport(module: string, name: string): void {
    const names = this.added.get(module) ?? new Set();
    names.add(name);
    this.added.set(module, names);
  }

  private remove(node: ts.Node): void {
    this.text.replace(node.getStart(this.source), node.getEnd(), "");
  }

  private statement(node: ts.Statement): void {
    if (ts.isImportDeclaration(node)) this.importDeclaration(node);
    else if (ts.isExportDeclaration(node)) this.exportDeclaration(node);
    else if (ts.isInterfaceDeclaration(node)) this.interfaceDeclaration(node);
    else if (ts.isClassDeclaration(node)) this.classDeclaration(node);
    else if (ts.isFunctionDeclaration(node)) this.functionDeclaration(node);
    else if (ts.isVariableStatement(node)) this.variableStatement(node);
    else if (ts.isTypeAliasDeclaration(node)) {
      // AssemblyScript has the scalars; only tsc needs them exported from the types module.
      if (withoutExtension(this.unit.path) === typesModule && scalarSize(node.name.text) !== undefined)
        this.remove(node);
    } else if (this.foreign !== undefined && !ts.isEnumDeclaration(node)) {
      this.remove(node); // its initialisation belongs to the library's own image
    } else this.visit(node);
  }

  private importDeclaration(node: ts.ImportDeclaration): void {
    const specifier = node.moduleSpecifier as ts.StringLiteral;
    const module = withoutExtension(joinPath(this.unit.path, specifier.text));
    const bindings = node.importClause?.namedBindings;
    if (!bindings || !ts.isNamedImports(bindings)) return;
    const kept = bindings.elements
      .filter(
        (element) =>
          !(module === typesModule && scalarSize((element.propertyName ?? element.name).text) !== undefined),
      )
      .map((element) =>
        element.propertyName ? `${element.propertyName.text} as ${element.name.text}` : element.name.text,
      );
    if (kept.length === 0) this.remove(node);
    else {
      this.text.replace(
        node.getStart(this.source),
        node.getEnd(),
        `import { ${kept.join(", ")} } from "${relativeSpecifier(this.unit.path, module)}";`,
      );
    }
  }

  private exportDeclaration(node: ts.ExportDeclaration): void {
    if (!node.moduleSpecifier) return;
    const module = withoutExtension(
      joinPath(this.unit.path, (node.moduleSpecifier as ts.StringLiteral).text),
    );
    const names =
      node.exportClause && ts.isNamedExports(node.exportClause)
        ? `{ ${node.exportClause.elements.map((e) => (e.propertyName ? `${e.propertyName.text} as ${e.name.text}` : e.name.text)).join(", ")} }`
        : "*";
    this.text.replace(
      node.getStart(this.source),
      node.getEnd(),
      `export ${names} from "${relativeSpecifier(this.unit.path, module)}";`,
    );
  }

  private interfaceDeclaration(node: ts.InterfaceDeclaration): void {
    if (!isInterfaceFile(this.unit.path))
      this.fail(node.name, "interfaces are declared in os/interfaces, one file each");
    const model = this.context.program.interfaces.interfaces.get(node.name.text)!;
    this.text.replace(node.getStart(this.source), node.getEnd(), callerClass(model), {
      anchor: node.name.getStart(this.source),
      hidden: true,
    });
  }

  private classDeclaration(node: ts.ClassDeclaration): void {
    for (const clause of node.heritageClauses ?? []) {
      if (clause.token === ts.SyntaxKind.ImplementsKeyword)
        this.text.replace(clause.getStart(this.source), clause.getEnd(), "");
    }
    for (const member of node.members) this.visit(member);
    const server = this.context.program.serverClass(this.unit, node);
    if (!server) {
      if (!hasDecorator(node, "unmanaged"))
        this.fail(
          node.name ?? node,
          `class ${node.name?.text ?? ""} must be @unmanaged: there is no managed runtime`,
        );
      return;
    }
    if (!server.base) this.addImport(objectModule, "ComObject");
    this.addImport(objectModule, "$addRef");
    this.addImport(objectModule, "$dropReference");
    if (withoutExtension(this.unit.path) === this.context.heapModule)
      this.fail(node.name!, "the heap's own file cannot hold server classes");
    this.addImport(this.context.heapModule, "allocate as $allocate");
    this.addImport(this.context.heapModule, "free as $free");
    const made = serverText(
      this.context.program,
      server,
      (_unit, expression) =>
        `(${this.text.sliceEdited(expression.getStart(this.source), expression.getEnd())})`,
      (model) => `$${model.name}`,
    );
    for (const model of made.uses)
      this.addImport(withoutExtension(model.file), `${model.name} as $${model.name}`);
    const anchor = node.name!.getStart(this.source);
    this.text.insert(node.getEnd() - 1, ` ${made.members} `, { anchor, hidden: true });
    this.functions.push({ text: made.functions, anchor });
  }

  private functionDeclaration(node: ts.FunctionDeclaration): void {
    const name = node.name?.text;
    if (!name) this.fail(node, "a function needs a name");
    const flags = ts.getCombinedModifierFlags(node);
    const exported = (flags & ts.ModifierFlags.Export) !== 0;
    if (flags & ts.ModifierFlags.Ambient) {
      const module =
        this.foreign === undefined
          ? "assembly"
          : exported
            ? `library:${this.foreign}`
            : `assembly of library ${this.foreign}`;
      this.text.insert(node.getStart(this.source), `@external("${module}", "${name}") `);
      return;
    }
    const generic = (node.typeParameters?.length ?? 0) > 0;
    if (exported && !generic && libraryOf(this.unit.path) !== undefined) {
      const optional = node.parameters.find((parameter) => parameter.initializer || parameter.questionToken);
      if (optional)
        this.fail(optional, `${name} is exported by a library, so its arguments cannot be optional`);
    }
    if (this.foreign === undefined || !exported || generic) {
      this.visitChildren(node);
      return;
    }
    // Only the signature stays: the body lives in the library's image.
    const start = node.getStart(this.source);
    const signature = this.source.text
      .slice(start, node.body?.getStart(this.source) ?? node.getEnd())
      .replace(/^export\s+/, "");
    const result = node.type ? "" : ": void";
    this.text.replace(
      start,
      node.getEnd(),
      `@external("library:${this.foreign}", "${name}") export declare function ${signature.replace(/^function\s+/, "").trimEnd()}${result};`,
    );
  }

  private variableStatement(node: ts.VariableStatement): void {
    const flags = ts.getCombinedModifierFlags(node.declarationList.declarations[0]!);
    if (flags & ts.ModifierFlags.Ambient) {
      this.remove(node); // the value side of an interface; the class is it
      return;
    }
    const constant = (node.declarationList.flags & ts.NodeFlags.Const) !== 0;
    if (
      this.foreign === undefined ||
      (constant && node.declarationList.declarations.every((d) => isCompileTime(d.initializer)))
    ) {
      this.visitChildren(node);
      return;
    }
    // A library's data exists once a space, in the library's image; here each use of its variables is an error.
    const replacement = node.declarationList.declarations.map((declaration) => {
      const name = declaration.name.getText(this.source);
      const type =
        declaration.type?.getText(this.source) ??
        (scalarSize(callName(declaration.initializer) ?? "") ? callName(declaration.initializer) : "i32");
      return `@lazy @external("${foreignGlobalImport}", "${name} of ${this.foreign}") ${flags & ts.ModifierFlags.Export ? "export " : ""}declare let ${name}: ${type};`;
    });
    this.text.replace(node.getStart(this.source), node.getEnd(), replacement.join(" "));
  }

  private visitChildren(node: ts.Node): void {
    ts.forEachChild(node, (child) => this.visit(child));
  }

  private visit(node: ts.Node): void {
    if (ts.isTypeNode(node) && !ts.isExpressionWithTypeArguments(node)) return;
    if (ts.isCallExpression(node) && this.call(node)) return;
    if (ts.isNewExpression(node)) {
      this.fail(
        node,
        "`new` needs a managed runtime; use newObject for servers, or changetype of memory from allocate or stackAlloc",
      );
    }
    if (
      ts.isStringLiteral(node) ||
      ts.isNoSubstitutionTemplateLiteral(node) ||
      ts.isTemplateExpression(node)
    ) {
      this.fail(node, 'the dialect has no run-time strings; text("…") is the address of a literal');
    }
    if (ts.isTryStatement(node) || ts.isThrowStatement(node))
      this.fail(node, "the dialect has no exceptions; return an HRESULT");
    if (ts.isForStatement(node)) this.endlessLoop(node);
    if (ts.isIdentifier(node)) this.identifier(node);
    this.visitChildren(node);
  }

  /**
   * AssemblyScript takes what follows a `for` without condition for unreachable when the loop's body ends in a return, although a `break` leads
   * there. `while (true)` and a condition whose value it does not see are right.
   */
  private endlessLoop(node: ts.ForStatement): void {
    if (node.condition) return;
    const start = node.getStart(this.source);
    const { initializer } = node;
    if (!initializer && !node.incrementor) {
      this.text.replace(start, node.statement.getStart(this.source), "while (true) ");
      return;
    }
    const variable =
      initializer && ts.isVariableDeclarationList(initializer) ? initializer.declarations[0] : undefined;
    if (!initializer || !variable) this.fail(node, "a loop without condition is written while (true)");
    const name = variable.name.getText(this.source);
    const semicolon = this.source.text.indexOf(";", initializer.getEnd());
    this.text.insert(semicolon + 1, ` ${name} === ${name}`);
  }

  private identifier(node: ts.Identifier): void {
    const parent = node.parent;
    if (ts.isPropertyAccessExpression(parent) && parent.name === node) return;
    if (this.context.ambient.intrinsics.has(node.text) && !this.isDeclared(node))
      this.addImport(ambientModule, node.text);
  }

  /** True when the file itself gives the name a meaning: top level, import, parameter or local. */
  private isDeclared(node: ts.Identifier): boolean {
    if (this.unit.declarations.has(node.text) || this.unit.imports.has(node.text)) return true;
    const parent = node.parent;
    return (
      (ts.isPropertyDeclaration(parent) ||
        ts.isMethodDeclaration(parent) ||
        ts.isParameter(parent) ||
        ts.isVariableDeclaration(parent)) &&
      parent.name === node
    );
  }

  /** Rewrites a call of an ambient function of the dialect; true when its children are done with. */
  private call(node: ts.CallExpression): boolean {
    const callee = node.expression;
    if (!ts.isIdentifier(callee)) return this.propertyCall(node);
    const name = callee.text;
    if (this.unit.declarations.has(name) || this.unit.imports.has(name)) return false;
    const start = node.getStart(this.source);
    const end = node.getEnd();
    const [first] = node.arguments;
    const [typeArgument] = node.typeArguments ?? [];
    switch (name) {
      case "text": {
        if (
          node.arguments.length !== 1 ||
          !first ||
          !(ts.isStringLiteral(first) || ts.isNoSubstitutionTemplateLiteral(first))
        ) {
          return this.fail(node, "text() takes one string literal");
        }
        if (first.text.includes("\0")) this.fail(first, "the text holds a NUL, which ends it");
        const identifier = this.context.texts.identifier(first.text);
        this.addImport(textModule, identifier);
        this.text.replace(start, end, identifier);
        return true;
      }
      case "functionAddress": {
        if (
          node.arguments.length !== 1 ||
          !first ||
          !(ts.isIdentifier(first) || ts.isPropertyAccessExpression(first))
        ) {
          return this.fail(node, "functionAddress() takes the name of a function");
        }
        this.text.replace(start, end, this.functionAddress(first));
        return true;
      }
      case "newObject": {
        if (!typeArgument || node.arguments.length) return this.fail(node, "write newObject<T>()");
        const target = this.context.program.resolve(this.unit, typeArgument.getText(this.source));
        if (
          target &&
          ts.isClassDeclaration(target.declaration) &&
          !this.context.program.serverClass(target.unit, target.declaration)
        ) {
          this.fail(
            typeArgument,
            `${typeArgument.getText(this.source)} is not a server class: it does not extend ComObject`,
          );
        }
        this.text.replace(start, end, `${typeArgument.getText(this.source)}.$create()`);
        return true;
      }
      case "interfaceOf": {
        if (!typeArgument || node.arguments.length !== 1)
          return this.fail(node, "write interfaceOf<I>(object)");
        const model = this.context.program.interfaceNamed(this.unit, typeArgument.getText(this.source));
        if (!model)
          return this.fail(
            typeArgument,
            `${typeArgument.getText(this.source)} is not an interface of os/interfaces`,
          );
        this.text.replace(
          start,
          first!.getStart(this.source),
          `changetype<${typeArgument.getText(this.source)}>((`,
        );
        this.text.replace(first!.getEnd(), end, `).$as_${model.name}())`);
        this.visit(first!);
        return true;
      }
      case "interfaceTable": {
        this.addImport(interfaceTableModule, "$interfaceTable");
        this.text.replace(start, end, "$interfaceTable");
        return true;
      }
      case "assert": {
        if (first) this.visit(first);
        // The message is for readers: a broken invariant is an undefined instruction, and the epitaph has its source line.
        if (node.arguments[1]) this.text.replace(first!.getEnd(), node.arguments[1].getEnd(), "");
        return true;
      }
      case "offsetof":
        return true; // its argument is a field's name
      default:
        return false;
    }
  }

  private propertyCall(node: ts.CallExpression): boolean {
    const callee = node.expression;
    if (!ts.isPropertyAccessExpression(callee)) return false;
    // `memory.data<usize>([functionAddress(f), …])` needs constants, so the address is written in place.
    if (callee.getText(this.source) !== "memory.data") return false;
    for (const argument of node.arguments) {
      if (!ts.isArrayLiteralExpression(argument)) this.visit(argument);
      else for (const element of argument.elements) this.visit(element);
    }
    return true;
  }

  /** A constant of this file for the code address of a function. */
  private functionAddress(target: ts.Expression): string {
    const written = target.getText(this.source);
    let constant = this.addresses.get(written);
    if (!constant) {
      constant = `$address_${written.replaceAll(".", "$")}`;
      this.addresses.set(written, constant);
      this.functions.push({
        text: `@lazy const ${constant}: usize = changetype<usize>(${written}) + 0x${FUNCTION_TAG.toString(16)};`,
        anchor: target.getStart(this.source),
      });
    }
    return constant;
  }
}

/** The class that callers of an interface see, on one line. */
function callerClass(model: InterfaceModel): string {
  const inherited = model.base ? allMethods(model.base).length : 0;
  const methods = model.methods.map((method, i) => {
    const parameters = method.arguments
      .map((argument) => `${argument.name}: ${argument.guestType}`)
      .join(", ");
    const values = ["changetype<usize>(this)", ...method.arguments.map((argument) => argument.name)].join(
      ", ",
    );
    const type = method.returns === "u32" ? "u32" : "i32";
    const slot = 4 * (inherited + i);
    return `@inline ${method.name}(${parameters}): ${type} { return call_indirect<${type}>(load<u32>(load<usize>(changetype<usize>(this)), ${slot}), ${values}); }`;
  });
  const heritage = model.base ? ` extends ${model.base.name}` : "";
  return `@unmanaged export class ${model.name}${heritage} { static readonly IID: u32 = 0x${model.iid.toString(16)}; ${methods.join(" ")} }`;
}

/** `u32` of `<u32>1`, `memory` of nothing: the type name that an initialiser states, if it does. */
function callName(node: ts.Expression | undefined): string | undefined {
  if (!node) return undefined;
  if (ts.isTypeAssertionExpression(node)) return node.type.getText();
  if (ts.isCallExpression(node))
    return node.expression.getText() === "memory.data" ? "usize" : node.expression.getText();
  return undefined;
}

/** True for constants that are numbers wherever they are compiled: nothing in them has an identity or runs code. */
function isCompileTime(node: ts.Expression | undefined): boolean {
  if (!node) return false;
  const harmless = new Set([
    "sizeof",
    "offsetof",
    "alignof",
    "text",
    "nameof",
    "u8",
    "u16",
    "u32",
    "u64",
    "i8",
    "i16",
    "i32",
    "i64",
    "f32",
    "f64",
    "usize",
    "isize",
    "bool",
  ]);
  let plain = true;
  const check = (child: ts.Node): void => {
    if (
      ts.isCallExpression(child) &&
      !(ts.isIdentifier(child.expression) && harmless.has(child.expression.text))
    )
      plain = false;
    if (
      ts.isNewExpression(child) ||
      ts.isArrayLiteralExpression(child) ||
      ts.isObjectLiteralExpression(child)
    )
      plain = false;
    ts.forEachChild(child, check);
  };
  check(node);
  return plain;
}
