import { describe, expect, it } from "vitest";
import { BuildError, type FrontModule } from "../contract.ts";
import { compileImage } from "./compile.ts";
import { compileKernel, runGuest, sourcesOver, testHeap, wasmApi } from "./testing.ts";

async function failure(work: Promise<unknown>): Promise<string> {
  try {
    await work;
  } catch (error) {
    expect(error).toBeInstanceOf(BuildError);
    return (error as BuildError).message;
  }
  throw new Error("it compiled");
}

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

describe("interfaces and servers", () => {
  const header = `
    import { IEcho } from "../interfaces/IEcho";
    import { IEchoCallback } from "../interfaces/IEchoCallback";
    import { IUnknown } from "../interfaces/IUnknown";
    import { S_OK, E_NOINTERFACE } from "../interfaces/results";
    import type { HRESULT, Out, In, u32 } from "../interfaces/types";
    import { balance } from "./memory/heap";
    export { balance };
  `;

  it("lets a client call a server through its vtable", async () => {
    const guest = await runGuest(
      await compileKernel(`${header}
        let finished: u32 = 0;
        @unmanaged
        class Counter extends ComObject implements IEchoCallback {
          total: u32 = 40;
          zero: u32 = 0;
          name: usize = text("counter"); // a note
          called(value: u32, answer: Out<u32>): HRESULT {
            this.total += value;
            store<u32>(answer, this.total);
            return S_OK;
          }
          finish(): void { finished = this.total; }
        }
        export function make(): usize { return changetype<usize>(interfaceOf<IEchoCallback>(newObject<Counter>())); }
        export function call(p: usize, value: u32): u32 {
          const answer = stackAlloc(4);
          return changetype<IEchoCallback>(p).called(value, answer) == S_OK ? load<u32>(answer) : 0;
        }
        export function nameOf(p: usize): usize { return changetype<Counter>(p).name; }
        export function query(p: usize, iid: u32, out: usize): i32 { return changetype<IEchoCallback>(p).queryInterface(iid, out); }
        export function addRef(p: usize): u32 { return changetype<IUnknown>(p).addRef(); }
        export function release(p: usize): u32 { return changetype<IUnknown>(p).release(); }
        export function ended(): u32 { return finished; }
        export function callbackId(): u32 { return IEchoCallback.IID; }
        export function echoId(): u32 { return IEcho.IID; }
        export function unknownId(): u32 { return IUnknown.IID; }`),
    );
    const { make, call, nameOf, query, addRef, release, ended, callbackId, echoId, unknownId, balance } =
      guest.exports;
    const object = make!();
    expect(guest.memory.getUint32(object + 4, true)).toBe(1);
    expect(call!(object, 2)).toBe(42);
    expect(call!(object, 8)).toBe(50);
    expect(guest.textAt(nameOf!(object))).toBe("counter");
    expect(addRef!(object)).toBe(2);
    const out = 0x60000;
    expect(query!(object, callbackId!(), out)).toBe(0);
    expect(guest.memory.getUint32(out, true)).toBe(object);
    expect(query!(object, unknownId!(), out)).toBe(0);
    guest.memory.setUint32(out, 99, true);
    expect(query!(object, echoId!(), out) >>> 0).toBe(0x80004002);
    expect(guest.memory.getUint32(out, true)).toBe(0);
    expect(release!(object)).toBe(3);
    expect(release!(object)).toBe(2);
    expect(release!(object)).toBe(1);
    expect([ended!(), balance!()]).toEqual([0, 1]);
    expect(release!(object)).toBe(0);
    expect([ended!(), balance!()]).toEqual([50, 0]);
  });

  it("adjusts `this` for further interfaces, and inherits servers", async () => {
    const guest = await runGuest(
      await compileKernel(
        `${header}
        import { IProcess } from "../interfaces/IProcess";
        import { Base } from "./base";
        @unmanaged
        class Derived extends Base implements IProcess {
          more: u32 = 1000;
          wait(exitCode: Out<i32>): HRESULT { store<i32>(exitCode, this.total + this.more); return S_OK; }
          kill(): HRESULT { this.total = 7; return S_OK; }
          identity(id: Out<u32>): HRESULT { store<u32>(id, this.id); return S_OK; }
        }
        export function make(): usize { return changetype<usize>(newObject<Derived>()); }
        export function asCallback(p: usize): usize { return changetype<usize>(interfaceOf<IEchoCallback>(changetype<Derived>(p))); }
        export function asProcess(p: usize): usize { return changetype<usize>(interfaceOf<IProcess>(changetype<Derived>(p))); }
        export function wait(p: usize): i32 { const out = stackAlloc(4); changetype<IProcess>(p).wait(out); return load<i32>(out); }
        export function kill(p: usize): void { changetype<IProcess>(p).kill(); }
        export function called(p: usize, v: u32): u32 { const out = stackAlloc(4); changetype<IEchoCallback>(p).called(v, out); return load<u32>(out); }
        export function query(p: usize, iid: u32): usize { const out = stackAlloc(4); return changetype<IUnknown>(p).queryInterface(iid, out) == 0 ? load<u32>(out) : 0; }
        export function references(p: usize): u32 { return changetype<Derived>(p).references; }
        export function release(p: usize): u32 { return changetype<IUnknown>(p).release(); }
        export function callbackId(): u32 { return IEchoCallback.IID; }
        export function processId(): u32 { return IProcess.IID; }
        export function unknownId(): u32 { return IUnknown.IID; }`,
        {
          "os/kernel/base.ts": `
          import type { IEchoCallback } from "../interfaces/IEchoCallback";
          import type { HRESULT, Out, u32 } from "../interfaces/types";
          @unmanaged
          export class Base extends ComObject implements IEchoCallback {
            id: u32 = 5;
            total: u32 = 100;
            called(value: u32, answer: Out<u32>): HRESULT { this.total += value; store<u32>(answer, this.total); return 0; }
          }`,
        },
      ),
    );
    const e = guest.exports;
    const object = e.make!();
    const callback = e.asCallback!(object);
    const process = e.asProcess!(object);
    expect(callback).toBe(object);
    expect(process).toBeGreaterThan(object + 8);
    expect(e.called!(callback, 11)).toBe(111);
    expect(e.wait!(process)).toBe(1111);
    e.kill!(process);
    expect(e.wait!(process)).toBe(1007);
    expect(e.query!(callback, e.processId!())).toBe(process);
    expect(e.query!(process, e.callbackId!())).toBe(callback);
    expect(e.query!(process, e.unknownId!())).toBe(object);
    expect(e.references!(object)).toBe(4);
    for (const left of [3, 2, 1, 0]) expect(e.release!(process)).toBe(left);
    expect(e.balance!()).toBe(0);
  });

  it("passes every kind of argument", async () => {
    const guest = await runGuest(
      await compileKernel(`${header}
        import { EchoPoint } from "../interfaces/IEcho";
        import type { InBytes, InOut, InString, OutBytes, i32, f64, u64 } from "../interfaces/types";
        @unmanaged class Answer extends ComObject implements IEchoCallback {
          called(value: u32, answer: Out<u32>): HRESULT { store<u32>(answer, value * 2); return S_OK; }
        }
        @unmanaged class Echo extends ComObject implements IEcho {
          nothing(): HRESULT { return S_OK; }
          add(a: i32, b: i32, sum: Out<i32>): HRESULT { store<i32>(sum, a + b); return S_OK; }
          wide(a: u64, b: f64, sum: Out<f64>): HRESULT { store<f64>(sum, <f64>a + b); return S_OK; }
          mirror(point: In<EchoPoint>, out: Out<EchoPoint>): HRESULT {
            const from = changetype<EchoPoint>(point); const to = changetype<EchoPoint>(out);
            to.x = -from.x; to.y = -from.y; to.weight = from.weight; return S_OK;
          }
          increment(value: InOut<u32>): HRESULT { store<u32>(value, load<u32>(value) + 1); return S_OK; }
          sum(buffer: InBytes, size: u32, sum: Out<u32>): HRESULT {
            let total: u32 = 0; for (let i: u32 = 0; i < size; i++) total += load<u8>(buffer + i);
            store<u32>(sum, total); return S_OK;
          }
          fill(first: u32, buffer: OutBytes, size: u32): HRESULT { for (let i: u32 = 0; i < size; i++) store<u8>(buffer + i, <u8>(first + i)); return S_OK; }
          length(text: InString, length: Out<u32>): HRESULT { let n: u32 = 0; while (load<u8>(text + n)) n++; store<u32>(length, n); return S_OK; }
          callBack(callback: IEchoCallback, value: u32, answer: Out<u32>): HRESULT { return callback.called(value, answer); }
          another(out: Out<IEcho>): HRESULT { store<usize>(out, changetype<usize>(interfaceOf<IEcho>(newObject<Echo>()))); return S_OK; }
          whereAmI(process: Out<u32>, ring: Out<u32>): HRESULT { store<u32>(process, 1); store<u32>(ring, codeSegment() & 3); return S_OK; }
          slow(milliseconds: u32): HRESULT { return S_OK; }
          quit(): HRESULT { return S_OK; }
        }
        export function check(): u32 {
          const out = stackAlloc(8);
          const first = interfaceOf<IEcho>(newObject<Echo>());
          if (first.another(out) != S_OK) return 1;
          const echo = changetype<IEcho>(load<usize>(out));
          if (echo.add(3, -5, out) != S_OK || load<i32>(out) != -2) return 2;
          if (echo.wide(1 << 40, 0.5, out) != S_OK || load<f64>(out) != 1099511627776.5) return 3;
          const point = changetype<EchoPoint>(stackAlloc(offsetof<EchoPoint>()));
          const image = changetype<EchoPoint>(stackAlloc(offsetof<EchoPoint>()));
          point.x = 3; point.y = -4; point.weight = 1.25;
          if (echo.mirror(changetype<usize>(point), changetype<usize>(image)) != S_OK || image.x != -3 || image.y != 4 || image.weight != 1.25) return 4;
          store<u32>(out, 41);
          if (echo.increment(out) != S_OK || load<u32>(out) != 42) return 5;
          const buffer = stackAlloc(16);
          if (echo.fill(250, buffer, 10) != S_OK || echo.sum(buffer, 10, out) != S_OK || load<u32>(out) != 1505 - 0 + 6 - 6 && load<u32>(out) != 1511) {
            let total: u32 = 0; for (let i: u32 = 0; i < 10; i++) total += (250 + i) & 255;
            if (load<u32>(out) != total) return 6;
          }
          if (echo.length(text("seven77"), out) != S_OK || load<u32>(out) != 7) return 7;
          if (echo.callBack(interfaceOf<IEchoCallback>(newObject<Answer>()), 21, out) != S_OK || load<u32>(out) != 42) return 8;
          return 0;
        }`),
      { intrinsic: { codeSegment: () => 3 } },
    );
    expect(guest.exports.check!()).toBe(0);
  });

  it("refuses what cannot work", async () => {
    const server = (body: string, clause = "implements IEchoCallback") => `${header}
@unmanaged class Bad extends ComObject ${clause} { ${body} }
export function f(): usize { return changetype<usize>(newObject<Bad>()); }`;
    const called = "called(value: u32, answer: Out<u32>): HRESULT { return S_OK; }";
    expect(await failure(compileKernel(server("")))).toMatch(
      /os\/kernel\/main\.ts:\d+:\d+: class Bad lacks method called of IEchoCallback/,
    );
    expect(await failure(compileKernel(server(`constructor() {} ${called}`)))).toMatch(/constructor/);
    expect(await failure(compileKernel(server(`release(): u32 { return 0; } ${called}`)))).toMatch(
      /supplied by ComObject/,
    );
    expect(await failure(compileKernel(server(called, "implements IMissing")))).toMatch(
      /IMissing is not an interface/,
    );
    expect(
      await failure(compileKernel(`${header}\nclass Plain implements IEchoCallback { ${called} }`)),
    ).toMatch(/must extend ComObject/);
    const wrong = server(called).replace("newObject<Bad>()", "interfaceOf<IEcho>(newObject<Bad>())");
    expect(await failure(compileKernel(wrong))).toMatch(/main\.ts:11:\d+: .*Bad does not implement IEcho/s);
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

describe("relocations", () => {
  const source = `
    let finished: u32 = 7;
    let pointer: usize = memory.data<u8>([9, 8, 7]);
    const page: usize = memory.data(4096, 16);
    const words: usize = memory.data<usize>([page, page + 8, functionAddress(f), 3]);
    function f(x: u32): u32 { return x + finished++; }
    export function masks(): u32 { return (page & 0xffff) + (page >> 16) + (~page) + (page | 1); }
    export function negative(x: usize): i32 { return x - page < 4096 ? 1 : -1; }
    export function indirect(x: u32): u32 { return call_indirect<u32>(load<u32>(words, 8), x) + load<u8>(pointer++); }
    export function names(x: u32): usize { switch (x) { case 0: return text("zero"); case 1: return text("one"); default: return words; } }
    export function wide(): u64 { return <u64>page; }
  `;

  /** Applies the relocations for another base, as the linker will. */
  function moved(module: FrontModule, distance: number): { code: Uint8Array; words: Map<number, number> } {
    const code = module.wasm.slice();
    for (const [offset, { kind, sign }] of module.codeRelocations) {
      expect(code[offset]).toBe(0x41);
      let value = 0;
      for (let i = 0; i < 5; i++) value |= (code[offset + 1 + i]! & 0x7f) << (7 * i);
      if (kind === "data") value += sign * distance;
      for (let i = 0; i < 5; i++) code[offset + 1 + i] = ((value >> (7 * i)) & 0x7f) | (i < 4 ? 0x80 : 0);
    }
    return { code, words: new Map() };
  }

  it("finds exactly the constants that another base changes", async () => {
    const here = await compileKernel(source);
    const distance = 0x5000;
    const there = await compileKernel(source, {}, { memoryBase: here.memoryBase + distance });
    expect([...here.codeRelocations]).toEqual([...there.codeRelocations]);
    expect(here.codeRelocations.size).toBeGreaterThan(8);
    expect(here.dataRelocations).toEqual(there.dataRelocations);
    expect(here.dataRelocations.map((r) => r.kind).sort()).toEqual(["data", "data", "function", "function"]);
    // Code behaves the same and differs in nothing but the relocated constants: all of the binary up to the data section.
    const code = moved(here, distance).code;
    const end = Math.max(...here.codeRelocations.keys());
    expect(Buffer.from(code.subarray(0, end + 6)).equals(Buffer.from(there.wasm.subarray(0, end + 6)))).toBe(
      true,
    );
  });

  it("leaves arithmetic on addresses to run time", async () => {
    const module = await compileKernel(source);
    const guest = await runGuest(module);
    const page = Number(guest.exports.wide!());
    expect(guest.exports.masks!() >>> 0).toBe(((page & 0xffff) + (page >>> 16) + ~page + (page | 1)) >>> 0);
    expect(guest.exports.negative!(page + 100)).toBe(1);
    expect(guest.exports.negative!(page - 1)).toBe(-1);
    expect([guest.exports.indirect!(1), guest.exports.indirect!(1)]).toEqual([8 + 9, 9 + 8]);
    expect(guest.textAt(guest.exports.names!(1))).toBe("one");
  });

  it("refuses an address that is computed with at compile time", async () => {
    const message = await failure(
      compileKernel(
        "const page: usize = memory.data(64);\nconst high: usize = page >> 4;\nexport function f(): usize { return high; }",
      ),
    );
    expect(message).toMatch(/main\.ts:2:\d+: .*an address takes part in arithmetic at compile time/);
  });

  it("counts zero data up to its end", async () => {
    const module = await compileKernel(
      "const a: usize = memory.data<u8>([1]);\nconst b: usize = memory.data(1000);\nexport function f(): usize { return a + b; }",
    );
    expect(module.dataEnd - module.memoryBase).toBeGreaterThanOrEqual(1001);
    expect(module.wasm.length).toBeLessThan(700);
  });
});

describe("optimiser", () => {
  it("puts the methods themselves into the vtable of the first interface", async () => {
    const module = await compileKernel(
      `import { IEchoCallback } from "../interfaces/IEchoCallback";
       import type { HRESULT, Out, u32 } from "../interfaces/types";
       @unmanaged class Answer extends ComObject implements IEchoCallback {
         called(value: u32, answer: Out<u32>): HRESULT {
           const copy = stackAlloc(4); store<u32>(copy, value); store<u32>(answer, load<u32>(copy) + 1); return 0;
         }
       }
       export function f(x: u32): u32 {
         const out = stackAlloc(4);
         return interfaceOf<IEchoCallback>(newObject<Answer>()).called(x, out) == 0 ? load<u32>(out) : 0;
       }`,
    );
    const names = new TextDecoder("latin1").decode(module.wasm);
    expect(names).toContain("Answer#called");
    expect(names).not.toContain("Answer$called");
    expect((await runGuest(module)).exports.f!(41)).toBe(42);
  });

  it("never inlines a function that adjusts its stack into a loop", async () => {
    const module = await compileKernel(
      `function once(i: u32): u32 { const p = stackAlloc(4); store<u32>(p, i); return load<u32>(p); }
       export function loop(n: u32): u32 { let s: u32 = 0; for (let i: u32 = 0; i < n; i++) s += once(i); return s; }`,
    );
    const names = new TextDecoder("latin1").decode(module.wasm);
    expect(names).toContain("os/kernel/main/once");
    expect((await runGuest(module)).exports.loop!(5)).toBe(10);
  });

  it("keeps a function that only others call, whatever its type", async () => {
    const module = await compileKernel(
      `function handler(a: u32, b: u64, c: f64, d: u32): u32 { store<u32>(a, 0x12345678); return d; }
       export function address(): usize { return functionAddress(handler); }`,
    );
    const magic = [0x41, 0xf8, 0xac, 0xd1, 0x91, 0x01]; // i32.const 0x12345678
    const found = module.wasm.some((_, at) => magic.every((byte, i) => module.wasm[at + i] === byte));
    expect(found).toBe(true);
  });

  it("keeps device accesses and fixed addresses in order", async () => {
    const log: string[] = [];
    const guest = await runGuest(
      await compileKernel(
        `export function poke(): u32 {
           volatileStore32(0xfee00000, 1); volatileStore32(0xfee00000, 1);
           portOut8(0x20, 0x20);
           volatileLoad32(0xfee00000);
           return volatileLoad32(0xfee00000);
         }
         export function low(): u32 { store<u32>(4, 5); store<u32>(4, 6); return load<u32>(4) + load<u32>(0); }`,
      ),
      {
        intrinsic: {
          volatileStore32: (a: number, v: number) => log.push(`${a >>> 0}=${v}`),
          volatileLoad32: (a: number) => log.push(`${a >>> 0}`),
          portOut8: (p: number, v: number) => log.push(`out ${p},${v}`),
        },
      },
    );
    guest.exports.poke!();
    expect(log).toEqual(["4276092928=1", "4276092928=1", "out 32,32", "4276092928", "4276092928"]);
    expect(guest.exports.low!()).toBe(6);
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

describe("addresses of functions that live elsewhere", () => {
  it("go into the table like any other", async () => {
    const module = await compileKernel(
      `declare function threadExit(result: u32): u32;
       export function f(x: u32): u32 { return call_indirect<u32>(functionAddress(threadExit), x); }`,
    );
    const guest = await runGuest(module, { assembly: { threadExit: (x: number) => x + 1 } });
    expect(guest.exports.f!(41)).toBe(42);
  });
});
