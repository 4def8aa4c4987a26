import { describe, expect, it } from "vitest";
import { compileModule } from "../back/compile.ts";
import type { FrontModule } from "../contract.ts";
import { compileKernel, failure, runGuest } from "./testing.ts";

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

  it("refuses an address that is rounded at compile time: the linker aligns data to 16 only", async () => {
    const message = await failure(
      compileKernel(
        "const area: usize = memory.data(8192, 16);\nexport function f(): usize {\n  const page = (area + 4095) & ~4095;\n  return page;\n}",
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
    // Its address too, though nothing here calls functions of that type.
    const { textFixups } = compileModule(module);
    expect(textFixups.map(({ symbol }) => symbol)).toContain("os/kernel/main/handler");
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
