import { readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { BuildError } from "../contract.ts";
import { argumentKinds } from "./descriptors.ts";
import {
  allMethods,
  fnv1a32,
  type InterfaceModel,
  type InterfaceSet,
  interfaceChain,
  isInternal,
  readInterfaces,
} from "./interfaces.ts";
import { compileKernel, readRepositoryFile, repository, runGuest } from "./testing.ts";

const files = readdirSync(`${repository}os/interfaces`)
  .filter((name) => /^I[A-Z]\w*\.ts$/.test(name))
  .map((name) => `os/interfaces/${name}`);

function read(sources: Record<string, string>): InterfaceSet {
  const paths = Object.fromEntries(
    Object.entries(sources).map(([name, text]) => [`os/interfaces/${name}.ts`, text]),
  );
  return readInterfaces(Object.keys(paths), (path) => paths[path] ?? readRepositoryFile(path));
}

function error(text: string): string {
  try {
    read({
      IBad: `import type { IUnknown } from "./IUnknown";\nimport type { HRESULT, In, InBytes, Out, u32 } from "./types";\n${text}`,
    });
  } catch (thrown) {
    expect(thrown).toBeInstanceOf(BuildError);
    return (thrown as BuildError).message;
  }
  throw new Error("it was read");
}

describe("the system's interfaces", () => {
  const set = readInterfaces(files, readRepositoryFile);

  it("are all read, each file's own name first", () => {
    for (const file of files) expect([...set.interfaces.values()].map((model) => model.file)).toContain(file);
    expect([...set.interfaces.keys()]).toContain("ISystem");
  });

  it("number methods from queryInterface = 0, bases first", () => {
    const echo = set.interfaces.get("IEcho")!;
    expect(
      allMethods(echo)
        .slice(0, 5)
        .map((m) => [m.name, m.index]),
    ).toEqual([
      ["queryInterface", 0],
      ["addRef", 1],
      ["release", 2],
      ["nothing", 3],
      ["add", 4],
    ]);
    expect(interfaceChain(echo).map((model) => model.name)).toEqual(["IEcho", "IUnknown"]);
  });

  it("lay arguments out in stack words, 64-bit values in two", () => {
    const wide = allMethods(set.interfaces.get("IEcho")!).find((m) => m.name === "wide")!;
    expect(wide.arguments.map((a) => [a.name, a.kind, a.word, a.words, a.size])).toEqual([
      ["a", "value", 1, 2, 0],
      ["b", "value", 3, 2, 0],
      ["sum", "out", 5, 1, 8],
    ]);
    expect(wide.words).toBe(6);
    const fill = allMethods(set.interfaces.get("IEcho")!).find((m) => m.name === "fill")!;
    expect(fill.arguments[1]).toMatchObject({ kind: "outBytes", word: 2, other: 3 });
    const query = allMethods(set.interfaces.get("IUnknown")!)[0]!;
    expect(query.arguments[1]).toMatchObject({ kind: "outInterface", word: 2, other: 1 });
  });

  it("know the layout of structures and the documentation", () => {
    expect(set.structs.get("EchoPoint")).toMatchObject({
      size: 16,
      documentation: "A structure that calls carry whole.",
    });
    expect(set.structs.get("EchoPoint")!.fields.map((f) => f.offset)).toEqual([0, 4, 8]);
    expect(allMethods(set.interfaces.get("IEcho")!)[6]!.documentation).toBe("Mirrors a point at the origin.");
  });

  it("know which are internal", () => {
    const internal = [...set.interfaces.values()].filter(isInternal).map((model) => model.name);
    expect(internal.sort()).toEqual(["IFileContents", "IInternal", "IServiceState"]);
  });

  it("have ids that follow their signatures", () => {
    const source = (type: string) =>
      `import type { IUnknown } from "./IUnknown";\nimport type { HRESULT, u32, i32 } from "./types";\nexport interface IOne extends IUnknown { go(a: ${type}): HRESULT; }`;
    const [first, again, other] = ["u32", "u32", "i32"].map(
      (type) => read({ IOne: source(type) }).interfaces.get("IOne")!.iid,
    );
    expect(first).toBe(again);
    expect(first).not.toBe(other);
    expect(fnv1a32("")).toBe(0x811c9dc5);
    expect(fnv1a32("foobar")).toBe(0xbf9cf968);
  });

  it("agree with AssemblyScript about the layout of every structure", async () => {
    const structs = [...set.structs.values()].filter((struct) => struct.name !== "");
    const owner = new Map<string, string>();
    for (const file of files) {
      for (const struct of structs)
        if (readRepositoryFile(file)!.includes(`class ${struct.name} `)) owner.set(struct.name, file);
    }
    const imports = structs.map(
      (s) =>
        `import { ${s.name} } from "../${owner.get(s.name)!.replace(/^os\//, "").replace(/\.ts$/, "")}";`,
    );
    const cases = structs.map(
      (s, i) =>
        `if (i == ${i}) return offsetof<${s.name}>() * 1000 + offsetof<${s.name}>("${s.fields[s.fields.length - 1]!.name}");`,
    );
    const guest = await runGuest(
      await compileKernel(
        `${imports.join("\n")}\nexport function layout(i: i32): u32 { ${cases.join(" ")} return 0; }`,
      ),
    );
    structs.forEach((struct, i) => {
      const last = struct.fields[struct.fields.length - 1]!;
      expect([struct.name, guest.exports.layout!(i)]).toEqual([
        struct.name,
        struct.size * 1000 + last.offset,
      ]);
    });
  });
});

describe("what is no interface", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      "a second base",
      "export interface IBad {}",
      /IBad\.ts:3:18: interface IBad must extend exactly one interface/,
    ],
    ["an unknown base", "export interface IBad extends IMissing {}", /IMissing, which is not an interface/],
    [
      "a property",
      "export interface IBad extends IUnknown { x: u32; }",
      /IBad\.ts:3:42: interface IBad may hold methods only/,
    ],
    [
      "another result",
      "export interface IBad extends IUnknown {\n  f(): u32;\n}",
      /IBad\.ts:4:8: method IBad\.f must return HRESULT/,
    ],
    [
      "an unknown type",
      "export interface IBad extends IUnknown { f(a: string): HRESULT; }",
      /IBad\.ts:3:47: "string" is not an argument type/,
    ],
    [
      "a buffer without size",
      "export interface IBad extends IUnknown { f(a: InBytes, b: u32): HRESULT; }",
      /IBad\.ts:3:44: buffer a must be followed by/,
    ],
    [
      "a pointer to nothing known",
      "export interface IBad extends IUnknown { f(a: In<Nowhere>): HRESULT; }",
      /Nowhere is neither a scalar/,
    ],
    [
      "an interface behind In",
      "export interface IBad extends IUnknown { f(a: In<IUnknown>): HRESULT; }",
      /pass IUnknown itself/,
    ],
    [
      "a method twice",
      "export interface IBad extends IUnknown { release(): HRESULT; }",
      /two methods named release/,
    ],
    [
      "an optional argument",
      "export interface IBad extends IUnknown { f(a?: u32): HRESULT; }",
      /must be plain/,
    ],
    [
      "an internal interface that goes out",
      "export interface IInternal extends IUnknown {}\nexport interface IBad extends IUnknown { f(out: Out<IInternal>): HRESULT; }",
      /IBad\.ts:4:42: IBad\.f must not carry IInternal, which is internal/,
    ],
    [
      "an internal interface that goes in",
      "export interface IInternal extends IUnknown {}\nexport interface IBad extends IUnknown { f(a: IInternal): HRESULT; }",
      /IBad\.f must not carry IInternal/,
    ],
    ["a managed structure", "export class P { x: u32 = 0; }", /structure P must be @unmanaged/],
    ["code", "export function f(): void {}", /IBad\.ts:3:1: an interface file holds/],
  ];
  it.each(cases)("%s", (_name, text, expected) => {
    expect(error(text)).toMatch(expected);
  });
});

describe("the kernel's table of interfaces", () => {
  it("holds every interface as drawn", async () => {
    const set = readInterfaces(files, readRepositoryFile);
    const module = await compileKernel(
      "export function table(): usize { return interfaceTable(); }",
      {},
      { interfaceFiles: files },
    );
    const guest = await runGuest(module);
    const u32 = (at: number) => guest.memory.getUint32(at, true);
    const u16 = (at: number) => guest.memory.getUint16(at, true);
    const u8 = (at: number) => guest.memory.getUint8(at);
    const table = guest.exports.table!();
    const entries = u32(table + 4);
    expect(u32(table)).toBe(set.interfaces.size);
    let previous = -1;
    for (let i = 0; i < u32(table); i++) {
      const entry = entries + 20 * i;
      const model = set.interfaces.get(guest.textAt(u32(entry + 4))) as InterfaceModel;
      expect(u32(entry)).toBe(model.iid);
      expect(u32(entry)).toBeGreaterThan(previous);
      previous = u32(entry);
      expect(u32(entry + 16)).toBe(isInternal(model) ? 1 : 0);
      const methods = allMethods(model);
      expect(u32(entry + 8)).toBe(methods.length);
      methods.forEach((method, n) => {
        const at = u32(entry + 12) + 16 * n;
        const described = method.arguments.filter((a) => a.kind !== "value");
        expect(guest.textAt(u32(at))).toBe(method.name);
        expect([u16(at + 4), u16(at + 6), u32(at + 12)]).toEqual([method.words, described.length, 0]);
        expect(u32(at + 8) === 0).toBe(described.length === 0);
        described.forEach((argument, k) => {
          const place = u32(at + 8) + 8 * k;
          const kind = argumentKinds[argument.kind as Exclude<typeof argument.kind, "value">];
          expect([u8(place), u8(place + 1), u8(place + 2), u8(place + 3)]).toEqual([
            kind,
            argument.word,
            argument.other ?? 0,
            0,
          ]);
          const iid = argument.interfaceName ? set.interfaces.get(argument.interfaceName)!.iid : 0;
          expect(u32(place + 4)).toBe(argument.size || iid);
        });
      });
    }
  });
});
