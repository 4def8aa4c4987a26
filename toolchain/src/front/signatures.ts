/**
 * Versions of a library's functions. A function's version is the FNV-1a hash of its signature as the source spells it, with what its type
 * names mean: an interface's id, a structure's fields. Library and user compute it from the same declaration, each when it is
 * built; the loader compares (os/kernel/loader/linking.ts). So a changed argument, structure or interface is a clash, and a new
 * function, another body or another order is none.
 */

import ts from "typescript";
import { fnv1a32 } from "./interfaces.ts";
import { libraryOf } from "./paths.ts";
import { isInterfaceFile, type Program, type SourceUnit } from "./program.ts";

/** Versions by "LIBRARY!NAME" of all functions that the libraries among the program's sources export. */
export function librarySignatures(program: Program): ReadonlyMap<string, number> {
  const signatures = new Map<string, number>();
  for (const [path, unit] of program.units) {
    const library = libraryOf(path);
    if (library === undefined) continue;
    for (const [name, declaration] of unit.declarations) {
      if (!ts.isFunctionDeclaration(declaration) || declaration.typeParameters?.length) continue;
      if (!(ts.getCombinedModifierFlags(declaration) & ts.ModifierFlags.Export)) continue;
      signatures.set(`${library}!${name}`, fnv1a32(signatureText(program, unit, name, declaration)));
    }
  }
  return signatures;
}

/** "allocate(usize):usize" */
function signatureText(
  program: Program,
  unit: SourceUnit,
  name: string,
  declaration: ts.FunctionDeclaration,
): string {
  const type = (node: ts.TypeNode | undefined) => (node ? typeText(program, unit, node, []) : "void");
  const parameters = declaration.parameters.map((parameter) => type(parameter.type));
  return `${name}(${parameters.join(",")}):${type(declaration.type)}`;
}

/** A type with the meaning of its names; `inside` are the structures that it is part of. */
function typeText(
  program: Program,
  unit: SourceUnit,
  node: ts.TypeNode,
  inside: readonly ts.Declaration[],
): string {
  const part = (child: ts.TypeNode) => typeText(program, unit, child, inside);
  if (ts.isUnionTypeNode(node)) return node.types.map(part).join("|");
  if (!ts.isTypeReferenceNode(node) || !ts.isIdentifier(node.typeName)) return node.getText(unit.source);
  const name = node.typeName.text;
  const text = node.typeArguments ? `${name}<${node.typeArguments.map(part).join(",")}>` : name;
  const model = program.interfaceNamed(unit, name);
  if (model) return `${text}#${model.iid.toString(16)}`;
  const found = program.resolve(unit, name);
  if (!found || inside.includes(found.declaration)) return text;
  if (ts.isClassDeclaration(found.declaration)) {
    const { declaration } = found;
    const fields = declaration.members.filter(ts.isPropertyDeclaration).map((field) => {
      const type = field.type ? typeText(program, found.unit, field.type, [...inside, declaration]) : "";
      return `${field.name.getText(found.unit.source)}:${type}`;
    });
    return `${text}{${fields.join(";")}}`;
  }
  if (ts.isTypeAliasDeclaration(found.declaration) && !isInterfaceFile(found.unit.path)) {
    return typeText(program, found.unit, found.declaration.type, [...inside, found.declaration]);
  }
  return text;
}
