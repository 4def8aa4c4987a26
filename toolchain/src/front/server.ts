/**
 * Server classes (os/README.md, "Interfaces"): from a class that extends ComObject and implements interfaces come the words
 * for further vtables, `newObject`, `interfaceOf`, queryInterface / addRef / release, one thunk for each method of each
 * interface, and the vtables as static data. All of it is AssemblyScript text that is added to the class and to the end of
 * its file. AssemblyScript finds overridden methods through a run-time type id that unmanaged objects lack, so a class must
 * not redefine a method of its base.
 *
 *   object   +0 vtable of the first interface   +4 references   +8 fields …, one vtable word for each further interface
 */

import ts from "typescript";
import { BuildError } from "../contract.ts";
import { FUNCTION_TAG } from "./generated-modules.ts";
import {
  allMethods,
  type InterfaceModel,
  interfaceChain,
  type MethodModel,
  positionOf,
} from "./interfaces.ts";
import type { Program, ServerClass, SourceUnit } from "./program.ts";

export interface ServerText {
  /** Goes in front of the class's closing brace. */
  readonly members: string;
  /** Goes to the end of the file. */
  readonly functions: string;
  /** Interfaces whose classes the generated text names. */
  readonly uses: ReadonlySet<InterfaceModel>;
}

interface Slot {
  readonly interface: InterfaceModel;
  /** Field with the vtable word; undefined for the first interface, at the object's own address. */
  readonly field: string | undefined;
  readonly introducedBy: ServerClass;
}

const supplied = new Set(["queryInterface", "addRef", "release"]);

/** Text of an initialiser as the rewriter leaves it. */
export type InitialiserText = (unit: SourceUnit, node: ts.Expression) => string;

export function serverText(
  program: Program,
  server: ServerClass,
  initialiser: InitialiserText,
  interfaceName: (model: InterfaceModel) => string,
): ServerText {
  const chain = classChain(server);
  checkMembers(server, chain);
  const unknown = program.interfaces.interfaces.get("IUnknown");
  if (!unknown)
    throw new BuildError("os/interfaces/IUnknown.ts is missing", {
      position: positionOf(server.unit.source, server.node),
    });
  const slots = slotsOf(chain, unknown);
  const inherited = server.base ? slotsOf(classChain(server.base), unknown) : [];
  const name = server.name;
  const uses = new Set<InterfaceModel>();
  const offset = (slot: Slot): string => (slot.field ? `offsetof<${name}>("${slot.field}")` : "0");

  const members: string[] = [];
  const functions: string[] = [];
  for (const slot of slots) {
    if (slot.introducedBy !== server) continue;
    if (slot.field) members.push(`${slot.field}: usize;`);
    for (const model of interfaceChain(slot.interface)) {
      const first = slots.find((candidate) => interfaceChain(candidate.interface).includes(model));
      if (first !== slot || inherited.some((known) => interfaceChain(known.interface).includes(model)))
        continue;
      members.push(
        `@inline $as_${model.name}(): usize { return changetype<usize>(this) + ${offset(slot)}; }`,
      );
    }
  }

  const fields = server.node.members
    .filter(ts.isPropertyDeclaration)
    .filter((member) => !isStatic(member) && member.initializer && !isZero(member.initializer));
  members.push(
    `$initialise_${name}(): void { ${fields.map((field) => `this.${field.name.getText(server.unit.source)} = ${initialiser(server.unit, field.initializer!)};`).join(" ")} }`,
  );
  const setVtables = slots
    .map((slot, i) => `store<usize>(object + ${offset(slot)}, ${name}$vtable${i});`)
    .join(" ");
  const initialise = chain
    .map((ancestor) => `changetype<${name}>(object).$initialise_${ancestor.name}();`)
    .join(" ");
  members.push(
    `static $create(): ${name} { let object: usize = $allocate(offsetof<${name}>()); if (object != 0) { ${setVtables} store<u32>(object, 1, 4); ${initialise} } return changetype<${name}>(object); }`,
  );

  const tests = slots.map((slot) => {
    const identities = interfaceChain(slot.interface)
      .filter(
        (model) => slots.find((candidate) => interfaceChain(candidate.interface).includes(model)) === slot,
      )
      .map((model) => `iid == ${hex(model.iid)}`);
    return `if (${identities.join(" || ") || "false"}) found = self + ${offset(slot)};`;
  });
  functions.push(
    `function ${name}$queryInterface(self: usize, iid: u32, out: usize): i32 { let found: usize = 0; ${tests.join(" else ")} store<usize>(out, found); if (found == 0) return <i32>0x80004002; $addRef(self); return 0; }`,
  );
  const finish = chain.some((ancestor) => methodNamed(ancestor, "finish"))
    ? `changetype<${name}>(self).finish();`
    : "";
  functions.push(
    `function ${name}$release(self: usize): u32 { let left: u32 = $dropReference(self); if (left == 0) { ${finish} $free(self); } return left; }`,
  );
  slots.forEach((slot, i) => {
    const words = allMethods(slot.interface).map((method) => {
      const thunk = thunkFor(program, server, slot, method, offset(slot), functions, interfaceName, uses);
      return `changetype<usize>(${thunk}) + ${hex(FUNCTION_TAG)}`;
    });
    functions.push(`@lazy const ${name}$vtable${i}: usize = memory.data<usize>([${words.join(", ")}]);`);
  });
  return { members: members.join(" "), functions: functions.join(" "), uses };
}

/** Emits the function that stands in a vtable for one method and returns its name. */
function thunkFor(
  program: Program,
  server: ServerClass,
  slot: Slot,
  method: MethodModel,
  offset: string,
  functions: string[],
  interfaceName: (model: InterfaceModel) => string,
  uses: Set<InterfaceModel>,
): string {
  const name = server.name;
  const self = slot.field ? `self - ${offset}` : "self";
  if (supplied.has(method.name)) {
    const target = method.name === "addRef" ? "$addRef" : `${name}$${method.name}`;
    if (!slot.field) return target;
    const thunk = `${name}${slot.field}$${method.name}`;
    functions.push(
      method.name === "queryInterface"
        ? `function ${thunk}(self: usize, iid: u32, out: usize): i32 { return ${target}(${self}, iid, out); }`
        : `function ${thunk}(self: usize): u32 { return ${target}(${self}); }`,
    );
    return thunk;
  }
  const thunk = `${name}${slot.field ?? ""}$${method.name}`;
  const parameters = method.arguments.map((argument, i) => {
    if (argument.kind !== "interfaceIn") return `a${i}: ${argument.guestType}`;
    const target = program.interfaces.interfaces.get(argument.interfaceName!)!;
    uses.add(target);
    return `a${i}: ${interfaceName(target)}`;
  });
  const call = `changetype<${name}>(${self}).${method.name}(${method.arguments.map((_, i) => `a${i}`).join(", ")})`;
  functions.push(
    `function ${thunk}(${["self: usize", ...parameters].join(", ")}): ${method.returns === "u32" ? "u32" : "i32"} { return ${call}; }`,
  );
  return thunk;
}

/** The class and its server bases, the outermost base first. */
export function classChain(server: ServerClass): ServerClass[] {
  return server.base ? [...classChain(server.base), server] : [server];
}

function slotsOf(chain: readonly ServerClass[], unknown: InterfaceModel): Slot[] {
  const slots: Slot[] = [];
  for (const ancestor of chain) {
    for (const model of ancestor.interfaces) {
      if (slots.some((slot) => interfaceChain(slot.interface).includes(model))) continue;
      slots.push({
        interface: model,
        field: slots.length === 0 ? undefined : `$${model.name}`,
        introducedBy: ancestor,
      });
    }
  }
  if (slots.length === 0) slots.push({ interface: unknown, field: undefined, introducedBy: chain[0]! });
  return slots;
}

function checkMembers(server: ServerClass, chain: readonly ServerClass[]): void {
  const source = server.unit.source;
  for (const member of server.node.members) {
    if (ts.isConstructorDeclaration(member)) {
      throw new BuildError(
        `server class ${server.name} has a constructor; give its fields initialisers instead`,
        { position: positionOf(source, member) },
      );
    }
    if (!ts.isMethodDeclaration(member) || isStatic(member)) continue;
    const name = member.name.getText(source);
    if (supplied.has(name)) {
      throw new BuildError(`${name} of ${server.name} is supplied by ComObject`, {
        position: positionOf(source, member.name),
      });
    }
    const base = chain.find((ancestor) => ancestor !== server && methodNamed(ancestor, name));
    if (base) {
      throw new BuildError(
        `${server.name} redefines ${name} of ${base.name}: unmanaged classes have no overriding`,
        { position: positionOf(source, member.name) },
      );
    }
  }
  for (const model of server.interfaces) {
    for (const method of allMethods(model)) {
      if (supplied.has(method.name)) continue;
      if (!chain.some((ancestor) => methodNamed(ancestor, method.name))) {
        throw new BuildError(`class ${server.name} lacks method ${method.name} of ${model.name}`, {
          position: positionOf(source, server.node.name!),
        });
      }
    }
  }
}

function methodNamed(server: ServerClass, name: string): ts.MethodDeclaration | undefined {
  return server.node.members.find(
    (member): member is ts.MethodDeclaration =>
      ts.isMethodDeclaration(member) && !isStatic(member) && member.name.getText(server.unit.source) === name,
  );
}

function isStatic(member: ts.ClassElement): boolean {
  return (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Static) !== 0;
}

/** New objects are zeroed, so these initialisers cost nothing. */
function isZero(node: ts.Expression): boolean {
  return (
    (ts.isNumericLiteral(node) && Number(node.text) === 0) ||
    node.kind === ts.SyntaxKind.FalseKeyword ||
    node.kind === ts.SyntaxKind.NullKeyword
  );
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}
