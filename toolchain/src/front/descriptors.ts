/**
 * The table of all interfaces that the kernel, and who else asks, is given: the AssemblyScript source of a module whose static data it
 * is. `interfaceTable()` is the table's address. All words are little-endian; addresses are relocated like any other.
 *
 *   table            +0 u32 count   +4 u32 address of the first interface entry
 *   interface entry  +0 u32 iid     +4 u32 address of the name   +8 u32 method count   +12 u32 address of the method entries
 *                    +16 u32 flags: 1 internal
 *                    (sorted by iid, unsigned; the count includes the methods of all bases, IUnknown's three first)
 *   method entry     +0 u32 address of the name   +4 u16 stack words with `this`   +6 u16 argument count
 *                    +8 u32 address of the argument entries, 0 if there are none   +12 u32 flags (0)
 *   argument entry   +0 u8 kind   +1 u8 stack word (`this` is 0)   +2 u8 stack word of the size (kinds 4-6) or iid (10)
 *                    +3 u8 0   +4 u32 byte size behind the pointer (kinds 1-3) or iid (kinds 8 and 9)
 *
 * Argument entries exist for pointers and interfaces only, in order. Names are NUL-terminated UTF-8.
 */

import {
  type ArgumentKind,
  type ArgumentModel,
  allMethods,
  type InterfaceModel,
  type InterfaceSet,
  isInternal,
  type MethodModel,
} from "./interfaces.ts";

export const argumentKinds: Readonly<Record<Exclude<ArgumentKind, "value">, number>> = {
  in: 1,
  out: 2,
  inout: 3,
  inBytes: 4,
  outBytes: 5,
  inOutBytes: 6,
  inString: 7,
  interfaceIn: 8,
  interfaceOut: 9,
  outInterface: 10,
};

/**
 * AssemblyScript source of the table; it exports `$interfaceTable`. `nameAddress` gives the identifier of a string's address
 * and the module imports it from `textModule`.
 */
export function descriptorSource(
  set: InterfaceSet,
  textModule: string,
  nameAddress: (text: string) => string,
): string {
  const out: string[] = [];
  const used = new Set<string>();
  const name = (text: string): string => {
    const identifier = nameAddress(text);
    used.add(identifier);
    return identifier;
  };
  const methodsOf = (model: InterfaceModel): string[] =>
    allMethods(model).flatMap((method) => {
      const described = method.arguments.filter((argument) => argument.kind !== "value");
      const constant = `$arguments_${ownerOf(model, method).name}_${method.name}`;
      return [
        name(method.name),
        String((method.words | (described.length << 16)) >>> 0),
        described.length ? constant : "0",
        "0",
      ];
    });

  const models = [...set.interfaces.values()].sort((a, b) => a.iid - b.iid);
  for (const model of models) {
    for (const method of model.methods) {
      const words = method.arguments
        .filter((argument) => argument.kind !== "value")
        .flatMap((argument) => argumentWords(argument, set));
      if (words.length)
        out.push(
          `const $arguments_${model.name}_${method.name}: usize = memory.data<u32>([${words.join(", ")}]);`,
        );
    }
  }
  for (const model of models)
    out.push(`const $methods_${model.name}: usize = memory.data<usize>([${methodsOf(model).join(", ")}]);`);
  const entries = models.flatMap((model) => [
    String(model.iid),
    name(model.name),
    String(allMethods(model).length),
    `$methods_${model.name}`,
    isInternal(model) ? "1" : "0",
  ]);
  out.push(`const $entries: usize = memory.data<usize>([${entries.join(", ")}]);`);
  out.push(`export const $interfaceTable: usize = memory.data<usize>([${models.length}, $entries]);`);
  return `import { ${[...used].join(", ")} } from "${textModule}";\n${out.join("\n")}\n`;
}

function argumentWords(argument: ArgumentModel, set: InterfaceSet): number[] {
  if (argument.kind === "value") return [];
  const iid = argument.interfaceName === undefined ? 0 : set.interfaces.get(argument.interfaceName)!.iid;
  const head = argumentKinds[argument.kind] | (argument.word << 8) | ((argument.other ?? 0) << 16);
  return [head >>> 0, argument.size || iid];
}

function ownerOf(model: InterfaceModel, method: MethodModel): InterfaceModel {
  return model.methods.includes(method) || !model.base ? model : ownerOf(model.base, method);
}
