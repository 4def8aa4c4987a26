import { describe, expect, it } from "vitest";
import type { FrontModule } from "../contract.ts";
import { compileImage } from "./compile.ts";
import { compileKernel, failure, runGuest, sourcesOver, testHeap, wasmApi } from "./testing.ts";

describe("text and functions", () => {
  it("makes static, deduplicated, NUL-terminated UTF-8 of text()", async () => {
    const guest = await runGuest(
      await compileKernel(
        `export function first(): usize { return text("grüße"); }
         export function again(): usize { return text("grüße"); }
         export function other(): usize { return text(""); }`,
      ),
    );
    expect(guest.textAt(guest.exports.first!())).toBe("grüße");
    expect(guest.exports.again!()).toBe(guest.exports.first!());
    expect(guest.textAt(guest.exports.other!())).toBe("");
  });

  it("gives a function's address as a table index that call_indirect takes, in code and in static data", async () => {
    const module = await compileKernel(
      `function twice(x: u32): u32 { return 2 * x; }
       function thrice(x: u32): u32 { return 3 * x; }
       const table: usize = memory.data<usize>([functionAddress(twice), 7, functionAddress(thrice)]);
       export function direct(x: u32): u32 { return call_indirect<u32>(functionAddress(twice), x); }
       export function masked(): u32 { return functionAddress(twice) & 0xffff; }
       export function viaTable(i: u32, x: u32): u32 { return call_indirect<u32>(load<u32>(table + 4 * i), x); }
       export function same(): bool { return load<u32>(table) == functionAddress(twice); }`,
    );
    const guest = await runGuest(module);
    expect(guest.exports.direct!(21)).toBe(42);
    expect(guest.exports.viaTable!(0, 5)).toBe(10);
    expect(guest.exports.viaTable!(2, 5)).toBe(15);
    expect(guest.exports.same!()).toBe(1);
    expect(
      [...module.codeRelocations.values()].filter((r) => r.kind === "function").length,
    ).toBeGreaterThanOrEqual(2);
  });
});

describe("loops", () => {
  it("reaches what follows an endless loop that a break leaves and a return ends", async () => {
    const guest = await runGuest(
      await compileKernel(
        `export function counted(n: u32): u32 { for (let i: u32 = 0; ; i++) { if (i + n > 5) break; if (n === 3) continue; return 1; } return 2; }
         export function plain(n: u32): u32 { for (;;) { if (n > 5) break; return 1; } return 2; }`,
      ),
    );
    expect([0, 3, 9].map((n) => guest.exports.counted!(n))).toEqual([1, 2, 2]);
    expect([0, 9].map((n) => guest.exports.plain!(n))).toEqual([1, 2]);
  });
});

describe("libraries", () => {
  const library = `
    export const LIMIT: u32 = 12;
    export let counter: u32 = 0;
    const secret: usize = memory.data(16);
    export function bump(by: u32): u32 { counter += by; store<u32>(secret, counter); return counter; }
    export declare function waitOn(address: usize, expected: u32): u32;
    export function largest<T>(a: T, b: T): T { return a > b ? a : b; }
    @unmanaged export class Box { value: u32 = 0; put(v: u32): void { this.value = bump(v) + LIMIT; } }
    function helper(): void { bump(1); }
    helper();
  `;
  const program = (body: string) =>
    compileImage({
      name: "hello",
      kind: "program",
      entries: ["os/apps/hello/main.ts"],
      libraries: ["rt"],
      readFile: sourcesOver({
        "os/lib/rt/heap.ts": testHeap,
        "os/lib/rt/things.ts": library,
        "os/apps/hello/main.ts": `import { Box, bump, counter, largest, LIMIT, waitOn } from "../../lib/rt/things";\n${body}`,
      }),
    });

  it("imports functions, and compiles constants, classes and generic functions into the user", async () => {
    const module = await program(`export function main(argc: i32, argv: usize): i32 {
      const box = changetype<Box>(argv); box.put(5);
      waitOn(argv, 0);
      return box.value + LIMIT + largest<u32>(bump(1), 2);
    }`);
    const imports = wasmApi.Module.imports(await wasmApi.compile(module.wasm));
    expect(imports.map(({ module: from, name }) => `${from}!${name}`).sort()).toEqual([
      "library:rt!bump",
      "library:rt!waitOn",
    ]);
    const guest = await runGuest(module, { "library:rt": { bump: (v: number) => 100 * v, waitOn: () => 0 } });
    expect(guest.exports.main!(1, 0x60000)).toBe(500 + 12 + 12 + 100);
  });

  it("exports all functions of a library's files under their plain names", async () => {
    const module = await compileImage({
      name: "rt",
      kind: "library",
      entries: ["os/lib/rt/heap.ts", "os/lib/rt/things.ts"],
      readFile: sourcesOver({ "os/lib/rt/heap.ts": testHeap, "os/lib/rt/things.ts": library }),
    });
    const compiled = await wasmApi.compile(module.wasm);
    const names = wasmApi.Module.exports(compiled)
      .filter((e) => e.kind === "function")
      .map((e) => e.name);
    expect(names.sort()).toEqual(["allocate", "balance", "bump", "free", "waitOn"]);
    const guest = await runGuest(module, { assembly: { waitOn: () => 0 } });
    expect(guest.exports.bump!(2)).toBe(3);
  });

  it("gives each function a version that changes with its signature and with what its types mean", async () => {
    const versions = async (text: string, name = "hello") => {
      const module = await compileImage({
        name,
        kind: name === "rt" ? "library" : "program",
        entries: [name === "rt" ? "os/lib/rt/a.ts" : "os/apps/hello/main.ts"],
        libraries: ["rt"],
        readFile: sourcesOver({
          "os/lib/rt/heap.ts": testHeap,
          "os/lib/rt/a.ts": text,
          "os/apps/hello/main.ts": `import { f } from "../../lib/rt/a";
            export function main(argc: i32, argv: usize): i32 { return f(changetype<usize>(argv)) ? 1 : 0; }`,
        }),
      });
      return module.signatures?.get("rt!f");
    };
    const plain = await versions("export function f(a: usize): u32 { return 1; }");
    expect(plain).toBeTypeOf("number");
    expect(await versions("export function f(other: usize): u32 { return 2; }", "rt")).toBe(plain);
    expect(await versions("export function f(a: usize): i32 { return 1; }")).not.toBe(plain);
    const structure = (fields: string) =>
      `@unmanaged class S { ${fields} } export function f(a: S | null): u32 { return 1; }`;
    const one = await versions(structure("x: u32 = 0; y: u32 = 0;"), "rt");
    expect(await versions(structure("y: u32 = 0; x: u32 = 0;"), "rt")).not.toBe(one);
    const asks = (name: string) =>
      `import { ${name} } from "../../interfaces/${name}"; export function f(o: ${name}): u32 { return o.addRef(); }`;
    expect(await versions(asks("IFile"), "rt")).not.toBe(await versions(asks("IProcess"), "rt"));
  });

  it("refuses another library's variables, unknown libraries and name clashes", async () => {
    const main = (body: string) => `export function main(argc: i32, argv: usize): i32 { ${body} }`;
    expect(await failure(program(main("return counter;")))).toMatch(
      /main\.ts:2:\d+: variable counter of rt cannot be used outside/,
    );
    const files = {
      "os/lib/rt/a.ts": "export function same(): void {}",
      "os/lib/rt/b.ts": "export function same(): void {}",
    };
    const clash = compileImage({
      name: "rt",
      kind: "library",
      entries: Object.keys(files),
      readFile: sourcesOver(files),
    });
    expect(await failure(clash)).toMatch(
      /os\/lib\/rt\/b\.ts:1:17: library rt exports two functions named same; the other is in os\/lib\/rt\/a\.ts/,
    );
    const other = {
      "os/lib/net/a.ts": "export function send(): i32 { return 0; }",
      "os/apps/x/main.ts": `import { send } from "../../lib/net/a"; ${main("return send();")}`,
    };
    expect(
      await failure(
        compileImage({
          name: "x",
          kind: "program",
          entries: ["os/apps/x/main.ts"],
          libraries: ["rt"],
          readFile: sourcesOver(other),
        }),
      ),
    ).toMatch(/os\/apps\/x\/main\.ts:1:\d+: no library is named net, of which send is used/);
    const none = compileImage({
      name: "x",
      kind: "program",
      entries: ["os/apps/x/main.ts"],
      readFile: sourcesOver({ "os/apps/x/main.ts": "export function start(): void {}" }),
    });
    expect(await failure(none)).toMatch(/a program exports/);
  });
});

describe("what the dialect refuses", () => {
  const cases: readonly (readonly [string, string, RegExp])[] = [
    [
      "new",
      "@unmanaged class P { x: i32 = 0; }\nexport function f(): P { return new P(); }",
      /main\.ts:2:33: `new` needs a managed runtime/,
    ],
    [
      "strings",
      'export function f(): string { return "x"; }',
      /main\.ts:1:38: the dialect has no run-time strings/,
    ],
    ["managed classes", "class P {}", /main\.ts:1:7: class P must be @unmanaged/],
    ["arrays", "export function f(n: i32): i32 { const a: i32[] = [n, 2]; return a[0]; }", /managed runtime/],
    ["exceptions", "export function f(): void { throw 1; }", /no exceptions/],
    ["syntax errors", "export function f( { }", /os\/kernel\/main\.ts:1:\d+: syntax/],
    [
      "missing files",
      'import { x } from "./nowhere";',
      /main\.ts:1:19: the file os\/kernel\/nowhere\.ts does not exist/,
    ],
    ["package imports", 'import { x } from "left-pad";', /relative/],
    ["interfaces of its own", "interface IMine {}", /os\/interfaces/],
    [
      "unknown names",
      "export function f(): i32 {\n  return missing + 1;\n}",
      /main\.ts:2:10: Cannot find name 'missing'/,
    ],
    [
      "wrong types",
      "export function f(a: f64): i32 {\n  let b: i32 = 0;\n  b = a;\n  return b;\n}",
      /main\.ts:3:7: Conversion from type 'f64' to 'i32'/,
    ],
    [
      "text of a variable",
      "export function f(a: usize): usize { return text(a); }",
      /main\.ts:1:45: text\(\) takes one string literal/,
    ],
  ];
  it.each(cases)("%s", async (_name, source, expected) => {
    expect(await failure(compileKernel(source))).toMatch(expected);
  });

  it("lists several errors of AssemblyScript at once", async () => {
    const message = await failure(
      compileKernel("export function f(): i32 { return a; }\nexport function g(): i32 { return b; }"),
    );
    expect(message).toMatch(
      /main\.ts:1:35: Cannot find name 'a'.*\nos\/kernel\/main\.ts:2:35: Cannot find name 'b'/,
    );
  });
});

describe("source positions", () => {
  it("leads code back to the line and column that was written", async () => {
    const main = [
      'import type { HRESULT } from "../interfaces/types";',
      "export function f(a: u32): u32 {",
      '  if (a == 17) return text("before") + portIn32(a);',
      "  return portIn8(a) + 1;",
      "}",
      "export function g(): HRESULT { return portIn16(3); }",
    ].join("\n");
    const module = await compileKernel(main);
    const calls = await importCalls(module, ["portIn8", "portIn16", "portIn32"]);
    expect(calls.get("portIn32")).toEqual({ file: "os/kernel/main.ts", line: 3, column: 40 });
    expect(calls.get("portIn8")).toEqual({ file: "os/kernel/main.ts", line: 4, column: 10 });
    expect(calls.get("portIn16")).toEqual({ file: "os/kernel/main.ts", line: 6, column: 39 });
    expect(module.sourceAt(0)).toBeUndefined();
    expect(module.sourceAt(module.wasm.length + 100)).toSatisfy(
      (p: unknown) => p === undefined || typeof p === "object",
    );
  });

  /** Position of the first call of each import, by a search that shares nothing with the front's walker. */
  async function importCalls(module: FrontModule, names: readonly string[]): Promise<Map<string, unknown>> {
    const imports = wasmApi.Module.imports(await wasmApi.compile(module.wasm)).filter(
      (i) => i.kind === "function",
    );
    const found = new Map<string, unknown>();
    const code = Math.min(
      ...[...Array(module.wasm.length).keys()].filter((at) => module.sourceAt(at) !== undefined),
    );
    for (const name of names) {
      const index = imports.findIndex((i) => i.name === name);
      for (let at = code; at < module.wasm.length - 1; at++) {
        if (module.wasm[at] === 0x10 && module.wasm[at + 1] === index && module.sourceAt(at)) {
          found.set(name, module.sourceAt(at));
          break;
        }
      }
    }
    return found;
  }
});
